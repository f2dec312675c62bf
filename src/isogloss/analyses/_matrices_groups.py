"""Whether languages of one group are more alike than others: families, scripts, resource levels."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from isogloss.languages import language, studied_level
from isogloss.similarity.base import Floats
from isogloss.similarity.correlation import FEWEST_FOR_INTERVAL
from isogloss.similarity.intervals import t_quantile
from isogloss.similarity.mantel import mantel_all

FACTORS = ("family", "script", "resource level")


@dataclass(frozen=True)
class Contrast:
    """Mean score of pairs within a group and of pairs between groups."""

    within: float
    between: float
    low: float
    """95 % interval of within − between over fresh languages, with ``high``."""
    high: float
    p_value: float
    """Two-sided, by permuting languages."""
    p_all: float
    """The same, corrected for all columns that were tested together."""
    pairs_within: int
    pairs: int
    languages: int
    reason: str = ""

    @property
    def effect(self) -> float:
        """How much more alike pairs within a group are."""
        return self.within - self.between


def group(code: str, factor: str) -> str:
    """What a language belongs to; empty if that is not known."""
    spoken = language(code)
    if factor == "resource level":
        return studied_level(spoken.code)
    return spoken.family if factor == "family" else spoken.script


def same_group(language_a: Sequence[str], language_b: Sequence[str], factor: str) -> Floats:
    """1 for pairs within a group, 0 for others, NaN where the group of one is not known."""
    both = [
        (group(a, factor), group(b, factor)) for a, b in zip(language_a, language_b, strict=True)
    ]
    return np.array([float(a == b) if a and b else np.nan for a, b in both])


def contrasts(
    language_a: Sequence[str],
    language_b: Sequence[str],
    same: Floats,
    scores: Floats,
    *,
    permutations: int,
    seed: int,
) -> list[Contrast]:
    """Set pairs within groups against pairs between them.

    Groups are dealt to languages anew in each permutation, which is a Mantel test of the scores
    with ``same``: whatever the order of the languages, as many pairs are within a group, so the
    difference of means and the correlation order the permutations alike. The interval is a
    jackknife over languages, each left out with all its pairs; ``docs/matrices.md`` has its
    coverage.

    Source: as of :func:`isogloss.similarity.mantel.mantel_all`; the jackknife of Quenouille and
    Tukey.

    Args:
        language_a: (pairs,) first language of each pair.
        language_b: (pairs,) second language.
        same: (pairs,) whether both are of one group.
        scores: (pairs × columns) such as one column for each tap.
        permutations: Largest number of orders of the languages.
        seed: Of the orders.

    Returns:
        One for each column.
    """
    tests = mantel_all(language_a, language_b, same, scores, permutations=permutations, seed=seed)
    first, second = np.array(language_a, str), np.array(language_b, str)
    found = []
    for test, column in zip(tests, scores.T, strict=True):
        known = ~np.isnan(column) & ~np.isnan(same)
        within, between = _means(same[known], column[known])
        low, high, reason = _interval(first[known], second[known], same[known], column[known])
        found.append(
            Contrast(
                within,
                between,
                low,
                high,
                test.p_mantel,
                test.p_all,
                int(np.nansum(same[known])),
                int(known.sum()),
                test.languages,
                _reason(test.reason, same[known]) if np.isnan(test.r) else reason,
            )
        )
    return found


def _reason(reason: str, same: Floats) -> str:
    if same.size and not same.any():
        return "no two languages are of one group"
    return "all languages are of one group" if same.size and same.all() else reason


def _means(same: Floats, scores: Floats) -> tuple[float, float]:
    inside = same == 1
    return tuple(
        float(scores[rows].mean()) if rows.any() else float("nan") for rows in (inside, ~inside)
    )  # type: ignore[return-value]


def _interval(
    first: np.ndarray, second: np.ndarray, same: Floats, scores: Floats
) -> tuple[float, float, str]:
    nothing = float("nan")
    names = np.unique(np.concatenate([first, second]))
    if len(names) < FEWEST_FOR_INTERVAL:
        least = f"at least {FEWEST_FOR_INTERVAL} languages are needed, there are {len(names)}"
        return nothing, nothing, f"no interval: {least}"
    within, between = _means(same, scores)
    left = []
    for name in names:
        rest = (first != name) & (second != name)
        inside, outside = _means(same[rest], scores[rest])
        left.append(inside - outside)
    outs = np.array(left)
    if np.isnan(outs).any():
        lost = names[int(np.argmax(np.isnan(outs)))]
        return nothing, nothing, f"no interval: without {lost} no pair is left on one side"
    count = len(names)
    se = float(np.sqrt((count - 1) / count * ((outs - outs.mean()) ** 2).sum()))
    margin = t_quantile(0.95, count - 1) * se
    return within - between - margin, within - between + margin, ""
