"""The filter bank of SeamlessM4T against the feature extractor of transformers."""

import numpy as np
import pytest

pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from isogloss.errors import ItemError  # noqa: E402
from isogloss.models import _fbank  # noqa: E402
from isogloss.models._speech import FilterBank  # noqa: E402

FRAME, HOP = _fbank.FRAME, _fbank.HOP


def both(extractor, samples):
    """Ours, and what transformers makes: time steps × features, those that the mask leaves."""
    made = extractor(samples, sampling_rate=16_000, return_tensors="np")
    steps = int(made["attention_mask"][0].sum())
    ours = FilterBank(extractor).features(samples)
    assert ours.length == steps
    return ours.values["input_features"], made["input_features"][0][:steps]


def speechlike(count, seed=0):
    """Noise that comes and goes, with silence in between."""
    numbers = np.random.default_rng(seed)
    loudness = (
        np.abs(np.sin(np.arange(count) / 1700))
        * (numbers.random(count // 800 + 1) > 0.2)[np.arange(count) // 800]
    )
    return (0.2 * loudness * numbers.standard_normal(count)).astype(np.float32)


@pytest.mark.parametrize("stride", [2, 3, 4])
@pytest.mark.parametrize("frames", [0, 1, 2, 3, 4, 5, 41, 98])
@pytest.mark.parametrize("more", [0, 1, HOP - 1])
def test_it_is_that_of_transformers(stride, frames, more):
    extractor = transformers.SeamlessM4TFeatureExtractor(stride=stride)
    ours, theirs = both(extractor, speechlike(FRAME + (stride - 1 + frames) * HOP + more))
    assert ours.dtype == np.float32
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-5)


def test_frames_in_blocks_are_the_same_frames(monkeypatch):
    extractor = transformers.SeamlessM4TFeatureExtractor()
    samples = speechlike(50_000, seed=3)
    whole = FilterBank(extractor).features(samples).values["input_features"]
    monkeypatch.setattr(_fbank, "_BLOCK", 37)
    blocks = FilterBank(extractor).features(samples).values["input_features"]
    np.testing.assert_allclose(blocks, whole, rtol=0, atol=1e-6)


def test_its_padding_is_that_of_the_extractor():
    """Of an odd number of frames, four stacked: the padding is part of the last step."""
    extractor = transformers.SeamlessM4TFeatureExtractor(stride=4, padding_value=1.0)
    ours, theirs = both(extractor, speechlike(FRAME + 6 * HOP))
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-5)
    assert (ours[-1, -extractor.num_mel_bins :] == 1).all()


def test_silence_is_finite():
    extractor = transformers.SeamlessM4TFeatureExtractor()
    ours, theirs = both(extractor, np.zeros(8000, np.float32))
    assert np.isfinite(ours).all()
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-5)


def test_what_is_shorter_than_a_step_is_refused():
    extractor = transformers.SeamlessM4TFeatureExtractor()
    with pytest.raises(ItemError, match="the model needs 35 ms"):
        FilterBank(extractor).features(np.zeros(FRAME + HOP - 1, np.float32))
