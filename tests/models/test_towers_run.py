"""A text encoder and a Whisper encoder from local folders, on a manifest, against plain loops."""

import json

import numpy as np
import pytest

import isogloss
from isogloss.storage.store import Store

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
soundfile = pytest.importorskip("soundfile")

SENTENCES = 7


@pytest.fixture(scope="module")
def run(tmp_path_factory, built):
    folder = tmp_path_factory.mktemp("towers")
    rng = np.random.default_rng(0)
    rows = []
    for language in ("eng", "deu"):
        for i in range(SENTENCES):
            path = folder / f"{language}{i}.flac"
            seconds = 0.3 + 0.25 * i
            soundfile.write(path, 0.1 * rng.normal(size=int(seconds * 16_000)), 16_000)
            text = "human rights and freedom " * (1 + i % 3) + str(i)
            rows.append({"id": str(i), "lang": language, "text": text, "audio_filepath": path.name})
    (folder / "m.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    study = isogloss.Study(
        corpus={"source": "manifest", "path": folder / "m.jsonl"},
        model={"family": "towers", "text": str(built("bert")), "speech": str(built("whisper"))},
        analyses=["cross_modal(pairs=all)", "gaps"],
        permutations=10,
        output=folder / "out",
    )
    return study, isogloss.run(study), rows


def stored(study, language, modality, tap):
    unit = next(
        u
        for u in isogloss.Run.read(study.output).units
        if (u.language, u.modality) == (language, modality)
    )
    return Store(study.output).view(unit, tap)


def close(found, expected):
    for ours, theirs in zip(found, expected, strict=True):
        assert np.linalg.norm(ours - theirs) <= 1e-5 * np.linalg.norm(theirs)


def test_text_equals_a_plain_loop_over_hidden_states(run, built):
    study, _, rows = run
    model = transformers.AutoModel.from_pretrained(built("bert")).eval()
    tokeniser = transformers.PreTrainedTokenizerFast(
        tokenizer_file=str(built("bert") / "tokenizer.json")
    )
    layers = {}
    for row in rows:
        if row["lang"] != "deu":
            continue
        inputs = torch.tensor([tokeniser(row["text"])["input_ids"]])
        with torch.no_grad():
            states = model(inputs, output_hidden_states=True).hidden_states
        for i, state in enumerate(states):
            layers.setdefault("in" if i == 0 else str(i), []).append(state[0].mean(0).numpy())
    assert len(layers) == 4
    for tap, expected in layers.items():
        close(stored(study, "deu", "text", tap), expected)


def test_speech_equals_a_plain_loop_over_hidden_states(run, built):
    study, _, rows = run
    encoder = transformers.WhisperModel.from_pretrained(built("whisper")).eval().encoder
    extractor = transformers.WhisperFeatureExtractor.from_pretrained(built("whisper"))
    layers = {}
    for row in rows:
        if row["lang"] != "eng":
            continue
        samples, _ = soundfile.read(study.corpus.path.parent / row["audio_filepath"], dtype="f4")
        features = extractor(
            samples, sampling_rate=16_000, return_tensors="pt", return_attention_mask=True
        )
        spoken = int(features["attention_mask"].sum())
        frames = -(-spoken // 2)
        with torch.no_grad():
            states = encoder(features["input_features"], output_hidden_states=True).hidden_states
        for i, state in enumerate(states):
            pooled = state[0, :frames].mean(0).numpy()
            layers.setdefault("in" if i == 0 else str(i), []).append(pooled)
    assert len(layers) == 4
    for tap, expected in layers.items():
        close(stored(study, "eng", "speech", tap), expected)


def test_all_pairs_of_layers_are_there(run):
    _, outcome, _ = run
    frame = outcome.results["cross_modal"].filter(group="all pairs")
    pairs = set(frame.select("tap_a", "tap_b").iter_rows())
    taps = ("in", "1", "2", "3")
    assert pairs == {(a, b) for a in taps for b in taps}
    matched = outcome.results["cross_modal"].filter(group="matched")
    assert set(matched.select("tap_a", "tap_b").iter_rows()) == {(t, t) for t in taps}
    assert (outcome.folder / "figures" / "cross_modal_map.png").exists()


def test_a_second_run_makes_nothing(run):
    study, outcome, _ = run
    assert outcome.made == 4
    assert isogloss.run(study).made == 0
