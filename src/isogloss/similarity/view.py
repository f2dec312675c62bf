"""A view made ready for comparison: checked, scaled, and worked on once per set of sentences."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from isogloss.errors import MeasureError
from isogloss.similarity.base import Floats, Rows
from isogloss.similarity.decomposition import EPS, Decomposition, of_gram, of_rows
from isogloss.similarity.partial import Nuisance
from isogloss.similarity.threads import one_thread

DOMINANT = 0.5
"""A single feature with more than this share of the variance is warned about."""
REMEMBERED = 2
"""Sets of sentences whose work is kept, for each kind of work."""
SAFE = (1e-60, 1e60)
"""Largest values that are taken as they are; LAPACK scales extreme squares inexactly."""


class UndefinedError(Exception):
    """A measure is not defined for a view; the message says why and becomes the score's reason."""


@dataclass
class _Cell:
    lock: threading.Lock = field(default_factory=threading.Lock)
    value: Any = None


class View:
    """One view, from which any subset of its sentences can be compared. Safe to share by threads.

    With no more sentences than features only the (sentences × sentences) Gram matrix is kept, and
    a subset is some of its rows and columns, centred again: what a pair costs no longer depends
    on the number of features. With more sentences, or if a measure needs the features themselves
    (``keep``), the view is kept.

    Extreme values are scaled by a power of two, which is exact, so that their squares stay in
    range. Rows with NaN or infinity are noted in ``bad`` and spoil only the subsets that
    contain them.

    Args:
        x: (sentences × features) of any real type; anything that :func:`numpy.asarray` reads.
        zscore: Divide each feature by its standard deviation over all sentences of the view.
        keep: Keep the features.

    Raises:
        MeasureError: It is no matrix of real numbers, or has no features.
    """

    def __init__(self, x: ArrayLike, *, zscore: bool = False, keep: bool = False) -> None:
        raw = _matrix(x)
        self.shape: tuple[int, int] = (raw.shape[0], raw.shape[1])
        self.bad: Rows = np.empty(0, dtype=np.intp)
        """Rows with a value that is not finite."""
        reach = _reach(raw)
        if not np.isfinite(reach).all():
            self.bad = np.flatnonzero(~np.isfinite(raw).all(axis=1))
            raw[self.bad] = 0
            reach = _reach(raw)
        self.same = _same(raw)
        """For each row the number of the first row that is equal to it; None if all differ."""
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
        variance = np.einsum("ij,ij->j", x64, x64)
        self.warnings = _warnings(variance, reach, len(x64), zscore)
        """What to know of this view before trusting a score, without naming the view."""
        if zscore:
            # Noise of rounding in a feature that does not vary must not be blown up to variance.
            varies = variance > len(x64) * (4 * EPS * reach.astype(np.float64)) ** 2
            scale = np.where(varies, np.sqrt(np.where(varies, variance, 1) / max(1, good.size)), 1)
            x64 = np.where(varies, x64 / scale, 0.0)
            raw = x64 if keep or self.shape[0] > self.shape[1] else raw
        self._gram: Floats | None = None
        self._x: NDArray[np.floating] | None = None
        if self.shape[0] <= self.shape[1]:
            with one_thread():
                self._gram = x64 @ x64.T
        if keep or self._gram is None:
            self._x = raw
        self._lock = threading.Lock()
        self._cells: dict[Hashable, OrderedDict[Hashable, _Cell]] = {}

    def remember(self, kind: Hashable, key: Hashable, make: Callable[[], Any]) -> Any:
        """Return what ``make`` gives, made once and kept for the last few keys of a kind."""
        with self._lock:
            cells = self._cells.setdefault(kind, OrderedDict())
            cell = cells.setdefault(key, _Cell())
            cells.move_to_end(key)
            while len(cells) > REMEMBERED:
                cells.popitem(last=False)
        with cell.lock:
            if cell.value is None:
                cell.value = make()
            return cell.value

    def features(self, rows: Rows) -> Floats:
        """The activations of some sentences as they are: (sentences × features), float64.

        Their common power-of-two scale may differ from that of the input. Needs ``keep``.
        """
        if self._x is None:
            raise MeasureError("the features were not kept; prepare the view with keep=True")
        return self._x[rows].astype(np.float64)

    def centred(self, rows: Rows, out: Nuisance | None = None) -> Floats:
        """The activations of some sentences, centred and without confounds.

        Returns:
            (sentences × features). Needs ``keep``.

        Raises:
            UndefinedError: Nothing varies.
        """
        x = self.features(rows)
        x -= x[0].copy()
        total = float(np.abs(x).max(initial=0))
        x = out.residual(x) if out else x - x.mean(axis=0)
        if float(np.abs(x).max(initial=0)) <= 64 * EPS * rows.size * total:
            raise UndefinedError(_flat(rows.size, out))
        return x

    def gram(self, rows: Rows, out: Nuisance | None = None) -> Floats:
        """Inner products of some sentences, centred and without confounds.

        Returns:
            (n × n), with n the sentences less the confounds: see :attr:`Nuisance.reduction`.

        Raises:
            UndefinedError: Nothing varies.
        """
        gram, _ = self._centred_gram(rows, out)
        return gram if out is None else out.reduction @ gram @ out.reduction.T

    def decompose(self, rows: Rows, out: Nuisance | None = None) -> Decomposition:
        """Singular values and left vectors of some sentences, centred and without confounds.

        Args:
            rows: Valid row numbers, contiguous, none of them in :attr:`bad`.
            out: Confounds.

        Raises:
            UndefinedError: Nothing varies.
        """

        def make() -> Decomposition:
            with one_thread():
                return self._decompose(rows, out)

        found: Decomposition = self.remember("decomposition", subset_key(rows, out), make)
        if not found.values.size:
            raise UndefinedError(_flat(rows.size, out))
        return found

    def _decompose(self, rows: Rows, out: Nuisance | None) -> Decomposition:
        n, width = rows.size, self.shape[1]
        spent = 1 + (out.count if out else 0)
        if self._gram is None and n > width:
            x = self.features(rows)
            x -= x[0].copy()
            noise = EPS * n * float(np.linalg.norm(x)) if out else 0.0
            x = out.residual(x) if out else x - x.mean(axis=0)
            return of_rows(x, out, noise=noise)
        try:
            gram, noise = self._centred_gram(rows, out)
        except UndefinedError:
            return Decomposition.empty(n)
        return of_gram(gram, min(n - spent, width), out, noise=noise)

    def _centred_gram(self, rows: Rows, out: Nuisance | None) -> tuple[Floats, float]:
        """The Gram matrix with as many rows as sentences, and the rounding in its eigenvalues."""
        if self._gram is not None:
            gram = self._gram[rows][:, rows]  # np.ix_ takes three times as long
        else:
            x = self.features(rows)
            x -= x[0].copy()
            x -= x.mean(axis=0)
            with one_thread():
                gram = x @ x.T
        # Equal sentences can leave this much when their products were summed differently.
        floor = 64 * EPS * rows.size * float(gram.diagonal().max())
        means = gram.mean(axis=0)
        means -= means.mean() / 2
        gram -= means
        gram -= means[:, None]
        noise = 0.0
        if out is not None:
            noise = EPS * rows.size * float(gram.trace())
            floor = max(floor, rows.size * noise)
            part = gram @ out.basis
            both = out.basis @ part.T
            gram = gram - both - both.T + out.basis @ (out.basis.T @ part) @ out.basis.T
        if gram.trace() <= floor:
            raise UndefinedError(_flat(rows.size, out))
        return gram, noise


