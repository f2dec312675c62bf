"""What a suite is: the claim of an implementation, and the cases that follow from it."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from isogloss.conformance.case import Array, Case, Views
from isogloss.settings import Settings, setting


@dataclass(frozen=True)
class Mistake:
    """A known way to get a measure wrong."""

    says: str
    """What is likely wrong and what to do, in one line."""
    score: Callable[[Array, Array], float]
    """What an implementation with this mistake returns."""
    loose: float = 0.0
    """How closely the mistake can be foretold; 0 for to rounding."""
    cost: float = 0.0
    """How many cases more it must explain than a plainer mistake."""


class Suite(Settings, ABC):
    """The cases for one measure. Its settings say what exactly is claimed to be computed.

    A new suite is one subclass in a file of its own.
    """

    range: ClassVar[tuple[float, float]] = (0.0, 1.0)
    equal_width: ClassVar[bool] = False
    """True if both views must have as many features."""
    symmetric: ClassVar[bool] = True
    discrete: ClassVar[bool] = False
    """True if scores take few values, so that p-values cannot be quite uniform."""
    ties: ClassVar[bool] = False
    """True if it ranks, and what equal distances score is left to the implementation."""
    raw: ClassVar[bool] = False
    """True if the views are compared as they are, not centred over the sentences."""
    keeps: ClassVar[tuple[str, ...]] = ()
    """Transformations of :mod:`isogloss.conformance.invariance` that change nothing."""
    changes: ClassVar[tuple[str, ...]] = ()
    """Transformations that should change the score."""

    zscore: bool = setting(
        False, role="analysis", help="Each feature is divided by its standard deviation first."
    )

    @abstractmethod
    def definition(self, x: Array, y: Array) -> float:
        """The measure by its definition, with nothing done for speed.

        ``zscore`` is seen to for all suites alike (:mod:`isogloss.conformance.claim`), here and
        in all that follows.
        """

    @abstractmethod
    def closed_forms(self) -> Iterator[Case]:
        """Views whose score is known exactly."""

    @abstractmethod
    def expectation(self, rng: np.random.Generator) -> tuple[Array, Array, float]:
        """Two unrelated views, and the exact expectation of their score."""

    def mistakes(self) -> Iterator[Mistake]:
        """Known ways to get it wrong."""
        yield from ()

    @property
    def kept(self) -> tuple[str, ...]:
        """Transformations that change nothing, given the settings."""
        return self.keeps

    @property
    def changed(self) -> tuple[str, ...]:
        """Transformations that should change the score, given the settings."""
        return self.changes

    @property
    def exact(self) -> bool:
        """Whether :meth:`closed_forms` hold with these settings; the definition counts if not."""
        return True

    @property
    def chance_exact(self) -> bool:
        """Whether :meth:`expectation` is known with these settings; shuffles are drawn if not."""
        return True

    def slack(self, x: Array, y: Array) -> float:
        """How far implementations may be from :meth:`definition`, beside rounding."""
        return 0.0

    @property
    def few(self) -> int:
        """Largest number of sentences for which there is no score."""
        return 2

    @property
    def chance(self) -> tuple[float, ...]:
        """Scores of 40 sentences that cannot be told apart which are right beside NaN."""
        return ()


def related(suite: Suite, n: int, d_x: int, d_y: int, seed: int) -> Views:
    """Two ordinary views with something in common: falling spectra and a mean that is not zero."""
    rng = np.random.default_rng(seed)
    common = rng.standard_normal((n, 5))

    def view(d: int) -> Array:
        noise = rng.standard_normal((n, d)) @ rng.standard_normal((d, d)) / np.sqrt(d)
        scale = (1.0 + np.arange(d)) ** -0.7
        return np.asarray(common @ rng.standard_normal((5, d)) + noise * scale + 0.3)

    x = view(d_x)
    if suite.equal_width:
        return x, x + 0.6 * x.std() * rng.standard_normal(x.shape)
    return x, view(d_y)
