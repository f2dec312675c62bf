"""Run the model over units and commit what it says at every tap."""

import time
import traceback
from collections.abc import Sequence
from typing import Any

from threadpoolctl import threadpool_limits

from isogloss.confounds import covariates
from isogloss.encode import encode
from isogloss.errors import IsoglossError, OutputError
from isogloss.events import Events, task
from isogloss.languages import language
from isogloss.models.base import Tower
from isogloss.planning import Plan
from isogloss.provenance import environment, error_record, now
from isogloss.store import Store, Unit
from isogloss.takes import numbers

_ON_CPU, _ELSEWHERE = 4000, 16000
"""Time steps in a batch. On a CPU more gains nothing and costs memory."""


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


def pick_device(wanted: str) -> str:
    """Resolve ``auto`` to the first CUDA device if there is one, else the CPU."""
    if wanted != "auto":
        return wanted
    try:
        import torch
    except ImportError:
        return "cpu"
    return "cuda" if torch.cuda.is_available() else "cpu"
