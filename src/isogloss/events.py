"""How the library tells its caller what it is doing, without printing anything."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol


class Events(Protocol):
    """Receives progress and notes. The command line draws them; a notebook may ignore them."""

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


@contextmanager
def task(events: Events, name: str, total: float, unit: str) -> Iterator[None]:
    """Announce a task and its end, whatever happens in between."""
    events.start(name, total, unit)
    try:
        yield
    finally:
        events.finish(name)
