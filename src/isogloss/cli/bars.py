"""Progress on a terminal: bars that move."""

import time
from dataclasses import dataclass

from rich.cells import cell_len, set_cell_size
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from isogloss.cli.meter import PARTS, Counting, Meter, told_memory
from isogloss.cli.words import count, pace, plain, span

_BAR, _NAME = 20, 30
_NARROW = 80
"""Columns of a terminal below which there are no bars."""


@dataclass(frozen=True)
class _Signs:
    """What can be drawn in the encoding of a terminal."""

    turning: str
    well: str
    badly: str
    bar: str
    empty: str
    cut: str


_MANY = _Signs("⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏", "✓", "✗", "━", "─", "…")
_FEW = _Signs("|/-\\", "+", "x", "#", "-", ".")


@dataclass(frozen=True)
class _Row:
    sign: Text
    name: str
    share: float | None
    """Done part, for those that have a bar."""
    numbers: tuple[str, str, str, str]
    """Amount, per cent, rate, time."""
    detail: Text
    dim: bool = False


class Bars(Counting):
    """Live progress for a terminal: a bar for each task, a line for each part, and memory.

    Args:
        console: The terminal.
    """

    def __init__(self, console: Console) -> None:
        super().__init__()
        self._console = console
        self._signs = _MANY if console.encoding.startswith("utf") else _FEW
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
            if meter is None or not whole:
                return
            row = self._ended(task, meter, time.monotonic())
        if self._live.is_started:
            self._live.refresh()  # else it stands there twice until the next picture
        self._console.print(self._laid_out([row]))

    def note(self, message: str) -> None:
        """Print a line above the bars."""
        self._console.print(Text(plain(message)))

    def warn(self, message: str) -> None:
        """Print a warning above the bars."""
        self._console.print(Text.assemble(("warning: ", "yellow"), plain(message)))

    def _drawn(self) -> RenderableType:
        with self._lock:
            now, rows, more = time.monotonic(), list[_Row](), 0
            for name, meter in self._board.whole().items():
                rows.append(self._row(name, meter, now))
                parts = self._board.parts(name)
                rows += [
                    self._row(f"  {part}", own, now, part=True)
                    for part, own in list(parts.items())[:PARTS]
                ]
                more += max(len(parts) - PARTS, 0)
            if not rows:
                return Text()
            below = [f"and {more} more"] if more else []
            held = "  " + "; ".join([*below, told_memory(self._board)])
            return Group(self._laid_out(rows), Text(self._cut(held, self._width), "dim"))

    @property
    def _width(self) -> int:
        return max(self._console.width - 1, 20)

    def _row(self, name: str, meter: Meter, now: float, *, part: bool = False) -> _Row:
        rate, left = meter.rate(now), meter.left(now)
        turning = self._signs.turning
        sign = " " if part else turning[int(now * 8) % len(turning)]
        stalled = f"nothing new for {span(now - meter.moved)}" if meter.stalled(now) else ""
        return _Row(
            Text(sign, "cyan"),
            plain(name),
            None if part else meter.share,
            (
                f"{count(meter.done)}/{count(meter.total)}",
                f"{int(100 * meter.share)} %",
                pace(rate, meter.unit) if rate else "",
                f"{span(left)} left" if left is not None else "",
            ),
            Text(plain(stalled or meter.detail), "yellow" if stalled else "dim"),
            dim=part,
        )

    def _ended(self, name: str, meter: Meter, now: float) -> _Row:
        signs, rate = self._signs, meter.mean_rate(now)
        row = self._row(name, meter, now)
        good = meter.done >= meter.total
        sign = Text(signs.well, "green") if good else Text(signs.badly, "red")
        took = (pace(rate, meter.unit) if rate else "", f"in {span(now - meter.began)}")
        return _Row(sign, row.name, row.share, (*row.numbers[:2], *took), Text())

    def _laid_out(self, rows: list[_Row]) -> Text:
        """Rows in columns. Numbers are never cut; bars and details give way to them."""
        bar = _BAR if self._width >= _NARROW else 0
        sizes = [max(len(row.numbers[i]) for row in rows) for i in range(4)]
        room = self._width - 2 - sum(sizes) - len(sizes) - (bar + 1 if bar else 0)
        longest = max(cell_len(row.name) for row in rows)
        wide = max(min(max(longest, 22 if bar else 14), _NAME, room), 6)
        lines = []
        for row in rows:
            line = Text.assemble(row.sign, " ")
            line.append(self._cut(row.name, wide, fill=True), "dim" if row.dim else "")
            if bar:
                line.append(" ").append(self._bar(row.share, bar))
            for number, size in zip(row.numbers, sizes, strict=True):
                line.append(f" {number:>{size}}")
            left = self._width - line.cell_len - 1
            if left >= 8:
                line.append(" " + self._cut(row.detail.plain, left), row.detail.style)
            line.rstrip()
            lines.append(line)
        return Text("\n", no_wrap=True, overflow="crop").join(lines)

    def _bar(self, share: float | None, size: int) -> Text:
        if share is None:
            return Text(" " * size)
        full = int(share * size)
        return Text.assemble(
            (self._signs.bar * full, "green" if share >= 1 else "cyan"),
            (self._signs.empty * (size - full), "dim"),
        )

    def _cut(self, text: str, size: int, *, fill: bool = False) -> str:
        if cell_len(text) > size:
            text = set_cell_size(text, size - 1) + self._signs.cut
        return set_cell_size(text, size) if fill else text
