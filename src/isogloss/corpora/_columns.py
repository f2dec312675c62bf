"""The columns of a manifest: their names, the names they go by elsewhere, and their cells."""

import difflib
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from isogloss.corpora._tables import Row, Table
from isogloss.errors import CorpusError, choices

COLUMNS: dict[str, tuple[str, ...]] = {
    "id": ("sentence_id", "sent_id", "fleurs_id"),
    "lang": ("language", "locale", "lang_code", "language_code", "lang_tag"),
    "text": ("transcription", "transcript", "sentence", "normalized_text"),
    "audio_filepath": (
        "file_name", "filename", "audio", "path", "wav", "file", "audio_path", "audio_file",
        "wav_path",
    ),
    "raw_text": ("raw_transcription", "raw_transcript", "raw_sentence", "original_text"),
    "duration": ("duration_seconds", "duration_s"),
    "offset": ("offset_seconds", "offset_s"),
    "speaker": ("speaker_id", "spk", "spk_id", "client_id"),
    "gender": ("sex",),
    "split": ("subset", "partition"),
}  # fmt: skip
"""Columns of a manifest, by their own name, with the aliases that are read as well."""


class Further(NamedTuple):
    """A column of which only its user knows what it means."""

    name: str
    values: Sequence[str | float | None]
    """One for each row; None where the cell is empty."""
    numeric: bool
    """True if all cells that are not empty are finite numbers."""
    doubts: tuple[str, ...]
    """What its user should know: that it may be a misspelt column, or misread."""


