"""What an implementation answered: a score read from whatever it returned, or an error."""

import dis
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import numpy as np

_KEYS = ("score", "mean", "similarity", "value")
_DEPTH = 4
_WIDTH = 90


@dataclass(frozen=True)
class Answer:
    """The outcome of one call."""

    value: float = float("nan")
    error: BaseException | None = None
    raw: Any = None
    """What was returned."""

    @property
    def brief(self) -> str:
        """For a cell of the table."""
        if self.error is not None:
            return name_of(self.error)
        return "NaN" if np.isnan(self.value) else f"{self.value:.6g}"

    @property
    def crash(self) -> str:
        """What was raised, on one line; empty if nothing was."""
        if self.error is None:
            return ""
        text = " ".join(str(self.error).split())
        text = text if len(text) <= _WIDTH else text[: _WIDTH - 1] + "…"
        return f"raised {name_of(self.error)}" + (f": {text}" if text else " without a message")


class NoScoreError(TypeError):
    """What was returned holds no score."""


def name_of(error: BaseException) -> str:
    """The name of an error's class."""
    return type(error).__name__


def read(returned: Any, *, depth: int = 0) -> float:
    """Find the score in what an implementation returned.

    It is the number itself; the attribute ``score``; of a mapping the key ``score``, ``mean``,
    ``similarity`` or ``value``, whichever comes first; of a tuple or list the first element.
    Tensors are read through ``detach`` and ``item``.

    Raises:
        NoScoreError: There is none.
    """
    if depth < _DEPTH:
        if hasattr(returned, "score") and not callable(returned.score):
            return read(returned.score, depth=depth + 1)
        if isinstance(returned, Mapping):
            for key in _KEYS:
                if key in returned:
                    return read(returned[key], depth=depth + 1)
            raise NoScoreError(f"returned a mapping without any of the keys {', '.join(_KEYS)}")
        if isinstance(returned, tuple | list) and returned:
            return read(returned[0], depth=depth + 1)
    if hasattr(returned, "detach"):
        returned = returned.detach()
    if hasattr(returned, "item") and getattr(returned, "size", 1) != 0:
        try:
            returned = returned.item()
        except (ValueError, RuntimeError):
            shape = tuple(returned.shape)
            raise NoScoreError(f"returned an array of shape {shape}, not one score") from None
    if isinstance(returned, int | float) and not isinstance(returned, bool):
        return float(returned)
    raise NoScoreError(f"returned {type(returned).__name__}, not a score")


def clear(error: BaseException) -> bool:
    """Whether an error was raised on purpose and says what is wrong.

    That is a ``ValueError``, ``TypeError``, ``RuntimeError`` or failed assertion with a message,
    raised by a ``raise`` or ``assert`` and not by compiled code that was given what it cannot take,
    such as shapes that do not fit together. numpy's ``LinAlgError`` is a ``ValueError`` too, but
    always an accident.
    """
    kinds = (ValueError, TypeError, RuntimeError, AssertionError)
    if not isinstance(error, kinds) or not str(error).strip():
        return False
    if name_of(error).endswith("LinAlgError") or isinstance(error, NoScoreError):
        return False
    trace = error.__traceback__
    frames = 0
    while trace is not None and trace.tb_next is not None:
        trace, frames = trace.tb_next, frames + 1
    # The outermost frame is the call of the target: a target without frames is compiled itself.
    return frames == 0 or trace is None or _raised(trace)


def _raised(trace: TracebackType) -> bool:
    """Whether the instruction at which a frame stopped is a ``raise``."""
    code = trace.tb_frame.f_code.co_code
    return trace.tb_lasti < len(code) and dis.opname[code[trace.tb_lasti]] == "RAISE_VARARGS"
