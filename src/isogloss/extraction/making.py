"""Make one unit: read its inputs, run the encoder over them, commit what it says at every tap."""

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isogloss.confounds import covariates
from isogloss.errors import IsoglossError, ModelError
from isogloss.extraction.budgets import Budget, budget_for
from isogloss.extraction.encode import encode
from isogloss.extraction.rows import Encoded
from isogloss.identifying import changes
from isogloss.interrupts import Stop
from isogloss.languages import language
from isogloss.models.base import Tower
from isogloss.planning import Plan
from isogloss.provenance import environment, now
from isogloss.settings import digest
from isogloss.storage.pieces import Pieces
from isogloss.storage.store import Store, Unit
from isogloss.takes import numbers


class Maker:
    """Makes units on one device.

    Args:
        store: Where they go.
        device: A torch device, as :func:`pick_device` gives it.
        jobs: Processes or threads that prepare inputs; 0: as many as there are cores.
        stop: Asked after each batch.
    """

    def __init__(self, store: Store, device: str, jobs: int, stop: Stop) -> None:
        self._store, self._device, self._jobs, self._stop = store, device, jobs, stop
        self._pieces = Pieces(store.folder)
        self._budget: tuple[Tower, Budget] | None = None

    def kept(self, unit: Unit) -> int:
        """Inputs of a unit that earlier workers have done."""
        return _inputs(self._pieces.kept(unit))

    def make(
        self,
        plan: Plan,
        unit: Unit,
        tower: Tower,
        begun: Callable[[int], None],
        advance: Callable[[int], None],
    ) -> None:
        """Make and commit a unit, going on from what an earlier worker has kept of it.

        Args:
            plan: Has its inputs.
            unit: What to make.
            tower: The encoder.
            begun: Called once, with the number of inputs that an earlier worker has done.
            advance: Called with the number of inputs done since.

        Raises:
            IsoglossError: Not one sentence can be used.
            OutputError: It cannot be written.
            Interrupted: It was asked to stop; what was done is kept.
        """
        started, clock = now(), time.perf_counter()

        def spent() -> float:
            nonlocal clock
            since, clock = clock, time.perf_counter()
            return clock - since

        kept = self._pieces.kept(unit)
        begun(_inputs(kept))
        own = [sum(fields["spent"] for _, fields in kept)]

        def keep(arrays: Mapping[str, NDArray[np.float32]], fields: Mapping[str, Any]) -> None:
            own.append(spent())
            self._pieces.keep(unit, arrays, {**fields, "spent": own[-1]})

        encoded = encode(
            tower,
            plan.utterances(unit),
            language(unit.language),
            budget=self._frames(tower, plan),
            jobs=self._jobs,
            companions=plan.companions.get(unit.language) if unit.modality == "text" else None,
            advance=advance,
            done=kept,
            keep=keep,
            stop=self._stop,
        )
        if not encoded.rows:
            reason = next(iter(encoded.failed.values()), "it has no sentences")
            raise IsoglossError(f"no sentence could be used; the first: {reason}")
        changed = changes(plan, unit, encoded.unread)
        if changed:
            # Whatever was kept may have been made of something else.
            self._pieces.discard(unit)
            raise IsoglossError(f"{changed}. Run again to make it of what is there then")
        seconds = sum(own) + spent()
        how = {
            "device": self._device,
            "threads": _threads(),
            "started": started,
            "seconds": round(seconds, 3),
        }
        record = {**_record(plan, unit, encoded), **how, "environment": environment()}
        self._store.put(unit, encoded.arrays, record)
        self._pieces.discard(unit)

    def _frames(self, tower: Tower, plan: Plan) -> Budget:
        """What fits in a batch, found once for each encoder."""
        if self._budget is None or self._budget[0] is not tower:
            model = digest([plan.checkpoint, plan.study.model.identity()])
            asked = plan.study.batch_frames
            self._budget = (
                tower, budget_for(asked, tower, model=model, device=self._device)
            )  # fmt: skip
        return self._budget[1]


def _inputs(kept: Sequence[tuple[Mapping[str, Any], Mapping[str, Any]]]) -> int:
    return sum(len(fields["rows"]) + len(fields["failed"]) for _, fields in kept)


def _threads() -> int | None:
    """Threads of one operation, on which the last bit of a sum may depend; None without torch."""
    torch = sys.modules.get("torch")
    return int(torch.get_num_threads()) if torch is not None else None


def _record(plan: Plan, unit: Unit, encoded: Encoded) -> dict[str, Any]:
    utterances = plan.utterances(unit)
    ids = [utterances[i].sentence for i in encoded.rows]
    model = plan.study.model
    return {
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
            "family": model.family,
            "title": model.title(),
            "checkpoint": {
                **plan.checkpoint, **model.fingerprint_of(unit.modality, unit.language)
            },
            "dtype": model.dtype,
            "untrained": plan.layout.untrained,
        },
    }  # fmt: skip


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


def refresh(plan: Plan, store: Store, unit: Unit) -> None:
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
    """Resolve ``auto`` to the first CUDA device if there is one, else the CPU.

    Raises:
        ModelError: A CUDA device is asked for that is not there.
    """
    if wanted != "auto" and not wanted.startswith("cuda"):
        return wanted
    count = 0
    with suppress(ImportError):
        import torch

        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if wanted == "auto":
        return "cuda" if count else "cpu"
    number = wanted.partition(":")[2] or "0"
    if not number.isdecimal() or int(number) >= count:
        raise ModelError(
            f"device {wanted} is not there: PyTorch sees {count} CUDA devices on this machine. "
            "Leave `device` out for the first that there is, or the CPU"
        )
    return wanted
