"""Recordings on disk: found, checked and decoded to 16 kHz mono, one at a time."""

import hashlib
import json
import os
import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isogloss.corpora.base import SAMPLING_RATE, Recording
from isogloss.errors import ItemError, MissingExtraError

SILENCE = 1e-4
"""A recording whose samples stay within a range this wide holds nothing (full scale is 2)."""
TOLERANCE = 0.1
"""Seconds by which a header or a manifest may miss the true end of a recording."""

# Encoders that write to a pipe cannot know the length and leave a huge number in its place.
_STREAMED = 0x7FFF_0000
_CLAIM = re.compile(
    r"^\s*(?:data|SSND|riff|Data Size)\s*:\s*(\d+) \(should be (\d+)\)", re.MULTILINE
)


@dataclass(frozen=True)
class FileClip:
    """A recording in any format that libsndfile reads: WAV, FLAC, Ogg, Opus, MP3, AIFF and more.

    Channels are averaged, and other sampling rates are resampled to 16 kHz with soxr at its high
    quality. Nothing is opened before :meth:`identity`, :meth:`seconds` or :meth:`read` is called.

    Args:
        path: The file.
        offset: Seconds into the file where the recording starts; its beginning if left out.
        duration: Length in seconds; up to the end of the file if left out. An end within 0.1 s
            of the file's end counts as the file's end, since tables round their durations.
    """

    path: Path
    offset: float | None = None
    duration: float | None = None

    @property
    def name(self) -> str:
        """The path, and the part of the file if it is not all of it."""
        if self.offset is None and self.duration is None:
            return str(self.path)
        end = "" if self.duration is None else f"{(self.offset or 0) + self.duration:g}"
        return f"{self.path} [{self.offset or 0:g}-{end} s]"

    def identity(self) -> str:
        """SHA-256 over the digest of the file's bytes, the offset and the duration.

        Raises:
            ItemError: The file is missing or cannot be read.
        """
        try:
            stat = self.path.stat()
            content = _sha256(self.path, stat.st_size, stat.st_mtime_ns)
        except OSError as error:
            raise ItemError(self._unreadable(error)) from error
        value = json.dumps([content, self.offset, self.duration])
        return hashlib.sha256(value.encode()).hexdigest()

    def seconds(self) -> float:
        """Length in seconds, from the header alone.

        Raises:
            ItemError: The file is missing, is no audio, is cut short, or ends before ``offset``.
        """
        with self._open() as file:
            start, stop = self._span(file)
            return (stop - start) / int(file.samplerate)

    def read(self) -> Recording:
        """Decode to 16 kHz mono.

        Raises:
            ItemError: The file is missing, is no audio, is shorter than its header or its row
                says, or holds no samples, only silence, or samples that are not finite.
        """
        with self._open() as file:
            start, stop = self._span(file)
            rate, channels = int(file.samplerate), int(file.channels)
            try:
                file.seek(start)
                samples = file.read(stop - start, dtype="float32", always_2d=True)
            except (OSError, RuntimeError) as error:
                raise ItemError(
                    f"{self.name}: damaged, decoding stopped: {_cause(error)}"
                ) from error
        if len(samples) < stop - start - TOLERANCE * rate:
            raise ItemError(
                f"{self.name}: cut short: {len(samples) / rate:.2f} s could be decoded "
                f"where {(stop - start) / rate:.2f} s are announced"
            )
        if samples.size == 0:
            raise ItemError(f"{self.name}: empty, there is not one sample in it")
        if not np.isfinite(samples).all():
            raise ItemError(f"{self.name}: holds samples that are not finite numbers")
        mono = samples.mean(axis=1, dtype=np.float32)
        if np.ptp(mono) < SILENCE:
            raise ItemError(f"{self.name}: silent from beginning to end")
        notes = [f"{channels} channels averaged"] if channels > 1 else []
        if rate != SAMPLING_RATE:
            notes.append(f"resampled from {rate / 1000:g} kHz")
            mono = resample(mono, rate)
            if mono.size == 0:
                raise ItemError(f"{self.name}: too short to be resampled to 16 kHz")
        return Recording(mono, ", ".join(notes))

    def _open(self) -> Any:
        soundfile = import_soundfile()
        try:
            if self.path.is_dir():
                raise ItemError(f"{self.name}: is a folder, not a recording")
            if self.path.stat().st_size == 0:
                raise ItemError(f"{self.name}: empty, the file has 0 bytes")
            # libsndfile reports a missing permission as an unknown format; open() says what it is.
            with self.path.open("rb"):
                return soundfile.SoundFile(self.path)
        except OSError as error:
            raise ItemError(self._unreadable(error)) from error
        except RuntimeError as error:
            message = f"{self.name}: not audio, damaged, or in a format that libsndfile cannot read"
            raise ItemError(f"{message}: {_cause(error)}") from error

    def _span(self, file: Any) -> tuple[int, int]:
        """First and last-plus-one frame to decode, checked against the header."""
        rate, frames = int(file.samplerate), int(file.frames)
        if frames == 0:
            raise ItemError(f"{self.name}: empty, its header announces 0 samples")
        for claimed, real in _CLAIM.findall(file.extra_info):
            missing = (int(claimed) - int(real)) / max(int(real), 1) * frames / rate
            if int(claimed) < _STREAMED and missing > TOLERANCE:
                raise ItemError(
                    f"{self.name}: cut short: the header announces {int(claimed)} bytes of sound, "
                    f"the file holds {real}"
                )
        total = frames / rate
        start = self.offset or 0.0
        stop = total if self.duration is None else start + self.duration
        if start < 0 or start >= total:
            raise ItemError(
                f"{self.name}: starts at {start:g} s, the recording ends at {total:.2f} s"
            )
        if stop > total + TOLERANCE:
            raise ItemError(f"{self.name}: ends at {stop:g} s, the recording at {total:.2f} s")
        if stop > total - TOLERANCE:
            stop = total
        return round(start * rate), round(stop * rate)

    def _unreadable(self, error: OSError) -> str:
        if isinstance(error, FileNotFoundError):
            return f"{self.name}: there is no such file"
        return f"{self.name}: cannot be read: {error.strerror or error}"


def import_soundfile() -> Any:
    """Import soundfile when a recording is first touched.

    Raises:
        MissingExtraError: It is not installed.
    """
    try:
        import soundfile
    except (ImportError, OSError) as error:  # OSError: the wheel lacks its libsndfile
        raise MissingExtraError("Reading recordings", "audio") from error
    return soundfile


def resample(samples: NDArray[np.float32], rate: int) -> NDArray[np.float32]:
    """Resample mono float32 samples from ``rate`` Hz to 16 kHz with soxr, high quality.

    Raises:
        MissingExtraError: soxr is not installed.
    """
    try:
        import soxr
    except ImportError as error:
        raise MissingExtraError("Resampling recordings", "audio") from error
    out: NDArray[np.float32] = soxr.resample(samples, rate, SAMPLING_RATE, quality="HQ")
    return out.astype(np.float32, copy=False)


@lru_cache(maxsize=4096)
def _sha256(path: Path, size: int, modified: int) -> str:
    # Size and time are only the key: segments of one long file must not hash it again and again.
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _cause(error: Exception) -> str:
    text = getattr(error, "error_string", "") or str(error) or type(error).__name__
    return os.fspath(text).strip().rstrip(".")
