"""The state of submitted jobs."""

import os
import signal
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isogloss.executors.base import Crew

if TYPE_CHECKING:
    from submitit.core.core import Job as Submitted

_EVERY = 30.0
"""Seconds between two questions to the scheduler, which all users of a cluster share."""
_GONE = "gone from the queue"
_UNDER_WAY = {
    "PENDING", "CONFIGURING", "RUNNING", "COMPLETING", "SUSPENDED", "STOPPED", "SIGNALING",
    "STAGE_OUT", "RESIZING", "REQUEUED", "REQUEUE_FED", "REQUEUE_HOLD", "SPECIAL_EXIT",
    "RESV_DEL_HOLD",
}  # fmt: skip
"""States of SLURM in which a job has not ended for good."""


class SlurmCrew(Crew):
    """The elements of a job array, or the local processes that stand for them.

    Args:
        jobs: What submitit gave.
        logs: Where their output goes.
        cluster: ``slurm`` or ``local``.
        detached: Nobody waits.
    """

    def __init__(
        self, jobs: "Sequence[Submitted[Any]]", logs: Path, *, cluster: str, detached: bool
    ) -> None:
        super().__init__()
        self.jobs, self.logs, self.detached = list(jobs), logs, detached
        self._local = cluster == "local"
        self._left = list(self.jobs)
        self._states: dict[str, str] = {}
        self._asked = float("-inf")
        self._stopping = False

    def running(self) -> int:
        """How many have not ended; SLURM is asked every half minute."""
        if self._left and not self._local and time.monotonic() - self._asked > _EVERY:
            self._states = self._queue()
            self._asked = time.monotonic()
        for job in list(self._left):
            if (ended := self._ended(job)) is not None:
                self._left.remove(job)
                if ended:
                    self._problems.append(ended)
        return len(self._left)

    def stop(self, *, now: bool) -> None:
        """Cancel what waits in the queue; ask what runs to end, or end it."""
        if self._stopping and not now:
            return  # a second request would end a worker at once
        self._stopping = True
        if self._local:
            for job in self._left:
                with suppress(OSError):
                    # The process that submitit puts before a worker hands this one on, and ends
                    # the worker when it is interrupted itself.
                    os.kill(int(job.job_id), signal.SIGINT if now else signal.SIGTERM)
        elif ids := self._ids():
            if now:
                _call("scancel", *ids)
            else:
                _call("scancel", "--state=PENDING", *ids)
                _call("scancel", "--signal=INT", *ids)

    def where(self) -> str:
        """The folder of the logs."""
        return str(self.logs)

    def _ids(self) -> list[str]:
        return sorted({job.job_id.partition("_")[0] for job in self._left})

    def _ended(self, job: "Submitted[Any]") -> str | None:
        """None while it has not; then what went wrong, or nothing."""
        # Written by submitit when the worker returned or raised.
        written = job.paths.result_pickle.exists()
        if self._local:
            if not job.done():
                return None
            written = job.paths.result_pickle.exists()
            state = "" if written else "killed"
        else:
            state = self._states.get(job.job_id, "PENDING")
            if not written and state in _UNDER_WAY:
                return None
        log = f"see {job.paths.stdout}"
        if not written:
            return f"worker {job.job_id} ended without a result ({state.lower()}); {log}"
        error = job.exception()
        if error is None:
            return ""
        lines = [line.strip() for line in str(error).splitlines()]
        told = [line for line in lines if line and not line.startswith(("-", "You can", "or at"))]
        return f"worker {job.job_id} failed: {told[-1] if told else error}; {log}"

    def _queue(self) -> dict[str, str]:
        """State of each element; what SLURM has forgotten ended long ago."""
        found = {job.job_id: _GONE for job in self._left}
        for job in self._ids():
            said = _call(
                "squeue", "--noheader", "--array", "--states=all", "--format=%i|%T", f"--jobs={job}"
            )
            if said is None:
                return self._states  # the scheduler does not answer: as it was
            for line in said.splitlines():
                name, _, state = line.strip().partition("|")
                found[name] = state
        return found


def _call(*command: str) -> str | None:
    """What a program of SLURM prints; nothing for a job it does not know, None if it fails."""
    try:
        done = subprocess.run(  # noqa: S603
            command, check=False, capture_output=True, text=True, timeout=60
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    if done.returncode == 0:
        return done.stdout
    return "" if "invalid job id" in done.stderr.lower() else None
