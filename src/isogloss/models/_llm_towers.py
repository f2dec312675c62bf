"""Towers of an audio LLM: one model for both modalities, read at tower, projector and decoder."""

import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from isogloss.corpora.base import Modality
from isogloss.errors import ItemError, ModelError
from isogloss.languages import Language
from isogloss.models._llm_families import Family
from isogloss.models._llm_load import Lora
from isogloss.models._llm_sound import STEPS, TOKENS, Hearing, Sounds
from isogloss.models._tokens import Tokeniser, mostly_unknown
from isogloss.models._tower import Collated, EncoderTower, Samples
from isogloss.models.base import Adapter, Features, Heard, Tower
from isogloss.pooling import TapSpec

if TYPE_CHECKING:
    import torch
    from torch import nn

SPAN = "span"
"""Length: positions of the decoder."""


class Prompt:
    """Puts token ids around a recording and a text.

    Args:
        tokeniser: The decoder's tokeniser.
        audio: What stands before and after a recording, as ids.
        token: Id of the audio token.
        text: What stands before and after a text, as text.
        limit: Largest number of positions.
        vocabulary: Number of embeddings.
        name: What messages call the checkpoint.
    """

    def __init__(
        self,
        tokeniser: Tokeniser,
        *,
        audio: tuple[Sequence[int], Sequence[int]],
        token: int,
        text: tuple[str, str],
        limit: int | None,
        vocabulary: int,
        name: str,
    ) -> None:
        self._tokeniser, self._audio, self._token = tokeniser, audio, token
        self._limit, self._vocabulary, self._name = limit, vocabulary, name
        around = tokeniser.around("a")
        inner = [i for i, special in enumerate(around.special) if not special]
        first, last = (inner[0], inner[-1] + 1) if inner else (len(around.ids), len(around.ids))
        self._start, self._end = around.ids[:first], around.ids[last:]
        self._text = tuple(tokeniser.pieces(part) if part else [] for part in text)
        self._unknown = tokeniser.unknown()

    def speech(self, sounds: Sounds) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Ids for a recording alone, and which of them are audio tokens that count."""
        before, after = self._audio
        ids = [*self._start, *before, *[self._token] * sounds.placeholders, *after]
        counted = np.zeros(len(ids), bool)
        first = len(self._start) + len(before)
        counted[first : first + sounds.tokens] = True
        return self._checked(ids), counted

    def text(
        self, text: str, *, special: bool, sounds: Sounds | None = None
    ) -> tuple[NDArray[np.int64], NDArray[np.bool_], str]:
        """Ids for a text, after a recording if there is one; which count; and a note.

        Raises:
            ItemError: It is empty, or longer than the model can read.
        """
        if not text.strip():
            raise ItemError("the text is empty")
        pieces = self._tokeniser.pieces(text)
        if not pieces:
            raise ItemError("no token is left of the text")
        if self._token in pieces:
            raise ItemError("the text holds the token that stands for a recording")
        before, after = self._text
        heard: list[int] = []
        if sounds is not None:
            heard = [*self._audio[0], *[self._token] * sounds.placeholders, *self._audio[1]]
        parts = (
            (self._start, special),
            (heard, False),
            (before, False),
            (pieces, True),
            (after, False),
            (self._end, special),
        )
        ids = [i for part, _ in parts for i in part]
        counted = np.array([counts for part, counts in parts for _ in part], bool)
        return self._checked(ids), counted, mostly_unknown(pieces, self._unknown)

    def count(self, text: str) -> int:
        """Tokens of a text alone."""
        return len(self._tokeniser.pieces(text))

    def _checked(self, ids: list[int]) -> NDArray[np.int64]:
        if self._limit is not None and len(ids) > self._limit:
            raise ItemError(f"the input has {len(ids)} tokens, and the model reads {self._limit}")
        high = [i for i in ids if i >= self._vocabulary and i != self._token]
        if high:
            raise ModelError(
                f"{self._name}: the tokeniser gives the token {high[0]}, but the model has "
                f"{self._vocabulary} embeddings, so they belong to different checkpoints"
            )
        return np.array(ids, np.int64)


@dataclass(frozen=True)
class Parts:
    """What both towers share."""

    model: "nn.Module"
    specs: Mapping[str, TapSpec]
    """Where every tap sits, by name."""
    hearing: Hearing
    prompt: Prompt
    pad: int
    lora: Lora | None = None


class LlmTower(EncoderTower):
    """Runs the whole model on ids and, where an item has one, a recording.

    Args:
        parts: Model, feature extractor and prompt.
        lora: Whether the speech-only LoRA is on.
        left: Whether short sequences are padded before, not after.
        arguments: As for :class:`EncoderTower`.
    """

    def __init__(self, parts: Parts, *, lora: bool, left: bool = False, **arguments: Any) -> None:
        super().__init__(parts.model, **arguments)
        self._parts, self._lora, self._left = parts, lora, left

    def during(self, masks: "Mapping[str, torch.Tensor]") -> AbstractContextManager[Any]:
        """The LoRA is set, whatever ran before."""
        lora = self._parts.lora
        return nullcontext() if lora is None else lora.switched(self._lora)

    def apart(self) -> Tower | None:
        """Make a copy without the model."""
        light = super().apart()
        if isinstance(light, LlmTower):
            nothing: Any = None
            light._parts = replace(self._parts, model=nothing, lora=None)
        return light

    def collate(self, batch: Sequence[Features]) -> Collated:
        """Pad ids on the chosen side, and recordings at the end."""
        longest = max(len(item.values["ids"]) for item in batch)
        ids = np.full((len(batch), longest), self._parts.pad, np.int64)
        span, mask = np.zeros(ids.shape, bool), np.zeros(ids.shape, bool)
        for row, item in enumerate(batch):
            length = len(item.values["ids"])
            filled = slice(longest - length, longest) if self._left else slice(length)
            ids[row, filled] = item.values["ids"]
            span[row, filled] = item.values["counted"]
            mask[row, filled] = True
        inputs: dict[str, Any] = {"input_ids": ids, "attention_mask": mask.astype(np.int64)}
        masks = {SPAN: span}
        sounds = [s for item in batch if (s := Sounds.of(item.values)) is not None]
        if sounds:
            inputs |= self._parts.hearing.inputs(sounds)
            masks |= self._parts.hearing.masks(sounds)
        return Collated(inputs, masks)


class LlmSpeech(LlmTower):
    """A recording alone."""

    modality: Modality = "speech"

    def features(self, item: str | Samples | Heard, language: Language) -> Features:
        """Make the features of 16 kHz mono samples, and the ids around them.

        Raises:
            ItemError: The recording is too short or too long, or holds NaN or infinity.
        """
        if not isinstance(item, np.ndarray):
            raise TypeError("speech is given as samples")
        sounds = self._parts.hearing(item)
        ids, counted = self._parts.prompt.speech(sounds)
        values = {"ids": ids, "counted": counted, **sounds.arrays()}
        return Features(values, max(len(ids), self._parts.hearing.size(sounds)))


class LlmText(LlmTower):
    """A text, alone or after a recording.

    Args:
        special: Whether tokens that the tokeniser adds around a text count.
        arguments: As for :class:`LlmTower`.
    """

    modality: Modality = "text"

    def __init__(self, parts: Parts, *, special: bool, **arguments: Any) -> None:
        super().__init__(parts, **arguments)
        self._special = special

    def features(self, item: str | Samples | Heard, language: Language) -> Features:
        """Tokenise one text; the language plays no part.

        Raises:
            ItemError: It is empty or too long, or its recording cannot be used.
        """
        if isinstance(item, np.ndarray):
            raise TypeError("text is given as a string")
        sounds = self._parts.hearing(item.samples) if isinstance(item, Heard) else None
        text = item.text if isinstance(item, Heard) else item
        ids, counted, note = self._parts.prompt.text(text, special=self._special, sounds=sounds)
        values = {"ids": ids, "counted": counted, **(sounds.arrays() if sounds else {})}
        size = self._parts.hearing.size(sounds) if sounds else 0
        tokens = self._parts.prompt.count(text)
        return Features(values, max(len(ids), size), note, tokens=tokens)


def tap_specs(family: Family, layers: tuple[int, int], *, normed: bool) -> dict[str, TapSpec]:
    """Where every tap sits, by name.

    Args:
        family: Which model.
        layers: Number of layers of the tower and of the decoder.
        normed: Whether the last layer is read after the decoder's final norm.
    """
    heard = f"{family.tower}.{family.tower_layers}"
    inner = f"{family.decoder}." if family.decoder else ""
    specs = {"a0": TapSpec("a0", f"{heard}.0", "in", STEPS, packed=True)}
    for i in range(1, layers[0] + 1):
        specs[f"a{i}"] = TapSpec(f"a{i}", f"{heard}.{i - 1}", "out", STEPS, packed=True)
    if family.encoded:
        specs["enc"] = TapSpec("enc", family.encoded, "in", TOKENS, packed=True)
    specs["proj"] = TapSpec("proj", family.projector, "out", TOKENS, packed=True)
    specs["in"] = TapSpec("in", f"{inner}layers.0", "in", SPAN)
    for i in range(1, layers[1] + 1):
        specs[str(i)] = TapSpec(str(i), f"{inner}layers.{i - 1}", "out", SPAN)
    if normed:
        specs[str(layers[1])] = TapSpec(str(layers[1]), f"{inner}norm", "out", SPAN)
    return specs


class LlmAdapter(Adapter):
    """Loads the model when a tower is first asked for; both towers share it.

    Args:
        load: Loads the parts.
        towers: How to make each tower of them.
    """

    def __init__(
        self, load: Callable[[], Parts], towers: Mapping[Modality, Callable[[Parts], Tower]]
    ) -> None:
        self._load, self._makers = load, towers
        self._parts: Parts | None = None
        self._towers: dict[Modality, Tower] = {}
        self._lock = threading.Lock()

    def tower(self, modality: Modality, language: Language | None = None) -> Tower:
        """Return the tower of a modality, the same for all languages."""
        with self._lock:
            if self._parts is None:
                self._parts = self._load()
            if modality not in self._towers:
                self._towers[modality] = self._makers[modality](self._parts)
            return self._towers[modality]

    def close(self) -> None:
        """Free the memory of the model."""
        import torch

        with self._lock:
            self._towers.clear()
            self._parts = None
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
