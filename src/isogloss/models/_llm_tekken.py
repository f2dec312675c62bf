"""Mistral's tokeniser as Voxtral is released with: ``tekken.json``, byte-level BPE by rank."""

import base64
import importlib
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any

from isogloss.errors import MissingExtraError, ModelError
from isogloss.models._files import read_json
from isogloss.models._tokens import Tokeniser, Tokens

TEKKEN = "tekken.json"
_BOS = "<s>"


class Tekken(Tokeniser):
    """Splits a text by a pattern, then merges the bytes of each part, lowest rank first.

    A piece's id is its rank above the special tokens. Special tokens that are written out in a text
    are taken as such, as prompts want them.

    Args:
        path: ``tekken.json``, version 7 or later, which lists its special tokens.

    Raises:
        ModelError: It cannot be read, or is of an earlier version.
    """

    def __init__(self, path: Path) -> None:
        try:
            # It comes with transformers. The re of Python knows no classes of letters.
            regex: Any = importlib.import_module("regex")
        except ImportError as error:
            raise MissingExtraError("this tokeniser", "hf") from error
        try:
            said = read_json(path)
            config = said["config"]
            self._offset = int(config["default_num_special_tokens"])
            self.size = int(config["default_vocab_size"])
            self._pattern = regex.compile(config["pattern"])
            self._special = {t["token_str"]: int(t["rank"]) for t in said["special_tokens"]}
            kept = said["vocab"][: self.size - self._offset]
            self._ranks = {base64.b64decode(t["token_bytes"]): int(t["rank"]) for t in kept}
        except (OSError, ValueError, KeyError, TypeError, regex.error) as error:
            raise ModelError(
                f"{path} cannot be read as a tokeniser that lists vocabulary and special tokens: "
                f"{type(error).__name__} {error}"
            ) from error
        if _BOS not in self._special or not all(bytes([i]) in self._ranks for i in range(256)):
            raise ModelError(f"{path} lacks {_BOS} among its special tokens, or single bytes")
        self._bytes: dict[int, bytes] | None = None
        longest_first = sorted(self._special, key=len, reverse=True)
        self._written = regex.compile("|".join(map(regex.escape, longest_first)))
        self._merged = lru_cache(maxsize=1 << 16)(self._merge)

    def pieces(self, text: str) -> list[int]:
        """Ids of the text alone."""
        ids: list[int] = []
        end = 0
        for found in self._written.finditer(text):
            ids += self._plain(text[end : found.start()])
            ids.append(self._special[found.group()])
            end = found.end()
        return ids + self._plain(text[end:])

    def id(self, token: str) -> int | None:
        """Id of a special token, or of a piece."""
        if token in self._special:
            return self._special[token]
        rank = self._ranks.get(token.encode("utf-8"))
        return None if rank is None else rank + self._offset

    def around(self, text: str) -> Tokens:
        """Ids after the token that begins every input."""
        ids = self.pieces(text)
        return Tokens([self._special[_BOS], *ids], [True, *[False] * len(ids)])

    def spelled(self, token: int) -> str | None:
        """The characters of a token; None for bytes that make no character."""
        if self._bytes is None:
            self._bytes = {rank + self._offset: piece for piece, rank in self._ranks.items()}
        try:
            return self._bytes.get(token, b"").decode("utf-8").strip(" ")
        except UnicodeDecodeError:
            return None

    def unknown(self) -> int | None:
        """None: every byte is known."""
        return None

    def _plain(self, text: str) -> list[int]:
        return [i for part in self._pattern.findall(text) for i in self._merged(part)]

    def _merge(self, text: str) -> tuple[int, ...]:
        parts = [bytes([byte]) for byte in text.encode("utf-8")]
        while len(parts) > 1:
            ranks = [self._ranks.get(a + b) for a, b in pairwise(parts)]
            known = [rank for rank in ranks if rank is not None]
            if not known:
                break
            first = ranks.index(min(known))
            parts[first : first + 2] = [parts[first] + parts[first + 1]]
        return tuple(self._ranks[part] + self._offset for part in parts)
