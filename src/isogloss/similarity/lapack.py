"""LAPACK routines of SciPy, called so that other threads go on meanwhile.

``scipy.linalg.lapack`` offers the same routines but holds the interpreter's lock while they run,
so comparisons in several threads would wait for each other. ``scipy.linalg.cython_lapack``
publishes their addresses, and ctypes releases the lock around a call.
"""

import ctypes
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from isogloss.similarity.base import Floats

_INTEGERS = np.intc
STRAIGHT = 1e-12
"""Largest error of orthonormality at which vectors are taken."""
NEARLY = 1e-7
"""The same before a step that squares it."""
POSITIVE = 1e-13
"""Shift, as a share of the largest eigenvalue, that outweighs what rounding left below zero."""


@cache
def _routine(name: str) -> Callable[..., None]:
    from scipy.linalg import cython_lapack

    capsule = cython_lapack.__pyx_capi__[name]
    api = ctypes.pythonapi
    api.PyCapsule_GetName.restype = ctypes.c_char_p
    api.PyCapsule_GetName.argtypes = [ctypes.py_object]
    api.PyCapsule_GetPointer.restype = ctypes.c_void_p
    api.PyCapsule_GetPointer.argtypes = [ctypes.py_object, ctypes.c_char_p]
    signature = api.PyCapsule_GetName(capsule)
    if b"int *" not in signature:  # SciPy built with 64-bit integers
        raise NotImplementedError(signature.decode())
    address = api.PyCapsule_GetPointer(capsule, signature)
    return ctypes.CFUNCTYPE(None)(address)


def _call(name: str, *values: Any) -> int:
    """Call a routine by reference; returns its ``info``."""
    info = ctypes.c_int(0)
    passed: list[Any] = []
    for value in values:
        if isinstance(value, np.ndarray):
            passed.append(ctypes.c_void_p(value.ctypes.data))
        elif isinstance(value, bytes):
            passed.append(ctypes.byref(ctypes.c_char(value)))
        else:
            passed.append(ctypes.byref(ctypes.c_int(value)))
    _routine(name)(*passed, ctypes.byref(info))
    return info.value


class Tridiagonal:
    """A symmetric matrix reduced to tridiagonal form, with all eigenvalues and some vectors.

    Args:
        matrix: (n × n) symmetric.

    Raises:
        ArithmeticError: The eigenvalues were not found.
    """

    def __init__(self, matrix: Floats) -> None:
        n = len(matrix)
        self._factors = np.array(matrix.T, dtype=np.float64, order="F")
        self._diagonal, self._beside, self._tau = np.empty(n), np.empty(n), np.empty(n)
        work = np.empty(64 * n)
        failed = _call(
            "dsytrd", b"L", n, self._factors, n, self._diagonal, self._beside, self._tau,
            work, work.size,
        )  # fmt: skip
        self.values = self._diagonal.copy()
        """Eigenvalues, rising."""
        failed = failed or _call("dsterf", n, self.values, self._beside.copy())
        if failed:
            raise ArithmeticError(f"dsytrd or dsterf failed with info={failed}")

    def leading(self, k: int) -> Floats | None:
        """Eigenvectors of the k largest eigenvalues: (n × k), leading one first.

        The matrix must have no eigenvalue below zero but for rounding.

        Returns:
            None if they were not found, or are not orthonormal.
        """
        columns = self._twisted(k)
        if columns is None:
            columns = self._inverse_iteration(k)
        if columns is None:
            return None
        n, work = self.values.size, np.empty(64 * max(self.values.size, k))
        failed = _call(
            "dormtr", b"L", b"L", b"N", n, k, self._factors, n, self._tau, columns, n,
            work, work.size,
        )  # fmt: skip
        return None if failed else columns[:, ::-1]

    def _twisted(self, k: int) -> Floats | None:
        """Eigenvectors of the tridiagonal form by twisted factorisations, one call each.

        Those of close eigenvalues are orthogonal to half the digits only; one step of Newton and
        Schulz brings the rest. Takes two thirds of the time of inverse iteration (dstein), which
        is the way back where eigenvalues are too close.

        Source: Dhillon and Parlett 2004, Linear Algebra and its Applications 387:1.
        """
        n = self.values.size
        top = self.values[n - k :]
        shift = POSITIVE * float(top[-1])
        pivots, lower = self._diagonal + shift, self._beside[: n - 1].copy()
        if _call("dpttrf", n, pivots, lower):
            return None
        columns = np.empty((n, k), order="F")
        _vectors(top + shift, pivots, lower, columns)
        # Lengths from a matrix product, as einsum sums in an order that hangs on where memory lies.
        products = columns.T @ columns
        with np.errstate(invalid="ignore", divide="ignore"):
            scale = 1 / np.sqrt(products.diagonal())
            columns *= scale
            error = products * scale * scale[:, None]
        error.flat[:: k + 1] -= 1
        if not float(np.abs(error).max(initial=0)) <= NEARLY:
            return None
        return np.asfortranarray(columns - columns @ (0.5 * error))

    def _inverse_iteration(self, k: int) -> Floats | None:
        n = self.values.size
        columns = np.empty((n, k), order="F")
        blocks, ends = np.ones(n, dtype=_INTEGERS), np.full(n, n, dtype=_INTEGERS)
        failed = _call(
            "dstein", n, self._diagonal, self._beside, k, self.values[n - k :].copy(), blocks, ends,
            columns, n, np.empty(5 * n), np.empty(n, dtype=_INTEGERS),
            np.empty(k, dtype=_INTEGERS),
        )  # fmt: skip
        if failed or not float(np.abs(_unevenness(columns)).max(initial=0)) <= STRAIGHT:
            return None
        return columns


def _unevenness(columns: Floats) -> Floats:
    """How far the inner products of columns are from those of orthonormal ones."""
    error: Floats = columns.T @ columns
    error.flat[:: len(error) + 1] -= 1
    return error


def _vectors(values: Floats, pivots: Floats, lower: Floats, columns: Floats) -> None:
    """Fill the columns with eigenvectors of L D L', each of its value, not normalised."""
    n = pivots.size
    real, whole, by = ctypes.c_double, ctypes.c_int, ctypes.byref
    scaled = lower * pivots[:-1]
    arrays = (pivots, lower, scaled, scaled * lower, np.empty(4 * n))
    *factors, work = (ctypes.c_void_p(array.ctypes.data) for array in arrays)
    twist, unused, support = whole(), real(), (whole * 2)()
    routine = _routine("dlar1v")
    first, last = by(whole(1)), by(whole(n))
    smallest, no_gap, no_count = by(real(np.finfo(np.float64).tiny)), by(real(0)), by(whole(0))
    value, column = ctypes.c_void_p(), ctypes.c_void_p()
    at, to = values.ctypes.data, columns.ctypes.data
    ignored = by(unused)
    # The same objects for all calls: making them anew would take as long as the work.
    arguments = (
        last, first, last, value, *factors, smallest, no_gap, column, no_count, by(whole()),
        ignored, ignored, by(twist), support, ignored, ignored, ignored, work,
    )  # fmt: skip
    for j in range(values.size):
        twist.value = 0  # the routine chooses where to twist
        value.value = at + 8 * j
        column.value = to + 8 * n * j
        routine(*arguments)
