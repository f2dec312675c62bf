"""Bounds for tests of hostile input: what hangs or takes the memory fails instead."""

import signal
import tracemalloc
from contextlib import contextmanager


class Hanging(BaseException):
    """It took far longer than it should; no code that is tested can catch it by mistake."""


@contextmanager
def bounded(seconds=30, mebibytes=None):
    """Fail if the block does not end, or if Python and numpy allocate more than allowed."""

    def ring(*_):
        raise Hanging

    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(seconds)
    if mebibytes is not None:
        tracemalloc.start()
    try:
        yield
        if mebibytes is not None:
            assert tracemalloc.get_traced_memory()[1] < mebibytes * 2**20
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
        if mebibytes is not None:
            tracemalloc.stop()
