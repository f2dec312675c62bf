"""Correlations of matrices: taking a control out, and letting languages change places."""

from itertools import permutations
from math import factorial

import numpy as np

from isogloss.similarity.base import Floats, Rows

_CHUNK = 1 << 19
"""Entries of permuted matrices that are held at once; more do not fit the processor's cache."""
_ROUNDING = 1e-10
_NOTHING = 1e-12
"""Share of a variance below which what is left of it is rounding."""


def drawn_orders(count: int, most: int, seed: int) -> tuple[Rows, bool]:
    """Orders of languages other than the given one.

    Args:
        count: Number of languages.
        most: Largest number of orders; if there are no more, all of them are given.
        seed: Of random orders.

    Returns:
        (orders × languages), and whether these are all there are.
    """
    if count < 13 and factorial(count) <= most + 1:
        return np.array(list(permutations(range(count)))[1:], np.intp), True
    rng = np.random.default_rng(seed)
    return np.argsort(rng.random((most, count)), axis=1), False


def relabelled(
    orders: Rows, first: Rows, second: Rows, x: Floats, ys: Floats, basis: Floats
) -> Floats:
    """Correlations under other orders of the languages of one matrix.

    Args:
        orders: (orders × languages) which language stands in whose place.
        first: (pairs,) first language of each pair.
        second: (pairs,) second language.
        x: (pairs,) entries of the matrix that is permuted.
        ys: (pairs × matrices) unit columns that are free of the basis.
        basis: (pairs × directions) orthonormal; what it explains is taken out of the permuted
            matrix too. A constant is among it.

    Returns:
        (orders × matrices). 0 where a permuted matrix lies in the basis altogether. Where the
        matrix lacks pairs, each order has pairs of its own, those that are there after it too.
    """
    count = orders.shape[1]
    table = np.full((count, count), np.nan)
    table[first, second] = table[second, first] = x
    # One index into the flat table costs less than two.
    flat = table.ravel()
    made = _dense if len(x) == count * (count - 1) // 2 else _masked
    found = np.empty((len(orders), ys.shape[1]))
    step = max(1, _CHUNK // max(1, len(x)))
    for start in range(0, len(orders), step):
        part = orders[start : start + step]
        moved = flat[part[:, first] * count + part[:, second]]
        found[start : start + step] = made(moved, ys, basis)
    return found


def _dense(moved: Floats, ys: Floats, basis: Floats) -> Floats:
    taken = moved @ basis
    whole = np.einsum("bp,bp->b", moved, moved)
    left = whole - np.einsum("bq,bq->b", taken, taken)
    empty = left <= _NOTHING * whole
    scale = np.sqrt(np.where(empty, 1.0, left))
    return np.where(empty[:, None], 0.0, (moved @ ys) / scale[:, None])


def _masked(moved: Floats, ys: Floats, basis: Floats) -> Floats:
    there = ~np.isnan(moved)
    mask, v = there.astype(np.float64), np.where(there, moved, 0.0)
    pairs, q, m = len(basis), basis.shape[1], ys.shape[1]
    held = (mask @ np.einsum("pi,pj->pij", basis, basis).reshape(pairs, -1)).reshape(-1, q, q)
    inverse = np.linalg.pinv(held, hermitian=True)
    with_v = v @ basis
    with_y = (mask @ np.einsum("pi,pm->pim", basis, ys).reshape(pairs, -1)).reshape(-1, q, m)
    whole_v, whole_y = (v * v).sum(axis=1), mask @ ys**2
    left_v = whole_v - np.einsum("bi,bij,bj->b", with_v, inverse, with_v)
    left_y = whole_y - np.einsum("bim,bij,bjm->bm", with_y, inverse, with_y)
    both = v @ ys - np.einsum("bi,bij,bjm->bm", with_v, inverse, with_y)
    empty = (left_v <= _NOTHING * whole_v)[:, None] | (left_y <= _NOTHING * whole_y)
    scale = np.sqrt(np.where(empty, 1.0, left_v[:, None] * left_y))
    return np.where(empty, 0.0, np.clip(both / scale, -1.0, 1.0))


def span(control: Floats, pairs: int) -> Floats:
    """Orthonormal directions of a constant and the control: (pairs × directions)."""
    columns = np.column_stack([np.ones(pairs), control])
    left, values, _ = np.linalg.svd(unit(columns), full_matrices=False)
    return left[:, values > _ROUNDING * values[0]]


def residual(basis: Floats, values: Floats) -> Floats:
    """What a regression on the basis leaves; exactly 0 where that is rounding alone."""
    left = values - basis @ (basis.T @ values)
    tiny = np.abs(left).max(axis=0) <= _ROUNDING * np.abs(values).max(axis=0)
    return np.where(tiny, 0.0, left)


def unit(columns: Floats) -> Floats:
    """Columns of length 1; those of 0 stay."""
    length = np.sqrt((columns**2).sum(axis=0))
    return columns / np.where(length > 0, length, 1.0)
