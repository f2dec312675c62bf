"""The tokens of a text alone, read from a tokeniser's files without any weights. No torch here."""

from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, Protocol

from isogloss.digests import file_digest
from isogloss.errors import MissingExtraError, ModelError
from isogloss.languages import Language
from isogloss.models._checkpoint import Checkpoint, FolderCheckpoint, HubCheckpoint, find
from isogloss.models._files import CONFIG, SMALL_FILES
from isogloss.models._llm_tekken import TEKKEN, Tekken
from isogloss.models._tokens import (
    VOCABULARIES,
    JsonTokeniser,
    Tokeniser,
    Tokens,
    load_tokeniser,
    spelled_by,
)
from isogloss.settings import digest

Kind = Literal["unknown", "byte", "character", "longer"]
"""What a token holds of a text: nothing that the model knows; part of a character; one character
(or the space before a word alone); or more."""


class _Spelling(Protocol):
    def spelled(self, token: int) -> str | None:
        """The characters of a token; None for bytes that make no character."""


class TextTokens:
    """Gives the token ids of a text, and says what kind of token an id is.

    Args:
        pieces: Ids of a text, none added around it.
        spelling: The vocabulary.
        unknown: Id of the unknown token, if there is one.
    """

    def __init__(
        self, pieces: Callable[[str], Sequence[int]], spelling: _Spelling, unknown: int | None
    ) -> None:
        self._pieces, self._unknown = pieces, unknown
        self._spelled = lru_cache(maxsize=None)(spelling.spelled)

    def __call__(self, text: str, language: Language) -> Sequence[int]:
        """Ids of a text. No tokeniser that is read here splits by language."""
        return self._pieces(text)

    def kind(self, token: int) -> Kind:
        """What kind of token an id is."""
        if token == self._unknown:
            return "unknown"
        spelled = self._spelled(token)
        if spelled is None:
            return "byte"
        return "longer" if len(spelled) > 1 else "character"


def text_tokens(
    checkpoint: Checkpoint, *, fairseq: bool = False, prefix: str = "", strip: bool = False
) -> TextTokens:
    """Read the tokeniser of a checkpoint.

    Args:
        checkpoint: Where it is.
        fairseq: As for :func:`load_tokeniser`.
        prefix: Written before every text. Its own tokens are left out, a space alone excepted,
            which is part of the first word.
        strip: Whether the model is given texts without the space around them.

    Raises:
        ModelError: Its files are missing or cannot be read.
    """
    tekken = checkpoint.file(TEKKEN)
    if tekken is not None and checkpoint.file("tokenizer.json") is None:
        tokeniser: Tokeniser = Tekken(tekken)
    else:
        tokeniser = load_tokeniser(small_files(checkpoint), fairseq=fairseq)
    before = tokeniser.pieces(prefix) if prefix.strip() else []

    def pieces(text: str) -> list[int]:
        ids = tokeniser.pieces(prefix + (text.strip() if strip else text))
        shared = 0
        # The space at the end of a prefix may go with the first word of the text.
        while shared < min(len(before), len(ids)) and before[shared] == ids[shared]:
            shared += 1
        return ids[shared:]

    return TextTokens(pieces, tokeniser, tokeniser.unknown())


def small_files(checkpoint: Checkpoint) -> Path:
    """A folder with configuration and tokeniser; of the hub, nothing else is fetched.

    Raises:
        ModelError: The hub cannot be reached, or has none of these files.
    """
    if not isinstance(checkpoint, HubCheckpoint):
        return checkpoint.folder()
    fetched = [path for name in SMALL_FILES if (path := checkpoint.file(name)) is not None]
    if not fetched:
        raise ModelError(f"{checkpoint.name} on the hub holds no tokeniser")
    return fetched[0].parent


class _SentencePiece(Tokeniser):
    """A SentencePiece model with its own ids."""

    def __init__(self, path: Path) -> None:
        try:
            from sentencepiece import SentencePieceProcessor
        except ImportError as error:
            raise MissingExtraError("this tokeniser", "hf") from error
        try:
            self._model: Any = SentencePieceProcessor(model_file=str(path))
        except (OSError, RuntimeError) as error:
            raise ModelError(f"{path} cannot be read as a SentencePiece model: {error}") from error
        self.size = self._model.get_piece_size()

    def pieces(self, text: str) -> list[int]:
        return list(self._model.encode(text))

    def id(self, token: str) -> int | None:
        found: int = self._model.piece_to_id(token)
        return found if self._model.id_to_piece(found) == token else None

    def around(self, text: str) -> Tokens:
        ids = self.pieces(text)
        return Tokens(ids, [False] * len(ids))

    def spelled(self, token: int) -> str | None:
        return spelled_by(self._model, token)

    def unknown(self) -> int | None:
        found: int = self._model.unk_id()
        return None if found < 0 else found


def find_tokens(name: str) -> TextTokens:
    """Read any tokeniser: ``tokenizer.json``, a SentencePiece model, a folder, or a hub id.

    Raises:
        ModelError: There is none, or it cannot be read.
    """
    path = Path(name).expanduser()
    if path.is_file():
        return _from_file(path)
    checkpoint = find(name)
    folder = small_files(checkpoint)
    models = sorted(folder.glob("*.model"))
    known = any((folder / file).is_file() for file in ("tokenizer.json", TEKKEN, CONFIG))
    if len(models) == 1 and not known:
        return _from_file(models[0])
    return text_tokens(checkpoint)


def fingerprint(name: str) -> str:
    """Name the content of what :func:`find_tokens` reads.

    Raises:
        ModelError: There is no such thing.
    """
    path = Path(name).expanduser()
    if path.is_file():
        return f"sha256:{file_digest(path)}"
    checkpoint = find(name)
    if not isinstance(checkpoint, FolderCheckpoint):
        return checkpoint.fingerprint()
    names = {*SMALL_FILES, *VOCABULARIES, TEKKEN, *(p.name for p in path.glob("*.model"))}
    there = [path / file for file in sorted(names) if (path / file).is_file()]
    return f"sha256:{digest([[p.name, file_digest(p)] for p in there])}"


def _from_file(path: Path) -> TextTokens:
    if path.name == TEKKEN:
        tokeniser: Tokeniser = Tekken(path)
    elif path.suffix == ".json":
        try:
            tokeniser = JsonTokeniser(path)
        except Exception as error:  # tokenizers raises bare Exception
            raise ModelError(f"{path} cannot be read as a tokeniser: {error}") from error
    else:
        tokeniser = _SentencePiece(path)
    return TextTokens(tokeniser.pieces, tokeniser, tokeniser.unknown())
