"""Run the model over units and commit what it says at every tap."""

import os
import time
import traceback
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from isogloss.confounds import covariates
from isogloss.corpora.base import SAMPLING_RATE, Clip, Utterance
from isogloss.errors import IsoglossError, ItemError, OutputError
from isogloss.events import Events, task
from isogloss.inputs import ahead_of, by_length, read_input
from isogloss.languages import Language, language
from isogloss.models.base import Features, Tower
from isogloss.planning import Plan
from isogloss.provenance import environment, error_record, now
from isogloss.store import Store, Unit
from isogloss.takes import arranged, explained, numbers

_ON_CPU, _ELSEWHERE = 4000, 16000
"""Time steps in a batch. On a CPU more gains nothing and costs memory."""


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


def extract(plan: Plan, store: Store, events: Events) -> list[tuple[Unit, str]]:
    """Make every unit that is not committed yet. One failed unit does not stop the rest.

    Units that are there are not made again, but what the corpus says of their rows is brought up to
    date.

    Returns:
        The units that failed, each with its message. Their traceback is in the store.

    Raises:
        ModelError: The model cannot be loaded.
        OutputError: The store cannot be written.
    """
    pending = plan.pending(store)
    for unit in set(plan.units) - set(pending):
        _refresh(plan, store, unit)
    if not pending:
        return []
    device = pick_device(plan.study.device)
    adapter = plan.study.model.load(device=device)
    failures = []
    total = sum(u.rows for u in pending)
    try:
        # Features are made in several threads, where BLAS threads would only wait for each other.
        with task(events, "extract", total, "input"), threadpool_limits(1, user_api="blas"):
            for modality in dict.fromkeys(u.modality for u in pending):
                events.advance("extract", 0, f"loading the {modality} encoder")
                units = [u for u in pending if u.modality == modality]
                refused: dict[Unit, dict[str, Any]] = {}
                for unit in units:
                    try:
                        tower = adapter.tower(modality, language(unit.language))
                    except Exception as error:
                        record = error_record(error, traceback.format_exc())
                        # What is wrong with every language alike will not get better.
                        same = any(r["message"] == record["message"] for r in refused.values())
                        if isinstance(error, IsoglossError) and (same or len(units) == 1):
                            raise
                        refused[unit] = record
                        events.advance("extract", unit.rows)
                        continue
                    try:
                        _make(plan, store, unit, tower, device, events)
                    except OutputError:
                        raise
                    except Exception as error:
                        store.fail(unit, error_record(error, traceback.format_exc()))
                        failures.append((unit, f"{type(error).__name__}: {error}"))
                for unit, record in refused.items():
                    store.fail(unit, record)
                    failures.append((unit, f"{record['type']}: {record['message']}"))
    finally:
        adapter.close()
    return failures


def _make(plan: Plan, store: Store, unit: Unit, tower: Tower, device: str, events: Events) -> None:
    started, clock = now(), time.perf_counter()
    utterances = plan.utterances(unit)
    encoded = encode(
        tower,
        utterances,
        language(unit.language),
        budget=plan.study.batch_frames or (_ON_CPU if device == "cpu" else _ELSEWHERE),
        jobs=plan.study.jobs,
        companions=plan.companions.get(unit.language) if unit.modality == "text" else None,
        advance=lambda n: events.advance("extract", n, f"{unit.language} {unit.modality}"),
    )
    if not encoded.rows:
        reason = next(iter(encoded.failed.values()), "it has no sentences")
        raise IsoglossError(f"no sentence could be used; the first: {reason}")
    ids = [utterances[i].sentence for i in encoded.rows]
    record = {
        "sentences": ids,
        "takes": numbers(ids),
        "planned": encoded.rows,
        "lengths": encoded.lengths,
        **_described(plan, unit, encoded.rows, encoded.lengths, encoded.seconds),
        "failed": [
            {"sentence": utterances[i].sentence, "reason": why, "origin": utterances[i].origin}
            for i, why in sorted(encoded.failed.items())
        ],
        "notes": dict(encoded.notes),
        "model": {
            "family": plan.study.model.family,
            "title": plan.study.model.title(),
            "checkpoint": {
                **plan.checkpoint,
                **plan.study.model.fingerprint_of(unit.modality, unit.language),
            },
            "dtype": plan.study.model.dtype,
            "untrained": plan.layout.untrained,
        },
        "device": device,
        "started": started,
        "seconds": round(time.perf_counter() - clock, 3),
        "environment": environment(),
    }
    store.put(unit, encoded.arrays, record)


def _described(
    plan: Plan, unit: Unit, rows: Sequence[int], lengths: list[int], seconds: list[float]
) -> dict[str, Any]:
    """What the record says of the speakers and covariates of a unit's rows."""
    utterances = [plan.utterances(unit)[i] for i in rows]
    measured = {"tokens": lengths} if unit.modality == "text" else {"seconds": seconds}
    return {
        "speakers": [u.speaker for u in utterances],
        "covariates": covariates(utterances, plan.texts, measured),
    }


def _refresh(plan: Plan, store: Store, unit: Unit) -> None:
    """Bring the speakers and covariates of a committed unit up to date.

    A unit is named by what the model is given. A speaker or a column that is added or put right in
    the corpus later must not cost another extraction, and must not be ignored either.
    """
    record = store.record(unit)
    seconds = record["covariates"].get("seconds", [])
    fields = _described(plan, unit, record["planned"], record["lengths"], seconds)
    if any(record[name] != value for name, value in fields.items()):
        store.amend(unit, fields)


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


def pick_device(wanted: str) -> str:
    """Resolve ``auto`` to the first CUDA device if there is one, else the CPU."""
    if wanted != "auto":
        return wanted
    try:
        import torch
    except ImportError:
        return "cpu"
    return "cuda" if torch.cuda.is_available() else "cpu"
