"""A view made ready for comparison: checked, scaled, and decomposed once per set of sentences."""

import threading
from collections import OrderedDict
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from isogloss.errors import MeasureError
from isogloss.similarity.base import Rows
from isogloss.similarity.threads import one_thread

EPS = float(np.finfo(np.float64).eps)
DOMINANT = 0.5
"""A single feature with more than this share of the variance is warned about."""
KEPT_DECOMPOSITIONS = 4
SAFE = (1e-60, 1e60)
"""Largest values that are taken as they are; LAPACK scales extreme squares inexactly."""


@dataclass(frozen=True)
class Decomposition:
    """The thin singular value decomposition of a centred view, without its right side.

    Directions at the level of rounding are left out, so a view that does not vary has none.
    """

    left: NDArray[np.float64]
    """(sentences × rank), orthonormal columns."""
    values: NDArray[np.float64]
    """(rank,) singular values, falling, up to a common factor."""


@dataclass
class _Cell:
    lock: threading.Lock = field(default_factory=threading.Lock)
    value: Decomposition | None = None


class View:
    """One view, from which any subset of its sentences can be decomposed. Safe to share by threads.

    With no more sentences than features only the (sentences × sentences) Gram matrix is kept, and
    a subset is some of its rows and columns, centred again: what a pair costs no longer depends
    on the number of features. With more sentences the view itself is kept.

    Extreme values are scaled by a power of two, which is exact, so that their squares stay in
    range. Rows with NaN or infinity are noted in ``bad`` and spoil only the subsets that
    contain them.

    Args:
        x: (sentences × features) of any real type; anything that :func:`numpy.asarray` reads.

    Raises:
        MeasureError: It is no matrix of real numbers, or has no features.
    """

    def __init__(self, x: ArrayLike) -> None:
        raw = _matrix(x)
        self.shape: tuple[int, int] = (raw.shape[0], raw.shape[1])
        self.bad: Rows = np.empty(0, dtype=np.intp)
        """Rows with a value that is not finite."""
        reach = _reach(raw)
        if not np.isfinite(reach).all():
            self.bad = np.flatnonzero(~np.isfinite(raw).all(axis=1))
            raw[self.bad] = 0
            reach = _reach(raw)
        top = float(reach.max())
        if not SAFE[0] < top < SAFE[1]:
            exponent = -int(np.frexp(top)[1])
            raw, reach = np.ldexp(raw, exponent), np.ldexp(reach, exponent)
        good = np.setdiff1d(np.arange(self.shape[0]), self.bad)
        # Taking away a sentence before the mean leaves exact zeros where nothing varies.
        origin = raw[good[0]] if good.size else np.zeros_like(reach)
        x64 = np.subtract(raw, origin, dtype=np.float64)
        x64[self.bad] = 0
        x64 -= x64.sum(axis=0) / max(1, good.size)
        x64[self.bad] = 0
        self.warnings = _warnings(x64, reach)
        self._gram: NDArray[np.float64] | None = None
        self._x: NDArray[np.floating] | None = None
        if self.shape[0] <= self.shape[1]:
            with one_thread():
                self._gram = x64 @ x64.T
        else:
            self._x = raw
        self._lock = threading.Lock()
        self._cells: OrderedDict[bytes, _Cell] = OrderedDict()

    def decompose(self, rows: Rows) -> Decomposition:
        """Decompose the sentences ``rows``, or return what was found for them a moment ago.

        Args:
            rows: Valid row numbers, contiguous, none of them in :attr:`bad`.
        """
        key = rows.tobytes()
        with self._lock:
            cell = self._cells.setdefault(key, _Cell())
            self._cells.move_to_end(key)
            while len(self._cells) > KEPT_DECOMPOSITIONS:
                self._cells.popitem(last=False)
        with cell.lock:
            if cell.value is None:
                with one_thread():
                    cell.value = self._compute(rows)
            return cell.value

    def _compute(self, rows: Rows) -> Decomposition:
        n, width = rows.size, self.shape[1]
        if self._gram is not None:
            gram = self._gram[np.ix_(rows, rows)]
            # Equal sentences can leave this much when their products were summed differently.
            floor = 64 * EPS * n * float(gram.diagonal().max())
            return _from_gram(gram, floor, min(n - 1, width))
        assert self._x is not None  # noqa: S101
        x = self._x[rows].astype(np.float64)
        x -= x[0].copy()
        x -= x.mean(axis=0)
        if n <= width:
            return _from_gram(x @ x.T, 0.0, min(n - 1, width))
        left, values, _ = np.linalg.svd(x, full_matrices=False)
        kept = values > n * EPS * values[0]
        return _frozen(left[:, kept], values[kept])


def _from_gram(gram: NDArray[np.float64], floor: float, rank: int) -> Decomposition:
    means = gram.mean(axis=0)
    gram = gram - means - means[:, None] + means.mean()
    n = len(gram)
    if gram.trace() <= floor:
        return _frozen(np.empty((n, 0)), np.empty(0))
    values, vectors = np.linalg.eigh(gram)
    values, vectors = values[::-1][:rank], vectors[:, ::-1][:, :rank]
    kept = values > n * EPS * values[0]
    return _frozen(vectors[:, kept], np.sqrt(values[kept]))


def _frozen(left: NDArray[np.float64], values: NDArray[np.float64]) -> Decomposition:
    left = np.ascontiguousarray(left)
    left.flags.writeable = values.flags.writeable = False
    return Decomposition(left, values)


def _matrix(x: ArrayLike) -> NDArray[np.floating]:
    """Read an array as a contiguous float32 or float64 matrix, without losing precision."""
    try:
        array = np.asarray(x)
    except (TypeError, ValueError, RuntimeError) as error:
        raise MeasureError(f"a view could not be read as an array: {error}") from error
    if array.dtype.kind not in "fiub":
        raise MeasureError(f"a view must hold real numbers, but this one is {array.dtype}")
    if array.ndim != 2:
        raise MeasureError(
            f"a view must be a matrix (sentences × features), but this one has shape "
            f"{array.shape}; pool over time first, and keep both axes"
        )
    if array.shape[1] == 0:
        raise MeasureError(f"a view must have features, but this one has shape {array.shape}")
    if isinstance(x, np.ma.MaskedArray):
        array = np.ma.filled(x.astype(np.float64), np.nan)
    small = array.dtype in (np.float16, np.float32)
    return np.array(array, dtype=np.float32 if small else np.float64, order="C")


def _reach(x: NDArray[np.floating]) -> NDArray[np.floating]:
    reach: NDArray[np.floating] = np.maximum(x.max(axis=0, initial=0), -x.min(axis=0, initial=0))
    return reach


def _warnings(x: NDArray[np.float64], reach: NDArray[np.floating]) -> tuple[str, ...]:
    variance = np.einsum("ij,ij->j", x, x)
    total = float(variance.sum())
    if total == 0:
        return ()
    rounding = 4 * float(np.finfo(reach.dtype).eps) * reach.astype(np.float64)
    if (variance <= len(x) * rounding**2).all():
        return (f"varies only at the level of rounding of {reach.dtype}",)
    top = int(variance.argmax())
    share = float(variance[top]) / total
    if share > DOMINANT and variance.size > 2:
        return (f"feature {top} carries {share:.0%} of the variance",)
    return ()
