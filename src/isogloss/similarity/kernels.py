"""Centred kernels of two views: how they are held, and the products that CKA is made of."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from isogloss.similarity.base import Floats, Rows
from isogloss.similarity.decomposition import EPS
from isogloss.similarity.geometry import permuted_products, products, reordered
from isogloss.similarity.partial import Nuisance
from isogloss.similarity.view import UndefinedError, View

GATHER = 15
"""Time to move one value of a matrix into another order, in multiplications of a matrix product."""
LARGEST = 2**24
"""Values of the largest matrix that is formed for speed alone (128 MiB)."""


@dataclass(frozen=True)
class Kernel:
    """A centred kernel of n sentences, with trace 1: a matrix, or the rows whose products it holds.

    With far more sentences than features the matrix is never formed.
    """

    diagonal: Floats
    """(n,)"""
    factor: Floats | None = None
    """(n × features)"""
    matrix: Floats | None = None
    """(n × n)"""

    @cached_property
    def whole(self) -> Floats:
        """The matrix: (n × n)."""
        return np.asarray(self.matrix if self.factor is None else self.factor @ self.factor.T)

    @cached_property
    def square(self) -> float:
        """The sum of its squared entries."""
        return product(self, self)

    @cached_property
    def debiased_square(self) -> float:
        """Its debiased product with itself, as a share of :attr:`square`; 0 at rounding level."""
        n = self.diagonal.size
        share = float(debiased(self.square, float(self.diagonal @ self.diagonal), n) / self.square)
        return share if share > n * EPS else 0.0


def linear(view: View, rows: Rows, out: Nuisance | None) -> Kernel:
    """Inner products of centred sentences.

    Raises:
        UndefinedError: Nothing varies.
    """
    if rows.size <= view.shape[1]:
        return _scaled(products(view, rows, out))
    x = view.centred(rows, out)
    x = x if out is None else out.reduction @ x
    x /= np.linalg.norm(x)
    return Kernel(np.einsum("ij,ij->i", x, x), factor=x)


def rbf(view: View, rows: Rows, out: Nuisance | None, bandwidth: float) -> Kernel:
    """exp(−d² / (2 σ²)) of the Euclidean distances d, centred.

    Args:
        view: The view.
        rows: The sentences.
        out: Confounds.
        bandwidth: σ in units of the median distance.

    Raises:
        UndefinedError: Nothing varies, or most sentences are equal.
    """
    inner = products(view, rows, out)
    squares = inner.diagonal()
    apart = np.maximum(squares[:, None] + squares - 2 * inner, 0)
    n = len(apart)
    median = float(np.median(np.sqrt(apart[np.triu_indices(n, 1)])))
    if median**2 <= 64 * EPS * n * squares.max():
        raise UndefinedError("has equal sentences in most pairs, so its median distance is 0")
    kernel = np.exp(apart / (-2 * (bandwidth * median) ** 2))
    means = kernel.mean(axis=0)
    kernel -= means
    kernel -= (means - means.mean())[:, None]
    return _scaled(kernel)


def _scaled(matrix: Floats) -> Kernel:
    matrix = matrix / matrix.trace()
    return Kernel(matrix.diagonal().copy(), matrix=matrix)


def product(a: Kernel, b: Kernel) -> float:
    """The sum of a ∘ b over all entries."""
    if a.factor is not None and b.factor is not None:
        return _squares(a.factor.T @ b.factor)
    return float(np.vdot(a.whole, b.whole))


def permuted(a: Kernel, b: Kernel, orders: Rows) -> Floats:
    """:func:`product` with the sentences of b in other orders: (permutations,).

    From the rows or from the matrices, whichever takes less time.
    """
    return np.fromiter(_permuted(a, b, orders), np.float64, len(orders))


def _permuted(a: Kernel, b: Kernel, orders: Rows) -> Iterator[float]:
    n = a.diagonal.size
    if a.factor is not None and b.factor is not None:
        widths = a.factor.shape[1] * b.factor.shape[1]
        if widths <= GATHER * n or n * n > LARGEST:
            turned = np.ascontiguousarray(a.factor.T)
            return (_squares(turned @ reordered(b.factor, order, 0)) for order in orders)
    return permuted_products(a.whole, b.whole, orders)


def _squares(x: Floats) -> float:
    return float(np.vdot(x, x))


def debiased(inner: Floats | float, diagonals: Floats | float, n: int) -> Floats | float:
    """The unbiased estimate of HSIC, times n (n − 3), of centred kernels with trace 1.

    The published sum is over kernels without diagonals (Song et al. 2012, Journal of Machine
    Learning Research 13:1393, HSIC₁). Since rows of centred kernels sum to zero, it only takes
    the product of the whole kernels and that of their diagonals.

    Args:
        inner: :func:`product` of two kernels.
        diagonals: Product of their diagonals.
        n: Number of sentences, at least 4.
    """
    return inner - n / (n - 2) * diagonals + 1 / ((n - 1) * (n - 2))
