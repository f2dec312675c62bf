"""Whether a run has lost similarity against another one, paired."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import polars as pl

from isogloss.analyses.base import Scores
from isogloss.beside.data import EQUAL
from isogloss.beside.findings import best_scores
from isogloss.checking.condition import NO_SCORE, Checked
from isogloss.errors import IsoglossError, choices
from isogloss.events import Events


def against(
    folder: Path,
    baseline: Path,
    measure: str,
    kinds: Sequence[str],
    tap: str,
    scores: Scores | None,
    *,
    tolerance: float,
    lacking: str,
    events: Events,
) -> Iterator[Checked]:
    """Compare a run with a baseline, on what both have.

    Args:
        folder: Output folder of the run.
        baseline: That of the baseline.
        measure: By what.
        kinds: Kinds of comparison that are asked about.
        tap: Label of the place, or ``last``.
        scores: Kind of scores; None for the best there is.
        tolerance: How much may be lost.
        lacking: What of the run is not there; then nothing holds.
        events: Receives progress.

    Raises:
        IsoglossError: As for :func:`isogloss.beside.compare_runs`, or none of the kinds is in both.
        StudyError: The tap is unknown.
    """
    from isogloss.beside import compare_runs

    done = compare_runs(folder, baseline, measures=[measure], taps=[tap], events=events)
    for note in done.notes:
        events.note(note)
    for item in done.ground.left_out:
        what = f"{item.language} {item.modality}".strip()
        events.warn(f"not compared with the baseline: {what}: {item.reason}")
    rows = done.differences.filter(pl.col("kind").is_in(kinds))
    rows = rows.filter(scores=scores or best_scores(rows, controlled=True))
    if rows.is_empty():
        raise IsoglossError(
            f"{folder} and {baseline} have no {scores or 'calibrated'} scores in common to check"
        )
    for row in rows.iter_rows(named=True):
        unscored = done.by_language.filter(
            pl.col("first").is_nan(), kind=row["kind"], scores=row["scores"], tap=row["tap"]
        )
        names = [
            " and ".join(dict.fromkeys(pair))
            for pair in unscored.select("language_a", "language_b").iter_rows()
        ]
        reason = lacking or (f"{NO_SCORE} {choices(names, 6)}" if names else "")
        reason = reason or (f"no interval: {row['reason']}" if row["reason"] else "")
        yield Checked(
            condition="baseline",
            what=row["kind"],
            tap=row["tap"],
            measure=measure,
            scores=row["scores"],
            asked=tolerance,
            found=row["difference"],
            low=row["low"],
            high=row["high"],
            given=row["given"],
            languages=row["languages"],
            # Without an interval nobody knows whether something was lost.
            passed=not reason and row["high"] >= -max(tolerance, EQUAL),
            reason=reason,
        )
