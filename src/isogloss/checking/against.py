"""Whether a run has lost similarity against another one, paired."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from isogloss.analyses.base import Scores
from isogloss.beside.data import EQUAL, KINDS
from isogloss.checking.condition import NO_SCORE, Checked
from isogloss.checking.kinds import lacks, missing, modalities_of, no_chance, order
from isogloss.errors import choices
from isogloss.events import Events
from isogloss.languages import resolve
from isogloss.results import PLAIN

if TYPE_CHECKING:
    from isogloss.beside import Compared


def against(
    folder: Path,
    baseline: Path,
    measure: str,
    kinds: Sequence[str],
    tap: str,
    scores: Scores | None,
    *,
    languages: Sequence[str],
    tolerance: float,
    strict: bool,
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
        languages: Codes or sets that are asked about; all if empty.
        tolerance: How much may be lost.
        strict: Ask for an interval that says that no more was lost.
        lacking: What of the run is not there; then nothing holds.
        events: Receives progress.

    Returns:
        One entry for each kind; one of which there is no score does not hold.

    Raises:
        IsoglossError: As for :func:`isogloss.beside.compare_runs`, or there is no level of chance.
        StudyError: The tap is unknown.
    """
    from isogloss.beside import compare_runs

    done = compare_runs(
        folder, baseline, measures=[measure], taps=[tap], languages=languages, events=events
    )
    _tell(done, languages, events)
    for kind in kinds:
        rows = done.differences.filter(kind=kind)
        best = _scores(done, kind, rows, measure, scores)
        own = rows.filter(scores=best)
        absent = _absent(done, kind, languages)
        if own.is_empty():
            yield missing(
                "baseline",
                kind,
                "; ".join(filter(None, (lacking, _why(done, kind, tap, best), absent))),
                tap=tap,
                measure=measure,
                scores=best,
                asked=tolerance,
                strict=strict,
            )
            continue
        row = own.row(0, named=True)
        unscored = done.by_language.filter(
            pl.col("first").is_nan(), kind=kind, scores=best, tap=row["tap"]
        )
        names = [
            " and ".join(dict.fromkeys(pair))
            for pair in unscored.select("language_a", "language_b").iter_rows()
        ]
        lost = f"{NO_SCORE} {choices(names, 6)}" if names else ""
        reason = lacking or "; ".join(filter(None, (lost, absent)))
        reason = reason or (f"no interval: {row['reason']}" if row["reason"] else "")
        least = -max(tolerance, EQUAL)
        yield Checked(
            condition="baseline",
            what=kind,
            tap=row["tap"],
            measure=measure,
            # Without any score there is none of chance either, and only raw ones are listed.
            scores=scores or ("calibrated" if best == "raw" else best),
            asked=tolerance,
            found=row["difference"],
            low=row["low"],
            high=row["high"],
            given=row["given"],
            languages=row["languages"],
            # Without an interval nobody knows whether something was lost.
            passed=not reason and (row["low"] > least if strict else row["high"] >= least),
            reason=reason,
            strict=strict,
        )


def _tell(done: "Compared", languages: Sequence[str], events: Events) -> None:
    """Say in what the two differ beside their numbers."""
    for note in done.notes:
        (events.warn if note in done.recordings else events.note)(note)
    for item in done.ground.left_out:
        if item.modality or not languages:
            what = f"{item.language} {item.modality}".strip()
            events.warn(f"not compared with the baseline: {what}: {item.reason}")


def _scores(
    done: "Compared", kind: str, rows: pl.DataFrame, measure: str, asked: Scores | None
) -> Scores:
    """The kind of scores to go by; raw ones only if they were asked for.

    Raises:
        IsoglossError: There are scores, but no level of chance to calibrate them with.
    """
    there = set(rows["scores"])
    known = set(rows.filter(pl.col("difference").is_not_nan())["scores"])
    for among in (known, there):
        for name in order(asked):
            if name in among:
                return name
    if asked in ("raw", "controlled"):
        return asked
    analysis, group = KINDS[kind]
    curves = done.curves.filter(analysis=analysis, group=group, control=PLAIN)
    scored = curves.filter(pl.col("score").is_not_nan())
    if scored.height and scored["null"].fill_nan(None).is_null().all():
        raise no_chance(done.models[0].run, measure)
    return "raw" if "raw" in there else "calibrated"


def _why(done: "Compared", kind: str, tap: str, scores: str) -> str:
    """Why a kind of comparison has no scores in both runs."""
    codes = set(done.ground.languages)
    names = ("the run", "the baseline")
    for model, name in zip(done.models, names, strict=True):
        if why := lacks(model.run, kind, codes, name):
            return why
    if done.differences.filter(kind=kind).is_empty():
        return f"the runs have no score at tap {tap} in common"
    return f"the runs have no {scores} scores in common"


def _absent(done: "Compared", kind: str, languages: Sequence[str]) -> str:
    """Which languages only the baseline has, of those that are asked about."""
    wanted = modalities_of(kind)
    baseline, compared = done.models[1].units, done.ground.sentences
    codes = {code for code, _ in baseline if all((code, m) in baseline for m in wanted)}
    codes -= {code for code in codes if all((code, m) in compared for m in wanted)}
    if languages:
        codes &= set(resolve(languages))
    if not codes:
        return ""
    return (
        f"the baseline has {choices(sorted(codes), 6)} too, which cannot be compared; --languages "
        "says which to ask about"
    )
