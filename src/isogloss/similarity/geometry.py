"""Sentences as points: their rows, directions, inner products and distances in one view."""

from collections.abc import Callable, Iterator
from typing import Any, Literal

import numpy as np

from isogloss.similarity.base import Floats, Rows
from isogloss.similarity.decomposition import EPS
from isogloss.similarity.partial import Nuisance
from isogloss.similarity.view import UndefinedError, View

Distance = Literal["correlation", "cosine"]

DIGITS = 12
"""Digits of similarities that are told apart, so that rounding does not order equal ones."""
BLOCK = 96
"""Rows of a matrix that are brought into another order at once."""
SAME_DIRECTION = 1e-28
"""Distances up to this are those of sentences that point the same way, after rounding."""


def once(view: View, kind: str, rows: Rows, out: Nuisance | None, make: Callable[[], Any]) -> Any:
    """What ``make`` gives, made once per kind, set of sentences and confounds."""
    return view.remember(kind, (rows.tobytes(), out.key if out else b""), make)


def products(view: View, rows: Rows, out: Nuisance | None) -> Floats:
    """Inner products of centred sentences: (n × n), or (n − q × n − q) without q confounds.

    Raises:
        UndefinedError: Nothing varies.
    """
    if out is None:
        return view.gram(rows)
    view.gram(rows, out)
    turn = out.reduction
    return turn @ view.gram(rows) @ turn.T


def points(view: View, rows: Rows, out: Nuisance | None) -> Floats:
    """Sentences as they are, or without confounds: (n × features) or (n − q × features).

    Raises:
        UndefinedError: Nothing varies.
    """
    residual = view.centred(rows, out)
    if out is None:
        return view.features(rows)
    return out.reduction @ residual


def unit(x: Floats, *, rounding: float = 0.0) -> Floats:
    """Rows divided by their lengths.

    Args:
        x: (sentences × features).
        rounding: Length up to which a row is nothing but rounding.

    Raises:
        UndefinedError: A row has no direction.
    """
    norms = np.linalg.norm(x, axis=1)
    _refuse_flat(norms <= rounding)
    return np.asarray(x / norms[:, None])


def _refuse_flat(flat: Any) -> None:
    if np.any(flat):
        raise UndefinedError(
            f"has sentences without a direction ({np.count_nonzero(flat)} of {len(flat)}): all "
            "their features are equal, or zero"
        )


def distances(view: View, rows: Rows, out: Nuisance | None, kind: Distance) -> Floats:
    """One minus the correlation, or the cosine, of every sentence with every other one.

    They are made once for all sentences of a view, since they do not depend on which are compared;
    without confounds, from the inner products of what is left.

    Args:
        view: The view, with its features.
        rows: The sentences.
        out: Confounds.
        kind: ``"correlation"`` takes each sentence's mean over the features out first.

    Returns:
        (n × n) or, without q confounds, (n − q × n − q); symmetric, zero on the diagonal, in units
        of the largest one, with those that differ by no more than rounding made equal.

    Raises:
        UndefinedError: A sentence has no direction, or all have the same one.
    """
    if kind == "correlation" and view.shape[1] == 1:
        raise UndefinedError("has 1 feature, over which no correlation is defined")
    if out is None:
        view.centred(rows)
        every: Floats = view.remember(f"distances {kind}", b"", lambda: _all_distances(view, kind))
        found = every[np.ix_(rows, rows)]
        _refuse_flat(np.isnan(found.diagonal()))
    else:
        found = _residual_distances(view, rows, out, kind)
    largest = float(found.max())
    if largest <= SAME_DIRECTION:
        raise UndefinedError(f"has all {rows.size} sentences in the same direction")
    return np.asarray(np.round(found / largest, DIGITS))


def _all_distances(view: View, kind: Distance) -> Floats:
    """Distances of all sentences of a view; NaN for those without a direction."""
    x = view.features(np.arange(view.shape[0]))
    top = np.abs(x).max(axis=1)
    if kind == "correlation":
        x -= x[:, :1].copy()
        x -= x.mean(axis=1, keepdims=True)
    norms = np.linalg.norm(x, axis=1)
    flat = norms <= 64 * EPS * top
    flat[view.bad] = True
    x /= np.where(flat, 1, norms)[:, None]
    # Without their mean, directions that differ little are told apart by more digits.
    x -= x[~flat].mean(axis=0) if not flat.all() else 0
    found = _from_products(x @ x.T)
    found[flat] = np.nan
    found[:, flat] = np.nan
    return found


def _residual_distances(view: View, rows: Rows, out: Nuisance, kind: Distance) -> Floats:
    inner = products(view, rows, out)
    if kind == "correlation":
        means = out.reduction @ view.features(rows).mean(axis=1)
        inner -= view.shape[1] * np.outer(means, means)
    squares = inner.diagonal()
    _refuse_flat(squares <= 64 * EPS * rows.size * squares.max())
    lengths = np.sqrt(squares)
    return _from_products(inner / np.outer(lengths, lengths))


def _from_products(inner: Floats) -> Floats:
    squares = inner.diagonal()
    found = np.maximum((squares[:, None] + squares) / 2 - inner, 0)
    np.fill_diagonal(found, 0)
    return np.asarray((found + found.T) / 2)


def reordered(x: Floats, order: Rows, axis: int) -> Floats:
    """Rows or columns of a matrix in another order."""
    # The default mode checks the numbers into a buffer first, which takes twice the time.
    return x.take(order, axis=axis, mode="clip")


def permuted_products(a: Floats, b: Floats, orders: Rows) -> Iterator[float]:
    """Sums of a ∘ b over all entries, with rows and columns of b in other orders.

    In blocks of rows, which stay in the cache, and of those only what lies on or above the
    diagonal.

    Args:
        a: (n × n), symmetric.
        b: (n × n), symmetric.
        orders: (permutations × n).
    """
    starts = range(0, len(a), BLOCK)
    on = [np.ascontiguousarray(a[s : s + BLOCK, s : s + BLOCK]) for s in starts]
    above = [np.ascontiguousarray(2 * a[s : s + BLOCK, s + BLOCK :]) for s in starts]
    for order in orders:
        total = 0.0
        for block, start in enumerate(starts):
            stop = start + BLOCK
            some = reordered(b, order[start:stop], 0)
            total += float(np.vdot(on[block], reordered(some, order[start:stop], 1)))
            if stop < len(a):
                total += float(np.vdot(above[block], reordered(some, order[stop:], 1)))
        yield total
