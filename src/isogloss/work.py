"""What a worker does that was started somewhere else: find its work in the output folder.

    python -m isogloss.work '{"folder": "...", "working": "...", "stage": "extract", "run": "..."}'

All workers are alike. A worker reads ``run.json``, and reads of the corpus what its own units need;
it commits what it makes, and gives nothing back to whoever started it but its exit code.
"""

import json
import os
import sys
import threading
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

from isogloss.errors import IsoglossError, choices
from isogloss.events import Events
from isogloss.executors.base import Job
from isogloss.interrupts import Stop, stoppable
from isogloss.leases import Leases
from isogloss.planning import Plan, draft, plan_unit
from isogloss.runs import Run
from isogloss.storage.store import Unit
from isogloss.study import Study

FAILED = 1
_THREADS = "OMP_NUM_THREADS"


def main(job: dict[str, Any], *, attached: bool = False) -> None:
    """Do a worker's part of a run. For executors; any number may be called at the same time.

    Args:
        job: A :class:`isogloss.executors.base.Job` as a dict.
        attached: Stop when standard input closes, as it does when whoever started us has gone.

    Raises:
        IsoglossError: Nothing can be done, for a reason that the user can mend.
        Interrupted: It was asked to stop; what was done is kept.
    """
    from isogloss.cli.display import display

    told = Job(**job)
    os.chdir(told.working)
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # idle threads would spin
    if told.threads:
        os.environ.setdefault(_THREADS, str(told.threads))  # what the user says wins
    with display() as events, stoppable(events) as stop:
        if attached:
            threading.Thread(target=_left_alone, args=(stop,), daemon=True).start()
        _STAGES[told.stage](told, events, stop)


def _left_alone(stop: Stop) -> None:
    """Stop when standard input closes."""
    # Not through sys.stdin: its lock would be held here when the interpreter ends.
    with suppress(OSError):
        while os.read(0, 64):
            pass
    stop.ask()


def _extract(job: Job, events: Events, stop: Stop) -> None:
    from isogloss.extraction.extract import Extraction

    run = Run.read(Path(job.folder))
    store = run.store()
    study = Study(**run.study)
    pending = [u for u in run.units if not store.has(u)]
    if not pending:
        return
    _limit_threads()
    drafted = draft(study, events)

    @lru_cache(maxsize=1)
    def plan_of(unit: Unit) -> Plan:
        return plan_unit(drafted, unit.language, unit.modality)

    leases = Leases(run.folder / "leases")
    jobs = job.threads or study.jobs
    extraction = Extraction(
        pending, plan_of, study, store, leases, events, stop=stop, run=job.run, jobs=jobs
    )
    try:
        extraction.work(patient=False)
    finally:
        leases.close()


def _compare(job: Job, events: Events, stop: Stop) -> None:
    from isogloss.analysing import prepare

    prepare(Path(job.folder), events, stop=stop, threads=job.threads)


def _finish(job: Job, events: Events, stop: Stop) -> None:
    from isogloss import api

    failed = api.finish(job.folder, events).failed
    if failed:
        named = choices((f"{u.language} {u.modality}" for u, _ in failed), 6)
        raise IsoglossError(f"the report was written without units that are not there: {named}")


_STAGES = {"extract": _extract, "compare": _compare, "finish": _finish}


def _limit_threads() -> None:
    """Let torch use its share of the cores only, where it is installed and was imported before."""
    told = os.environ.get(_THREADS, "")
    if told.isdecimal() and int(told):
        with suppress(ImportError):
            import torch

            torch.set_num_threads(int(told))


def _command(text: str) -> int:
    """Run as a program; returns the exit code."""
    try:
        main(json.loads(text), attached=True)
    except IsoglossError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201
        return FAILED
    except KeyboardInterrupt as error:
        return 128 + int(getattr(error, "signal", 2))
    return 0


if __name__ == "__main__":
    sys.exit(_command(sys.argv[1]))
