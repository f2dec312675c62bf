"""Make the units of a run that are missing, alone or beside any number of other workers."""

import time
import traceback
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from socket import gethostname
from typing import Any
from uuid import uuid4

from threadpoolctl import threadpool_limits

from isogloss.corpora.base import Modality
from isogloss.errors import IsoglossError, OutputError
from isogloss.events import PART, Events, begin, found, task
from isogloss.extraction.making import Maker, pick_device, refresh
from isogloss.interrupts import Interrupted, Stop
from isogloss.languages import language
from isogloss.leases import Lease, Leases
from isogloss.memory import resident
from isogloss.models.base import Adapter, Tower
from isogloss.planning import Plan
from isogloss.provenance import error_record, now
from isogloss.storage.store import Store, Unit
from isogloss.study import Study

_POLL = 0.5
"""Seconds between two looks at what others do."""
_TOLD = 1.0
"""Seconds after which others are told how far a unit is."""
_LOST = 3
"""Workers that may be lost on a unit, in one call of ``run`` and without getting on with it."""
_ALIKE = 3
"""Units that may fail alike, one after the other, before a worker among others leaves."""
_TRIES = 2
"""Workers that must fail on a unit, where there are several: one of them may be ill."""


def extract(
    plan: Plan, store: Store, events: Events, *, stop: Stop | None = None, run: str = ""
) -> list[tuple[Unit, str]]:
    """Make every unit that is not committed yet, in this process. One failure stops no other unit.

    Units that others are making are waited for, and taken over if their worker is lost.

    Args:
        plan: What is wanted.
        store: Where it goes.
        events: Receives progress.
        stop: Asked after each batch.
        run: Names this call among others; a unit that failed in it is not tried again in it.

    Returns:
        The units that failed, each with its message. Their traceback is in the store.

    Raises:
        ModelError: The model cannot be loaded.
        OutputError: The store cannot be written.
        Interrupted: ``stop`` asked for it.
    """
    pending = plan.pending(store)
    bring_up_to_date(plan, store)
    if not pending:
        return []
    if store.study() is None:  # a folder that nobody claimed, which may not be there yet
        store.root.mkdir(parents=True, exist_ok=True)
    leases = Leases(store.root / "leases")
    extraction = Extraction(
        pending, lambda _: plan, plan.study, store, leases, events, stop=stop, run=run
    )
    try:
        extraction.work(patient=True)
    finally:
        leases.close()
    return failures(pending, store)


def bring_up_to_date(plan: Plan, store: Store) -> None:
    """Let the records that are there say what the corpus says now of speakers and columns."""
    for unit in plan.units:
        if store.has(unit):
            refresh(plan, store, unit)


def failures(units: Sequence[Unit], store: Store, run: str | None = None) -> list[tuple[Unit, str]]:
    """The units that are not there, each with why.

    Args:
        units: Of these.
        store: Where they should be.
        run: Only those that failed in this call of ``run``.
    """
    found = []
    for unit in units:
        if store.has(unit):
            continue
        if run is None:
            found.append((unit, store.why(unit) or "not made"))
        elif (store.failure(unit) or {}).get("run") == run:
            found.append((unit, store.why(unit)))
    return found


def preferred(
    units: Sequence[Unit], loaded: Modality | None, busy: Mapping[str, int]
) -> list[Unit]:
    """Order units for a worker: first those whose encoder it has loaded.

    A worker that has none begins with the modality that has the most left for each worker at it, so
    that several workers load one encoder each where that is enough.

    Args:
        units: What is left, in the order of the plan.
        loaded: The modality whose encoder is in memory.
        busy: Modality -> workers that are at it.
    """
    left: Counter[Modality] = Counter()
    for unit in units:
        left[unit.modality] += unit.rows
    ranked = sorted(left, key=lambda m: (m != loaded, -left[m] / (busy.get(m, 0) + 1)))
    return [unit for modality in ranked for unit in units if unit.modality == modality]


