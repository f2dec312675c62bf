"""Views with spectra as trained models have them."""

import numpy as np

SLOPE = 0.58
"""Singular values fall as i^-SLOPE, which leaves 50 to 60 dimensions under the 90 % cut."""


def activations(rng, n, width, *, slope=SLOPE, shared=None, amount=0.5):
    """A float32 view, off centre, with singular values that fall about as i^-slope.

    Args:
        rng: Source of random numbers.
        n: Sentences.
        width: Features.
        slope: How fast the spectrum falls.
        shared: (n × rank) directions that other views have too; None for directions of its own.
        amount: Share of the variance that they make up.
    """
    rank = min(n, width)
    left = rng.standard_normal((n, rank), dtype=np.float32)
    if shared is not None:
        left = np.float32(np.sqrt(amount)) * shared + np.float32(np.sqrt(1 - amount)) * left
    left *= np.arange(1, rank + 1, dtype=np.float32) ** np.float32(-slope)
    right = rng.standard_normal((rank, width), dtype=np.float32) / np.float32(np.sqrt(width))
    return left @ right + rng.standard_normal(width, dtype=np.float32)


def pair(n, width, *, of=None, seed=0, slope=SLOPE):
    """Two views of ``of`` sentences, and the rows of n of them."""
    rng = np.random.default_rng(seed)
    of = of or n
    shared = rng.standard_normal((of, min(of, width)), dtype=np.float32)
    x, y = (activations(rng, of, width, slope=slope, shared=shared) for _ in range(2))
    return x, y, np.sort(rng.permutation(of)[:n])