def subset_key(rows: Rows, out: Nuisance | None) -> Hashable:
    """What tells one set of sentences, without some confounds, from another."""
    return rows.tobytes(), out.key if out else b""


def _flat(n: int, out: Nuisance | None) -> str:
    if out is not None:
        return f"does not vary between the {n} sentences beyond its confounds"
    return f"does not vary between the {n} sentences"


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


def _same(x: NDArray[np.floating]) -> Rows | None:
    first: dict[bytes, int] = {}
    found = [first.setdefault(row.tobytes(), i) for i, row in enumerate(x)]
    return None if len(first) == len(x) else np.array(found, dtype=np.intp)


def _reach(x: NDArray[np.floating]) -> NDArray[np.floating]:
    reach: NDArray[np.floating] = np.maximum(x.max(axis=0, initial=0), -x.min(axis=0, initial=0))
    return reach


def _warnings(
    variance: Floats, reach: NDArray[np.floating], n: int, zscore: bool
) -> tuple[str, ...]:
    total = float(variance.sum())
    if total == 0:
        return ()
    rounding = 4 * float(np.finfo(reach.dtype).eps) * reach.astype(np.float64)
    if (variance <= n * rounding**2).all():
        return (f"varies only at the level of rounding of {reach.dtype}",)
    top = int(variance.argmax())
    share = float(variance[top]) / total
    if share > DOMINANT and variance.size > 2 and not zscore:
        return (
            f"feature {top} carries {share:.0%} of the variance (zscore=true gives all features "
            "the same)",
        )
    return ()
