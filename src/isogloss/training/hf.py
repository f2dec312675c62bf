"""The callback for the Trainer of transformers. Imports transformers when called."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from isogloss.training.callback import GapCallback


def trainer_callback(gaps: "GapCallback", trainer: Any) -> Any:
    """Make a callback of a Trainer.

    Args:
        gaps: What to do.
        trainer: Whose ``log`` is called, since a callback is not told how to log.
    """
    from transformers import Trainer, TrainerCallback

    class TrainerGapCallback(TrainerCallback):
        """Measures gaps after optimiser steps."""

        def on_train_begin(self, args: Any, state: Any, control: Any, **given: Any) -> None:
            """Before the first step."""
            first = state.is_world_process_zero
            gaps.started(given["model"], state.global_step, _log(state, control), first=first)

        def on_step_end(self, args: Any, state: Any, control: Any, **given: Any) -> None:
            """After an optimiser step."""
            if state.is_world_process_zero:
                # In on_train_end some loggers have closed already.
                last = state.global_step >= state.max_steps
                log = _log(state, control)
                gaps.stepped(given["model"], state.global_step, log, last=last)

        def on_evaluate(self, args: Any, state: Any, control: Any, **given: Any) -> None:
            """After an evaluation."""
            if state.is_world_process_zero and gaps.evaluation:
                gaps.measure(given["model"], state.global_step, _log(state, control))

        def on_train_end(self, args: Any, state: Any, control: Any, **given: Any) -> None:
            """After the last step, where training ended before its time."""
            if not (state.is_world_process_zero and gaps.end):
                return
            if args.load_best_model_at_end and state.best_model_checkpoint:
                # The trainer has put the best weights back already, which are not those of now.
                gaps.watch.warn("the last step is not measured: the best model was loaded")
            else:
                gaps.measure(given["model"], state.global_step, _log(state, control))

    def _log(state: Any, control: Any) -> Any:
        def log(scalars: dict[str, float], step: int) -> None:
            due = control.should_log
            try:
                # Not that of a subclass, which may close the metrics of its own interval.
                Trainer.log(trainer, scalars)
            finally:
                control.should_log = due  # it would count as the log of the loss that is due now

        return log

    return TrainerGapCallback()
