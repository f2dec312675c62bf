"""Activations on disk: one immutable safetensors file per unit, and a JSON record that commits it.

    activations/
      deu.speech-0f3a91c2d4e5.json                    the record, written last
      deu.speech-0f3a91c2d4e5-77b1c09a.safetensors    one (sentences × features) array per tap
      deu.text-91aa03bb7c21.failed.json               why a unit could not be made

A unit without a valid record does not exist. The data file is named by its own digest, so two
processes that race on one unit cannot leave a record beside the other's data.

A row is an utterance. The record names it by ``sentences`` (an id may recur) and ``takes`` (which
recording of the sentence, from 0), one entry per row; see :meth:`Store.index`.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from isogloss import atomic
from isogloss.corpora.base import Modality
from isogloss.errors import StoreError
from isogloss.settings import difference
from isogloss.takes import RowIndex

FORMAT = 2


@dataclass(frozen=True)
class Unit:
    """The smallest piece of work: one model, language and modality, with all its taps."""

    language: str
    modality: Modality
    digest: str
    """SHA-256 of everything that its activations depend on."""
    taps: tuple[str, ...]
    sentences: tuple[str, ...]
    """Ids, each once, in order."""
    further: int = 0
    """Recordings beyond the first of each sentence."""

    @property
    def rows(self) -> int:
        """Number of utterances, each a row of every array."""
        return len(self.sentences) + self.further

    @property
    def name(self) -> str:
        """File name without suffix."""
        return f"{self.language}.{self.modality}-{self.digest[:12]}"


@dataclass(frozen=True)
class Problem:
    """Something wrong in a store."""

    file: str
    what: str


class Store:
    """The folder of one study's activations."""

    def __init__(self, folder: Path) -> None:
        self.root = folder
        self.folder = folder / "activations"
        self._records: dict[str, dict[str, Any]] = {}
        self._indices: dict[str, RowIndex] = {}

    def claim(self, identity: dict[str, Any]) -> None:
        """Take the folder for a study, or check that it is this study's.

        Raises:
            StoreError: It holds another study; the settings that differ are named.
        """
        path = self.root / "study.json"
        if not path.exists():
            if self.folder.is_dir() and any(self.folder.glob("*.json")):
                raise StoreError(
                    f"{self.root} holds activations but no study.json, so nobody can say what "
                    "they are; choose another output folder"
                )
            atomic.write_json(path, {"format": FORMAT, "identity": identity})
            return
        self.check_format()
        differing = difference(read_json(path)["identity"], identity)
        if differing:
            raise StoreError(
                f"{self.root} holds another study. It differs in {'; '.join(differing)}. "
                "Choose another output folder, or delete this one"
            )

    def check_format(self) -> None:
        """Refuse a folder that another version of Isogloss wrote in another way.

        Raises:
            StoreError: It was; the message says what to do.
        """
        path = self.root / "study.json"
        if path.exists() and (there := read_json(path).get("format")) != FORMAT:
            raise StoreError(
                f"{path} has format {there}, this version of Isogloss reads and writes {FORMAT}; "
                "choose another output folder, or use the version that wrote this one"
            )

    def release(self, units: Iterable[Unit]) -> None:
        """Give the folder back if none of the units is in it, as if it had never been claimed."""
        if any(self.has(u) or self.failure(u) for u in units):
            return
        for name in ("study.json", "run.json", "sentences.parquet"):
            (self.root / name).unlink(missing_ok=True)
        with suppress(OSError):  # something else is in it
            self.root.rmdir()

    def has(self, unit: Unit) -> bool:
        """Whether a unit is committed: its record is valid and its data file has the right size."""
        try:
            self.record(unit)
        except StoreError:
            return False
        return True

    def record(self, unit: Unit) -> dict[str, Any]:
        """The record of a committed unit.

        Raises:
            StoreError: It is not committed, or the record or data file is damaged.
        """
        if unit.name not in self._records:
            path = self.folder / f"{unit.name}.json"
            if not path.exists():
                raise StoreError(f"{unit.language} {unit.modality} is not in {self.root} yet")
            record = read_json(path)
            if record.get("digest") != unit.digest:
                raise StoreError(f"{path} does not describe the unit it is named after")
            data = self.folder / str(record.get("file"))
            if not data.is_file() or data.stat().st_size != record.get("bytes"):
                raise StoreError(f"{data} is missing or truncated; run again to make it anew")
            self._records[unit.name] = record
        return self._records[unit.name]

    def index(self, unit: Unit) -> RowIndex:
        """Finds the rows of a committed unit by sentence and take.

        Raises:
            StoreError: It is not committed.
        """
        if unit.name not in self._indices:
            self._indices[unit.name] = RowIndex(self.record(unit))
        return self._indices[unit.name]

    def put(
        self, unit: Unit, arrays: Mapping[str, NDArray[np.float32]], record: dict[str, Any]
    ) -> None:
        """Commit a unit.

        Args:
            unit: What it is.
            arrays: Tap -> (sentences × features), float32.
            record: Further JSON-able fields; must hold ``sentences`` and ``takes``, which name the
                rows.

        Raises:
            StoreError: A tap is missing, the rows do not match the ids, or two rows are the same
                take of a sentence.
        """
        rows = len(record["sentences"])
        if len(set(zip(record["sentences"], record["takes"], strict=False))) != rows:
            raise StoreError(f"{unit.name}: sentence and take do not tell its {rows} rows apart")
        if set(arrays) != set(unit.taps) or any(len(a) != rows for a in arrays.values()):
            shapes = {tap: array.shape for tap, array in arrays.items()}
            raise StoreError(f"{unit.name}: expected {unit.taps} × {rows} rows, got {shapes}")
        data = save({tap: np.ascontiguousarray(arrays[tap]) for tap in unit.taps})
        sha256 = hashlib.sha256(data).hexdigest()
        file = f"{unit.name}-{sha256[:8]}.safetensors"
        atomic.write_bytes(self.folder / file, data)
        full = {
            "format": FORMAT,
            "digest": unit.digest,
            "language": unit.language,
            "modality": unit.modality,
            "file": file,
            "bytes": len(data),
            "sha256": sha256,
            "shapes": {tap: list(arrays[tap].shape) for tap in unit.taps},
            **record,
        }
        atomic.write_json(self.folder / f"{unit.name}.json", full)
        (self.folder / f"{unit.name}.failed.json").unlink(missing_ok=True)
        self._records[unit.name] = full
        self._indices.pop(unit.name, None)

    def amend(self, unit: Unit, fields: Mapping[str, Any]) -> None:
        """Replace fields of a committed unit's record that say nothing of its activations.

        Raises:
            StoreError: The unit is not committed.
        """
        full = {**self.record(unit), **fields}
        atomic.write_json(self.folder / f"{unit.name}.json", full)
        self._records[unit.name] = full

    def fail(self, unit: Unit, record: dict[str, Any]) -> None:
        """Note why a unit could not be made."""
        atomic.write_json(self.folder / f"{unit.name}.failed.json", record)

    def failure(self, unit: Unit) -> dict[str, Any] | None:
        """Why the last attempt at a unit failed, if it did."""
        path = self.folder / f"{unit.name}.failed.json"
        return read_json(path) if path.exists() else None

    def view(self, unit: Unit, tap: str) -> NDArray[np.float32]:
        """Read the activations of one tap: (sentences × features), rows as in the record."""
        path = self.folder / self.record(unit)["file"]
        try:
            with safe_open(path, framework="np") as file:
                array: NDArray[np.float32] = file.get_tensor(tap)
        except (SafetensorError, OSError) as error:
            raise StoreError(f"{path} cannot be read ({error}); see `isogloss verify`") from None
        return array

    def verify(self) -> Iterator[Problem]:
        """Check every file against its record. Yields what is wrong; nothing is changed."""
        used = set()
        for path in sorted(self.folder.glob("*.json")):
            if path.name.endswith(".failed.json"):
                continue
            try:
                record = read_json(path)
                name, size, sha256 = record["file"], record["bytes"], record["sha256"]
            except (StoreError, KeyError, TypeError) as error:
                yield Problem(path.name, f"the record cannot be read: {error}")
                continue
            used.add(name)
            data = self.folder / name
            if not data.exists():
                yield Problem(name, "the data file is missing")
            elif data.stat().st_size != size:
                yield Problem(name, f"{data.stat().st_size} bytes instead of {size}")
            elif _sha256(data) != sha256:
                yield Problem(name, "its content has changed since it was written")
        for path in sorted(self.folder.glob("*.safetensors")):
            if path.name not in used:
                yield Problem(path.name, "belongs to no record: left by a run that was killed")
        for path in sorted(self.root.rglob(f".*{atomic.TEMPORARY}")):
            yield Problem(path.name, "a temporary file: left by a run that was killed")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object that :func:`isogloss.atomic.write_json` wrote.

    Raises:
        StoreError: It cannot be read.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise StoreError(f"{path} is damaged ({error})") from None
    if not isinstance(value, dict):
        raise StoreError(f"{path} is damaged: it holds no object")
    return value
