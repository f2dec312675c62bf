"""The study's baseline: the score of Gaussian vectors."""

from functools import lru_cache

import numpy as np

from isogloss.similarity import cca
from isogloss.similarity.base import Floats, Measure
from isogloss.similarity.chance import Mean

DRAWS = 5


@lru_cache(maxsize=2**12)
def baseline(
    measure: Measure, n: int, d_x: int, d_y: int, *, seed: int = 0, draws: int = DRAWS
) -> float:
    """Mean score of pairs of independent standard normal matrices; the same for equal arguments.

    It is not the chance level of real views: white noise keeps far more dimensions than they do.
    That is ``Score.expected``.

    Args:
        measure: With which to score.
        n: Number of sentences.
        d_x: Features of the first view.
        d_y: Features of the second view.
        seed: Of the random numbers.
        draws: Pairs to average; single SVCCA scores of 194 × 1024 have a standard deviation of
            0.003.

    Returns:
        The mean score, NaN where the measure is not defined.
    """
    rng = np.random.default_rng(seed)
    turned = "orthogonal" in measure.info.invariances and not measure.info.equal_width
    turned = turned and not getattr(measure, "zscore", False)  # z-scores hang on the axes

    def draw(width: int) -> Floats:
        # More features than sentences, up to a rotation of the features: the triangular factor of
        # their Gram matrix (Bartlett 1933), which costs the same for any width.
        if not turned or width <= n:
            return rng.standard_normal((n, width))
        factor = np.tril(rng.standard_normal((n, n)), -1)
        np.fill_diagonal(factor, np.sqrt(rng.chisquare(width - np.arange(n))))
        return factor

    scores = [
        measure.compare(measure.prepare(draw(d_x)), measure.prepare(draw(d_y))).score
        for _ in range(draws)
    ]
    return float(np.mean(scores))


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
    draws: int = DRAWS,
) -> float:
    """The study's baseline for SVCCA: the mean score of pairs of Gaussian matrices.

    Args:
        n: Number of sentences.
        d_x: Features of the first view.
        d_y: Features of the second view.
        share: As for :class:`Svcca`, like the next three.
        rule: ``"squared"`` or ``"linear"``.
        mean: ``"all"`` or ``"98"``.
        epsilon: Smallest share of the largest variance.
        seed: Of the random numbers.
        draws: Pairs to average.

    Returns:
        The mean score, NaN for fewer than three sentences.
    """
    from isogloss.similarity.measures.svcca import Svcca

    measure = Svcca(share=share, rule=rule, mean=mean, epsilon=epsilon)
    return baseline(measure, n, d_x, d_y, seed=seed, draws=draws)
