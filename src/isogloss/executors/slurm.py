"""Workers as a SLURM job array, submitted by submitit."""

import os
import re
import signal
import subprocess
import time
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, model_validator

from isogloss.errors import IsoglossError, MissingExtraError
from isogloss.events import Silent
from isogloss.executors._slurm_crew import SlurmCrew
from isogloss.executors.base import Crew, Executor, ExecutorInfo, Job
from isogloss.interrupts import stoppable
from isogloss.settings import Names, setting, split_names

if TYPE_CHECKING:
    from submitit.core.core import PicklingExecutor

_GRACE = 60.0
"""Seconds to wait, after SIGTERM, for SLURM's decision: a requeue, or the end."""
_OPTION = re.compile(r"[a-z][a-z0-9-]*(=.*)?")
_OURS = {
    "account": "account", "array": "workers and at_once", "constraint": "constraint",
    "cpus-per-task": "cpus", "dependency": "", "error": "", "gpus-per-node": "gpus",
    "mem": "memory",
    "nodes": "", "ntasks-per-node": "", "output": "", "partition": "partition", "qos": "qos",
    "signal": "grace", "time": "minutes",
}  # fmt: skip
"""Options of sbatch that have a setting of their own, or none because the work depends on them."""


def _lines(value: Any) -> Any:
    # Shell lines hold commas, so they are not split as lists of names are.
    return tuple(value.splitlines()) if isinstance(value, str) else value


def _pairs(value: Any) -> Any:
    """Take a mapping as well as a list of ``name=value``."""
    if isinstance(value, dict):
        value = [k if v is True else f"{k}={v}" for k, v in value.items()]
    found = split_names(value)
    for item in found if isinstance(found, tuple) else ():
        name = str(item).removeprefix("--")
        if not isinstance(item, str) or not _OPTION.fullmatch(name):
            raise ValueError(f'{item!r} is no option of sbatch; write "name=value" or "name"')
        if (key := name.partition("=")[0]) in _OURS:
            own = f"set executor.{_OURS[key]} instead" if _OURS[key] else "it is fixed"
            raise ValueError(f'"{key}" cannot be given among the options; {own}')
    return tuple(i.removeprefix("--") for i in found) if isinstance(found, tuple) else found


