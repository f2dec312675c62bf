"""Two dimensions of many by t-SNE, with all that it takes to make the picture again."""

from dataclasses import dataclass

import numpy as np
from scipy.sparse.linalg import eigsh

from isogloss.errors import MissingExtraError
from isogloss.projection.space import Floats, Space

COMPONENTS = 50
"""Principal components that t-SNE sees."""
MANY = 1000
"""Points from which more than one thread is worth it."""
EARLY, LATE = 250, 500
"""Rounds with and without early exaggeration; the defaults of openTSNE."""


@dataclass(frozen=True)
class Projection:
    """Places in two dimensions, and how they were found. NaN with a reason where there are none."""

    places: Floats
    """(points × 2), one row for each row of the input; NaN for rows that were left out."""
    perplexity: float
    """As used: lowered if there are too few points."""
    seed: int
    divergence: float
    """Kullback-Leibler divergence at the end; comparable for one number of points only."""
    points: int
    components: int
    rounds: int
    version: str
    """Of openTSNE."""
    reason: str = ""


def project(
    found: Space,
    rows: int,
    *,
    perplexity: float = 30.0,
    seed: int = 0,
    jobs: int = 1,
    rounds: tuple[int, int] = (EARLY, LATE),
) -> Projection:
    """Lay points out so that near ones stay near.

    The points are rotated to their first 50 principal components, and the first two of these, made
    small, are where t-SNE starts, so that large-scale order is not left to chance. The result does
    not depend on ``jobs``.

    Source: van der Maaten and Hinton 2008, Journal of Machine Learning Research 9:2579; the start
    from principal components after Kobak and Berens 2019, Nature Communications 10:5416; computed
    by openTSNE (Poličar, Stražar and Zupan 2024, Journal of Statistical Software 109:3).

    Args:
        found: The points.
        rows: Number of rows of the input that ``found`` was made from.
        perplexity: Effective number of neighbours. At most a third of the other points.
        seed: Of t-SNE and of the search for principal components.
        jobs: Threads; -1 for one a core.
        rounds: With and without early exaggeration.

    Raises:
        MissingExtraError: openTSNE is not installed.
    """
    try:
        import openTSNE
    except ImportError:
        raise MissingExtraError("Drawing maps", "maps") from None
    places = np.full((rows, 2), np.nan)
    count = found.kept.size
    version = str(openTSNE.__version__)
    if found.reason:
        nan = float("nan")
        return Projection(places, nan, seed, nan, count, 0, 0, version, found.reason)
    used = min(float(perplexity), (count - 1) / 3)
    inner = principal(found.gram, COMPONENTS, seed)
    start = inner[:, :2] if inner.shape[1] > 1 else np.column_stack([inner, np.zeros(count)])
    start = start / start[:, 0].std() * 1e-4
    # Points at one place would never part: the forces between them are zero.
    start = start + np.random.default_rng(seed).normal(0, 1e-6, start.shape)
    made = openTSNE.TSNE(
        perplexity=used,
        initialization=start,
        metric="euclidean",
        neighbors="exact",
        negative_gradient_method="bh",
        early_exaggeration_iter=rounds[0],
        n_iter=rounds[1],
        # Threads that wait for each other in every round cost few points more than they gain.
        n_jobs=jobs if count >= MANY else 1,
        random_state=seed,
    ).fit(inner)
    places[found.kept] = np.asarray(made)
    return Projection(
        places,
        used,
        seed,
        float(made.kl_divergence),
        count,
        inner.shape[1],
        sum(rounds),
        version,
    )


def principal(gram: Floats, count: int, seed: int) -> Floats:
    """Principal coordinates of points with these centred inner products.

    Args:
        gram: (points × points).
        count: How many are wanted.
        seed: Of the start of the search.

    Returns:
        (points × at most ``count``), the largest first, those of no size left out. The largest
        entry of each is positive, so that its sign is no chance either.
    """
    points = len(gram)
    wanted = min(count, points - 1)
    if wanted < points // 4:
        start = np.random.default_rng(seed).normal(size=points)
        values, vectors = eigsh(gram, k=wanted, which="LA", v0=start)
    else:
        values, vectors = np.linalg.eigh(gram)
    order = np.argsort(values)[::-1][:wanted]
    values, vectors = values[order], vectors[:, order]
    large = values > max(values[0], 0.0) * 1e-10
    values, vectors = values[large], vectors[:, large]
    top = vectors[np.argmax(np.abs(vectors), axis=0), np.arange(vectors.shape[1])]
    found: Floats = vectors * np.sign(top) * np.sqrt(values)
    return found
