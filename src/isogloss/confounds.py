"""Confounds: what else is known of a sentence that might explain why two views are alike.

A unit's record holds ``covariates``: name -> one value per row, a number, a text, or null where it
is not known. Here they are listed (:func:`covariates`) and turned into the columns that a measure
takes out of both views by linear regression (:func:`matrix`).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from numbers import Real
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from isogloss.corpora.base import MEASURED, MODALITIES, Utterance
from isogloss.errors import IsoglossError, StudyError, unknown

DEFAULT: tuple[str, ...] = tuple(MEASURED)
"""The confounds that are taken out unless others are asked for."""

UNKNOWN = "unknown"
"""The level of a text confound that stands for null."""

Value = float | str | None
Record = Mapping[str, Any]


def covariates(
    utterances: Sequence[Utterance],
    texts: Mapping[tuple[str, str], str],
    measured: Mapping[str, Sequence[float]],
) -> dict[str, list[Value]]:
    """List what is known of utterances, for the record of their unit.

    Args:
        utterances: One for each row.
        texts: (language, sentence) -> text, for utterances without text of their own.
        measured: ``tokens`` or ``seconds`` of each row.

    Returns:
        ``characters``, what was measured, ``gender``, ``speaker`` and ``split``, and all further
        columns of the corpus but those with the name of something measured. A name is left out
        if nothing is known of any row.
    """
    written = [u.text or texts.get((u.language, u.sentence)) for u in utterances]
    found: dict[str, list[Value]] = {"characters": [len(t) if t else None for t in written]}
    found |= {name: list(values) for name, values in measured.items()}
    for name in ("gender", "speaker", "split"):
        found[name] = [getattr(u, name) for u in utterances]
    for name in dict.fromkeys(name for u in utterances for name in u.columns):
        if name not in MEASURED:
            own = found.get(name, [None] * len(utterances))
            cells = (_plain(u.columns.get(name)) for u in utterances)
            found[name] = [v if c is None else c for c, v in zip(cells, own, strict=True)]
    return {name: values for name, values in found.items() if any(v is not None for v in values)}


def known(utterances: Iterable[Utterance]) -> set[str]:
    """Names of the confounds that utterances bring with them, beside what is measured."""
    found: set[str] = set()
    for u in utterances:
        found.update(u.columns)
        found.update(n for n in ("gender", "speaker", "split") if getattr(u, n) is not None)
    return found


def _plain(cell: object) -> Value:
    """A cell of any corpus, ours or a plug-in's, as JSON can hold it."""
    if cell is None or isinstance(cell, str):
        return cell or None
    if isinstance(cell, Real) and not isinstance(cell, bool):
        number = float(cell)
        return number if isfinite(number) else None
    return str(cell)


@dataclass(frozen=True, eq=False)
class Confounds:
    """Confounds of compared sentences, as columns. They may still depend on each other linearly."""

    values: NDArray[np.float64]
    """(sentences × columns), finite."""
    names: tuple[str, ...]
    """One for each column, such as ``characters a``, ``gender b: f``; without a side if both sides
    agree in every sentence."""
    missing: str = ""
    """What was asked for and could not be used, with the reason; empty if there is nothing."""


def available(records: Iterable[Record]) -> list[str]:
    """Names of the confounds that any of the records has: the measured ones first, then by name.

    Args:
        records: Records of units.
    """
    found = {name for record in records for name in record["covariates"]}
    return [n for n in MEASURED if n in found] + sorted(found - set(MEASURED))


def matrix(
    names: Sequence[str],
    a: Record,
    rows_a: NDArray[np.intp],
    b: Record,
    rows_b: NDArray[np.intp],
    *,
    known: Iterable[str] = (),
) -> Confounds:
    """Make the columns of the confounds of two views of the same sentences.

    Both sides give columns: a recording's length matters to the view of that recording only. A
    number is one column. A text is an indicator column for each level that occurs but the first
    in alphabetical order; null is the level ``unknown``. Constant columns, and columns that are
    there already, are left out. A number that is not known for every sentence cannot be used on
    that side; it is named in ``missing``.

    What a modality does not have (tokens of speech, seconds of text) is no column and not missing.

    Args:
        names: Confounds to take; those of :data:`MEASURED` need not be there.
        a: Record of the first view's unit.
        rows_a: (sentences,) its row numbers.
        b: Record of the second view's unit.
        rows_b: (sentences,) row numbers of the same sentences.
        known: Further valid names, such as those of the other units of a run. One that neither of
            the two records has is missing; it is an error otherwise.

    Raises:
        IsoglossError: A name is not known, or the numbers of rows differ.
    """
    if len(rows_a) != len(rows_b):
        raise IsoglossError(f"confounds of {len(rows_a)} and {len(rows_b)} sentences do not pair")
    check(names, [a, b], known=known)
    columns: list[_Column] = []
    missing: list[str] = []
    for name in dict.fromkeys(names):
        own = MEASURED.get(name, MODALITIES)
        sides = [s for s in (("a", a, rows_a), ("b", b, rows_b)) if s[1]["modality"] in own]
        every = (v for _, record, _ in sides for v in record["covariates"].get(name, ()))
        text = any(isinstance(v, str) for v in every)
        for side, record, rows in sides:
            values = record["covariates"].get(name)
            chosen = [values[row] for row in rows] if values else [None] * len(rows)
            absent = sum(not _usable(v) for v in chosen)
            if absent and (absent == len(rows) or not text):
                unit = f"{record['language']} {record['modality']}"
                missing.append(f"{name} {side} ({unit}: {absent} of {len(rows)} sentences lack it)")
            elif text:
                columns += _indicators(name, side, chosen)
            else:
                columns.append(_Column(name, side, "", np.array(chosen, dtype=np.float64)))
    kept = _distinct(columns)
    values = np.stack([c.values for c in kept], axis=1) if kept else np.empty((len(rows_a), 0))
    reason = f"not taken out: {', '.join(missing)}" if missing else ""
    return Confounds(values, tuple(c.title() for c in kept), reason)


def check(names: Iterable[str], records: Iterable[Record], *, known: Iterable[str] = ()) -> None:
    """Make sure that confounds are there to be taken out.

    Raises:
        StudyError: None of the records has one of the names; the nearest match is named.
    """
    valid = list(dict.fromkeys((*MEASURED, *available(records), *sorted(known))))
    for name in names:
        if name not in valid:
            raise StudyError(unknown("confound", name, valid))


class _Column(NamedTuple):
    name: str
    side: str
    """``a`` or ``b``, or nothing if both sides agree."""
    level: str
    values: NDArray[np.float64]

    def title(self) -> str:
        return " ".join(p for p in (self.name, self.side) if p) + (self.level and f": {self.level}")


def _usable(value: Value) -> bool:
    return isinstance(value, str) or (value is not None and isfinite(value))


def _indicators(name: str, side: str, values: Sequence[Value]) -> list[_Column]:
    levels = [str(v) if _usable(v) else UNKNOWN for v in values]
    return [
        _Column(name, side, level, np.array([x == level for x in levels], dtype=np.float64))
        for level in sorted(set(levels))[1:]
    ]


def _distinct(columns: Iterable[_Column]) -> list[_Column]:
    """Leave out constant columns and those that are there already."""
    found: dict[bytes, _Column] = {}
    for column in columns:
        if np.all(column.values == column.values[:1]):
            continue
        key = (column.values + 0.0).tobytes()  # minus zero is zero
        first = found.setdefault(key, column)
        if (first.name, first.level) == (column.name, column.level) and first.side != column.side:
            found[key] = first._replace(side="")
    return list(found.values())
