"""Intervals for a score: how far it would move with other sentences.

Each interval says what it is meant to contain (its estimand). ``docs/inference.md`` has the share
of simulated studies in which it does.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from isogloss.errors import MeasureError
from isogloss.similarity.base import SAME, Measure, Rows, Score, unit
from isogloss.similarity.shuffles import Shuffles

FEWEST = 40
"""Sentences below which the coverage of the interval over sentences has not been established."""
KEPT = 7 / 9
"""Share of the sentences in a large subset."""
HALF_NULL, WHOLE_NULL = 3, 100
"""Shuffles of a half of the sentences, and of all of them."""
GROWTH = 2.0
"""Most that the variance may rise beyond the score."""
STEADY = 11
"""Degrees of freedom of a variance that is all lasting, however many the splits."""
SATURATED = 0.5
"""Calibrated score above which forced ones leave nothing to vary."""
LOST = 0.1
"""Share of subsets without a score above which there is no interval."""


@dataclass(frozen=True)
class Interval:
    """Where a value lies, by what it was found, and what "a value" means.

    NaN with a ``reason`` where it is not defined.
    """

    low: float
    high: float
    se: float
    """Standard error of the score; the interval need not be symmetric about it."""
    method: str
    estimand: str
    """What the interval contains in a share ``level`` of studies."""
    replicates: int
    """Number of scores it was computed from."""
    level: float = 0.95
    skipped: int = 0
    """Scores that were not defined, or were missing, and left out."""
    reason: str = ""
    """Why the interval is NaN; empty otherwise."""


def subsampling(
    measure: Measure,
    a: Any,
    b: Any,
    *,
    rows_a: Rows | None = None,
    rows_b: Rows | None = None,
    covariates: ArrayLike | None = None,
    whole: Score | None = None,
    splits: int = 24,
    level: float = 0.95,
    seed: int = 0,
) -> Interval:
    """Interval for the expected score of this many fresh sentences.

    The score is computed again on random subsets without replacement: on both halves of the
    sentences, and on seven ninths of them, ``splits`` times each. Three numbers come of that.

    * H, the mean of (first − second)² / 4 over the halves: the variance of a score that is a mean
      over sentences.
    * L = H − M, with M the variance of the mean of two halves. M is what hangs on which sentences
      happen to be together: a neighbour, a rank, a number of kept dimensions. What lasts is L.
    * S, the variance over the large subsets. It has 2/7 of the lasting part, and what hangs on
      single subsets. That is larger in a subset than in the whole, but does not differ wholly
      from subset to subset, and the two make up for each other. Only near the best score the
      latter no longer holds. So S counts by (7/9)^e, with e = c² (1 − L / H) and c the calibrated
      score, which simulation settled.

    The variance is V = S (7/9)^e + 5/7 L. If that is less than H, the share L / H of the
    difference is added, since for a score that is nearly a mean over sentences H is the steadier
    number. V is at least (1 − c)² times the variance over shuffled sentences.

    Where unrelated views vary less than others do, as with CKA, so do views that are nearly so.
    The variance is therefore taken to change in a straight line from that of unrelated views, at
    the chance level, to V at the score, and beyond it up to twice V. The limits are the values
    from which the score is as far off as Student's t allows (Wilson 1927, Journal of the American
    Statistical Association 22:209). Its degrees of freedom f are those of the splits and of the
    sentences, of which few may carry much of the lasting part: 1/f = 1/splits + (L / H)² / 11.

    Why not something plainer: in a bootstrap, repeated rows look like shared structure, and the
    interval can miss the score itself. The jackknife, which leaves out one group of sentences at a
    time, takes every change of a rank or a number of dimensions for much more than it is: its
    standard errors of SVCCA are two to five times too large. For statistics that are not smooth,
    many sentences must be left out at once (Shao and Wu 1989, Annals of Statistics 17:1176). The
    estimate from two sizes is our own; ``docs/inference.md`` shows what it achieves.

    Args:
        measure: Any measure; only ``compare`` is used.
        a: First view, prepared.
        b: Second view, prepared.
        rows_a: Row numbers of the compared sentences in the first view; all if None.
        rows_b: Row numbers in the second view.
        covariates: (sentences × confounds) to take out, subset along with the sentences.
        whole: The score itself if it has been computed with shuffles, so that it is not again.
        splits: Number of times the sentences are split. 24 cost about as much as 40 comparisons
            of SVCCA with 194 × 1024, 16 two thirds of that.
        level: Share of studies that are to contain the value.
        seed: Of the subsets; the same number gives the same interval.

    Returns:
        The interval within the range of the measure. It is NaN with a reason if the score is not
        defined, for fewer than 40 sentences, if more than a tenth of the subsets have no score
        (fewer of those are left out and counted), and for a saturated score: more than half of
        the coefficients are one whatever the data, and the score is more than half way from chance
        to the best. There the interval would be half again as wide as it should.

    Raises:
        MeasureError: ``splits`` is below 8, ``level`` is not between 0 and 1, or as in
            ``compare``.
    """
    if splits < 8:
        raise MeasureError(f"splits must be 8 or more, not {splits}")
    named = ("subsampling", "expected score of as many fresh sentences")
    covered = None if covariates is None else np.asarray(covariates, dtype=np.float64)

    def score_of(chosen: Rows | None, shuffles: int, part: int) -> Score:
        return measure.compare(
            a,
            b,
            rows_a=_subset(rows_a, chosen),
            rows_b=_subset(rows_b, chosen),
            covariates=covered if covered is None or chosen is None else covered[chosen],
            shuffles=Shuffles(shuffles, seed + part) if shuffles else None,
        )

    t_quantile(level, splits)
    if whole is None or not (whole.null.size or np.isnan(whole.score)):
        whole = score_of(None, WHOLE_NULL, 0)
    if np.isnan(whole.score):
        return no_interval(*named, level, whole.reason)
    if whole.n < FEWEST:
        return no_interval(
            *named, level, f"at least {FEWEST} sentences are needed, there are {whole.n}"
        )
    forced = whole.k_x + whole.k_y - (whole.n - whole.covariates - 1)
    least = min(whole.k_x, whole.k_y)
    if 2 * forced > least and whole.calibrated > SATURATED:
        reason = (
            f"the score is saturated: {forced} of {least} coefficients are one whatever the data, "
            f"and the others nearly so; keep fewer dimensions"
        )
        return no_interval(*named, level, reason)
    halves, large = _replicates(score_of, whole.n, splits, seed)
    skipped = sum(bool(np.isnan(s.score)) for s in (*halves, *large))
    if skipped > LOST * (len(halves) + len(large)):
        reason = next(s.reason for s in (*halves, *large) if np.isnan(s.score))
        return no_interval(*named, level, f"{skipped} subsets have no score: {reason}")
    variance, freedom = _variance(whole, halves, large)
    t = t_quantile(level, freedom)
    low, high = _limits(whole, variance, _variance_at_chance(whole, halves), t)
    lowest, highest = measure.info.range
    return Interval(
        low=float(np.clip(low, lowest, highest)),
        high=float(np.clip(high, lowest, highest)),
        se=float(np.sqrt(variance)),
        method=named[0],
        estimand=named[1],
        replicates=len(halves) + len(large) - skipped,
        level=level,
        skipped=skipped,
    )


def t_quantile(level: float, freedom: float) -> float:
    """Student's t that leaves (1 − level) / 2 above it.

    Raises:
        MeasureError: The level is not between 0 and 1.
    """
    if not 0 < level < 1:
        raise MeasureError(f"level must lie between 0 and 1, not {level}")
    return float(stats.t.ppf((1 + level) / 2, freedom))


def no_interval(
    method: str, estimand: str, level: float, reason: str, *, skipped: int = 0
) -> Interval:
    """An interval that could not be computed."""
    nan = float("nan")
    return Interval(nan, nan, nan, method, estimand, 0, level, skipped, reason)


def _subset(rows: Rows | None, chosen: Rows | None) -> Rows | None:
    if chosen is None:
        return rows
    return chosen if rows is None else np.asarray(rows)[chosen]


def _replicates(
    score_of: Callable[[Rows | None, int, int], Score], n: int, splits: int, seed: int
) -> tuple[list[Score], list[Score]]:
    """Scores of both halves of each split, one after the other, and of the large subsets."""
    rng = np.random.default_rng(seed)
    halves, large = [], []
    for split in range(splits):
        order = rng.permutation(n)
        for part, rows in enumerate((order[: n // 2], order[n // 2 :])):
            halves.append(score_of(np.sort(rows), HALF_NULL, 1 + 2 * split + part))
        rows = rng.permutation(n)[: round(KEPT * n)]
        large.append(score_of(np.sort(rows), 0, 0))
    return halves, large


def _variance(whole: Score, halves: list[Score], large: list[Score]) -> tuple[float, float]:
    """V as told above, and its degrees of freedom."""
    pairs = np.array([s.score for s in halves]).reshape(-1, 2)
    pairs = pairs[~np.isnan(pairs).any(axis=1)]
    apart = float(np.mean((pairs[:, 0] - pairs[:, 1]) ** 2)) / 4
    lasting = max(apart - float(pairs.mean(axis=1).var(ddof=1)), 0.0)
    share = lasting / apart if apart > 0 else 0.0
    scores = np.array([s.score for s in large])
    single = float(scores[~np.isnan(scores)].var(ddof=1))
    related = float(np.clip(np.nan_to_num(whole.calibrated), 0, 1))
    variance = single * KEPT ** (related**2 * (1 - share)) + (2 - 1 / KEPT) * lasting
    variance += share * max(apart - variance, 0.0)
    if whole.null.size > 1:
        variance = max(variance, (1 - related) ** 2 * float(whole.null.var(ddof=1)))
    return variance, 1 / (1 / len(pairs) + share**2 / STEADY)


def _variance_at_chance(whole: Score, halves: list[Score]) -> float:
    """Variance of a score of as many unrelated sentences.

    Shuffles keep what each view is by itself. How much chance moves with that is what the shuffles
    of one half do not share with those of another.
    """
    nulls = [s.null for s in halves if not np.isnan(s.score) and s.null.size == HALF_NULL]
    if (
        whole.null.size < 2
        or np.ptp(whole.null) <= SAME * unit(whole.range, whole.null)
        or len(nulls) < 2
    ):
        return float("nan")
    shuffled = np.array(nulls)
    within = float(shuffled.var(axis=1, ddof=1).mean())
    return float(whole.null.var(ddof=1)) + max(float(shuffled.var()) - within, 0.0)


def _limits(whole: Score, variance: float, at_chance: float, t: float) -> tuple[float, float]:
    """Solve (score − x)² = t² V(x) on either side of the score, with V as told above.

    All is turned so that larger is more similar; a score below chance has its wider side above
    as well, so that the limits do not jump where the score passes chance.
    """
    sign = 1.0 if whole.larger_is_more_similar else -1.0
    away = sign * (whole.score - whole.null_mean)
    margin = t * float(np.sqrt(variance))
    near = far = margin
    if at_chance < variance:
        near, far = t * float(np.sqrt(at_chance)), margin * float(np.sqrt(GROWTH))
        if away:
            half = t * t * (variance - at_chance) / abs(away) / 2
            root = float(np.hypot(half, margin))
            far = min(far, root + half)
            if away > near:
                near = root - half
    low, high = whole.score - sign * near, whole.score + sign * far
    return min(low, high), max(low, high)
