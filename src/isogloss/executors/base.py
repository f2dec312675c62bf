"""What an executor is: a way to start workers, all of them alike, and to know when they have ended.

Workers find their work themselves, in the output folder that all share (see
:mod:`isogloss.work`). An executor hands out nothing and collects nothing, so it can be as simple as
starting a program so many times, and the workers of several executors can be mixed.
"""

from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Literal

from isogloss.settings import Settings, setting

Stage = Literal["extract", "compare", "finish"]


@dataclass(frozen=True)
class Job:
    """What a worker is told. It fits on a command line."""

    folder: str
    """Output folder of the run, absolute; ``run.json`` in it says what is wanted."""
    working: str
    """Folder that relative paths of the study count from, absolute."""
    stage: Stage
    """``extract`` makes units, ``compare`` makes chunks of comparisons, ``finish`` does all that is
    missing of a run, report included."""
    run: str
    """Names the call of ``run`` that asked, so that what failed in it is not tried twice in it."""
    threads: int = 0
    """Threads that a worker may use; 0: one per core."""

    def as_dict(self) -> dict[str, Any]:
        """The job as JSON-able values, which :func:`isogloss.work.main` takes."""
        return asdict(self)


class Crew(ABC):
    """Workers that were started."""

    detached: bool = False
    """True if nobody waits for them: they are queued somewhere and go on by themselves."""

    @abstractmethod
    def running(self) -> int:
        """How many have not ended, queued ones included."""

    @abstractmethod
    def stop(self, *, now: bool) -> None:
        """Ask all to end after their batch, or, ``now``, end them where they are."""

    def __init__(self) -> None:
        self._problems: list[str] = []
        """What went wrong, as :meth:`running` finds it."""

    def problems(self) -> list[str]:
        """What went wrong with workers since this was last asked, in a line each."""
        self.running()
        found, self._problems = self._problems, []
        return found

    def where(self) -> str:
        """Where to look for what they print, for messages."""
        return ""


@dataclass(frozen=True)
class ExecutorInfo:
    """What ``isogloss list`` shows of an executor."""

    title: str
    needs: str
    """What must be installed or at hand."""


class Executor(Settings, ABC):
    """A way to start workers, with its settings. All of them have the role ``runtime``."""

    info: ClassVar[ExecutorInfo]
    section: ClassVar[str] = "executor"
    inside: ClassVar[bool] = False
    """True if the calling process is the only worker, and nothing has to be started."""

    kind: str = setting(role="runtime", help="Where work runs; see `isogloss executors`.")

    @property
    @abstractmethod
    def count(self) -> int:
        """How many workers it starts."""

    @abstractmethod
    def launch(self, job: Job) -> Crew:
        """Start the workers and return at once.

        Each of them must call ``isogloss.work.main(job.as_dict())`` in an environment with this
        package, and may be started again when it is lost.

        Raises:
            MissingExtraError: What it needs is not installed.
            IsoglossError: The workers cannot be started.
        """

    def describe(self, job: Job) -> str:
        """What would be started, for ``isogloss plan``: the script of a scheduler, say."""
        return ""
