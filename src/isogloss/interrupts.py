"""Ask work to stop at a point where nothing is lost, instead of tearing it down.

A first Ctrl-C, or a scheduler's warning, asks; what is under way ends its batch and commits. A
second one ends everything at once, which loses no more than that batch.
"""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from isogloss.events import Events

ASKING = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGUSR1") if hasattr(signal, name)
)
"""Signals that ask to stop: a user's Ctrl-C, a scheduler's end, and its warning before a limit."""

_ONCE = 0.2
"""Seconds within which signals count as one: wrappers signal a process and then its group."""


class Interrupted(KeyboardInterrupt):
    """Work ended early because it was asked to; what was finished is committed.

    Its text, if any, says what is kept.
    """

    signal: int = int(signal.SIGINT)
    """The signal that asked."""


class Ended(KeyboardInterrupt):
    """Work is torn down by a signal.

    Args:
        number: The signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__()
        self.signal = int(number)


class Stop:
    """A request to end after the current batch. Calling it says whether it has been made."""

    # A plain attribute and no threading.Event: a signal handler interrupts the main thread
    # anywhere, also where it holds the lock that Event.set would then wait for.
    signal: int | None = None
    """The signal that asked, if it was one."""

    def __init__(self) -> None:
        self._asked = False

    def __call__(self) -> bool:
        """Whether to stop."""
        return self._asked

    def ask(self, signal: int | None = None) -> None:
        """Ask for it. Safe in a signal handler and from any thread.

        Args:
            signal: The signal that asks, if it is one.
        """
        self.signal = self.signal or signal
        self._asked = True


_outer: Stop | None = None


@contextmanager
def stoppable(events: Events) -> Iterator[Stop]:
    """Let signals ask for a stop while the body runs.

    The first of :data:`ASKING` asks and says so; the next raises :class:`Ended` in the main thread.
    Signals that the process was started to ignore stay ignored, as for a command in the background.
    Inside another ``stoppable`` this is that one. Outside the main thread no signal can be taken.

    Args:
        events: Told when a stop is asked for.

    Yields:
        The request. An :class:`Interrupted` that leaves the body learns which signal it was.
    """
    global _outer
    if _outer is not None:
        yield _outer
        return
    stop, spoken = Stop(), list[threading.Thread]()
    first = float("inf")

    def ask(number: int, frame: FrameType | None) -> None:
        nonlocal first
        if time.monotonic() - first > _ONCE:
            raise Ended(number)
        if stop():
            return
        stop.ask(number)
        first = time.monotonic()
        name = "" if number == signal.SIGINT else f"{signal.Signals(number).name}: "
        text = f"{name}stopping after this batch; once more stops at once"
        # Not from here: the receiver may be interrupted in the middle of printing a line.
        teller = threading.Thread(target=events.note, args=(text,), daemon=True)
        teller.start()
        spoken.append(teller)

    with _handled(ask) as taken:
        _outer = stop if taken else None
        try:
            yield stop
        except Interrupted as error:
            error.signal = stop.signal or error.signal
            raise
        finally:
            if taken:
                _outer = None
            for teller in spoken:
                teller.join(1.0)


@contextmanager
def ending() -> Iterator[None]:
    """Let SIGTERM unwind the body by :class:`Ended`, so that files are closed and removed."""

    def end(number: int, frame: FrameType | None) -> None:
        raise Ended(number)

    with _handled(end, (signal.SIGTERM,)):
        yield


def leave_to_parent() -> None:
    """Ignore the signals that ask to stop; for processes that only serve another one.

    Ctrl-C and schedulers signal all processes of a job at once. Helpers that died of it would take
    with them the batch that their parent wants to finish. They end when their parent tells them.
    """
    for number in ASKING:
        signal.signal(number, signal.SIG_IGN)


@contextmanager
def _handled(
    handler: Callable[[int, FrameType | None], None], numbers: tuple[int, ...] = ASKING
) -> Iterator[bool]:
    """Handle signals in the body, in this process. Yields whether that is possible."""
    if threading.current_thread() is not threading.main_thread():
        yield False
        return
    owner = os.getpid()

    def mine(number: int, frame: FrameType | None) -> None:
        if os.getpid() == owner:
            handler(number, frame)
        elif number != signal.SIGINT:
            # A forked child has this handler too, and must die when it is told to.
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)

    former: dict[int, Any] = {n: signal.getsignal(n) for n in numbers}
    # None: a handler that was not set from Python and could not be put back.
    taken = [n for n in numbers if former[n] not in (signal.SIG_IGN, None)]
    for number in taken:
        signal.signal(number, mine)
    try:
        yield True
    finally:
        for number in taken:
            signal.signal(number, former[number])
