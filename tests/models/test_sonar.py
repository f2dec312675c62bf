"""SONAR: the official code's value at every tap, from both layouts, whatever the batch."""

import json
import shutil

import numpy as np
import pytest

from isogloss.errors import ItemError, ModelError
from isogloss.events import Silent
from isogloss.extraction.extract import extract
from isogloss.languages import language
from isogloss.models.base import Features
from isogloss.planning import plan
from isogloss.storage.store import Store
from isogloss.study import Study

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
pytest.importorskip("sentencepiece")

from sonar_files import LENGTHS, golden, inputs, sonar, state, write  # noqa: E402

LIMIT = 1e-5
TAPS = ["in", "1", "2", "3", "pool"]
OFFICIAL = {"in": "frontend", "1": "layer1", "2": "layer2", "3": "layer3", "pool": "pooled"}
GERMAN, ENGLISH = language("deu"), language("eng")


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("sonar")
    return {layout: write(root / layout, layout) for layout in ("fairseq2", "fairseq")}


@pytest.fixture(scope="module")
def adapter(folders):
    return sonar(folders["fairseq2"]).load(device="cpu")


def text_batch():
    """The golden sentences as the tower's own features."""
    ids, lengths = inputs("text").ids.numpy(), LENGTHS["text/lens"]
    return [
        Features({"input_ids": row[:n], "pooled": np.ones(n, bool)}, n)
        for row, n in zip(ids, lengths, strict=True)
    ]


