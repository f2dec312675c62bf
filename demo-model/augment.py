"""A recording as another voice might have said it, made anew each time that it is trained on.

Without this the speech encoder learns its recordings by heart: of new recordings of the very lists
that it was trained on it found the text of six in ten, of the old ones nine.
"""

import random

import numpy as np
from numpy.typing import NDArray

from isogloss.models.base import Features

BINS = 80
"""Of the filter bank. Several frames are stacked to one time step."""
PACE, TRACT = 0.15, 0.1
"""Speed and the length of the vocal tract change by up to this share."""
BANDS, BAND = 2, 8
"""Masks over frequencies, and bins at most in each."""
GAP_EVERY, GAP = 60, 8
"""One mask over time for so many frames, and frames at most in each. A word has about 40."""

Floats = NDArray[np.float32]


def augmented(item: Features, numbers: random.Random) -> Features:
    """Change pace and vocal tract, and hide bands and moments.

    The tract is that of Jaitly & Hinton 2013 (ICML workshop on deep learning for audio), as one
    factor on the mel axis; the masks are SpecAugment (Park et al. 2019, arXiv:1904.08779). Bins
    have mean 0 over a recording, which is what a mask puts in their place.

    Args:
        item: Of the filter bank: (time steps × stacked frames · bins).
        numbers: Draws everything.
    """
    values = item.values["input_features"].astype(np.float32)
    stacked = values.shape[1] // BINS
    frames = values.reshape(-1, BINS)
    steps = max(1, round(len(values) * numbers.uniform(1 - PACE, 1 + PACE)))
    frames = _between(frames, np.linspace(0, len(frames) - 1, steps * stacked))
    warped = np.arange(BINS) * numbers.uniform(1 - TRACT, 1 + TRACT)
    frames = _between(frames.T, warped.clip(0, BINS - 1)).T.copy()
    for _ in range(BANDS):
        begin, end = _mask(BINS, BAND, numbers)
        frames[:, begin:end] = 0
    for _ in range(len(frames) // GAP_EVERY):
        begin, end = _mask(len(frames), GAP, numbers)
        frames[begin:end] = 0
    return Features({"input_features": frames.reshape(steps, -1)}, steps)


def _between(rows: Floats, places: NDArray[np.float64]) -> Floats:
    """Rows at places between rows, on a straight line."""
    below = places.astype(int).clip(0, max(0, len(rows) - 2))
    share = (places - below).astype(np.float32)[:, None]
    return (1 - share) * rows[below] + share * rows[np.minimum(below + 1, len(rows) - 1)]


def _mask(count: int, most: int, numbers: random.Random) -> tuple[int, int]:
    width = int(numbers.random() * (most + 1))
    begin = int(numbers.random() * max(1, count - width))
    return begin, begin + width
