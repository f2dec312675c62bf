"""Have a run's work done by workers that an executor starts, and show how it gets on.

The workers find their work themselves. What is done here is to start them, to watch the folder that
all share, and to start them again when they were lost before the work was done.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

from isogloss.analysing import Asked
from isogloss.errors import IsoglossError
from isogloss.events import PART, Events, begin, memory, task
from isogloss.executors.base import Crew, Executor, Job, Stage
from isogloss.extraction.extract import bring_up_to_date, extract, failures
from isogloss.interrupts import Interrupted, Stop
from isogloss.leases import Leases
from isogloss.planning import Plan
from isogloss.runs import Run
from isogloss.storage import atomic
from isogloss.storage.parts import Parts
from isogloss.storage.pieces import Pieces
from isogloss.storage.store import Store, Unit

_LOOK = 1.0
"""Seconds between two looks at the folder."""
_IN_VAIN = 2
"""How often workers are started again that have ended without having done anything."""


class Detached(Exception):  # noqa: N818 – not an error: the work goes on without us
    """The workers are queued and nobody waits for them.

    Args:
        crew: What was started.
    """

    def __init__(self, crew: Crew) -> None:
        super().__init__("the work was handed over")
        self.crew = crew


def job(folder: Path, stage: Stage, run: str, threads: int = 0) -> Job:
    """What workers of a run are told."""
    return Job(str(folder.resolve()), str(Path.cwd()), stage, run, threads)


def make_units(
    planned: Plan, store: Store, events: Events, *, stop: Stop, run: str
) -> list[tuple[Unit, str]]:
    """Make the units of a plan that are missing, wherever the study says.

    Args:
        planned: What is wanted; its run must have been written.
        store: Where it goes.
        events: Receives progress.
        stop: Asked after each batch, and passed on to the workers.
        run: Names this call of ``run``.

    Returns:
        The units that failed, each with its message.

    Raises:
        IsoglossError: No worker can do anything.
        Interrupted: ``stop`` asked for it.
        Detached: The workers are queued somewhere.
    """
    executor = planned.study.executor
    if executor.inside:
        return extract(planned, store, events, stop=stop, run=run)
    pending = planned.pending(store)
    bring_up_to_date(planned, store)
    if not pending:
        return []
    # The tables of the corpus and the model's files are checked by now; workers read them again.
    watch = _Units(pending, store, events, run)
    with task(events, "extract", sum(u.rows for u in pending), "input"), watch:
        told, pieces = job(store.root, "extract", run), Pieces(store.folder)
        problems = _carry_out(
            executor, told, events, stop, watch.look, watch.left, lambda: len(pieces.files())
        )
    left = watch.left()
    if problems and len(left) == len(pending):
        raise IsoglossError(f"no worker could do anything; the last: {problems[-1]}")
    last = problems[-1] if problems else "workers have ended; run it again to go on"
    return [
        *failures(pending, store, run),
        *((unit, f"not made: {last}") for unit in left),
    ]


def compare_views(executor: Executor, run: Run, events: Events, *, stop: Stop) -> None:
    """Score the comparisons of a run on workers; does nothing if this process is to do it.

    What they leave undone is done by whoever puts the tables together.

    Args:
        executor: Where.
        run: The run.
        events: Receives progress.
        stop: Asked between comparisons, and passed on to the workers.

    Raises:
        Interrupted: ``stop`` asked for it.
    """
    if executor.inside:
        return
    sizes = {c.key: len(c.comparisons) for found in Asked(run).chunks() for c in found.all}
    total, parts = sum(sizes.values()), Parts(run.folder / "results" / "parts")

    def missing() -> list[str]:
        there = parts.keys()
        return [key for key in sizes if key not in there]

    def scored() -> int:
        return total - sum(sizes[key] for key in missing())

    done = scored()
    if done == total:
        return

    def look() -> None:
        nonlocal done
        now = scored()
        if now > done:
            events.advance("compare", now - done)
            done = now

    with task(events, "compare", total, "pair", done):
        told = job(run.folder, "compare", uuid4().hex[:12])
        _carry_out(executor, told, events, stop, look, missing, lambda: None)


def _carry_out(
    executor: Executor,
    told: Job,
    events: Events,
    stop: Stop,
    look: Callable[[], None],
    left: Callable[[], Sequence[Any]],
    sign: Callable[[], Any],
) -> list[str]:
    """Start workers until nothing is left or nothing gets done; returns what went wrong.

    ``sign`` changes when something gets done on what is left, too.
    """
    problems: list[str] = []
    in_vain = 0
    while (before := (len(left()), sign()))[0] and in_vain < _IN_VAIN:
        crew = executor.launch(told)
        if crew.detached:
            raise Detached(crew)
        events.advance(told.stage, 0, f"waiting for {executor.count} workers")
        problems += _watch(crew, events, stop, look)
        if stop():
            raise Interrupted
        if problems:
            _see_that_it_can_be_written(Path(told.folder))
        in_vain = in_vain + 1 if (len(left()), sign()) == before else 0
    return problems


def _see_that_it_can_be_written(folder: Path) -> None:
    """Where workers fail since the disk is full, more of them would not help.

    Raises:
        OutputError: It cannot be written.
    """
    probe = folder / "workers" / f".probe.{uuid4().hex}"
    try:
        atomic.write_bytes(probe, bytes(2**16))
    finally:
        with suppress(OSError):
            probe.unlink(missing_ok=True)


def _watch(crew: Crew, events: Events, stop: Stop, look: Callable[[], None]) -> list[str]:
    problems: list[str] = []

    def hear() -> None:
        for problem in crew.problems():
            where = crew.where()
            problems.append(problem + (f" (more in {where})" if where else ""))
            events.warn(problems[-1])

    try:
        while crew.running():
            with suppress(OSError):  # a network folder that does not answer for a moment
                look()
            hear()
            if stop():
                crew.stop(now=False)
            time.sleep(_LOOK)
    except BaseException:
        crew.stop(now=True)
        raise
    look()
    hear()
    return problems


class _Units:
    """Watches units being made by others, and tells of it."""

    def __init__(self, units: Sequence[Unit], store: Store, events: Events, run: str) -> None:
        self._units, self._store, self._events, self._run = units, store, events, run
        self._leases = Leases(store.root / "leases")
        self._told = 0.0
        self._shown: dict[Unit, int] = {}
        """Units under way, with the inputs that were done when last looked at."""
        self._holders: set[str] = set()

    def __enter__(self) -> "_Units":
        return self

    def __exit__(self, *exc: object) -> None:
        for unit in list(self._shown):
            self._close(unit)
        for holder in self._holders:
            memory(self._events, holder, 0)
        with suppress(OSError):
            self._leases.close()

    def left(self) -> list[Unit]:
        """Units that are neither there nor failed."""
        failed = {unit for unit, _ in failures(self._units, self._store, self._run)}
        return [u for u in self._units if u not in failed and not self._store.has(u)]

    def look(self) -> None:
        """Tell what has changed."""
        done, what, holders = 0, "", set()
        failed = {unit for unit, _ in failures(self._units, self._store, self._run)}
        for unit in self._units:
            if unit in failed or self._store.has(unit):
                done += unit.rows
                if unit in self._shown:
                    self._close(unit)
                continue
            state = self._leases.state(unit.name)
            if state is None:
                if unit in self._shown:
                    self._close(unit)
                continue
            made, what = _number(state, "done"), f"{unit.language} {unit.modality}"
            done += made
            part = f"extract{PART}{what}"
            if unit not in self._shown:
                begin(self._events, part, unit.rows, "input")
            self._events.advance(part, made - self._shown.get(unit, 0))
            self._shown[unit] = made
            holder = f"{state.get('host')} {state.get('pid')}"
            holders.add(holder)
            memory(self._events, holder, _number(state, "memory"))
        for holder in self._holders - holders:
            memory(self._events, holder, 0)
        self._holders = holders
        # What a lost worker had under way is done again, so this may go back for a while.
        if done > self._told:
            self._events.advance("extract", done - self._told, what)
            self._told = done

    def _close(self, unit: Unit) -> None:
        del self._shown[unit]
        self._events.finish(f"extract{PART}{unit.language} {unit.modality}")


def _number(state: Mapping[str, Any], name: str) -> int:
    """A number of a lease, which anybody may have written."""
    found = state.get(name)
    return found if isinstance(found, int) else 0
