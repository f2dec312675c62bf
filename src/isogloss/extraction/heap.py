"""Keep the memory that a model frees, since it will want it back at once."""

import ctypes
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h
_ALL, _LARGE = (1 << 31) - 1, 1 << 30
_USUAL = 32 << 20
"""What glibc itself moves the threshold to in a process that frees large blocks."""
_lock = threading.Lock()
_depth = 0


@contextmanager
def freed_blocks_kept() -> Iterator[None]:
    """Let malloc keep freed blocks while this lasts; afterwards they go back to the system.

    By default glibc hands a large block back when it is freed, and the system fills the next one
    with zeros, page by page. A model's activations are such blocks, and a quarter of the time of a
    forward pass on a CPU goes there. Elsewhere than with glibc this does nothing.
    """
    global _depth
    libc = _glibc()
    if libc is None:
        yield
        return
    with _lock:
        _depth += 1
        libc.mallopt(_MMAP_THRESHOLD, _LARGE)
        libc.mallopt(_TRIM_THRESHOLD, _ALL)
    try:
        yield
    finally:
        with _lock:
            _depth -= 1
            if _depth == 0:
                libc.mallopt(_MMAP_THRESHOLD, _USUAL)
                libc.mallopt(_TRIM_THRESHOLD, 2 * _USUAL)
                libc.malloc_trim(0)


@cache
def _glibc() -> Any | None:
    if not sys.platform.startswith("linux"):
        return None
    try:
        libc = ctypes.CDLL(None)
        libc.gnu_get_libc_version  # noqa: B018
        libc.malloc_trim.argtypes = [ctypes.c_size_t]
        libc.mallopt.argtypes = [ctypes.c_int, ctypes.c_int]
    except (OSError, AttributeError):
        return None
    return libc
