"""Workers as tasks of a Ray cluster."""

import logging
import os
import signal
import socket
import threading
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator

from isogloss.errors import IsoglossError, MissingExtraError
from isogloss.executors.base import Crew, Executor, ExecutorInfo, Job
from isogloss.settings import setting, split_names


def _amounts(value: Any) -> Any:
    """Take a mapping as well as a list of ``name=amount``."""
    if isinstance(value, dict):
        value = [f"{name}={amount}" for name, amount in value.items()]
    found = split_names(value)
    for item in found if isinstance(found, tuple) else ():
        name, _, amount = str(item).partition("=")
        try:
            good = bool(name) and float(amount) > 0
        except ValueError:
            good = False
        if not good:
            raise ValueError(f'{item!r} is no resource; write "name=amount", such as "a100=1"')
    return found


class Ray(Executor):
    """Tasks that Ray places on the nodes of a cluster, and starts again when a node is lost."""

    info: ClassVar[ExecutorInfo] = ExecutorInfo(
        "Ray", 'the extra "ray", and for several machines a running cluster and a shared folder'
    )

    kind: Literal["ray"] = setting(
        "ray", role="runtime", help="Where work runs; see `isogloss executors`."
    )
    address: str = setting(
        "auto",
        role="runtime",
        help="The cluster: host:port of its head, auto for the one that this machine belongs to, "
        "or local to start one on this machine.",
    )
    workers: int = setting(2, role="runtime", ge=1, le=1000, help="Tasks that are started.")
    gpus: float | None = setting(
        None,
        role="runtime",
        ge=0,
        help="GPUs of a worker, also a part of one; 1 if the cluster has any and this is left out.",
    )
    cpus: float = setting(
        1.0, role="runtime", ge=0, help="Cores that Ray counts for a worker, and that it uses."
    )
    memory: float = setting(
        0.0, role="runtime", ge=0, help="Main memory that Ray counts for a worker, in GB; 0: none."
    )
    resources: Annotated[tuple[str, ...], BeforeValidator(_amounts)] = setting(
        (), role="runtime", help="Further resources a node must have, as name=amount."
    )
    retries: int = setting(
        10, role="runtime", ge=0, help="How often a worker is started again when its node is lost."
    )

    @property
    def count(self) -> int:
        """How many workers it starts."""
        return self.workers

    def launch(self, job: Job) -> Crew:
        """Connect to the cluster and start the tasks.

        Raises:
            MissingExtraError: Ray is not installed.
            IsoglossError: There is no cluster at the address.
        """
        ray = self._connected()
        gpus = self._gpus(ray, job)
        threads = job.threads or max(1, int(self.cpus))
        options: dict[str, Any] = {
            "name": f"isogloss-{job.stage}",
            "num_cpus": self.cpus,
            "num_gpus": gpus,
            "memory": self.memory * 1e9 or None,
            "resources": {
                name: float(amount)
                for name, _, amount in (item.partition("=") for item in self.resources)
            },
            "max_retries": self.retries,
            # A process of its own: the model's memory is free again when the worker has ended.
            "max_calls": 1,
            # Otherwise Ray fills one node before it uses the next.
            "scheduling_strategy": "SPREAD",
            "runtime_env": {"env_vars": _environment(gpus)},
        }
        task = ray.remote(**{k: v for k, v in options.items() if v is not None})(_work)
        values = {**job.as_dict(), "threads": threads}
        return _Crew(ray, [task.remote(values) for _ in range(self.workers)], self._lacking(ray))

    def describe(self, job: Job) -> str:
        """What Ray would be asked for."""
        if job.stage != "extract":
            gpus = "no GPU"
        elif self.gpus is None:
            gpus = "1 GPU if the cluster has any"
        else:
            gpus = _count(self.gpus, "GPU")
        further = "".join(f", {r}" for r in self.resources)
        return (
            f"{_count(self.workers, 'Ray task')} at {self.address}, each with "
            f"{_count(self.cpus, 'core')}, {gpus}"
            f"{further}; started again up to {self.retries} times when a node is lost"
        )

    def _connected(self) -> Any:
        # Ray reads both when it is imported; nobody asked for statistics to be sent.
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
        try:
            import ray
        except ImportError:
            raise MissingExtraError("the executor ray", "ray") from None
        if ray.is_initialized():
            return ray
        own = self.address == "local"
        self._reachable()
        before = signal.getsignal(signal.SIGTERM)
        quiet: dict[str, Any] = {
            "log_to_driver": False, "logging_level": logging.ERROR, "configure_logging": False,
        }  # fmt: skip
        if own:
            # Nothing is passed through the object store, whose default is a third of the memory.
            quiet |= {"include_dashboard": False, "object_store_memory": 128 * 2**20}
            if self.gpus:
                quiet["num_gpus"] = int(-(-self.gpus * self.workers // 1))
            quiet["num_cpus"] = max(int(-(-self.cpus * self.workers // 1)), 1)
        try:
            ray.init(address=self.address, **quiet)
        except (ConnectionError, RuntimeError, ValueError, TimeoutError) as error:
            said = str(error).strip().splitlines()
            raise IsoglossError(self._absent(said[0] if said else repr(error))) from None
        finally:
            # Ray puts a handler of its own there, which would end this process at once.
            if threading.current_thread() is threading.main_thread():
                signal.signal(signal.SIGTERM, before)
        return ray

    def _reachable(self) -> None:
        """Find out in seconds what Ray would try for minutes."""
        host, sign, port = self.address.rpartition(":")
        if not sign or "/" in host or not port.isdecimal():
            return
        try:
            socket.create_connection((host, int(port)), timeout=10).close()
        except (OSError, OverflowError) as error:
            raise IsoglossError(self._absent(str(error))) from None

    def _absent(self, why: str) -> str:
        return (
            f'there is no Ray cluster at "{self.address}" ({why}). Start one with `ray start '
            "--head`, give its host:port as --executor.address, or use --executor.address local"
        )

    def _gpus(self, ray: Any, job: Job) -> float:
        if job.stage != "extract":
            return 0.0
        if self.gpus is None:
            return 1.0 if ray.cluster_resources().get("GPU", 0) else 0.0
        return self.gpus

    def _lacking(self, ray: Any) -> list[str]:
        """A warning if no node could ever take a worker: Ray itself would wait without a word."""
        wanted = {"CPU": self.cpus, "GPU": self.gpus or 0.0}
        wanted |= {n: float(a) for n, _, a in (item.partition("=") for item in self.resources)}
        nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        if any(all(have.get(n, 0) >= w for n, w in wanted.items()) for have in nodes):
            return []
        asked = ", ".join(f"{n} {w:g}" for n, w in wanted.items() if w)
        return [f"no node of the Ray cluster has {asked}: workers wait until one joins"]


class _Crew(Crew):
    """Tasks of Ray."""

    def __init__(self, ray: Any, tasks: list[Any], problems: list[str]) -> None:
        super().__init__()
        self._ray, self._left, self._problems = ray, list(tasks), problems
        self._number = {task: i for i, task in enumerate(tasks, 1)}
        self._stopped = False

    def running(self) -> int:
        """How many have not ended."""
        if self._left:
            ended, self._left = self._ray.wait(self._left, num_returns=len(self._left), timeout=0)
            for task in ended:
                self._note(task)
        return len(self._left)

    def stop(self, *, now: bool) -> None:
        """Interrupt the tasks, or kill them; those that wait for a node are taken back."""
        if self._stopped and not now:
            return  # a second request would end a worker at once
        self._stopped = True
        for task in self._left:
            self._ray.cancel(task, force=now)

    def where(self) -> str:
        """Where Ray keeps what tasks print."""
        return "the logs of Ray on each node, or `ray logs`"

    def _note(self, task: Any) -> None:
        try:
            self._ray.get(task)
        except Exception as error:
            cause = getattr(error, "cause", None) or error
            lines = [line.strip() for line in str(cause).splitlines() if line.strip()]
            if not self._stopped:
                said = lines[0] if lines else type(cause).__name__
                self._problems.append(f"Ray worker {self._number[task]} ended: {said}")


def _work(job: dict[str, Any]) -> None:
    """What a task does; imported by name on the node that runs it."""
    from isogloss.work import main

    main(job)


def _count(amount: float, what: str) -> str:
    return f"{amount:g} {what}" + ("" if amount == 1 else "s")


def _environment(gpus: float) -> dict[str, str]:
    # Ray leaves all GPUs of a node visible to a task that has asked for none.
    return {} if gpus else {"CUDA_VISIBLE_DEVICES": ""}
