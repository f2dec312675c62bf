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
    ratios: Array
    """(pairs × most kept) eigenvalues as a share of the largest, zero beyond."""
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
    ratios = xp.zeros((pairs, 1), dtype=xp.float64, device=grams.device)
    return Bases(columns, k, ratios, finite=~no, varies=no)


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
    return Bases(columns, k, ratios[:, :most], finite=finite, varies=varies)


def _count(xp: Any, mask: Array) -> Array:
    return xp.sum(xp.asarray(mask, dtype=xp.int64), axis=1)


def host(numbers: Array) -> list[int]:
    """Bring a short array of whole numbers or of truths to Python."""
    return [int(i) for i in (numbers.tolist() if hasattr(numbers, "tolist") else numbers)]


def in_order(xp: Any, a: Bases, b: Bases) -> tuple[Array, Array]:
    """Put the columns of each pair in an order of their own, as ``cca.in_order`` does.

    The first of the two has no more dimensions than the second, in every pair. Where both views
    keep a single dimension nothing but their vectors tells them apart, and the shuffles may be
    the inverse ones of ``cca.in_order``.
    """
    most = max(a.ratios.shape[1], b.ratios.shape[1])
    one, two = (_widened(xp, side.ratios, most) for side in (a, b))
    # The first ratio at which they differ decides between equal numbers of dimensions.
    further = one - two
    at = xp.argmax(xp.asarray(further != 0, dtype=xp.int64), axis=1, keepdims=True)
    here = xp.arange(most, device=at.device)[None, :] == at
    later = xp.sum(xp.where(here, further, 0.0), axis=1) > 0
    turn = ((b.k < a.k) | ((b.k == a.k) & later))[:, None, None]
    x, y = (_widened(xp, side.columns, most) for side in (a, b))
    first, second = xp.where(turn, y, x), xp.where(turn, x, y)
    least = max(1, *host(xp.minimum(a.k, b.k)))
    return first[:, :, :least], second


def _widened(xp: Any, x: Array, most: int) -> Array:
    shape = (*x.shape[:-1], most - x.shape[-1])
    return xp.concat([x, xp.zeros(shape, dtype=x.dtype, device=x.device)], axis=-1)


def coefficients(xp: Any, products: Array, counts: Array) -> Array:
    """Canonical correlations from products of bases, in float64, falling, zero beyond the counts.

    They are roots of the eigenvalues of M M', which are found in two thirds of the time of the
    singular values of M on one CPU core. Squaring loses the digits of small ones, so members that
    have any are done again by singular values.

    Args:
        xp: Array namespace.
        products: (… × p × q) with p no more than q.
        counts: (…) true number of coefficients of each.
    """
    lead = tuple(products.shape[:-2])
    p = products.shape[-2]
    flat = xp.reshape(products, (-1, p, products.shape[-1]))
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


def null(
    xp: Any, a: Array, b: Array, counts: Array, orders: Rows, *, mean: Mean, memory: int
) -> Array:
    """Scores with the rows of ``b`` in other orders: (pairs × permutations).

    Args:
        xp: Array namespace.
        a: (pairs × n × p) bases, zero beyond their own number of columns.
        b: (pairs × n × q), q no less than p.
        counts: (pairs,) number of coefficients, 0 for pairs whose scores are to be NaN.
        orders: (permutations × n).
        mean: Which mean of the coefficients.
        memory: Bytes that a block may take.
    """
    pairs, n, _ = b.shape
    orders = np.array(orders)
    shuffles = len(orders)
    own = host(counts)
    width = host(_count(xp, xp.any(b != 0, axis=1)))
    nothing = xp.full((1, shuffles), xp.nan, dtype=xp.float64, device=a.device)
    if not shuffles:
        return xp.concat([nothing] * pairs, axis=0)
    # Pairs of like sizes go together, so that little is spent on columns of zeros.
    todo = sorted((i for i in range(pairs) if own[i]), key=lambda i: (own[i], width[i]))
    parts, place = [nothing], np.zeros(pairs, dtype=np.int64)
    bytes_each = 4 if a.dtype == xp.float32 else 8
    while todo:
        p, q = own[todo[-1]], width[todo[-1]]
        many = max(1, memory // (bytes_each * (n * q + p * q + 3 * p * p)))
        members, todo = todo[-max(1, many // shuffles) :], todo[: -max(1, many // shuffles)]
        q = max(width[i] for i in members)
        chosen = xp.asarray(members, device=a.device)
        left = xp.matrix_transpose(xp.take(a, chosen, axis=0)[:, :, :p])[:, None, :, :]
        right = xp.take(b, chosen, axis=0)[:, :, :q]
        size = xp.take(counts, chosen)[:, None]
        scores = []
        for start in range(0, shuffles, many):
            some = orders[start : start + many]
            rows = xp.asarray(some.reshape(-1), device=a.device)
            turned = xp.reshape(xp.take(right, rows, axis=1), (len(members), len(some), n, q))
            sizes = xp.broadcast_to(size, (len(members), len(some)))
            coefs = coefficients(xp, xp.matmul(left, turned), sizes)
            scores.append(average(xp, coefs, sizes, mean))
        place[members] = sum(part.shape[0] for part in parts) + np.arange(len(members))
        parts.append(xp.concat(scores, axis=1))
    return xp.take(xp.concat(parts, axis=0), xp.asarray(place, device=a.device), axis=0)
