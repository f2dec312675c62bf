"""What unrelated views score, and whether p-values mean what they say."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from isogloss.conformance import claim
from isogloss.conformance.case import CALIBRATION, Case, Expectation, Outcome
from isogloss.conformance.suite import Suite
from isogloss.conformance.target import Target

PERMUTATIONS = 49
DRAWS = 300
LEVEL = 1e-3
"""Uniform p-values fall below this so rarely that it is no accident."""


def cases(suite: Suite) -> Iterator[Case]:
    """The mean score of unrelated views, and their p-values."""
    yield Expectation(
        name="mean score of unrelated views",
        matters="their expectation is known; a score that is not above it shows no similarity",
        known="exact expectation" if suite.chance_exact else "mean over shuffles",
        draw=partial(claim.unrelated, suite),
        draws=400 if suite.discrete else 150,
    )
    yield Uniform(
        group=CALIBRATION,
        name="p-values of unrelated views",
        matters="5 % of unrelated pairs, not more, may come out below 0.05",
        known=f"Kolmogorov-Smirnov, {DRAWS} draws",
        few=suite.few,
        discrete=suite.discrete,
        equal_width=suite.equal_width,
    )


@dataclass(frozen=True, kw_only=True)
class Uniform(Case):
    """P-values of unrelated views are uniform; those of scores with few values at least valid."""

    few: int
    discrete: bool
    equal_width: bool

    def judge(self, target: Target, floor: float) -> Outcome:
        """Compare the distribution of p-values with the uniform one on their grid."""
        if not target.takes("permutations"):
            return Outcome("n/a", "", "", "the function takes no keyword `permutations`")
        rng = np.random.default_rng(3)
        n, d_x, d_y = max(24, 2 * self.few + 4), 4, 4 if self.equal_width else 5
        seeded = target.takes("seed")
        found = []
        for i in range(DRAWS):
            x, y = rng.standard_normal((n, d_x)), rng.standard_normal((n, d_y))
            more: dict[str, Any] = {"permutations": PERMUTATIONS}
            if seeded:
                more["seed"] = i
            answer = target(x, y, **more)
            if answer.error is not None:
                return Outcome("fail", "uniform", answer.brief, answer.crash)
            p = getattr(answer.raw, "p_value", None)
            if p is None:
                what = "what it returns has no attribute `p_value`"
                return Outcome("n/a", "", "", what)
            if not 0 < float(p) <= 1:
                what = f"a p-value of {float(p):g}: the unshuffled score counts as one of the nulls"
                return Outcome("fail", "above 0, at most 1", f"{float(p):g}", what)
            found.append(float(p))
        return self._judged(np.array(found))

    def _judged(self, found: np.ndarray) -> Outcome:
        from scipy.stats import kstwo

        steps = np.arange(1, PERMUTATIONS + 2) / (PERMUTATIONS + 1)
        grid = np.unique(np.concatenate([found, steps]))
        # A permutation p-value lies on a grid; between its points there is nothing to compare.
        below = np.searchsorted(np.sort(found), grid * (1 + 1e-12), side="right") / found.size
        gaps = below - grid
        far = float(max(gaps.max(), 0 if self.discrete else -gaps.min()))
        p = float(kstwo.sf(far, found.size))
        small = float((found <= 0.05).mean())
        got = f"p = {p:.2g}; {small:.1%} below .05"
        if p >= LEVEL:
            return Outcome("pass", "valid" if self.discrete else "uniform", got)
        return Outcome(
            "fail",
            "valid" if self.discrete else "uniform",
            got,
            "too many small p-values: does the null redo all that the score does?"
            if gaps.max() >= -gaps.min()
            else "too few small p-values: is the null drawn from other data, or with repeats?",
        )
