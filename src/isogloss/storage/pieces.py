"""Rows of a unit that is under way, so that a killed worker loses minutes and not the unit.

    activations/
      deu.speech-0f3a91c2d4e5.0001-77b1c09a.piece     the first rows that were made
      deu.speech-0f3a91c2d4e5.0002-5be2d310.piece     those after

A piece is written once and never changed. It is no unit: nothing reads it but the worker that goes
on with the unit, and it is removed once the unit is committed. Its first line is a seal over all
that follows, then comes a line of JSON, then the rows as safetensors.
"""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from isogloss.storage import atomic, sealing

if TYPE_CHECKING:
    from isogloss.storage.store import Unit

SUFFIX = ".piece"
_KIND = "piece 1"
_LONGEST = 64 << 20
"""Bytes in a line; a damaged piece may have none that ends."""
_NAME = re.compile(r"(?P<unit>.+)\.(?P<number>\d{4,})-[0-9a-f]{8}\.piece")

Rows = dict[str, NDArray[np.float32]]


class Pieces:
    """The pieces of all units of a store.

    Args:
        folder: Where the units are: ``OUT/activations``.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def keep(
        self, unit: "Unit", arrays: Mapping[str, NDArray[np.float32]], fields: dict[str, Any]
    ) -> None:
        """Write one more piece of a unit, whole or not at all.

        Args:
            unit: Which unit.
            arrays: Tap -> (rows × features), float32; may hold no rows.
            fields: JSON-able; what the rows are.

        Raises:
            OutputError: It cannot be written; the pieces before it stay.
        """
        head = {"unit": unit.digest, "fields": fields}
        line = json.dumps(head, ensure_ascii=True, allow_nan=False).encode()
        data = line + b"\n" + save({tap: np.ascontiguousarray(a) for tap, a in arrays.items()})
        number = max((_number(path) for path in self.files(unit.name)), default=0) + 1
        # The content is in the name, so that two workers that make the same unit, one of them taken
        # for dead, never replace each other's piece.
        content = hashlib.sha256(data).hexdigest()[:8]
        path = self.folder / f"{unit.name}.{number:04d}-{content}{SUFFIX}"
        atomic.write_bytes(path, sealing.seal(_KIND, path.name, data))

    def kept(self, unit: "Unit") -> list[tuple[Rows, dict[str, Any]]]:
        """The pieces of a unit, in the order in which they were written.

        Damaged ones are removed, and pieces of another unit are passed over. If two workers made
        the unit at the same time, a row may be in two pieces; both are right.

        Returns:
            Tap -> (rows × features), and the fields, as they were given to :meth:`keep`.

        Raises:
            OutputError: A damaged piece cannot be removed.
        """
        found = []
        for path in self.files(unit.name):
            try:
                content = path.read_bytes()
            except OSError:  # committed by another just now, or not to be read for a moment
                continue
            piece = _parse(path.name, content)
            if piece is None:
                atomic.remove(path)
            elif piece[0] == unit.digest:
                found.append(piece[1:])
        return found

    def told(self, unit: "Unit") -> list[dict[str, Any]]:
        """The fields of a unit's pieces, to be shown: nothing is checked, and no row is read."""
        found = []
        for path in self.files(unit.name):
            with suppress(OSError, ValueError, LookupError, TypeError), path.open("rb") as file:
                file.readline(_LONGEST)
                head = json.loads(file.readline(_LONGEST))
                if head["unit"] == unit.digest and isinstance(head["fields"], dict):
                    found.append(head["fields"])
        return found

    def discard(self, unit: "Unit") -> None:
        """Remove the pieces of a unit; to be called once it is committed.

        What cannot be removed is left for ``isogloss verify``: the unit itself is safe.
        """
        for path in self.files(unit.name):
            with suppress(OSError):
                path.unlink(missing_ok=True)

    def files(self, name: str = "") -> list[Path]:
        """The files of the unit of that name, or of all units, in order."""
        there = [p for p in self.folder.glob(f"*{SUFFIX}") if (m := _NAME.fullmatch(p.name))
                 and (not name or m["unit"] == name)]  # fmt: skip
        return sorted(there, key=lambda p: (_unit(p), _number(p), p.name))

    def damaged(self) -> Iterator[Path]:
        """The pieces of all units in which a bit has changed."""
        for path in sorted(self.folder.glob(f"*{SUFFIX}")):
            try:
                content = path.read_bytes()
            except FileNotFoundError:
                continue
            except OSError:
                content = b""
            if _parse(path.name, content) is None:
                yield path


def _parse(name: str, content: bytes) -> tuple[str, Rows, dict[str, Any]] | None:
    """Digest of the unit, rows and fields of a piece; None if it is not what was written."""
    data = sealing.unseal(_KIND, name, content)
    if data is None:
        return None
    line, _, rows = bytes(data).partition(b"\n")
    try:
        head = json.loads(line)
        return head["unit"], load(rows), head["fields"]
    except (ValueError, KeyError, TypeError, RecursionError, SafetensorError):
        return None


def unit_of(path: Path) -> str:
    """Name of the unit that a piece belongs to."""
    return _unit(path)


def _unit(path: Path) -> str:
    found = _NAME.fullmatch(path.name)
    return found["unit"] if found else path.stem


def _number(path: Path) -> int:
    found = _NAME.fullmatch(path.name)
    return int(found["number"]) if found else 0
