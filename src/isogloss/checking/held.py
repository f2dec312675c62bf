"""Limits on the mean similarity of a run, from its stored scores."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from math import isnan, nan

import numpy as np
import polars as pl

from isogloss.analyses._claims import Table, tables
from isogloss.analyses._halves import with_halves
from isogloss.analyses.base import Scores
from isogloss.beside.data import KINDS
from isogloss.beside.estimates import of_mean
from isogloss.beside.places import LAST
from isogloss.checking.condition import NO_SCORE, Checked, Limit
from isogloss.checking.kinds import lacks, missing, modalities_of, no_chance, order
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
    languages: Collection[str],
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
        languages: Codes of those that are asked about.
        strict: Ask it of the whole interval.
        lacking: What of the run is not there; then nothing holds.

    Returns:
        One entry for each limit; a kind of comparison without scores does not hold.

    Raises:
        IsoglossError: The run has no such scores.
        StudyError: The tap is unknown.
    """
    known = {
        kind: _table(run, kind, measure, scores, languages)
        for kind in dict.fromkeys(limit.what for limit in limits)
    }
    there = [table for table in known.values() if isinstance(table, Table)]
    labels = dict.fromkeys(c.label for table in there for c in table.columns)
    if there and tap != LAST and tap not in labels:
        raise StudyError(unknown("tap", tap, (*labels, LAST)))
    for limit in limits:
        table = known[limit.what]
        found = None if isinstance(table, str) else _mean(table, tap)
        if isinstance(table, Table) and found is not None:
            whole = lacking or _unscored(run, limit.what, table, languages)
            yield _held(limit, table, found, measure, strict=strict, lacking=whole)
            continue
        yield missing(
            limit.condition,
            limit.what,
            lacking or (table if isinstance(table, str) else f"it has no tap {tap}"),
            tap=tap,
            measure=measure,
            scores=table.scores if isinstance(table, Table) else scores or "calibrated",
            asked=limit.value,
            strict=strict,
        )


def _unscored(run: Run, kind: str, table: Table, languages: Collection[str]) -> str:
    """Which languages of the run its tables do not have, as after a run that was interrupted."""
    units = {str(m): {u.language for u in run.units if u.modality == m} for m in MODALITIES}
    wanted = set.intersection(*(units[m] for m in modalities_of(kind)))
    absent = sorted(wanted & {*languages} - {code for row in table.rows for code in row})
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
        strict=strict,
    )


def _table(
    run: Run, kind: str, measure: str, scores: Scores | None, languages: Collection[str]
) -> Table | str:
    """Scores of a kind of comparison, with those of halves if there are some; or why there is none.

    Raises:
        IsoglossError: The study does not ask for such scores.
    """
    analysis, group = KINDS[kind]
    rows = _rows(run, analysis, languages, measure=measure, group=group)
    if rows is None:
        if analysis not in {line.partition("(")[0] for line in run.study["analyses"]}:
            raise IsoglossError(
                f"{run.folder} has no {kind} scores to check; its study must have the analysis "
                f"{analysis}"
            )
        earlier = "the tables are of an earlier state, without it; run the study again"
        return lacks(run, kind, languages) or earlier
    found = {table.scores: table for table in tables(rows)}
    halves = _rows(run, HALVES, languages, analysis=analysis, measure=measure, group=group)
    if halves is not None:
        found |= {table.scores: table for table in with_halves(halves)}
    for name in order(scores):
        if name in found:
            return found[name]
    if scores == "controlled":
        raise IsoglossError(
            f"{run.folder} has no controlled {kind} scores to check; its study must name confounds"
        )
    if not np.isnan(found["raw"].values).all():
        raise no_chance(run, measure)
    # Without any score nobody can tell what chance would give.
    return replace(found["raw"], scores="calibrated")


def _rows(run: Run, name: str, languages: Collection[str], **where: str) -> pl.DataFrame | None:
    """Some rows of a table of the run, or None if there are none."""
    folder = run.folder / "results"
    if not (folder / f"{name}.parquet").exists():
        return None
    inside = (pl.col(side).is_in([*languages]) for side in ("language_a", "language_b"))
    found = read(folder, name).filter(*inside, **where)
    return found if found.height else None


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
