"""Cases without one right number: input that has no score, and arrays that must stay the same."""

from dataclasses import dataclass

import numpy as np

from isogloss.conformance.answer import Answer, clear, name_of
from isogloss.conformance.case import DEGENERATE, Case, Outcome, Views
from isogloss.conformance.target import Target


@dataclass(frozen=True, kw_only=True)
class Undefined(Case):
    """Views without a score: NaN or a clear error is right, any number is wrong."""

    pairs: tuple[Views, ...]
    accepted: tuple[float, ...] = ()
    """Numbers that are right all the same."""
    refused: bool = False
    """True if the views are no input at all, so that even an accidental error that names their
    sizes will do."""
    group: str = DEGENERATE
    known: str = "definition"

    def judge(self, target: Target, floor: float) -> Outcome:
        """Ask each pair; the first wrong answer counts."""
        expected = "an error or NaN" if self.refused else "NaN or an error"
        seen = []
        for x, y in self.pairs:
            answer = target(x, y)
            seen.append(answer.brief)
            sizes = (len(x), len(y)) if self.refused else ()
            remark = _wrong(answer, sizes, self.accepted)
            if remark:
                return Outcome("fail", expected, answer.brief, remark)
        return Outcome("pass", expected, "; ".join(dict.fromkeys(seen)))


@dataclass(frozen=True, kw_only=True)
class Sane(Case):
    """Views on whose score definitions may differ: only nonsense and crashes are wrong."""

    pairs: tuple[Views, ...]
    range: tuple[float, float]
    group: str = DEGENERATE
    known: str = "range of the measure"

    def judge(self, target: Target, floor: float) -> Outcome:
        """Ask each pair; the first wrong answer counts."""
        low, high = self.range
        expected = f"{low:g} to {high:g}, NaN or an error"
        seen = []
        for x, y in self.pairs:
            answer = target(x, y)
            seen.append(answer.brief)
            room = max(1e-6, floor)
            if answer.error is None and low - room <= answer.value <= high + room:
                continue
            remark = _wrong(answer, (), ())
            if remark:
                return Outcome("fail", expected, answer.brief, remark)
        return Outcome("pass", expected, "; ".join(dict.fromkeys(seen)))


@dataclass(frozen=True, kw_only=True)
class Untouched(Case):
    """The arrays of the caller are the same after the call as before."""

    views: Views
    group: str = DEGENERATE
    known: str = "copy of the input"

    def judge(self, target: Target, floor: float) -> Outcome:
        """Call, and compare the arrays with copies."""
        before = [v.copy() for v in self.views]
        answer = target(*self.views, as_is=True)
        changed = [
            which
            for which, old, new in zip(("first", "second"), before, self.views, strict=True)
            if not np.array_equal(old, new)
        ]
        for old, new in zip(before, self.views, strict=True):
            new[:] = old
        if changed:
            what = f"the {' and the '.join(changed)} array was changed in place; work on a copy"
            return Outcome("fail", "unchanged", "changed", what)
        if answer.error is not None:
            return Outcome("fail", "unchanged", answer.brief, answer.crash)
        return Outcome("pass", "unchanged", "unchanged")


def _wrong(answer: Answer, sizes: tuple[int, ...], accepted: tuple[float, ...]) -> str:
    """What is wrong with an answer that should be NaN or a clear error; empty if nothing is."""
    if answer.error is not None:
        if clear(answer.error) or (sizes and _names(answer.error, sizes)):
            return ""
        return f"{answer.crash}; check for it, and raise ValueError with a message or return NaN"
    if np.isnan(answer.value) or any(abs(answer.value - a) < 1e-9 for a in accepted):
        return ""
    if np.isinf(answer.value):
        return "infinity spoils every average it gets into; raise ValueError or return NaN"
    silent = f"{answer.value:.4g}" if abs(answer.value) > 1e-9 else "0"
    return f"a silent {silent}, which averages take for a measurement; raise ValueError or use NaN"


def _names(error: BaseException, sizes: tuple[int, ...]) -> bool:
    text = str(error)
    loud = isinstance(error, ValueError | TypeError | RuntimeError | AssertionError)
    loud &= not name_of(error).endswith("LinAlgError")
    return loud and all(str(size) in text for size in sizes)
