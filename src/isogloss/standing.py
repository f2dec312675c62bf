"""How far a run is, seen from the folder alone: by anybody, from any machine that sees it."""

import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from uuid import uuid4

from isogloss.corpora.base import DroppedGroup, Modality, grouped
from isogloss.leases import DEAD, Leases, gone
from isogloss.runs import Run
from isogloss.storage.pieces import Pieces
from isogloss.storage.store import Store, Unit

State = Literal["done", "running", "failed", "pending"]


@dataclass(frozen=True)
class UnitStatus:
    """Where one unit stands."""

    unit: Unit
    state: State
    detail: str = ""
    made: int = 0
    """Inputs that are done."""


@dataclass(frozen=True)
class Progress:
    """Where a run stands."""

    units: tuple[UnitStatus, ...]
    left_out: tuple[DroppedGroup, ...] = ()
    """Sentences of units that are done which could not be used, with the reason."""
    comparing: int = 0
    """Chunks of comparisons that workers are at."""
    rates: dict[Modality, float] = field(default_factory=dict)
    """Inputs a second of one worker, from the units that are done."""

    @property
    def counts(self) -> dict[str, int]:
        """State -> units in it."""
        return dict(Counter(s.state for s in self.units))

    @property
    def workers(self) -> int:
        """Workers that are making units."""
        return self.counts.get("running", 0)

    @property
    def left(self) -> float | None:
        """Seconds until all units are there with the workers of now, or with one if there is none.

        None if nothing says how long a unit takes.
        """
        seconds = 0.0
        for status in self.units:
            if status.state in ("done", "failed"):
                continue
            if status.unit.modality not in self.rates:
                return None
            seconds += (status.unit.rows - status.made) / self.rates[status.unit.modality]
        return seconds / max(self.workers, 1)


def progress(folder: str | Path) -> Progress:
    """Look where a run stands.

    Raises:
        IsoglossError: The folder holds no run.
    """
    described = Run.read(Path(folder))
    store = described.store()
    leases = Leases(store.root / "leases")
    clock = _clock(leases.folder)
    found, spent, made = [], Counter[Modality](), Counter[Modality]()
    for unit in described.units:
        status = _status(unit, store, leases, clock)
        if status.state == "done":
            spent[unit.modality] += store.record(unit)["seconds"]
            made[unit.modality] += unit.rows
        found.append(status)
    names = [name for name in leases.names() if name.startswith("compare-")]
    comparing = sum(not gone(leases.state(name) or {}) for name in names)
    rates = {m: made[m] / spent[m] for m in made if spent[m] > 0}
    return Progress(tuple(found), tuple(grouped(described.left_out(store))), comparing, rates)


def _status(unit: Unit, store: Store, leases: Leases, clock: float) -> UnitStatus:
    if store.has(unit):
        takes = store.record(unit)["takes"]
        lost = len(unit.sentences) - takes.count(0)
        less = unit.rows - len(takes) - lost
        counts = [(lost, "sentence"), (less, "further recording")]
        parts = [f"{n} {what}{'s' * (n > 1)} left out" for n, what in counts if n]
        return UnitStatus(unit, "done", ", ".join(parts), unit.rows)
    held = leases.state(unit.name)
    if held is not None and not gone(held):
        done = held.get("done")
        done = done if isinstance(done, int) else 0
        return UnitStatus(unit, "running", _life(held, unit, leases, clock), done)
    if why := store.why(unit):
        return UnitStatus(unit, "failed", why)
    pieces = Pieces(store.folder).told(unit) if held is None else []
    kept = sum(len(fields.get("rows", ())) for fields in pieces)
    detail = "its worker is lost; the next one takes it over" if held else ""
    if kept:
        detail = f"{kept} of {unit.rows} inputs are kept of a worker that ended early"
    return UnitStatus(unit, "pending", detail, kept)


def _life(held: dict[str, Any], unit: Unit, leases: Leases, clock: float) -> str:
    """Who makes a unit, how far it is, and whether we hear of it."""
    text = f"{held.get('done', 0)} of {unit.rows} inputs, {held.get('host')} {held.get('pid')}"
    with suppress(OSError):
        age = clock - (leases.folder / f"{unit.name}.json").stat().st_mtime
        if age > DEAD:
            text += f"; no sign of life for {age:.0f} s, the next worker takes it over"
    if held.get("lost"):
        text += f"; workers lost on it before: {held['lost']}"
    return text


def _clock(folder: Path) -> float:
    """The time by the clock of the file system, which may be another machine's."""
    probe = folder / f".clock.{uuid4().hex}"
    try:
        probe.touch()
        try:
            return probe.stat().st_mtime
        finally:
            probe.unlink(missing_ok=True)
    except OSError:
        return time.time()
