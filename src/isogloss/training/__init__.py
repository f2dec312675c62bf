"""Watch the gaps between modalities and languages while a model trains.

    from isogloss.training import GapWatch

    watch = GapWatch({"family": "seamless", "checkpoint": FOLDER}, CORPUS, history="gaps.csv")
    for step, batch in enumerate(batches):
        train(model, batch)
        if step % 500 == 0:
            log(watch(model, step).scalars(), step)

Nothing here imports torch, transformers or lightning before it is used.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from isogloss.training.callback import GapCallback
    from isogloss.training.history import curve, read_history, write_curve
    from isogloss.training.result import Gap, Gaps
    from isogloss.training.watch import GapWatch

_WHERE = {
    "Gap": "result",
    "GapCallback": "callback",
    "GapWatch": "watch",
    "Gaps": "result",
    "curve": "history",
    "read_history": "history",
    "write_curve": "history",
}

__all__ = ["Gap", "GapCallback", "GapWatch", "Gaps", "curve", "read_history", "write_curve"]


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_WHERE[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
