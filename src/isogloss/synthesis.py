"""Synthetic speech by espeak-ng: the same text gives the same samples, kept in the user's cache.

espeak-ng (GPL-3) is no part of Isogloss. The optional package espeakng-loader brings it as a shared
library, which is called through ctypes.
"""

import ctypes
import hashlib
import io
import json
import locale
import os
import shutil
import sys
import tempfile
import threading
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isogloss.audio import FileClip, import_soundfile, resample
from isogloss.corpora.base import SAMPLING_RATE, Recording
from isogloss.errors import IsoglossError, ItemError, MissingExtraError
from isogloss.storage import atomic

# Values of the engine's public C interface.
_SYNCHRONOUS, _DO_NOT_EXIT, _UTF8, _FROM_CHARACTER = 2, 0x8000, 1, 1
_RATE, _PITCH = 1, 3
_CALLBACK = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p
)

# A change of what is done to the engine's samples gets a new number, and so a new cache entry.
_RECIPE = 1
_engine = threading.Lock()

# Seconds per letter of a script at 175 words a minute, measured over the bundled sentences.
_PACE = {
    "CJK": 0.25, "HANGUL": 0.19, "HIRAGANA": 0.13, "KATAKANA": 0.13, "ETHIOPIC": 0.135,
    "ARABIC": 0.1, "HEBREW": 0.09, "THAI": 0.11,
}  # fmt: skip


@dataclass(frozen=True)
class SynthesisedClip:
    """A text to be spoken by espeak-ng when it is first read, and taken from the cache after that.

    Args:
        text: What to say.
        voice: A voice of espeak-ng, such as ``"de"``, or with a variant, ``"de+f1"``.
        rate: Words per minute, 80 to 450.
        pitch: 0 to 99; 50 is the voice's own.
    """

    text: str
    voice: str
    rate: int = 175
    pitch: int = 50

    @property
    def name(self) -> str:
        """The voice and the beginning of the text."""
        start = self.text if len(self.text) <= 32 else self.text[:31] + "…"
        return f'espeak-ng {self.voice} "{start}"'

    def identity(self) -> str:
        """SHA-256 over the engine's version, voice, rate, pitch and text; nothing is synthesised.

        Raises:
            MissingExtraError: espeakng-loader is not installed.
        """
        value = [_RECIPE, engine_version(), self.voice, self.rate, self.pitch, self.text]
        return hashlib.sha256(json.dumps(value).encode()).hexdigest()

    def seconds(self) -> float:
        """Length in seconds: exact once cached, before that an estimate from the script."""
        with suppress(ItemError):
            return self._cached.seconds()
        return self.expected()

    def expected(self) -> float:
        """Length in seconds as far as the text tells, the same before and after synthesis."""
        letters = sum(
            _PACE.get(unicodedata.name(c, "").partition(" ")[0], 0.072)
            for c in self.text
            if unicodedata.category(c)[0] in "LMN"
        )
        return letters * 175 / self.rate

    def read(self) -> Recording:
        """Synthesise, or take from the cache.

        Returns:
            float32 samples at 16 kHz, on the grid of 16-bit integers, so that the first reading
            and all later ones are equal to the last bit. The loudness is the engine's own.

        Raises:
            ItemError: espeak-ng lacks the voice, or says nothing for this text.
            MissingExtraError: espeakng-loader, soundfile or soxr is not installed.
        """
        note = "synthesised by espeak-ng, resampled from 22.05 kHz"
        # An entry that cannot be read, for whatever reason, is made anew and replaced.
        with suppress(ItemError):
            return Recording(self._cached.read().samples, note)
        spoken, rate = speak(self.text, self.voice, rate=self.rate, pitch=self.pitch)
        if not spoken.any():
            raise ItemError(f"{self.name}: espeak-ng says nothing for this text")
        scale = np.float32(2**15)
        samples = resample(spoken.astype(np.float32) / scale, rate)
        whole = np.clip(np.rint(samples * scale), -scale, scale - 1).astype(np.int16)
        # A full or read-only cache costs time, not the result.
        with suppress(OSError):
            atomic.write_bytes(self._cached.path, _flac(whole))
        return Recording(whole.astype(np.float32) / scale, note)

    @property
    def _cached(self) -> FileClip:
        digest = self.identity()
        return FileClip(cache_folder() / digest[:2] / f"{digest}.flac")


def cache_folder() -> Path:
    """Where synthetic speech is kept: ``speech`` in ``$ISOGLOSS_CACHE`` or the user's cache."""
    given = os.environ.get("ISOGLOSS_CACHE")
    if given:
        return Path(given).expanduser() / "speech"
    from platformdirs import user_cache_path

    return user_cache_path("isogloss") / "speech"


@cache
def engine_version() -> str:
    """Name the engine and the package that brings it: ``espeak-ng 1.52.0, espeakng-loader 0.2.4``.

    Raises:
        MissingExtraError: espeakng-loader is not installed.
        IsoglossError: The engine cannot be started.
    """
    with _engine, _fresh_engine() as (library, _):
        library.espeak_Info.restype = ctypes.c_char_p
        number = library.espeak_Info(None).decode()
    return f"espeak-ng {number}, espeakng-loader {version('espeakng-loader')}"


