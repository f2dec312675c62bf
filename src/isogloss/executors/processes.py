"""Workers on this machine, each a process of its own, with a GPU each where there are some."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import ClassVar, Literal

from isogloss.errors import IsoglossError
from isogloss.executors.base import Crew, Executor, ExecutorInfo, Job
from isogloss.settings import setting

_TAIL = 4000
"""Bytes at the end of a log in which the last line is looked for."""


class Processes(Executor):
    """So many workers on this machine."""

    info: ClassVar[ExecutorInfo] = ExecutorInfo("processes on this machine", "nothing")

    kind: Literal["processes"] = setting(
        "processes", role="runtime", help="Where work runs; see `isogloss executors`."
    )
    workers: int = setting(
        0, role="runtime", ge=0, help="Workers to start; 0: one for each GPU, or else two."
    )

    @property
    def count(self) -> int:
        """How many workers it starts."""
        return self.workers or len(gpus()) or 2

    def launch(self, job: Job) -> Crew:
        """Start the workers and return at once."""
        return _Processes(job, self.count)

    def describe(self, job: Job) -> str:
        """The workers and the GPU of each."""
        devices = gpus()
        each = [
            f" on GPU {devices[i % len(devices)]}" if devices else "" for i in range(self.count)
        ]
        share = _share(self.count)
        return "\n".join(f"worker {i + 1}{where}, {share} threads" for i, where in enumerate(each))


class _Processes(Crew):
    def __init__(self, job: Job, count: int) -> None:
        devices, threads = gpus(), _share(count)
        folder = Path(job.folder) / "workers"
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise IsoglossError(f"cannot make {folder}: {error.strerror}") from None
        told = json.dumps({**job.as_dict(), "threads": job.threads or threads})
        self._folder = folder
        self._workers: dict[subprocess.Popen[bytes], Path] = {}
        self._asked = False
        for i in range(count):
            log = folder / f"{job.run}-{job.stage}-{i + 1}.log"
            own: dict[str, str] = {}
            if devices:
                own["CUDA_VISIBLE_DEVICES"] = devices[i % len(devices)]
            with _said(f"cannot start a worker that writes to {log}"), log.open("ab") as out:
                # In a session of its own: Ctrl-C in a terminal is for whoever watches, who passes
                # it on. Its standard input closes when we are gone, however that comes about.
                worker = subprocess.Popen(  # noqa: S603
                    [sys.executable, "-m", "isogloss.work", told],
                    stdin=subprocess.PIPE,
                    stdout=out,
                    stderr=out,
                    env={**os.environ, **own},
                    start_new_session=True,
                )
            self._workers[worker] = log

    def running(self) -> int:
        """How many have not ended."""
        return sum(worker.poll() is None for worker in self._workers)

    def stop(self, *, now: bool) -> None:
        """Ask all to end after their batch, or, ``now``, end them where they are."""
        if self._asked and not now:
            return
        self._asked = True
        for worker in self._workers:
            if worker.poll() is None:
                with suppress(ProcessLookupError):
                    worker.send_signal(signal.SIGKILL if now else signal.SIGTERM)
        if now:
            for worker in self._workers:
                worker.wait()

    def problems(self) -> list[str]:
        """What went wrong with workers that have ended, in a line each, once."""
        found = []
        for worker, log in list(self._workers.items()):
            code = worker.poll()
            if code is None:
                continue
            del self._workers[worker]
            if worker.stdin:
                with suppress(OSError):
                    worker.stdin.close()
            if code and not self._asked:
                how = f"was ended by signal {-code}" if code < 0 else f"ended with code {code}"
                found.append(f"a worker {how}: {_last_line(log) or 'it said nothing'}")
        return found

    def where(self) -> str:
        """The folder of the logs."""
        return str(self._folder)


@contextmanager
def _said(what: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise IsoglossError(f"{what}: {error.strerror or error}") from None


def gpus() -> list[str]:
    """Names of the GPUs that workers may use, as ``CUDA_VISIBLE_DEVICES`` takes them."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return [name.strip() for name in visible.split(",") if name.strip() not in ("", "-1")]
    try:
        listed = subprocess.run(
            ["nvidia-smi", "--query-gpu=index", "--format=csv,noheader"],  # noqa: S607
            capture_output=True, text=True, timeout=30, check=True,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return []
    return listed.stdout.split()


def _share(count: int) -> int:
    """Threads for each of so many workers."""
    return max(1, (os.cpu_count() or 1) // count)


def _last_line(log: Path) -> str:
    with suppress(OSError):
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - _TAIL))
            lines = file.read().decode("utf-8", "replace").strip().splitlines()
        return lines[-1].strip() if lines else ""
    return ""
