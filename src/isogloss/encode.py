"""Run a loaded encoder over the utterances of one language, in batches."""

import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from isogloss.corpora.base import SAMPLING_RATE, Clip, Utterance
from isogloss.errors import ItemError
from isogloss.inputs import ahead_of, by_length, read_input
from isogloss.languages import Language
from isogloss.models.base import Features, Tower
from isogloss.takes import arranged, explained


@dataclass
class Encoded:
    """The activations of one unit, and what happened on the way."""

    arrays: dict[str, NDArray[np.float32]]
    """Tap -> (rows × features)."""
    rows: list[int]
    """Which of the utterances each row is: ordered by take, then as the sentences were given."""
    lengths: list[int]
    """Time steps of each recording, tokens of each text."""
    seconds: list[float]
    """Duration of each decoded recording; empty for text."""
    failed: dict[int, str] = field(default_factory=dict)
    """Which utterances were left out, and why."""
    notes: Counter[str] = field(default_factory=Counter)
    """What was done to inputs, with how many it was done to."""


def encode(
    tower: Tower,
    utterances: Sequence[Utterance],
    spoken: Language,
    *,
    budget: int,
    jobs: int = 0,
    companions: Mapping[str, Clip] | None = None,
    advance: Callable[[int], None] = lambda n: None,
) -> Encoded:
    """Encode the utterances of one language in one modality.

    Inputs are sorted by length, prepared in threads while the model computes, and batched so that
    items × longest item stays within the budget. A batch that does not fit in memory is halved.

    Args:
        tower: The loaded encoder.
        utterances: What to encode. A sentence may have several, called takes, in their order. If
            one cannot be used, the next take of its sentence moves up.
        spoken: Their language.
        budget: Largest number of time steps in a batch, padding included.
        jobs: Threads that prepare inputs; 0: one per core.
        companions: Sentence -> the recording that goes with its text, for models that ask for it.
        advance: Called with the number of utterances done.
    """
    ids = [u.sentence for u in utterances]
    result = Encoded({}, [], [], [])
    rows: dict[int, dict[str, NDArray[np.float32]]] = {}
    lengths: dict[int, int] = {}
    seconds: dict[int, float] = {}
    ordered, failed = by_length(utterances, tower.modality)
    advance(len(failed))

    def ready(i: int) -> tuple[int, Features | ItemError, str]:
        try:
            item, note = read_input(utterances[i], tower.modality, companions)
            if tower.modality == "speech":
                seconds[i] = len(item) / SAMPLING_RATE
            return i, tower.features(item, spoken), note
        except ItemError as error:
            return i, error, ""

    def flush(batch: list[tuple[int, Features]]) -> None:
        for (i, features), row in zip(batch, _encode(tower, batch), strict=True):
            if isinstance(row, str):
                failed[i] = row
            else:
                rows[i] = row
                lengths[i] = features.length if features.tokens is None else features.tokens
        advance(len(batch))

    batch: list[tuple[int, Features]] = []
    with ThreadPoolExecutor(jobs or os.cpu_count()) as pool:
        for i, features, note in ahead_of(pool, ready, ordered, 32):
            if isinstance(features, ItemError):
                failed[i] = str(features)
                advance(1)
                continue
            result.notes.update(n for n in (note, features.note) if n)
            longest = max(features.length, *(f.length for _, f in batch), 1)
            full = tower.max_batch is not None and len(batch) >= tower.max_batch
            if batch and (full or longest * (len(batch) + 1) > budget):
                flush(batch)
                batch = []
            batch.append((i, features))
        if batch:
            flush(batch)

    result.rows = arranged(ids, rows)
    result.lengths = [lengths[i] for i in result.rows]
    result.seconds = [seconds[i] for i in result.rows] if tower.modality == "speech" else []
    result.failed = explained(failed, ids)
    if rows:
        result.arrays = {
            tap.name: np.stack([rows[i][tap.name] for i in result.rows]) for tap in tower.taps
        }
    return result


def _encode(
    tower: Tower, batch: list[tuple[int, Features]]
) -> list[dict[str, NDArray[np.float32]] | str]:
    """One row per item, or why it has none."""
    try:
        pooled = tower.encode([features for _, features in batch])
    except Exception as error:
        if not _out_of_memory(error):
            raise
        if len(batch) == 1:
            return [f"does not fit in memory ({batch[0][1].length} time steps)"]
        half = len(batch) // 2
        return _encode(tower, batch[:half]) + _encode(tower, batch[half:])
    found: list[dict[str, NDArray[np.float32]] | str] = []
    for i in range(len(batch)):
        row = {tap: array[i] for tap, array in pooled.items()}
        bad = next((tap for tap, values in row.items() if not np.isfinite(values).all()), None)
        found.append(row if bad is None else f'the model gives NaN or infinity at tap "{bad}"')
    return found


def _out_of_memory(error: Exception) -> bool:
    # torch.OutOfMemoryError cannot be named here: this module works without torch.
    if type(error).__name__ == "OutOfMemoryError" or isinstance(error, MemoryError):
        return True
    return isinstance(error, RuntimeError) and "not enough memory" in str(error)
