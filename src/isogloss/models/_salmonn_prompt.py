"""Tokens of a prompt, and which of them are the sentence's own.

The original tokenises what stands before the audio and what stands after it as one text each, so a
sentence is tokenised together with the words around it. Which tokens are its own follows from the
characters that each token covers.
"""

import threading
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, NamedTuple

from isogloss.errors import ItemError, MissingExtraError, ModelError
from isogloss.models._tokens import spelled_by, spelling

AUDIO, TEXT = "{audio}", "{text}"


class Piece(NamedTuple):
    """A token, and the characters it covers."""

    id: int
    begin: int
    end: int


class Pieces(ABC):
    """The tokeniser of a Llama. Thread-safe; nothing in a text counts as a special token."""

    size: int
    """Number of ids."""
    opening: int
    """Id of ``<s>``."""
    unknown: int | None
    """Id of the unknown token."""

    @abstractmethod
    def split(self, text: str) -> list[Piece]:
        """Tokens of a text, none added.

        Raises:
            ItemError: It is not clear which characters they cover.
        """

    @abstractmethod
    def spelled(self, token: int) -> str | None:
        """The characters of a token; None for bytes that make no character."""


class _SentencePiece(Pieces):
    """``tokenizer.model``, the form that Llama and Vicuna were released with."""

    def __init__(self, path: Path) -> None:
        try:
            from sentencepiece import SentencePieceProcessor
        except ImportError as error:
            raise MissingExtraError("this tokeniser", "hf") from error
        self._model: Any = SentencePieceProcessor(model_file=str(path))
        self.size, self.opening = self._model.get_piece_size(), self._model.bos_id()
        self.unknown = self._model.unk_id()

    def split(self, text: str) -> list[Piece]:
        if not text:
            return []
        # Offsets have another form in every release of SentencePiece, so the pieces are laid out
        # along the text here. The first begins with a space that is not in it.
        ids, pieces = self._model.encode(text), self._model.encode(text, out_type=str)
        letters = [i for i, letter in enumerate(text) for _ in letter.encode()]
        found, end = [], -1
        for token, piece in zip(ids, pieces, strict=True):
            begin = end
            end += 1 if self._model.is_byte(token) else len(piece.replace("▁", " ").encode())
            if end > len(letters):
                break
            last = letters[end - 1] + 1 if end > 0 else 0
            found.append(Piece(token, letters[begin] if 0 <= begin < end else 0, last))
        if end != len(letters):
            raise ItemError("the tokeniser of Llama changes the text, so its tokens are not known")
        return found

    def spelled(self, token: int) -> str | None:
        return spelled_by(self._model, token)


class _Json(Pieces):
    """``tokenizer.json``."""

    def __init__(self, path: Path) -> None:
        from tokenizers import Tokenizer

        self._tokenizer: Any = Tokenizer.from_file(str(path))
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self._tokenizer.encode_special_tokens = True
        self._lock = threading.Lock()
        self.size = self._tokenizer.get_vocab_size(with_added_tokens=True)
        opening = self._tokenizer.token_to_id("<s>")
        self.opening = -1 if opening is None else opening
        self.unknown = self._tokenizer.token_to_id("<unk>")

    def split(self, text: str) -> list[Piece]:
        with self._lock:
            found = self._tokenizer.encode(text, add_special_tokens=False)
        return [Piece(i, *span) for i, span in zip(found.ids, found.offsets, strict=True)]

    def spelled(self, token: int) -> str | None:
        decoded = self._tokenizer.decode([token], skip_special_tokens=False)
        return spelling(self._tokenizer.id_to_token(token) or "", decoded)


def load_pieces(folder: Path, name: str, embeddings: int) -> Pieces:
    """Read the tokeniser of a Llama checkpoint.

    Raises:
        ModelError: There is none, it cannot be read, or it belongs to another model.
    """
    try:
        if (folder / "tokenizer.model").is_file():
            pieces: Pieces = _SentencePiece(folder / "tokenizer.model")
        elif (folder / "tokenizer.json").is_file():
            pieces = _Json(folder / "tokenizer.json")
        else:
            raise ModelError(
                f"{name} has no tokeniser, so text cannot be read: it needs tokenizer.model or "
                "tokenizer.json"
            )
    except (ModelError, MissingExtraError):
        raise
    except Exception as error:  # both libraries raise bare errors
        raise ModelError(f"the tokeniser of {name} cannot be read: {error}") from error
    if pieces.opening < 0:
        raise ModelError(f"the tokeniser of {name} has no <s>, so it is none of Llama")
    if pieces.size != embeddings:
        raise ModelError(
            f"{name}: the tokeniser has {pieces.size} tokens, but the model {embeddings} "
            "embeddings, so they belong to different checkpoints"
        )
    return pieces


def placed(pieces: Pieces, template: str, text: str) -> tuple[list[int], list[bool]]:
    """Put a text into a template that holds ``{text}`` once.

    Returns:
        Ids, and which of them are the text's own. The space before a text belongs to it, as it
        does to a word in SentencePiece.
    """
    before, _, after = template.partition(TEXT)
    begin, end = len(before) - before.endswith(" "), len(before) + len(text)
    found = pieces.split(f"{before}{text}{after}")
    # The space that SentencePiece puts before a text covers nothing.
    own = [p.begin < end and (p.end > begin or p.begin >= begin) for p in found]
    return [p.id for p in found], own


def check_prompt(template: str) -> str:
    """Validate a prompt with speech and text.

    Raises:
        ValueError: It does not hold each once, speech first.
    """
    if template.count(AUDIO) != 1 or template.count(TEXT) != 1:
        raise ValueError(f"it must hold {AUDIO} and {TEXT} once each, got {template!r}")
    if template.index(AUDIO) > template.index(TEXT):
        raise ValueError(
            f"{AUDIO} must come before {TEXT}, since the audio embeddings were trained to stand "
            f"there, got {template!r}"
        )
    return template


def check_text_prompt(template: str) -> str:
    """Validate a prompt with text alone.

    Raises:
        ValueError: It does not hold the text once, or asks for speech.
    """
    if template.count(TEXT) != 1 or AUDIO in template:
        raise ValueError(f"it must hold {TEXT} once and no {AUDIO}, got {template!r}")
    return template
