"""The same input must give the same numbers: again, from threads, alone, and loaded anew."""

import sys
import threading
import time
import weakref
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np

from isogloss.errors import choices
from isogloss.modelcheck.bench import REPEATS, Bench, Worst, verdict
from isogloss.modelcheck.result import Result, guarded
from isogloss.models.base import Features

GROUP = "runs"
THREADS = 8
_SECONDS = 0.2
"""How long threads go on at least: a short text is ready before a thread loses its turn."""


def checks(bench: Bench) -> Iterator[Result]:
    """The checks that need nothing but the loaded tower."""
    modality = bench.modality
    name = "again, in another order"
    yield guarded(GROUP, name, modality, lambda: _again(name, bench))
    threads = "features from threads"
    yield guarded(GROUP, threads, modality, lambda: _threads(threads, bench))


def _same(name: str, bench: Bench, worst: Worst, what: str, wrong: str) -> Result:
    """What the same computation must reach."""
    return verdict(GROUP, name, bench, worst, what, wrong, limit=REPEATS * bench.tolerance)


def compare(reference: Bench, found: Bench) -> Worst:
    """Encode every sample once more and compare."""
    worst = Worst()
    for sample in reference.samples:
        worst.meet(found.alone(sample), reference.alone(sample), sample.name)
    return worst


def _again(name: str, bench: Bench) -> Result:
    """Backwards and from new features, so that what a tower remembers shows."""
    worst = Worst()
    for sample in reversed(bench.samples):
        # No tower is held: an adapter with one for each language must be able to release it.
        features = bench.tower(sample.language).features(sample.item, sample.language)
        found = bench.tower(sample.language).encode([features])
        row = {tap: values[0] for tap, values in found.items()}
        worst.meet(row, bench.alone(sample), sample.name)
    return _same(name, bench, worst, f"{len(bench.samples)} sentences once more",
                  "the numbers change from run to run")  # fmt: skip


def _threads(name: str, bench: Bench) -> Result:
    first = weakref.ref(bench.tower())
    same = [language for language in bench.languages if bench.tower(language) is first()]
    # Where there is a tower for each language, one of them is tried; they are all of one class.
    samples = [s for s in bench.samples if s.language in same] or bench.first
    tower = bench.tower(samples[0].language)
    wanted = [tower.features(s.item, s.language) for s in samples]
    start = threading.Barrier(THREADS)
    count, calls = len(samples), [0] * THREADS

    def work(number: int) -> list[str]:
        wrong = []
        start.wait()
        clock = time.perf_counter()
        while calls[number] < count or time.perf_counter() - clock < _SECONDS:
            place = (number + calls[number]) % count
            sample = samples[place]
            if not _equal(tower.features(sample.item, sample.language), wanted[place]):
                wrong.append(sample.name)
            calls[number] += 1
        return wrong

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        with ThreadPoolExecutor(THREADS) as pool:
            wrong = [name for found in pool.map(work, range(THREADS)) for name in found]
    finally:
        sys.setswitchinterval(interval)
    remark = f"{len(wrong)} differ, such as those of {wrong[0]}: features() must be thread-safe" \
        if wrong else ""  # fmt: skip
    return Result(GROUP, name, bench.modality, "fail" if wrong else "pass",
                  f"{sum(calls)} calls from {THREADS} threads", remark)  # fmt: skip


def _equal(a: Features, b: Features) -> bool:
    if (a.length, a.note) != (b.length, b.note) or a.values.keys() != b.values.keys():
        return False
    return all(np.array_equal(a.values[key], b.values[key]) for key in a.values)


def alone(reference: Bench, found: Bench) -> Result:
    """Loaded anew without the other modality."""
    name = "loaded anew, by itself"
    other = "speech" if reference.modality == "text" else "text"

    def ask() -> Result:
        worst = compare(reference, found)
        return _same(name, reference, worst, f"{len(reference.samples)} sentences, no {other}",
                      "the numbers depend on the load or on the other encoder")  # fmt: skip

    return guarded(GROUP, name, reference.modality, ask)


def unfilled(reference: Bench, found: Bench) -> Result:
    """Loaded with everything poisoned that no checkpoint gives; see :mod:`.poison`."""
    name = "no weight left random"

    def ask() -> Result:
        from isogloss.modelcheck.poison import not_filled, poisoned

        worst, empty = Worst(), dict[str, None]()
        for language in reference.languages:
            with poisoned():
                found.tower(language)
            empty.update(dict.fromkeys(not_filled(found.tower(language))))
            for sample in (s for s in reference.samples if s.language == language):
                worst.meet(found.alone(sample), reference.alone(sample), sample.name)
        what = "other seeds, and NaN where nothing is filled in"
        wrong = "weights do not come from the checkpoint: what they give moves"
        result = _same(name, reference, worst, what, wrong)
        if result.outcome == "fail" and empty:
            remark = f"left at their initialisation: {choices(empty, 6)}; {result.remark}"
            return replace(result, remark=remark)
        return result

    return guarded(GROUP, name, reference.modality, ask)
