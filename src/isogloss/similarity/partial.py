"""Take confounds, such as the length of a sentence, out of views by linear regression."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike
from scipy.linalg import qr

from isogloss.errors import MeasureError
from isogloss.similarity.base import Floats
from isogloss.similarity.threads import one_thread

SAME_DIRECTION = 1e-8
"""A column that the ones before explain but for this share of its length adds nothing."""


@dataclass(frozen=True)
class Nuisance:
    """The directions, over the compared sentences, that confounds explain."""

    basis: Floats
    """(sentences × confounds), orthonormal columns that sum to zero."""

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
    def reduction(self) -> Floats:
        """(sentences − confounds × sentences) map onto as many rows as there is freedom left.

        Residuals of n sentences after q confounds move in n − 1 − q directions, so their rows
        depend on each other and may not be shuffled. This map takes them, without changing an
        angle, to n − q rows that sum to zero, as those of n − q sentences without confounds would
        (Huh and Jhun 2001, Journal of Computational and Graphical Statistics 10:133; Winkler et
        al. 2020, NeuroImage 220:117065). Without confounds it is the centring matrix.
        """
        n = len(self.basis)
        ones = np.full((n, 1), n**-0.5)
        left = n - self.count
        with one_thread():
            free = qr(np.hstack([ones, self.basis]))[0][:, 1 + self.count :]
            rows = qr(np.full((left, 1), left**-0.5))[0][:, 1:]
            return np.asarray(rows @ free.T)


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
