"""What the audio LLMs hear: features of one recording, made as their own processors make them."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isogloss.corpora.base import SAMPLING_RATE
from isogloss.errors import ItemError, ModelError
from isogloss.models._checkpoint import Checkpoint
from isogloss.models._llm_config import Config
from isogloss.models._llm_families import Family, Sound
from isogloss.models._llm_granite import HOP, GraniteMel
from isogloss.models._speech import load_extractor
from isogloss.models._tower import Samples

_EXTRACTORS: dict[Sound, str] = {
    "whisper": "whisper.feature_extraction_whisper:WhisperFeatureExtractor",
    "qwen3_asr": "qwen3_asr.feature_extraction_qwen3_asr:Qwen3ASRFeatureExtractor",
    "phi4": "phi4_multimodal.feature_extraction_phi4_multimodal:Phi4MultimodalFeatureExtractor",
    "gemma4": "gemma4.feature_extraction_gemma4:Gemma4AudioFeatureExtractor",
}
_COUNTS, _GIVEN, _MEL = "heard", "heard.", "mel"
STEPS, TOKENS = "steps", "tokens"
"""Lengths: time steps of the tower, audio tokens."""


def finite(samples: Samples) -> Samples:
    """Samples as the feature extractors want them.

    Raises:
        ItemError: Some are not finite.
    """
    samples = np.ascontiguousarray(samples, np.float32)
    if not np.isfinite(samples).all():
        raise ItemError("the recording holds samples that are not finite")
    return samples


@dataclass(frozen=True)
class Sounds:
    """A recording made ready."""

    given: dict[str, NDArray[Any]]
    """Features, by name; a declared family has one, (time × bins), of the whole window where the
    tower hears one."""
    frames: int
    """How many of their time steps the recording reaches."""
    steps: int
    """Time steps of the tower that it reaches."""
    tokens: int
    """Audio tokens that it reaches."""
    placeholders: int
    """Audio tokens in the input: more than ``tokens`` where silence becomes tokens too."""

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The same as arrays for :class:`Features`."""
        counts = (self.frames, self.steps, self.tokens, self.placeholders)
        return {_COUNTS: np.array(counts), **{_GIVEN + k: v for k, v in self.given.items()}}

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> "Sounds | None":
        """What :meth:`arrays` made; None if there is no recording."""
        if _COUNTS not in values:
            return None
        given = {k.removeprefix(_GIVEN): v for k, v in values.items() if k.startswith(_GIVEN)}
        return cls(given, *(int(count) for count in values[_COUNTS]))


class Hearing(ABC):
    """Makes features, and knows how many audio tokens follow from them."""

    @abstractmethod
    def __call__(self, samples: Samples) -> Sounds:
        """Make the features of one recording.

        Raises:
            ItemError: It is too short or too long, or holds NaN or infinity.
        """

    def size(self, sounds: Sounds) -> int:
        """Time steps that the tower runs over for it, silence included."""
        return sounds.steps

    @abstractmethod
    def inputs(self, batch: Sequence[Sounds]) -> dict[str, NDArray[Any]]:
        """Put recordings together: arguments of the model."""

    @abstractmethod
    def masks(self, batch: Sequence[Sounds]) -> dict[str, NDArray[np.bool_]]:
        """Which time steps of the tower, and which audio tokens, a recording reaches."""


