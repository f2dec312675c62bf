"""SONAR's towers: token ids, the tap of the whole sentence, and one speech encoder at a time."""

import gc
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isogloss.corpora.base import Modality
from isogloss.errors import ItemError, MissingExtraError, ModelError
from isogloss.languages import Language
from isogloss.models._sonar_cards import TEXT_LANGUAGES
from isogloss.models._speech import SpeechTower
from isogloss.models._tokens import Tokeniser, Tokens, spelled_by
from isogloss.models._tower import Collated, Samples, TextTower
from isogloss.models.base import Adapter, Features, Heard, Tower

SENTENCE = "sentence"
"""Length key of what is read of a whole sentence."""
_EXTRA = 3
"""Tokens after the languages, which mark where training text came from."""


class SonarTokeniser(Tokeniser):
    """A SentencePiece model under fairseq2's ids.

    ``<pad>``, ``<unk>``, ``<s>``, ``</s>`` are 0 to 3, every piece is one higher than in the
    SentencePiece model, and the languages follow in the order of the model's card.

    Raises:
        ModelError: The file is no SentencePiece model of that kind.
    """

    def __init__(self, path: Path) -> None:
        try:
            from sentencepiece import SentencePieceProcessor
        except ImportError as error:
            raise MissingExtraError("the tokeniser of SONAR", "hf") from error
        try:
            self._model: Any = SentencePieceProcessor(model_file=str(path))
        except (OSError, RuntimeError) as error:
            raise ModelError(f"{path} cannot be read as a SentencePiece model: {error}") from error
        pieces: int = self._model.get_piece_size()
        if [self._model.id_to_piece(i) for i in range(min(3, pieces))] != ["<unk>", "<s>", "</s>"]:
            raise ModelError(f"{path} is no tokeniser of SONAR: <unk>, <s>, </s> must lead")
        self._named = {"<pad>": 0, "<unk>": 1, "<s>": 2, "</s>": 3}
        self._named |= {f"__{code}__": pieces + 1 + i for i, code in enumerate(TEXT_LANGUAGES)}
        self.size = pieces + 1 + len(TEXT_LANGUAGES) + _EXTRA

    def pieces(self, text: str) -> list[int]:
        """Ids of the text alone."""
        return [i + 1 for i in self._model.encode(text)]

    def id(self, token: str) -> int | None:
        """Id of a token, or None if it is unknown."""
        if token in self._named:
            return self._named[token]
        found: int = self._model.piece_to_id(token)
        return None if found == self._model.unk_id() else found + 1

    def around(self, text: str) -> Tokens:
        """Not defined without a language."""
        raise NotImplementedError("a sequence of SONAR starts with a language, so use pieces()")

    def spelled(self, token: int) -> str | None:
        """The characters of a token; None for a byte."""
        return spelled_by(self._model, token - 1)


def language_token(_: Tokeniser, language: Language) -> str:
    """What opens a text: its FLORES-200 code between underscores."""
    return f"__{language.sonar_text}__" if language.sonar_text else ""


class SonarTextTower(TextTower):
    """Adds the mask ``sentence``: the model's own mean, which is over all tokens."""

    def collate(self, batch: Sequence[Features]) -> Collated:
        """Pad to the longest text."""
        collated = super().collate(batch)
        whole = collated.inputs["attention_mask"].astype(bool)
        return Collated(collated.inputs, {**collated.masks, SENTENCE: whole})


class SonarSpeechTower(SpeechTower):
    """Adds the mask ``sentence`` for what follows the pooler, one step per recording.

    Args:
        limit: Largest number of time steps.
        arguments: As for :class:`SpeechTower`.
    """

    def __init__(self, *args: Any, limit: int, **arguments: Any) -> None:
        super().__init__(*args, **arguments)
        self._limit = limit

    def features(
        self, item: str | Samples | NDArray[np.float32] | Heard, language: Language
    ) -> Features:
        """Turn one recording into filter banks.

        Raises:
            ItemError: It is too short or too long.
        """
        made = super().features(item, language)
        if made.length > self._limit:
            raise ItemError(
                f"the recording lasts {made.length / 50:.1f} s, and the model hears "
                f"{self._limit / 50:.1f} s"
            )
        return made

    def collate(self, batch: Sequence[Features]) -> Collated:
        """Pad to the longest recording."""
        collated = super().collate(batch)
        whole = np.ones((len(batch), 1), bool)
        return Collated(collated.inputs, {**collated.masks, SENTENCE: whole})


class SonarAdapter(Adapter):
    """Keeps the text encoder and the speech encoder of one language.

    Args:
        text: Loads the text tower.
        speech: Loads the speech tower of a language.
    """

    def __init__(
        self, text: Callable[[], Tower], speech: Callable[[Language], SonarSpeechTower]
    ) -> None:
        self._load_text, self._load_speech = text, speech
        self._text: Tower | None = None
        self._speech: tuple[str, SonarSpeechTower] | None = None
        self._lock = threading.Lock()

    def tower(self, modality: Modality, language: Language | None = None) -> Tower:
        """Load (once) and return an encoder.

        A speech tower that was returned for another language loses its weights, whoever still
        holds it, because memory for one need not be enough for two.

        Raises:
            ModelError: A speech encoder is asked for without a language, or cannot be loaded.
        """
        with self._lock:
            if modality == "text":
                self._text = self._text or self._load_text()
                return self._text
            if language is None:
                raise ModelError("SONAR has a speech encoder for each language: name the language")
            if self._speech is None or self._speech[0] != language.code:
                self._release()
                self._speech = (language.code, self._load_speech(language))
            return self._speech[1]

    def _release(self) -> None:
        if self._speech is not None:
            self._speech[1].module.to("meta")
        self._speech = None
        _free()

    def close(self) -> None:
        """Free the memory of all towers."""
        with self._lock:
            self._text = None
            self._release()


def _free() -> None:
    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
