"""Tests of many scores at once: rates of false discovery, the largest over places, and means.

The permutation nulls that come in here are those of :class:`isogloss.similarity.Score`: column i of
each holds the scores under shuffle i. Places of one pair of languages (its taps, say) share their
shuffles, so that what their scores have in common is kept, and a curve can be tested as a whole.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from isogloss.errors import MeasureError
from isogloss.similarity.base import SAME, Floats, reached


def benjamini_hochberg(p: ArrayLike) -> Floats:
    """Adjust p-values so that a cut at q keeps the expected share of false discoveries below q.

    The family is all values given; NaN is no member of it and stays NaN. The control holds for
    independent tests and for those with positive regression dependence.

    Source: Benjamini and Hochberg 1995, Journal of the Royal Statistical Society B 57:289.

    Args:
        p: p-values, of any shape.

    Returns:
        Adjusted values of the same shape.

    Raises:
        MeasureError: A value lies outside 0 to 1.
    """
    given = np.array(p, dtype=np.float64)
    known = ~np.isnan(given)
    wrong = given[known & ~((given >= 0) & (given <= 1))]
    if wrong.size:
        raise MeasureError(f"a p-value must lie between 0 and 1, but one is {wrong[0]:g}")
    if known.any():
        given[known] = stats.false_discovery_control(given[known])
    return given


def max_over(
    scores: ArrayLike,
    nulls: ArrayLike,
    *,
    larger_is_more_similar: bool = True,
    same: float = SAME,
) -> Floats:
    """Adjust the p-values of several places for having looked at all of them.

    The adjusted p-value of a place is the share of shuffles, the unshuffled order counted in,
    whose largest score over all places is at least that of the place. Scores are put on one scale
    first, by the mean and standard deviation of each place over all orders (single-step maxT). The
    unshuffled order goes into these moments like any other, which makes all orders exchangeable
    if nothing is related, and the test exact. The chance of any false finding is then at most the
    level, however the places depend on each other. The smallest adjusted value is the p-value of
    the largest score.

    A place is left out, and stays NaN, if its score or one of its shuffles is NaN. A place whose
    score is the same under every order has p = 1.

    Source: Westfall and Young 1993, Resampling-Based Multiple Testing, section 2.5.

    Args:
        scores: (places,) observed scores.
        nulls: (places × permutations) scores under shuffles, the same shuffles at every place.
        larger_is_more_similar: False for distances.
        same: Scores closer than this are equal.

    Returns:
        (places,) adjusted p-values.

    Raises:
        MeasureError: The shapes do not fit, or there are no permutations.
    """
    observed, shuffled = _table(scores, nulls)
    sign = 1.0 if larger_is_more_similar else -1.0
    orders = sign * np.column_stack([observed, shuffled])
    adjusted = np.full(observed.size, np.nan)
    used = np.flatnonzero(np.isfinite(orders).all(axis=1))
    orders = orders[used]
    varies = np.ptp(orders, axis=1) > same
    adjusted[used[~varies]] = 1.0
    used, orders = used[varies], orders[varies]
    if used.size:
        sd = orders.std(axis=1, keepdims=True)
        t = (orders - orders.mean(axis=1, keepdims=True)) / sd
        largest = np.sort(t.max(axis=0))
        # Scores that differ by rounding only are ties, as for a single p-value.
        smaller = np.searchsorted(largest, t[:, 0] - same / sd[:, 0])
        adjusted[used] = (largest.size - smaller) / largest.size
    return adjusted


@dataclass(frozen=True)
class MeanScore:
    """A mean of scores with its null."""

    score: float
    null: Floats
    """(permutations,) the same mean under shuffles."""
    p_value: float
    """Share of shuffles, the unshuffled order counted in, with a mean at least as similar."""
    count: int
    """Number of scores in the mean."""


def average_null(
    scores: ArrayLike,
    nulls: ArrayLike,
    *,
    weights: ArrayLike | None = None,
    larger_is_more_similar: bool = True,
    same: float = SAME,
) -> MeanScore:
    """Test the mean of scores at one place, such as that of all pairs of languages at one tap.

    Shuffle i of the mean is the mean of the rows' shuffles i. The hypothesis is that no row is
    related. Rows whose views have something in common, as translations have their meaning, need
    shuffles that keep it, as runs use them
    (:class:`isogloss.similarity.shuffles.InducedShuffles`): each row shuffled by itself makes the
    null of the mean too narrow and calls noise a finding.

    Rows with NaN, in the score or in a shuffle, do not count.

    Args:
        scores: (rows,) observed scores.
        nulls: (rows × permutations) scores under shuffles.
        weights: (rows,) not negative; equal if None.
        larger_is_more_similar: False for distances.
        same: Scores closer than this are equal.

    Returns:
        The mean with its null, NaN if no row with a weight above 0 can be used.

    Raises:
        MeasureError: The shapes do not fit, there are no permutations, or a weight is negative or
            not finite.
    """
    observed, shuffled = _table(scores, nulls)
    share = np.ones(observed.size) if weights is None else np.array(weights, dtype=np.float64)
    if share.shape != observed.shape or not np.isfinite(share).all() or (share < 0).any():
        raise MeasureError(
            f"weights must be {observed.size} finite numbers, none negative, one for each score"
        )
    used = np.isfinite(observed) & np.isfinite(shuffled).all(axis=1) & (share > 0)
    if not used.any():
        return MeanScore(float("nan"), np.full(shuffled.shape[1], np.nan), float("nan"), 0)
    share = share[used] / share[used].sum()
    score, null = float(share @ observed[used]), share @ shuffled[used]
    p = reached(score, null, larger_is_more_similar=larger_is_more_similar, same=same)
    return MeanScore(score, null, p, int(used.sum()))


def _table(scores: ArrayLike, nulls: ArrayLike) -> tuple[Floats, Floats]:
    observed, shuffled = np.asarray(scores, dtype=np.float64), np.asarray(nulls, dtype=np.float64)
    if observed.ndim != 1 or shuffled.ndim != 2 or len(shuffled) != observed.size:
        raise MeasureError(
            f"scores must be a list and nulls a table with one row for each score, but their "
            f"shapes are {observed.shape} and {shuffled.shape}"
        )
    if not shuffled.shape[1]:
        raise MeasureError("the nulls are empty; compare with shuffles=Shuffles(1000) or more")
    return observed, shuffled