class DeclaredHearing(Hearing):
    """That of a declared family.

    Args:
        family: Which model.
        checkpoint: Its files.
        config: Its configuration.
        pool_all: Whether audio tokens of silence count too.

    Raises:
        ModelError: The feature extractor is missing or of another kind.
    """

    def __init__(
        self, family: Family, checkpoint: Checkpoint, config: Config, *, pool_all: bool = False
    ) -> None:
        self._pool_all = pool_all
        self._family, self._config, self._name = family, config, checkpoint.name
        if family.sound == "granite":
            self._extractor: Any = GraniteMel(checkpoint)
        else:
            self._extractor = load_extractor(checkpoint, _EXTRACTORS[family.sound])

    @cached_property
    def window(self) -> int | None:
        """Frames that the tower always gets; None if as many as there are."""
        return int(self._extractor.nb_max_frames) if self._family.window else None

    @cached_property
    def longest(self) -> float | None:
        """Seconds that the model takes; None if any."""
        if self.window is not None:
            return float(self._extractor.n_samples) / SAMPLING_RATE
        return self._family.longest

    @cached_property
    def shortest(self) -> int:
        """Samples that make one audio token."""
        # What every feature extractor can take: one frame of analysis.
        least = 401 if self._family.sound != "phi4" else 400
        return next(n for n in range(least, SAMPLING_RATE) if self._tokens(self._frames(n)) > 0)

    def __call__(self, samples: Samples) -> Sounds:
        """Make the features of one recording."""
        samples = finite(samples)
        if samples.ndim != 1 or len(samples) < self.shortest:
            raise ItemError(
                f"the recording lasts {1000 * samples.size / SAMPLING_RATE:.0f} ms, and the model "
                f"needs {1000 * self.shortest / SAMPLING_RATE:.1f} ms"
            )
        if self.longest is not None and len(samples) > self.longest * SAMPLING_RATE:
            raise ItemError(
                f"the recording lasts {len(samples) / SAMPLING_RATE:.1f} s, and the model hears "
                f"{self.longest:.0f} s"
            )
        values, frames = self._make(samples)
        if frames != self._frames(len(samples)):
            raise ModelError(
                f"{self._name}: its feature extractor makes {frames} frames of {len(samples)} "
                f"samples, not the {self._frames(len(samples))} that its model counts on"
            )
        heard = self.window if self.window and self._family.silence else frames
        steps = self._family.steps(frames, self._config)
        placeholders = self._tokens(heard)
        tokens = placeholders if self._pool_all else self._tokens(frames)
        return Sounds({_MEL: values.astype(np.float32)}, frames, steps, tokens, placeholders)

    def size(self, sounds: Sounds) -> int:
        """The whole window where the tower hears one."""
        return (
            sounds.steps if self.window is None else self._family.steps(self.window, self._config)
        )

    def inputs(self, batch: Sequence[Sounds]) -> dict[str, NDArray[Any]]:
        """Padded with zeros at the end."""
        family = self._family
        frames = np.array([sounds.frames for sounds in batch])
        size = self.window or family.padded(int(frames.max()), self._config)
        mels = [sounds.given[_MEL] for sounds in batch]
        values = np.zeros((len(batch), size, mels[0].shape[1]), np.float32)
        for row, mel in enumerate(mels):
            values[row, : len(mel)] = mel
        if not family.time_first:
            values = np.ascontiguousarray(values.transpose(0, 2, 1))
        inputs: dict[str, NDArray[Any]] = {family.features: values}
        if family.mask:
            inputs[family.mask] = np.arange(size) < frames[:, None]
        if family.sizes:
            inputs[family.sizes] = np.array([sounds.placeholders for sounds in batch])
        return inputs

    def masks(self, batch: Sequence[Sounds]) -> dict[str, NDArray[np.bool_]]:
        """(items × time) for the tower and for the audio tokens."""
        steps = np.array([sounds.steps for sounds in batch])
        tokens = np.array([sounds.tokens for sounds in batch])
        if self.window is None:
            totals = int(steps.max()), int(tokens.max())
        else:
            totals = self._family.steps(self.window, self._config), self._tokens(self.window)
        found = zip((STEPS, TOKENS), totals, (steps, tokens), strict=True)
        return {name: np.arange(total) < counts[:, None] for name, total, counts in found}

    def _tokens(self, frames: int) -> int:
        return self._family.tokens(frames, self._config) if frames > 0 else 0

    def _frames(self, samples: int) -> int:
        """Frames that a recording reaches."""
        sound = self._family.sound
        if sound == "granite":
            return (samples // HOP + 1) // 2
        if sound == "phi4":
            return (samples - 400) // HOP + 1
        if sound == "gemma4":
            return (samples - 161) // HOP + 1
        if sound == "qwen3_asr":
            return max(samples, self._extractor.min_length) // HOP
        return -(-samples // HOP) if self._family.window or self._family.tail else samples // HOP

    def _make(self, samples: Samples) -> tuple[NDArray[np.float32], int]:
        """(time × bins), and how many of them are no padding."""
        family, extractor = self._family, self._extractor
        if family.sound == "granite":
            values = extractor(samples)
            return values, len(values)
        options: dict[str, Any] = {"sampling_rate": SAMPLING_RATE, "return_tensors": "np"}
        if family.sound == "phi4":
            # Its frames come as a tensor of PyTorch or not at all.
            made = extractor(samples, sampling_rate=SAMPLING_RATE, return_tensors="pt")
            values = made["audio_input_features"][0].numpy()
            return values, len(values)
        if family.sound == "gemma4":
            made = extractor([samples], **options)
            frames = int(made["input_features_mask"][0].sum())
            return made["input_features"][0][:frames], frames
        if family.window:
            made = extractor(samples, padding="max_length", return_attention_mask=True, **options)
            return made["input_features"][0].T, int(made["attention_mask"][0].sum())
        if family.tail:
            # The silence up to the longest recording changes no frame beyond the first: the last
            # window of analysis ends in it.
            frames = -(-len(samples) // HOP)
            samples = np.pad(samples, (0, (frames + 4) * HOP - len(samples)))
            made = extractor(samples, padding=False, truncation=False, **options)
            return made["input_features"][0].T[:frames], frames
        options |= {"padding": True, "truncation": False, "return_attention_mask": True}
        made = extractor(samples, **options)
        frames = int(made["attention_mask"][0].sum())
        return made["input_features"][0].T[:frames], frames
