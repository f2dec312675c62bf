"""Ask work to stop at a point where nothing is lost, instead of tearing it down."""

from threading import Event


class Interrupted(KeyboardInterrupt):
    """Work ended early because it was asked to; what was finished is committed."""


class Stop:
    """A request to end after the current batch. Calling it says whether it has been made."""

    def __init__(self) -> None:
        self._asked = Event()

    def __call__(self) -> bool:
        """Whether to stop."""
        return self._asked.is_set()

    def ask(self) -> None:
        """Ask for it. Safe in a signal handler and from any thread."""
        self._asked.set()
