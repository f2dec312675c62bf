"""Take confounds, such as the length of a sentence, out of views by linear regression."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import qr

from isogloss.errors import MeasureError
from isogloss.similarity.base import Floats
from isogloss.similarity.threads import one_thread

SAME_DIRECTION = 1e-8
"""A column that the ones before explain but for this share of its length adds nothing."""
PARALLEL = 1e-8
"""Smallest sine of an angle that is turned; a smaller one changes nothing beyond rounding."""


@dataclass(frozen=True)
class Nuisance:
    """The directions, over the compared sentences, that confounds explain.

    An array made of it is its basis, so it can be given wherever covariates are taken.
    """

    basis: Floats
    """(sentences × confounds), orthonormal columns that sum to zero."""

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return np.array(self.basis, dtype=dtype)

    @property
    def count(self) -> int:
        """How many directions are taken out; that many sentences are spent."""
        return int(self.basis.shape[1])

    @cached_property
    def key(self) -> bytes:
        """What tells this from other confounds of the same sentences."""
        return self.basis.tobytes()

    def residual(self, x: Floats) -> Floats:
        """Centre a matrix over its sentences and take the confounds out.

        Args:
            x: (sentences × anything).
        """
        x = x - x.mean(axis=0)
        return x - self.basis @ (self.basis.T @ x)

    @cached_property
    def kept(self) -> NDArray[np.intp]:
        """(sentences − confounds,) which sentences the rows of :attr:`reduction` stand for.

        The confounds reach the others most, such as the longest.
        """
        n, q = self.basis.shape
        dropped = qr(self.basis.T, mode="r", pivoting=True)[1][:q]
        return np.setdiff1d(np.arange(n), dropped)

    @cached_property
    def reduction(self) -> Floats:
        """(sentences − confounds × sentences) map to rows that may be shuffled.

        Residuals of n sentences after q confounds move in n − 1 − q directions, so they lean on
        each other, in a pattern of the confounds alone that both views share: unrelated views of
        30 sentences and 1000 features then have an RSA of 0.4 after 8 confounds, while shuffling
        says 0. This takes them to n − q rows that do not lean on each other: times its transpose
        it is the centring matrix, so the rows sum to zero, as those of n − q sentences without
        confounds would. Any such map would do for measures that see rows only through sums over
        all (Huh and Jhun 2001, Journal of Computational and Graphical Statistics 10:133). Measures
        that depend on single sentences, such as neighbours, need rows that still stand for them.
        So this is the one whose rows come closest to the residuals of n − q of the sentences: best
        linear unbiased residuals with a scalar covariance matrix (Theil 1965, Journal of the
        American Statistical Association 60:1067; as a basis for shuffling: Winkler et al. 2020,
        NeuroImage 220:117065).

        The space of the residuals is turned, by the smallest angles that do it, onto what can vary
        in the rows that are kept. Only 2 (q + 1) directions are turned.
        """
        n, q = self.basis.shape
        taken = np.hstack([np.full((n, 1), n**-0.5), self.basis])
        kept = self.kept
        dropped = np.setdiff1d(np.arange(n), kept)
        fixed = np.zeros((n, q + 1))
        fixed[kept, 0] = kept.size**-0.5
        fixed[dropped, np.arange(1, q + 1)] = 1
        with one_thread():
            left, cosines, right = np.linalg.svd(fixed.T @ taken)
            aim, start = fixed @ left, taken @ right.T
            rest = aim - start * cosines
            sines = np.linalg.norm(rest, axis=0)
            turned = sines > PARALLEL
            beside = np.where(turned, rest / np.where(turned, sines, 1), 0)
            matrix = np.eye(n) - taken @ taken.T
            matrix += (beside * (cosines - 1) - start * sines) @ beside.T
        return np.ascontiguousarray(matrix[kept])


def nuisance(covariates: ArrayLike | Nuisance | None, n: int) -> Nuisance | None:
    """Make confounds ready to be taken out.

    Columns that do not vary, or that repeat others, cost nothing.

    Args:
        covariates: (sentences × confounds), or what this returned before.
        n: Number of sentences that are compared.

    Returns:
        None if nothing is to be taken out.

    Raises:
        MeasureError: It is no finite matrix with one row per sentence.
    """
    if covariates is None or isinstance(covariates, Nuisance):
        if covariates is not None and len(covariates.basis) != n:
            raise MeasureError(f"covariates of {len(covariates.basis)} sentences, {n} are compared")
        return covariates
    try:
        x = np.array(covariates, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise MeasureError(f"covariates must be numbers: {error}") from None
    x = x[:, None] if x.ndim == 1 else x
    if x.ndim != 2 or len(x) != n:
        raise MeasureError(
            f"covariates must have one row for each of the {n} compared sentences, but their "
            f"shape is {x.shape}"
        )
    if not np.isfinite(x).all():
        row = int(np.flatnonzero(~np.isfinite(x).all(axis=1))[0])
        raise MeasureError(f"covariates hold NaN or infinity, first in row {row}")
    basis = np.empty((n, 0))
    for column in x.T:
        scale = float(np.abs(column).max(initial=0))
        # Twice, since one pass leaves rounding errors along the earlier columns.
        rest = column / scale if scale else column
        rest = rest - rest.mean()
        length = float(np.linalg.norm(rest))
        if length <= SAME_DIRECTION:
            continue
        for _ in range(2):
            rest = rest - basis @ (basis.T @ rest)
            rest = rest - rest.mean()
        left = float(np.linalg.norm(rest))
        if left > SAME_DIRECTION * length:
            basis = np.column_stack([basis, rest / left])
    return Nuisance(basis) if basis.size else None
