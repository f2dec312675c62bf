"""SVCCA of many pairs of views at once, on any array library and device.

The arrays may be numpy's, PyTorch's (CPU or CUDA) or any others that follow the Python array API
standard; the work is done in the library, on the device and in the precision that they come in.
On a CPU :class:`~isogloss.similarity.Svcca` is faster, since it computes only the vectors it keeps;
this is for devices that are slow on one small matrix and fast on many.

    stack = gram_stack(views)                     once per view, any number of features
    a, b = sub_grams(stack, …), sub_grams(stack, …)     one row of numbers per pair of views
    svcca_batch(a, b, orders=Shuffles(1000).orders(n))

or all of it in blocks of bounded memory: :func:`svcca_pairs`.

In float64 the results are those of :class:`~isogloss.similarity.Svcca` to 1e-10. Gram matrices are
always formed in float64, since a Gram matrix squares the spread of the singular values. With
``precision="float32"`` they are decomposed in float32. At a share of 0.9 scores then differ by less
than 1e-6. Directions below a thousandth of the strongest are lost, so at shares of 0.999 and more
the number of kept dimensions changes, and scores by 0.01 and more: use float64 there.

Confounds and z-scores are a matter of whoever forms the Gram matrices: any
centred (n × n) matrices will do, such as those of ``View.gram``.
"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from isogloss.errors import MeasureError, unknown
from isogloss.similarity import batched_steps as steps
from isogloss.similarity.base import Rows
from isogloss.similarity.cca import Rule
from isogloss.similarity.chance import Mean
from isogloss.similarity.paired import MIN_SENTENCES
from isogloss.similarity.stacks import Array, namespace, sub_grams
from isogloss.similarity.threads import one_thread

Precision = Literal["float64", "float32"]

MEMORY = {"cpu": 2**24, "other": 2**30}
"""Bytes that a block of permutations, or of pairs, may take unless told: what stays in a CPU's
cache, and enough to keep a large device busy."""
COPIES = 6
"""Matrices that are alive at once for each that is decomposed."""


@dataclass(frozen=True)
class Batch:
    """Scores of many pairs; undefined ones are NaN, with a reason. All arrays are of one library.

    A pair that is not defined leaves the others as they are.
    """

    scores: Array
    """(pairs,) mean canonical correlations."""
    k_a: Array
    """(pairs,) dimensions kept of the first views; 0 where undefined."""
    k_b: Array
    """(pairs,) dimensions kept of the second views."""
    coefficients: Array
    """(pairs × most kept) canonical correlations, falling; NaN beyond a pair's own number."""
    null: Array
    """(pairs × permutations) scores with the sentences of the second views shuffled."""
    reasons: tuple[str, ...]
    """(pairs,) why a score is NaN; empty otherwise."""


