"""What the audio LLMs hear: features of one recording, made as their own processors make them."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isogloss.corpora.base import SAMPLING_RATE
from isogloss.errors import ItemError, ModelError
from isogloss.models._checkpoint import Checkpoint
from isogloss.models._files import read_json
from isogloss.models._llm_families import Config, Family, Sound
from isogloss.models._speech import PREPROCESSORS, load_extractor
from isogloss.models._tower import Samples

_EXTRACTORS: dict[Sound, str] = {
    "whisper": "whisper.feature_extraction_whisper:WhisperFeatureExtractor",
    "qwen3_asr": "qwen3_asr.feature_extraction_qwen3_asr:Qwen3ASRFeatureExtractor",
    "phi4": "phi4_multimodal.feature_extraction_phi4_multimodal:Phi4MultimodalFeatureExtractor",
    "gemma4": "gemma4.feature_extraction_gemma4:Gemma4AudioFeatureExtractor",
}
_HOP = 160
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

    values: Any
    """Features: (time × bins), the whole window where the tower hears one."""
    frames: int
    """How many of their time steps the recording reaches."""
    steps: int
    """Time steps of the tower that it reaches."""
    tokens: int
    """Audio tokens that it reaches."""
    placeholders: int
    """Audio tokens in the input: more than ``tokens`` where silence becomes tokens too."""


class Hearing(ABC):
    """Makes features, and knows how many audio tokens follow from them."""

    @abstractmethod
    def __call__(self, samples: Samples) -> Sounds:
        """Make the features of one recording.

        Raises:
            ItemError: It is too short or too long, or holds NaN or infinity.
        """

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
        return Sounds(values.astype(np.float32), frames, steps, tokens, placeholders)

    def inputs(self, batch: Sequence[Sounds]) -> dict[str, NDArray[Any]]:
        """Padded with zeros at the end."""
        family = self._family
        frames = np.array([sounds.frames for sounds in batch])
        size = self.window or family.padded(int(frames.max()), self._config)
        values = np.zeros((len(batch), size, batch[0].values.shape[1]), np.float32)
        for row, sounds in enumerate(batch):
            values[row, : len(sounds.values)] = sounds.values
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
            return (samples // _HOP + 1) // 2
        if sound == "phi4":
            return (samples - 400) // _HOP + 1
        if sound == "gemma4":
            return (samples - 161) // _HOP + 1
        if sound == "qwen3_asr":
            return max(samples, self._extractor.min_length) // _HOP
        return -(-samples // _HOP) if self._family.window or self._family.tail else samples // _HOP

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
            frames = -(-len(samples) // _HOP)
            samples = np.pad(samples, (0, (frames + 4) * _HOP - len(samples)))
            made = extractor(samples, padding=False, truncation=False, **options)
            return made["input_features"][0].T[:frames], frames
        options |= {"padding": True, "truncation": False, "return_attention_mask": True}
        made = extractor(samples, **options)
        frames = int(made["attention_mask"][0].sum())
        return made["input_features"][0].T[:frames], frames


class GraniteMel:
    """The features of Granite-speech, which transformers makes by torchaudio.

    80 mel bins (HTK scale, power, Hann window of 25 ms every 10 ms, centred), base-10 logarithm no
    lower than 8 below the loudest bin, divided by 4, plus 1; two frames stacked, an odd last one
    left out.

    Args:
        checkpoint: Whose ``preprocessor_config.json`` gives other numbers than these, if any.

    Raises:
        ModelError: It describes another feature extractor.
    """

    def __init__(self, checkpoint: Checkpoint) -> None:
        from transformers.audio_utils import mel_filter_bank, window_function

        path = next((p for name in PREPROCESSORS if (p := checkpoint.file(name))), None)
        if path is None:
            raise ModelError(
                f"{checkpoint.name} has no feature extractor, so speech cannot be read: "
                f"it needs {PREPROCESSORS[0]}"
            )
        said = read_json(path)
        said = said.get("audio_processor", said.get("feature_extractor", said))
        said = {**said, **said.get("melspec_kwargs", {})}
        kind = said.get("feature_extractor_type", "GraniteSpeechFeatureExtractor")
        rates = {said.get(key, SAMPLING_RATE) for key in ("sample_rate", "sampling_rate")}
        hop = said.get("hop_length", _HOP)
        if kind != "GraniteSpeechFeatureExtractor" or rates != {SAMPLING_RATE} or hop != _HOP:
            raise ModelError(
                f"{path} must describe a GraniteSpeechFeatureExtractor with {SAMPLING_RATE} samples"
                f" a second and a hop of {_HOP}, not a {kind} with {sorted(rates)} and {hop}"
            )
        self._points, self._length = said.get("n_fft", 512), said.get("win_length", 400)
        self._window = window_function(self._length, "hann")
        self._filters = mel_filter_bank(
            num_frequency_bins=self._points // 2 + 1,
            num_mel_filters=said.get("n_mels", said.get("feature_size", 80)),
            min_frequency=0.0,
            max_frequency=SAMPLING_RATE / 2,
            sampling_rate=SAMPLING_RATE,
            norm=None,
            mel_scale="htk",
        )

    def __call__(self, samples: Samples) -> NDArray[np.float32]:
        """(time × 160), one time step per 20 ms."""
        from transformers.audio_utils import spectrogram

        mel = spectrogram(
            samples.astype(np.float64),
            self._window,
            frame_length=self._length,
            hop_length=_HOP,
            fft_length=self._points,
            power=2.0,
            mel_filters=self._filters,
            mel_floor=1e-10,
            log_mel="log10",
            dtype=np.dtype("float64"),
        )
        scaled = np.maximum(mel, mel.max() - 8.0).T / 4.0 + 1.0
        even = len(scaled) // 2 * 2
        return np.asarray(scaled[:even].reshape(even // 2, -1), np.float32)
