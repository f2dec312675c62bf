"""Where languages and modalities meet inside a speech-text foundation model.

    import isogloss

    study = isogloss.Study.read("study.yaml")
    outcome = isogloss.run(study)
    outcome.results["cross_modal"]

Everything heavy is imported when it is first used; importing the package needs no torch.
"""

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from isogloss.api import (
        Outcome,
        Progress,
        UnitStatus,
        finish,
        load_findings,
        load_results,
        plan,
        progress,
        run,
        status,
        verify,
        write_report,
    )
    from isogloss.beside import compare_runs
    from isogloss.checking import check
    from isogloss.demo import demo_study
    from isogloss.errors import IsoglossError
    from isogloss.experiment import paper
    from isogloss.runs import Run
    from isogloss.similarity import svcca
    from isogloss.study import Study

_WHERE = {
    "Outcome": "api",
    "Progress": "api",
    "finish": "api",
    "progress": "api",
    "UnitStatus": "api",
    "plan": "api",
    "load_findings": "api",
    "load_results": "api",
    "write_report": "api",
    "run": "api",
    "status": "api",
    "verify": "api",
    "check": "checking",
    "compare_runs": "beside",
    "demo_study": "demo",
    "IsoglossError": "errors",
    "paper": "experiment",
    "Run": "runs",
    "svcca": "similarity",
    "Study": "study",
}

__all__ = [
    "IsoglossError",
    "Outcome",
    "Progress",
    "Run",
    "Study",
    "UnitStatus",
    "check",
    "compare_runs",
    "demo_study",
    "finish",
    "load_findings",
    "load_results",
    "paper",
    "plan",
    "progress",
    "run",
    "status",
    "svcca",
    "verify",
    "write_report",
]


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_WHERE[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
