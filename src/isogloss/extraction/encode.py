"""Run a loaded encoder over the utterances of one language, in batches."""

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from itertools import chain, islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isogloss.corpora.base import Clip, Utterance
from isogloss.extraction.budgets import Budget, out_of_memory
from isogloss.extraction.feeding import helpers, here
from isogloss.extraction.heap import freed_blocks_kept
from isogloss.extraction.inputs import Prepared, ahead_of, by_length
from isogloss.extraction.rows import Arrays, Batch, Encoded, Keep, Rows
from isogloss.interrupts import Interrupted
from isogloss.languages import Language
from isogloss.models.base import Features, Tower

KEEP_EVERY = 300.0
"""Seconds after which rows of a unit that is under way are kept."""
AHEAD = 32
"""Inputs that wait for the model, at least; or two batches."""
MOST_AHEAD = 512


def encode(
    tower: Tower,
    utterances: Sequence[Utterance],
    spoken: Language,
    *,
    budget: Budget | int,
    jobs: int = 0,
    companions: Mapping[str, Clip] | None = None,
    advance: Callable[[int], None] = lambda n: None,
    done: Sequence[tuple[Arrays, Mapping[str, Any]]] = (),
    keep: Keep | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> Encoded:
    """Encode the utterances of one language in one modality.

    Inputs are sorted by length, prepared while the model computes, and batched so that
    items × longest item stays within the budget. A batch that does not fit in memory is halved,
    and those that follow are smaller.

    Args:
        tower: The loaded encoder.
        utterances: What to encode. A sentence may have several, called takes, in their order. If
            one cannot be used, the next take of its sentence moves up.
        spoken: Their language.
        budget: Largest number of time steps in a batch, padding included.
        jobs: How many prepare inputs; 0: one per core.
        companions: Sentence -> the recording that goes with its text, for models that ask for it.
        advance: Called with the number of utterances done, without those of ``done``.
        done: What ``keep`` was given earlier, in any order. These rows are not made again, and the
            batches after them are those of a run that was never stopped.
        keep: Called every five minutes and before stopping with the rows since the last call.
        stop: Asked after each batch.

    Raises:
        Interrupted: ``stop`` said so; whatever was made was kept before.
    """
    ids = [u.sentence for u in utterances]
    rows = Rows(tower, keep)
    for arrays, fields in done:
        rows.recall(arrays, fields, len(utterances))
    left = {i: u for i, u in enumerate(utterances) if not rows.knows(i)}
    budget = budget if isinstance(budget, Budget) else Budget(budget)
    largest = AHEAD // 2

    def ahead() -> int:
        return min(2 * largest, MOST_AHEAD)

    with (
        freed_blocks_kept(),
        closing(_prepared(tower, left, spoken, jobs, companions, ahead)) as found,
    ):
        for batch in _batches(_usable(found, rows, advance), tower, budget):
            rows.add(batch)
            largest = max(largest, len(batch.items))
            advance(len(batch.items))
            rows.hand_over(every=KEEP_EVERY)
            if stop() and len(rows) < len(utterances):
                rows.hand_over()
                raise Interrupted(f"stopped with {len(rows)} of {len(utterances)} inputs done")
    return rows.gathered(ids)


def encode_ready(
    tower: Tower, inputs: Sequence[Prepared], ids: Sequence[str], *, budget: Budget | int
) -> Encoded:
    """Encode inputs that were made ready before, as when the same ones are encoded many times.

    Args:
        tower: The loaded encoder.
        inputs: What is encoded, or why it cannot be.
        ids: The sentence of each; takes in their order.
        budget: As for :func:`encode`.
    """
    rows = Rows(tower, None)
    budget = budget if isinstance(budget, Budget) else Budget(budget)
    lengths = [item.features.length if item.features else 0 for item in inputs]
    order = sorted(range(len(inputs)), key=lambda i: (-lengths[i], ids[i], i))
    found = _usable(((i, inputs[i]) for i in order), rows, lambda n: None)
    for batch in _batches(found, tower, budget):
        rows.add(batch)
    return rows.gathered(ids)


def _prepared(
    tower: Tower,
    left: Mapping[int, Utterance],
    spoken: Language,
    jobs: int,
    companions: Mapping[str, Clip] | None,
    ahead: Callable[[], int],
) -> Generator[tuple[int, Prepared]]:
    """What is left to do, longest first, made ready ahead of its turn."""
    ordered, failed = by_length(left, tower.modality)
    yield from ((i, Prepared(None, reason, unread=True)) for i, reason in failed.items())
    alone = tower.modality == "text" and companions is None
    pool = helpers(jobs)
    make = here(tower) if alone else pool.preparing(tower)

    def ready(i: int) -> tuple[int, Prepared]:
        beside = companions[left[i].sentence] if companions is not None else None
        return i, make(tower.modality, left[i], beside, spoken)

    with ThreadPoolExecutor(pool.size) as threads:
        if alone:
            # Tokens are few and quickly made: all of them first, since characters of one text are
            # more tokens than those of another, and batches would fill with padding.
            found = list(threads.map(ready, ordered))
            found.sort(key=lambda pair: -pair[1].features.length if pair[1].features else 0)
            yield from found
        else:
            yield from ahead_of(threads, ready, ordered, ahead, pool.more)


def _usable(
    found: Iterable[tuple[int, Prepared]], rows: Rows, advance: Callable[[int], None]
) -> Iterator[tuple[int, Prepared]]:
    for i, item in found:
        if item.features is None:
            rows.failed[i] = item.failure
            if item.unread:
                rows.unread.add(i)
            advance(1)
        else:
            yield i, item


def _batches(
    items: Iterator[tuple[int, Prepared]], tower: Tower, budget: Budget
) -> Iterator[Batch]:
    """Fill batches in the order of the items, and run them."""
    first = list(islice(items, 2))
    if first:
        budget.learn(tower.encode, [_features(item) for _, item in first])
    batch: list[tuple[int, Prepared]] = []
    longest = 0
    for pair in chain(first, items):
        length = _features(pair[1]).length
        full = tower.max_batch is not None and len(batch) >= tower.max_batch
        if batch and (full or max(longest, length) * (len(batch) + 1) > budget.frames):
            yield Batch(batch, _run(tower, [_features(item) for _, item in batch], budget))
            batch, longest = [], 0
        batch.append(pair)
        longest = max(longest, length)
    if batch:
        yield Batch(batch, _run(tower, [_features(item) for _, item in batch], budget))


def _features(item: Prepared) -> Features:
    assert item.features is not None  # noqa: S101
    return item.features


def _run(
    tower: Tower, batch: Sequence[Features], budget: Budget
) -> list[dict[str, NDArray[np.float32]] | str]:
    """One row per item, or why it has none."""
    half, size = len(batch) // 2, max(item.length for item in batch) * len(batch)
    # What is left of a batch that did not fit is not tried whole: the budget fell below it.
    pooled = _tried(tower, batch) if size <= budget.frames or half == 0 else None
    if pooled is None:
        if size <= budget.frames or half == 0:
            budget.halve(size)
        if half == 0:
            return [f"does not fit in memory ({batch[0].length} time steps)"]
        return _run(tower, batch[:half], budget) + _run(tower, batch[half:], budget)
    finite = np.array([np.isfinite(pooled[tap.name]).all(axis=1) for tap in tower.taps])
    found: list[dict[str, NDArray[np.float32]] | str] = []
    for i in range(len(batch)):
        if finite[:, i].all():
            found.append({tap.name: pooled[tap.name][i] for tap in tower.taps})
        else:
            bad = tower.taps[int(finite[:, i].argmin())].name
            found.append(f'the model gives NaN or infinity at tap "{bad}"')
    return found


def _tried(tower: Tower, batch: Sequence[Features]) -> dict[str, NDArray[np.float32]] | None:
    """What a batch gives; None if it does not fit in memory."""
    try:
        return tower.encode(batch)
    except Exception as error:
        if not out_of_memory(error):
            raise
    # Left first: the error holds the frames of the model, and they hold its tensors.
    return None
