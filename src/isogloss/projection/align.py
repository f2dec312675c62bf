"""Turn a map so that it lies like another one, which changes no distance in it."""

import numpy as np
from numpy.typing import ArrayLike

from isogloss.projection.space import Floats


def follow(places: ArrayLike, before: ArrayLike) -> Floats:
    """Move, rotate and reflect a map onto the one before, as near as it gets.

    Only the points that both have count. The map is not stretched: a least-squares scale is below
    one whenever two maps differ, and maps would shrink from step to step.

    Source: orthogonal Procrustes, Schönemann 1966, Psychometrika 31:1.

    Args:
        places: (points × 2) the map to be turned; NaN for points that it lacks.
        before: (points × 2) where the same points should be near.

    Returns:
        (points × 2); as it was, about its middle, if fewer than two points are shared.
    """
    own, other = np.asarray(places, dtype=np.float64), np.asarray(before, dtype=np.float64)
    known = np.isfinite(own).all(axis=1)
    if not known.any():
        return own.copy()
    shared = known & np.isfinite(other).all(axis=1)
    if shared.sum() < 2:
        moved: Floats = own - own[known].mean(axis=0)
        return moved
    middle, target = own[shared].mean(axis=0), other[shared].mean(axis=0)
    u, _, vt = np.linalg.svd((own[shared] - middle).T @ (other[shared] - target))
    turned: Floats = (own - middle) @ (u @ vt) + target
    return turned