def speak(text: str, voice: str, *, rate: int, pitch: int) -> tuple[NDArray[np.int16], int]:
    """Synthesise one text with an engine that has spoken nothing before. Thread-safe.

    Args:
        text: What to say.
        voice: A voice of espeak-ng.
        rate: Words per minute.
        pitch: 0 to 99.

    Returns:
        16-bit mono samples and their sampling rate in Hz.

    Raises:
        ItemError: There is no such voice, or the engine refuses the text.
        MissingExtraError: espeakng-loader is not installed.
        IsoglossError: The engine cannot be started.
    """
    pieces: list[bytes] = []

    def receive(samples: Any, count: int, _events: Any) -> int:
        if samples and count > 0:
            pieces.append(ctypes.string_at(samples, 2 * count))
        return 0

    callback = _CALLBACK(receive)  # the engine keeps no reference: it must outlive the call
    with _engine, _fresh_engine() as (library, sampling_rate):
        library.espeak_SetSynthCallback(callback)
        if library.espeak_SetVoiceByName(voice.encode()) != 0:
            raise ItemError(f'espeak-ng has no voice "{voice}"')
        library.espeak_SetParameter(_RATE, rate, 0)
        library.espeak_SetParameter(_PITCH, pitch, 0)
        if hasattr(library, "espeak_ng_SetRandSeed"):
            # Breathy variants draw noise, by default from the clock.
            library.espeak_ng_SetRandSeed(ctypes.c_long(1))
        data = text.replace("\0", " ").encode() + b"\0"
        size = ctypes.c_size_t(len(data))
        status = library.espeak_Synth(data, size, 0, _FROM_CHARACTER, 0, _UTF8, None, None)
        status = status or library.espeak_Synchronize()
    if status != 0:
        raise ItemError(f'espeak-ng {voice} cannot say "{text[:32]}": status {status}')
    return np.frombuffer(b"".join(pieces), dtype=np.int16), sampling_rate


@contextmanager
def _fresh_engine() -> Iterator[tuple[ctypes.CDLL, int]]:
    """Load the shared library, start it, and unload it in the end. Hold the lock meanwhile.

    Phases of the pitch flutter and of the wave, gain and counters live in static variables of the
    library which even its own termination leaves alone: a text would sound different by some bits
    and some milliseconds after each other text. Only a newly loaded library starts from the same
    place, at the cost of a millisecond.
    """
    try:
        import espeakng_loader
    except ImportError as error:
        raise MissingExtraError("Synthetic speech", "tts") from error
    path, data = espeakng_loader.get_library_path(), espeakng_loader.get_data_path()
    with _unshared(path) as image:
        try:
            library = ctypes.CDLL(image)
        except OSError as error:
            raise IsoglossError(f"espeak-ng cannot be loaded from {path}: {error}") from error
        kept = locale.setlocale(locale.LC_CTYPE)  # the engine sets its own
        try:
            start = library.espeak_Initialize
            rate = start(_SYNCHRONOUS, 0, os.fsencode(data), _DO_NOT_EXIT)
            used = ctypes.c_char_p()
            library.espeak_Info.argtypes = [ctypes.POINTER(ctypes.c_char_p)]
            library.espeak_Info(ctypes.byref(used))
            # A path beyond the engine's buffer is ignored without an error.
            if rate <= 0 or used.value != os.fsencode(data):
                raise IsoglossError(
                    f"espeak-ng cannot find its data in {data} (it takes at most about 150 "
                    "characters); install espeakng-loader into an environment with a shorter path"
                )
            yield library, rate
        finally:
            library.espeak_Terminate()
            locale.setlocale(locale.LC_CTYPE, kept)
            _unload(library)


@contextmanager
def _unshared(path: str) -> Iterator[str]:
    """A path of the library under which nobody in this process has loaded it yet."""
    if not _is_loaded(path):
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="isogloss-", ignore_cleanup_errors=True) as folder:
        yield shutil.copy(path, folder)


if sys.platform == "win32":

    def _is_loaded(path: str) -> bool:
        kernel = ctypes.WinDLL("kernel32")
        kernel.GetModuleHandleW.restype = ctypes.c_void_p
        return bool(kernel.GetModuleHandleW(ctypes.c_wchar_p(path)))

    def _unload(library: ctypes.CDLL) -> None:
        from _ctypes import FreeLibrary

        FreeLibrary(library._handle)

else:

    def _is_loaded(path: str) -> bool:
        try:
            _unload(ctypes.CDLL(path, mode=os.RTLD_NOW | os.RTLD_NOLOAD))
        except OSError:
            return False
        return True

    def _unload(library: ctypes.CDLL) -> None:
        from _ctypes import dlclose

        dlclose(library._handle)


def _flac(samples: NDArray[np.int16]) -> bytes:
    buffer = io.BytesIO()
    import_soundfile().write(buffer, samples, SAMPLING_RATE, format="FLAC")
    return buffer.getvalue()
