"""The checkpoints that come with the package."""

import json
from importlib.resources import files

import numpy as np
import pytest

from isogloss.corpora.lists import Lists
from isogloss.languages import language
from isogloss.models import _bundled, _small
from isogloss.models.seamless import Seamless

pytest.importorskip("torch")
SPOKEN = 120


def test_the_package_stays_small():
    folder = _bundled.demo_folder()
    assert sum(path.stat().st_size for path in folder.iterdir()) < 8_000_000
    data = files("isogloss") / "data"
    assert sum(p.stat().st_size for p in data.rglob("*") if p.is_file()) < 15_000_000


def test_planning_reads_only_the_configuration(tmp_path, monkeypatch):
    monkeypatch.setenv("ISOGLOSS_CACHE", str(tmp_path / "cache"))
    trained, twin = (Seamless(checkpoint=name) for name in ("demo", "demo-untrained"))
    assert trained.layout().taps == twin.layout().taps
    assert (trained.layout().untrained, twin.layout().untrained) == (False, True)
    assert trained.fingerprint() != twin.fingerprint()
    assert (trained.title(), twin.title()) == ("seamless-demo", "seamless-demo-untrained")
    assert not (tmp_path / "cache").exists()


def test_the_card_says_what_it_is_for():
    assert any("demonstration only" in note for note in Seamless(checkpoint="demo").layout().notes)
    card = (_bundled.demo_folder() / "README.md").read_text(encoding="utf-8")
    assert "demonstration only" in card.lower()


def test_the_untrained_one_is_what_training_began_with(tmp_path):
    """Same shapes and tokeniser; its numbers are those of the recipe, drawn again."""
    from safetensors.numpy import load_file

    folder = Seamless(checkpoint="demo-untrained")._checkpoint().folder()
    trained = load_file(_bundled.demo_folder() / "model.safetensors")
    drawn = load_file(folder / "model.safetensors")
    assert {k: v.shape for k, v in trained.items()} == {k: v.shape for k, v in drawn.items()}
    assert {v.dtype for v in trained.values()} == {np.dtype(np.float16)}
    name = "speech_encoder.encoder.layers.0.ffn1.output_dense.weight"
    assert np.array_equal(drawn[name], _small.draw(name, drawn[name].shape, _bundled.SEED))
    pieces = [(f / _small.PIECES).read_bytes() for f in (_bundled.demo_folder(), folder)]
    assert pieces[0] == pieces[1]
    assert json.loads((folder / "isogloss.json").read_text())["untrained"] is True


def vectors(checkpoint, code):
    """Text and speech of the held-out sentences at the last taps, each (sentences × features)."""
    towers = Seamless(checkpoint=checkpoint).load(device="cpu")
    own = [u for u in Lists(languages=(code,)).load().utterances if u.language == code][:SPOKEN]
    found = []
    for modality, tap in (("text", "6"), ("speech", "len")):
        tower = towers.tower(modality)
        items = [u.text if modality == "text" else u.clip.read().samples for u in own]
        made = [tower.features(item, language(code)) for item in items]
        batches = (made[i : i + 40] for i in range(0, len(made), 40))
        found.append(np.concatenate([tower.encode(batch)[tap] for batch in batches]))
    return found


def found_again(speech, text):
    """Share of the recordings whose own text is the nearest of all."""
    moved = (rows - rows.mean(0) for rows in (speech, text))
    one, two = (rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in moved)
    return float(((one @ two.T).argmax(1) == np.arange(len(one))).mean())


def test_the_model_finds_the_text_of_what_it_hears():
    """Of 120 held-out sentences, in voices that it never heard; the untrained one cannot."""
    text, speech = vectors("demo", "eng")
    assert found_again(speech, text) > 0.35
    text, speech = vectors("demo-untrained", "eng")
    assert found_again(speech, text) < 0.1
