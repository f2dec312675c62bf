"""How the conclusion of a run moves with truncation rule, share, measure and N: one call."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import polars as pl

from isogloss import specs
from isogloss.analyses.base import Comparison
from isogloss.analyses.gaps import Gaps
from isogloss.compare import compare
from isogloss.errors import IsoglossError
from isogloss.events import Events, Silent
from isogloss.results import write
from isogloss.runs import Run
from isogloss.sensitivity.table import FRACTIONS, SHARES, Scored, findings, table, variants
from isogloss.sharing import Options
from isogloss.similarity.base import Measure
from isogloss.similarity.measures import MEASURES

__all__ = ["findings", "read_table", "sensitivity"]

FOLDER = NAME = "sensitivity"


def read_table(folder: Path) -> pl.DataFrame | None:
    """The table of an earlier call for a run, or None if there is none."""
    path = folder / FOLDER / f"{NAME}.parquet"
    return pl.read_parquet(path) if path.exists() else None


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
        measures: Measures to try, such as ``"cka"``; all with their defaults if empty.
        events: Receives progress.

    Returns:
        One row per variant and kind of comparison, see :data:`isogloss.sensitivity.table.SCHEMA`.
        Also written to ``sensitivity/`` of the folder, from where :func:`isogloss.api.write_report`
        draws its figure and adds it to the report.

    Raises:
        IsoglossError: The folder holds no run, or one without text and speech of two languages.
        StudyError: A share lies outside of 0 to 1, or a measure is unknown.
    """
    described, events = Run.read(Path(folder)), events or Silent()
    store = described.store()
    comparisons = list(Gaps().comparisons(described.contents(store)))
    if not comparisons:
        raise IsoglossError(
            f"{described.folder}: there is no text and speech of one language to compare; "
            "`isogloss status` shows what is there"
        )
    study = described.study
    options = Options(0, study["seed"], (), "none", study["jobs"], study["memory"])

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
    found = variants(base, shares=shares, fractions=fractions, measures=others)
    frame = table(found, comparisons, score)
    write(frame, described.folder / FOLDER, NAME)
    return frame