def svcca_pairs(
    stack_a: Array,
    stack_b: Array,
    which_a: Array,
    which_b: Array,
    *,
    rows_a: Array,
    rows_b: Array | None = None,
    memory: int | None = None,
    **options: Any,
) -> Batch:
    """Compare pairs of views in blocks, so that memory does not grow with the number of pairs.

    Args:
        stack_a: (views × sentences × sentences) from :func:`gram_stack`.
        stack_b: The same for the second views; may be the same stack.
        which_a: (pairs,) number of the first view of each pair.
        which_b: (pairs,) number of the second view.
        rows_a: (pairs × n) sentences of each pair in the first stack, or (n,) for all pairs.
        rows_b: Those in the second stack, aligned; None for the same numbers.
        memory: Bytes that the matrices of a block may take, besides the stacks and the result;
            None for 16 MiB on a CPU and 1 GiB elsewhere.
        options: As for :func:`svcca_batch`.

    Raises:
        MeasureError: As :func:`sub_grams` and :func:`svcca_batch`.
    """
    xp = namespace(stack_a)
    memory = _memory(stack_a, memory)
    rows_a = np.asarray(rows_a)
    pairs, n = len(which_a), rows_a.shape[-1]
    rows_a = np.broadcast_to(rows_a, (pairs, n))
    rows_b = rows_a if rows_b is None else np.broadcast_to(np.asarray(rows_b), (pairs, n))
    step = max(1, memory // (2 * COPIES * 8 * n * n))
    blocks = []
    for start in range(0, max(1, pairs), step):
        part = slice(start, start + step)
        a = sub_grams(stack_a, np.asarray(which_a)[part], rows_a[part])
        b = sub_grams(stack_b, np.asarray(which_b)[part], rows_b[part])
        blocks.append(svcca_batch(a, b, memory=memory, **options))
    most = max(block.coefficients.shape[1] for block in blocks)
    return Batch(
        scores=xp.concat([block.scores for block in blocks]),
        k_a=xp.concat([block.k_a for block in blocks]),
        k_b=xp.concat([block.k_b for block in blocks]),
        coefficients=xp.concat([_widened(xp, block.coefficients, most) for block in blocks]),
        null=xp.concat([block.null for block in blocks]),
        reasons=tuple(reason for block in blocks for reason in block.reasons),
    )


def _widened(xp: Any, coefs: Array, most: int) -> Array:
    shape = (coefs.shape[0], most - coefs.shape[1])
    more = xp.full(shape, xp.nan, dtype=coefs.dtype, device=coefs.device)
    return xp.concat([coefs, more], axis=1)


@one_thread()
def svcca_batch(
    grams_a: Array,
    grams_b: Array,
    *,
    share: float = 0.9,
    rule: Rule = "squared",
    mean: Mean = "all",
    epsilon: float = 1e-10,
    orders: Rows | None = None,
    precision: Precision | None = None,
    rank_a: int | None = None,
    rank_b: int | None = None,
    memory: int | None = None,
) -> Batch:
    """SVCCA scores of many pairs of views, as :class:`~isogloss.similarity.Svcca` defines them.

    Args:
        grams_a: (pairs × n × n) centred Gram matrices of the first views, float64 or float32.
        grams_b: Those of the second views, same library, device and shape.
        share: Share of each view's variance to keep, above 0 and at most 1.
        rule: What the share is of: ``"squared"`` singular values or the values (``"linear"``).
        mean: ``"all"`` averages all coefficients, ``"98"`` the leading 98 % of their sum.
        epsilon: Directions below this share of the largest variance are dropped.
        orders: (permutations × n) orders of the sentences for the null, the same for all pairs,
            from :meth:`~isogloss.similarity.base.Shuffles.orders`; None for no null.
        precision: What to decompose in; None for the type of ``grams_a``.
        rank_a: Largest rank that a first view can have, its number of features if that is below
            n − 1.
        rank_b: The same for second views.
        memory: Bytes that a block of permutations may take, None as for :func:`svcca_pairs`.

    Raises:
        MeasureError: The shapes or types do not fit, or an option is out of its range.
        MissingExtraError: The arrays are not numpy's, and array-api-compat is not installed.
    """
    xp = namespace(grams_a)
    n = _checked(xp, grams_a, grams_b, orders)
    _check_options(share, rule, mean, epsilon, precision)
    kind = getattr(xp, precision) if precision else grams_a.dtype
    if n < MIN_SENTENCES:
        a = b = steps.no_bases(xp, grams_a, kind)
    else:
        a, b = (
            steps.bases(xp, gram, kind, share=share, rule=rule, epsilon=epsilon, rank=rank)
            for gram, rank in ((grams_a, rank_a), (grams_b, rank_b))
        )
    counts = xp.minimum(a.k, b.k)
    product = xp.matmul(xp.matrix_transpose(a.columns), b.columns)
    coefs = steps.coefficients(xp, product, counts)
    inside = xp.arange(coefs.shape[1], device=coefs.device)[None, :] < counts[:, None]
    some = np.empty((0, n), dtype=np.intp) if orders is None else np.asarray(orders)
    return Batch(
        scores=xp.where(counts > 0, steps.average(xp, coefs, counts, mean), xp.nan),
        k_a=xp.where(counts > 0, a.k, 0),
        k_b=xp.where(counts > 0, b.k, 0),
        coefficients=xp.where(inside, coefs, xp.nan),
        null=steps.null(xp, a, b, some, mean=mean, memory=_memory(coefs, memory)),
        reasons=_reasons(a, b, n),
    )


def _memory(array: Array, memory: int | None) -> int:
    return memory or MEMORY["cpu" if "cpu" in str(array.device).lower() else "other"]


def _checked(xp: Any, a: Array, b: Array, orders: Rows | None) -> int:
    if a.ndim != 3 or a.shape[1] != a.shape[2] or tuple(a.shape) != tuple(b.shape):
        raise MeasureError(
            f"a batch must be two arrays (pairs × n × n) of the same shape, not "
            f"{tuple(a.shape)} and {tuple(b.shape)}"
        )
    if a.dtype not in (xp.float64, xp.float32) or b.dtype != a.dtype:
        raise MeasureError(
            f"Gram matrices must both be float64 or both float32, not {a.dtype} and {b.dtype}"
        )
    n = int(a.shape[1])
    if orders is not None:
        numbers = np.asarray(orders)
        if numbers.ndim != 2 or numbers.shape[1] != n:
            raise MeasureError(f"orders must be (permutations × {n}), not of shape {numbers.shape}")
        if not (np.sort(numbers, axis=1) == np.arange(n)).all():
            raise MeasureError(f"each of the orders must hold every number from 0 to {n - 1} once")
    return n


def _check_options(
    share: float, rule: str, mean: str, epsilon: float, precision: str | None
) -> None:
    for name, value, valid in (
        ("rule", rule, ("squared", "linear")),
        ("mean", mean, ("all", "98")),
        ("precision", precision or "float64", tuple(steps.LOST)),
    ):
        if value not in valid:
            raise MeasureError(unknown(name, value, valid))
    if not 0 < share <= 1:
        raise MeasureError(f"share must be above 0 and at most 1, not {share}")
    if not 0 <= epsilon < 1:
        raise MeasureError(f"epsilon must be at least 0 and below 1, not {epsilon}")


def _reasons(a: steps.Bases, b: steps.Bases, n: int) -> tuple[str, ...]:
    if n < MIN_SENTENCES:
        reason = f"at least {MIN_SENTENCES} sentences are needed, there are {n}"
        return (reason,) * int(a.k.shape[0])
    reasons = [""] * int(a.k.shape[0])
    for name, side in (("second", b), ("first", a)):
        for i, (finite, varies) in enumerate(
            zip(steps.host(side.finite), steps.host(side.varies), strict=True)
        ):
            if not finite:
                reasons[i] = f"the {name} view has NaN or infinity"
            elif not varies:
                reasons[i] = f"the {name} view does not vary between the {n} sentences"
    return tuple(reasons)
