"""What a measure is: something computed once per view, and something computed per pair."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from isogloss.settings import Settings

Rows = NDArray[np.intp]


@dataclass(frozen=True)
class Score:
    """How alike two views are, with what chance would give.

    A score that is not defined is NaN and has a ``reason``.
    """

    score: float
    n: int
    """Number of sentences compared."""
    k_x: int = 0
    """Dimensions kept of the first view."""
    k_y: int = 0
    """Dimensions kept of the second view."""
    coefficients: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))
    """What the score averages, in falling order."""
    chance: float = float("nan")
    """Expected score of unrelated views with these k and n, in closed form where there is one."""
    null_mean: float = float("nan")
    """Mean score over permutations of the sentences."""
    null_sd: float = float("nan")
    p_value: float = float("nan")
    """Share of permutations (the identity counted in) that score at least as high."""
    permutations: int = 0
    reason: str = ""
    """Why the score is NaN; empty otherwise."""
    warnings: tuple[str, ...] = ()
    """What to know before trusting the score, such as forced ones."""


@dataclass(frozen=True)
class MeasureInfo:
    """What is declared of a measure, and tested against it."""

    title: str
    source: str
    """Paper and equation."""
    range: tuple[float, float]
    larger_is_more_similar: bool
    invariances: frozenset[str]
    """Among ``orthogonal``, ``isotropic scaling``, ``translation``, ``invertible linear``."""
    equal_width: bool = False
    """True if both views must have the same number of features."""


class Measure(Settings, ABC):
    """A similarity measure with its options. A new one is one subclass in a file of its own."""

    info: ClassVar[MeasureInfo]

    @abstractmethod
    def prepare(self, x: ArrayLike) -> Any:
        """Do the work that depends on one view only.

        Args:
            x: (sentences × features), any float type.
        """

    @abstractmethod
    def compare(
        self,
        a: Any,
        b: Any,
        *,
        rows_a: Rows | None = None,
        rows_b: Rows | None = None,
        permutations: int = 0,
        rng: np.random.Generator | None = None,
    ) -> Score:
        """Compare two prepared views, on a subset of their sentences if rows are given.

        Args:
            a: First view, from :meth:`prepare`.
            b: Second view.
            rows_a: Row numbers into the first view, in the order of the common sentences.
            rows_b: Row numbers into the second view, aligned with ``rows_a``.
            permutations: Number of shuffles of the sentences for the null; 0 for none.
            rng: Source of the shuffles; required if ``permutations`` > 0.
        """

    @abstractmethod
    def baseline(self, n: int, d_x: int, d_y: int, *, seed: int = 0) -> float:
        """The study's baseline: the score of Gaussian vectors of the same shapes."""
