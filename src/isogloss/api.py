"""The verbs of Isogloss: what the command line does, as functions."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

import polars as pl

from isogloss.analyses import ANALYSES
from isogloss.analyses.base import Reading
from isogloss.analysing import analyse, load_findings, load_results
from isogloss.control import keep
from isogloss.coordinate import Detached, compare_views, make_units
from isogloss.corpora.base import grouped
from isogloss.errors import IsoglossError, MissingExtraError, choices
from isogloss.events import Events, Silent
from isogloss.extraction.extract import failures
from isogloss.interrupts import Interrupted, Stop, stoppable
from isogloss.planning import plan
from isogloss.runs import Run
from isogloss.standing import Progress, UnitStatus, progress
from isogloss.storage.store import Store, Unit
from isogloss.storage.verifying import Problem
from isogloss.storage.verifying import repair as repair_folder
from isogloss.storage.verifying import verify as verify_folder
from isogloss.study import Study

__all__ = [
    "Outcome",
    "Progress",
    "UnitStatus",
    "analyse",
    "finish",
    "load_findings",
    "load_results",
    "plan",
    "progress",
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
    submitted: str = ""
    """Where to look for workers that were queued and go on by themselves; nothing else is known."""


def run(study: Study, events: Events | None = None, *, report: bool = True) -> Outcome:
    """Do a study, or what is missing of it: activations, results, figures and report.

    Args:
        study: What to do. ``study.output`` may hold an earlier run of the same study; work that
            is there is not done again.
        events: Receives progress; nothing is printed without it.
        report: Draw the figures and write the report; else :func:`write_report` does it later.

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
    call = uuid4().hex[:12]
    try:
        with stoppable(events) as stop:
            failed = make_units(planned, store, events, stop=stop, run=call)
            if stop():
                raise Interrupted
            compare_views(study.executor, described, events, stop=stop)
            made = sum(store.has(u) for u in pending)
            return _conclude(described, store, events, stop, made, tuple(failed), report=report)
    except Detached as handed:
        return Outcome(study.output, {}, 0, submitted=handed.crew.where())
    except IsoglossError:
        if fresh:
            store.release()
        raise


def finish(folder: str | Path, events: Events | None = None) -> Outcome:
    """Compare, write the tables and the report of a run whose units were made elsewhere.

    Units that are missing are not made; they are named as failed.

    Args:
        folder: Output folder of the run.
        events: Receives progress.

    Raises:
        IsoglossError: The folder holds no run, or nothing in it can be compared.
    """
    events = events or Silent()
    described = Run.read(Path(folder))
    store = described.store()
    missing = tuple(failures(described.units, store))
    with stoppable(events) as stop:
        return _conclude(described, store, events, stop, 0, missing)


def _conclude(
    described: Run,
    store: Store,
    events: Events,
    stop: Stop,
    made: int,
    failed: tuple[tuple[Unit, str], ...],
    *,
    report: bool = True,
) -> Outcome:
    """Compare what is there, and write tables, figures and report."""
    _tell(described, store, events)
    tables, skipped = analyse(described.folder, events, stop=stop, run=described)
    if stop():
        raise Interrupted
    for name, frame in tables.items():
        if not issubclass(ANALYSES.get(name), Reading):
            _judge(name, frame, events)
    path = report_or_warning(described.folder, events) if report else None
    return Outcome(described.folder, tables, made, failed, path, tuple(skipped))


def report_or_warning(output: Path, events: Events) -> Path | None:
    """Write the report of a run, or warn that the ``report`` extra is not installed."""
    try:
        return write_report(output, events)
    except MissingExtraError as error:
        events.warn(f"no figures and no report: {error}")
        return None


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
    output: str | Path,
    events: Events | None = None,
    *,
    control: str | Path | None = None,
    beside: str | Path | None = None,
    names: Sequence[str] = (),
) -> Path:
    """Draw the figures of a run and write its HTML report from the tables on disk.

    Args:
        output: Output folder of the run.
        events: Receives progress.
        control: Output folder of its control, see :mod:`isogloss.control`: of the same model, with
            every text encoded after another sentence's recording. It is kept beside the run, and
            later reports have it too.
        beside: Output folder of another run to set this one beside, see :mod:`isogloss.beside`: an
            earlier checkpoint, or the same architecture untrained. The comparison is kept beside
            the run, and later reports have it too.
        names: What to call this run and that one.

    Returns:
        The path of the report.

    Raises:
        MissingExtraError: The ``report`` extra is not installed.
        IsoglossError: The folder holds no run or no results, the control is none, or the other run
            does not compare with this one.
    """
    from isogloss.beside.stored import outdated as out_of_date
    from isogloss.report import publish
    from isogloss.report.content import content
    from isogloss.sensitivity.stored import outdated

    events = events or Silent()
    described = Run.read(Path(output))
    if control is not None:
        keep(described, Path(control))
    if beside is not None:
        from isogloss.beside import keep as keep_beside

        keep_beside(described, Path(beside), names=names, events=events)
    if out_of_date(described):
        events.warn(
            "the comparison with another run is left out: this run has changed since; run "
            "`isogloss report --beside` again"
        )
    if outdated(described.folder):
        events.warn(
            "the sensitivity table is left out: the run has changed since; run "
            "`isogloss sensitivity` again"
        )
    tables, means = load_results(output), load_results(output, means=True)
    made = content(described, tables, means, load_findings(output))
    return publish(made, described.folder, events)


def status(folder: str | Path) -> list[UnitStatus]:
    """Say for each unit of a run whether it is there, under way or failed, and why.

    Raises:
        IsoglossError: The folder holds no run.
    """
    return list(progress(folder).units)


def verify(folder: str | Path, *, repair: bool = False) -> Iterator[Problem]:
    """Check every file of an output folder against its digest; yields what is wrong.

    Args:
        folder: Output folder of a run.
        repair: Remove what is damaged or left over, so that the next run makes it again; see
            :func:`isogloss.storage.verifying.repair`.

    Raises:
        IsoglossError: The folder holds no run.
    """
    return repair_folder(Path(folder)) if repair else verify_folder(Path(folder))
