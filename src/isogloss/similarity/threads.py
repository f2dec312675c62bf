"""Run linear algebra on one BLAS thread, so that its rounding never depends on the machine."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from threadpoolctl import OpenBLASController, ThreadpoolController

_lock = threading.Lock()
_inside = 0
_before: list[tuple[Any, int]] = []
_here = threading.local()


@cache
def _libraries(shared: bool) -> list[Any]:
    """The BLAS libraries in use whose number of threads is the whole process's, or a thread's."""
    found = ThreadpoolController().select(user_api="blas").lib_controllers
    return [
        lib
        for lib in found
        if shared != (lib.internal_api == "mkl" or getattr(lib, "threading_layer", "") == "openmp")
    ]


def _limit(shared: bool) -> list[tuple[Any, int]]:
    """Set the libraries to one thread; return those that had more, with their number."""
    changed = [(lib, lib.num_threads) for lib in _libraries(shared) if lib.num_threads != 1]
    _set([(lib, 1) for lib, _ in changed])
    return changed


def _set(numbers: list[tuple[Any, int]]) -> None:
    # threadpoolctl lets one thread at a time set OpenBLAS and silently ignores the others; here
    # the lock keeps order, and the thread that enters first need not be the one that leaves last.
    release = getattr(OpenBLASController, "clear_controlling_thread", None)
    for lib, number in numbers:
        if release:
            release(force=True)
        lib.set_num_threads(number)
        if release:
            release(force=True)


@contextmanager
def one_thread() -> Iterator[None]:
    """Limit BLAS to one thread while any thread is inside, then restore what was set before.

    A BLAS that splits a sum over threads rounds it differently with each number of threads. These
    matrices are small, so parallel work is over pairs of views, not inside one of them.
    """
    global _inside, _before
    if getattr(_here, "inside", False):
        yield
        return
    own = _limit(shared=False)
    with _lock:
        if _inside == 0:
            _before = _limit(shared=True)
        _inside += 1
    _here.inside = True
    try:
        yield
    finally:
        _here.inside = False
        with _lock:
            _inside -= 1
            if _inside == 0:
                _set(_before)
        _set(own)
