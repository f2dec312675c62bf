"""Show the library's events: live bars on a terminal, plain lines elsewhere."""

from contextlib import suppress
from typing import IO, Any

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from isogloss.cli.bars import Bars
from isogloss.cli.harmless import harmless
from isogloss.cli.lines import Lines
from isogloss.cli.words import size, span

__all__ = ["Bars", "Lines", "display", "show_table", "size", "span"]


class _Lasting:
    """A stream whose loss does not end the work: a full disk, a terminal that was closed."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write, or do not."""
        with suppress(OSError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Flush, or do not."""
        with suppress(OSError):
            self._stream.flush()


def display(console: Console | None = None) -> "Bars | Lines":
    """The events receiver that fits where standard error goes."""
    if console is None:
        found = Console(stderr=True)
        console = Console(file=_Lasting(found.file))  # type: ignore[arg-type]
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
        table.add_row(*(escape(harmless(cell)) for cell in row))
    if title:
        console.print(harmless(title), markup=False, highlight=False)
    console.print(table)
