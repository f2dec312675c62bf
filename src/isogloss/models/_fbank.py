"""Log mel filter banks as Kaldi computes them, without torchaudio."""

from functools import cache

import numpy as np
from numpy.typing import NDArray

from isogloss.corpora.base import SAMPLING_RATE

FRAME, HOP, POINTS = 400, 160, 512
"""Samples of a frame (25 ms), between frames (10 ms), and of the Fourier transform."""
SHIFT, SCALE = 15.41663, 2 * 6.55582
"""What BEATs subtracts and divides by: mean, and twice the deviation, over AudioSet."""
_LOWEST, _PREEMPHASIS = 20.0, 0.97
_FLOOR = float(np.finfo(np.float32).eps)
_BLOCK = 4096
"""Frames that are transformed at once: an hour of speech should not be in memory ten times."""


@cache
def _window() -> NDArray[np.float64]:
    """Kaldi's own: a Hann window to the power of 0.85."""
    phase = 2 * np.pi * np.arange(FRAME) / (FRAME - 1)
    return np.asarray((0.5 - 0.5 * np.cos(phase)) ** 0.85)


def _mel(frequency: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(1127.0 * np.log1p(frequency / 700.0))


@cache
def _filters(bins: int) -> NDArray[np.float64]:
    """Triangles that are straight in mel, not in Hertz: (frequencies × bins).

    With 128 bins the lowest triangles are narrower than a step of the Fourier transform, so one of
    them is empty. That is so in Kaldi too.
    """
    frequencies = np.arange(POINTS // 2 + 1) * SAMPLING_RATE / POINTS
    lowest, highest = _mel(np.array([_LOWEST, SAMPLING_RATE / 2]))
    edges = np.linspace(lowest, highest, bins + 2)
    left, centre, right = edges[:-2], edges[1:-1], edges[2:]
    mel = _mel(frequencies)[:, None]
    up, down = (mel - left) / (centre - left), (right - mel) / (right - centre)
    return np.asarray(np.maximum(0.0, np.minimum(up, down)))


def _spectrum(
    samples: NDArray[np.float32], window: NDArray[np.float64], dtype: type[np.complexfloating]
) -> NDArray[np.complexfloating]:
    """Fourier transform of frames without their mean, pre-emphasised and windowed.

    Frames that would reach beyond the end are left out (Kaldi's ``snip_edges``).

    Returns:
        (frames × frequencies), rounded to a type.
    """
    # Both models were trained on the scale of 16-bit integers.
    scaled = samples.astype(np.float64) * 2**15
    frames = np.lib.stride_tricks.sliding_window_view(scaled, FRAME)[::HOP]
    found = np.empty((len(frames), POINTS // 2 + 1), dtype)
    for begin in range(0, len(frames), _BLOCK):
        block = frames[begin : begin + _BLOCK]
        block = block - block.mean(axis=1, keepdims=True)
        before = _PREEMPHASIS * block[:, :-1]
        block[:, 1:] -= before
        block[:, 0] *= 1 - _PREEMPHASIS
        found[begin : begin + _BLOCK] = np.fft.rfft(block * window, POINTS, axis=1)
    return found


def fbank(samples: NDArray[np.float32], bins: int = 128) -> NDArray[np.float32]:
    """The input of BEATs: frames of 25 ms every 10 ms, scaled as it was trained.

    Args:
        samples: 16 kHz mono between -1 and 1, at least one frame.
        bins: Mel bins.

    Returns:
        (frames × bins), ``(log mel - 15.41663) / (2 · 6.55582)``.
    """
    power = np.abs(_spectrum(samples, _window(), np.complex128)) ** 2
    logs = np.log(np.maximum(power @ _filters(bins), _FLOOR))
    return ((logs - SHIFT) / SCALE).astype(np.float32)


def log_mel(
    samples: NDArray[np.float32], filters: NDArray[np.float64], window: NDArray[np.float64]
) -> NDArray[np.float32]:
    """The filter bank of SeamlessM4T and w2v-BERT, in the steps in which transformers computes it.

    There a loop in Python goes over the frames, which takes longer than a small encoder does. The
    spectrum is rounded to single precision as it is there, so that both give the same numbers.

    Args:
        samples: 16 kHz mono between -1 and 1, at least one frame.
        filters: (frequencies × bins).
        window: Of one frame.

    Returns:
        (frames × bins), natural logarithms, not scaled.
    """
    power = np.abs(_spectrum(samples, window, np.complex64), dtype=np.float64) ** 2
    logs = np.log(np.maximum(_FLOOR, np.dot(filters.T, power.T)))
    return logs.astype(np.float32).T
