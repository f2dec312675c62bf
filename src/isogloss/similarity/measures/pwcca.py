"""PWCCA: canonical correlations weighted by how much of a view they account for."""

from dataclasses import dataclass
from math import lgamma
from typing import ClassVar, Literal

import numpy as np

from isogloss.settings import setting
from isogloss.similarity import cca
from isogloss.similarity.base import Floats, MeasureInfo, Rows, Score
from isogloss.similarity.canonical import kept_warnings
from isogloss.similarity.chance import wachter
from isogloss.similarity.geometry import once, reordered
from isogloss.similarity.paired import Paired
from isogloss.similarity.partial import Nuisance
from isogloss.similarity.view import View

TIED = 1e-5
"""Coefficients this close to one are taken as equal; epsilon moves forced ones by as much."""


@dataclass(frozen=True)
class Projected:
    """The kept directions of a view, and its neurons seen from them."""

    basis: cca.Basis
    neurons: Floats
    """(kept × features) inner products of the directions, without weights, and the neurons."""
    weights: Floats
    """(kept,) what epsilon leaves of each direction."""

    def pull(self, left: Floats, rho: Floats) -> Floats:
        """The weight of each canonical direction: the sum of |<h_i, x_j>| over the neurons x_j.

        Directions with a coefficient of one may be any that span the same space, such as those
        that must be one when there are too few sentences, and the sum depends on which. They get
        its mean over all choices.

        Args:
            left: (kept × coefficients) canonical directions in terms of the kept ones.
            rho: (coefficients,) falling.
        """
        directions = left * self.weights[:, None]
        directions /= np.linalg.norm(directions, axis=0)
        seen = directions.T @ self.neurons
        pulls = np.abs(seen).sum(axis=1)
        tied = int(np.count_nonzero(rho > 1 - TIED))
        if tied > 1:
            reach = float(np.sqrt(np.einsum("ij,ij->j", seen[:tied], seen[:tied])).sum())
            pulls[:tied] = reach * np.exp(lgamma(tied / 2) - lgamma((tied + 1) / 2)) / np.pi**0.5
        return np.asarray(pulls)


class Pwcca(Paired):
    """Projection weighted canonical correlation analysis.

    Σ α_i ρ_i / Σ α_i, where α_i = Σ_j |<h_i, x_j>|, the h_i are the canonical directions of a view
    (unit norm) and the x_j its neurons (centred columns; without confounds if there are any). Cut
    as for SVCCA; ``share=1`` is the published measure without a cut. It does not remove what
    chance adds: the expected score of unrelated views is that of their mean coefficient.
    google/svcca's ``compute_pwcca`` is another quantity: its directions lack the whitening.
    """

    keeps: ClassVar[bool] = True
    info: ClassVar[MeasureInfo] = MeasureInfo(
        title="PWCCA",
        source="Morcos et al. 2018, arXiv:1806.05759, equations 4 and 5",
        range=(0.0, 1.0),
        larger_is_more_similar=True,
        invariances=frozenset({"isotropic scaling", "translation", "feature permutation"}),
        cost="N³ + N k D + k³ + k² D, of which k³ + k² D for each permutation",
        symmetric=False,
    )

    share: float = setting(
        0.9, role="analysis", help="Share of each view's variance to keep.", gt=0, le=1
    )
    rule: cca.Rule = setting(
        "squared",
        role="analysis",
        help='What the share is of: the sum of "squared" singular values, or of the values '
        'themselves ("linear").',
    )
    weights: Literal["first", "second", "both"] = setting(
        "first",
        role="analysis",
        help='The view whose neurons give the weights; "both" averages the two scores.',
    )
    epsilon: float = setting(
        1e-10,
        role="analysis",
        help="Drop directions below this share of the largest variance, and damp those near it.",
        ge=0,
        lt=1,
    )

    def form(self, view: View, rows: Rows, out: Nuisance | None) -> Projected:
        """The kept directions, and the neurons seen from them."""

        def make() -> Projected:
            whole = view.decompose(rows, out)
            basis = cca.truncate(whole, share=self.share, rule=self.rule, epsilon=self.epsilon)
            left = whole.left(basis.k)
            directions = left if out is None else out.reduction.T @ left
            variance = (basis.values / basis.values[0]) ** 2
            weights = np.sqrt(variance / (variance + self.epsilon))
            return Projected(basis, directions.T @ view.centred(rows, out), weights)

        found: Projected = once(
            view, f"projected {self.share} {self.rule} {self.epsilon}", rows, out, make
        )
        return found

    def relate(self, a: Projected, b: Projected, n: int) -> Score:
        """The weighted mean of the canonical correlations."""
        score, rho = self._score(a, b, a.basis.columns.T @ b.basis.columns)
        k_x, k_y = a.basis.k, b.basis.k
        return Score(
            score,
            n,
            k_x=k_x,
            k_y=k_y,
            coefficients=rho,
            chance=wachter(k_x, k_y, n),
            warnings=kept_warnings(k_x, k_y, n),
        )

    def shuffled(self, a: Projected, b: Projected, orders: Rows) -> Floats:
        """Scores with the sentences of the second view in other orders."""
        turned, columns = np.ascontiguousarray(a.basis.columns.T), b.basis.columns
        return np.array(
            [self._score(a, b, turned @ reordered(columns, order, 0))[0] for order in orders]
        )

    def _score(self, a: Projected, b: Projected, cross: Floats) -> tuple[float, Floats]:
        left, rho, right = np.linalg.svd(cross, full_matrices=False)
        rho = np.minimum(rho, 1.0)
        found = []
        if self.weights != "second":
            found.append(a.pull(left, rho))
        if self.weights != "first":
            found.append(b.pull(right.T, rho))
        return float(np.mean([pulls @ rho / pulls.sum() for pulls in found])), rho
