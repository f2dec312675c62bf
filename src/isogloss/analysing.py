"""From activations to tables: score, read, and test what the study claims."""

from pathlib import Path

import polars as pl

from isogloss import specs
from isogloss.analyses.base import Reading
from isogloss.compare import compare, prune
from isogloss.errors import IsoglossError, choices
from isogloss.events import Events, Silent
from isogloss.findings import gather
from isogloss.readings import Reader
from isogloss.results import read, write
from isogloss.runs import Run
from isogloss.sharing import Options
from isogloss.similarity.measures import MEASURES

FINDINGS = "findings"
"""Name of the table of claims and verdicts, beside those of the analyses."""


def analyse(
    folder: str | Path, events: Events | None = None
) -> tuple[dict[str, pl.DataFrame], list[str]]:
    """Score all comparisons of a run whose activations are there, and write the tables.

    Returns:
        The tables by analysis, and the analyses that found nothing to compare.
    """
    events = events or Silent()
    described = Run.read(Path(folder))
    store = described.store()
    units, contents = described.committed(store), described.contents(store)
    measures = [specs.parse(MEASURES, line) for line in described.study["measures"]]
    asked = described.study
    options = Options(
        permutations=asked["permutations"],
        seed=asked["seed"],
        confounds=tuple(asked["confounds"]),
        interval=asked["interval"],
        jobs=asked["jobs"],
        memory=asked["memory"],
    )
    results = described.folder / "results"
    tables: dict[str, pl.DataFrame] = {}
    means: dict[str, pl.DataFrame] = {}
    skipped, files = [], []
    analyses = described.analyses()
    for name, analysis in analyses.items():
        if isinstance(analysis, Reading):
            continue
        wanted = list(analysis.comparisons(contents))
        if not wanted:
            skipped.append(name)
            continue
        tables[name], means[name], used = compare(
            wanted,
            measures,
            analysis=name,
            store=store,
            units=units,
            options=options,
            events=events,
        )
        files += used
        write(tables[name], results, name)
        write(means[name], results / "means", name)
    reader = Reader(described, store, tables, means, events)
    for name, analysis in analyses.items():
        if not isinstance(analysis, Reading):
            continue
        found = reader.read(name, analysis)
        if found is None:
            skipped.append(name)
        else:
            tables[name] = found
            write(found, results, name)
    prune(results / "parts", [*files, *reader.files])
    if tables:
        write(gather(described.model["family"], analyses, tables, means), results, FINDINGS)
    earlier = set()
    for path in (*results.glob("*.*"), *results.glob("means/*.*")):
        if path.stem not in {*tables, FINDINGS} and path.suffix in {".parquet", ".csv"}:
            earlier.add(path.stem)
            path.unlink()
    if earlier:
        events.note(
            f"removed the tables of {choices(sorted(earlier))}, which the study no longer asks for"
        )
    if not tables:
        raise IsoglossError(
            f"{described.folder}: there is nothing to compare. The analyses need two languages, or "
            "text and speech of one; `isogloss status` shows what is there"
        )
    return tables, skipped


def load_results(folder: str | Path, *, means: bool = False) -> dict[str, pl.DataFrame]:
    """Read the tables of a run, by analysis.

    Args:
        folder: Output folder of the run.
        means: Read the tables of means over languages instead of those of single scores.

    Raises:
        IsoglossError: The folder holds no run, or its comparisons have not been made.
    """
    described = Run.read(Path(folder))
    analyses = described.analyses()
    names = [n for n, a in analyses.items() if not (means and isinstance(a, Reading))]
    results = described.folder / "results"
    there = [n for n in names if (results / f"{n}.parquet").exists()]
    return {n: read(results / "means" if means else results, n) for n in there or names}


def load_findings(folder: str | Path) -> pl.DataFrame | None:
    """Read the claims of a run with their tests and verdicts, see :mod:`isogloss.findings`.

    Returns:
        The table, with the columns of ``findings.SCHEMA``; None if the run has none yet.

    Raises:
        IsoglossError: The folder holds no run.
    """
    results = Run.read(Path(folder)).folder / "results"
    return read(results, FINDINGS) if (results / f"{FINDINGS}.parquet").exists() else None
