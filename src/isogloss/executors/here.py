"""The calling process does the work."""

from typing import ClassVar, Literal

from isogloss.executors.base import Crew, Executor, ExecutorInfo, Job
from isogloss.settings import setting


class Here(Executor):
    """One worker: the process that was called."""

    info: ClassVar[ExecutorInfo] = ExecutorInfo("this process", "nothing")
    inside: ClassVar[bool] = True

    kind: Literal["here"] = setting(
        "here", role="runtime", help="Where work runs; see `isogloss executors`."
    )

    @property
    def count(self) -> int:
        """One."""
        return 1

    def launch(self, job: Job) -> Crew:
        """Never called: there is nothing to start."""
        raise NotImplementedError
