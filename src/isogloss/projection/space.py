"""All sentences of all languages at one tap, as one cloud with its distances."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from isogloss.errors import MeasureError

Metric = Literal["euclidean", "cosine"]
Floats = NDArray[np.float64]

FEWEST = 5
"""Points below which there is no picture."""
SAME = 1e-12
"""Squared distances below this share of the mean one are rounding."""


ALIKE = 1e-6
"""Largest distance from the mean, as a share of the largest entry, that is rounding of float32."""


@dataclass(frozen=True)
class Space:
    """Points with their inner products; what a projection and its neighbours are made from."""

    kept: NDArray[np.intp]
    """Rows of the input that are finite (and, for cosines, have a length)."""
    gram: Floats
    """(kept × kept) inner products of the points about their mean."""
    distinct: int
    """Number of points that differ."""
    reason: str = ""
    """Why there is nothing to see; empty if there is."""

    def squared_distances(self) -> Floats:
        """(kept × kept) squared distances, exactly 0 between points that do not differ."""
        own = np.diagonal(self.gram)
        found = own[:, None] + own - 2 * self.gram
        found[found < SAME * max(float(own.mean()), np.finfo(float).tiny)] = 0.0
        return found


def space(points: ArrayLike, metric: Metric = "euclidean") -> Space:
    """Prepare points for a projection.

    Cosine distances become Euclidean ones of points of length one: |a − b|² = 2 − 2 cos(a, b).

    Args:
        points: (points × features), such as mean-pooled activations. Rows that are not finite are
            left out.
        metric: ``euclidean`` or ``cosine``.

    Returns:
        The points' inner products, with a ``reason`` if they are too few or all alike.

    Raises:
        MeasureError: ``points`` is not a matrix.
    """
    given = np.asarray(points)
    if given.ndim != 2:
        raise MeasureError(f"points must be a matrix (points × features), not {given.shape}")
    finite = np.isfinite(given).all(axis=1)
    x = given[finite].astype(np.float64)
    if metric == "cosine":
        # By the largest entry first: the squares of large activations may overflow.
        x /= np.maximum(np.abs(x).max(axis=1, keepdims=True, initial=0.0), np.finfo(float).tiny)
        length = np.linalg.norm(x, axis=1)
        finite[finite] = length > 0
        x = x[length > 0] / length[length > 0, None]
    kept = np.flatnonzero(finite)
    if not kept.size:
        return Space(kept, np.zeros((0, 0)), 0, "no point is finite")
    # One scale for all: distances keep their order, and huge activations do not overflow.
    before = float(np.abs(x).max(initial=0.0))
    x -= x.mean(axis=0)
    largest = float(np.abs(x).max(initial=0.0))
    x /= largest or 1.0
    # What is left of equal points about their mean is rounding, and would look like a cloud.
    alike = largest <= ALIKE * before
    distinct = 1 if alike else len(np.unique(np.round(x, 12), axis=0))
    return Space(kept, x @ x.T, distinct, _why_not(kept.size, distinct))


def _why_not(count: int, distinct: int) -> str:
    if count < FEWEST:
        return f"{count} points are too few for a picture; it takes {FEWEST}"
    if distinct < FEWEST:
        return f"the {count} points are the same but for {distinct}; a picture takes {FEWEST}"
    return ""
