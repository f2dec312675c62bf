"""Procrustes: how well one view fits onto the other by a rotation."""

from typing import ClassVar

import numpy as np

from isogloss.similarity.base import Floats, MeasureInfo, Rows, Score
from isogloss.similarity.geometry import reordered
from isogloss.similarity.paired import Paired
from isogloss.similarity.partial import Nuisance
from isogloss.similarity.view import View


class Procrustes(Paired):
    """Orthogonal Procrustes similarity: the nuclear norm of X'Y for centred views of norm one.

    It is the cosine of the angular distance, and 2 − 2 score is the squared distance that is left
    after the best rotation or reflection. Views of unequal width are compared as if the narrower
    one had features of zeros. With singular value decompositions U S V' of the views only the
    singular values of S_x U_x' U_y S_y are needed.
    """

    info: ClassVar[MeasureInfo] = MeasureInfo(
        title="Procrustes",
        source="Schönemann 1966, Psychometrika 31:1; Ding et al. 2021, arXiv:2108.01661; "
        "the cosine of the angular distance of Williams et al. 2021, arXiv:2110.14739",
        range=(0.0, 1.0),
        larger_is_more_similar=True,
        invariances=frozenset({"orthogonal", "isotropic scaling", "translation"}),
        cost="min(N, D)³, and as much for each permutation",
    )

    def form(self, view: View, rows: Rows, out: Nuisance | None) -> Floats:
        """The view turned to its principal axes, with norm one: (sentences × rank)."""
        found = view.decompose(rows, out)
        weights = found.values / np.linalg.norm(found.values)
        return found.left(weights.size) * weights

    def relate(self, a: Floats, b: Floats, n: int) -> Score:
        """The nuclear norm of the product."""
        return Score(_nuclear(a.T, b), n)

    def shuffled(self, a: Floats, b: Floats, orders: Rows) -> Floats:
        """Scores with the sentences of the second view in other orders."""
        turned = np.ascontiguousarray(a.T)
        return np.array([_nuclear(turned, reordered(b, order, 0)) for order in orders])


def _nuclear(turned: Floats, other: Floats) -> float:
    # Eigenvalues of the product with its transpose would take two thirds of the time, but squares
    # cost the small singular values, which are many, half of their digits.
    total = np.linalg.svd(turned @ other, compute_uv=False).sum()
    return min(1.0, float(total))
