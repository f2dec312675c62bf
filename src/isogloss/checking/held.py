"""Limits on the mean similarity of a run, from its stored scores."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import isnan, nan

import numpy as np

from isogloss.analyses._claims import Table, tables
from isogloss.analyses._halves import with_halves
from isogloss.analyses.base import Scores
from isogloss.beside.data import KINDS, MODAL
from isogloss.beside.estimates import of_mean
from isogloss.beside.places import LAST
from isogloss.checking.condition import NO_SCORE, Checked, Limit
from isogloss.corpora.base import MODALITIES
from isogloss.errors import IsoglossError, StudyError, choices, unknown
from isogloss.findings.statistics import Halves
from isogloss.results import read
from isogloss.runs import Run

HALVES = "halves"
"""The analysis whose table says what other sentences would have given."""


def held(
    run: Run,
    measure: str,
    limits: Sequence[Limit],
    tap: str,
    scores: Scores | None,
    *,
    strict: bool,
    lacking: str,
) -> Iterator[Checked]:
    """Hold the means of a run to limits.

    Args:
        run: The run.
        measure: Whole line of one of its measures.
        limits: What is asked.
        tap: Label of the place, or ``last``.
        scores: Kind of scores; None for the best there is.
        strict: Ask it of the whole interval.
        lacking: What of the run is not there; then nothing holds.

    Raises:
        IsoglossError: The run has no such scores.
        StudyError: The tap is unknown.
    """
    known = {limit.what: _table(run, limit.what, measure, scores) for limit in limits}
    for analysis in dict.fromkeys(KINDS[limit.what][0] for limit in limits):
        asked = [kind for kind in known if KINDS[kind][0] == analysis]
        there = [table for kind in asked if (table := known[kind]) is not None]
        if not there:
            raise IsoglossError(
                f"{run.folder} has no {scores or ''}{' ' if scores else ''}"
                f"{asked[0].partition(' ')[0]} scores to check; its study must have the analysis "
                f"{analysis}, and enough languages and modalities for it"
            )
        labels = dict.fromkeys(c.label for table in there for c in table.columns)
        if tap != LAST and tap not in labels:
            raise StudyError(unknown("tap", tap, (*labels, LAST)))
    for limit in limits:
        table = known[limit.what]
        found = None if table is None else _mean(table, tap)
        if table is not None and found is not None:
            whole = lacking or _unscored(run, limit.what, table)
            yield _held(limit, table, found, measure, strict=strict, lacking=whole)


def _unscored(run: Run, kind: str, table: Table) -> str:
    """Which languages of the run its tables do not have, as after a run that was interrupted."""
    units = {str(m): {u.language for u in run.units if u.modality == m} for m in MODALITIES}
    wanted = units["text"] & units["speech"] if kind == MODAL else units[kind.rpartition(" ")[2]]
    absent = sorted(wanted - {code for row in table.rows for code in row})
    if not absent:
        return ""
    return f"the tables are of an earlier state, without {choices(absent, 6)}; run the study again"


@dataclass(frozen=True)
class _Mean:
    label: str
    value: float
    low: float
    high: float
    given: str
    languages: int
    lost: str
    """Which languages have no score."""
    reason: str
    """Why there is no interval."""


def _held(
    limit: Limit, table: Table, mean: _Mean, measure: str, *, strict: bool, lacking: str
) -> Checked:
    low, high = (mean.low, mean.high) if strict else (mean.value, mean.value)
    # No comparison with NaN is true, so what is not defined does not hold.
    within = low >= limit.value if limit.condition == "minimum" else high <= limit.value
    return Checked(
        condition=limit.condition,
        what=limit.what,
        tap=mean.label,
        measure=measure,
        scores=table.scores,
        asked=limit.value,
        found=mean.value,
        low=mean.low,
        high=mean.high,
        given=mean.given,
        languages=mean.languages,
        passed=bool(within) and not lacking and not mean.lost,
        reason=lacking or mean.lost or mean.reason,
    )


def _table(run: Run, kind: str, measure: str, scores: Scores | None) -> Table | None:
    """Scores of one kind of comparison, with those of halves if the run has them."""
    analysis, group = KINDS[kind]
    folder = run.folder / "results"
    if not (folder / f"{analysis}.parquet").exists():
        return None
    own = read(folder, analysis).filter(measure=measure, group=group)
    found = {table.scores: table for table in tables(own)}
    if (folder / f"{HALVES}.parquet").exists():
        halves = read(folder, HALVES).filter(analysis=analysis, measure=measure, group=group)
        if halves.height:
            found |= {table.scores: table for table in with_halves(halves)}
    if scores is not None:
        return found.get(scores)
    # Raw scores are no answer to a question about gaps, since chance alone moves them.
    return found.get("controlled") or found.get("calibrated")


def _mean(table: Table, tap: str) -> _Mean | None:
    places = range(len(table.columns))
    chosen = [i for i in places if table.columns[i].label == tap] if tap != LAST else places[-1:]
    if not chosen:
        return None
    at = chosen[0]
    values = table.values[:, at]
    lost = [" and ".join(dict.fromkeys(table.rows[i])) for i in np.flatnonzero(np.isnan(values))]
    known = values[~np.isnan(values)]
    second = table.second()
    halves = None if table.halves is None else Halves(table.halves[..., at], table.share)
    found = of_mean(values, table.first(), second, halves)
    ends = sorted((table.sign * found.low, table.sign * found.high))
    why = f" ({table.reason})" if lost and table.reason else ""
    return _Mean(
        label=table.columns[at].label,
        value=table.sign * float(known.mean()) if known.size else nan,
        low=ends[0],
        high=ends[1],
        given="" if found.reason or isnan(found.low) else found.given,
        languages=found.count,
        lost=f"{NO_SCORE} {choices(lost, 6)}{why}" if lost else "",
        reason=f"no interval: {found.reason}" if found.reason else "",
    )
