"""Canonical correlations of two decomposed views: the cut, the coefficients, means and the null."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from isogloss.similarity.base import Floats, Rows
from isogloss.similarity.chance import CUT, Mean
from isogloss.similarity.decomposition import Decomposition
from isogloss.similarity.threads import one_thread

Rule = Literal["squared", "linear"]

TIE = 1e-12
"""Relative difference below which a sum has reached a share, so rounding does not decide a cut."""
LOST = 4e-5
"""A smaller singular value is not known to 1e-11 from its square."""
BLOCK = 2**21
"""Largest number of values in a block of permuted bases (16 MiB)."""


@dataclass(frozen=True)
class Basis:
    """The directions of a view that are kept, weighted as epsilon asks."""

    columns: Floats
    """(sentences × kept)."""
    values: Floats
    """(kept,) singular values, falling, up to a common factor."""

    @property
    def k(self) -> int:
        """Number of directions kept."""
        return self.values.size


def truncate(whole: Decomposition, *, share: float, rule: Rule, epsilon: float) -> Basis:
    """Keep the fewest leading directions that reach ``share``, and weight them.

    With v the variance of a direction as a share of the largest one, directions with v < epsilon
    are dropped and the others get the weight sqrt(v / (v + epsilon)). That is what adding epsilon
    to the diagonal of a covariance matrix in google/svcca's ``compute_ccas`` comes to after the
    singular value decomposition.
    """
    values = whole.values
    k = values.size
    if k and share < 1:
        sums = np.cumsum(values**2 if rule == "squared" else values)
        k = int(np.searchsorted(sums, share * sums[-1] * (1 - TIE))) + 1
    variance = (values[:k] / values[:1]) ** 2
    k = int(np.count_nonzero(variance >= epsilon))
    weights = np.sqrt(variance[:k] / (variance[:k] + epsilon))
    return Basis(whole.left(k) * weights, values[:k])


def is_even(basis: Basis) -> bool:
    """Whether epsilon gives all directions the same weight, to a millionth."""
    return bool((np.einsum("ij,ij->j", basis.columns, basis.columns) > 1 - 2e-6).all())


def in_order(a: Basis, b: Basis) -> tuple[Basis, Basis]:
    """Put two bases in an order of their own, so that exchanging the views changes no digit."""
    for one, two in zip(_traits(a), _traits(b), strict=True):
        if one != two:
            return (a, b) if one < two else (b, a)
    return a, b


def _traits(basis: Basis) -> Iterator[Any]:
    """What tells bases apart, cheapest first."""
    yield basis.k
    yield (basis.values / basis.values[:1]).tolist()
    yield basis.columns.tobytes()


@one_thread()
def coefficients(a: Basis, b: Basis) -> Floats:
    """Canonical correlations of two bases of the same sentences, falling."""
    # A copy: numpy multiplies an array with itself by another routine, which rounds differently.
    found = _values((a.columns.T.copy() @ b.columns)[None])[0]
    # A cosine; anything above one is rounding.
    clipped: Floats = np.minimum(found, 1.0)
    return clipped


def average(coefs: Floats, mean: Mean) -> Floats:
    """Mean over the last axis, of all coefficients or of the leading ones that make up 98 %.

    The second is google/svcca's: the fewest leading coefficients whose sum is at least 98 % of
    the whole, or all of them if the whole is zero.

    Args:
        coefs: (… × coefficients), falling along the last axis.
        mean: ``"all"`` or ``"98"``.
    """
    if mean == "all":
        return np.asarray(coefs.mean(axis=-1))
    sums = coefs.cumsum(axis=-1)
    total = sums[..., -1:]
    short = sums < CUT * total * (1 - TIE)
    last = np.where(total > 0, short.sum(axis=-1, keepdims=True), coefs.shape[-1] - 1)
    return np.asarray((np.take_along_axis(sums, last, axis=-1) / (last + 1))[..., 0])


@one_thread()
def permuted(a: Basis, b: Basis, *, mean: Mean, orders: Rows) -> Floats:
    """Scores of the same two views with the sentences of the second one shuffled.

    Centring, decomposition, cut and weights do not depend on the order of the sentences, so only
    the small product of the bases is formed and decomposed again; the null is exact all the same.

    Args:
        a: First basis.
        b: Second basis.
        mean: Which mean of the coefficients.
        orders: (permutations × sentences).

    Returns:
        (permutations,) scores.
    """
    scores = np.empty(len(orders))
    step = max(1, BLOCK // b.columns.size)
    turned = np.ascontiguousarray(a.columns.T)
    for start in range(0, len(orders), step):
        rows = orders[start : start + step]
        found = _values(turned @ b.columns[rows])
        scores[start : start + step] = average(np.minimum(found, 1.0), mean)
    return scores


def _values(products: Floats) -> Floats:
    """Singular values of many small matrices, falling.

    As roots of eigenvalues, which is faster, except where one is so small that squaring would lose
    it.
    """
    if products.shape[-2] > products.shape[-1]:
        products = products.swapaxes(-1, -2)
    squares = np.linalg.eigvalsh(products @ products.swapaxes(-1, -2))[..., ::-1]
    small = (squares < LOST**2).any(axis=-1)
    found: Floats = np.sqrt(np.maximum(squares, 0))
    if small.any():
        found[small] = np.linalg.svd(products[small], compute_uv=False)
    return found
