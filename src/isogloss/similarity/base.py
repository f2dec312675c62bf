"""What a measure is: something computed once per view, and something computed per pair."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from isogloss.settings import Settings
from isogloss.similarity.shuffles import Shuffles

Floats = NDArray[np.float64]
Rows = NDArray[np.intp]

_NONE = np.empty(0)
FULL = 1e-4
"""Room between chance and the best score, as a share of a measure's range, below which nothing can
be above chance: epsilon moves saturated scores, and their null with them, by a tenth of it."""
SAME = 1e-7
"""Scores that differ by less than this share of the range are equal: rounding and epsilon move
saturated ones by as much."""


def reached(score: float, null: Floats, *, larger_is_more_similar: bool, same: float) -> float:
    """Return the p-value of a score: the share of orders that are at least as similar.

    Args:
        score: The score of the unshuffled order, which is counted in.
        null: (permutations,) scores under shuffles.
        larger_is_more_similar: False for distances.
        same: Scores closer than this are equal.

    Returns:
        NaN without shuffles, and where the score or one of theirs is NaN.
    """
    if not null.size or np.isnan(score) or np.isnan(null).any():
        return float("nan")
    sign = 1.0 if larger_is_more_similar else -1.0
    return (1 + int(np.count_nonzero(sign * (null - score) >= -same))) / (1 + null.size)


def unit(ends: tuple[float, float], *values: Any) -> float:
    """Return the size by which scores are told apart: the width of a measure's range.

    Where that is infinite it is the largest of the given values.
    """
    width = ends[1] - ends[0]
    if np.isfinite(width):
        return width
    return max(float(np.max(np.abs(v), initial=0)) for v in values)


@dataclass(frozen=True)
class Score:
    """How alike two views are, with what chance would give.

    A score that is not defined is NaN and has a ``reason``.
    """

    score: float
    n: int
    """Number of sentences compared."""
    covariates: int = 0
    """Confounds taken out of both views; they cost as many sentences."""
    k_x: int = 0
    """Dimensions kept of the first view; 0 for measures that keep all."""
    k_y: int = 0
    """Dimensions kept of the second view."""
    coefficients: Floats = field(default_factory=_NONE.copy, repr=False)
    """What the score averages, in falling order, for measures that average."""
    chance: float = float("nan")
    """Expected score of unrelated views, in closed form where there is one."""
    null: Floats = field(default_factory=_NONE.copy, repr=False)
    """(permutations,) scores with the sentences of the second view shuffled, in the order of
    :meth:`Shuffles.orders`."""
    range: tuple[float, float] = (0.0, 1.0)
    """Smallest and largest score that the measure gives."""
    larger_is_more_similar: bool = True
    """False for distances."""
    details: Mapping[str, float] = field(default_factory=dict)
    """Further numbers of the measure, by name."""
    reason: str = ""
    """Why the score is NaN; empty otherwise."""
    warnings: tuple[str, ...] = ()
    """What to know before trusting the score, such as forced ones."""

    @property
    def best(self) -> float:
        """Score of a view with itself; smaller than chance for distances."""
        return self.range[1] if self.larger_is_more_similar else self.range[0]

    @property
    def permutations(self) -> int:
        """Number of shuffles behind the null."""
        return self.null.size

    @property
    def null_mean(self) -> float:
        """Mean score over the shuffles; NaN without any."""
        return float(self.null.mean()) if self.null.size else float("nan")

    @property
    def null_sd(self) -> float:
        """Standard deviation of the score over the shuffles; NaN for fewer than two."""
        return float(self.null.std(ddof=1)) if self.null.size > 1 else float("nan")

    @property
    def expected(self) -> float:
        """The chance level to use: that of the shuffles if there are any, else in closed form.

        NaN if one of the shuffles has no score.
        """
        return self.null_mean if self.null.size else self.chance

    @property
    def p_value(self) -> float:
        """Share of shuffles, the unshuffled one counted in, that are at least as similar.

        NaN if one of the shuffles has no score.
        """
        return reached(
            self.score,
            self.null,
            larger_is_more_similar=self.larger_is_more_similar,
            same=SAME * unit(self.range, self.score, self.null),
        )

    @property
    def calibrated(self) -> float:
        """(score − chance) / (best − chance): 0 at chance, 1 for a view with itself.

        NaN where chance leaves no room, and for measures without a best score.
        """
        room = self.best - self.expected
        if not np.isfinite(room) or abs(room) <= FULL * unit(self.range, self.best, self.expected):
            return float("nan")
        return (self.score - self.expected) / room


def undefined(n: int, reason: str, *, covariates: int = 0) -> Score:
    """A score that could not be computed."""
    return Score(float("nan"), n, covariates, reason=reason)


@dataclass(frozen=True)
class MeasureInfo:
    """What is declared of a measure, and tested against it."""

    title: str
    source: str
    """Paper and equation."""
    range: tuple[float, float]
    larger_is_more_similar: bool
    invariances: frozenset[str]
    """What may be done to the features of either view without a change of the score, among
    ``orthogonal``, ``isotropic scaling`` (by a positive factor), ``feature scaling``,
    ``translation``, ``invertible linear``, ``feature permutation``, ``sentence scaling``; and what
    may be done to both alike: ``joint orthogonal``, ``joint feature permutation``."""
    equal_width: bool = False
    """True if both views must have the same number of features."""
    cost: str = ""
    """Time of a comparison in sentences N, features D and kept dimensions k, after ``prepare``."""
    symmetric: bool = True
    """False if exchanging the views changes the score."""

    @property
    def best(self) -> float:
        """The score of a view with itself."""
        return self.range[1] if self.larger_is_more_similar else self.range[0]


class Measure(Settings, ABC):
    """A similarity measure with its options. A new one is one subclass in a file of its own.

    Measures of one view matrix against another are easier written on
    :class:`isogloss.similarity.paired.Paired`, which handles subsets, confounds, shuffles and
    degenerate input.
    """

    info: ClassVar[MeasureInfo]

    @abstractmethod
    def prepare(self, x: ArrayLike) -> Any:
        """Do the work that depends on one view only.

        Args:
            x: (sentences × features), any real type.

        Raises:
            MeasureError: It is no matrix of real numbers, or has no features.
        """

    @abstractmethod
    def compare(
        self,
        a: Any,
        b: Any,
        *,
        rows_a: Rows | None = None,
        rows_b: Rows | None = None,
        covariates: ArrayLike | None = None,
        shuffles: Shuffles | None = None,
    ) -> Score:
        """Compare two prepared views, on a subset of their sentences if rows are given.

        Args:
            a: First view, from :meth:`prepare`.
            b: Second view.
            rows_a: Row numbers into the first view, in the order of the common sentences.
            rows_b: Row numbers into the second view, aligned with ``rows_a``.
            covariates: (sentences × confounds) of the compared sentences, to be taken out of both
                views by linear regression; None for the plain score.
            shuffles: Permutations for the null; None for none.

        Raises:
            MeasureError: The numbers of sentences differ, or a row does not exist.
        """

    def baseline(self, n: int, d_x: int, d_y: int, *, seed: int = 0) -> float:
        """The study's baseline: the mean score of pairs of Gaussian matrices of the same shapes.

        Args:
            n: Number of sentences.
            d_x: Features of the first view.
            d_y: Features of the second view.
            seed: Of the random numbers; the same number gives the same value.
        """
        from isogloss.similarity.baseline import baseline

        return baseline(self, n, d_x, d_y, seed=seed)
