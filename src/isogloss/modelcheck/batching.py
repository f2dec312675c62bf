"""A sentence's vector must not depend on what it is batched with.

Padding leaks where a module reads beyond the end of an item: a strided convolution whose last
window reaches padded frames, a norm over time, an attention without a mask. Such leaks depend on
the length of the item (modulo the strides) and on that of its neighbours, so many are tried.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial

import numpy as np

from isogloss.corpora.base import SAMPLING_RATE
from isogloss.errors import ItemError
from isogloss.modelcheck.bench import Bench, Sample, Worst, verdict
from isogloss.modelcheck.result import Result, guarded
from isogloss.models.base import Heard

GROUP = "batches"
RESIDUES = 16
"""Successive lengths that are tried; strides of encoders multiply to 2, 4, 8 or 16 steps."""
_PARTS = 3
"""Lengths between two time steps that are tried where an item's length in samples matters."""
_SHORTEST = 0.8


def checks(bench: Bench) -> Iterator[Result]:
    """All checks of batches."""
    asked: tuple[tuple[str, Callable[[str, Bench], Result]], ...] = (
        ("order of the batch", _order),
        ("beside longer ones", _padding),
        ("batches of every size", _sizes),
        ("every length", _lengths),
    )
    for name, ask in asked:
        if bench.tower().max_batch == 1:
            reason = "the tower says that it runs one sentence at a time (max_batch = 1)"
            yield Result(GROUP, name, bench.modality, "n/a", "", reason)
        elif len(bench.first) < 2:
            yield Result(GROUP, name, bench.modality, "n/a", "", "there is only one sentence")
        else:
            yield guarded(GROUP, name, bench.modality, partial(ask, name, bench))


def _parts(bench: Bench, samples: Sequence[Sample], reserved: int = 0) -> Iterator[list[Sample]]:
    """Parts that fit into a batch beside so many others."""
    size = max(1, bench.largest() - reserved) if bench.tower().max_batch else len(samples)
    for start in range(0, len(samples), size):
        yield list(samples[start : start + size])


def _order(name: str, bench: Bench) -> Result:
    """One batch in several orders is padded alike; only the places of its items change."""
    batch = bench.first[: bench.largest()]
    first = dict(zip(batch, bench.encode(batch), strict=True))
    rng = np.random.default_rng(0)
    orders = [batch[::-1], batch[1:] + batch[:1]]
    orders += [[batch[i] for i in rng.permutation(len(batch))] for _ in range(2)]
    worst = Worst()
    for order in orders:
        for place, (sample, row) in enumerate(zip(order, bench.encode(order), strict=True)):
            worst.meet(row, first[sample], f"{sample.name} at place {place + 1}")
    what = f"{len(batch)} sentences in {len(orders) + 1} orders"
    return verdict(GROUP, name, bench, worst, what, "a row depends on its place in the batch")


def _padding(name: str, bench: Bench) -> Result:
    """As extraction does it, the longest first: all together, and each beside the longest."""
    batch = sorted(bench.first, key=lambda s: -bench.features(s).length)[: bench.largest()]
    worst = Worst()
    for sample, row in zip(batch, bench.encode(batch), strict=True):
        worst.meet(row, bench.alone(sample), f"{sample.name} among {len(batch)}")
    for sample in batch[1:]:
        rows = bench.encode([batch[0], sample])
        for one, row in zip((batch[0], sample), rows, strict=True):
            worst.meet(row, bench.alone(one), f"{one.name} beside another one")
    steps = [bench.features(sample).length for sample in batch]
    what = f"{steps[-1]} to {steps[0]} steps, batched against alone"
    return verdict(GROUP, name, bench, worst, what, "the result changes with longer neighbours")


