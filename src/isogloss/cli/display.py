"""Show the library's events: live bars on a terminal, plain lines elsewhere."""

import time
from dataclasses import dataclass
from typing import Any

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

_EVERY = 10.0
_SHORT = 1.0


class _Rate(ProgressColumn):
    """Units per second."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text(f"{speed:.1f} {task.fields['unit']}/s" if speed else "", style="dim")


class Bars:
    """Progress bars for a terminal."""

    def __init__(self, console: Console) -> None:
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            _Rate(),
            TimeRemainingColumn(compact=True),
            TextColumn("[dim]{task.fields[detail]}"),
            console=console,
        )
        self._tasks: dict[str, Any] = {}

    def __enter__(self) -> "Bars":
        self._progress.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._progress.stop()

    def start(self, task: str, total: float, unit: str) -> None:
        """Add a bar."""
        self._tasks[task] = self._progress.add_task(task, total=total, unit=unit, detail="")

    def advance(self, task: str, amount: float = 1, detail: str = "") -> None:
        """Move a bar."""
        self._progress.update(self._tasks[task], advance=amount, detail=escape(detail))

    def finish(self, task: str) -> None:
        """Stop a bar's clock and empty its detail."""
        self._progress.update(self._tasks[task], detail="")
        self._progress.stop_task(self._tasks[task])

    def note(self, message: str) -> None:
        """Print a line above the bars."""
        self._progress.console.print(message, markup=False, highlight=False)

    def warn(self, message: str) -> None:
        """Print a warning above the bars."""
        text = f"[yellow]warning:[/] {escape(message)}"
        self._progress.console.print(text, highlight=False)


@dataclass
class _Line:
    total: float
    unit: str
    began: float
    shown: float
    done: float = 0.0


class Lines:
    """One plain line when a task begins, every ten seconds, and when it ends."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._tasks: dict[str, _Line] = {}

    def __enter__(self) -> "Lines":
        return self

    def __exit__(self, *exc: object) -> None:
        pass

    def start(self, task: str, total: float, unit: str) -> None:
        """Begin to count; short tasks only show their end."""
        clock = time.monotonic()
        self._tasks[task] = _Line(total, unit, clock, clock)

    def advance(self, task: str, amount: float = 1, detail: str = "") -> None:
        """Count, and print if the last line is old enough."""
        line = self._tasks[task]
        line.done += amount
        clock = time.monotonic()
        if clock - line.shown >= _EVERY:
            line.shown = clock
            self._show(task, line, clock, detail)

    def finish(self, task: str) -> None:
        """Print the last line, unless the task took no time to speak of."""
        line, clock = self._tasks.pop(task), time.monotonic()
        if clock - line.began >= _SHORT:
            self._show(task, line, clock, "")

    def note(self, message: str) -> None:
        """Print a line."""
        self._console.print(message, markup=False, highlight=False)

    def warn(self, message: str) -> None:
        """Print a warning."""
        self._console.print(f"warning: {message}", markup=False, highlight=False)

    def _show(self, task: str, line: _Line, clock: float, detail: str) -> None:
        spent = max(clock - line.began, 1e-9)
        rate = line.done / spent
        parts = [f"{task}: {line.done:.0f} of {line.total:.0f} {line.unit}s", f"{spent:.0f} s"]
        if line.done:
            parts.append(f"{rate:.1f} {line.unit}s/s")
            if line.done < line.total:
                parts.append(f"about {(line.total - line.done) / rate:.0f} s left")
        if detail:
            parts.append(detail)
        self._console.print(", ".join(parts), markup=False, highlight=False)


def display(console: Console | None = None) -> "Bars | Lines":
    """The events receiver that fits where standard error goes."""
    console = console or Console(stderr=True, soft_wrap=True)
    return Bars(console) if console.is_terminal else Lines(console)


def show_table(title: str, columns: list[str], rows: list[list[str]]) -> None:
    """Print a table to standard output, at full width when it is not a terminal."""
    console = Console()
    if not console.is_terminal:
        console = Console(
            width=max(
                200, sum(max(map(len, c), default=0) + 3 for c in zip(columns, *rows, strict=True))
            )
        )
    table = Table(header_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    for i, column in enumerate(columns):
        table.add_column(column, overflow="fold", no_wrap=i == 0)
    for row in rows:
        table.add_row(*(escape(cell) for cell in row))
    if title:
        console.print(title, markup=False, highlight=False)
    console.print(table)


def size(number: float) -> str:
    """A number of bytes for people.

    >>> size(2_500_000)
    '2.5 MB'
    """
    for unit in ("B", "kB", "MB", "GB"):
        if number < 1000:
            return f"{number:.0f} {unit}" if unit == "B" else f"{number:.1f} {unit}"
        number /= 1000
    return f"{number:.1f} TB"


def span(seconds: float) -> str:
    """A duration for people, rounded as an estimate deserves.

    >>> span(4000)
    '1.1 h'
    """
    if seconds < 90:
        return f"{max(seconds, 1):.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
