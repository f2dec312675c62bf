"""Interval for a score: how far it would move with other recordings of the same sentences."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from isogloss.errors import MeasureError
from isogloss.similarity.base import Measure, Rows
from isogloss.similarity.intervals import LOST, Interval, no_interval, t_quantile

SEVERAL = 0.5
"""Share of the sentences that must have several recordings."""


def utterances(
    measure: Measure,
    a: Any,
    b: Any,
    *,
    takes_a: Sequence[ArrayLike] | None = None,
    takes_b: Sequence[ArrayLike] | None = None,
    draws: int = 12,
    level: float = 0.95,
    seed: int = 0,
    covariates: ArrayLike | None = None,
) -> Interval:
    """Interval for the expected score of fresh recordings of the same sentences.

    The score is computed for two draws that share no recording: each takes one recording of every
    sentence, and where there are several, another one in the second draw. Given the sentences, two
    such draws are as good as two fresh sets of recordings, so half the squared difference of their
    scores is an estimate of the score's variance without bias, whatever the measure, and it is
    averaged over ``draws`` pairs. Nothing has to be corrected for the few takes of a sentence, as
    it would be if recordings were drawn freely (by r / (r − 1) for r takes).

    Sentences with one recording show no variation. The variance is scaled up for them as if they
    had as much as the others, in proportion to their number.

    Args:
        measure: Any measure; only ``compare`` is used.
        a: First view, prepared, with a row for each recording.
        b: Second view, prepared.
        takes_a: For each sentence, the rows of its recordings in the first view. The first row of
            each is the one that the score uses. None if that view has one row for each sentence.
        takes_b: The same for the second view, with the sentences in the same order.
        draws: Pairs of draws; each costs two comparisons.
        level: Share of studies that are to contain the value.
        seed: Of the draws; the same number gives the same interval.
        covariates: (sentences × confounds) to take out; the same for all recordings.

    Returns:
        The interval about the score of the first recordings, within the range of the measure. It
        is NaN with a reason if the score is not defined, if fewer than half of the sentences have
        several recordings, or if more than a tenth of the pairs have no score.

    Raises:
        MeasureError: No recordings are given, their numbers of sentences differ, a sentence has
            none or one twice, ``draws`` is below 8, ``level`` is not between 0 and 1, or as in
            ``compare``.
    """
    if draws < 8:
        raise MeasureError(f"draws must be 8 or more, not {draws}")
    quantile = t_quantile(level, draws)
    named = ("utterances", "expected score of fresh recordings of the same sentences")
    sides = [_read(takes, name) for takes, name in ((takes_a, "takes_a"), (takes_b, "takes_b"))]
    given = [side for side in sides if side is not None]
    if not given:
        raise MeasureError("takes_a or takes_b must say which rows are recordings of one sentence")
    n = len(given[0])
    if any(len(side) != n for side in given):
        raise MeasureError(
            f"takes_a and takes_b must have the same sentences, but there are {len(given[0])} and "
            f"{len(given[-1])}"
        )
    single = [[np.array([i])] for i in range(n)]
    first, second = (side if side is not None else [one[0] for one in single] for side in sides)

    def score_of(rows_a: Rows, rows_b: Rows) -> tuple[float, str]:
        found = measure.compare(a, b, rows_a=rows_a, rows_b=rows_b, covariates=covariates)
        return found.score, found.reason

    score, reason = score_of(_heads(first), _heads(second))
    if np.isnan(score):
        return no_interval(*named, level, reason)
    several = [np.mean([rows.size > 1 for rows in side]) for side in (first, second)]
    share = float(np.mean([s for s in several if s > 0])) if any(several) else 0.0
    if share < SEVERAL:
        return no_interval(
            *named, level, f"only {share:.0%} of the sentences have several recordings"
        )
    rng = np.random.default_rng(seed)
    differences = []
    for _ in range(draws):
        (x, other_x), (y, other_y) = _draw(first, rng), _draw(second, rng)
        one, another = score_of(x, y), score_of(other_x, other_y)
        reason = reason or one[1] or another[1]
        differences.append(one[0] - another[0])
    usable = np.array(differences)
    usable = usable[~np.isnan(usable)]
    skipped = 2 * (draws - usable.size)
    if draws - usable.size > LOST * draws:
        return no_interval(*named, level, f"{skipped} draws have no score: {reason}")
    se = float(np.sqrt(np.mean(usable**2) / 2 / share))
    low, high = np.clip([score - quantile * se, score + quantile * se], *measure.info.range)
    return Interval(
        float(low),
        float(high),
        se,
        named[0],
        named[1],
        replicates=2 * usable.size,
        level=level,
        skipped=skipped,
    )


def _read(takes: Sequence[ArrayLike] | None, name: str) -> list[Rows] | None:
    if takes is None:
        return None
    sides = [np.atleast_1d(np.asarray(rows, dtype=np.intp)) for rows in takes]
    for i, rows in enumerate(sides):
        if rows.ndim != 1 or not rows.size or np.unique(rows).size != rows.size:
            raise MeasureError(
                f"{name} must list the rows of each sentence's recordings, each once, but for "
                f"sentence {i} it has {rows.tolist()}"
            )
    return sides


def _heads(side: list[Rows]) -> Rows:
    return np.array([rows[0] for rows in side], dtype=np.intp)


def _draw(side: list[Rows], rng: np.random.Generator) -> tuple[Rows, Rows]:
    """Two recordings of each sentence, different ones where there are several."""
    counts = np.array([rows.size for rows in side])
    table = np.zeros((counts.size, counts.max()), dtype=np.intp)
    there = np.arange(counts.max()) < counts[:, None]
    table[there] = np.concatenate(side)
    order = np.argsort(np.where(there, rng.random(table.shape), np.inf), axis=1)
    every = np.arange(counts.size)
    one, another = order[:, 0], order[every, np.minimum(counts, 2) - 1]
    return table[every, one], table[every, another]
