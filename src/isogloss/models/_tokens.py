"""Turn text into token ids, with the tokeniser as the checkpoint defines it.

transformers 5 rebuilds several tokenisers from their vocabulary and a normaliser of its own; for
SeamlessM4T that drops the normalisation inside ``sentencepiece.bpe.model`` (and needs protobuf), so
that a zero-width non-joiner, common in Persian, becomes an unknown token. Where the files
say everything, they are therefore read here: ``tokenizer.json`` by tokenizers, a SentencePiece
model by sentencepiece. Both are free of state, unlike a tokeniser of transformers, which
remembers its last ``src_lang``.
"""

import json
import re
import threading
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from isogloss.errors import MissingExtraError, ModelError, choices
from isogloss.models._weights import quiet

UNKNOWN = ("<unk>", "[UNK]")
_BYTE = re.compile("<0x[0-9A-F]{2}>")
_SPACES = " ▁"
VOCABULARIES = (
    "tokenizer.json",
    "vocab.txt",
    "vocab.json",
    "sentencepiece.bpe.model",
    "sentencepiece.model",
    "spiece.model",
    "tokenizer.model",
    "spm.model",
)


class Tokens(NamedTuple):
    """Token ids of a text."""

    ids: list[int]
    special: list[bool]
    """True for tokens that the tokeniser adds around the text."""


class Tokeniser(ABC):
    """A vocabulary with its rules. Thread-safe."""

    size: int
    """Number of ids."""

    @abstractmethod
    def pieces(self, text: str) -> list[int]:
        """Ids of the text alone."""

    @abstractmethod
    def id(self, token: str) -> int | None:
        """Id of a token, or None if it is unknown."""

    @abstractmethod
    def around(self, text: str) -> Tokens:
        """Ids of the text between the tokens that belong around it."""

    def spelled(self, token: int) -> str | None:
        """The characters of a token, without marks of where a word begins or goes on.

        None for bytes that make no character by themselves.
        """
        raise NotImplementedError("this tokeniser cannot spell its tokens")

    def unknown(self) -> int | None:
        """Id of the unknown token."""
        return next((found for t in UNKNOWN if (found := self.id(t)) is not None), None)


class JsonTokeniser(Tokeniser):
    """``tokenizer.json``."""

    def __init__(self, path: Path) -> None:
        from tokenizers import Tokenizer

        self._tokenizer: Any = Tokenizer.from_file(str(path))
        # A length that was set for training must neither cut nor pad here.
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self.size = self._tokenizer.get_vocab_size(with_added_tokens=True)

    def pieces(self, text: str) -> list[int]:
        return list(self._tokenizer.encode(text, add_special_tokens=False).ids)

    def id(self, token: str) -> int | None:
        found: int | None = self._tokenizer.token_to_id(token)
        return found

    def around(self, text: str) -> Tokens:
        found = self._tokenizer.encode(text)
        return Tokens(list(found.ids), [bool(s) for s in found.special_tokens_mask])

    def spelled(self, token: int) -> str | None:
        decoded = self._tokenizer.decode([token], skip_special_tokens=False)
        return spelling(self._tokenizer.id_to_token(token) or "", decoded)


class _Fairseq(Tokeniser):
    """A SentencePiece model under fairseq's ids: <pad> first, every piece one higher.

    Args:
        path: The SentencePiece model; its first pieces are <unk>, <s>, </s>.
        added: Tokens after the last piece, with their ids.
    """

    def __init__(self, path: Path, added: dict[str, int]) -> None:
        try:
            from sentencepiece import SentencePieceProcessor
        except ImportError as error:
            raise MissingExtraError("this tokeniser", "hf") from error
        self._model: Any = SentencePieceProcessor(model_file=str(path))
        if [self._model.id_to_piece(i) for i in range(3)] != ["<unk>", "<s>", "</s>"]:
            raise ModelError(f"{path} is no tokeniser of SeamlessM4T: <unk>, <s>, </s> must lead")
        self._added = {"<pad>": 0, **added}
        self.size = max(self._model.get_piece_size(), *self._added.values()) + 1

    def pieces(self, text: str) -> list[int]:
        return [i + 1 for i in self._model.encode(text)]

    def id(self, token: str) -> int | None:
        if token in self._added:
            return self._added[token]
        found = self._model.piece_to_id(token)
        return None if found == self._model.unk_id() and token != "<unk>" else found + 1  # noqa: S105

    def around(self, text: str) -> Tokens:
        raise NotImplementedError("a fairseq sequence starts with a language, so use pieces()")

    def spelled(self, token: int) -> str | None:
        return spelled_by(self._model, token - 1)


