"""Roughly how large and how long the work of a plan is, before doing it."""

import time
from collections import Counter
from dataclasses import dataclass

import numpy as np

from isogloss.errors import ItemError
from isogloss.models.base import WEIGHTS_PER_LAYER, Tap
from isogloss.planning import Plan
from isogloss.storage.store import Store, Unit

_FEATURE_SECONDS = 0.004
"""Time to decode and featurise one second of audio, on one core."""
_SHARE = 0.7
"""Speed of a model, as a share of that of a long matrix product as wide as its layers: norms,
softmax, activation functions and pooling take the rest."""
_INPUT_SECONDS = 0.01
"""Time for one input that does not depend on its length."""
_GRAIN = {"text": 10, "speech": 0.5}
"""Characters, and seconds, to which the size of an input is rounded."""


@dataclass(frozen=True)
class Estimate:
    """The size of a plan."""

    units: int
    pending: int
    sentences: int
    """Over all units."""
    further: int
    """Further recordings of these sentences."""
    hours: float
    """Hours of speech, over all languages; estimated for speech yet to be synthesised."""
    bytes: int
    seconds: float
    """Time left for the extraction, without that for loading the model."""
    basis: str
    """What the time is derived from."""
    workers: int = 1
    """By how many workers the time was divided."""


def estimate(plan: Plan, store: Store) -> Estimate:
    """Estimate the work of a plan.

    The time comes from the units that are in the store already, or else from the number of
    operations and from short matrix products on this machine's CPU; it is good to a factor of
    about two. It is divided by the number of workers that the study's executor starts, but no
    shorter than the longest unit takes, and not divided where they share the cores of this CPU.
    """
    pending = plan.pending(store)
    sizes = {u: _sizes(plan, u) for u in plan.units}
    work = {u: _operations(plan, u, sizes[u]) for u in plan.units}
    done = [u for u in plan.units if u not in set(pending)]
    rates = {
        m: sum(store.record(u)["seconds"] for u in found) / max(sum(work[u] for u in found), 1)
        for m in ("text", "speech")
        if (found := [u for u in done if u.modality == m])
    }
    executor = plan.study.executor
    workers = max(min(executor.count, len(pending)), 1)
    if {u.modality for u in pending} <= set(rates):
        times = [rates[u.modality] * work[u] for u in pending]
        basis = "the units that are done"
    else:
        times = [_seconds(plan, u, sizes[u], work[u]) for u in pending]
        basis = "this machine's CPU; a GPU is tens of times faster"
        if executor.kind == "processes":
            workers = 1  # they share the cores that one worker would use
    if workers > 1:
        basis += f"; divided by {workers} workers"
    return Estimate(
        len(plan.units),
        len(pending),
        sum(len(u.sentences) for u in plan.units),
        sum(u.further for u in plan.units),
        sum(_total(sizes[u]) for u in plan.units if u.modality == "speech") / 3600,
        sum(plan.bytes(u) for u in plan.units),
        max(sum(times) / workers, *times, 0.0),
        basis,
        workers,
    )


def _sizes(plan: Plan, unit: Unit) -> Counter[float]:
    """Characters or seconds of an input, rounded -> how many inputs."""
    found: Counter[float] = Counter()
    grain = _GRAIN[unit.modality]
    for utterance in plan.utterances(unit):
        if unit.modality == "text":
            size = float(len(utterance.text or ""))
        elif utterance.clip is not None:
            try:
                size = utterance.clip.seconds()
            except ItemError:
                continue
        found[max(round(size / grain), 1) * grain] += 1
    return found


def _total(sizes: Counter[float]) -> float:
    return sum(size * count for size, count in sizes.items())


def _operations(plan: Plan, unit: Unit, sizes: Counter[float]) -> float:
    """Floating-point operations of a unit, from the widths of all taps of its encoder."""
    taps = Counter((t.width, t) for t in plan.layout.taps[unit.modality])
    return sum(
        count * _passes(plan.study.model.time_steps(unit.modality, size, tap), tap)
        for size, count in sizes.items()
        for _, tap in taps
    )


def _passes(steps: float, tap: Tap) -> float:
    """Operations of one layer on one input: its weights, and each time step with each other."""
    # Beyond that, the steps of a tap stand for several layers and not for a long recording.
    seen = min(steps, 3000.0)
    return 2.0 * steps * (WEIGHTS_PER_LAYER * tap.width**2 + 2.0 * seen * tap.width)


def _seconds(plan: Plan, unit: Unit, sizes: Counter[float], work: float) -> float:
    """Time for a unit on this CPU."""
    widths = [t.width for t in plan.layout.taps[unit.modality]]
    seconds = work / (_SHARE * _speed(max(widths))) + _INPUT_SECONDS * sizes.total()
    return seconds + (_FEATURE_SECONDS * _total(sizes) if unit.modality == "speech" else 0.0)


_speeds: dict[int, float] = {}


def _speed(width: int) -> float:
    """Operations per second of a matrix product with a layer's weights, on this CPU."""
    width = min(width, 2048)
    if width not in _speeds:
        steps = np.ones((512, width), dtype=np.float32)
        weights = np.ones((width, width), dtype=np.float32)
        times = []
        for _ in range(5):
            began = time.perf_counter()
            steps @ weights
            times.append(time.perf_counter() - began)
        _speeds[width] = 2 * 512 * width**2 / sorted(times)[2]
    return _speeds[width]
