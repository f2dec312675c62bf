"""Run the model over units and commit what it says at every tap."""

import os
import time
import traceback
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from isogloss.corpora.base import Modality, Utterance
from isogloss.errors import IsoglossError, ItemError, OutputError
from isogloss.events import Events, task
from isogloss.languages import Language, language
from isogloss.models.base import Features, Tower
from isogloss.planning import Plan
from isogloss.provenance import environment, error_record, now
from isogloss.store import Store, Unit

_ON_CPU, _ELSEWHERE = 4000, 16000
"""Time steps in a batch. On a CPU more gains nothing and costs memory."""

A = TypeVar("A")
B = TypeVar("B")


@dataclass
class Encoded:
    """The activations of one unit, and what happened on the way."""

    arrays: dict[str, NDArray[np.float32]]
    """Tap -> (sentences × features)."""
    sentences: list[str]
    """Ids of the rows."""
    lengths: list[int]
    """Time steps of each input."""
    failed: dict[str, str] = field(default_factory=dict)
    """Sentence id -> why it was left out."""
    notes: Counter[str] = field(default_factory=Counter)
    """What was done to inputs, with how many it was done to."""


def extract(plan: Plan, store: Store, events: Events) -> list[tuple[Unit, str]]:
    """Make every unit that is not committed yet. One failed unit does not stop the rest.

    Returns:
        The units that failed, each with its message. Their traceback is in the store.

    Raises:
        ModelError: The model cannot be loaded.
        OutputError: The store cannot be written.
    """
    pending = plan.pending(store)
    if not pending:
        return []
    device = pick_device(plan.study.device)
    adapter = plan.study.model.load(device=device)
    failures = []
    total = sum(len(u.sentences) for u in pending)
    try:
        # Features are made in several threads, where BLAS threads would only wait for each other.
        with task(events, "extract", total, "sentence"), threadpool_limits(1, user_api="blas"):
            for modality in dict.fromkeys(u.modality for u in pending):
                events.advance("extract", 0, f"loading the {modality} encoder")
                tower = adapter.tower(modality)
                for unit in (u for u in pending if u.modality == modality):
                    try:
                        _make(plan, store, unit, tower, device, events)
                    except OutputError:
                        raise
                    except Exception as error:
                        store.fail(unit, error_record(error, traceback.format_exc()))
                        failures.append((unit, f"{type(error).__name__}: {error}"))
    finally:
        adapter.close()
    return failures


def _make(plan: Plan, store: Store, unit: Unit, tower: Tower, device: str, events: Events) -> None:
    started, clock = now(), time.perf_counter()
    encoded = encode(
        tower,
        plan.utterances(unit),
        language(unit.language),
        budget=plan.study.batch_frames or (_ON_CPU if device == "cpu" else _ELSEWHERE),
        jobs=plan.study.jobs,
        advance=lambda n: events.advance("extract", n, f"{unit.language} {unit.modality}"),
    )
    if not encoded.sentences:
        reason = next(iter(encoded.failed.values()), "it has no sentences")
        raise IsoglossError(f"no sentence could be used; the first: {reason}")
    record = {
        "sentences": encoded.sentences,
        "lengths": encoded.lengths,
        "failed": encoded.failed,
        "notes": dict(encoded.notes),
        "model": {
            "family": plan.study.model.family,
            "title": plan.study.model.title(),
            "checkpoint": plan.checkpoint,
            "dtype": plan.study.model.dtype,
            "untrained": plan.layout.untrained,
        },
        "device": device,
        "started": started,
        "seconds": round(time.perf_counter() - clock, 3),
        "environment": environment(),
    }
    store.put(unit, encoded.arrays, record)


