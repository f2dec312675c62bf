"""How far a paired difference would move with other languages and other sentences.

Both runs have the same languages and sentences, and both are scored on the same random halves of
the sentences. So what the two owe to a language or to a sentence alike is in neither interval.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from isogloss.beside.data import EQUAL
from isogloss.findings import statistics
from isogloss.findings.statistics import Estimate, Halves

Floats = NDArray[np.float64]

SENTENCES, LANGUAGES = "these sentences", "these languages"
"""What a test holds fixed."""


def of_mean(
    values: Floats,
    language_a: Sequence[str],
    language_b: Sequence[str] | None,
    halves: Halves | None,
) -> Estimate:
    """Test the mean of paired differences over languages, or over pairs of them.

    With halves, the interval is for other languages and other sentences
    (:func:`isogloss.findings.statistics.mean`), and not narrower than that for other sentences in
    these languages; without, it holds the sentences fixed. With fewer than 3 languages, or 8 in
    pairs, it is for other sentences alone and holds the languages fixed.

    Args:
        values: (rows,) differences; NaN is left out.
        language_a: (rows,) its language, or the first of the pair.
        language_b: (rows,) the second of each pair; None for single languages.
        halves: The differences on halves of the sentences; NaN for rows without.

    Returns:
        The estimate; ``given`` says what is held fixed. Where all differences are rounding, the
        interval holds them and zero, and p is 1.
    """
    known = values[~np.isnan(values)]
    kept = np.flatnonzero(~np.isnan(values))
    names = {side[i] for side in (language_a, language_b or language_a) for i in kept.tolist()}
    if not known.size:
        return Estimate(float("nan"), reason="no language has a score in both runs")
    if _rounding(known, None if halves is None else halves.values):
        return _equal(known, len(names))
    found = statistics.mean(values, language_a, language_b, halves)
    if halves is None:
        return found
    used = halves.values[:, :, ~np.isnan(values)]
    used = used[:, :, ~np.isnan(used).any(axis=(0, 1))]
    if not used.size:
        return found
    over = _over_sentences(float(known.mean()), used.mean(axis=2), halves.share)
    if over.reason:
        return found
    if np.isnan(found.p_value):
        return replace(over, count=found.count)
    if found.given or over.high - over.low <= found.high - found.low:
        return found
    # Other languages and other sentences cannot move a mean less than other sentences alone.
    return replace(over, p_value=max(over.p_value, found.p_value), count=found.count, given="")


def of_one(value: float, halves: Floats | None, share: float) -> Estimate:
    """Test the difference of one language, or pair of languages, over sentences.

    Args:
        value: The difference on all sentences.
        halves: (splits × 2) the difference on halves of them; None if there are none.
        share: Sentences of two halves together, as a share of those behind the value.
    """
    if np.isnan(value):
        return Estimate(value, reason="not scored in both runs")
    if _rounding(np.array([value]), halves):
        return _equal(np.array([value]), 1)
    if halves is None or np.isnan(halves).all():
        return Estimate(value, reason="not scored on halves of the sentences")
    return replace(_over_sentences(value, halves, share), count=1)


def _over_sentences(value: float, halves: Floats, share: float) -> Estimate:
    """Student's interval with the variance between halves.

    Two halves share no sentence, so (first − second)² / 4 has the variance of the score of all,
    or more: what hangs on which sentences happen to be together is larger in a half.
    """
    if np.isnan(halves).any() or len(halves) < 2:
        return Estimate(value, reason="not defined on every half of the sentences")
    variance = share * float(((halves[:, 0] - halves[:, 1]) ** 2).mean()) / 4
    if variance <= 0:
        return Estimate(value, reason="the halves of the sentences do not differ")
    freedom = statistics.steadiness(halves)
    return statistics.student(value, variance, freedom, 1, LANGUAGES)


def _rounding(values: Floats, halves: Floats | None) -> bool:
    """Whether the runs are equal: a difference that is small by chance is not so in all halves."""
    within = np.abs(values).max() <= EQUAL
    return bool(within and (halves is None or not (np.abs(halves) > EQUAL).any()))


def _equal(values: Floats, count: int) -> Estimate:
    low, high = min(0.0, float(values.min())), max(0.0, float(values.max()))
    return Estimate(float(values.mean()), low, high, 1.0, count, given="")
