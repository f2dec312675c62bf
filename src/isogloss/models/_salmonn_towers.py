"""SALMONN's two towers: what a sentence becomes, and which positions are pooled. Imports torch."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from isogloss.corpora.base import SAMPLING_RATE, Modality
from isogloss.errors import ItemError
from isogloss.languages import Language
from isogloss.models._fbank import fbank
from isogloss.models._salmonn_model import steps_of
from isogloss.models._salmonn_prompt import AUDIO, Pieces, placed
from isogloss.models._salmonn_sizes import SECONDS, Sizes
from isogloss.models._speech import Window
from isogloss.models._tokens import mostly_unknown
from isogloss.models._tower import Collated, EncoderTower, Samples
from isogloss.models.base import Features, Heard

SHORTEST, LONGEST = SAMPLING_RATE, SECONDS * SAMPLING_RATE
"""Samples that a recording is filled up to with silence, and that SALMONN hears at most."""


@dataclass(frozen=True)
class Listening:
    """Turns a recording into the inputs of both encoders. Thread-safe.

    Attributes:
        window: Makes Whisper's input.
        sizes: Of the checkpoint.
        long_audio: What happens to what is longer than 30 s.
        valid: Whether only audio tokens that the recording reaches are pooled.
    """

    window: Window
    sizes: Sizes
    long_audio: Literal["refuse", "cut"]
    valid: bool

    def values(self, item: Samples) -> tuple[dict[str, Any], str]:
        """Inputs, pooled time steps, and a note.

        Raises:
            ItemError: It is empty, too long, or not finite.
        """
        samples = np.ascontiguousarray(item, np.float32)
        if samples.ndim != 1 or not samples.size:
            raise ItemError("the recording is empty")
        if not np.isfinite(samples).all():
            raise ItemError("the recording holds samples that are not finite")
        note = ""
        if len(samples) > LONGEST:
            if self.long_audio == "refuse":
                raise ItemError(
                    f"the recording lasts {len(samples) / SAMPLING_RATE:.1f} s, and SALMONN hears "
                    f"{SECONDS} s; `long_audio: cut` drops the rest, as the original does"
                )
            samples, note = samples[:LONGEST], f"cut after {SECONDS} s"
        reached = len(samples)
        if reached < SHORTEST:
            samples = np.pad(samples, (0, SHORTEST - reached))
            note = "filled up to 1 s with silence, as in the original"
        values = {
            "mel": self.window.features(samples).values["input_features"],
            "fbank": fbank(samples),
            "tokens": self._tokens(reached),
            "steps": steps_of(reached if self.valid else LONGEST),
        }
        return values, note

    def _tokens(self, samples: int) -> int:
        """How many audio tokens are pooled."""
        if not self.valid:
            return self.sizes.tokens
        begun = -(-samples // (self.sizes.stride * SAMPLING_RATE * SECONDS // 1500))
        return min(self.sizes.tokens, begun * self.sizes.queries)


class SalmonnTower(EncoderTower):
    """What text and speech have in common.

    Args:
        pieces: The tokeniser.
        listening: Makes the inputs of the encoders; None where text is read alone.
        limit: Largest number of positions.
        arguments: As for :class:`EncoderTower`.
    """

    def __init__(
        self,
        module: Any,
        *,
        pieces: Pieces,
        listening: Listening | None,
        limit: int,
        **arguments: Any,
    ) -> None:
        super().__init__(module, **arguments)
        self._pieces, self._listening, self._limit = pieces, listening, limit

    def collate(self, batch: Sequence[Features]) -> Collated:
        """Pad at the end, where a causal model sees nothing of it."""
        lengths = np.array([len(item.values["input_ids"]) for item in batch])
        ids = np.zeros((len(batch), lengths.max()), np.int64)
        pooled = np.zeros(ids.shape, bool)
        for row, item in enumerate(batch):
            ids[row, : lengths[row]] = item.values["input_ids"]
            pooled[row, : lengths[row]] = item.values["pooled"]
        mask = np.arange(ids.shape[1]) < lengths[:, None]
        inputs: dict[str, Any] = {
            "input_ids": ids,
            "attention_mask": None if mask.all() else mask.astype(np.int64),
        }
        masks = {"time": pooled}
        if self._listening is not None:
            frames = np.array([len(item.values["fbank"]) for item in batch])
            banks = np.zeros((len(batch), frames.max(), 128), np.float32)
            for row, item in enumerate(batch):
                banks[row, : frames[row]] = item.values["fbank"]
            mel = np.stack([item.values["mel"] for item in batch])
            inputs |= {"mel": mel, "fbank": banks, "frames": frames}
            steps = np.array([item.values["steps"] for item in batch])
            masks["steps"] = np.arange(steps_of(LONGEST)) < steps[:, None]
        return Collated(inputs, masks)


class SalmonnSpeech(SalmonnTower):
    """Speech: the prompt up to the audio, then the audio; what would follow cannot be seen."""

    modality: Modality = "speech"

    def __init__(self, module: Any, *, opening: Sequence[int], **arguments: Any) -> None:
        super().__init__(module, **arguments)
        self._opening = list(opening)

    def features(self, item: str | Samples | Heard, language: Language) -> Features:
        """Prepare a recording of 16 kHz mono samples; the language plays no part.

        Raises:
            ItemError: It is empty, too long, or not finite.
        """
        if not isinstance(item, np.ndarray) or self._listening is None:
            raise TypeError("the speech encoder takes samples")
        values, note = self._listening.values(item)
        before, tokens = len(self._opening), self._listening.sizes.tokens
        ids = np.array([*self._opening, *[0] * tokens], np.int64)
        place = np.arange(len(ids)) - before
        values |= {"input_ids": ids, "pooled": (place >= 0) & (place < values["tokens"])}
        return Features(values, steps_of(LONGEST), note)


class SalmonnText(SalmonnTower):
    """Text, after the audio of a recording or alone.

    Args:
        opening: Ids before the audio, or before the prompt.
        template: What follows them, with ``{text}``; after the audio if there is one.
        pool_prompt: Whether what surrounds the sentence in it is pooled as well.
        arguments: As for :class:`SalmonnTower`.
    """

    modality: Modality = "text"

    def __init__(
        self,
        module: Any,
        *,
        opening: Sequence[int],
        template: str,
        pool_prompt: bool,
        **arguments: Any,
    ) -> None:
        super().__init__(module, **arguments)
        self._opening, self._template = list(opening), template
        self._pool_prompt = pool_prompt

    def features(self, item: str | Samples | Heard, language: Language) -> Features:
        """Put a sentence into the prompt, and its recording before it; any language will do.

        Raises:
            ItemError: The text is empty or too long, its recording cannot be used, or it has none
                where the input is joint.
        """
        values: dict[str, Any] = {}
        note = ""
        if self._listening is None:
            if not isinstance(item, str):
                raise TypeError("with separate inputs the text encoder takes text")
            text = item.strip()
        else:
            if isinstance(item, str):
                raise ItemError(
                    "the text has no recording to stand after; use `input: separate` for texts "
                    "without recordings"
                )
            if not isinstance(item, Heard):
                raise TypeError("the text encoder takes a text with a recording")
            text = item.text.strip()
            values, note = self._listening.values(item.samples)
        if not text:
            raise ItemError("the text is empty")
        audio = 0 if self._listening is None else self._listening.sizes.tokens
        after, own = placed(self._pieces, self._template, text)
        ids = [*self._opening, *[0] * audio, *after]
        if not any(own):
            raise ItemError("no token is left of the text")
        if len(ids) > self._limit:
            raise ItemError(
                f"the input has {len(ids)} tokens with the prompt, and the model reads "
                f"{self._limit}"
            )
        pooled: NDArray[np.bool_] = np.zeros(len(ids), bool)
        pooled[len(ids) - len(after) :] = True if self._pool_prompt else own
        values |= {"input_ids": np.array(ids, np.int64), "pooled": pooled}
        inner = [i for i, mine in zip(after, own, strict=True) if mine]
        notes = (note, mostly_unknown(inner, self._pieces.unknown))
        return Features(values, len(ids), "; ".join(n for n in notes if n), tokens=len(inner))


def opening_of(pieces: Pieces, prompt: str) -> list[int]:
    """Ids before the audio: ``<s>`` and the prompt up to it."""
    return [pieces.opening, *(p.id for p in pieces.split(prompt.partition(AUDIO)[0]))]
