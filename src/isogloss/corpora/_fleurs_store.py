"""The cache of recordings that were packed: each under the digest of its bytes, and measured.

    clips/ab/ab12….wav      a recording, byte for byte as it was packed
    indexes/cd34….json      what an archive of that content holds: file name -> measurements

Everything is written under another name first and then renamed, and names say what is inside.
Processes may share the folder, a killed one is carried on, and any part may be deleted.
"""

import hashlib
import json
import math
import os
import tempfile
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from isogloss.audio import FileClip
from isogloss.corpora.base import SAMPLING_RATE, Recording
from isogloss.errors import ItemError, OutputError
from isogloss.storage import atomic

FORMAT = 1
"""A change of what is measured gets a new number, and so new indexes."""
QUIET = 1e-3
"""Root mean square of a window below which it counts as silent: -60 dB of full scale."""
_WINDOW = SAMPLING_RATE // 50


@dataclass(frozen=True)
class Measured:
    """What is known of a recording once it was read."""

    sha256: str
    size: int
    """Bytes."""
    frames: int = 0
    """Samples at 16 kHz, as decoded."""
    span: float = 0.0
    """Largest minus smallest sample; full scale is 2."""
    quiet: float = 0.0
    """Share of windows of 20 ms that are silent."""
    error: str = ""
    """Why it cannot be used, if it cannot."""

    @property
    def seconds(self) -> float:
        """Length as decoded."""
        return self.frames / SAMPLING_RATE


@dataclass(frozen=True)
class Index:
    """What was found of the recordings that a table lists."""

    clips: Mapping[str, Measured] = field(default_factory=dict)
    """File name -> measurements."""
    absent: frozenset[str] = frozenset()
    """File names that were looked for and are not there."""
    ignored: Mapping[str, int] = field(default_factory=dict)
    """What was passed over, and how often."""
    problem: str = ""
    """Why not all could be read."""


@dataclass(frozen=True)
class FleursClip(FileClip):
    """A recording whose content and length are known already."""

    label: str = ""
    content: str = ""
    """SHA-256 of the file's bytes."""
    length: float = math.nan
    """Seconds."""

    @property
    def name(self) -> str:
        """Its name in the corpus, which is the same wherever it is stored."""
        return self.label

    def identity(self) -> str:
        """What :class:`isogloss.audio.FileClip` gives for the same file, without reading it."""
        value = json.dumps([self.content, None, None])
        return hashlib.sha256(value.encode()).hexdigest()

    def seconds(self) -> float:
        """Length as decoded."""
        return self.length


@dataclass(frozen=True)
class UnreadClip:
    """A recording that nobody asked for.

    It is there so that the choice among utterances does not depend on the modalities asked for.
    """

    name: str

    def identity(self) -> str:
        """Not known.

        Raises:
            ItemError: Always.
        """
        raise ItemError(f"{self.name}: was not read; add speech to corpus.modalities")

    def seconds(self) -> float:
        """Not known; see :meth:`identity`."""
        raise ItemError(f"{self.name}: was not read; add speech to corpus.modalities")

    def read(self) -> Recording:
        """Not done; see :meth:`identity`."""
        raise ItemError(f"{self.name}: was not read; add speech to corpus.modalities")


def measure(path: Path, label: str, sha256: str, size: int) -> Measured:
    """Decode a recording as the models will, and measure it.

    Args:
        path: The file.
        label: What messages call it.
        sha256: Digest of its bytes.
        size: Number of its bytes.
    """
    try:
        samples = FleursClip(path, label=label).read().samples
    except ItemError as error:
        return Measured(sha256, size, error=str(error))
    windows = samples[: len(samples) // _WINDOW * _WINDOW].reshape(-1, _WINDOW)
    loud = np.sqrt(np.square(windows).mean(axis=1)) if windows.size else np.ones(1)
    return Measured(
        sha256, size, len(samples), float(np.ptp(samples)), float((loud < QUIET).mean())
    )


class ClipStore:
    """The cache.

    Args:
        folder: Where it is; made when something is kept.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, sha256: str) -> Path:
        """Where a recording is kept."""
        return Path(f"{self.folder}/clips/{sha256[:2]}/{sha256}.wav")

    def keep(self, data: bytes, label: str) -> Measured:
        """Keep the bytes of a recording, and measure it.

        Raises:
            OutputError: The cache cannot be written.
        """
        sha256 = hashlib.sha256(data).hexdigest()
        path = self.path(sha256)
        if not _has_size(path, len(data)):
            try:
                _write(path, data)
            except OSError as error:
                raise OutputError(
                    f"cannot write {path}: {error.strerror or error}. Recordings of archives are "
                    "kept there; give corpus.cache a folder with space for them"
                ) from error
        return measure(path, label, sha256, len(data))

    def has(self, clips: Iterable[Measured]) -> bool:
        """Whether all of these are kept."""
        return all(_has_size(self.path(c.sha256), c.size) for c in clips)

    def index(self, content: object) -> Index | None:
        """What was found in an archive of this content, if it was read before."""
        found = self._read("indexes", content)
        with suppress(KeyError, TypeError, AttributeError):
            if found:
                return Index(
                    {name: Measured(**cells) for name, cells in found["clips"].items()},
                    frozenset(found["absent"]),
                    dict(found["ignored"]),
                    found["problem"],
                )
        return None

    def save(self, content: object, index: Index) -> None:
        """Remember what was found in an archive of this content."""
        value = {
            "clips": {name: asdict(clip) for name, clip in index.clips.items()},
            "absent": sorted(index.absent),
            "ignored": dict(index.ignored),
            "problem": index.problem,
        }
        self._write("indexes", content, value)

    def files(self, folder: Path) -> dict[str, dict[str, Any]]:
        """What is known of the recordings in a folder: file name -> size, time, measurements."""
        found = self._read("indexes", os.fspath(folder.resolve())) or {}
        files = found.get("files", {})
        return files if isinstance(files, dict) else {}

    def save_files(self, folder: Path, files: Mapping[str, Mapping[str, Any]]) -> None:
        """Remember what is known of the recordings in a folder."""
        self._write("indexes", os.fspath(folder.resolve()), {"files": files})

    def _place(self, kind: str, key: object) -> Path:
        value = json.dumps([FORMAT, key], sort_keys=True)
        return self.folder / kind / f"{hashlib.sha256(value.encode()).hexdigest()}.json"

    def _read(self, kind: str, key: object) -> dict[str, Any] | None:
        try:
            found = json.loads(self._place(kind, key).read_bytes())
        except (OSError, ValueError, RecursionError):  # absent or damaged: it is made anew
            return None
        return found if isinstance(found, dict) else None

    def _write(self, kind: str, key: object, value: Mapping[str, Any]) -> None:
        # A cache that cannot be written costs time in the next run, not this result.
        with suppress(OutputError):
            atomic.write_json(self._place(kind, key), value)


def _has_size(path: Path, size: int) -> bool:
    try:
        return path.stat().st_size == size
    except OSError:
        return False


def _write(path: Path, data: bytes) -> None:
    """Write through a temporary file. Not flushed: a loss shows in the size, and is made good."""
    try:
        handle, name = tempfile.mkstemp(suffix=atomic.TEMPORARY, dir=path.parent)
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(suffix=atomic.TEMPORARY, dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