def speech_batch():
    banks = inputs("speech").fbank.numpy()
    steps = [n // 2 for n in LENGTHS["speech/flens"]]
    return [
        Features({"input_features": row.reshape(-1, 160)[:n]}, n)
        for row, n in zip(banks, steps, strict=True)
    ]


BATCHES = {"text": text_batch, "speech": speech_batch}


def official(modality, name, row, length):
    value = golden()[f"{modality}/taps/{name}"][row]
    return value.numpy() if value.dim() == 1 else value[:length].mean(0).numpy()


@pytest.mark.parametrize("layout", ["fairseq2", "fairseq"])
@pytest.mark.parametrize("modality", ["text", "speech"])
def test_every_tap_is_that_of_the_official_code(layout, modality, folders, gap):
    batch = BATCHES[modality]()
    for last, name in (("raw", "layer3"), ("normed", "layer_norm")):
        loaded = sonar(folders[layout], last_layer=last).load(device="cpu")
        made = loaded.tower(modality, GERMAN).encode(batch)
        assert list(made) == TAPS
        for tap, where in {**OFFICIAL, "3": name}.items():
            for row, item in enumerate(batch):
                wanted = official(modality, where, row, item.length)
                assert gap(made[tap][row], wanted) < LIMIT, (tap, row)
    assert gap(official(modality, "layer3", 0, 7), official(modality, "layer_norm", 0, 7)) > 0.01


@pytest.mark.parametrize("modality", ["text", "speech"])
def test_every_time_step_is_that_of_the_official_code(modality, adapter):
    """A mean hides what cancels, so that whole sequences are compared as well."""
    tower, batch, seen = adapter.tower(modality, GERMAN), BATCHES[modality](), {}
    encoder = tower.module.encoder

    def keep(name):
        return lambda module, args, output: seen.__setitem__(name, output)

    modules = {f"layer{i + 1}": layer for i, layer in enumerate(encoder.layers)}
    modules["layer_norm"] = encoder.layer_norm
    if modality == "speech":
        modules["frontend"] = tower.module.feature_projection
    hooks = [m.register_forward_hook(keep(name)) for name, m in modules.items()]
    tower.encode(batch)
    for hook in hooks:
        hook.remove()
    for name, found in seen.items():
        found = found[0] if isinstance(found, tuple) else found
        wanted = golden()[f"{modality}/taps/{name}"]
        for row, item in enumerate(batch):
            n = item.length
            difference = (found[row, :n] - wanted[row, :n]).abs().max()
            assert difference <= LIMIT, (name, row)
    assert len(seen) == (4 if modality == "text" else 5)


def test_both_layouts_give_the_same_weights_without_one_missing_or_left_over(folders):
    for modality, path in (("text", "sonar_text_encoder.pt"), ("speech", "spenc.v3ap.deu.pt")):
        found = [
            sonar(folder).load(device="cpu").tower(modality, GERMAN).module.state_dict()
            for folder in folders.values()
        ]
        assert found[0].keys() == found[1].keys()
        assert all(torch.equal(found[0][name], found[1][name]) for name in found[0]), path
        assert len(found[0]) == len(state(modality))


def test_from_waveform_to_sentence_vector(adapter, gap):
    """The filter banks are those of transformers, computed in another precision."""
    tower, given = adapter.tower("speech", GERMAN), inputs("speech/wavs")
    samples = [getattr(given, name).numpy() for name in ("0", "1")]
    batch = [tower.features(s, GERMAN) for s in samples]
    for found, wanted in zip(batch, speech_batch(), strict=True):
        assert found.length == wanted.length
        assert np.abs(found.values["input_features"] - wanted.values["input_features"]).max() < 2e-4
    made = tower.encode(batch)
    for row in range(2):
        assert gap(made["pool"][row], official("speech", "pooled", row, 1)) < 5e-5


def test_text_does_not_depend_on_its_batch(adapter, makers, gap):
    tower = adapter.tower("text")
    batch = [tower.features(text, GERMAN) for text in makers.texts["deu"]]
    together = tower.encode(batch)
    for row, item in enumerate(batch):
        alone = tower.encode([item])
        assert all(gap(together[tap][row], alone[tap]) < LIMIT for tap in TAPS)


@pytest.mark.parametrize("seconds", [0.05, 0.32, 0.61, 1.0])
def test_speech_does_not_depend_on_its_batch(seconds, adapter, sounds, gap):
    """The convolutions reach 15 steps beyond the end, into what must be zero."""
    tower = adapter.tower("speech", GERMAN)
    item = tower.features(sounds(seconds, seed=3), GERMAN)
    alone = tower.encode([item])
    for other in (seconds + 0.1, 3.0):
        longer = tower.features(sounds(other, seed=50), GERMAN)
        together = tower.encode([longer, item])
        assert all(gap(together[tap][1], alone[tap]) < LIMIT for tap in TAPS)


def test_speech_would_depend_on_padding_without_the_mask(adapter, sounds, gap):
    tower = adapter.tower("speech", GERMAN)
    item = tower.features(sounds(0.6), GERMAN)
    padded = np.concatenate([item.values["input_features"], np.zeros((40, 160), np.float32)])
    alone = tower.encode([item])
    leaking = tower.encode([Features({"input_features": padded}, len(padded))])
    assert gap(leaking["pool"], alone["pool"]) > 1e-3


def test_which_tokens_count(folders, adapter, gap):
    without = sonar(folders["fairseq2"], pool_special_tokens=False).load(device="cpu").tower("text")
    text = "Alle Menschen sind frei."
    features = without.features(text, GERMAN)
    ids = features.values["input_ids"]
    assert features.values["pooled"].tolist() == [False, *[True] * (len(ids) - 2), False]
    made, every = without.encode([features]), adapter.tower("text").encode([features])
    whole = adapter.tower("text").encode([adapter.tower("text").features(text, GERMAN)])
    assert gap(made["2"], whole["2"]) > 0.05
    # The model's own sentence vector is its own affair.
    assert np.array_equal(made["pool"], whole["pool"])
    assert np.array_equal(every["2"], made["2"])
    normed = sonar(folders["fairseq2"], last_layer="normed").load(device="cpu").tower("text")
    final = normed.encode([normed.features(text, GERMAN)])
    assert np.array_equal(final["3"], final["pool"])


def sinusoids(first, count, width):
    half = width // 2
    angles = np.arange(first, first + count)[:, None] / 10000 ** (np.arange(half) / (half - 1))
    return np.concatenate([np.sin(angles), np.cos(angles)], axis=1)


def test_the_input_of_a_text_with_and_without_positions(folders, adapter, gap):
    """An unknown token has padding's id in transformers, and must take a place like any other."""
    embeddings = state("text")["encoder_frontend.embed.weight"].numpy()
    ids = np.array([172, 9, 1, 1, 30, 3])
    item = Features({"input_ids": ids, "pooled": np.ones(6, bool)}, 6)
    words = embeddings[ids] * np.sqrt(32)
    bare = sonar(folders["fairseq2"], text_in="embedding").load(device="cpu").tower("text")
    assert gap(bare.encode([item])["in"], words.mean(0)) < LIMIT
    wanted = (words + sinusoids(2, 6, 32)).mean(0)
    assert gap(adapter.tower("text").encode([item])["in"], wanted) < LIMIT


def test_the_speech_encoder_before_is_let_go(folders, sounds):
    loaded = sonar(folders["fairseq2"]).load(device="cpu")
    with pytest.raises(ModelError, match="name the language"):
        loaded.tower("speech")
    first = loaded.tower("speech", GERMAN)
    assert loaded.tower("speech", GERMAN) is first
    item = first.features(sounds(0.5), GERMAN)
    german = first.encode([item])
    held = {p.device.type for p in first.module.parameters()}
    english = loaded.tower("speech", ENGLISH).encode([item])
    assert held == {"cpu"}
    # Also while somebody holds the tower before.
    assert {t.device.type for t in first.module.state_dict().values()} == {"meta"}
    assert not np.allclose(german["pool"], english["pool"])
    again = loaded.tower("speech", GERMAN).encode([item])
    assert np.array_equal(again["pool"], german["pool"])
    text = loaded.tower("text", GERMAN)
    assert loaded.tower("text", ENGLISH) is text
    loaded.close()


@pytest.mark.parametrize(("dtype", "most"), [("float16", 5e-3), ("bfloat16", 4e-2)])
def test_half_precision(dtype, most, folders, adapter, sounds, gap):
    half = sonar(folders["fairseq2"], dtype=dtype).load(device="cpu")
    given = {"text": "Alle Menschen sind frei.", "speech": sounds(2.0)}
    for modality, item in given.items():
        full, low = (a.tower(modality, GERMAN) for a in (adapter, half))
        assert str(next(low.module.parameters()).dtype) == f"torch.{dtype}"
        features = full.features(item, GERMAN)
        wanted, made = full.encode([features]), low.encode([features])
        for tap in TAPS:
            assert made[tap].dtype == np.float32
            assert 1e-6 < gap(made[tap], wanted[tap]) < most, (modality, tap)


def test_limits(adapter, sounds):
    text, speech = adapter.tower("text"), adapter.tower("speech", GERMAN)
    with pytest.raises(ItemError, match="the model reads 514"):
        text.features("frei " * 600, GERMAN)
    with pytest.raises(ItemError, match=r"lasts 82\.\d s, and the model hears 81\.9 s"):
        speech.features(sounds(82.2), GERMAN)
    with pytest.raises(ItemError, match="needs 35 ms"):
        speech.features(sounds(0.03), GERMAN)
    assert speech.features(sounds(0.035), GERMAN).length == 1


@pytest.fixture
def study(folders, tmp_path, sounds, makers):
    """Text and speech of two languages, at the taps of the study."""
    soundfile = pytest.importorskip("soundfile")
    rows = []
    for code in ("deu", "eng"):
        for i in range(3):
            path = tmp_path / f"{code}{i}.wav"
            soundfile.write(path, sounds(0.4 + i / 10, seed=i + 5 * (code == "eng")), 16_000)
            text = f"{makers.texts[code][i % 2]} {i}"
            rows.append({"id": str(i), "lang": code, "text": text, "audio_filepath": str(path)})
    table = tmp_path / "table.jsonl"
    table.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    return Study(
        corpus={"source": "manifest", "path": table},
        model=sonar(folders["fairseq2"], taps="paper"),
        output=tmp_path / "out",
        jobs=1,
    )


def test_a_study_runs_one_speech_encoder_after_another(study, gap):
    planned = plan(study)
    assert "speech" not in planned.checkpoint
    store = Store(study.output)
    assert extract(planned, store, Silent()) == []
    for unit in planned.units:
        record = store.record(unit)
        own = study.model.fingerprint_of(unit.modality, unit.language)
        assert record["model"]["checkpoint"] == {**planned.checkpoint, **own}
        assert bool(own) == (unit.modality == "speech")
        spoken = language(unit.language)
        tower = study.model.load(device="cpu").tower(unit.modality, spoken)
        for row, utterance in enumerate(planned.utterances(unit)):
            item = utterance.text if unit.modality == "text" else utterance.clip.read().samples
            made = tower.encode([tower.features(item, spoken)])
            stored = store.view(unit, "pool")
            assert gap(stored[row], made["pool"]) < LIMIT


def test_another_file_of_a_language_makes_its_speech_again_and_nothing_else(study, tmp_path):
    before = {(u.language, u.modality): u.digest for u in plan(study).units}
    copy = shutil.copytree(study.model.text, tmp_path / "copy")
    torch.save({"model": state("speech")}, copy / "spenc.eng.pt")
    changed = study.model_copy(update={"model": sonar(copy, taps="paper")})
    after = {(u.language, u.modality): u.digest for u in plan(changed).units}
    assert {key for key in before if before[key] != after[key]} == {("eng", "speech")}
    (copy / "spenc.eng.pt").unlink()
    with pytest.raises(ModelError, match=r"spenc\.eng\.pt"):
        plan(changed)
