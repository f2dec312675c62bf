"""The steps of :mod:`isogloss.similarity.batched`, on arrays of any library.

Members of a batch keep different numbers of dimensions. Columns beyond a member's own number are
zero, so they add coefficients of zero, which fall behind its own and are left out by counting.
Nothing is written in place, so that libraries without that work too.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from isogloss.similarity.base import Rows
from isogloss.similarity.cca import TIE, Rule
from isogloss.similarity.chance import CUT, Mean
from isogloss.similarity.stacks import Array

LOST = {"float64": 4e-5, "float32": 1e-3}
"""A coefficient below this has lost too many digits as the root of an eigenvalue: 1e-11 of them,
or 1e-4."""
ROUNDINGS = 16
"""Roundings of float32 within which a sum has reached a share, and below which an eigenvalue is
none. Another n times as many, as in float64, would drop directions that matter."""


@dataclass(frozen=True)
class Bases:
    """The kept and weighted directions of one view per pair."""

    columns: Array
    """(pairs × n × most kept), zero beyond a view's own number."""
    k: Array
    """(pairs,) dimensions kept, 0 where there are none to keep."""
    finite: Array
    """(pairs,) whether a view has neither NaN nor infinity."""
    varies: Array
    """(pairs,) false for a view that does not vary."""


def no_bases(xp: Any, grams: Array, kind: Any) -> Bases:
    """Bases of too few sentences: none."""
    pairs, n = grams.shape[0], grams.shape[1]
    no = xp.zeros((pairs,), dtype=xp.bool, device=grams.device)
    columns = xp.zeros((pairs, n, 1), dtype=kind, device=grams.device)
    k = xp.zeros((pairs,), dtype=xp.int64, device=grams.device)
    return Bases(columns, k, finite=~no, varies=no)


def bases(
    xp: Any, grams: Array, kind: Any, *, share: float, rule: Rule, epsilon: float, rank: int | None
) -> Bases:
    """Decompose, cut and weight, by the steps of ``View.decompose`` and ``cca.truncate``.

    Args:
        xp: Array namespace.
        grams: (pairs × n × n) centred Gram matrices.
        kind: Type to decompose in.
        share: As for ``svcca_batch``, like the next two.
        rule: What the share is of.
        epsilon: Smallest share of the largest variance.
        rank: Largest rank that a view can have; None for n − 1.
    """
    n = grams.shape[1]
    finite = xp.all(xp.isfinite(grams), axis=(1, 2))
    trace = xp.linalg.trace(grams)
    varies = ~finite | (trace > 0)
    good = (finite & varies)[:, None, None]
    # One member that is not finite would make the decomposition of all of them fail.
    scaled = xp.where(good, grams / xp.where(good, trace[:, None, None], 1.0), 0.0)
    found = xp.linalg.eigh(xp.asarray(scaled, dtype=kind))
    values = xp.asarray(xp.flip(found[0], axis=1), dtype=xp.float64)
    top = values[:, :1]
    index = xp.arange(n, device=grams.device)[None, :]
    eps = float(xp.finfo(kind).eps)
    single = kind == xp.float32
    floor = (ROUNDINGS if single else n) * eps
    kept = (values > floor * top) & (index < min(n - 1, rank or n - 1))
    values = xp.where(kept, values, 0.0)
    k = _count(xp, kept)
    if share < 1:
        sums = xp.cumulative_sum(values if rule == "squared" else xp.sqrt(values), axis=1)
        tie = ROUNDINGS * eps if single else TIE
        short = sums < share * sums[:, -1:] * (1 - tie)
        k = xp.minimum(k, _count(xp, short) + 1)
    ratios = values / xp.where(top > 0, top, 1.0)
    stay = (index < k[:, None]) & (ratios >= epsilon) & good[:, :, 0]
    k = _count(xp, stay)
    ratios = xp.where(stay, ratios, 0.0)
    weights = xp.sqrt(ratios / xp.where(stay, ratios + epsilon, 1.0))
    most = max(1, *host(k))
    columns = xp.flip(found[1], axis=2)[:, :, :most]
    columns = columns * xp.asarray(weights, dtype=kind)[:, None, :most]
    return Bases(columns, k, finite=finite, varies=varies)


def _count(xp: Any, mask: Array) -> Array:
    return xp.sum(xp.asarray(mask, dtype=xp.int64), axis=1)


def host(numbers: Array) -> list[int]:
    """Bring a short array of whole numbers or of truths to Python."""
    return [int(i) for i in (numbers.tolist() if hasattr(numbers, "tolist") else numbers)]


