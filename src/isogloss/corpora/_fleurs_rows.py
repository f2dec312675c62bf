"""The tables of FLEURS: one row per recording, as TSV without a header or as Parquet."""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isogloss.corpora._parquet import plain_columns, read_frame, readable, require
from isogloss.errors import CorpusError
from isogloss.guarded import read_bytes

if TYPE_CHECKING:
    import polars as pl

LARGEST = 2**28
"""Bytes of the largest table; the real ones have one or two million."""

_GENDERS = ("male", "female", "other")
"""What the numbers of the Parquet form stand for."""
_WIDTHS = (7, 8)
"""Cells of a row: id, file name, raw transcription, transcription, characters, number of samples,
then the speaker in the second release only, and the gender."""


@dataclass(frozen=True)
class Row:
    """One recording."""

    number: int
    """Of the row in its table, from 1."""
    sentence: str
    file: str
    """Name of the recording without a folder; empty if the row names none."""
    raw: str
    text: str
    samples: int | None
    """Length at 16 kHz, as the table says."""
    speaker: str | None
    gender: str | None


@dataclass(frozen=True)
class BadRow:
    """A row that cannot be read."""

    number: int
    sentence: str
    """Its id, if it has one."""
    reason: str


@dataclass(frozen=True)
class Rows:
    """A table in memory."""

    label: str
    """What messages call it: ``de_de/test.tsv``."""
    rows: tuple[Row, ...]
    bad: tuple[BadRow, ...]

    @property
    def counts(self) -> tuple[int, int]:
        """Rows, and distinct sentence ids of those that can be read."""
        return len(self.rows) + len(self.bad), len({r.sentence for r in self.rows})

    def where(self, number: int) -> str:
        """A row, for messages."""
        return f"{self.label} row {number}"


def read_tsv(path: Path, label: str) -> Rows:
    """Read a table of either release.

    Lines are split at tabs and nothing else: quotation marks are ordinary characters of the text,
    and an unmatched one would swallow the rows up to the next.

    Args:
        path: The table.
        label: What messages call it.

    Raises:
        CorpusError: It cannot be read, or none of its rows can.
    """
    try:
        lines = read_bytes(path, LARGEST).removeprefix(b"\xef\xbb\xbf").split(b"\n")
    except OSError as error:
        raise CorpusError(f"{path}: cannot be read: {error.strerror or error}") from error
    rows: list[Row] = []
    bad: list[BadRow] = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            cells = [cell.strip() for cell in line.decode().split("\t")]
        except UnicodeDecodeError:
            bad.append(BadRow(number, "", "is not UTF-8"))
            continue
        if number == 1 and cells[0].lower() == "id":
            continue
        reason = _wrong(cells)
        if reason:
            bad.append(BadRow(number, cells[0] if cells[0].isdecimal() else "", reason))
        else:
            rows.append(_row(number, cells))
    return _checked(Rows(label, tuple(rows), tuple(bad)), path)


def _wrong(cells: Sequence[str]) -> str:
    if len(cells) not in _WIDTHS:
        return f"has {len(cells)} cells between tabs; FLEURS has 7, or 8 with the speaker"
    if not cells[0]:
        return "has no id"
    # A tab within a text makes eight cells of seven.
    if not cells[5].isdecimal():
        return f'its sixth cell, the number of samples, is "{_short(cells[5])}"'
    return "holds a zero byte" if any("\0" in cell for cell in cells) else ""


def _row(number: int, cells: Sequence[str]) -> Row:
    return Row(
        number=number,
        sentence=cells[0],
        file=base_name(cells[1]),
        raw=cells[2],
        text=cells[3],
        samples=int(cells[5]) if len(cells[5]) < 16 else None,
        speaker=(cells[6] or None) if len(cells) == _WIDTHS[1] else None,
        gender=cells[-1].lower() or None,
    )


def read_parquet(paths: Sequence[Path], label: str) -> Rows:
    """Read the columns of a Parquet copy, apart from the recordings.

    Args:
        paths: Its files, in their order.
        label: What messages call it.

    Raises:
        CorpusError: A file is damaged, lacks a column, or no row can be read.
    """
    rows: list[Row] = []
    bad: list[BadRow] = []
    number = 0
    for path in paths:

        def wanted(schema: "pl.Schema", path: Path = path) -> list[str]:
            columns = plain_columns(schema)
            require(path, columns, "id", "path", "transcription", "raw_transcription")
            return columns

        frame = read_frame(path, wanted)
        with readable(path):
            for cells in frame.iter_rows(named=True):
                number += 1
                if cells["id"] is None or not str(cells["id"]).strip():
                    bad.append(BadRow(number, "", "has no id"))
                else:
                    rows.append(_parquet_row(number, cells))
    return _checked(Rows(label, tuple(rows), tuple(bad)), paths[0])


def _parquet_row(number: int, cells: dict[str, Any]) -> Row:
    gender, samples = cells.get("gender"), cells.get("num_samples")
    if isinstance(gender, int):
        gender = _GENDERS[gender] if 0 <= gender < len(_GENDERS) else None
    speaker = cells.get("speaker_id")
    return Row(
        number=number,
        sentence=str(cells["id"]).strip(),
        file=base_name(str(cells["path"] or "")),
        raw=str(cells["raw_transcription"] or "").strip(),
        text=str(cells["transcription"] or "").strip(),
        samples=samples if isinstance(samples, int) and samples >= 0 else None,
        speaker=None if speaker is None else str(speaker),
        gender=str(gender).lower() if gender else None,
    )


def _checked(found: Rows, path: Path) -> Rows:
    if not found.rows:
        first = f"; its first row {found.bad[0].reason}" if found.bad else ""
        raise CorpusError(f"{path}: has no row that can be read{first}")
    return found


def base_name(path: str) -> str:
    r"""The last part of a path in the notation of any system.

    >>> base_name("/root/test\\1.wav")
    '1.wav'
    """
    name = re.split(r"[\\/]", path)[-1].strip()
    return "" if name in (".", "..") else name


def join_spaced(text: str) -> str:
    """Join the characters of a text that has a space between all of them; leave others alone.

    FLEURS has Mandarin transcriptions in this form. A text counts as spaced out if at least two
    of three of its parts are one character, with its combining marks; a space stays only between
    two parts that are longer.

    >>> join_spaced("在 2 0 1 1 年 google maps"), join_spaced("a b c of it")
    ('在2011年google maps', 'a b c of it')
    """
    if not is_spaced(text):
        return text
    parts = text.split()
    joined = parts[0]
    for before, part in pairwise(parts):
        joined += f" {part}" if _long(before) and _long(part) else part
    return joined


def is_spaced(text: str) -> bool:
    """Whether a text has a space between (nearly) all of its characters."""
    if text.count(" ") * 5 < len(text):  # hardly any text goes on: words are longer
        return False
    parts = text.split()
    return len(parts) > 2 and sum(not _long(p) for p in parts) >= 2 / 3 * len(parts)


def _long(part: str) -> bool:
    return sum(not unicodedata.category(c).startswith("M") for c in part) > 1


def _short(text: str) -> str:
    return text if len(text) <= 30 else f"{text[:29]}…"
