"""The verbs of Isogloss: what the command line does, as functions."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import polars as pl

from isogloss.analyses import ANALYSES
from isogloss.analyses.base import Reading
from isogloss.analysing import analyse, load_findings, load_results
from isogloss.control import keep
from isogloss.corpora.base import grouped
from isogloss.errors import IsoglossError, MissingExtraError, choices
from isogloss.events import Events, Silent, task
from isogloss.extract import extract
from isogloss.planning import plan
from isogloss.runs import Run
from isogloss.store import Problem, Store, Unit
from isogloss.study import Study

__all__ = [
    "Outcome",
    "UnitStatus",
    "analyse",
    "load_findings",
    "load_results",
    "plan",
    "run",
    "status",
    "verify",
    "write_report",
]


_SHOWN = 6
"""Reasons, and sentence ids of one reason, that are named before the rest is only counted."""


_FEW = 10
"""Sentences below which a comparison says nothing."""


@dataclass(frozen=True)
class Outcome:
    """What a run gave."""

    folder: Path
    results: dict[str, pl.DataFrame]
    """Analysis -> its table; columns as in ``results.SCHEMA``, or its own for a reading."""
    made: int
    """Units that were extracted now; the others were there."""
    failed: tuple[tuple[Unit, str], ...] = ()
    """Units that could not be made, with the reason."""
    report: Path | None = None
    """The HTML report, or None if the ``report`` extra is not installed."""
    skipped: tuple[str, ...] = field(default=())
    """Analyses without anything to compare."""


@dataclass(frozen=True)
class UnitStatus:
    """Where one unit stands."""

    unit: Unit
    state: Literal["done", "failed", "pending"]
    detail: str = ""


def run(study: Study, events: Events | None = None) -> Outcome:
    """Do a study, or what is missing of it: activations, results, figures and report.

    Args:
        study: What to do. ``study.output`` may hold an earlier run of the same study; work that
            is there is not done again.
        events: Receives progress; nothing is printed without it.

    Raises:
        IsoglossError: The study cannot be done as described. Nothing is written before the
            corpus, the model's configuration and the output folder have been checked.
    """
    events = events or Silent()
    planned = plan(study, events)
    described = Run.of(planned)
    store = described.store()
    fresh = not (study.output / "study.json").exists()
    store.claim({**study.identity(), "checkpoint": planned.checkpoint})
    pending = planned.pending(store)
    if len(pending) < len(planned.units):
        there = len(planned.units) - len(pending)
        events.note(
            f"resuming: {there} of {len(planned.units)} units are in {study.output}"
            + ("" if pending else ", nothing to extract")
        )
    if described.retire():
        events.note(
            f"{study.output} held results of other sentences, languages or settings; they are "
            "replaced, and its activations stay"
        )
    described.write()
    described.keep_texts(planned.texts)
    try:
        failed = extract(planned, store, events)
    except IsoglossError:
        if fresh:
            store.release(planned.units)
        raise
    _tell(described, store, events)
    tables, skipped = analyse(study.output, events)
    for name, frame in tables.items():
        if not issubclass(ANALYSES.get(name), Reading):
            _judge(name, frame, events)
    try:
        path = write_report(study.output, events)
    except MissingExtraError as error:
        events.warn(f"no figures and no report: {error}")
        path = None
    return Outcome(
        study.output, tables, len(pending) - len(failed), tuple(failed), path, tuple(skipped)
    )


def _tell(described: Run, store: Store, events: Events) -> None:
    """Name what was left out and what was done to the inputs."""
    for note, count in described.done_to_inputs(store):
        events.note(f"{count} input{'' if count == 1 else 's'}: {note}")
    groups = grouped(described.left_out(store))
    for group in groups[:_SHOWN]:
        events.warn(
            f"left out: {group.language} {group.modality}, sentence "
            f"{choices(group.sentences, _SHOWN)}: {group.reason}"
        )
    if len(groups) > _SHOWN:
        events.warn(f"left out for {len(groups) - _SHOWN} more reasons; the report has them all")


def _judge(name: str, frame: pl.DataFrame, events: Events) -> None:
    """Warn of tables that say little."""
    undefined = frame.filter(pl.col("score").is_nan())
    if undefined.height:
        reason = undefined["reason"].mode().sort()[0]
        events.warn(f"{name}: {undefined.height} of {frame.height} scores are undefined ({reason})")
    fewest = frame.filter(pl.col("score").is_not_nan())["n"].min()
    if isinstance(fewest, int) and fewest < _FEW:
        events.warn(
            f"{name}: only {fewest} sentences are compared; chance is high and little can be read "
            "from the scores"
        )


def write_report(
    output: str | Path, events: Events | None = None, *, control: str | Path | None = None
) -> Path:
    """Draw the figures of a run and write its HTML report from the tables on disk.

    Args:
        output: Output folder of the run.
        events: Receives progress.
        control: Output folder of its control, see :mod:`isogloss.control`: of the same model, with
            every text encoded after another sentence's recording. It is kept beside the run, and
            later reports have it too.

    Returns:
        The path of the report.

    Raises:
        MissingExtraError: The ``report`` extra is not installed.
        IsoglossError: The folder holds no run or no results, or the control is none.
    """
    from isogloss.figures import save
    from isogloss.report import write as write_html
    from isogloss.report.content import content
    from isogloss.sensitivity.stored import outdated

    events = events or Silent()
    described = Run.read(Path(output))
    if control is not None:
        keep(described, Path(control))
    if outdated(described.folder):
        events.warn(
            "the sensitivity table is left out: the run has changed since; run "
            "`isogloss sensitivity` again"
        )
    tables, means = load_results(output), load_results(output, means=True)
    made = content(described, tables, means, load_findings(output))
    charts = [c for section in made.sections for c in section.charts]
    with task(events, "report", len(charts) + 1, "figure"):
        folder = described.folder / "figures"
        saved: set[Path] = set()
        for chart in charts:
            saved.update(save(chart, folder))
            events.advance("report", 1, chart.name)
        for stale in set(folder.glob("*.*")) - saved:
            stale.unlink(missing_ok=True)
        path = described.folder / "report.html"
        write_html(made, path)
        events.advance("report", 1, path.name)
    return path


def status(folder: str | Path) -> list[UnitStatus]:
    """Say for each unit of a run whether it is there, and why not.

    Raises:
        IsoglossError: The folder holds no run.
    """
    described = Run.read(Path(folder))
    store = described.store()
    found = []
    for unit in described.units:
        if store.has(unit):
            takes = store.record(unit)["takes"]
            lost = len(unit.sentences) - takes.count(0)
            less = unit.rows - len(takes) - lost
            counts = [(lost, "sentences"), (less, "further recordings")]
            parts = [f"{count} {what} left out" for count, what in counts if count]
            found.append(UnitStatus(unit, "done", ", ".join(parts)))
        elif failure := store.failure(unit):
            found.append(UnitStatus(unit, "failed", f"{failure['type']}: {failure['message']}"))
        else:
            found.append(UnitStatus(unit, "pending"))
    return found


def verify(folder: str | Path) -> Iterator[Problem]:
    """Check every file of a store against its record; yields what is wrong.

    Raises:
        IsoglossError: The folder holds no run.
    """
    return Run.read(Path(folder)).store().verify()
