"""How the library tells its caller what it is doing, without printing anything.

**Tasks.** A task has a name, a total and a unit of counting. A name with ``" / "`` in it is a part
of the task before it, and may come and go while that goes on. Extraction says

    start("extract", 4000, "input")                  all units of the run
    advance("extract", 0, "loading the speech encoder")
    start("extract / deu speech", 500, "input")      for every unit that is under way
    advance("extract / deu speech", 16)              and, each time,
    advance("extract", 16, "deu speech")
    finish("extract / deu speech")
    finish("extract")

An advance by 0 says what is being done now: loading, waiting for others.

**What was there before.** A rate is what this run does in its time. What an earlier run left must
not count in it, so a task that is taken up again begins with :func:`begin` (or :func:`task`) and
``done``; what is found only under way is told by :func:`found`.

**Memory.** The receiver knows the memory of its own process. That of workers elsewhere it learns
from :func:`memory`.

A receiver needs the five methods of :class:`Events`. Those of :class:`Watching` are for receivers
that want to know more; the functions below do without where they are missing.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol, runtime_checkable

PART = " / "
"""Stands between the name of a task and that of its part."""


class Events(Protocol):
    """Receives progress and notes. The command line draws them; a notebook may ignore them.

    Methods may be called from any thread.
    """

    def start(self, task: str, total: float, unit: str) -> None:
        """A task begins: its name, how much there is to do, and in what unit."""

    def advance(self, task: str, amount: float = 1, detail: str = "") -> None:
        """Some of a task is done; ``detail`` says what is being worked on."""

    def finish(self, task: str) -> None:
        """A task has ended, well or not."""

    def note(self, message: str) -> None:
        """Something worth a line."""

    def warn(self, message: str) -> None:
        """Something the user should act on."""


@runtime_checkable
class Watching(Events, Protocol):
    """A receiver that also knows what was there before, and where memory goes."""

    def resume(self, task: str, total: float, unit: str, done: float) -> None:
        """A task begins of which ``done`` was there before, and must not count in its rate."""

    def found(self, task: str, amount: float) -> None:
        """Some of a task turns out to be there already, and must not count in its rate."""

    def memory(self, holder: str, amount: float) -> None:
        """A process other than the receiver's holds so many bytes; 0 once it has gone."""


class Silent:
    """Ignores everything. The default of the library."""

    def start(self, task: str, total: float, unit: str) -> None:
        """Do nothing."""

    def advance(self, task: str, amount: float = 1, detail: str = "") -> None:
        """Do nothing."""

    def finish(self, task: str) -> None:
        """Do nothing."""

    def note(self, message: str) -> None:
        """Do nothing."""

    def warn(self, message: str) -> None:
        """Do nothing."""


def begin(events: Events, name: str, total: float, unit: str, done: float = 0) -> None:
    """Announce a task of which some may be there already.

    A receiver that knows no ``resume`` is told of what is left only.

    Args:
        events: The receiver.
        name: The task, or ``task / part``.
        total: How much there is to do, with what is done.
        unit: What is counted, in the singular.
        done: How much was there before.
    """
    if done and isinstance(events, Watching):
        events.resume(name, total, unit, done)
    else:
        events.start(name, total - done, unit)


def found(events: Events, name: str, amount: float) -> None:
    """Say that some of a task was there before, as the rows that a killed worker had kept.

    Args:
        events: The receiver.
        name: The task.
        amount: How much.
    """
    if isinstance(events, Watching):
        events.found(name, amount)
    else:
        events.advance(name, amount)


def memory(events: Events, holder: str, amount: float) -> None:
    """Say how much memory another process holds, if the receiver wants to know.

    Args:
        events: The receiver.
        holder: Names the process, such as ``node7 4711``.
        amount: Bytes; 0 once it has gone.
    """
    if isinstance(events, Watching):
        events.memory(holder, amount)


@contextmanager
def task(events: Events, name: str, total: float, unit: str, done: float = 0) -> Iterator[None]:
    """Announce a task and its end, whatever happens in between; see :func:`begin`."""
    begin(events, name, total, unit, done)
    try:
        yield
    finally:
        events.finish(name)
