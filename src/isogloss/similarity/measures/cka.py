"""CKA: whether the same sentences are alike in two views, by centred kernels."""

from typing import ClassVar, Literal

import numpy as np

from isogloss.settings import setting
from isogloss.similarity import kernels
from isogloss.similarity.base import Floats, MeasureInfo, Rows, Score
from isogloss.similarity.geometry import once
from isogloss.similarity.kernels import Kernel
from isogloss.similarity.paired import Paired
from isogloss.similarity.partial import Nuisance
from isogloss.similarity.view import UndefinedError, View

FEWEST = 4
"""Sentences without which the unbiased estimate does not exist."""


class Cka(Paired):
    """Centred kernel alignment: the cosine between the centred kernel matrices of two views.

    With few sentences and many features the plain estimate lies near one for unrelated views. The
    debiased one leaves out the products of sentences with themselves; its chance level is zero,
    so unrelated views score below zero half of the time. Between the two stands exactly what
    ``chance`` says: with centred kernels K and L it is tr K · tr L / ((n − 1) ‖K‖ ‖L‖), the mean
    of the plain estimate over all orders of the sentences.
    """

    info: ClassVar[MeasureInfo] = MeasureInfo(
        title="CKA",
        source="Kornblith et al. 2019, arXiv:1905.00414, section 3; debiased by HSIC₁ of Song et "
        "al. 2012, JMLR 13:1393, as in Nguyen et al. 2021, arXiv:2010.15327",
        range=(-1.0, 1.0),
        larger_is_more_similar=True,
        invariances=frozenset({"orthogonal", "isotropic scaling", "translation"}),
        cost="N²; N D² with more sentences than features",
    )

    kernel: Literal["linear", "rbf"] = setting(
        "linear", role="analysis", help='Inner products ("linear"), or a Gaussian kernel ("rbf").'
    )
    debiased: bool = setting(
        True, role="analysis", help="Unbiased estimates, so that unrelated views score about 0."
    )
    bandwidth: float = setting(
        1.0,
        role="analysis",
        help="Width of the Gaussian kernel, in units of the median distance between sentences.",
        gt=0,
        lt=1e6,
    )

    def form(self, view: View, rows: Rows, out: Nuisance | None) -> Kernel:
        """The centred kernel of some sentences."""

        def make() -> Kernel:
            if self.kernel == "linear":
                return kernels.linear(view, rows, out)
            return kernels.rbf(view, rows, out, self.bandwidth)

        found: Kernel = once(view, f"{self.kernel} {self.bandwidth}", rows, out, make)
        return found

    def relate(self, a: Kernel, b: Kernel, n: int) -> Score:
        """The alignment of two kernels, and its mean over all orders of the sentences."""
        if self.debiased and n < FEWEST:
            raise UndefinedError(
                f"debiased CKA needs at least {FEWEST} sentences beyond the confounds, there are "
                f"{n} (debiased=false needs 3)"
            )
        for name, kernel in (("first", a), ("second", b)):
            if self.debiased and not kernel.debiased_square:
                raise UndefinedError(
                    f"the {name} view has all {n} sentences equally far apart, which leaves "
                    "debiased CKA nothing to compare"
                )
        score = self._score(a, b, kernels.product(a, b), float(a.diagonal @ b.diagonal))
        chance = 0.0 if self.debiased else self._score(a, b, 1 / (n - 1), 0.0)
        return Score(float(score), n, chance=float(chance))

    def shuffled(self, a: Kernel, b: Kernel, orders: Rows) -> Floats:
        """Alignments with the sentences of the second view in other orders."""
        inner = kernels.permuted(a, b, orders)
        return np.asarray(self._score(a, b, inner, b.diagonal[orders] @ a.diagonal))

    def _score(
        self, a: Kernel, b: Kernel, inner: Floats | float, diagonals: Floats | float
    ) -> Floats | float:
        norm = np.sqrt(a.square) * np.sqrt(b.square)
        if self.debiased:
            inner = kernels.debiased(inner, diagonals, a.diagonal.size)
            norm *= np.sqrt(a.debiased_square) * np.sqrt(b.debiased_square)
        # A cosine; anything beyond one is rounding.
        return np.asarray(np.clip(inner / norm, -1.0, 1.0))