class Columns:
    """Finds the cells of a table by the columns' own names.

    Upper and lower case are one, and so are space, hyphen and underscore. A column's own name wins
    over its aliases.

    Raises:
        CorpusError: Two aliases of one column are in the table and its own name is not.
    """

    def __init__(self, table: Table) -> None:
        self.table = table
        self.found: dict[str, str] = {}
        present: dict[str, str] = {}
        for column in table.columns:
            present.setdefault(_plain(column), column)
        for name, aliases in COLUMNS.items():
            if name in present:
                self.found[name] = present[name]
                continue
            candidates = [present[a] for a in aliases if a in present]
            if len(candidates) > 1:
                raise CorpusError(
                    f'{table.path}: the columns "{candidates[0]}" and "{candidates[1]}" can both '
                    f'be "{name}"; rename the one that is meant to "{name}"'
                )
            if candidates:
                self.found[name] = candidates[0]

    def require(self, *names: str) -> None:
        """Make sure that at least one of the columns is there.

        Raises:
            CorpusError: None is; the message has its aliases and the nearest column present.
        """
        if any(name in self.found for name in names):
            return
        wanted = [w for name in names for w in (name, *COLUMNS[name])]
        near: list[tuple[float, str]] = []
        for column in self.table.columns:
            ratios = [difflib.SequenceMatcher(None, _plain(column), w).ratio() for w in wanted]
            near.append((max(ratios), column))
        ratio, closest = max(near, default=(0.0, ""))
        hint = f'; did you mean "{closest}"?' if ratio >= 0.6 else "."
        nested = [c for c in self.table.nested if _plain(c) in wanted]
        if nested:
            hint += (
                f' The column "{nested[0]}" holds lists, objects or bytes, which are not read: '
                "write recordings to files and give their paths."
            )
        aliases = [a for name in names for a in COLUMNS[name]]
        raise CorpusError(
            f"{self.table.path}: there is no column "
            + " or ".join(f'"{n}"' for n in names)
            + f" (also accepted: {choices(aliases, len(aliases))}){hint} "
            + f"Columns present: {choices(self.table.columns, 24)}"
        )

    def further(self, rows: Sequence[tuple[int, Row]]) -> list["Further"]:
        """Read the columns that are none of :data:`COLUMNS`; an alias that is passed over is one.

        Args:
            rows: The rows to read, by number.
        """
        own = {name for found in self.found for name in (found, *COLUMNS[found])}
        others = [c for c in self.table.columns if _plain(c) and _plain(c) not in own]
        absent = {
            wanted: name
            for name in COLUMNS
            if name not in self.found
            for wanted in (name, *COLUMNS[name])
        }
        found = {}
        for column in others:
            values = [_value(row.get(column)) for _, row in rows]
            numbers = [None if v is None else _number(v) for v in values]
            odd = [n for n, v, x in zip(rows, values, numbers, strict=True) if v and x is None]
            count = sum(x is not None for x in numbers)
            name = column.strip()
            if not any(values):
                continue
            doubts = [
                f'The column "{name}" is kept as it stands; rename it if it is meant to be '
                f'"{absent[near]}"'
                for near in difflib.get_close_matches(_plain(column), absent, 1, 0.8)
            ]
            if odd and count > len(odd):
                doubts.append(
                    f'The column "{name}" is taken as text, since '
                    f'"{odd[0][1][column]}" ({self.table.unit} {odd[0][0]}) is no number'
                )
            numeric = bool(count) and not odd
            found[name] = Further(name, numbers if numeric else values, numeric, tuple(doubts))
        return list(found.values())

    def refuse_nested(self, name: str) -> None:
        """Make sure that a column is not left unread because some cell of it is no plain value.

        Raises:
            CorpusError: It holds a list, an object or bytes; the first row with one is named.
        """
        if name in self.found:
            return
        for column in self.table.nested:
            if _plain(column) in (name, *COLUMNS[name]):
                odd = [n for n, row in self.table.rows if isinstance(row.get(column), list | dict)]
                where = self.table.where(odd[0]) if odd else str(self.table.path)
                raise CorpusError(
                    f'{where}, column "{column}": holds a list, an object or bytes, not one text; '
                    "write plain values; write recordings to files and give their paths"
                )

    def text(self, number: int, row: Row, name: str) -> str | None:
        """A cell as text, without white space around it; None if it is empty or missing.

        Raises:
            CorpusError: It is a truth value, a list or an object.
        """
        value = self._cell(row, name)
        if isinstance(value, float) and value.is_integer():
            value = int(value)  # a column of whole numbers with gaps arrives as floats
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise CorpusError(f"{self.at(number, name)}: {value!r} is neither text nor a number")
        text = str(value).strip()
        if "\0" in text or any("\ud800" <= c <= "\udfff" for c in text):
            raise CorpusError(
                f"{self.at(number, name)}: {text!r} holds a character that no text has (a zero "
                "byte or half of a surrogate pair); save the table anew as UTF-8"
            )
        return text or None

    def required(self, number: int, row: Row, name: str) -> str:
        """A cell as text.

        Raises:
            CorpusError: It is empty, or no text.
        """
        cell = self.text(number, row, name)
        if cell is None:
            raise CorpusError(f"{self.at(number, name)}: is empty; every row needs it")
        return cell

    def seconds(self, number: int, row: Row, name: str) -> float | None:
        """A cell as a span of time; None if it is empty or missing.

        Raises:
            CorpusError: It is no number of seconds from 0 on.
        """
        cell = self.text(number, row, name)
        if cell is None:
            return None
        try:
            value = float(cell)
        except ValueError:
            value = math.nan
        if not 0 <= value < math.inf:
            raise CorpusError(
                f'{self.at(number, name)}: "{cell}" is no number of seconds; leave the cell empty '
                "if it is not known"
            )
        return value

    def at(self, number: int, name: str) -> str:
        """File, row and column, for messages."""
        return f'{self.table.where(number)}, column "{self.found.get(name, name)}"'

    def _cell(self, row: Row, name: str) -> Any:
        value = row.get(self.found[name]) if name in self.found else None
        missing = isinstance(value, float) and math.isnan(value)
        return None if missing else value


def _value(cell: object) -> str | None:
    """A cell of a further column as text. It never stops a corpus: nobody may ask for it."""
    if cell is None or (isinstance(cell, float) and math.isnan(cell)):
        return None
    if isinstance(cell, float) and cell.is_integer():
        cell = int(cell)
    return str(cell).strip().encode("utf-8", "replace").decode() or None


def _number(cell: str) -> float | None:
    try:
        value = float(cell)
    except ValueError:
        return None
    return value if math.isfinite(value) and "_" not in cell else None


def _plain(column: str) -> str:
    return column.strip().casefold().replace(" ", "_").replace("-", "_")
