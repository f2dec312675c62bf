"""Cases: what is asked of an implementation, and what counts as a right answer."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from isogloss.conformance.answer import clear
from isogloss.conformance.target import Target

Array = NDArray[np.floating]
Views = tuple[Array, Array]
Result = Literal["pass", "fail", "note", "n/a"]

CLOSED, GOLDEN = "closed form", "golden"
INVARIANCE, DEGENERATE, CALIBRATION = "invariance", "degenerate", "calibration"
GROUPS = (CLOSED, GOLDEN, INVARIANCE, DEGENERATE, CALIBRATION)

ERRORS = 4.5
"""Standard errors that a mean over draws may be off; right ones are further off once in 100,000."""


@dataclass(frozen=True)
class Evidence:
    """A pair of views with the score that was expected and the one that came."""

    x: Array
    y: Array
    expected: float
    got: float


@dataclass(frozen=True)
class Outcome:
    """How a case ended."""

    result: Result
    expected: str
    got: str
    remark: str = ""
    """What is likely wrong, or why the case does not apply."""
    difference: float = float("nan")
    """Distance from what was expected, where both are numbers."""
    tolerance: float = float("nan")
    evidence: tuple[Evidence, ...] = ()
    """What a diagnosis can be made from."""
    hints: tuple[tuple[float, str], ...] = ()
    """Wrong scores with what they would mean."""


@dataclass(frozen=True, kw_only=True)
class Case(ABC):
    """One question to an implementation."""

    name: str
    matters: str
    """Why it matters, in one line."""
    known: str = CLOSED
    """How the expected value is known."""
    group: str = CLOSED

    @abstractmethod
    def judge(self, target: Target, floor: float) -> Outcome:
        """Put the question.

        Args:
            target: The implementation.
            floor: Smallest tolerance for numbers.
        """


@dataclass(frozen=True, kw_only=True)
class Skipped(Case):
    """A case that does not apply to this implementation, with the reason."""

    reason: str

    def judge(self, target: Target, floor: float) -> Outcome:
        """Say why the case was left out."""
        return Outcome("n/a", "", "", self.reason)


@dataclass(frozen=True, kw_only=True)
class Value(Case):
    """The score of two views that is known beforehand."""

    views: Views
    expected: float
    tolerance: float
    refusable: bool = False
    """True if a clear refusal is as good as the value."""
    hints: tuple[tuple[float, str], ...] = ()
    tie: bool = False
    """True if rounding in single precision may rightly change the score."""

    def judge(self, target: Target, floor: float) -> Outcome:
        """Compare the score with the expected one."""
        if self.tie and floor > self.tolerance:
            return Outcome("n/a", "", "", "with a wide tolerance rounding may decide a tie")
        tolerance = max(self.tolerance, floor)
        answer = target(*self.views)
        expected = number(self.expected)
        if answer.error is not None:
            if self.refusable and clear(answer.error):
                return Outcome("pass", f"{expected} or a refusal", answer.brief)
            return Outcome("fail", expected, answer.brief, answer.crash)
        evidence = (Evidence(*self.views, self.expected, answer.value),)
        off = abs(answer.value - self.expected)
        return Outcome(
            "pass" if off <= tolerance else "fail",
            expected,
            number(answer.value, self.expected),
            "" if np.isfinite(answer.value) else f"{number(answer.value)} where a score is defined",
            off,
            tolerance,
            evidence,
            self.hints,
        )


@dataclass(frozen=True, kw_only=True)
class Same(Case):
    """Views that must score what others score."""

    pairs: tuple[tuple[Views, Views], ...]
    tolerance: float
    wrong: str
    """What a difference means."""
    group: str = INVARIANCE
    known: str = "own score of the untouched views"
    as_is: bool = False
    """True to pass the second pair without copying it, so that its memory layout arrives."""

    def judge(self, target: Target, floor: float) -> Outcome:
        """Score both and compare; the largest difference counts."""
        tolerance = max(self.tolerance, floor)
        found = []
        for before, after in self.pairs:
            first, second = target(*before), target(*after, as_is=self.as_is)
            if first.error is not None:
                what = f"the untouched views already fail: {first.crash}"
                return Outcome("fail", "a score", first.brief, what)
            if second.error is not None:
                remark = second.crash + (f"; {self.wrong}" if self.as_is else "")
                return Outcome("fail", number(first.value), second.brief, remark)
            if not np.isfinite(first.value):
                what = f"{number(first.value)} for ordinary views"
                return Outcome("fail", "a score", number(first.value), what)
            found.append((first.value, second.value))
        # NaN on either side is the largest difference of all.
        one, two = max(found, key=lambda f: np.nan_to_num(abs(f[0] - f[1]), nan=np.inf))
        off = abs(one - two)
        good = off <= tolerance
        return Outcome(
            "pass" if good else "fail",
            number(one),
            number(two, one),
            "" if good else self._why(off),
            off,
            tolerance,
        )

    def _why(self, off: float) -> str:
        if off < 1e-4 and not self.as_is:
            return f"off by {off:.0e}: float32, an iterative solver or chance inside"
        return self.wrong


@dataclass(frozen=True, kw_only=True)
class Different(Case):
    """Views that should not score what others score. It informs, and fails nobody."""

    before: Views
    after: Views
    told: str
    """What no difference means."""
    group: str = INVARIANCE
    known: str = "definition"

    def judge(self, target: Target, floor: float) -> Outcome:
        """Score both; they should differ by more than rounding."""
        first, second = target(*self.before), target(*self.after)
        answer = first if first.error is not None else second
        if answer.error is not None:
            return Outcome("note", "a score", answer.brief, answer.crash)
        moved = abs(first.value - second.value) > max(1e-6, floor)
        return Outcome(
            "pass" if moved else "note",
            f"not {number(first.value)}",
            number(second.value),
            "" if moved else self.told,
        )


@dataclass(frozen=True, kw_only=True)
class Expectation(Case):
    """The mean score over draws of views without any relation."""

    draw: Callable[[np.random.Generator], tuple[Array, Array, float]]
    """Two unrelated views, and the expected score of this draw."""
    draws: int = 150
    seed: int = 0
    group: str = CALIBRATION
    known: str = "exact expectation"
    shown: int = field(default=8, repr=False)
    """How many draws are kept as evidence."""

    def judge(self, target: Target, floor: float) -> Outcome:
        """Average score − expectation; it is zero within the standard error."""
        rng = np.random.default_rng(self.seed)
        gaps = np.empty(self.draws)
        expectations = np.empty(self.draws)
        evidence = []
        for i in range(self.draws):
            x, y, expected = self.draw(rng)
            answer = target(x, y)
            if answer.error is not None or not np.isfinite(answer.value):
                remark = answer.crash or f"{answer.brief} for ordinary noise"
                return Outcome("fail", number(expected), answer.brief, remark)
            gaps[i], expectations[i] = answer.value - expected, expected
            if i < self.shown:
                evidence.append(Evidence(x, y, expected, answer.value))
        off = abs(float(gaps.mean()))
        error = float(gaps.std(ddof=1)) / np.sqrt(self.draws)
        tolerance = max(ERRORS * error, 1e-9, floor)
        middle = float(expectations.mean())
        good = off <= tolerance
        side = "above" if gaps.mean() > 0 else "below"
        return Outcome(
            "pass" if good else "fail",
            f"{middle:.4f} ± {tolerance:.4f}",
            f"{middle + gaps.mean():.4f}",
            "" if good else f"unrelated views score {off:.4f} {side} their exact expectation",
            off,
            tolerance,
            tuple(evidence),
        )


def number(value: float, beside: float = float("nan")) -> str:
    """A score for people, with as many digits as it takes to tell it from ``beside``.

    >>> number(0.25), number(0.25, 0.25 + 2e-9), number(float("nan"))
    ('0.250000', '0.250000 - 2e-09', 'NaN')
    """
    if np.isnan(value):
        return "NaN"
    if np.isinf(value):
        return "infinity" if value > 0 else "-infinity"
    off = value - beside
    if off and abs(off) < 5e-6:
        return f"{beside:.6f} {'+' if off > 0 else '-'} {abs(off):.0e}"
    return f"{value:.6f}" if abs(value) < 1e4 else f"{value:.3e}"
