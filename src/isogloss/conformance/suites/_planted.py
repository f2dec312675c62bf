"""Views built from orthonormal directions, so that their canonical correlations are known."""

from dataclasses import dataclass

import numpy as np

from isogloss.conformance.case import Array, Views

COSINES = np.array([0.97, 0.86, 0.71, 0.55, 0.42, 0.2])
"""Canonical correlations to plant."""


def directions(n: int, count: int, rng: np.random.Generator) -> Array:
    """Orthonormal columns (n × count) whose entries sum to zero, in random directions."""
    noise = rng.standard_normal((n, count))
    basis = np.linalg.qr(noise - noise.mean(axis=0))[0]
    return np.asarray(np.linalg.qr(basis - basis.mean(axis=0))[0])


def view(
    columns: Array, values: Array, width: int, rng: np.random.Generator, *, offset: float = 0.0
) -> Array:
    """The matrix with these left singular vectors and values, of ``width`` features.

    Its features are random mixtures of the directions, with means of the size of ``offset``.
    """
    right = np.linalg.qr(rng.standard_normal((width, values.size)))[0]
    found = (columns * values) @ right.T
    if offset:
        found = found + offset * rng.standard_normal(width)
    return np.asarray(found)


def cut_after(strong: Array, share: float, *, exact: bool = False, weak: int = 3) -> Array:
    """Amounts, falling, whose sum first reaches ``share`` of the whole with the last strong one.

    Args:
        strong: Amounts to keep, falling.
        share: Share that the strong ones, but not the strong ones without the last, must reach.
        exact: Reach the share exactly instead of with room on both sides.
        weak: Smallest number of further amounts.
    """
    if share >= 1:
        return strong
    total = float(strong.sum())
    most = total * (1 / share - 1)
    least = max(0.0, (total - float(strong[-1])) / share - total)
    rest = most if exact else (most + least) / 2
    count = max(weak, int(np.ceil(rest / (0.6 * strong[-1]))))
    tail = np.linspace(1.3, 0.7, count)
    return np.concatenate([strong, tail * (rest / tail.sum())])


@dataclass(frozen=True)
class Planted:
    """Two orthonormal bases whose pairwise cosines are known, each with further directions."""

    x: Array
    """(sentences × (k_x + rest))."""
    y: Array


def plant(
    n: int, k_x: int, k_y: int, cosines: Array, rest: tuple[int, int], rng: np.random.Generator
) -> Planted:
    """Bases whose leading k_x and k_y columns have these principal cosines.

    Column i of the first is at ``cosines[i]`` from column i of the second, and orthogonal to all
    other columns. The columns after the leading ones are orthogonal to everything.

    Args:
        n: Sentences, at least one more than k_x + k_y and the rest of both.
        k_x: Leading columns of the first.
        k_y: Leading columns of the second.
        cosines: (min(k_x, k_y),) in [0, 1].
        rest: Further columns of each.
        rng: Source of the directions.
    """
    free = directions(n, k_x + k_y + sum(rest), rng)
    first, other = free[:, :k_x], free[:, k_x : k_x + k_y].copy()
    shared = cosines.size
    other[:, :shared] = other[:, :shared] * np.sqrt(1 - cosines**2) + first[:, :shared] * cosines
    tail = free[:, k_x + k_y :]
    return Planted(np.hstack([first, tail[:, : rest[0]]]), np.hstack([other, tail[:, rest[0] :]]))


def noise(n: int, d_x: int, d_y: int, rng: np.random.Generator) -> Views:
    """Unrelated standard normal views."""
    return rng.standard_normal((n, d_x)), rng.standard_normal((n, d_y))
