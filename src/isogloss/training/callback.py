"""Measure while somebody else's trainer trains: what its callbacks for each trainer share."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

from isogloss.errors import IsoglossError, StudyError
from isogloss.training.arguments import check_watch, every_of
from isogloss.training.live import refuse_shards
from isogloss.training.result import Gaps
from isogloss.training.watch import GapWatch

if TYPE_CHECKING:
    from torch import nn

Log = Callable[[dict[str, float], int], None]
"""Takes numbers by name, and the step they belong to."""
Trainer = Literal["transformers", "lightning", "pytorch_lightning"]


class GapCallback:
    """Measures every so many optimiser steps of a trainer, and logs through its loggers.

        GapCallback(watch, every=500).attach(trainer)

    The trainer is that of transformers or of Lightning, and is attached to before it trains. Steps
    are those of the optimiser, however many batches each gathers gradients from.

    Of several processes only the first measures. The others go on and wait for it where gradients
    are next exchanged, so a call must be shorter than the time after which they give up.

    Args:
        watch: What measures.
        every: Optimiser steps between two calls; 0: none but those below.
        begin: Measure before the first step.
        end: Measure after the last step.
        evaluation: Measure after each evaluation (validation) too.
        prefix: What the names of the logged numbers begin with.

    Raises:
        StudyError: ``watch`` is no :class:`GapWatch`, or ``every`` no whole number of 0 or more.
    """

    def __init__(
        self,
        watch: GapWatch,
        *,
        every: int = 500,
        begin: bool = True,
        end: bool = True,
        evaluation: bool = False,
        prefix: str = "isogloss",
    ) -> None:
        check_watch(watch)
        self.watch, self.every, self.prefix = watch, every_of(every), prefix
        self.begin, self.end, self.evaluation = begin, end, evaluation
        self.latest: Gaps | None = None
        """What was measured last."""
        self._before = 0

    def attach(self, trainer: Any) -> "GapCallback":
        """Add the callback to a trainer that has not begun.

        Args:
            trainer: A ``Trainer`` of transformers or of Lightning, or a subclass of one.

        Raises:
            StudyError: It is neither.
        """
        kind = _kind_of(trainer)
        if kind == "transformers":
            from isogloss.training.hf import trainer_callback

            trainer.add_callback(trainer_callback(self, trainer))
        else:
            # Those that write checkpoints stand last and must stay there.
            trainer.callbacks.insert(0, self.lightning(kind))
        return self

    def lightning(self, package: Trainer = "lightning") -> Any:
        """Make the Lightning callback itself, for the list of callbacks that a trainer is given.

        Args:
            package: By which name Lightning is imported: ``lightning`` or ``pytorch_lightning``.

        Raises:
            IsoglossError: It is not installed.
        """
        from isogloss.training.lightning import lightning_callback

        return lightning_callback(self, package)

    def started(self, model: "nn.Module", step: int, log: Log, *, first: bool) -> None:
        """Training begins: mistakes must show now.

        Args:
            model: The model that is trained.
            step: Optimiser steps that were done before.
            log: Logs.
            first: Whether this is the process that measures.

        Raises:
            IsoglossError: The model cannot be read.
        """
        refuse_shards(model)  # by all processes, or the others would wait for one that stopped
        self.latest, self._before = None, step
        if first:
            self.watch.bind(model)
            if self.begin:
                self.measure(model, step, log)

    def stepped(self, model: "nn.Module", step: int, log: Log, *, last: bool = False) -> None:
        """An optimiser step is done.

        Args:
            model: The model.
            step: How many are.
            log: Logs.
            last: Whether no step follows.
        """
        # Steps may come by several at a time, as with two optimisers.
        due = self.every > 0 and step // self.every > self._before // self.every
        self._before = step
        if due or (last and self.end):
            self.measure(model, step, log)

    def measure(self, model: "nn.Module", step: int, log: Log) -> None:
        """Measure and log, once for each step. No error of either stops the training."""
        if self.latest is not None and self.latest.step == step:
            return
        self.latest = self.watch(model, step)
        try:
            log(self.latest.scalars(self.prefix), step)
        except Exception as error:
            self.watch.warn(f"the gaps are not logged: {type(error).__name__}: {error}", error)


def _kind_of(trainer: Any) -> Trainer:
    for base in type(trainer).__mro__:
        package = base.__module__.partition(".")[0]
        if base.__name__ in ("Trainer", "Seq2SeqTrainer") and package == "transformers":
            return "transformers"
        if base.__name__ == "Trainer" and package == "lightning":
            return "lightning"
        if base.__name__ == "Trainer" and package == "pytorch_lightning":
            return "pytorch_lightning"
    raise StudyError(
        f"a {type(trainer).__name__} is no trainer of transformers or Lightning; in a loop of your "
        "own call the watch itself: watch(model, step)"
    )


def missing(package: str) -> IsoglossError:
    """What to raise where a trainer's package is not installed."""
    return IsoglossError(f"the callback needs {package}: pip install {package}")
