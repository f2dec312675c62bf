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

        Returns:
            None if inverse iteration did not find them, or not orthonormal ones.
        """
        n = self.values.size
        columns = np.empty((n, k), order="F")
        blocks, ends = np.ones(n, dtype=_INTEGERS), np.full(n, n, dtype=_INTEGERS)
        failed = _call(
            "dstein", n, self._diagonal, self._beside, k, self.values[n - k :].copy(), blocks, ends,
            columns, n, np.empty(5 * n), np.empty(n, dtype=_INTEGERS),
            np.empty(k, dtype=_INTEGERS),
        )  # fmt: skip
        if failed:
            return None
        error = columns.T @ columns
        error.flat[:: k + 1] -= 1
        if not float(np.abs(error).max(initial=0)) <= STRAIGHT:
            return None
        work = np.empty(64 * max(n, k))
        failed = _call(
            "dormtr", b"L", b"L", b"N", n, k, self._factors, n, self._tau, columns, n,
            work, work.size,
        )  # fmt: skip
        return None if failed else columns[:, ::-1]
