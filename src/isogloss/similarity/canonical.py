"""Measures that are a mean of canonical correlations."""

from typing import Annotated, Any

import numpy as np
from pydantic import BeforeValidator

from isogloss.settings import setting
from isogloss.similarity import cca
from isogloss.similarity.base import Floats, Rows, Score
from isogloss.similarity.chance import Mean, wachter
from isogloss.similarity.paired import Paired
from isogloss.similarity.partial import Nuisance
from isogloss.similarity.view import View, subset_key

FEW = 10
"""A view that keeps fewer dimensions than this is warned about."""


def _as_text(value: Any) -> Any:
    return "98" if value == 98 and not isinstance(value, str) else value


class Canonical(Paired):
    """Mean of the canonical correlations of two views, cut to their leading directions.

    A subclass declares the fields ``share`` and ``rule``, or fixes them.
    """

    share: float
    rule: cca.Rule

    mean: Annotated[Mean, BeforeValidator(_as_text)] = setting(
        "all",
        role="analysis",
        help='Average "all" coefficients, or the leading ones that make up "98" % of their sum.',
    )
    epsilon: float = setting(
        1e-10,
        role="analysis",
        help="Drop directions below this share of the largest variance, and damp those near it.",
        ge=0,
        lt=1,
    )

    def form(self, view: View, rows: Rows, out: Nuisance | None) -> cca.Basis:
        """Cut a view to its leading directions."""

        def make() -> cca.Basis:
            whole = view.decompose(rows, out)
            return cca.truncate(whole, share=self.share, rule=self.rule, epsilon=self.epsilon)

        cut = ("cut", self.share, self.rule, self.epsilon)
        found: cca.Basis = view.remember(cut, subset_key(rows, out), make)
        return found

    def relate(self, a: cca.Basis, b: cca.Basis, n: int) -> Score:
        """Mean canonical correlation, with its expectation by Wachter's law."""
        first, second = cca.in_order(a, b)
        coefs = cca.coefficients(first, second)
        return Score(
            score=cca.average(coefs, self.mean).item(),
            n=n,
            k_x=a.k,
            k_y=b.k,
            coefficients=coefs,
            chance=wachter(a.k, b.k, n, mean=self.mean),
            warnings=kept_warnings(a.k, b.k, n),
        )

    def shuffled(self, a: cca.Basis, b: cca.Basis, orders: Rows) -> Floats:
        """Scores with the sentences of the second view shuffled."""
        n = len(a.columns)
        if max(a.k, b.k) >= n - 1 and cca.is_even(a) and cca.is_even(b):
            # One basis spans all there is, so no order of the other makes a difference.
            return np.full(len(orders), self.relate(a, b, n).score)
        return cca.permuted(a, b, mean=self.mean, orders=orders)


def kept_warnings(k_x: int, k_y: int, n: int) -> tuple[str, ...]:
    """What to know of a comparison of k_x and k_y dimensions over n sentences less confounds."""
    found = []
    forced = k_x + k_y - (n - 1)
    if forced > 0:
        found.append(
            f"{forced} of {min(k_x, k_y)} coefficients are one whatever the data: {k_x} and {k_y} "
            f"dimensions do not fit side by side into the {n - 1} of {n} sentences"
        )
    for name, k in (("first", k_x), ("second", k_y)):
        if k < FEW:
            what = "1 dimension" if k == 1 else f"{k} dimensions"
            found.append(f"the {name} view keeps only {what}")
    return tuple(found)
