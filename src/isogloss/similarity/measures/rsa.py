"""RSA: whether the same pairs of sentences are near and far in two views."""

from typing import ClassVar

import numpy as np
from scipy.stats import rankdata

from isogloss.settings import setting
from isogloss.similarity.base import Floats, MeasureInfo, Rows, Score
from isogloss.similarity.geometry import Distance, distances, once, permuted_products
from isogloss.similarity.paired import Paired
from isogloss.similarity.partial import Nuisance
from isogloss.similarity.view import UndefinedError, View


class Rsa(Paired):
    """Representational similarity analysis: Spearman correlation of distances between sentences.

    Distances are one minus the correlation, or the cosine, of two sentences over the features, as
    they are, not centred over the sentences; equal ones get their mean rank. Any order of the
    sentences shuffles the ranks over all pairs alike, so chance is exactly zero.
    """

    keeps: ClassVar[bool] = True
    info: ClassVar[MeasureInfo] = MeasureInfo(
        title="RSA",
        source="Kriegeskorte et al. 2008, Frontiers in Systems Neuroscience 2:4",
        range=(-1.0, 1.0),
        larger_is_more_similar=True,
        invariances=frozenset({"isotropic scaling", "feature permutation", "sentence scaling"}),
        cost="N² log N, and N² D once per view",
    )

    distance: Distance = setting(
        "correlation",
        role="analysis",
        help='One minus the "correlation" of two sentences over features, or their "cosine".',
    )

    def form(self, view: View, rows: Rows, out: Nuisance | None) -> Floats:
        """Centred ranks of all distances, as a symmetric matrix of norm one with zero diagonal."""

        def make() -> Floats:
            apart = distances(view, rows, out, self.distance)
            pairs = np.triu_indices(len(apart), 1)
            ranks = rankdata(apart[pairs])
            ranks -= ranks.mean()
            norm = np.linalg.norm(ranks)
            if norm == 0:
                raise UndefinedError(f"has all {len(apart)} sentences equally far apart")
            matrix = np.zeros_like(apart)
            matrix[pairs] = ranks / (norm * np.sqrt(2))
            return matrix + matrix.T

        found: Floats = once(view, f"ranks {self.distance}", rows, out, make)
        return found

    def relate(self, a: Floats, b: Floats, n: int) -> Score:
        """The correlation of the ranks."""
        return Score(float(np.clip(np.vdot(a, b), -1, 1)), n, chance=0.0)

    def shuffled(self, a: Floats, b: Floats, orders: Rows) -> Floats:
        """Correlations with rows and columns of the second matrix in other orders."""
        found = np.fromiter(permuted_products(a, b, orders), np.float64, len(orders))
        return np.clip(found, -1, 1)