class Slurm(Executor):
    """A job array in which every element is a worker on one node."""

    info: ClassVar[ExecutorInfo] = ExecutorInfo(
        "SLURM, by submitit",
        'the extra "slurm", a login node, an output folder that all nodes share',
    )

    kind: Literal["slurm"] = setting(
        "slurm", role="runtime", help="Where work runs; see `isogloss executors`."
    )
    cluster: Literal["slurm", "local"] = setting(
        "slurm", role="runtime", help="local tries the same out as processes of this machine."
    )
    workers: int = setting(4, role="runtime", ge=1, le=1000, help="Elements of the job array.")
    at_once: int = setting(
        0, role="runtime", ge=0, help="How many of them may run at the same time; 0: all."
    )
    wait: bool = setting(
        True,
        role="runtime",
        help="Stay until all is done. If not, the workers are left in the queue, and a last job "
        "behind them compares and writes the report.",
    )
    partition: str = setting("", role="runtime", help="Partition; the cluster's default if empty.")
    cpu_partition: str = setting(
        "",
        role="runtime",
        help="Partition of the workers that compare, which need no GPU; `partition` if empty.",
    )
    account: str = setting("", role="runtime", help="Account that is charged.")
    qos: str = setting("", role="runtime", help="Quality of service.")
    constraint: str = setting("", role="runtime", help="Features that a node must have.")
    gpus: int = setting(1, role="runtime", ge=0, le=16, help="GPUs of a worker; it uses one.")
    cpus: int = setting(
        8, role="runtime", ge=1, help="Cores of a worker: they decode, and compare views."
    )
    memory: float = setting(48.0, role="runtime", gt=0, help="Main memory of a worker, in GB.")
    minutes: int = setting(
        240,
        role="runtime",
        ge=1,
        help="Time limit of a worker. At the limit it keeps what it has and is queued again.",
    )
    grace: int = setting(
        180,
        role="runtime",
        ge=10,
        help="Seconds before the limit at which a worker is told to end its batch.",
    )
    requeues: int = setting(
        100, role="runtime", ge=0, help="How often a worker is queued again after its limit."
    )
    setup: Annotated[tuple[str, ...], BeforeValidator(_lines)] = setting(
        (), role="runtime", help="Shell lines before a worker starts, such as `module load cuda`."
    )
    options: Annotated[tuple[str, ...], BeforeValidator(_pairs)] = setting(
        (),
        role="runtime",
        help="Further options of sbatch as name=value, such as gres=gpu:a100:1 or exclusive.",
    )
    srun: Names = setting(
        (), role="runtime", help="Further arguments of srun, such as --container-image=FILE."
    )

    @property
    def count(self) -> int:
        """How many workers it starts."""
        return self.workers

    def launch(self, job: Job) -> Crew:
        """Submit the array.

        Raises:
            MissingExtraError: submitit is not installed.
            IsoglossError: There is no SLURM here, or it refuses the jobs.
        """
        executor = self._executor(job)
        from submitit.core.utils import FailedSubmissionError, UncompletedJobError

        try:
            if self.workers == 1:
                jobs = [executor.submit(Worker(), self._task(job))]
            else:
                with executor.batch():
                    jobs = [executor.submit(Worker(), self._task(job)) for _ in range(self.workers)]
            if not self.wait:
                last = replace(job, stage="finish")
                array = jobs[0].job_id.partition("_")[0]
                jobs.append(self._executor(last, behind=array).submit(Worker(), self._task(last)))
        except (FailedSubmissionError, UncompletedJobError, OSError) as error:
            raise IsoglossError(_refused(error)) from None
        return SlurmCrew(jobs, _logs(job), cluster=self.cluster, detached=not self.wait)

    def describe(self, job: Job) -> str:
        """The script that sbatch would be given; both, if a last job is queued behind the array."""
        if self.cluster == "local":
            return f"{self.workers} processes of this machine, started by submitit"
        executor = self._executor(job, only_show=True)
        if self.workers > 1:
            executor.parameters["map_count"] = self.workers
        scripts = [executor]
        if not self.wait:
            last = replace(job, stage="finish")
            scripts.append(self._executor(last, behind="ARRAY", only_show=True))
        return "\n".join(e._make_submission_file_text(e._submitit_command_str, "") for e in scripts)

    @model_validator(mode="after")
    def _check(self) -> "Slurm":
        if self.cluster == "local" and not self.wait:
            raise ValueError("wait: false leaves work in a queue, and cluster: local has none")
        return self

    def _task(self, job: Job) -> dict[str, Any]:
        # On a node that is shared, all of its cores would be counted otherwise.
        return replace(job, threads=job.threads or self.cpus).as_dict()

    def _executor(
        self, job: Job, *, behind: str = "", only_show: bool = False
    ) -> "PicklingExecutor":
        try:
            from submitit.local.local import LocalExecutor
            from submitit.slurm.slurm import SlurmExecutor
        except ImportError:
            raise MissingExtraError("the executor slurm", "slurm") from None

        class Shown(SlurmExecutor):
            """Makes the script also where there is no SLURM."""

            @classmethod
            def affinity(cls) -> int:
                return 2

        folder = _logs(job)
        if "%" in str(folder):
            raise IsoglossError(
                f'{folder}: SLURM gives "%" in paths a meaning of its own; use an output folder '
                "without it"
            )
        executor: PicklingExecutor
        if self.cluster == "local":
            executor = LocalExecutor(folder, max_num_timeout=self.requeues)
            executor.update_parameters(
                timeout_min=self.minutes, gpus_per_node=self._gpus(job), signal_delay_s=self.grace,
                stderr_to_stdout=True,
            )  # fmt: skip
            return executor
        try:
            kind = Shown if only_show else SlurmExecutor
            executor = kind(folder, max_num_timeout=self.requeues)
        except RuntimeError:
            raise IsoglossError(
                "there is no SLURM here: the program srun is not found. Start this on a login "
                "node, or try it out with --executor.cluster local"
            ) from None
        executor.update_parameters(**self._parameters(job, behind))
        return executor

    def _parameters(self, job: Job, behind: str) -> dict[str, Any]:
        """What submitit is told."""
        comparing = job.stage != "extract"
        asked: dict[str, Any] = {
            "job_name": f"isogloss-{job.stage}",
            "partition": (self.cpu_partition if comparing else "") or self.partition,
            "account": self.account,
            "qos": self.qos,
            "constraint": self.constraint,
            "dependency": f"afterany:{behind}" if behind else "",
            "gpus_per_node": self._gpus(job),
            "cpus_per_task": self.cpus,
            "mem": f"{self.memory:g}GB" if self.memory.is_integer() else self._megabytes(),
            "time": self.minutes,
            "signal_delay_s": self.grace,
            "array_parallelism": self.at_once or self.workers,
            "setup": list(self.setup),
            "srun_args": list(self.srun),
            "stderr_to_stdout": True,
        }
        # A dash would stand beside submitit's own underscore and give the option twice.
        pairs = [option.partition("=") for option in self.options]
        if comparing:
            pairs = [p for p in pairs if not p[0].startswith("gpus") and p[2][:3] != "gpu"]
        further = {k.replace("-", "_"): v if sign else True for k, sign, v in pairs}
        # sbatch's default may be not to queue again what was preempted or lost its node.
        asked["additional_parameters"] = {"requeue": True, **further}
        return {k: v for k, v in asked.items() if v not in ("", 0, [])}

    def _gpus(self, job: Job) -> int:
        return self.gpus if job.stage == "extract" else 0

    def _megabytes(self) -> str:
        return f"{round(self.memory * 1024)}MB"


