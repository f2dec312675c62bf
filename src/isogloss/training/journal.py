"""The file of a history: it grows by the rows of one call at a time, and says what measured."""

import csv
import io
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from isogloss.errors import OutputError, StoreError
from isogloss.settings import difference
from isogloss.training.result import COLUMNS, Gaps

HEAD = (*COLUMNS, "call", "settings")
"""Columns of the file. Calls are numbered, since two may follow each other at one step. Settings
are those that the numbers depend on, as JSON."""
OLD = tuple(COLUMNS)
"""Columns before there were numbers of calls and settings."""

Row = dict[str, Any]


class Journal:
    """A CSV file that gets the rows of each call in one write, so that a killed run keeps them.

    Args:
        path: The file. One that is there is continued; a line that was cut off is removed.
        settings: JSON-able values that all its numbers depend on.

    Raises:
        OutputError: It cannot be written.
        StoreError: It is there and is no history, or one of other settings.
    """

    def __init__(self, path: Path, settings: Mapping[str, Any]) -> None:
        self.path = path
        self._settings = json.dumps(settings, sort_keys=True, ensure_ascii=False)
        self._call = 0
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            there = path.read_bytes() if path.exists() else b""
            # Nothing but a head, or a part of one, is as good as no file.
            if any(_line(head).startswith(there) for head in (HEAD, OLD)):
                there = b""
            else:
                self._continue(there)
            with path.open("ab", buffering=0) as file:
                file.truncate(there.rfind(b"\n") + 1)
                if not there:
                    _put(file, _line(HEAD))
        except OSError as error:
            raise self._refused(error) from error

    def append(self, gaps: Gaps) -> None:
        """Write the rows of a call, all or none.

        Raises:
            OutputError: It cannot be written.
        """
        rows = [*gaps.rows()]
        if not rows:
            return
        self._call += 1
        more = (self._call, self._settings)
        data = b"".join(_line([*map(_cell, row.values()), *more]) for row in rows)
        try:
            with self.path.open("a+b", buffering=0) as file:
                size = file.seek(0, os.SEEK_END)
                file.seek(max(0, size - 1))
                if size and file.read() != b"\n":
                    # What a killed process or a full disk has cut off would spoil the next line.
                    file.seek(0)
                    size = file.read().rfind(b"\n") + 1
                    file.truncate(size)
                _put(file, data if size else _line(HEAD) + data)
        except OSError as error:
            raise self._refused(error) from error

    def _continue(self, there: bytes) -> None:
        """Check that a file is one of the same settings, and count its calls."""
        found = rows_of(self.path, there)
        if there.startswith(_line(OLD)):
            raise StoreError(
                f"the history {self.path} does not say what measured it, since it was begun by an "
                "earlier version, so it is not continued; name another file"
            )
        if not found:
            return
        try:
            self._call = int(found[-1]["call"])
            before = json.loads(found[-1]["settings"])
            changed = difference(before, json.loads(self._settings))
        except (ValueError, TypeError) as error:
            raise StoreError(f"{self.path} is damaged: {error}; name another file") from None
        if changed:
            raise StoreError(
                f"the history {self.path} was measured in another way ({'; '.join(changed)}), and "
                "a curve must not mix the two; name another file, or give the same settings"
            )

    def _refused(self, error: OSError) -> OutputError:
        return OutputError(f"cannot write the history {self.path}: {error.strerror or error}")


def rows_of(path: Path, data: bytes) -> list[dict[str, str]]:
    """The whole lines of a history by column, in the order in which they were written.

    Args:
        path: For messages.
        data: The content of the file.

    Raises:
        StoreError: It is no history.
    """
    whole = data[: data.rfind(b"\n") + 1]
    for head in (HEAD, OLD):
        if whole.startswith(_line(head)):
            text = io.StringIO(whole.decode("utf-8", "replace"), newline="")
            lines = list(csv.reader(text))[1:]
            blank = dict.fromkeys(HEAD, "")
            return [blank | dict(zip(head, x, strict=True)) for x in lines if len(x) == len(head)]
    raise StoreError(f"{path} is no history of gaps, or one of another version; name another file")


def standing(rows: Iterable[Row]) -> list[Row]:
    """Leave out what training has gone back behind.

    A call at a step takes the place of all calls before it at the same step or a later one, since
    these belong to a training that was given up.

    Args:
        rows: As they were written; ``call`` tells the calls apart, where it is not known the
            repetition of a gap does.

    Returns:
        Those that are left, steps rising.
    """
    calls: list[list[Row]] = []
    seen: set[Any] = set()
    before = None
    for row in rows:
        call, gap = (row["call"], row["step"]), (row["kind"], row["place"], row["control"])
        if call != before or gap in seen:
            while calls and calls[-1][0]["step"] >= row["step"]:
                calls.pop()
            calls.append([])
            before, seen = call, set()
        calls[-1].append(row)
        seen.add(gap)
    return [row for call in calls for row in call]


def _put(file: io.FileIO, data: bytes) -> None:
    """Write all of it or nothing: a full disk takes a part and says so only at the next byte."""
    size, rest = os.fstat(file.fileno()).st_size, memoryview(data)
    try:
        while rest:
            rest = rest[file.write(rest) :]
    except BaseException:
        file.truncate(size)
        raise


def _line(cells: Iterable[Any]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(cells)
    return text.getvalue().encode()


def _cell(value: Any) -> Any:
    # A line must be a row, or one that was cut off could not be told.
    return " ".join(value.split()) if isinstance(value, str) else repr(value)
