"""What the claims of all analyses share: scores as a table, contrasts of them, claims."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, get_args

import numpy as np
import polars as pl
from numpy.typing import NDArray

from isogloss import specs
from isogloss.analyses import _adapted
from isogloss.analyses._curves import shown, split
from isogloss.analyses.base import Claim, Scores
from isogloss.findings import statistics
from isogloss.findings.statistics import Estimate, Halves
from isogloss.results import NULL
from isogloss.similarity.measures import MEASURES

Floats = NDArray[np.float64]

SCORES: tuple[Scores, ...] = get_args(Scores)
UNITS: dict[Scores, str] = {
    "raw": "difference of scores",
    "calibrated": "difference of calibrated scores",
    "controlled": "difference of calibrated scores",
}
SATURATED = "chance gives the best score there is, so differences are rounding"
_NEAR = 1e-9


@dataclass(frozen=True)
class Column:
    """A place of a curve."""

    group: str
    label: str
    position: int
    depth: float
    tap_a: str
    tap_b: str


@dataclass(frozen=True)
class Table:
    """Scores as numbers of which more is more similar: one row for each language, or pair."""

    scores: Scores
    rows: tuple[tuple[str, str], ...]
    """The languages of each row; the same one twice for a language by itself."""
    columns: tuple[Column, ...]
    """In order of depth and position, group by group."""
    values: Floats
    """(rows × columns); NaN where undefined."""
    reason: str = ""
    """Why values are lacking, if any are."""
    halves: Floats | None = None
    """(splits × 2 × rows × columns): the same on halves of the sentences, as far as there."""
    sign: float = 1.0
    """-1 where the scores themselves are the negatives of ``values``, as raw distances are."""
    share: float = 1.0
    """Sentences of two halves together, as a share of those behind the values."""

    def of(self, group: str) -> list[int]:
        """Numbers of the columns of a group, in order."""
        return [i for i, c in enumerate(self.columns) if c.group == group]

    def first(self) -> list[str]:
        """The first language of each row."""
        return [a for a, _ in self.rows]

    def second(self) -> list[str] | None:
        """The second language of each row; None for languages by themselves."""
        return None if all(a == b for a, b in self.rows) else [b for _, b in self.rows]


def tables(frame: pl.DataFrame) -> Iterator[Table]:
    """The scores of one measure in each kind that there is: raw, calibrated, controlled.

    Raw scores that are saturated are left undefined, as calibrated ones are.

    Args:
        frame: With the columns of ``results.SCHEMA``.
    """
    if frame.is_empty():
        return
    larger = specs.parse(MEASURES, frame["measure"][0]).info.larger_is_more_similar
    full = pl.col("calibrated").is_nan() & NULL.is_not_nan() & NULL.is_not_null()
    score = pl.col("score") if larger else -pl.col("score")
    raw = pl.when(full).then(float("nan")).otherwise(score)
    plain, controlled = split(frame.with_columns(_full=full))
    found = _table("raw", plain.with_columns(_value=raw))
    yield found if larger else replace(found, sign=-1.0)
    if not plain["score"].is_nan().all() and plain.select(NULL.is_not_nan().any()).item():
        yield _table("calibrated", plain.with_columns(_value=pl.col("calibrated")))
    if not controlled.is_empty():
        yield _table("controlled", controlled.with_columns(_value=pl.col("calibrated")))


def _table(scores: Scores, frame: pl.DataFrame) -> Table:
    place = ("group", "label", "position", "depth", "tap_a", "tap_b")
    found = frame.select(*place).unique().sort("group", "depth", "position").iter_rows()
    columns = tuple(Column(*row) for row in found)
    names = frame.select("language_a", "language_b").unique(maintain_order=True)
    rows = tuple(sorted((a, b) for a, b in names.iter_rows()))
    values = np.full((len(rows), len(columns)), np.nan)
    at, to = ({key: i for i, key in enumerate(keys)} for keys in (rows, columns))
    cells = frame.select("language_a", "language_b", *place, "_value").iter_rows()
    for a, b, *where, value in cells:
        values[at[a, b], to[Column(*where)]] = np.nan if value is None else value
    lost = frame.filter(pl.col("_value").is_nan())
    reasons = lost.select(
        pl.when(pl.col("_full")).then(pl.lit(SATURATED)).otherwise("reason")
    ).to_series()
    reason = next((str(r) for r in reasons if r), "")
    return Table(scores, rows, columns, values, reason)


def weights(table: Table, plus: Sequence[int], minus: Sequence[int] = ()) -> Floats:
    """A contrast of columns: the mean of some less the mean of others."""
    found = np.zeros(len(table.columns))
    for chosen, sign in ((plus, 1.0), (minus, -1.0)):
        for i in chosen:
            found[i] += sign / len(chosen)
    return found


def defined(table: Table, chosen: Sequence[int]) -> list[int]:
    """Those of some columns that at least half of the rows have a score in."""
    known = ~np.isnan(table.values[:, chosen])
    return [i for i, share in zip(chosen, known.mean(axis=0), strict=True) if share >= 0.5]


def contrast(table: Table, w: Floats) -> Floats:
    """(rows,) a weighted sum of columns; NaN if one of them is undefined."""
    used = np.flatnonzero(w)
    return np.asarray(table.values[:, used] @ w[used], dtype=np.float64)


def mean_of(table: Table, w: Floats, rows: Sequence[int] | None = None) -> Estimate:
    """Test whether the mean of a contrast over languages, or pairs, differs from zero.

    Args:
        table: The scores.
        w: (columns,) the contrast.
        rows: Numbers of the rows to use; all if None.
    """
    chosen = list(range(len(table.rows))) if rows is None else list(rows)
    second = table.second()
    halves = None
    if table.halves is not None:
        used = np.flatnonzero(w)
        halves = Halves(table.halves[:, :, chosen][..., used] @ w[used], table.share)
    found = statistics.mean(
        contrast(table, w)[chosen],
        [table.first()[i] for i in chosen],
        None if second is None else [second[i] for i in chosen],
        halves,
    )
    return why(table, found)


def why(table: Table, found: Estimate) -> Estimate:
    """Say why scores are lacking where no test came of it."""
    if found.reason and not found.count and table.reason:
        return replace(found, reason=table.reason)
    return found


def average(table: Table, chosen: Sequence[int], rows: Sequence[int] | None = None) -> str:
    """The mean over rows and columns, as text."""
    values = table.values[:, list(chosen)] if rows is None else table.values[list(rows)][:, chosen]
    known = values[~np.isnan(values).any(axis=1)]
    return shown(table.sign * float(known.mean()) if known.size else None)


def named(table: Table, chosen: Sequence[int]) -> str:
    """Columns as text: their labels, from the first to the last."""
    labels = [table.columns[i].label for i in chosen]
    return labels[0] if len(labels) == 1 else f"{labels[0]} to {labels[-1]}"


def against(table: Table, plus: Sequence[int], minus: Sequence[int]) -> tuple[Estimate, str]:
    """Test the mean over some columns less that over others, and say both in words."""
    said = (
        f"mean over {named(table, plus)}: {average(table, plus)}; over {named(table, minus)}: "
        f"{average(table, minus)}"
    )
    return mean_of(table, weights(table, plus, minus)), said


def layers(table: Table, group: str, low: float, high: float) -> list[int]:
    """Columns of a group of a depth from ``low`` to ``high``, both counted in, but no input."""
    return [
        i
        for i in table.of(group)
        if table.columns[i].depth > 0
        and low - _NEAR <= table.columns[i].depth <= high + _NEAR
        and not adapted(table, i)
    ]


def adapted(table: Table, i: int) -> bool:
    """Whether a place lies right behind a length adaptor, see :func:`_adapted.adapted`."""
    places = table.of(table.columns[i].group)
    taps = [(table.columns[j].tap_a, table.columns[j].tap_b) for j in places]
    return _adapted.adapted(taps)[places.index(i)]


def claim(
    table: Table, name: str, statement: str, source: str, found: Estimate, **more: Any
) -> Claim:
    """Make a claim of an estimate.

    Args:
        table: The scores it rests on.
        name: Short id.
        statement: What is claimed.
        source: Where the study says it.
        found: Its test.
        more: Further fields, such as ``detail``.
    """
    made = Claim(
        name=name,
        statement=statement,
        source=source,
        scores=table.scores,
        effect=found.effect,
        low=found.low,
        high=found.high,
        p_value=found.p_value,
        count=found.count,
        unit=UNITS[table.scores],
        detail="",
        reason=found.reason,
        given="" if found.reason else found.given,
    )
    return replace(made, **more)