def _sizes(name: str, bench: Bench) -> Result:
    ordered = sorted(bench.first, key=lambda s: -bench.features(s).length)
    largest, worst = bench.largest(), Worst()
    for size in range(1, largest + 1):
        batch = sorted(
            (ordered[i % len(ordered)] for i in range(size)),
            key=lambda s: -bench.features(s).length,
        )
        for sample, row in zip(batch, bench.encode(batch), strict=True):
            worst.meet(row, bench.alone(sample), f"{sample.name} in a batch of {size}")
    limit = bench.tower().max_batch
    why = "the tower sets no limit" if limit is None else f"its limit is {limit}"
    return verdict(GROUP, name, bench, worst, f"1 to {largest} sentences ({why})",
                  "the result changes with the size of the batch")  # fmt: skip


def _lengths(name: str, bench: Bench) -> Result:
    """Successive lengths, each alone, with each other, and beside one that is much longer."""
    longest = max(bench.first, key=lambda s: bench.features(s).length)
    series = shortened(bench, longest)
    if len(series) < 2:
        return Result(GROUP, name, bench.modality, "n/a", "", "no sentence is long enough to cut")
    worst = Worst()
    for part in _parts(bench, series):
        for sample, row in zip(part, bench.encode(part), strict=True):
            worst.meet(row, bench.alone(sample), sample.name)
    for part in _parts(bench, series, reserved=1):
        for sample, row in zip(part, bench.encode([longest, *part])[1:], strict=True):
            worst.meet(row, bench.alone(sample), f"{sample.name} beside the longest")
    steps = [bench.features(sample).length for sample in series]
    kinds = len({n % RESIDUES for n in steps})
    what = f"{len(series)} cuts of {min(steps)} to {max(steps)} steps, {kinds} lengths modulo 16"
    if len(set(steps)) == 1:
        what = f"{len(series)} cuts in a window of {steps[0]} steps"
    return verdict(
        GROUP, name, bench, worst, what, "the result changes with padding for some lengths"
    )


def shortened(bench: Bench, whole: Sample) -> list[Sample]:
    """Beginnings of a sentence with successive lengths, as many as there are residues."""
    by_length: dict[int, list[Sample]] = {}
    for sample in _beginnings(bench, whole):
        try:
            by_length.setdefault(bench.features(sample).length, []).append(sample)
        except ItemError:
            continue  # too short to be used
        if bench.modality == "text" and len({n % RESIDUES for n in by_length}) == RESIDUES:
            break
    lengths = sorted(by_length)
    chosen = sorted({n % RESIDUES: n for n in reversed(lengths)}.values())
    if len(chosen) < RESIDUES:
        # A window of fixed length, where what differs is how much of it is filled; or few cuts.
        found = [sample for length in lengths for sample in by_length[length]]
        places = np.linspace(0, len(found) - 1, min(RESIDUES, len(found))).round().astype(int)
        return [found[i] for i in dict.fromkeys(places.tolist())]
    return [by_length[n][i % len(by_length[n])] for i, n in enumerate(chosen)]


def _beginnings(bench: Bench, whole: Sample) -> Iterator[Sample]:
    if bench.modality == "text":
        text = whole.item.text if isinstance(whole.item, Heard) else whole.item
        for end in range(1, len(text)):
            if text[end - 1].strip():
                cut = text[:end]
                item = Heard(cut, whole.item.samples) if isinstance(whole.item, Heard) else cut
                yield Sample(whole.language, item, f"the first {end} characters")
        return
    shortest = round(min(_SHORTEST, whole.seconds / 3) * SAMPLING_RATE)
    step = _samples_per_step(bench, whole, shortest)
    for i in range((RESIDUES + 2) * _PARTS):
        end = shortest + round(i * step / _PARTS)
        if end < len(whole.item):
            yield Sample(whole.language, whole.item[:end], f"the first {end} samples")


def _samples_per_step(bench: Bench, whole: Sample, shortest: int) -> float:
    """How many samples make a time step; 20 ms where that cannot be seen."""
    cut = Sample(whole.language, whole.item[:shortest], "")
    try:
        steps = bench.features(whole).length - bench.features(cut).length
    except ItemError:
        steps = 0
    return (len(whole.item) - shortest) / steps if steps > 0 else 320.0
