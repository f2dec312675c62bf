"""Gram matrices of many views as one array, on any array library and device."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from isogloss.errors import MeasureError, MissingExtraError
from isogloss.similarity.threads import one_thread

Array = Any
"""An array of numpy, PyTorch or another library that follows the Python array API standard."""
FLAT = 64
"""A centred Gram matrix with a trace below this many roundings per sentence is that of a view
that does not vary."""


def namespace(array: Array) -> Any:
    """Return the array API namespace of an array.

    Raises:
        MissingExtraError: It is not numpy's, and array-api-compat is not installed.
        MeasureError: It is no array of a library that follows the standard.
    """
    if hasattr(array, "__array_namespace__"):
        return array.__array_namespace__()
    try:
        import array_api_compat
    except ImportError:
        raise MissingExtraError(f"arrays of type {type(array).__name__}", "torch") from None
    try:
        return array_api_compat.array_namespace(array)
    except TypeError:
        raise MeasureError(
            f"a batch must be an array of numpy, PyTorch or another library that follows the "
            f"array API standard, not {type(array).__name__}"
        ) from None


@one_thread()
def gram_stack(views: Sequence[Array]) -> Array:
    """Form the Gram matrices of views, in float64, on the device the views are on.

    Args:
        views: (sentences × features) arrays of real floating type; each may have its own shape.

    Returns:
        (views × most sentences × most sentences) Gram matrices of the centred views, each scaled
        by a power of two of its own. Rows and columns of sentences that hold NaN or infinity, or
        that a view does not have, are NaN.

    Raises:
        MeasureError: There are no views, or one is no matrix of real numbers with features.
    """
    if not views:
        raise MeasureError("there are no views to form Gram matrices of")
    xp = namespace(views[0])
    most = max(_matrix_rows(xp, view, i) for i, view in enumerate(views))
    return xp.stack([_gram(xp, view, most) for view in views])


def _matrix_rows(xp: Any, view: Array, index: int) -> int:
    if view.ndim != 2 or not view.shape[1] or not xp.isdtype(view.dtype, "real floating"):
        raise MeasureError(
            f"a view must be a matrix (sentences × features) of real floating type, but view "
            f"{index} is {view.dtype} of shape {tuple(view.shape)}"
        )
    return int(view.shape[0])


def _gram(xp: Any, view: Array, most: int) -> Array:
    n = view.shape[0]
    x = xp.asarray(view, dtype=xp.float64)
    good = xp.all(xp.isfinite(x), axis=1)
    many = int(xp.sum(xp.asarray(good, dtype=xp.int64)))
    if many:
        x = xp.where(good[:, None], x, xp.zeros_like(x))
        top = float(xp.max(xp.abs(x)))
        x = x * 2.0 ** -int(np.frexp(top)[1]) if top > 2.0**-1000 else x
        # Taking away a sentence before the mean leaves exact zeros where nothing varies.
        first = int(xp.argmax(xp.asarray(good, dtype=xp.int64)))
        x = xp.where(good[:, None], x - x[first : first + 1, :], xp.zeros_like(x))
        x = x - xp.sum(x, axis=0, keepdims=True) / many
        x = xp.where(good[:, None], x, xp.zeros_like(x))
    gram = xp.matmul(x, xp.matrix_transpose(x))
    both = good[:, None] & good[None, :]
    gram = xp.where(both, gram, xp.full_like(gram, xp.nan))
    wide = xp.full((n, most - n), xp.nan, dtype=xp.float64, device=x.device)
    deep = xp.full((most - n, most), xp.nan, dtype=xp.float64, device=x.device)
    return xp.concat([xp.concat([gram, wide], axis=1), deep], axis=0)


@one_thread()
def sub_grams(stack: Array, which: Array, rows: Array) -> Array:
    """Take some sentences of some views out of their Gram matrices, and centre them again.

    Args:
        stack: (views × sentences × sentences), from :func:`gram_stack`.
        which: (pairs,) number of the view of each pair.
        rows: (pairs × n) sentences of each pair, or (n,) for the same ones in all.

    Returns:
        (pairs × n × n); all zero for a view that does not vary between its sentences.

    Raises:
        MeasureError: The shapes do not fit, or a view or sentence does not exist.
    """
    xp = namespace(stack)
    which, rows = np.asarray(which), np.asarray(rows)
    rows = np.array(np.broadcast_to(rows, (len(which), rows.shape[-1])))
    count, size = stack.shape[0], stack.shape[1]
    _check_inside("view", which, count)
    _check_inside("row", rows, size)
    n = rows.shape[1]
    start = xp.asarray(which[:, None] * size + rows, dtype=xp.int64, device=stack.device) * size
    step = xp.asarray(rows, dtype=xp.int64, device=stack.device)
    index = start[:, :, None] + step[:, None, :]
    taken = xp.take(xp.reshape(stack, (-1,)), xp.reshape(index, (-1,)), axis=0)
    gram = xp.reshape(taken, (len(which), n, n))
    # Equal sentences can leave this much when their products were summed differently.
    eps = xp.finfo(gram.dtype).eps
    floor = FLAT * eps * n * xp.max(xp.linalg.diagonal(gram), axis=-1)
    means = xp.mean(gram, axis=1, keepdims=True)
    gram = gram - means - xp.matrix_transpose(means) + xp.mean(means, axis=2, keepdims=True)
    flat = xp.linalg.trace(gram) <= floor
    return xp.where(flat[:, None, None], xp.zeros_like(gram), gram)


def _check_inside(what: str, numbers: np.ndarray[Any, Any], stop: int) -> None:
    outside = numbers[(numbers < 0) | (numbers >= stop)]
    if outside.size:
        raise MeasureError(f"{what} {outside.flat[0]} does not exist, there are {stop}")
