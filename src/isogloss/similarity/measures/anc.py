"""ANC: whether single features mean the same in two views."""

from dataclasses import dataclass
from math import lgamma
from typing import ClassVar

import numpy as np

from isogloss.settings import setting
from isogloss.similarity.base import Floats, MeasureInfo, Rows, Score
from isogloss.similarity.decomposition import EPS
from isogloss.similarity.geometry import reordered
from isogloss.similarity.paired import Paired
from isogloss.similarity.partial import Nuisance
from isogloss.similarity.view import UndefinedError, View

FEATURES = 128
"""Features whose correlations are computed at once, so that they stay in the cache."""
FEWEST = 20
"""Sentences from which on the expected absolute correlation is that of a smooth distribution."""
UNSURE = 0.0025
"""Correction for tails above which the expansion is not trusted."""


@dataclass(frozen=True)
class Neurons:
    """Features of a view, centred and with norm one."""

    columns: Floats
    """(sentences × features); zeros where a feature does not vary."""
    varies: np.ndarray[tuple[int], np.dtype[np.bool_]]
    """(features,)"""


class Anc(Paired):
    """Average neuron-wise correlation: the mean over features of |Pearson correlation|.

    Each feature is correlated, over the sentences, with the same feature of the other view. The
    code released with the paper averages the correlations with their signs (``signed``). Features
    that do not vary in one of the views are left out; ``details`` has their number.
    """

    keeps: ClassVar[bool] = True
    info: ClassVar[MeasureInfo] = MeasureInfo(
        title="ANC",
        source="Del and Fishel 2022, arXiv:2212.01924",
        range=(-1.0, 1.0),
        larger_is_more_similar=True,
        invariances=frozenset(
            {"isotropic scaling", "translation", "feature scaling", "joint feature permutation"}
        ),
        equal_width=True,
        cost="N D",
    )

    signed: bool = setting(
        False, role="analysis", help="Average correlations with their signs, not absolute values."
    )

    def form(self, view: View, rows: Rows, out: Nuisance | None) -> Neurons:
        """Features, centred and with norm one."""
        x = view.centred(rows, out)
        spread = view.features(rows)
        floor = 64 * EPS * rows.size * np.abs(spread - spread[0]).max(axis=0)
        varies = np.abs(x).max(axis=0) > floor
        x = x if out is None else out.reduction @ x
        norms = np.linalg.norm(x, axis=0)
        return Neurons(np.where(varies, x / np.where(varies, norms, 1), 0.0), varies)

    def relate(self, a: Neurons, b: Neurons, n: int) -> Score:
        """The mean correlation, and its expectation for unrelated views."""
        used = a.varies & b.varies
        if not used.any():
            raise UndefinedError("no feature varies in both views")
        found = np.einsum("ij,ij->j", a.columns[:, used], b.columns[:, used]).clip(-1, 1)
        found = np.sort(found if self.signed else np.abs(found))[::-1]
        chance = 0.0 if self.signed else _chance(a.columns[:, used], b.columns[:, used])
        return Score(
            float(found.mean()),
            n,
            coefficients=found,
            chance=chance,
            details={"features": int(used.sum()), "left_out": int((~used).sum())},
        )

    def shuffled(self, a: Neurons, b: Neurons, orders: Rows) -> Floats:
        """Scores with the sentences of the second view in other orders."""
        used = np.flatnonzero(a.varies & b.varies)
        sums = np.zeros(len(orders))
        for start in range(0, used.size, FEATURES):
            some = used[start : start + FEATURES]
            x, y = (np.ascontiguousarray(v.columns[:, some]) for v in (a, b))
            for i, order in enumerate(orders):
                found = np.einsum("ij,ij->j", x, reordered(y, order, 0))
                sums[i] += float((found if self.signed else np.abs(found)).sum())
        return sums / used.size


def _chance(x: Floats, y: Floats) -> float:
    """Mean over all orders of the sentences of the mean absolute correlation.

    That of normal features, corrected for the skewness and tails of these: the variance of a
    correlation over all orders is always 1 / (n − 1), and its third and fourth moments follow from
    those of the features (Pitman 1937, Supplement to the Journal of the Royal Statistical Society
    4:225). NaN where the correction is not small: heavy tails, or few sentences.
    """
    n = len(x)
    if n < FEWEST:
        return float("nan")
    normal = np.exp(lgamma((n - 1) / 2) - lgamma(n / 2)) / np.sqrt(np.pi)
    (skew_x, tail_x), (skew_y, tail_y) = _shape(x), _shape(y)
    skew = skew_x * skew_y * (n - 2) / (n * np.sqrt(n - 1))
    tail = tail_x * tail_y * (n - 2) * (n - 3) / (n * (n - 1) ** 2)
    if normal * float((skew**2 + np.abs(tail)).mean()) / 24 > UNSURE:
        return float("nan")
    return float(normal * (1 + (skew**2 - tail).mean() / 24))


def _shape(x: Floats) -> tuple[Floats, Floats]:
    """Fisher's skewness and excess kurtosis of centred columns of norm one."""
    n = len(x)
    square = x * x
    third, fourth = np.einsum("ij,ij->j", square, x), np.einsum("ij,ij->j", square, square)
    skew = third * n * np.sqrt(n - 1) / (n - 2)
    tail = (n - 1) * (n * (n + 1) * fourth - 3 * (n - 1)) / ((n - 2) * (n - 3))
    return skew, tail
