"""How the conclusion of a run moves with truncation rule, share, measure and N: one call."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import polars as pl

from isogloss import specs
from isogloss.analyses.base import Comparison
from isogloss.compare import compare
from isogloss.errors import IsoglossError
from isogloss.events import Events, Silent
from isogloss.runs import Run
from isogloss.sensitivity.stored import gaps_of, origin, outdated, read_table, save
from isogloss.sensitivity.table import (
    FRACTIONS,
    SHARES,
    Scored,
    defaults,
    findings,
    table,
    variants,
)
from isogloss.sharing import Options
from isogloss.similarity.base import Measure
from isogloss.similarity.measures import MEASURES

__all__ = ["findings", "outdated", "read_table", "sensitivity"]


def sensitivity(
    folder: str | Path,
    *,
    shares: Sequence[float] = SHARES,
    fractions: Sequence[float] = FRACTIONS,
    measures: Sequence[str | Measure] = (),
    events: Events | None = None,
) -> pl.DataFrame:
    """Score a run at its last tap under many choices, and say how its conclusion moves.

    Args:
        folder: Output folder of a run with text and speech.
        shares: Shares of variance at which SVCCA cuts, by the squared and by the linear rule.
        fractions: Shares of the sentences, for the study's first measure.
        measures: Measures to try, such as ``"cka"``; if empty, all that need no option, with their
            defaults.
        events: Receives progress, and a warning for each measure that cannot be tried.

    Returns:
        One row per variant and kind of comparison, see :data:`isogloss.sensitivity.table.SCHEMA`.
        Also written to ``sensitivity/`` of the folder, from where :func:`isogloss.api.write_report`
        draws its figure and adds it to the report, for as long as the run stays what it is.

    Raises:
        IsoglossError: The folder holds no run, or one without text and speech of two languages.
        StudyError: A share lies outside of 0 to 1, or a measure is unknown.
    """
    described, events = Run.read(Path(folder)), events or Silent()
    store = described.store()
    contents = described.contents(store)
    names = contents.languages("text", "speech")
    if len(names) < _LEAST:
        there = f"only of {names[0]}" if names else "of none"
        raise IsoglossError(
            f"{described.folder}: the gap between modalities and that between languages are "
            f"compared over languages, so text and speech of at least {_LEAST} must be there; they "
            f"are {there}. `isogloss status` shows what is there"
        )
    comparisons = gaps_of(described, contents)
    if not comparisons:
        raise IsoglossError(
            f"{described.folder}: the taps that were read form no pair of text and speech"
        )
    study = described.study
    source = origin(described, store, comparisons)
    options = Options.of(study, permutations=0, confounds=(), interval="none")

    def score(asked: Sequence[Comparison], parts: Sequence[Measure]) -> Scored:
        rows, means = _compare(asked, parts, options)
        # Shuffling is needed only where a measure has no closed form of its chance level.
        open_ended = rows.filter(pl.col("score").is_not_nan(), pl.col("chance").is_nan())
        lines = set(open_ended["measure"])
        again = [m for m in parts if specs.write(MEASURES, m) in lines]
        if again and study["permutations"]:
            more = replace(options, permutations=study["permutations"])
            found = _compare(asked, again, more)
            left = ~pl.col("measure").is_in(lines)
            rows, means = (
                pl.concat([old.filter(left), new])
                for old, new in zip((rows, means), found, strict=True)
            )
        return rows, means

    def _compare(asked: Sequence[Comparison], parts: Sequence[Measure], how: Options) -> Scored:
        rows, means, _ = compare(
            asked,
            parts,
            analysis="sensitivity",
            store=store,
            units=described.committed(store),
            options=how,
            events=events,
        )
        return rows, means

    base = specs.parse(MEASURES, study["measures"][0])
    others = [specs.parse(MEASURES, m) for m in measures]
    if not others:
        others, problems = defaults()
        for problem in problems:
            events.warn(f"a measure is left out: {problem}")
    wanted = variants(base, shares=shares, fractions=fractions, measures=others)
    frame = table(wanted, comparisons, score)
    save(frame, described.folder, source)
    return frame


_LEAST = 2
"""Languages without which there is no gap between languages."""
