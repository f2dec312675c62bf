"""Activations on disk: one immutable safetensors file per unit, and a JSON record that commits it.

    activations/
      deu.speech-0f3a91c2d4e5.json                    the record, written last
      deu.speech-0f3a91c2d4e5-77b1c09a.safetensors    one (sentences × features) array per tap
      deu.text-91aa03bb7c21.failed.json               why a unit could not be made

A unit without a valid record does not exist. The data file is named by its own digest, so two
processes that race on one unit cannot leave a record beside the other's data. Every JSON file has a
seal (see ``sealing``), and the record holds digests of the data file and of each of its arrays.
docs/store.md says what each file promises.

A row is an utterance. The record names it by ``sentences`` (an id may recur) and ``takes`` (which
recording of the sentence, from 0), one entry per row; see :meth:`Store.index`.
"""

import hashlib
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isogloss.corpora.base import Modality
from isogloss.errors import OutputError, StoreError
from isogloss.settings import difference, digest
from isogloss.storage import atomic, sealing
from isogloss.storage.pieces import Pieces, unit_of
from isogloss.storage.records import FAILED, offsets, read_record, safetensors
from isogloss.storage.records import FORMAT as FORMAT
from isogloss.takes import RowIndex


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


class Store:
    """The folder of one study's activations."""

    def __init__(self, folder: Path) -> None:
        self.root = folder
        self.folder = folder / "activations"
        self._records: dict[str, dict[str, Any]] = {}
        self._indices: dict[str, RowIndex] = {}
        self._study: str | None = None

    def claim(self, identity: dict[str, Any]) -> None:
        """Take the folder for a study, or check that it is this study's.

        A ``study.json`` that is lost or damaged is written anew if the records say that their units
        were made for this study.

        Raises:
            StoreError: It holds another study; the settings that differ are named. Or it is a file.
        """
        atomic.check_folder(self.root)
        self.check_format(damaged=True)
        there = self.study()
        if there is None:
            if self.owners() - {digest(identity)}:
                raise StoreError(
                    f"{self.root} holds activations but no study.json that could be read, and they "
                    "were not made for this study; choose another output folder"
                )
            self._found({"format": FORMAT, "identity": identity})
            there = self.study() or identity
        if there is not None:
            differing = difference(there, identity)
            if differing:
                raise StoreError(
                    f"{self.root} holds another study. It differs in {'; '.join(differing)}. "
                    "Choose another output folder, or delete this one"
                )
        self._study = digest(identity)
        self._tidy()

    def _found(self, value: dict[str, Any]) -> None:
        """Write ``study.json``, unless another run that begins at the same time is quicker."""
        path = self.root / "study.json"
        if path.exists():  # damaged
            atomic.remove(path)
        ready = atomic.temporary(path)
        sealing.write(ready, value)
        try:
            os.link(ready, path)
        except FileExistsError:
            pass
        except OSError:  # no hard links here
            sealing.write(path, value)
        finally:
            with suppress(OSError):
                ready.unlink()

    def _tidy(self) -> None:
        """Remove what a killed process of this machine has left, and pieces of finished units."""
        for path in atomic.left_over(self.root):
            with suppress(OSError):
                path.unlink(missing_ok=True)
        for path in Pieces(self.folder).files():
            with suppress(OSError, StoreError):
                record = read_record(self.folder / f"{unit_of(path)}.json")
                if _size(self.folder / record["file"]) == record["bytes"]:
                    path.unlink(missing_ok=True)

    def study(self) -> dict[str, Any] | None:
        """Whose folder it is, as it was given to :meth:`claim`; None if that is lost."""
        try:
            found = sealing.read(self.root / "study.json").get("identity")
        except StoreError:
            return None
        return found if isinstance(found, dict) else None

    def owners(self) -> set[str]:
        """Digests of the studies that the readable records were made for."""
        found = set()
        for path in self.folder.glob("*.json"):
            if path.name.endswith(FAILED):
                continue
            with suppress(StoreError):
                found.add(str(sealing.read(path).get("study")))
        return found

    def check_format(self, *, damaged: bool = False) -> None:
        """Refuse a folder that another version of Isogloss wrote in another way.

        Args:
            damaged: Let pass a ``study.json`` of which nobody can tell.

        Raises:
            StoreError: It was; the message says what to do.
        """
        path = self.root / "study.json"
        if not path.exists():
            return
        try:
            there = sealing.read(path).get("format")
        except StoreError:
            # Without a seal it is of an earlier version, or lost its seal by accident.
            earlier = sealing.unsealed(path)
            if earlier is None or earlier.get("format") == FORMAT:
                if damaged:
                    return
                raise
            there = earlier.get("format")
        if there != FORMAT:
            raise StoreError(
                f"{path} has format {there}, this version of Isogloss reads and writes {FORMAT}; "
                "choose another output folder, or use the version that wrote this one"
            )

    def release(self) -> None:
        """Give the folder back if nothing was made in it, as if it had never been claimed.

        Nothing is touched while another run is at work in it.
        """
        leases = self.root / "leases"
        with suppress(FileNotFoundError):
            if any(self.folder.iterdir()):
                return
        with suppress(FileNotFoundError):
            if any(path.suffix == ".json" for path in leases.iterdir()):
                return
        for name in ("study.json", "run.json", "sentences.parquet", "digests.json"):
            atomic.remove(self.root / name)
        for folder in (self.folder, leases, self.root):
            with suppress(OSError):  # it is not there, or something else is in it
                folder.rmdir()

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
            record = read_record(path)
            if record["digest"] != unit.digest or set(record["shapes"]) != set(unit.taps):
                raise StoreError(f"{path} does not describe the unit it is named after")
            data = self.folder / record["file"]
            if _size(data) != record["bytes"]:
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
        fits = all(len(a) == rows and a.dtype == np.float32 for a in arrays.values())
        if set(arrays) != set(unit.taps) or not fits:
            shapes = {tap: (array.shape, str(array.dtype)) for tap, array in arrays.items()}
            raise StoreError(f"{unit.name}: expected {unit.taps} × {rows} rows, got {shapes}")
        study = self._owner()
        head, blocks = safetensors({tap: arrays[tap] for tap in unit.taps})
        content = hashlib.sha256(head)
        for block in blocks.values():
            content.update(block)
        file = f"{unit.name}-{content.hexdigest()[:8]}.safetensors"
        # Written block by block: a copy of all activations in memory would double the peak.
        atomic.write_bytes(self.folder / file, (head, *blocks.values()))
        full = {
            "format": FORMAT,
            "study": study,
            "digest": unit.digest,
            "language": unit.language,
            "modality": unit.modality,
            "file": file,
            "bytes": len(head) + sum(block.nbytes for block in blocks.values()),
            "sha256": content.hexdigest(),
            "shapes": {tap: list(arrays[tap].shape) for tap in unit.taps},
            "offsets": offsets(head, blocks),
            "digests": {tap: hashlib.sha256(block).hexdigest() for tap, block in blocks.items()},
            **record,
        }
        sealing.write(self.folder / f"{unit.name}.json", full)
        atomic.remove(self.folder / f"{unit.name}{FAILED}")
        self._records[unit.name] = full
        self._indices.pop(unit.name, None)

    def _owner(self) -> str:
        """Digest of the study whose folder it is; empty for a folder that nobody claimed.

        Raises:
            OutputError: The folder was claimed and is gone. Activations must not come to lie in a
                new one of that name, say on the disk below a mount point.
        """
        if self._study is None:
            there = self.study()
            self._study = digest(there) if there is not None else ""
        # Not whether the folder is there: others may have made a new one.
        elif self._study and not (self.root / "study.json").is_file():
            raise OutputError(
                f"{self.root} has gone while it was written to. What was finished is where it "
                "went; the same command goes on from there once it is back"
            )
        return self._study

    def amend(self, unit: Unit, fields: Mapping[str, Any]) -> None:
        """Replace fields of a committed unit's record that say nothing of its activations.

        Raises:
            StoreError: The unit is not committed.
        """
        full = {**self.record(unit), **fields}
        sealing.write(self.folder / f"{unit.name}.json", full)
        self._records[unit.name] = full

    def fail(self, unit: Unit, record: dict[str, Any]) -> None:
        """Note why a unit could not be made.

        Raises:
            OutputError: It cannot be written, or the folder is gone.
        """
        self._owner()
        sealing.write(self.folder / f"{unit.name}{FAILED}", record)

    def failure(self, unit: Unit) -> dict[str, Any] | None:
        """Why the last attempt at a unit failed, if it did and if that can be read."""
        path = self.folder / f"{unit.name}{FAILED}"
        try:
            return sealing.read(path)
        except StoreError:
            return None

    def why(self, unit: Unit) -> str:
        """Why the last attempt at a unit failed, in a line; empty if none did."""
        failure = self.failure(unit)
        return f"{failure['type']}: {failure['message']}" if failure else ""

    def view(self, unit: Unit, tap: str) -> NDArray[np.float32]:
        """Read the activations of one tap: (sentences × features), rows as in the record.

        Raises:
            StoreError: The unit is not committed, or these activations are not what was written.
        """
        record = self.record(unit)
        path = self.folder / record["file"]
        rows, width = record["shapes"][tap]
        try:
            # Read by what the sealed record says, since the header of the file may be damaged.
            found = np.fromfile(path, "<f4", rows * width, offset=record["offsets"][tap])
        except OSError as error:
            raise StoreError(f"{path} cannot be read: {error.strerror or error}") from None
        # Of what was read just now: the disk may have been well when another view was read.
        if hashlib.sha256(found.data).hexdigest() != record["digests"][tap]:
            raise sealing.damaged(path, f'the activations at tap "{tap}" have changed')
        return found.reshape(rows, width)


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None
