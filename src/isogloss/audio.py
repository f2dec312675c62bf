"""Recordings on disk: found, checked and decoded to 16 kHz mono, one at a time."""

import hashlib
import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isogloss.corpora.base import SAMPLING_RATE, Recording
from isogloss.digests import file_digest
from isogloss.errors import ItemError, MissingExtraError
from isogloss.guarded import open_regular

SILENCE = 1e-4
"""A recording whose samples stay within a range this wide holds nothing (full scale is 2)."""
TOLERANCE = 0.1
"""Seconds by which a header or a manifest may miss the true end of a recording."""
LONGEST = 600.0
"""Seconds of the longest recording that is decoded, unless more is asked for."""
RATES = (1_000, 768_000)
"""Lowest and highest sampling rate, in Hz."""
MOST_CHANNELS = 64
MOST_FRAMES = 2**26
"""Samples of one channel: 268 MB while they are decoded, 11 minutes at 96 kHz."""
LOUDEST = 1e6
"""Largest sample; full scale is 1, or 32768 in files of floats that were not scaled."""
_BLOCK = 2**20
"""Samples of all channels together that are decoded at a time."""

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
        longest: Seconds of the longest recording that is decoded.
    """

    path: Path
    offset: float | None = None
    duration: float | None = None
    longest: float = LONGEST

    @property
    def name(self) -> str:
        """The path, and the part of the file if it is not all of it."""
        if self.offset is None and self.duration is None:
            return str(self.path)
        end = "" if self.duration is None else f"{(self.offset or 0) + self.duration:g}"
        return f"{self.path} [{self.offset or 0:g}-{end} s]"

    def identity(self) -> str:
        """SHA-256 over the digest of the file's bytes, the offset and the duration.

        ``longest`` counts where it is not the usual one, since it decides what can be used.

        Raises:
            ItemError: The file is missing, cannot be read, or is no regular file.
        """
        try:
            content = file_digest(self.path)
        except OSError as error:
            raise ItemError(self._unreadable(error)) from error
        bound = [] if self.longest == LONGEST else [self.longest]
        value = json.dumps([content, self.offset, self.duration, *bound])
        return hashlib.sha256(value.encode()).hexdigest()

    def seconds(self) -> float:
        """Length in seconds, from the header alone.

        Raises:
            ItemError: The file is missing, is no audio, is cut short, ends before ``offset``, or
                is longer or of another form than anything that can be one sentence.
        """
        with self._open() as file:
            start, stop = self._span(file)
            return (stop - start) / int(file.samplerate)

    def read(self) -> Recording:
        """Decode to 16 kHz mono.

        Raises:
            ItemError: The file is missing, is no audio, is shorter than its header or its row
                says, is longer than ``longest``, or holds no samples, only silence, or samples
                that are not finite.
        """
        with self._open() as file:
            start, stop = self._span(file)
            rate, channels = int(file.samplerate), int(file.channels)
            try:
                file.seek(start)
                mono = self._decode(file, stop - start)
            except (OSError, RuntimeError) as error:
                raise ItemError(
                    f"{self.name}: damaged, decoding stopped: {_cause(error)}"
                ) from error
        if len(mono) < stop - start - TOLERANCE * rate:
            raise ItemError(
                f"{self.name}: cut short: {len(mono) / rate:.2f} s could be decoded "
                f"where {(stop - start) / rate:.2f} s are announced"
            )
        if mono.size == 0:
            raise ItemError(f"{self.name}: empty, there is not one sample in it")
        if np.ptp(mono) < SILENCE:
            raise ItemError(f"{self.name}: silent from beginning to end")
        notes = [f"{channels} channels averaged"] if channels > 1 else []
        if rate != SAMPLING_RATE:
            notes.append(f"resampled from {rate / 1000:g} kHz")
            mono = resample(mono, rate)
            if mono.size == 0:
                raise ItemError(f"{self.name}: too short to be resampled to 16 kHz")
        return Recording(mono, ", ".join(notes))

    def _decode(self, file: Any, frames: int) -> NDArray[np.float32]:
        """The mean of the channels, block by block: a header's claim allocates nothing."""
        size = max(1, _BLOCK // int(file.channels))
        blocks = [np.empty(0, np.float32)]
        while frames > 0:
            block = file.read(min(size, frames), dtype="float32", always_2d=True)
            if not len(block):
                break
            if not np.isfinite(block).all():
                raise ItemError(f"{self.name}: holds samples that are not finite numbers")
            if (loudest := np.abs(block).max()) > LOUDEST:
                raise ItemError(
                    f"{self.name}: holds a sample of {loudest:.2g}, where full scale is 1; "
                    "it is damaged, or was not written as sound"
                )
            blocks.append(block.mean(axis=1, dtype=np.float32))
            frames -= len(block)
        return np.concatenate(blocks)

    def _open(self) -> Any:
        soundfile = import_soundfile()
        try:
            if self.path.is_dir():
                raise ItemError(f"{self.name}: is a folder, not a recording")
            # libsndfile reports a missing permission as an unknown format, and waits for a pipe.
            with open_regular(self.path) as file:
                if os.fstat(file.fileno()).st_size == 0:
                    raise ItemError(f"{self.name}: empty, the file has 0 bytes")
            return soundfile.SoundFile(self.path)
        except OSError as error:
            raise ItemError(self._unreadable(error)) from error
        except RuntimeError as error:
            message = f"{self.name}: not audio, damaged, or in a format that libsndfile cannot read"
            raise ItemError(f"{message}: {_cause(error)}") from error

    def _span(self, file: Any) -> tuple[int, int]:
        """First and last-plus-one frame to decode, checked against the header."""
        rate, frames, channels = int(file.samplerate), int(file.frames), int(file.channels)
        if not RATES[0] <= rate <= RATES[1]:
            raise ItemError(
                f"{self.name}: its header announces {rate} Hz; sound has {RATES[0]} to {RATES[1]}"
            )
        if channels > MOST_CHANNELS:
            raise ItemError(
                f"{self.name}: its header announces {channels} channels; at most {MOST_CHANNELS} "
                "are averaged"
            )
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
        if stop - start > self.longest:
            raise ItemError(
                f"{self.name}: lasts {stop - start:.0f} s, the longest recording that is used "
                f"{self.longest:g} s; cut it into sentences, or raise corpus.longest in a manifest"
            )
        if (stop - start) * rate > MOST_FRAMES:
            raise ItemError(
                f"{self.name}: has {(stop - start) * rate:.0f} samples; at most {MOST_FRAMES} "
                "are decoded: resample it to 16 kHz"
            )
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


def _cause(error: Exception) -> str:
    text = getattr(error, "error_string", "") or str(error) or type(error).__name__
    return os.fspath(text).strip().rstrip(".")
