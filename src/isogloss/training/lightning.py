"""The callback for Lightning. Imports it when called."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from isogloss.training.callback import GapCallback


def lightning_callback(gaps: "GapCallback", package: str) -> Any:
    """Make a callback of Lightning.

    Args:
        gaps: What to do.
        package: ``lightning`` or ``pytorch_lightning``, whose classes differ.

    Raises:
        IsoglossError: It is not installed.
    """
    from isogloss.training.callback import missing

    try:
        name = "lightning.pytorch" if package == "lightning" else package
        base: Any = importlib.import_module(name).Callback
    except ImportError as error:
        raise missing(package) from error

    class LightningGapCallback(base):  # type: ignore[misc]
        """Measures gaps after optimiser steps."""

        def on_train_start(self, trainer: Any, pl_module: Any) -> None:
            """Before the first step."""
            self.done = trainer.global_step
            first = trainer.is_global_zero
            gaps.started(pl_module, trainer.global_step, _log(trainer), first=first)

        def on_train_batch_end(self, trainer: Any, pl_module: Any, *args: Any) -> None:
            """After a batch, which need not be a step of the optimiser."""
            if trainer.is_global_zero and trainer.global_step != self.done:
                self.done = trainer.global_step
                gaps.stepped(pl_module, self.done, _log(trainer))

        def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
            """After a validation."""
            if trainer.is_global_zero and gaps.evaluation and not trainer.sanity_checking:
                gaps.measure(pl_module, trainer.global_step, _log(trainer))

        def on_train_end(self, trainer: Any, pl_module: Any) -> None:
            """After the last step."""
            if trainer.is_global_zero and gaps.end:
                gaps.measure(pl_module, trainer.global_step, _log(trainer))

    def _log(trainer: Any) -> Any:
        def log(scalars: dict[str, float], step: int) -> None:
            for logger in trainer.loggers:
                logger.log_metrics(scalars, step=step)

        return log

    return LightningGapCallback()
