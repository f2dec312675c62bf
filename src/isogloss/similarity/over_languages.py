"""Interval for a mean over languages, or over pairs of languages, which share languages."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from isogloss.errors import MeasureError
from isogloss.similarity.base import Floats
from isogloss.similarity.intervals import Interval, no_interval, t_quantile

FEWEST, FEWEST_IN_PAIRS = 3, 8
"""Languages needed for a mean over languages, and for one over pairs. With fewer in pairs, the
interval is too wide if languages differ in nothing but their pairs."""


def languages(
    language_a: Sequence[str],
    language_b: Sequence[str] | None,
    values: ArrayLike,
    *,
    level: float = 0.95,
    range: tuple[float, float] = (-np.inf, np.inf),  # noqa: A002
) -> Interval:
    """Interval for the mean value over fresh languages, given these sentences.

    Each language is left out in turn, with every pair that it is in. The jackknife's variance of
    the mean over pairs counts what is peculiar to single pairs about twice, because each pair
    falls with two languages. That part is estimated by what an additive model (a mean and an
    effect of each language, by least squares) leaves of the values, and the surplus is taken off;
    for any pattern of missing pairs, its size follows from the weights of the pairs. Student's t
    has one degree of freedom less than there are languages. If nothing is left of the variance
    beyond that of single pairs, it is that of single pairs, with their degrees of freedom.

    Source: the jackknife of Quenouille and Tukey; its surplus after Efron and Stein 1981, Annals
    of Statistics 9:586.

    Args:
        language_a: (values,) language of each value, or the first of its pair.
        language_b: (values,) second language of each pair; None for a mean over languages.
        values: (values,) scores; NaN is left out and counted.
        level: Share of studies that are to contain the mean.
        range: Smallest and largest value that is possible.

    Returns:
        The interval. It is NaN with a reason for fewer than 3 languages, or 8 with pairs, or if
        leaving out a language leaves no value or the pairs do not tell languages from pairs.

    Raises:
        MeasureError: The lengths differ, a pair is given twice or is of one language with itself,
            or ``level`` is not between 0 and 1.
    """
    t_quantile(level, 1)
    first, second, found = _read(language_a, language_b, values)
    named = ("language jackknife", "mean over fresh languages, given these sentences")
    known = ~np.isnan(found)
    skipped = int((~known).sum())
    names, member = _members(first[known], None if second is None else second[known])
    count, pairs = len(names), second is not None
    least = FEWEST_IN_PAIRS if pairs else FEWEST
    if count < least:
        reason = f"at least {least} languages are needed, there are {count}"
        return no_interval(*named, level, reason, skipped=skipped)
    used = found[known]
    left = ~member
    sizes = left.sum(axis=1)
    if not sizes.all():
        reason = f"without {names[int(np.argmin(sizes))]} no pair is left"
        return no_interval(*named, level, reason, skipped=skipped)
    weights = left / sizes[:, None]
    means = weights @ used
    factor = (count - 1) / count
    variance = factor * float(((means - means.mean()) ** 2).sum())
    freedom = count - 1.0
    if pairs:
        parted = _without_surplus(used, member, weights, variance)
        if parted is None:
            reason = f"{used.size} pairs of {count} languages do not tell languages from pairs"
            return no_interval(*named, level, reason, skipped=skipped)
        variance, freedom = parted
    mean, se = float(used.mean()), float(np.sqrt(variance))
    margin = t_quantile(level, freedom) * se
    low, high = np.clip([mean - margin, mean + margin], *range)
    return Interval(
        float(low), float(high), se, *named, replicates=count, level=level, skipped=skipped
    )


def _without_surplus(
    values: Floats, member: np.ndarray, weights: Floats, jackknife: float
) -> tuple[float, float] | None:
    """Variance of a mean over pairs, and its degrees of freedom; None if it cannot be told."""
    count, size = member.shape
    effects = member.T.astype(np.float64)
    # Each row of effects sums to two, so the effects' columns hold the mean as well.
    solution, _, rank, _ = np.linalg.lstsq(effects, values, rcond=None)
    spare = size - int(rank)
    if spare < 1:
        return None
    of_pair = float(((values - effects @ solution) ** 2).sum()) / spare
    alone = of_pair / size
    counted = (count - 1) / count * float(((weights - weights.mean(axis=0)) ** 2).sum()) * of_pair
    surplus = counted - alone
    if jackknife - surplus > alone:
        return jackknife - surplus, count - 1.0
    return alone, float(spare)


def _read(
    language_a: Sequence[str], language_b: Sequence[str] | None, values: ArrayLike
) -> tuple[np.ndarray, np.ndarray | None, Floats]:
    found = np.asarray(values, dtype=np.float64)
    first = np.asarray(language_a, dtype=str)
    second = None if language_b is None else np.asarray(language_b, dtype=str)
    lengths = {first.shape, found.shape} | (set() if second is None else {second.shape})
    if len(lengths) > 1 or found.ndim != 1:
        raise MeasureError(f"languages and values must be lists of one length, not {lengths}")
    if second is None:
        keys = [(name,) for name in first.tolist()]
    else:
        alike = first == second
        if alike.any():
            raise MeasureError(f'a pair must be of two languages, not "{first[alike][0]}" twice')
        keys = [tuple(sorted(p)) for p in zip(first.tolist(), second.tolist(), strict=True)]
    seen: set[tuple[str, ...]] = set()
    for key in keys:
        if key in seen:
            raise MeasureError(
                f"{' and '.join(key)} are given twice; average over everything but the languages "
                f"first"
            )
        seen.add(key)
    return first, second, found


def _members(first: np.ndarray, second: np.ndarray | None) -> tuple[list[str], np.ndarray]:
    """The languages, and whether each is in each value: (languages × values)."""
    both = first if second is None else np.concatenate([first, second])
    names = np.unique(both)
    member = names[:, None] == first
    if second is not None:
        member |= names[:, None] == second
    return names.tolist(), member
