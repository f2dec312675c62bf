"""BEATs against values that the original code gave for small random weights."""

import os
from pathlib import Path

import numpy as np
import pytest

from isogloss.errors import ModelError
from isogloss.models._fbank import fbank

torch = pytest.importorskip("torch")

import salmonn_files  # noqa: E402
from isogloss.models._beats import BeatsConfig, load_beats  # noqa: E402

BIAS = "self_attn.relative_attention_bias.weight"


@pytest.fixture(scope="module")
def golden():
    return {name: value.numpy() for name, value in salmonn_files.golden().items()}


@pytest.fixture(scope="module")
def released():
    """The golden weights in the layout of the released file."""
    return salmonn_files.released_beats()


@pytest.fixture
def written(tmp_path, released):
    """Write a changed copy and return its path."""

    def write(change=lambda content: None):
        content = {"cfg": dict(released["cfg"]), "model": dict(released["model"])}
        change(content)
        torch.save(content, tmp_path / "beats.pt")
        return tmp_path / "beats.pt"

    return write


def encode(module, spectrogram):
    with torch.no_grad():
        return module(torch.from_numpy(spectrogram)[None])[0].numpy()


def test_filter_banks_equal_kaldi_s(golden):
    for row, samples in enumerate(golden["wav"]):
        found = fbank(samples)
        assert found.dtype == np.float32
        assert found.shape == golden["fbank"][row].shape == (299, 128)
        assert np.abs(found - golden["fbank"][row]).max() < 1e-4


@pytest.mark.parametrize(("samples", "frames"), [(400, 1), (559, 1), (560, 2), (16_000, 98)])
def test_frames_that_reach_beyond_the_end_are_left_out(samples, frames):
    found = fbank(np.zeros(samples, np.float32))
    assert found.shape == (frames, 128)
    assert np.isfinite(found).all()


def test_features_equal_the_original_s(golden, written):
    module = load_beats(written())
    assert not module.training
    assert not any(p.requires_grad for p in module.parameters())
    found = encode(module, fbank(golden["wav"][0]))
    assert found.shape == golden["alone"][0].shape == (144, 48)
    assert np.abs(found - golden["alone"][0]).max() < 5e-5
    given = encode(module, golden["fbank"][0])
    assert np.abs(given - golden["alone"][0]).max() < 5e-6


def test_padding_changes_results_so_utterances_run_alone(golden, written):
    """Why nothing is batched: also in the original, what is padded differs from what is alone."""
    module, samples = load_beats(written()), golden["wav"][1][:32_000]
    alone = encode(module, fbank(samples))
    padded = encode(module, golden["fbank"][1])[: len(alone)]
    assert np.linalg.norm(padded - alone) / np.linalg.norm(alone) > 0.01
    original = golden["both"][1][: len(alone)]
    assert np.linalg.norm(original - alone) / np.linalg.norm(alone) > 0.01


def test_sizes_come_from_the_file(written):
    def wider(content):
        content["cfg"]["encoder_ffn_embed_dim"] = 95

    with pytest.raises(ModelError, match=r"encoder.layers.0.fc1.bias \(\(96,\) instead of \(95,\)"):
        load_beats(written(wider))


def test_distances_beyond_the_largest_share_a_bucket(golden, written):
    """The golden file is too short to tell; more patches than ``max_distance`` must still work."""
    module = load_beats(written())
    bias = module.encoder.layers[0].self_attn.bias(1400)
    assert bias.shape == (4, 1400, 1400)
    assert torch.equal(bias[:, 0, 800], bias[:, 0, 1399])
    assert not torch.equal(bias[:, 0, 300], bias[:, 0, 800])
    assert not torch.equal(bias[:, 0, 5], bias[:, 5, 0])
    assert torch.equal(bias[:, 0, 5], bias[:, 100, 105])


def test_defaults_are_those_of_the_original():
    config = BeatsConfig.of({"relative_position_embedding": True, "gru_rel_pos": True}, Path("x"))
    assert (config.encoder_layers, config.encoder_embed_dim, config.max_distance) == (12, 768, 1280)


def drop_cfg(content):
    del content["cfg"]


def drop_weight(content):
    del content["model"]["encoder.layers.2.fc2.bias"]


def add_weight(content):
    content["model"]["encoder.layers.3.fc2.bias"] = torch.zeros(48)


def own_bias(content):
    content["model"][f"encoder.layers.2.{BIAS}"] = torch.zeros(320, 4)


def norm_first(content):
    content["cfg"]["layer_norm_first"] = True


def no_layers(content):
    content["cfg"]["encoder_layers"] = 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (drop_cfg, 'no checkpoint of BEATs: it has no "cfg"'),
        (drop_weight, "lacks encoder.layers.2.fc2.bias"),
        (add_weight, "do not belong there: encoder.layers.3.fc2.bias"),
        (own_bias, "layer 3 of BEATs has a relative position bias of its own"),
        (norm_first, '"layer_norm_first": True; all that were released have False'),
        (no_layers, 'the "cfg" of BEATs has no usable encoder_layers'),
    ],
)
def test_bad_checkpoints(change, message, written):
    with pytest.raises(ModelError, match=message):
        load_beats(written(change))


class Runs:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


def test_pickle_with_code_is_refused_and_not_run(tmp_path, written):
    def poison(content):
        content["extra"] = Runs(tmp_path / "ran")

    with pytest.raises(ModelError, match=r"holds more than weights: it asks for .*system"):
        load_beats(written(poison))
    assert not (tmp_path / "ran").exists()
