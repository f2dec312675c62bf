"""Read a table whose cells are text or JSON values: JSON lines, CSV, TSV or Parquet."""

import csv
import io
import itertools
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isogloss import guarded
from isogloss.corpora._parquet import plain_columns, read_frame, readable
from isogloss.errors import CorpusError, choices

if TYPE_CHECKING:
    import polars as pl

Row = dict[str, Any]

LARGEST = 2**30
"""Bytes of the largest manifest, unpacked: a row for each second of a hundred days of speech."""
LONGEST = 2**20
"""Bytes of its longest line; a cell of CSV may have 131072 characters."""
MOST_COLUMNS = 1000


@dataclass(frozen=True)
class Table:
    """A table in memory."""

    path: Path
    columns: tuple[str, ...]
    nested: tuple[str, ...]
    """Columns of lists or objects, such as embedded audio. They are not read."""
    rows: tuple[tuple[int, Row], ...]
    """Number and cells of each row; the number is that of the line in JSON lines, else from 1."""
    unit: str
    """What the numbers count: ``line`` or ``row``."""

    def where(self, number: int) -> str:
        """The file and a row of it, for messages."""
        return f"{self.path} {self.unit} {number}"


def read_table(path: Path) -> Table:
    """Read a table by its suffix.

    Raises:
        CorpusError: The file is missing, has another suffix, or is damaged; the message names the
            row.
    """
    readers: dict[str, Callable[[Path], Table]] = {
        ".jsonl": _read_jsonl,
        ".jsonl.gz": _read_jsonl,
        ".csv": _read_csv,
        ".tsv": _read_tsv,
        ".parquet": _read_parquet,
    }
    name = path.name.lower()
    suffix = next((s for s in readers if name.endswith(s)), None)
    if suffix is None:
        raise CorpusError(
            f"{path}: a manifest ends in {choices(readers)}; rename it or convert it to one of them"
        )
    if path.is_dir() or not path.exists():
        what = "is a folder" if path.is_dir() else "does not exist"
        raise CorpusError(f"{path}: the manifest {what} (looked up from {Path.cwd()})")
    try:
        table = readers[suffix](path)
    except OSError as error:
        raise CorpusError(f"{path}: cannot be read: {error.strerror or error}") from error
    _refuse_columns(path, len(table.columns) + len(table.nested))
    if not table.rows:
        raise CorpusError(f"{path}: the manifest has no rows")
    return table


def _refuse_columns(path: Path, count: int, where: str = "") -> None:
    if count > MOST_COLUMNS:
        raise CorpusError(
            f"{path}{where}: has {count} columns or more; a manifest has at most {MOST_COLUMNS}"
        )


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """The lines of a text file by number, each with the line break at its end.

    Not splitlines(): a text may hold U+2028 or U+0085, which are no ends of lines here.
    """
    for number, data in guarded.lines(path, most=LARGEST, longest=LONGEST):
        try:
            line = data.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            raise CorpusError(
                f"{path} line {number}: is not UTF-8; save the file as UTF-8"
            ) from error
        yield number, line


def _read_jsonl(path: Path) -> Table:
    rows: list[tuple[int, Row]] = []
    columns: dict[str, None] = {}
    nested: set[str] = set()
    for number, line in _lines(path):
        if not line.strip():
            continue
        try:
            row = guarded.parse_json(line, once=True)
        except ValueError as error:
            raise CorpusError(f"{path} line {number}: is no JSON: {error}") from error
        if not isinstance(row, dict):
            raise CorpusError(
                f"{path} line {number}: is {_kind(row)}, not an object; JSON lines hold one "
                'object a line, such as {"id": 1, "lang": "deu", "text": "…"}'
            )
        columns.update(dict.fromkeys(row))
        _refuse_columns(path, len(columns), f" line {number}")
        nested.update(c for c, cell in row.items() if isinstance(cell, dict | list))
        rows.append((number, row))
    flat = tuple(c for c in columns if c not in nested)
    return Table(path, flat, tuple(c for c in columns if c in nested), tuple(rows), "line")


def _read_csv(path: Path) -> Table:
    return _separated(path, csv.reader(_broken(_lines(path)), strict=True))


def _read_tsv(path: Path) -> Table:
    lines = _lines(path)
    first = next(lines, (1, ""))
    rest = itertools.chain([first], lines)
    if first[1].startswith('"'):
        return _separated(path, csv.reader(_broken(rest), delimiter="\t", strict=True))
    # In tables of transcripts a quotation mark is a letter like others, and often stands alone.
    rows = (line.removesuffix("\n").rstrip("\r") for _, line in rest)
    return _separated(path, ([_unquote(c) for c in r.split("\t")] if r else [] for r in rows))


def _broken(lines: Iterator[tuple[int, str]]) -> Iterator[str]:
    """Lines as the csv module expects them, which may end in a carriage return alone."""
    for _, line in lines:
        yield from io.StringIO(line, newline="")


def _unquote(cell: str) -> str:
    """Undo the quoting that writers apply to a cell for the marks in it, and nothing else."""
    if cell == '""':
        return ""
    if re.fullmatch(r'"(?:[^"]*"")+[^"]*"', cell):
        return cell[1:-1].replace('""', '"')
    return cell


def _separated(path: Path, lines: Iterator[list[str]]) -> Table:
    columns: list[str] = []
    rows: list[tuple[int, Row]] = []
    number = 0
    try:
        for cells in lines:
            if not cells:
                continue
            if not columns:
                _refuse_columns(path, len(cells), " header")
                columns = [c.strip() for c in cells]
                twice = sorted({c for c in columns if c and columns.count(c) > 1})
                if twice:
                    raise CorpusError(f'{path}: column "{twice[0]}" appears twice in the header')
                continue
            number += 1
            if len(cells) != len(columns):
                raise CorpusError(
                    f"{path} row {number}: has {len(cells)} cells, the header has {len(columns)}; "
                    "a cell that holds the separator or a line break needs quoting "
                    "(JSON lines avoid the problem)"
                )
            rows.append((number, dict(zip(columns, cells, strict=True))))
    except csv.Error as error:
        raise CorpusError(
            f"{path} row {number + 1}: is not valid CSV: {error}; a quotation mark inside a quoted "
            "cell is written twice"
        ) from error
    return Table(path, tuple(columns), (), tuple(rows), "row")


def _read_parquet(path: Path) -> Table:
    flat: list[str] = []
    nested: list[str] = []

    def wanted(schema: "pl.Schema") -> list[str]:
        _refuse_columns(path, len(schema))
        flat.extend(plain_columns(schema))  # embedded audio can be gigabytes
        nested.extend(name for name in schema if name not in flat)
        return flat

    frame = read_frame(path, wanted)
    with readable(path):
        rows = tuple(enumerate(frame.iter_rows(named=True), 1))
    return Table(path, tuple(flat), tuple(nested), rows, "row")


def _kind(value: Any) -> str:
    names = {list: "a list", str: "a string", bool: "a truth value", type(None): "null"}
    return names.get(type(value), "a number")
