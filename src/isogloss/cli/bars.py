"""Progress on a terminal: bars that move."""

import threading
import time

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from isogloss.cli.meter import PARTS, Board, Meter, told_memory
from isogloss.cli.words import count, pace, plain, span

_BAR, _NAME = 20, 34


class Bars:
    """Live progress for a terminal: a bar for each task, a line for each part, and memory.

    Args:
        console: The terminal.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._board = Board()
        self._lock = threading.RLock()
        self._spinners: dict[str, Spinner] = {}
        signs = console.encoding.startswith("utf")
        self._turning = "dots" if signs else "line"
        self._well, self._badly = ("✓", "✗") if signs else ("+", "x")
        self._live = Live(
            console=console, get_renderable=self._drawn, refresh_per_second=5, auto_refresh=True
        )

    def __enter__(self) -> "Bars":
        self._live.start()
        return self

    def __exit__(self, *exc: object) -> None:
        # What was under way when everything ended stays on the screen.
        self._live.transient = not self._board.tasks
        self._live.stop()

    def start(self, task: str, total: float, unit: str) -> None:
        """Add a bar or a line."""
        self.resume(task, total, unit, 0)

    def resume(self, task: str, total: float, unit: str, done: float) -> None:
        """Add a bar or a line for what is partly there."""
        with self._lock:
            self._board.start(task, total, unit, time.monotonic(), done)

    def advance(self, task: str, amount: float = 1, detail: str = "") -> None:
        """Move a bar."""
        with self._lock:
            self._board.advance(task, amount, detail, time.monotonic())

    def finish(self, task: str) -> None:
        """Leave a task's last state above those that go on."""
        with self._lock:
            whole = task in self._board.whole()
            meter = self._board.finish(task)
            self._spinners.pop(task, None)
            if meter is None or not whole:
                return
            table = _grid()
            good = meter.done >= meter.total
            sign = Text(self._well, "green") if good else Text(self._badly, "red")
            table.add_row(sign, *_ended(task, meter, time.monotonic()))
        self._console.print(table)

    def found(self, task: str, amount: float) -> None:
        """Count what was there already."""
        with self._lock:
            self._board.found(task, amount)

    def memory(self, holder: str, amount: float) -> None:
        """Remember what another process holds."""
        with self._lock:
            self._board.hold(holder, amount)

    def note(self, message: str) -> None:
        """Print a line above the bars."""
        self._console.print(Text(plain(message)))

    def warn(self, message: str) -> None:
        """Print a warning above the bars."""
        self._console.print(Text.assemble(("warning: ", "yellow"), plain(message)))

    def _drawn(self) -> RenderableType:
        with self._lock:
            now, table, more = time.monotonic(), _grid(), 0
            for name, meter in self._board.whole().items():
                spinner = self._spinners.setdefault(name, Spinner(self._turning))
                table.add_row(spinner, *_row(name, meter, now))
                parts = self._board.parts(name)
                for part, own in list(parts.items())[:PARTS]:
                    table.add_row("", *_row(f"  {part}", own, now, part=True))
                more += max(len(parts) - PARTS, 0)
            if not table.row_count:
                return Text()
            below = [f"and {more} more"] if more else []
            return Group(table, Text("  " + "; ".join([*below, told_memory(self._board)]), "dim"))


def _grid() -> Table:
    table = Table.grid(padding=(0, 1), pad_edge=False)
    table.add_column(width=1)
    table.add_column(no_wrap=True, overflow="ellipsis", max_width=_NAME)
    table.add_column(width=_BAR)
    for _ in range(4):
        table.add_column(no_wrap=True, justify="right")
    table.add_column(no_wrap=True, overflow="ellipsis", style="dim")
    return table


def _row(name: str, meter: Meter, now: float, *, part: bool = False) -> list[RenderableType]:
    rate, left = meter.rate(now), meter.left(now)
    bar = "" if part else ProgressBar(max(meter.total, 1e-9), meter.done, width=_BAR)
    stalled = f"nothing new for {span(now - meter.moved)}" if meter.stalled(now) else ""
    return [
        Text(plain(name), "dim" if part else ""),
        bar,
        f"{count(meter.done)}/{count(meter.total)}",
        f"{int(100 * meter.share)} %",
        pace(rate, meter.unit) if rate else "",
        f"{span(left)} left" if left is not None else "",
        Text(plain(stalled or meter.detail), "yellow" if stalled else ""),
    ]


def _ended(name: str, meter: Meter, now: float) -> list[RenderableType]:
    row = _row(name, meter, now)
    rate = meter.mean_rate(now)
    row[4:] = [pace(rate, meter.unit) if rate else "", span(now - meter.began), ""]
    return row
