"""Points on an arc: cosines fall with the angle, so all ranks follow from whole numbers."""

import numpy as np

from isogloss.conformance.case import Array


def arc(angles: list[int], *, stretch: float = 1.0, spread: tuple[float, ...] = (1.0,)) -> Array:
    """Points at these angles of a circle.

    Args:
        angles: Whole numbers; the largest becomes 80 degrees.
        stretch: Length of the points; no cosine depends on it.
        spread: Factors for the lengths of the points, in turn.
    """
    turn = np.array(angles) * (np.deg2rad(80) / max(angles))
    length = stretch * np.resize(spread, len(angles))
    return np.asarray(np.column_stack([np.cos(turn), np.sin(turn)]) * length[:, None])


def unlike(count: int, seed: int) -> list[int]:
    """Angles, shuffled, such that no point is equally far from two others."""
    rng = np.random.default_rng(seed)
    for reach in range(count * count, 100 * count**3, count * count):
        # The largest is the same in all, so that views can be laid on one another.
        found = [0, reach, *rng.choice(np.arange(1, reach), count - 2, replace=False).tolist()]
        if all(len({abs(a - b) for b in found}) == count for a in found):
            return [found[i] for i in rng.permutation(count)]
    raise AssertionError("no such angles")
