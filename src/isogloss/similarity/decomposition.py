"""The singular value decomposition of a view, as much of it as a measure needs."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from isogloss.similarity.base import Floats
from isogloss.similarity.lapack import Tridiagonal
from isogloss.similarity.partial import Nuisance

EPS = float(np.finfo(np.float64).eps)
MANY = 0.7
"""From this share of all vectors on, it is faster to compute all of them."""
SMALL = 32
"""Up to this size nothing is gained by computing only some vectors."""


@dataclass(frozen=True)
class Decomposition:
    """Singular values of a centred view, and left singular vectors on demand.

    Directions at the level of rounding are left out, so a view that does not vary has none.
    """

    values: Floats
    """(rank,) singular values, falling, up to a common factor."""
    make: Callable[[int], Floats]
    """Computes the vectors of the so many leading values."""
    _kept: list[Floats] = field(default_factory=list)

    def left(self, k: int) -> Floats:
        """The k leading left singular vectors: (rows × k), orthonormal columns."""
        columns = self._kept[0] if self._kept else None
        if columns is None or columns.shape[1] < k:
            columns = np.ascontiguousarray(self.make(k))
            columns.flags.writeable = False
            # Another thread may put fewer columns there at the same moment.
            self._kept[:] = [columns]
        return columns[:, :k]

    @classmethod
    def empty(cls, n: int) -> "Decomposition":
        """That of a view that does not vary."""
        return cls(np.empty(0), lambda _: np.empty((n, 0)))


def of_rows(x: Floats, out: Nuisance | None = None, *, noise: float = 0.0) -> Decomposition:
    """Decompose a centred view with more sentences than features, by singular values.

    Args:
        x: (sentences × features), centred and without confounds.
        out: The confounds, to map the vectors to rows that may be shuffled.
        noise: Singular values up to this are rounding of what was taken out before.
    """
    left, values, _ = np.linalg.svd(x, full_matrices=False)
    kept = values > np.maximum(len(x) * EPS * values[:1], noise)
    return Decomposition(values[kept], lambda k: _reduced(left[:, :k], out))


def of_gram(
    gram: Floats, rank: int, out: Nuisance | None = None, *, noise: float = 0.0
) -> Decomposition:
    """Decompose a view by its centred Gram matrix, with only the vectors that are asked for.

    The matrix is reduced to a tridiagonal one, whose eigenvalues are all found, since they decide
    how many vectors are kept; only those vectors are computed and turned back. With a third of them
    kept this takes half the time of dsyevd, which is the way back where it fails.

    Args:
        gram: (sentences × sentences), centred and without confounds.
        rank: Largest rank that it can have.
        out: The confounds, to map the vectors to rows that may be shuffled.
        noise: Eigenvalues up to this are rounding of what was taken out before.
    """
    n = len(gram)

    def whole(k: int) -> Floats:
        return np.linalg.eigh(gram)[1][:, ::-1][:, :k]

    if n <= SMALL:
        values, vectors = np.linalg.eigh(gram)
        return _of_eigen(values, lambda k: vectors[:, ::-1][:, :k], rank, noise, out)
    try:
        reduced = Tridiagonal(gram)
    except (ArithmeticError, NotImplementedError):
        values = np.asarray(np.linalg.eigvalsh(gram))
        return _of_eigen(values, whole, rank, noise, out)

    def some(k: int) -> Floats:
        found = reduced.leading(k) if k < MANY * n else None
        return whole(k) if found is None else found

    return _of_eigen(reduced.values, some, rank, noise, out)


def _of_eigen(
    values: Floats, make: Callable[[int], Floats], rank: int, noise: float, out: Nuisance | None
) -> Decomposition:
    falling = values[::-1][:rank]
    kept = falling > np.maximum(values.size * EPS * falling[:1], noise)
    return Decomposition(np.sqrt(falling[kept]), lambda k: _reduced(make(k), out))


def _reduced(columns: Floats, out: Nuisance | None) -> Floats:
    return columns if out is None else out.reduction @ columns
