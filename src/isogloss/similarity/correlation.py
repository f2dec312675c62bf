"""How two language × language matrices go together, with an interval over languages.

A jackknife leaves out each language with all its pairs, for :mod:`isogloss.similarity.mantel`.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy import stats

from isogloss.similarity.base import Floats
from isogloss.similarity.intervals import t_quantile

FEWEST_FOR_INTERVAL = 6
"""Languages needed for the interval of a correlation."""
SAME = 1e-12
"""Correlations that differ by less are equal."""
_NAN = float("nan")


def _none() -> Floats:
    return np.empty(0)


@dataclass(frozen=True)
class Correlation:
    """How two matrices go together, over the pairs that both have."""

    r: float
    """NaN with a ``reason`` where it is not defined."""
    pairs: int
    languages: int
    p_ordinary: float = _NAN
    """Two-sided, by Student's t, as if pairs were independent."""
    p_mantel: float = _NAN
    """Two-sided, by permuting languages."""
    p_greater: float = _NAN
    """One-sided: at least as large a correlation."""
    p_all: float = _NAN
    """Two-sided, corrected for all matrices that were given together."""
    permutations: int = 0
    """Orders of the languages that were looked at, besides the given one."""
    exact: bool = False
    """Whether these are all orders there are."""
    low: float = _NAN
    """95 % interval of r over fresh languages, with ``high``."""
    high: float = _NAN
    null: Floats = field(default_factory=_none, repr=False)
    """(permutations,) correlations of the permuted matrix."""
    left_out: Floats = field(default_factory=_none, repr=False)
    """(languages given, in alphabetical order,) r without each; NaN for one that is in no pair."""
    reason: str = ""
    """Why r or its interval is NaN."""


def ordinary_p(r: float, pairs: int, controls: int = 0) -> float:
    """Two-sided p-value of a correlation of independent pairs, as in the study.

    Student's t with ``pairs − 2 − controls`` degrees of freedom.

    >>> f"{ordinary_p(0.22842, 435):.2e}"
    '1.48e-06'
    """
    freedom = pairs - 2 - controls
    if freedom < 1 or not abs(r) <= 1:
        return _NAN
    if abs(r) == 1:
        return 0.0
    return float(2 * stats.t.sf(abs(r) * np.sqrt(freedom / (1 - r * r)), freedom))


def interval(r: float, left_out: Floats) -> dict[str, Any]:
    """Interval of r by a jackknife on Fisher's z, or the reason why there is none.

    Args:
        r: The correlation.
        left_out: (languages,) the same without each language.

    Returns:
        ``low`` and ``high``, or ``reason``, as of a :class:`Correlation`.
    """
    count = len(left_out)
    if count < FEWEST_FOR_INTERVAL:
        return {
            "reason": f"no interval: at least {FEWEST_FOR_INTERVAL} languages are needed, "
            f"there are {count}"
        }
    if not (np.abs(np.append(left_out, r)) < 1 - SAME).all():
        return {"reason": "no interval: without one of the languages r is not defined, or is 1"}
    low, high, _ = _jackknife(np.arctanh(r), np.arctanh(left_out))
    return {"low": float(np.tanh(low)), "high": float(np.tanh(high))}


def _jackknife(value: float, left_out: Floats) -> tuple[float, float, float]:
    """95 % interval of a value, and the two-sided p-value of its being 0."""
    count = len(left_out)
    se = float(np.sqrt((count - 1) / count * ((left_out - left_out.mean()) ** 2).sum()))
    margin = t_quantile(0.95, count - 1) * se
    p = float(2 * stats.t.sf(abs(value) / se, count - 1)) if se > 0 else _NAN
    return value - margin, value + margin, p


def difference(a: Correlation, b: Correlation) -> tuple[float, float, float, float]:
    """How much larger a correlation is than another over the same languages.

    Returns:
        a − b, its 95 % interval by the jackknife over languages, and the two-sided p-value by
        Student's t; NaN where one of the two is not defined without some language.
    """
    outs = a.left_out - b.left_out if a.left_out.size == b.left_out.size else np.empty(0)
    if a.languages != b.languages or np.isnan(a.r - b.r):
        return _NAN, _NAN, _NAN, _NAN
    outs = outs[~np.isnan(outs)]
    if len(outs) < max(a.languages, FEWEST_FOR_INTERVAL):
        return a.r - b.r, _NAN, _NAN, _NAN
    return (a.r - b.r, *_jackknife(a.r - b.r, outs))