def encode(
    tower: Tower,
    utterances: Sequence[Utterance],
    spoken: Language,
    *,
    budget: int,
    jobs: int = 0,
    advance: Callable[[int], None] = lambda n: None,
) -> Encoded:
    """Encode the utterances of one language in one modality.

    Inputs are sorted by length, prepared in threads while the model computes, and batched so that
    items × longest item stays within the budget. A batch that does not fit in memory is halved.

    Args:
        tower: The loaded encoder.
        utterances: One per sentence.
        spoken: Their language.
        budget: Largest number of time steps in a batch, padding included.
        jobs: Threads that prepare inputs; 0: one per core.
        advance: Called with the number of sentences done.
    """
    result = Encoded({}, [], [])
    rows: dict[str, tuple[int, dict[str, NDArray[np.float32]]]] = {}
    ordered, failed = _by_length(utterances, tower.modality)
    result.failed.update(failed)
    advance(len(failed))

    def ready(utterance: Utterance) -> tuple[str, Features | ItemError, str]:
        try:
            item, note = _input(utterance, tower.modality)
            return utterance.sentence, tower.features(item, spoken), note
        except ItemError as error:
            return utterance.sentence, error, ""

    def flush(batch: list[tuple[str, Features]]) -> None:
        for (sentence, features), row in zip(batch, _encode(tower, batch), strict=True):
            if isinstance(row, str):
                result.failed[sentence] = row
            else:
                rows[sentence] = (features.length, row)
        advance(len(batch))

    batch: list[tuple[str, Features]] = []
    with ThreadPoolExecutor(jobs or os.cpu_count()) as pool:
        for sentence, features, note in _ahead(pool, ready, ordered, 32):
            if isinstance(features, ItemError):
                result.failed[sentence] = str(features)
                advance(1)
                continue
            result.notes.update(n for n in (note, features.note) if n)
            longest = max(features.length, *(f.length for _, f in batch), 1)
            full = tower.max_batch is not None and len(batch) >= tower.max_batch
            if batch and (full or longest * (len(batch) + 1) > budget):
                flush(batch)
                batch = []
            batch.append((sentence, features))
        if batch:
            flush(batch)

    result.sentences = [u.sentence for u in utterances if u.sentence in rows]
    result.lengths = [rows[s][0] for s in result.sentences]
    if result.sentences:
        result.arrays = {
            tap.name: np.stack([rows[s][1][tap.name] for s in result.sentences])
            for tap in tower.taps
        }
    return result


def _encode(
    tower: Tower, batch: list[tuple[str, Features]]
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


def _by_length(
    utterances: Iterable[Utterance], modality: Modality
) -> tuple[list[Utterance], dict[str, str]]:
    """Longest first, so that a batch that is too large shows at once."""
    lengths: dict[str, float] = {}
    failed: dict[str, str] = {}
    usable = []
    for utterance in utterances:
        try:
            if modality == "text":
                lengths[utterance.sentence] = len(utterance.text or "")
            else:
                assert utterance.clip is not None  # noqa: S101
                lengths[utterance.sentence] = utterance.clip.seconds()
            usable.append(utterance)
        except ItemError as error:
            failed[utterance.sentence] = str(error)
    return sorted(usable, key=lambda u: (-lengths[u.sentence], u.sentence)), failed


def _input(utterance: Utterance, modality: Modality) -> tuple[Any, str]:
    if modality == "text":
        return utterance.text, ""
    assert utterance.clip is not None  # noqa: S101
    recording = utterance.clip.read()
    return recording.samples, recording.note


def _ahead(
    pool: ThreadPoolExecutor, function: Callable[[A], B], items: Iterable[A], ahead: int
) -> Iterator[B]:
    """Like ``pool.map``, in order, but never more than ``ahead`` results wait in memory."""
    waiting: deque[Future[B]] = deque()
    try:
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) >= ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()


def pick_device(wanted: str) -> str:
    """Resolve ``auto`` to the first CUDA device if there is one, else the CPU."""
    if wanted != "auto":
        return wanted
    try:
        import torch
    except ImportError:
        return "cpu"
    return "cuda" if torch.cuda.is_available() else "cpu"
