"""Mutual nearest neighbours: whether a sentence has the same neighbours in two views."""

from typing import ClassVar

import numpy as np

from isogloss.settings import setting
from isogloss.similarity.base import Floats, MeasureInfo, Rows, Score
from isogloss.similarity.geometry import distances, once
from isogloss.similarity.paired import Paired
from isogloss.similarity.partial import Nuisance
from isogloss.similarity.view import UndefinedError, View

BLOCK = 2**18
"""Largest number of pairs of neighbours looked up at once (2 MiB)."""


class MutualKnn(Paired):
    """Mean share of the k nearest neighbours, by cosine, that a sentence has in both views.

    Where several sentences are equally near and not all are among the k, each counts in part, as
    if drawn by lot. So the order of the sentences decides nothing, chance is exactly k / (n − 1),
    and a view with such ties scores less than one with itself.
    """

    keeps: ClassVar[bool] = True
    info: ClassVar[MeasureInfo] = MeasureInfo(
        title="Mutual k nearest neighbours",
        source="Huh et al. 2024, arXiv:2405.07987, appendix A",
        range=(0.0, 1.0),
        larger_is_more_similar=True,
        invariances=frozenset({"orthogonal", "isotropic scaling", "sentence scaling"}),
        cost="N², and N² D once per view",
    )

    k: int = setting(10, role="analysis", help="Number of neighbours of each sentence.", ge=1)

    def form(self, view: View, rows: Rows, out: Nuisance | None) -> Floats:
        """How far each sentence is among the k nearest of each: rows sum to k."""

        def make() -> Floats:
            apart = distances(view, rows, out, "cosine")
            np.fill_diagonal(apart, np.inf)
            edge = np.partition(apart, self.k - 1, axis=1)[:, self.k - 1 : self.k]
            nearer, level = apart < edge, apart == edge
            left = self.k - nearer.sum(axis=1, keepdims=True)
            return np.asarray(nearer + level * (left / level.sum(axis=1, keepdims=True)))

        n = rows.size - (out.count if out else 0)
        if self.k >= n:
            raise UndefinedError(
                f"has {n} sentences beyond its confounds, too few for {self.k} neighbours of each; "
                "choose a smaller k"
            )
        found: Floats = once(view, f"neighbours {self.k}", rows, out, make)
        return found

    def relate(self, a: Floats, b: Floats, n: int) -> Score:
        """The mean share of common neighbours."""
        share = float(np.vdot(a, b)) / (n * self.k)
        return Score(min(1.0, share), n, chance=self.k / (n - 1))

    def shuffled(self, a: Floats, b: Floats, orders: Rows) -> Floats:
        """Shares with the sentences of the second view in other orders."""
        n = len(a)
        rows, columns = np.nonzero(a)
        weights = a[rows, columns] / (n * self.k)
        flat = b.ravel()
        found = np.empty(len(orders))
        step = max(1, BLOCK // rows.size)
        for start in range(0, len(orders), step):
            some = orders[start : start + step]
            found[start : start + step] = flat[some[:, rows] * n + some[:, columns]] @ weights
        return np.minimum(found, 1.0)