def coefficients(xp: Any, products: Array, counts: Array) -> Array:
    """Canonical correlations from products of bases, in float64, falling, zero beyond the counts.

    They are roots of the eigenvalues of M M', which are found in two thirds of the time of the
    singular values of M on one CPU core. Squaring loses the digits of small ones, so members that
    have any are done again by singular values.

    Args:
        xp: Array namespace.
        products: (… × p × q).
        counts: (…) true number of coefficients of each.

    Returns:
        (… × the smaller of p and q).
    """
    if products.shape[-2] > products.shape[-1]:
        products = xp.matrix_transpose(products)
    lead, (p, q) = tuple(products.shape[:-2]), products.shape[-2:]
    flat = xp.reshape(products, (-1, p, q))
    inside = xp.arange(p, device=flat.device)[None, :] < xp.reshape(counts, (-1,))[:, None]
    squares = xp.linalg.eigvalsh(xp.matmul(flat, xp.matrix_transpose(flat)))
    squares = xp.flip(xp.asarray(squares, dtype=xp.float64), axis=1)
    lost = LOST["float32" if flat.dtype == xp.float32 else "float64"]
    again = xp.any(inside & (squares < lost**2), axis=1)
    found = xp.sqrt(xp.where(squares > 0, squares, 0.0))
    numbers = [i for i, one in enumerate(host(again)) if one]
    if numbers:
        chosen = xp.take(flat, xp.asarray(numbers, device=flat.device), axis=0)
        better = xp.asarray(xp.linalg.svdvals(chosen), dtype=xp.float64)
        order = np.arange(flat.shape[0])
        order[numbers] = flat.shape[0] + np.arange(len(numbers))
        both = xp.concat([found, better], axis=0)
        found = xp.take(both, xp.asarray(order, device=flat.device), axis=0)
    # A cosine; anything above one is rounding.
    found = xp.where(inside, xp.where(found < 1, found, 1.0), 0.0)
    return xp.reshape(found, (*lead, p))


def average(xp: Any, coefs: Array, counts: Array, mean: Mean) -> Array:
    """Mean of the first ``counts`` coefficients, or of the leading 98 % of their sum.

    Zero where there are none.
    """
    size = xp.where(counts > 0, counts, 1)
    if mean == "all":
        return xp.sum(coefs, axis=-1) / xp.asarray(size, dtype=xp.float64)
    sums = xp.cumulative_sum(coefs, axis=-1)
    total = sums[..., -1:]
    short = xp.asarray(sums < CUT * total * (1 - TIE), dtype=xp.int64)
    last = xp.where(total[..., 0] > 0, xp.sum(short, axis=-1), size - 1)
    here = xp.arange(coefs.shape[-1], device=coefs.device) == last[..., None]
    return xp.sum(xp.where(here, sums, 0.0), axis=-1) / xp.asarray(last + 1, dtype=xp.float64)


def null(xp: Any, a: Bases, b: Bases, orders: Rows, *, mean: Mean, memory: int) -> Array:
    """Scores with the rows of the second bases in other orders: (pairs × permutations).

    Args:
        xp: Array namespace.
        a: First bases; pairs without any are given NaN.
        b: Second bases.
        orders: (permutations × n).
        mean: Which mean of the coefficients.
        memory: Bytes that a block may take.
    """
    pairs, n, _ = b.columns.shape
    orders = np.array(orders)
    shuffles, device = len(orders), a.columns.device
    counts, k_a, k_b = xp.minimum(a.k, b.k), host(a.k), host(b.k)
    nothing = xp.full((1, shuffles), xp.nan, dtype=xp.float64, device=device)
    if not shuffles:
        return xp.concat([nothing] * pairs, axis=0)
    # Pairs of like sizes go together, so that little is spent on columns of zeros.
    todo = sorted((i for i in range(pairs) if k_a[i] and k_b[i]), key=lambda i: (k_a[i], k_b[i]))
    parts, place = [nothing], np.zeros(pairs, dtype=np.int64)
    bytes_each = 4 if a.columns.dtype == xp.float32 else 8
    while todo:
        p, q = k_a[todo[-1]], k_b[todo[-1]]
        many = max(1, memory // (bytes_each * (n * q + p * q + 3 * min(p, q) ** 2)))
        members, todo = todo[-max(1, many // shuffles) :], todo[: -max(1, many // shuffles)]
        q = max(k_b[i] for i in members)
        chosen = xp.asarray(members, device=device)
        left = xp.matrix_transpose(xp.take(a.columns, chosen, axis=0)[:, :, :p])[:, None, :, :]
        right = xp.take(b.columns, chosen, axis=0)[:, :, :q]
        size = xp.take(counts, chosen)[:, None]
        scores = []
        for start in range(0, shuffles, many):
            some = orders[start : start + many]
            rows = xp.asarray(some.reshape(-1), device=device)
            turned = xp.reshape(xp.take(right, rows, axis=1), (len(members), len(some), n, q))
            sizes = xp.broadcast_to(size, (len(members), len(some)))
            coefs = coefficients(xp, xp.matmul(left, turned), sizes)
            scores.append(average(xp, coefs, sizes, mean))
        place[members] = sum(part.shape[0] for part in parts) + np.arange(len(members))
        parts.append(xp.concat(scores, axis=1))
    return xp.take(xp.concat(parts, axis=0), xp.asarray(place, device=device), axis=0)
