"""The study's baseline: the SVCCA score of Gaussian vectors."""

from functools import cache

import numpy as np
from numpy.typing import NDArray

from isogloss.similarity import cca
from isogloss.similarity.chance import Mean
from isogloss.similarity.view import View


@cache
def gaussian_baseline(
    n: int,
    d_x: int,
    d_y: int,
    *,
    share: float = 0.9,
    rule: cca.Rule = "squared",
    mean: Mean = "all",
    epsilon: float = 1e-10,
    seed: int = 0,
    draws: int = 5,
) -> float:
    """Mean score of pairs of independent standard normal matrices; the same for the same arguments.

    It is not the chance level of real views: white noise keeps far more dimensions than they do.
    That is ``Score.chance`` and ``Score.null_mean``.

    Args:
        n: Number of sentences.
        d_x: Features of the first view.
        d_y: Features of the second view.
        share: As for :class:`Svcca`, like the next three.
        rule: ``"squared"`` or ``"linear"``.
        mean: ``"all"`` or ``"98"``.
        epsilon: Smallest share of the largest variance.
        seed: Of the random numbers.
        draws: Pairs to average; single pairs of 194 × 1024 have a standard deviation of 0.003.

    Returns:
        The mean score, NaN for fewer than three sentences.
    """
    if n < 3:
        return float("nan")
    rng = np.random.default_rng(seed)
    rows = np.arange(n, dtype=np.intp)

    def draw(width: int) -> cca.Basis:
        whole = View(_gaussian(n, width, rng)).decompose(rows)
        return cca.truncate(whole, share=share, rule=rule, epsilon=epsilon)

    scores = [
        cca.average(cca.coefficients(draw(d_x), draw(d_y)), mean).item() for _ in range(draws)
    ]
    return float(np.mean(scores))


def _gaussian(n: int, width: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Gaussian vectors up to a rotation of their features, which no score depends on.

    With more features than sentences this is the triangular factor of their Gram matrix
    (Bartlett 1933), which costs the same for any width.
    """
    if width <= n:
        return rng.standard_normal((n, width))
    factor = np.tril(rng.standard_normal((n, n)), -1)
    np.fill_diagonal(factor, np.sqrt(rng.chisquare(width - np.arange(n))))
    return factor
