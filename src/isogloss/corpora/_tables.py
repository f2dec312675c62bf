"""Read a table whose cells are text or JSON values: JSON lines, CSV, TSV or Parquet."""

import csv
import gzip
import io
import json
import re
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from isogloss.errors import CorpusError, choices

Row = dict[str, Any]


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
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "does not exist"
        raise CorpusError(f"{path}: the manifest {what} (looked up from {Path.cwd()})")
    try:
        table = readers[suffix](path)
    except OSError as error:
        raise CorpusError(f"{path}: cannot be read: {error.strerror or error}") from error
    if not table.rows:
        raise CorpusError(f"{path}: the manifest has no rows")
    return table


def _text(path: Path) -> str:
    data = path.read_bytes()
    if path.suffix.lower() == ".gz":
        try:
            data = gzip.decompress(data)
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise CorpusError(f"{path}: is no whole gzip file: {error}") from error
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise CorpusError(f"{path} line {line}: is not UTF-8; save the file as UTF-8") from error


def _read_jsonl(path: Path) -> Table:
    rows: list[tuple[int, Row]] = []
    columns: dict[str, None] = {}
    # Not splitlines(): a text may hold U+2028 or U+0085, which JSON does not escape.
    for number, line in enumerate(_text(path).split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise CorpusError(f"{path} line {number}: is no JSON: {error}") from error
        if not isinstance(row, dict):
            raise CorpusError(
                f"{path} line {number}: is {_kind(row)}, not an object; JSON lines hold one "
                'object a line, such as {"id": 1, "lang": "deu", "text": "…"}'
            )
        columns.update(dict.fromkeys(row))
        rows.append((number, row))
    nested = {c for _, row in rows for c, cell in row.items() if isinstance(cell, dict | list)}
    flat = tuple(c for c in columns if c not in nested)
    return Table(path, flat, tuple(c for c in columns if c in nested), tuple(rows), "line")


def _read_csv(path: Path) -> Table:
    return _separated(path, csv.reader(io.StringIO(_text(path), newline=""), strict=True))


def _read_tsv(path: Path) -> Table:
    text = _text(path)
    if text.startswith('"'):
        lines = io.StringIO(text, newline="")
        return _separated(path, csv.reader(lines, delimiter="\t", strict=True))
    # In tables of transcripts a quotation mark is a letter like others, and often stands alone.
    rows = (line.rstrip("\r") for line in text.split("\n"))
    return _separated(path, ([_unquote(c) for c in r.split("\t")] if r else [] for r in rows))


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
    import polars

    try:
        schema = polars.read_parquet_schema(path)
        # Embedded audio can be gigabytes.
        nested = tuple(n for n, kind in schema.items() if kind.is_nested() or kind == polars.Binary)
        flat = [name for name in schema if name not in nested]
        frame = polars.read_parquet(path, columns=flat)
    except polars.exceptions.PolarsError as error:
        raise CorpusError(f"{path}: is no readable Parquet file: {error}") from error
    rows = tuple(enumerate(frame.iter_rows(named=True), 1))
    return Table(path, tuple(flat), nested, rows, "row")


def _kind(value: Any) -> str:
    names = {list: "a list", str: "a string", bool: "a truth value", type(None): "null"}
    return names.get(type(value), "a number")
