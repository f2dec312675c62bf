"""From activations to tables: score, read, and test what the study claims."""

from collections.abc import Iterator
from pathlib import Path

import polars as pl

from isogloss import specs
from isogloss.analyses.base import Comparison, Reading
from isogloss.chunks import Chunks
from isogloss.compare import compare, prune
from isogloss.errors import IsoglossError, choices
from isogloss.events import Events, Silent
from isogloss.findings import gather
from isogloss.interrupts import Interrupted, Stop
from isogloss.leases import Leases
from isogloss.readings import Reader
from isogloss.results import read, write
from isogloss.runs import Run
from isogloss.sharing import Options
from isogloss.similarity.measures import MEASURES
from isogloss.storage import atomic

FINDINGS = "findings"
"""Name of the table of claims and verdicts, beside those of the analyses."""


class Asked:
    """What a run wants compared, of what is there.

    Args:
        described: The run.
        threads: For each comparison in turn; the study's number if 0.
    """

    def __init__(self, described: Run, threads: int = 0) -> None:
        self.store = described.store()
        self.analyses = described.analyses()
        self.measures = [specs.parse(MEASURES, line) for line in described.study["measures"]]
        self.units = described.committed(self.store)
        self.contents = described.contents(self.store)
        jobs = {"jobs": threads} if threads else {}
        self.options = Options.of(described.study, **jobs)

    def comparisons(self) -> Iterator[tuple[str, list[Comparison]]]:
        """Each comparing analysis with its comparisons, which may be none."""
        for name, analysis in self.analyses.items():
            if not isinstance(analysis, Reading):
                yield name, list(analysis.comparisons(self.contents))

    def chunks(self) -> Iterator[Chunks]:
        """The chunks of each analysis that has any, as any worker can make them."""
        for name, wanted in self.comparisons():
            if wanted:
                yield Chunks(
                    wanted,
                    self.measures,
                    analysis=name,
                    store=self.store,
                    units=self.units,
                    options=self.options,
                )


def prepare(folder: Path, events: Events, *, stop: Stop | None = None, threads: int = 0) -> None:
    """Score comparisons of a run that nobody has scored or is scoring; a worker's share.

    Args:
        folder: Output folder of the run.
        events: Receives progress.
        stop: Asked after each chunk.
        threads: To compare in; the study's number if 0.

    Raises:
        IsoglossError: The folder holds no run.
        Interrupted: ``stop`` asked for it.
    """
    leases = Leases(folder / "leases")
    try:
        for chunks in Asked(Run.read(folder), threads).chunks():
            chunks.fill(events, leases, stop or Stop(), patient=False)
    finally:
        leases.close()


def analyse(
    folder: str | Path,
    events: Events | None = None,
    *,
    stop: Stop | None = None,
    run: Run | None = None,
) -> tuple[dict[str, pl.DataFrame], list[str]]:
    """Score all comparisons of a run whose activations are there, and write the tables.

    Args:
        folder: Output folder of the run.
        events: Receives progress.
        stop: Asked between comparisons.
        run: The run that is meant, if it is known; nothing is written once the folder has become
            that of another one.

    Returns:
        The tables by analysis, and the analyses that found nothing to compare.

    Raises:
        Interrupted: ``stop`` asked for it; what was compared is kept.
        StoreError: Another run with other settings has taken the folder over meanwhile.
    """
    events = events or Silent()
    described = run or Run.read(Path(folder))
    asked = Asked(described)
    store, analyses = asked.store, asked.analyses
    results = described.folder / "results"
    tables: dict[str, pl.DataFrame] = {}
    means: dict[str, pl.DataFrame] = {}
    skipped, files = [], []
    for name, wanted in asked.comparisons():
        if not wanted:
            skipped.append(name)
            continue
        tables[name], means[name], used = compare(
            wanted,
            asked.measures,
            analysis=name,
            store=store,
            units=asked.units,
            options=asked.options,
            events=events,
            stop=stop,
        )
        files += used
        described.check_current()
        write(tables[name], results, name)
        write(means[name], results / "means", name)
    reader = Reader(described, store, tables, means, events, stop)
    for name, analysis in analyses.items():
        if not isinstance(analysis, Reading):
            continue
        if stop is not None and stop():
            raise Interrupted
        found = reader.read(name, analysis)
        if found is None:
            skipped.append(name)
        else:
            tables[name] = found
            described.check_current()
            write(found, results, name)
    described.check_current()
    # Another run with other options may be at work, whose chunks are none of ours.
    if not any(n.startswith("compare-") for n in Leases(described.folder / "leases").names()):
        prune(results / "parts", [*files, *reader.files])
    if tables:
        write(gather(described.model["family"], analyses, tables, means), results, FINDINGS)
    earlier = set()
    for path in (*results.glob("*.*"), *results.glob("means/*.*")):
        if path.stem not in {*tables, FINDINGS} and path.suffix in {".parquet", ".csv"}:
            earlier.add(path.stem)
            atomic.remove(path)
    if earlier:
        events.note(
            f"removed the tables of {choices(sorted(earlier))}, which the study no longer asks for"
        )
    if not tables:
        missing = [f"{u.language} {u.modality}" for u in described.units if not store.has(u)]
        lacking = (
            f" These units are not there: {choices(missing)}. Running it again makes them."
            if missing
            else ""
        )
        raise IsoglossError(
            f"{described.folder}: there is nothing to compare.{lacking} The analyses need two "
            "languages, or text and speech of one; `isogloss status` shows what is there"
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
