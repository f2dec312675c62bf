"""Refuse arguments of the wrong kind at once, since later nobody could tell what failed."""

import operator
import sys
from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

from isogloss.corpora.base import MODALITIES, Modality
from isogloss.errors import ModelError, StudyError


def functions_of(given: Mapping[str, Any]) -> dict[Modality, Any]:
    """Modality -> its function, for those that have one.

    Raises:
        StudyError: Something cannot be called.
    """
    for name, function in given.items():
        if function is not None and not callable(function):
            raise StudyError(
                f"{name} must be a function of inputs and a language, not {_kind(function)}"
            )
    return {m: f for m in MODALITIES if (f := given[m]) is not None}


def taps_of(choice: Any) -> str | tuple[str, ...]:
    """A choice of taps.

    Raises:
        StudyError: It is neither a name nor names, or names none.
    """
    if isinstance(choice, str):
        return choice
    names = tuple(choice) if isinstance(choice, Sequence) else ()
    if not names or not all(isinstance(name, str) for name in names):
        raise StudyError(f'taps must be "last", "paper", "all" or names of taps, not {choice!r}')
    return names


def path_of(history: Any) -> Path | None:
    """Where a history is.

    Raises:
        StudyError: It is no path.
    """
    if history is not None and not isinstance(history, str | PathLike):
        raise StudyError(f"history must be the path of a file, not {_kind(history)}")
    return None if history is None else Path(history)


def check_model(model: Any) -> None:
    """Refuse what is no model, such as a step where the two were exchanged.

    Raises:
        ModelError: It is neither a torch module nor None.
    """
    torch: Any = sys.modules.get("torch")  # who has not imported it has no module of it
    if model is not None and (torch is None or not isinstance(model, torch.nn.Module)):
        raise ModelError(
            f"the model must be a torch module, not {_kind(model)}: watch(model, step)"
        )


def step_of(step: Any) -> int:
    """A step as an integer of Python: NumPy's own way of writing it would spoil the history.

    Raises:
        StudyError: It is no whole number.
    """
    try:
        whole = int(step)
        if bool(whole == step):
            return whole
    except (TypeError, ValueError, OverflowError):
        pass
    told = repr(step) if isinstance(step, int | float | str) else _kind(step)
    raise StudyError(f"the step must be a whole number, not {told}: watch(model, step)")


def every_of(every: Any) -> int:
    """Between how many steps to measure.

    Raises:
        StudyError: It is no whole number of 0 or more.
    """
    try:
        steps = -1 if isinstance(every, bool) else operator.index(every)
    except TypeError:
        steps = -1
    if steps < 0:
        raise StudyError(f"every must be 0 or more optimiser steps, a whole number, not {every!r}")
    return steps


def check_watch(watch: Any) -> None:
    """Refuse what does not measure, such as the class in place of a watch.

    Raises:
        StudyError: It is no :class:`isogloss.training.GapWatch`.
    """
    from isogloss.training.watch import GapWatch

    if not isinstance(watch, GapWatch):
        raise StudyError(
            f"a GapCallback needs a GapWatch, not {_kind(watch)}: "
            "GapCallback(GapWatch(model, corpus), every=500)"
        )


def _kind(value: Any) -> str:
    if isinstance(value, type):
        return f"the class {value.__name__} itself"
    return f"something of type {type(value).__name__}"
