"""Roughly how large and how long the work of a plan is, before doing it."""

import time
from dataclasses import dataclass

import numpy as np

from isogloss.errors import ItemError
from isogloss.planning import Plan
from isogloss.store import Store, Unit

_FRAMES_PER_SECOND = 50.0
_CHARACTERS_PER_TOKEN = 3.0
_WEIGHTS_PER_LAYER = 16
"""Weights of one layer, as a multiple of its squared width: attention 4, feed-forward 8 to 16."""
_FEATURE_SECONDS = 0.004
"""Time to decode and featurise one second of audio, on one core."""


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
    """Time left for the extraction."""
    basis: str
    """What the time is derived from."""


def estimate(plan: Plan, store: Store) -> Estimate:
    """Estimate the work of a plan.

    The time comes from the units that are in the store already, or else from the number of
    operations and a short matrix product on this machine's CPU. It is good to a factor of a few.
    """
    pending = plan.pending(store)
    steps = {u: _steps(plan, u) for u in plan.units}
    speech = [u for u in plan.units if u.modality == "speech"]
    done = [u for u in plan.units if u not in set(pending)]
    rates = {
        m: sum(store.record(u)["seconds"] for u in found) / max(sum(steps[u] for u in found), 1)
        for m in ("text", "speech")
        if (found := [u for u in done if u.modality == m])
    }
    if {u.modality for u in pending} <= set(rates):
        seconds = sum(rates[u.modality] * steps[u] for u in pending)
        basis = "the units that are done"
    else:
        speed = _flops()
        seconds = sum(steps[u] * _operations(plan, u) / speed for u in pending)
        seconds += sum(
            steps[u] / _FRAMES_PER_SECOND * _FEATURE_SECONDS for u in pending if u in speech
        )
        basis = "this machine's CPU; a GPU is tens of times faster"
    return Estimate(
        len(plan.units),
        len(pending),
        sum(len(u.sentences) for u in plan.units),
        sum(u.further for u in plan.units),
        sum(steps[u] for u in speech) / _FRAMES_PER_SECOND / 3600,
        sum(plan.bytes(u) for u in plan.units),
        seconds,
        basis,
    )


def _steps(plan: Plan, unit: Unit) -> float:
    total = 0.0
    for utterance in plan.utterances(unit):
        if unit.modality == "text":
            total += len(utterance.text or "") / _CHARACTERS_PER_TOKEN
        elif utterance.clip is not None:
            try:
                total += utterance.clip.seconds() * _FRAMES_PER_SECOND
            except ItemError:
                continue
    return total


def _operations(plan: Plan, unit: Unit) -> float:
    """Floating-point operations for one time step, from the widths of all taps of the encoder."""
    taps = plan.layout.taps[unit.modality]
    return sum(2.0 * _WEIGHTS_PER_LAYER * t.width**2 for t in taps)


def _flops() -> float:
    a = np.ones((512, 512), dtype=np.float32)
    a @ a
    began = time.perf_counter()
    for _ in range(8):
        a @ a
    # Real layers reach about a third of the speed of one large product.
    return 8 * 2 * 512**3 / (time.perf_counter() - began) / 3
