"""Tests of contrasts between scores: over languages or pairs of them, and over sentences.

A contrast is a weighted sum of the scores of one language, or of one pair of languages, such as
those of the last layers less those of the first. What is tested is its mean over languages, or how
it goes with the resource level of the language.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import factorial, isnan, prod

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from isogloss.errors import MeasureError
from isogloss.similarity.over_languages import FEWEST, FEWEST_IN_PAIRS, languages

Floats = NDArray[np.float64]

LEVEL = 0.05
ARRANGEMENTS = 400
"""Ways to deal the levels out to the languages below which no p-value, of which the smallest is two
of these, would be .05 once it is adjusted for ten claims."""
FEWEST_OF_LEVEL = 2
PERMUTATIONS = 9999
STEADY = 11
"""Degrees of freedom of a variance over sentences that is all lasting, however many the splits."""
_ROUNDING = 1e-9


@dataclass(frozen=True)
class Estimate:
    """An effect with its interval and its test; NaN with a ``reason`` where there is none."""

    effect: float
    low: float = float("nan")
    high: float = float("nan")
    p_value: float = float("nan")
    count: int = 0
    """Languages behind it."""
    reason: str = ""
    given: str = "these sentences"
    """What is held fixed; empty if both languages and sentences are taken as samples."""


@dataclass(frozen=True)
class Halves:
    """A contrast on the two halves of the sentences, for several random splits."""

    values: Floats
    """(splits × 2 × rows): one row for each language, or for each of some pairs."""
    share: float
    """Sentences of two halves together, as a share of those behind the scores themselves."""


def mean(
    values: ArrayLike,
    language_a: Sequence[str],
    language_b: Sequence[str] | None = None,
    halves: Halves | None = None,
) -> Estimate:
    """Test whether the mean over languages, or over pairs of them, differs from zero.

    For single languages the interval is Student's. For pairs, which share languages, it is the
    language jackknife of :func:`isogloss.similarity.over_languages.languages`.

    Both hold the sentences fixed: what all languages owe to these sentences moves all values
    alike, and is not seen in their spread. With ``halves`` it is added (:func:`shared_noise`),
    and the degrees of freedom are put together after Satterthwaite (1946, Biometrics 2:110).

    Args:
        values: (rows,) the contrast of each language or pair; NaN is left out.
        language_a: (rows,) its language, or the first of the pair.
        language_b: (rows,) the second of each pair; None for single languages.
        halves: The same contrast on halves of the sentences.

    Returns:
        The estimate. It has a reason instead of a test for fewer than 3 languages, or 8 in pairs,
        and where the values do not differ at all.
    """
    found = np.asarray(values, dtype=np.float64)
    known = ~np.isnan(found)
    names = {x for x, k in zip(language_a, known, strict=True) if k}
    if language_b is not None:
        names |= {x for x, k in zip(language_b, known, strict=True) if k}
    count, least = len(names), FEWEST if language_b is None else FEWEST_IN_PAIRS
    if not count:
        return Estimate(float("nan"), reason="no language has all the scores it takes")
    effect = float(found[known].mean())
    if count < least:
        what = "" if language_b is None else " in pairs"
        reason = f"it takes {least} languages{what}, there {_are(count)}"
        return Estimate(effect, count=count, reason=reason)
    if np.ptp(found[known]) <= _ROUNDING * max(1.0, float(np.abs(found[known]).max())):
        return Estimate(effect, count=count, reason="all languages have the same value")
    try:
        interval = languages(language_a, language_b, found)
    except MeasureError as error:
        return Estimate(effect, count=count, reason=str(error))
    if interval.reason:
        return Estimate(effect, count=count, reason=interval.reason)
    variance, freedom = interval.se**2, count - 1.0
    if language_b is not None:
        freedom = _freedom(interval.high - effect, interval.se)
    fixed = student(effect, variance, freedom, count, Estimate(effect).given)
    if halves is None:
        return fixed
    common, steady = shared_noise(halves)
    if isnan(common):
        return fixed
    total = variance + common
    freedom = total**2 / (variance**2 / freedom + common**2 / steady)
    over = student(effect, total, freedom, count, "")
    # Of few languages t is large, and the degrees of freedom of the sentences must not lower it.
    return over if over.p_value >= fixed.p_value else replace(fixed, given="")


def shared_noise(halves: Halves) -> tuple[float, float]:
    """How much the mean over all rows varies with the sentences, beyond what rows show apart.

    The two halves of a split are independent samples of sentences, so (first − second)² / 4 has
    the variance of their mean. H is that of the mean over rows, h that of single rows, both
    averaged over splits. With noise of the sentences that all rows share, of variance c, and noise
    of their own, of variance s, H = c + s / rows and h = c + s, which gives c.

    Returns:
        c, not below zero, for the sentences behind the scores themselves; and its degrees of
        freedom, 1 / (1 / splits + (L / H)² / 11), as those of subsampling. NaN if fewer than two
        splits or rows are defined.
    """
    found = halves.values[:, :, ~np.isnan(halves.values).any(axis=(0, 1))]
    splits, _, rows = found.shape
    if splits < 2 or rows < 2:
        return float("nan"), float("nan")
    means = found.mean(axis=2)
    together = float(((means[:, 0] - means[:, 1]) ** 2).mean()) / 4
    single = float(((found[:, 0] - found[:, 1]) ** 2).mean()) / 4
    own = max(0.0, (single - together) * rows / (rows - 1))
    common = max(0.0, together - own / rows) * halves.share
    return common, steadiness(means)


def steadiness(halves: Floats) -> float:
    """Degrees of freedom of the variance from halves: (splits × 2) of one value."""
    splits = len(halves)
    apart = float(((halves[:, 0] - halves[:, 1]) ** 2).mean()) / 4
    lasting = max(0.0, apart - float(halves.mean(axis=1).var(ddof=1)))
    share = lasting / apart if apart > 0 else 0.0
    return 1 / (1 / splits + share**2 / STEADY)


def of_halves(halves: ArrayLike, least: float = 0.0) -> Estimate:
    """Test one value over sentences alone: the mean of all halves, with the variance of one split.

    The variance is the mean of (first − second)² / 4, which is that of one split if its halves are
    independent. Averaging over splits can only lower it.

    Args:
        halves: (splits × 2) the value on each half.
        least: Variance that is assumed at least.
    """
    found = np.asarray(halves, dtype=np.float64)
    if np.isnan(found).any() or len(found) < 2:
        return Estimate(float("nan"), reason="not defined on every half of the sentences")
    variance = max(least, float(((found[:, 0] - found[:, 1]) ** 2).mean()) / 4)
    effect = float(found.mean())
    if variance <= _ROUNDING**2:
        return Estimate(effect, count=1, reason="the halves do not differ")
    return student(effect, variance, steadiness(found), 1, "this language")


def trend(values: ArrayLike, levels: ArrayLike, *, seed: int = 0) -> Estimate:
    """Test whether values go up with the level of the language: slope per level.

    The p-value is the share of permutations of the levels over the languages with a slope as
    large, in standard errors (HC2). If levels make no difference at all the test is exact, and
    whatever languages have in common cancels out; standard errors keep it close where levels
    differ in their spread (DiCiccio and Romano 2017, Journal of the American Statistical
    Association 112:1211). The interval is the slope's with HC2 and the degrees of freedom of Bell
    and McCaffrey (2002, Survey Methodology 28:169); for two levels HC2 is Welch's variance.

    Args:
        values: (languages,); NaN is left out.
        levels: (languages,) a number for each, such as 0 for low and 1 for high.
        seed: Of the permutations.

    Returns:
        The estimate; a reason if there are fewer than two levels, a level with one language only,
        or so few languages that no p-value could be small.
    """
    y, x = np.asarray(values, dtype=np.float64), np.asarray(levels, dtype=np.float64)
    y, x = y[~np.isnan(y)], x[~np.isnan(y)]
    count = int(y.size)
    sizes = [int((x == level).sum()) for level in np.unique(x)]
    if len(sizes) < 2:
        reason = "there are no languages of different levels"
        return Estimate(float("nan"), count=count, reason=reason)
    centred = x - x.mean()
    weights = centred / (centred**2).sum()
    effect = float(weights @ y)
    if min(sizes) < FEWEST_OF_LEVEL:
        return Estimate(effect, count=count, reason="a level has one language only")
    if factorial(count) // prod(factorial(s) for s in sizes) < ARRANGEMENTS:
        reason = f"{count} languages are too few for a p-value that outlives adjustment"
        return Estimate(effect, count=count, reason=reason)
    if np.ptp(y) <= _ROUNDING * max(1.0, float(np.abs(y).max())):
        return Estimate(effect, count=count, reason="all languages have the same value")
    leverage = 1 / count + centred**2 * (1 / (centred**2).sum())

    def studied(rows: Floats) -> tuple[Floats, Floats]:
        slopes = rows @ weights
        rest = rows - rows.mean(axis=1, keepdims=True) - slopes[:, None] * centred
        return slopes, np.sqrt((weights**2 * rest**2 / (1 - leverage)).sum(axis=1))

    rng = np.random.default_rng(seed)
    slope, error = studied(y[None])
    slopes, errors = studied(rng.permuted(np.broadcast_to(y, (PERMUTATIONS, count)), axis=1))
    with np.errstate(divide="ignore", invalid="ignore"):
        observed, null = abs(slope[0]) / error[0], np.abs(slopes) / errors
    reached = int((np.nan_to_num(null, nan=0.0, posinf=np.inf) >= observed - _ROUNDING).sum())
    hat = np.eye(count) - 1 / count - np.outer(centred, centred) / (centred**2).sum()
    spread = hat * (weights / np.sqrt(1 - leverage))
    gram = spread.T @ spread
    freedom = float(np.trace(gram) ** 2 / (gram**2).sum())
    found = student(effect, float(error[0]) ** 2, freedom, count, "")
    return replace(found, p_value=(1 + reached) / (1 + PERMUTATIONS))


def both(parts: Sequence[Estimate]) -> tuple[Estimate, int]:
    """Test whether all of several effects are above zero, by the one that is least so.

    Each is tested at the full level, for all must be rejected (intersection-union; Berger 1982,
    Technometrics 24:295). If the worst is below zero, it was picked for being so, and its p-value
    is multiplied by the number of parts.

    Returns:
        The estimate of the worst part, and its number.
    """
    for i, part in enumerate(parts):
        if part.reason:
            return part, i
    signed = [stats.norm.isf(max(p.p_value, 1e-300) / 2) * np.sign(p.effect) for p in parts]
    worst = int(np.argmin(signed))
    found = parts[worst]
    if found.effect < 0:
        found = replace(found, p_value=min(1.0, len(parts) * found.p_value))
    return found, worst


def holm(p: ArrayLike) -> Floats:
    """Adjust p-values so that the chance of any false rejection stays at the level.

    Holds whatever the tests have in common. NaN is no member of the family and stays NaN.

    Source: Holm 1979, Scandinavian Journal of Statistics 6:65.

    >>> holm([0.01, 0.04, np.nan]).tolist()
    [0.02, 0.04, nan]
    """
    given = np.array(p, dtype=np.float64)
    known = np.flatnonzero(~np.isnan(given))
    order = known[np.argsort(given[known], kind="stable")]
    adjusted = given.copy()
    steps = given[order] * np.arange(order.size, 0, -1)
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(steps)) if order.size else steps
    return adjusted


def student(effect: float, variance: float, freedom: float, count: int, given: str) -> Estimate:
    """Make an estimate of an effect with a variance and its degrees of freedom."""
    error = float(np.sqrt(variance))
    margin = float(stats.t.ppf(1 - LEVEL / 2, freedom)) * error
    p = float(2 * stats.t.sf(abs(effect) / error, freedom)) if error else float("nan")
    return Estimate(effect, effect - margin, effect + margin, p, count, given=given)


def _freedom(margin: float, error: float) -> float:
    """The degrees of freedom of an interval that is so many standard errors wide."""
    from scipy.optimize import brentq

    quantile = margin / error
    if quantile <= stats.norm.ppf(1 - LEVEL / 2) * (1 + 1e-9):
        return 1e9
    return float(brentq(lambda f: stats.t.ppf(1 - LEVEL / 2, f) - quantile, 0.5, 1e9, xtol=1e-6))


def _are(count: int) -> str:
    return "is 1" if count == 1 else f"are {count}"
