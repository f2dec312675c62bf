"""A condition on a run, and whether it holds."""

from dataclasses import asdict, dataclass
from math import isnan
from typing import Any, Literal

Kind = Literal["minimum", "maximum", "baseline"]
NO_SCORE = "no score of"
"""How the reason begins where a language has no score, so that no condition holds."""


@dataclass(frozen=True)
class Checked:
    """A condition and whether it holds."""

    condition: Kind
    what: str
    """The kind of comparison, such as ``cross-modal``."""
    tap: str
    measure: str
    scores: str
    """``raw``, ``calibrated``, or ``controlled``: calibrated, with the confounds taken out."""
    asked: float
    """The smallest or largest mean; for a baseline, how much the mean may have fallen."""
    found: float
    """The mean; for a baseline, the mean of this run less that of the baseline."""
    low: float
    """95 % interval of it, with ``high``; NaN if there is none."""
    high: float
    given: str
    """What the interval holds fixed; empty if nothing."""
    languages: int
    passed: bool
    reason: str = ""
    """Why it cannot be said, or why there is no interval."""
    strict: bool = False
    """Whether it was asked of the whole interval."""

    def __str__(self) -> str:
        baseline = self.condition == "baseline"
        asked = {
            "minimum": f"at least {self.asked:g} asked",
            "maximum": f"at most {self.asked:g} asked",
            "baseline": "must not have fallen"
            + (f" by more than {self.asked:g}" if self.asked else ""),
        }[self.condition]
        asked += ", by the whole interval" if self.strict else ""
        value = "undefined" if isnan(self.found) else _number(self.found, signed=baseline)
        found = f"{value} against the baseline" if baseline else value
        if not isnan(self.low):
            given = f", on {self.given}" if self.given else ""
            ends = (_number(end, signed=baseline) for end in (self.low, self.high))
            found += f" (95 % {' to '.join(ends)}{given})"
        reason = f"; {self.reason}" if self.reason else ""
        word = "pass" if self.passed else "FAIL"
        return f"{word}  {self.what} at {self.tap}, {self.scores}: {found}; {asked}{reason}"

    def as_dict(self) -> dict[str, Any]:
        """All fields, JSON-able; NaN is None."""
        return {
            k: None if isinstance(v, float) and isnan(v) else v for k, v in asdict(self).items()
        }


def _number(value: float, *, signed: bool) -> str:
    text = f"{value:{'+' if signed else ''}.3f}"
    return text if float(text) else "0.000"


@dataclass(frozen=True)
class Limit:
    """The smallest or largest mean that is asked of a kind of comparison."""

    what: str
    """The kind of comparison."""
    condition: Kind
    value: float