class Worker:
    """What an element of the array runs. When warned it keeps what it has, and goes on later.

    Before the time limit, and on preemption, SLURM sends SIGUSR2, upon which submitit queues the
    job again at once. Here the batch is ended first, so that nothing is lost.
    """

    def __call__(self, job: dict[str, Any]) -> None:
        """Work until there is nothing left, or until told to stop."""
        from isogloss.work import main

        submitit = signal.getsignal(signal.SIGUSR2)
        warned = False
        with stoppable(Silent()) as stop:

            def warn(number: int, frame: FrameType | None) -> None:
                nonlocal warned
                warned = True
                stop.ask(number)

            signal.signal(signal.SIGUSR2, warn)
            try:
                main(job)
            except KeyboardInterrupt:
                pass
            finally:
                # SIGTERM alone may come before SIGUSR2 on preemption, or be the end of a job that
                # was cancelled. Only SLURM knows; what matters is kept already.
                if stop.signal == signal.SIGTERM and "SLURM_JOB_ID" in os.environ:
                    until = time.monotonic() + _GRACE
                    while not warned and time.monotonic() < until:
                        time.sleep(0.5)
                signal.signal(signal.SIGUSR2, submitit)
        if warned and callable(submitit):
            submitit(signal.SIGUSR2, None)

    def checkpoint(self, job: dict[str, Any]) -> Any:
        """What submitit starts when the job is queued again: the same, since the store knows."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self, job)


def _logs(job: Job) -> Path:
    return Path(job.folder) / "workers"


def _refused(error: Exception) -> str:
    told = error.stderr if isinstance(error, subprocess.CalledProcessError) else str(error)
    lines = [line.strip() for line in str(told).splitlines() if line.strip()]
    said = next((line for line in lines if "error" in line.lower()), lines[-1] if lines else "")
    return (
        f"SLURM did not take the jobs: {said}. `isogloss plan --executor slurm` shows the script; "
        "comparisons ask for no GPU, so a partition that insists on one needs "
        "--executor.cpu_partition"
    )
