"""What comes of setting one run beside another, as plain tables."""

from dataclasses import dataclass, field
from typing import Any

import polars as pl

from isogloss.analyses._gap_table import MODAL as MODAL
from isogloss.analyses._gap_table import SPEECH as SPEECH
from isogloss.analyses._gap_table import TEXT as TEXT
from isogloss.charts import Chart

KINDS: dict[str, tuple[str, str]] = {
    MODAL: ("cross_modal", "matched"),
    TEXT: ("cross_lingual", "text"),
    SPEECH: ("cross_lingual", "speech"),
}
"""Kind of comparison -> the analysis and group that it is read from."""

EQUAL = 1e-4
"""Differences of scores that are rounding: the epsilon of a measure, float32 on another machine and
batches of other sizes move a score by up to a tenth of it."""

CLOSER, APART = "closer", "further apart"
NOT_SEEN, NOT_TESTED = "no difference seen", "not tested"

_WHERE: dict[str, pl.DataType] = {
    "measure": pl.String(),
    "scores": pl.String(),
    "control": pl.String(),
    "kind": pl.String(),
    "tap": pl.String(),
    "depth": pl.Float64(),
    "position": pl.Int64(),
    "last": pl.Boolean(),
}
_WHAT: dict[str, pl.DataType] = {
    "first": pl.Float64(),
    "second": pl.Float64(),
    "difference": pl.Float64(),
    "low": pl.Float64(),
    "high": pl.Float64(),
    "p_value": pl.Float64(),
    "p_holm": pl.Float64(),
    "verdict": pl.String(),
    "n": pl.Int64(),
    "given": pl.String(),
    "reason": pl.String(),
}

DIFFERENCES: dict[str, pl.DataType] = {**_WHERE, **_WHAT, "languages": pl.Int64()}
"""Columns of the table of mean differences: one row for each measure, kind of scores (``raw``,
``calibrated``, or ``controlled``: calibrated, with the confounds of ``control`` taken out), kind of
comparison and place. ``first`` and ``second`` are the runs' means over the languages, or pairs of
languages, that both have a score for. ``difference`` is positive where the first run is closer; for
distances it is the second less the first. ``low`` and ``high`` are a 95 % interval; ``given`` says
what it holds fixed."""

BY_LANGUAGE: dict[str, pl.DataType] = {
    **_WHERE,
    "language_a": pl.String(),
    "language_b": pl.String(),
    **_WHAT,
}
"""Columns of the table of differences of single languages or pairs of languages, over sentences."""


@dataclass(frozen=True)
class Beside:
    """One run beside another."""

    names: tuple[str, str]
    """What the two are called; the first is the one that is looked at."""
    curves: pl.DataFrame
    """Means of both runs at all their taps: a column ``run``, then those of ``results.MEANS``."""
    differences: pl.DataFrame
    """The first less the second, over languages; columns are :data:`DIFFERENCES`."""
    by_language: pl.DataFrame
    """The same of single languages or pairs; columns are :data:`BY_LANGUAGE`."""
    notes: tuple[str, ...] = ()
    """What the two differ in beside their numbers, and what could not be done."""
    marks: tuple[str, ...] = ()
    """What every figure must say of the two, such as that one has random weights."""
    about: dict[str, Any] = field(default_factory=dict)
    """What was compared with what, JSON-able."""

    @property
    def measures(self) -> tuple[str, ...]:
        """The measures, in order."""
        return tuple(self.curves["measure"].unique(maintain_order=True))

    def tables(self) -> dict[str, pl.DataFrame]:
        """All tables, by the name of their file."""
        return {
            "differences": self.differences,
            "by_language": self.by_language,
            "curves": self.curves,
        }

    def findings(self, measure: str | None = None) -> tuple[str, ...]:
        """What the comparison says, in plain sentences, the headline first.

        Args:
            measure: One of :attr:`measures`; the first if None.
        """
        from isogloss.beside.findings import findings

        return findings(self, measure or self.measures[0])

    def charts(self, measure: str | None = None) -> tuple[Chart, ...]:
        """Curves of both runs, and their differences, as data to draw.

        Args:
            measure: One of :attr:`measures`; the first if None.
        """
        from isogloss.beside.figures import charts

        return tuple(charts(self, measure or self.measures[0]))


def verdict(p: float, difference: float, level: float) -> str:
    """A difference in a word; one that is rounding is none, however surely it is there.

    >>> verdict(0.01, 0.2, 0.05), verdict(0.2, 0.2, 0.05), verdict(float("nan"), 0.2, 0.05)
    ('closer', 'no difference seen', 'not tested')
    """
    if p != p or difference != difference:
        return NOT_TESTED
    if p > level or abs(difference) <= EQUAL:
        return NOT_SEEN
    return CLOSER if difference > 0 else APART