class Extraction:
    """A worker's share of the units of a run, which it finds by itself.

    Args:
        units: All that may be made.
        plan_of: Gives the plan that has a unit's inputs.
        study: The study.
        store: Where units go.
        leases: Who makes what.
        events: Receives progress.
        stop: Asked after each batch.
        run: As for :func:`extract`.
        jobs: Processes or threads that prepare inputs; the study's number if left out.
    """

    def __init__(
        self,
        units: Sequence[Unit],
        plan_of: Callable[[Unit], Plan],
        study: Study,
        store: Store,
        leases: Leases,
        events: Events,
        *,
        stop: Stop | None = None,
        run: str = "",
        jobs: int | None = None,
    ) -> None:
        self.run = run or str(time.time_ns())
        self._units, self._plan_of, self._study = units, plan_of, study
        self._store, self._leases, self._events = store, leases, events
        self._stop = stop or Stop()
        self._device = pick_device(study.device)
        jobs = study.jobs if jobs is None else jobs
        self._maker = Maker(store, self._device, jobs, self._stop)
        self._adapter: Adapter | None = None
        self._loaded: Modality | None = None
        self._own: set[Unit] = set()
        self._refused: dict[Unit, dict[str, Any]] = {}
        self._failed: set[Unit] = set()
        self._last: list[str] = []
        """Messages of the units that have failed since one was made."""
        self._me = uuid4().hex
        self._patient = True

    def work(self, *, patient: bool) -> None:
        """Make units until none is left to be made.

        Args:
            patient: Wait for units that other workers are making, too. Without it, only until these
                workers are known to live.

        Raises:
            ModelError: The model cannot be loaded.
            OutputError: The store cannot be written.
            Interrupted: It was asked to stop.
        """
        self._patient = patient
        total = sum(u.rows for u in self._units)
        done = sum(u.rows for u in self._units if self._store.has(u))
        try:
            # Features are made in several threads, where BLAS threads would only wait.
            with (
                task(self._events, "extract", total, "input", done),
                threadpool_limits(1, user_api="blas"),
            ):
                left = self._left(())
                while left:
                    if self._stop():
                        raise Interrupted
                    taken = self._take(left)
                    if taken is not None:
                        self._try(*taken)
                    elif patient or not all(self._leases.beating(u.name) for u in left):
                        self._events.advance("extract", 0, "waiting for other workers")
                        time.sleep(_POLL)
                    else:
                        break
                    left = self._left(left)
        finally:
            if self._adapter is not None:
                self._adapter.close()
        for unit, record in self._refused.items():
            self._fail(unit, record)

    def _left(self, before: Sequence[Unit]) -> list[Unit]:
        """What is neither there nor failed; tells of what others have made since."""
        left = []
        for unit in before or self._units:
            if self._store.has(unit):
                if before and unit not in self._own:
                    self._events.advance("extract", unit.rows, f"{unit.language} {unit.modality}")
                continue
            if unit not in self._refused and unit not in self._failed and not self._given_up(unit):
                left.append(unit)
        return left

    def _given_up(self, unit: Unit) -> bool:
        """Whether enough workers of this call of ``run`` have failed on a unit."""
        failure = self._store.failure(unit)
        by = failure.get("by") if failure and failure.get("run") == self.run else None
        return isinstance(by, list) and len(by) >= _TRIES

    def _take(self, left: Sequence[Unit]) -> tuple[Unit, Lease] | None:
        busy: Counter[str] = Counter()
        for unit in left:
            held = self._leases.state(unit.name)
            if held is not None:
                busy[unit.modality] += 1
        for unit in preferred(left, self._loaded, busy):
            lease = self._leases.take(
                unit.name,
                language=unit.language,
                modality=unit.modality,
                rows=unit.rows,
                done=0,
                run=self.run,
            )
            if lease is not None:
                return unit, lease
        return None

    def _try(self, unit: Unit, lease: Lease) -> None:
        self._own.add(unit)
        try:
            if self._store.has(unit):  # made by another between our look and our lease
                self._events.advance("extract", unit.rows)
            elif (lost := self._lost_on(unit, lease)) >= _LOST:
                self._fail(unit, _lost(lost))
            else:
                if lost:  # at once: the next worker may be lost before the next sign of life
                    self._leases.tell(lease, lost=lost)
                self._attempt(unit, lease)
                self._see_that_all_is_well(unit)
        finally:
            self._leases.give(lease)

    def _lost_on(self, unit: Unit, lease: Lease) -> int:
        """Workers of this call of ``run`` that were lost on a unit since it last got on.

        Those of earlier calls may have been ended by their user.
        """
        before = lease.before
        if before.get("run") != self.run:
            return 0
        kept = self._maker.kept(unit)
        begun, lost = before.get("begun"), before.get("lost")
        if isinstance(begun, int) and kept > begun:
            return 1
        return (lost if isinstance(lost, int) else 0) + 1

    def _see_that_all_is_well(self, unit: Unit) -> None:
        """Leave the work to others where every unit fails alike, as on a machine that is ill."""
        if self._store.has(unit):
            self._last = []
        if not self._patient and len(self._last) >= _ALIKE and len(set(self._last)) == 1:
            raise IsoglossError(
                f"{len(self._last)} units in a row failed alike, so this worker leaves the rest to "
                f"others: {self._last[-1]}"
            )

    def _attempt(self, unit: Unit, lease: Lease) -> None:
        try:
            tower = self._tower(unit)
        except Exception as error:
            record = error_record(error, traceback.format_exc())
            # What is wrong with every language alike will not get better.
            same = any(r["message"] == record["message"] for r in self._refused.values())
            alone = sum(u.modality == unit.modality for u in self._units) == 1
            if isinstance(error, IsoglossError) and (same or alone):
                raise
            self._refused[unit] = record
            self._events.advance("extract", unit.rows)
            return
        try:
            plan = self._plan_of(unit)
            if unit not in plan.units:
                raise IsoglossError(
                    "its inputs are not those that the run was planned with; run it again, or see "
                    "that this machine has the same files"
                )
            self._make(plan, unit, tower, lease)
        except OutputError:
            raise
        except Exception as error:
            self._fail(unit, error_record(error, traceback.format_exc()))

    def _fail(self, unit: Unit, record: Mapping[str, Any]) -> None:
        self._failed.add(unit)
        self._last.append(str(record["message"]))
        if self._store.has(unit):  # another was luckier
            return
        before = self._store.failure(unit) or {}
        by = before.get("by") if before.get("run") == self.run else None
        by = [*(by if isinstance(by, list) else []), self._me]
        self._store.fail(unit, {**record, "run": self.run, "by": by, "host": gethostname()})

    def _tower(self, unit: Unit) -> Tower:
        if self._adapter is None:
            self._adapter = self._study.model.load(device=self._device)
        if unit.modality != self._loaded:
            self._events.advance("extract", 0, f"loading the {unit.modality} encoder")
            self._loaded = unit.modality
        return self._adapter.tower(unit.modality, language(unit.language))

    def _make(self, plan: Plan, unit: Unit, tower: Tower, lease: Lease) -> None:
        events, what = self._events, f"{unit.language} {unit.modality}"
        part = f"extract{PART}{what}"
        told = 0.0

        def advance(count: int) -> None:
            nonlocal told
            lease.told |= {"done": lease.told["done"] + count, "memory": resident()}
            if time.monotonic() - told >= _TOLD:
                self._leases.tell(lease)
                told = time.monotonic()
            events.advance(part, count)
            events.advance("extract", count, what)

        def begun(done: int) -> None:
            lease.told |= {"done": done, "begun": done}
            begin(events, part, unit.rows, "input", done)
            found(events, "extract", done)

        try:
            self._maker.make(plan, unit, tower, begun, advance)
        finally:
            events.finish(part)


def _lost(count: int) -> dict[str, Any]:
    return {
        "type": "WorkerLost",
        "message": f"{count} workers were lost while they made it. Too little memory is the "
        "usual cause: give more, or set a lower batch_frames",
        "traceback": "",
        "time": now(),
    }