class _Transformers(Tokeniser):
    """Any tokeniser of transformers."""

    def __init__(self, folder: Path) -> None:
        from transformers import AutoTokenizer

        self._tokenizer: Any = AutoTokenizer.from_pretrained(str(folder), trust_remote_code=False)
        self._lock = threading.Lock()
        self.size = len(self._tokenizer)

    def pieces(self, text: str) -> list[int]:
        with self._lock:
            return list(self._tokenizer(text, add_special_tokens=False)["input_ids"])

    def id(self, token: str) -> int | None:
        with self._lock:
            found: int | None = self._tokenizer.convert_tokens_to_ids(token)
            unknown = self._tokenizer.unk_token_id
        return None if found == unknown and token not in UNKNOWN else found

    def around(self, text: str) -> Tokens:
        with self._lock:
            found = self._tokenizer(text, return_special_tokens_mask=True)
        return Tokens(list(found["input_ids"]), [bool(s) for s in found["special_tokens_mask"]])

    def spelled(self, token: int) -> str | None:
        with self._lock:
            piece = self._tokenizer.convert_ids_to_tokens(token)
            return spelling(piece or "", self._tokenizer.decode([token]))


def spelling(piece: str, decoded: str) -> str | None:
    """The characters of a token from its name and from what it is decoded to by itself.

    >>> spelling("<0xE1>", "\ufffd"), spelling("##ing", "##ing"), spelling("▁a", "a")
    (None, 'ing', 'a')
    """
    if _BYTE.fullmatch(piece) or ("\ufffd" in decoded and "\ufffd" not in piece):
        return None
    whole = decoded.removeprefix("##") if len(decoded) > len("##") else decoded
    return whole.strip(_SPACES)


def spelled_by(model: Any, token: int) -> str | None:
    """The characters of a piece of a SentencePiece model; None for a byte."""
    if not 0 <= token < model.get_piece_size():
        return ""
    return None if model.is_byte(token) else str(model.id_to_piece(token)).strip(_SPACES)


def load_tokeniser(folder: Path, *, fairseq: bool = False) -> Tokeniser:
    """Read the tokeniser of a checkpoint.

    Args:
        folder: The checkpoint.
        fairseq: ``sentencepiece.bpe.model`` is used with fairseq's ids, as in SeamlessM4T.

    Raises:
        ModelError: Its files are missing or cannot be read.
    """
    present = [name for name in VOCABULARIES if (folder / name).is_file()]
    if not present:
        raise ModelError(
            f"{folder} has no tokeniser, so text cannot be read: it needs one of "
            f"{choices(VOCABULARIES)}"
        )
    try:
        if fairseq and (folder / "sentencepiece.bpe.model").is_file():
            return _Fairseq(folder / "sentencepiece.bpe.model", _added_tokens(folder))
        if "tokenizer.json" in present:
            return JsonTokeniser(folder / "tokenizer.json")
        with quiet():
            return _Transformers(folder)
    except ModelError:
        raise
    except Exception as error:  # tokenizers raises bare Exception
        raise ModelError(f"the tokeniser of {folder} cannot be read: {error}") from error


def _added_tokens(folder: Path) -> dict[str, int]:
    """Tokens beyond the SentencePiece model, from the files that checkpoints list them in."""
    added: dict[str, int] = {}
    config = folder / "tokenizer_config.json"
    if config.is_file():
        listed = json.loads(config.read_text(encoding="utf-8")).get("added_tokens_decoder", {})
        added.update({entry["content"]: int(i) for i, entry in listed.items()})
    plain = folder / "added_tokens.json"
    if plain.is_file():
        added.update(json.loads(plain.read_text(encoding="utf-8")))
    if not added:
        raise ModelError(
            f"{folder} lists no language tokens: it needs tokenizer_config.json or "
            "added_tokens.json beside sentencepiece.bpe.model"
        )
    return added


def check_vocabulary(tokeniser: Tokeniser, embeddings: int, name: str) -> None:
    """Make sure that every token has an embedding.

    Raises:
        ModelError: The tokeniser belongs to another model.
    """
    if tokeniser.size > embeddings:
        raise ModelError(
            f"{name}: the tokeniser has {tokeniser.size} tokens, but the model {embeddings} "
            "embeddings, so they belong to different checkpoints"
        )


def mostly_unknown(ids: Sequence[int], unknown: int | None) -> str:
    """A note for a text that the tokeniser hardly knows, or nothing."""
    count = sum(i == unknown for i in ids)
    return "more than half of its tokens are unknown to the model" if 2 * count > len(ids) else ""
