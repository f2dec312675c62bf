"""What a measure is: something computed once per view, and something computed per pair."""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from isogloss.errors import MeasureError
from isogloss.settings import Settings

Floats = NDArray[np.float64]
Rows = NDArray[np.intp]

_NONE = np.empty(0)
FULL = 1e-4
"""Room between chance and the best score below which nothing can be above chance: epsilon moves
saturated scores, and their null with them, by a tenth of it."""
SAME = 1e-7
"""Scores closer than this are equal: rounding and epsilon move saturated ones by as much."""


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
    best: float = 1.0
    """Score of a view with itself; smaller than chance for distances."""
    details: Mapping[str, float] = field(default_factory=dict)
    """Further numbers of the measure, by name."""
    reason: str = ""
    """Why the score is NaN; empty otherwise."""
    warnings: tuple[str, ...] = ()
    """What to know before trusting the score, such as forced ones."""

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
        """The chance level to use: that of the shuffles if there are any, else in closed form."""
        return self.null_mean if self.null.size else self.chance

    @property
    def p_value(self) -> float:
        """Share of shuffles, the unshuffled one counted in, that are at least as similar."""
        if not self.null.size or np.isnan(self.score):
            return float("nan")
        sign = 1.0 if self.best >= self.null_mean else -1.0
        above = np.count_nonzero(sign * (self.null - self.score) >= -SAME)
        return (1 + int(above)) / (1 + self.null.size)

    @property
    def calibrated(self) -> float:
        """(score − chance) / (best − chance): 0 at chance, 1 for a view with itself."""
        room = self.best - self.expected
        return (self.score - self.expected) / room if abs(room) > FULL else float("nan")


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


@dataclass(frozen=True)
class Shuffles:
    """Permutations of the sentences, the same for every comparison of as many sentences.

    All taps of a pair of views are given the same shuffles, so that a curve over taps, and its
    maximum, can be tested as a whole (Westfall and Young 1993).
    """

    count: int
    seed: int = 0

    def __post_init__(self) -> None:
        if self.count < 0:
            raise MeasureError(f"permutations must be 0 or more, not {self.count}")

    def orders(self, n: int) -> Rows:
        """Return ``count`` random orders of n sentences: (count × n)."""
        key = hashlib.sha256(f"{self.seed}|{n}".encode()).digest()
        rng = np.random.default_rng(int.from_bytes(key[:16], "big"))
        ordered = np.broadcast_to(np.arange(n, dtype=np.intp), (self.count, n))
        return rng.permuted(ordered, axis=1)


@dataclass(frozen=True)
class KeyedShuffles(Shuffles):
    """Shuffles of both views by keys, so that comparisons which share a view share its shuffle.

    The order of a view is that of its keys. Where all views of one kind (all speech, or all that
    is of one language) take their keys from the sentence, a shuffle does the same to all of them
    at once, and what they have in common survives: only then has the mean of their scores the
    spread that it would have if the kinds had nothing to do with each other.
    """

    keys_a: NDArray[np.floating] = field(default_factory=_NONE.copy, repr=False)
    """(count × sentences) random keys of the first view's sentences."""
    keys_b: NDArray[np.floating] = field(default_factory=_NONE.copy, repr=False)
    """Those of the second view."""

    def orders(self, n: int) -> Rows:
        """Return the orders of the second view relative to the first: (count × n).

        With confounds there are fewer rows than sentences; the first keys are used.
        """
        first, second = (np.argsort(k[:, :n], axis=1) for k in (self.keys_a, self.keys_b))
        found = np.empty_like(first)
        np.put_along_axis(found, first, second, axis=1)
        return found


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
