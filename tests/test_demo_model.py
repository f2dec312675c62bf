"""The training script of the demo model: what it trains on, and that it does the same each time."""

import gzip
import json
import sys
from importlib.resources import files
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from isogloss.models import _bundled

pytest.importorskip("torch")
pytest.importorskip("espeakng_loader")
SCRIPTS = Path(__file__).parents[1] / "demo-model"
NAMES = ("augment", "checkpoint", "corpus", "features", "objective", "sentences", "speech", "train")


@pytest.fixture(scope="module")
def scripts():
    """The modules of the script, as a run of it would import them."""
    if not SCRIPTS.is_dir():
        pytest.skip("the training script is in the repository only")
    sys.path.insert(0, str(SCRIPTS))
    try:
        yield {name: __import__(name) for name in NAMES}
    finally:
        sys.path.remove(str(SCRIPTS))
        for name in NAMES:
            sys.modules.pop(name, None)


@pytest.fixture(scope="module")
def recipe(scripts):
    return scripts["train"].Recipe(
        text_steps=3, text_batch=6, alone_steps=2, speech_steps=2, speech_batch=4, warm_up=2,
        amounts={"eng": 15, "fin": 15, "kat": 10},
    )  # fmt: skip


@pytest.fixture(scope="module")
def twice(scripts, recipe, tmp_path_factory):
    """Two trainings from nothing, the second one with another process for each language."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    found = []
    for processes in (1, 2):
        folder = tmp_path_factory.mktemp("training")
        training = scripts["train"].Training(folder, recipe, processes=processes)
        steps = []
        first = training.weights()
        training.run(steps.append)
        found.append((training, first, training.weights(), steps))
    torch.set_num_threads(before)
    return found


def test_twice_the_same_seed_gives_the_same_weights(twice):
    (_, first, one, steps), (_, other_first, two, _) = twice
    assert steps == list(range(8))
    assert one.keys() == two.keys()
    for name in one:
        assert np.array_equal(first[name], other_first[name])
        assert np.array_equal(one[name], two[name]), name


def test_both_encoders_are_trained(twice):
    _, first, last, _ = twice[0]
    moved = {name for name in last if not np.array_equal(first[name], last[name])}
    # The subsampling of a relative position, and the bias of keys, can change no result.
    still = {name for name in last.keys() - moved if "distance_embedding" not in name}
    assert len(still) < 0.05 * len(last), sorted(still)
    assert all(np.isfinite(values).all() for values in last.values())


def test_what_is_saved_is_what_was_trained(scripts, twice, tmp_path):
    from isogloss.languages import language
    from isogloss.models.seamless import Seamless

    training, _, last, _ = twice[0]
    scripts["train"].save(training, tmp_path / "model", 7)
    source = Seamless(checkpoint=str(tmp_path / "model"))
    assert not source.layout().untrained
    tower = source.load(device="cpu").tower("speech")
    own = tower.module.state_dict()["encoder.layers.0.ffn1.output_dense.weight"].numpy()
    wanted = last["speech_encoder.encoder.layers.0.ffn1.output_dense.weight"]
    assert np.array_equal(own, wanted.astype(np.float16).astype(np.float32))
    assert tower.encode([training.spoken["eng"][0]])["len"].shape == (1, 128)
    assert source.load(device="cpu").tower("text").features("koala", language("kat")).length > 2


def test_the_vector_is_the_last_tap(scripts, twice):
    """What is trained is what is measured."""
    training = twice[0][0]
    for tower, inputs, tap in (
        (training.text, training.written, "6"),
        (training.speech, training.spoken, "len"),
    ):
        batch = [inputs["eng"][i] for i in sorted(inputs["eng"])[:5]]
        own = scripts["objective"].vectors(tower, batch).detach().numpy()
        assert own == pytest.approx(tower.encode(batch)[tap], abs=1e-5)


def test_the_shipped_sentences_and_tokeniser_are_those_of_the_script(scripts):
    rows = gzip.decompress((files("isogloss") / "data" / "lists.jsonl.gz").read_bytes())
    assert [json.loads(line) for line in rows.decode().splitlines()] == scripts["corpus"].rows()
    training = scripts["sentences"].sentences(scripts["corpus"].SEED)[0]
    pieces = scripts["checkpoint"]._tokeniser(training)
    folder = _bundled.demo_folder()
    told = json.loads((folder / "isogloss.json").read_text())
    assert _bundled.name_of(pieces) == told["pieces"]
    recipe = scripts["train"].Recipe()
    assert told["step"] == recipe.steps
    assert told["recipe"] == json.loads(json.dumps(scripts["train"].asdict(recipe)))


def test_what_is_held_out_is_never_trained_on(scripts):
    parts = scripts["sentences"].sentences(scripts["corpus"].SEED)
    sets = [{frozenset(s) for s in part} for part in parts]
    assert [len(own) for own in sets] == [8_000, 240, 240]
    assert all(not a & b for a, b in zip(sets, [*sets[1:], sets[0]], strict=True))
    assert min(len(s) for part in parts for s in part) == 2
    voices = scripts["speech"]
    assert not set(voices.TRAINING) & set(voices.OTHERS)


def test_every_term_is_about_as_frequent(scripts):
    terms = len(scripts["sentences"].TERMS)
    for part in scripts["sentences"].sentences(scripts["corpus"].SEED):
        counts = np.bincount([i for s in part for i in s], minlength=terms)
        assert counts.max() - counts.min() <= max(4, 0.1 * counts.mean())


def test_the_loss_knows_equal_sentences(scripts):
    """The same sentence twice in a batch is no wrong answer; all others are."""
    import torch

    contrast = scripts["objective"].contrast
    one = torch.eye(4)
    assert float(contrast(one, one, torch.arange(4))) < 1e-6
    again = one[[0, 0, 1, 2]]
    assert float(contrast(again, again, torch.tensor([0, 0, 1, 2]))) < 1e-6
    wrong = float(contrast(again, again, torch.arange(4)))
    assert wrong == pytest.approx(np.log(2) / 2, abs=1e-6)


def test_lists_are_put_as_the_language_puts_them(scripts):
    sentences = scripts["sentences"]
    known = {row["eng"]: i for i, row in enumerate(sentences.TERMS)}
    cat = tuple(known[word] for word in ("koala", "April", "pizza"))
    assert sentences.text(cat, "eng") == "koala, April, and pizza"
    assert sentences.text(cat[:2], "fra") == "koala et avril"
    for code, size in product(sentences.LANGUAGES, (1, 2, 3, 4)):
        words = [sentences.TERMS[i][code] for i in (*cat, known["whale"])[:size]]
        found = sentences.text((*cat, known["whale"])[:size], code)
        places = [found.index(word) for word in words]
        assert places == sorted(places)


def test_a_recording_is_another_each_time_and_stays_what_it_is(scripts, twice):
    """Pace, tract and masks within their bounds; the kept recording is not touched."""
    import random

    augment = scripts["augment"]
    kept = twice[0][0].spoken["eng"][0]
    values = kept.values["input_features"].copy()
    numbers = random.Random(1)
    found = [augment.augmented(kept, numbers) for _ in range(200)]
    assert np.array_equal(kept.values["input_features"], values)
    lengths = [item.length / kept.length for item in found]
    step = 1 / kept.length
    assert min(lengths) >= 1 - augment.PACE - step
    assert max(lengths) <= 1 + augment.PACE + step
    assert max(lengths) - min(lengths) > augment.PACE
    for item in found:
        changed = item.values["input_features"]
        assert changed.shape == (item.length, values.shape[1])
        assert changed.dtype == np.float32
        frames = changed.reshape(-1, augment.BINS)
        hidden = (frames == 0).all(axis=0).sum()
        assert hidden <= augment.BANDS * augment.BAND
        assert np.abs(frames).max() <= np.abs(values).max()
    again = augment.augmented(kept, random.Random(5)), augment.augmented(kept, random.Random(5))
    assert np.array_equal(*(item.values["input_features"] for item in again))


def test_pace_and_tract_are_those_of_a_known_ramp(scripts, monkeypatch):
    """Without masks, a straight line over time and bins stays one, from end to end."""
    import random

    from isogloss.models.base import Features

    augment = scripts["augment"]
    monkeypatch.setattr(augment, "BANDS", 0)
    monkeypatch.setattr(augment, "GAP", 0)
    frames = np.arange(80.0)[:, None] + np.arange(augment.BINS) / 100
    item = Features({"input_features": frames.reshape(20, -1).astype(np.float16)}, 20)

    class Slow(random.Random):
        def uniform(self, low, high):
            return high

    slow = augment.augmented(item, Slow(0))
    assert slow.length == 23
    found = slow.values["input_features"].reshape(-1, augment.BINS)
    bins = (np.arange(augment.BINS) * (1 + augment.TRACT)).clip(0, augment.BINS - 1) / 100
    assert found == pytest.approx(np.linspace(0, 79, 92)[:, None] + bins, abs=0.05)


def test_a_recording_of_one_time_step_can_be_changed(scripts):
    import random

    from isogloss.models.base import Features

    augment = scripts["augment"]
    item = Features({"input_features": np.ones((1, augment.BINS), np.float16)}, 1)
    for seed in range(50):
        found = scripts["augment"].augmented(item, random.Random(seed))
        assert found.length == 1
        assert set(np.unique(found.values["input_features"])) <= {0.0, 1.0}
