"""Progress in a log: lines that can be read one by one."""

import threading
import time
from collections.abc import Callable
from typing import IO

from rich.console import Console

from isogloss.cli.meter import PARTS, Counting, Meter, told_memory
from isogloss.cli.words import clock, count, pace, plain, span, written

_OFTEN, _SELDOM, _EARLY = 10.0, 60.0, 600.0
"""Seconds between two lines in the first ten minutes, after them, and those ten minutes."""
_SHORT = 1.0
"""Seconds that a task must have taken for its end to be worth a line."""


class Lines(Counting):
    """Plain lines for a log: each is whole, dated, and says how long everything has taken.

    Notes come at once. Progress comes every ten seconds, every minute after ten minutes, and when
    a task ends that took a second or more.

    Args:
        console: Where to write.
        clock: A steady clock, in seconds.
    """

    def __init__(self, console: Console, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._file: IO[str] = console.file
        self._clock = clock
        self._began = self._shown = clock()
        self._last = ""
        self._over = threading.Event()

    def __enter__(self) -> "Lines":
        # Progress must also be seen while nothing is reported, as when a model takes long to load.
        threading.Thread(target=self._watch, daemon=True, name="progress").start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._over.set()

    def start(self, task: str, total: float, unit: str) -> None:
        """Begin to count."""
        self.resume(task, total, unit, 0)

    def resume(self, task: str, total: float, unit: str, done: float) -> None:
        """Begin to count what is partly there."""
        with self._lock:
            self._board.start(task, total, unit, self._clock(), done)
            if task in self._board.whole():
                self._last = task

    def advance(self, task: str, amount: float = 1, detail: str = "") -> None:
        """Count, and print if the last line is old enough."""
        with self._lock:
            known = self._board.advance(task, amount, detail, self._clock())
            if known and task in self._board.whole():
                self._last = task
                self.look()

    def finish(self, task: str) -> None:
        """Print the last line of a task, unless it took no time to speak of."""
        with self._lock:
            whole, now = task in self._board.whole(), self._clock()
            meter = self._board.finish(task)
            if meter is not None and whole and now - meter.began >= _SHORT:
                self._progress(
                    task, meter, now, meter.mean_rate(now), f"in {clock(now - meter.began)}"
                )

    def note(self, message: str) -> None:
        """Print a line."""
        self._print(message)

    def warn(self, message: str) -> None:
        """Print a warning."""
        self._print(f"warning: {message}")

    def look(self) -> None:
        """Print how far the present task is, if the last line is old enough."""
        with self._lock:
            whole, now = self._board.whole(), self._clock()
            every = _OFTEN if now - self._began < _EARLY else _SELDOM
            if not whole or now - self._shown < every:
                return
            name = self._last if self._last in whole else next(reversed(whole))
            meter, left = whole[name], whole[name].left(now)
            end = f"about {span(left)} left" if left is not None else ""
            self._progress(name, meter, now, meter.rate(now), end, self._under_way(name, now))

    def _watch(self) -> None:
        while not self._over.wait(1.0):
            self.look()

    def _progress(
        self, name: str, meter: Meter, now: float, rate: float | None, end: str, doing: str = ""
    ) -> None:
        done, total = count(meter.done), count(meter.total)
        parts = [
            f"{name}: {done} of {total} {meter.unit}s",
            f"{int(100 * meter.share)} %",
            pace(rate, meter.unit) if rate else "",
            end,
            told_memory(self._board),
        ]
        self._shown = now
        self._print(", ".join(p for p in parts if p) + (f"; {doing}" if doing else ""))

    def _under_way(self, name: str, now: float) -> str:
        meter, parts = self._board.tasks[name], self._board.parts(name)
        said = [
            f"{part} {count(own.done)} of {count(own.total)}"
            for part, own in list(parts.items())[:PARTS]
        ]
        if len(parts) > PARTS:
            said.append(f"and {len(parts) - PARTS} more")
        if not parts and meter.detail:
            said.append(meter.detail)
        if meter.stalled(now):
            said.append(f"nothing new for {span(now - meter.moved)}")
        return ", ".join(said)

    def _print(self, message: str) -> None:
        with self._lock:
            stamp = f"{time.strftime('%Y-%m-%d %H:%M:%S')} +{clock(self._clock() - self._began)}"
            line = written(f"{stamp} {plain(message)}\n", getattr(self._file, "encoding", None))
            # One write for each line, so that those of several processes do not mix.
            self._file.write(line)
            self._file.flush()
