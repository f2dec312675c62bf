"""What came of one question to an adapter, and all of them as text and as JSON."""

import textwrap
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from isogloss.errors import IsoglossError

Outcome = Literal["pass", "fail", "note", "n/a"]
GROUPS = ("layout", "taps", "batches", "runs", "precision", "cost")

STOPPED = "stopped"
"""What was found where an error ended the check."""
_INDENT = 6


@dataclass(frozen=True)
class Result:
    """How one check ended."""

    group: str
    check: str
    modality: str
    """``text``, ``speech``, or empty for what concerns both."""
    outcome: Outcome
    """``note``: a number that informs and cannot fail; ``n/a``: it does not apply."""
    found: str = ""
    """The numbers, in words."""
    remark: str = ""
    """What is wrong if it failed; why it does not apply."""
    value: float = float("nan")
    """The number that was judged; NaN where there is none."""
    limit: float = float("nan")
    """What it must not exceed; NaN where there is no such thing."""
    by_tap: Mapping[str, float] = field(default_factory=dict)
    """The number at each tap, where it was taken at each."""


def guarded(group: str, name: str, modality: str, ask: Callable[[], Result]) -> Result:
    """Ask one question; whatever the adapter raises becomes its answer."""
    try:
        return ask()
    except Exception as error:
        return failure(group, name, modality, error)


def failure(group: str, name: str, modality: str, error: Exception) -> Result:
    """What an error says of a check: it fails, or does not apply where memory ran out."""
    kind = type(error).__name__
    message = str(error) if isinstance(error, IsoglossError) else f"{kind}: {error}"
    scarce = isinstance(error, RuntimeError) and "not enough memory" in str(error)
    if scarce or kind == "OutOfMemoryError" or isinstance(error, MemoryError):
        return Result(group, name, modality, "n/a", "", f"it does not fit in memory ({message})")
    return Result(group, name, modality, "fail", STOPPED, message)


def headline(results: Sequence[Result]) -> str:
    """The counts in words."""
    n = Counter(result.outcome for result in results)
    return f"{n['pass']} passed, {n['fail']} failed, {n['n/a']} not applicable, {n['note']} noted"


def as_text(results: Sequence[Result], width: int = 100) -> str:
    """A table for reading.

    Args:
        results: What :func:`isogloss.modelcheck.check` returned.
        width: Columns of the screen; what does not fit is wrapped.
    """
    called = max((len(r.check) for r in results), default=0)
    start = _INDENT + called + 2 + 8
    lines = []
    for group in GROUPS:
        chosen = [r for r in results if r.group == group]
        if chosen:
            lines += ["", group]
        for r in chosen:
            word = r.outcome.upper() if r.outcome == "fail" else r.outcome
            head = f"{word:<{_INDENT}}{r.check:<{called}}  {r.modality:<8}"
            said = [r.found, r.remark]
            parts = [p for text in said for p in textwrap.wrap(text, max(24, width - start))]
            lines.append((head + (parts.pop(0) if parts else "")).rstrip())
            lines += [" " * start + part for part in parts]
    return "\n".join([*lines[1:], "", headline(results)])


def as_dict(results: Sequence[Result]) -> dict[str, Any]:
    """The results as JSON takes them; a number that is none is null."""
    counts = Counter(result.outcome for result in results)
    return {
        "passed": not counts["fail"],
        "counts": {name: counts[name] for name in ("pass", "fail", "note", "n/a")},
        "results": [
            {
                **{k: _plain(v) for k, v in vars(result).items()},
                "by_tap": {tap: _plain(v) for tap, v in result.by_tap.items()},
            }
            for result in results
        ],
    }


def _plain(value: Any) -> Any:
    return None if isinstance(value, float) and not np.isfinite(value) else value
