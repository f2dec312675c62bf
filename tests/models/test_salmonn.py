"""SALMONN: golden values of the original, plain transformers as the oracle for the rest."""

import json
import math
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from isogloss.errors import ItemError
from isogloss.models.base import Heard
from isogloss.models.salmonn import Salmonn

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

import salmonn_files  # noqa: E402
from isogloss.models._beats import load_beats  # noqa: E402
from isogloss.models._fbank import fbank  # noqa: E402
from isogloss.models._salmonn_load import load_bridge  # noqa: E402
from isogloss.models._salmonn_sizes import read_sizes  # noqa: E402
from isogloss.models._weights import quiet  # noqa: E402
from salmonn_files import ALPHA, LAYERS, NAMES, RANK, TEXTS, WIDTH  # noqa: E402

LIMIT = 1e-5
MODES = ("joint", "separate", "mismatched")


@pytest.fixture(scope="module")
def official(tmp_path_factory):
    """The four official files, small. Tests must not change them."""
    return salmonn_files.write_all(tmp_path_factory.mktemp("salmonn"))


@pytest.fixture(scope="module")
def golden():
    return {name: value.numpy() for name, value in salmonn_files.golden().items()}


@pytest.fixture(scope="module")
def adapters(official):
    made = {}

    def get(**settings):
        key = json.dumps(settings, sort_keys=True)
        if key not in made:
            made[key] = Salmonn(**{**official, **settings}).load(device="cpu")
        return made[key]

    return get


@pytest.fixture(scope="module")
def oracle(official):
    """The whole Llama of transformers, its low-rank updates computed beside the matrices."""
    with quiet():
        model = transformers.LlamaForCausalLM.from_pretrained(official["vicuna"]).eval()
    stored = salmonn_files.released_checkpoint()["model"]

    def beside(name):
        a, b = (stored[f"{name}.lora_{f}.default.weight"] for f in "AB")
        return lambda module, args, out: out + ALPHA / RANK * (args[0] @ a.T @ b.T)

    for i, layer in enumerate(model.model.layers):
        for matrix in ("q_proj", "v_proj"):
            name = f"llama_model.base_model.model.model.layers.{i}.self_attn.{matrix}"
            getattr(layer.self_attn, matrix).register_forward_hook(beside(name))
    from sentencepiece import SentencePieceProcessor

    pieces = SentencePieceProcessor(model_file=str(Path(official["vicuna"]) / "tokenizer.model"))

    def run(*parts):
        """Hidden states of an input made of texts, ids and embeddings; and where each part is."""
        embedded, spans, place = [], [], 0
        for part in parts:
            if isinstance(part, str):
                part = pieces.encode(part)
            if isinstance(part, list):
                part = model.model.embed_tokens(torch.tensor(part))
            embedded.append(part)
            spans.append(slice(place, place + len(part)))
            place += len(part)
        with torch.no_grad():
            given = torch.cat(embedded).unsqueeze(0)
            hidden = model(inputs_embeds=given, output_hidden_states=True).hidden_states
        return [h[0].numpy() for h in hidden], spans

    return SimpleNamespace(run=run, pieces=pieces, model=model)


def audio_of(adapter, samples):
    """The 88 embeddings of a recording, and the features they come from."""
    tower = adapter.tower("speech")
    values = tower._listening.values(samples)[0]
    mel, bank = (torch.from_numpy(values[k])[None] for k in ("mel", "fbank"))
    with torch.no_grad():
        raw, fused = adapter.parts.ears().hear(mel, bank)
        return adapter.parts.ears().bridge(fused)[0], fused[0].numpy(), raw[0].numpy()


def encode(tower, *items, spoken=None):
    return tower.encode([tower.features(item, spoken) for item in items])


def test_audio_embeddings_equal_the_original_s(golden, official):
    path = Path(official["checkpoint"])
    bridge = load_bridge(path, replace(read_sizes(path), heads=4))  # as the golden one was made
    spoken, heard = torch.from_numpy(golden["whisper"]), torch.from_numpy(golden["both"])
    with torch.no_grad():
        found = bridge(bridge.fuse(spoken, heard)[1]).numpy()
    assert found.shape == golden["emb"].shape == (2, 88, WIDTH)
    assert np.abs(found - golden["emb"]).max() < LIMIT
    # The first recording fills its batch, so the original's leak does not show in it.
    beats = load_beats(Path(official["beats"]))
    with torch.no_grad():
        heard = beats(torch.from_numpy(fbank(golden["wav"][0]))[None])
        found = bridge(bridge.fuse(spoken[:1], heard)[1]).numpy()
    assert np.abs(found - golden["emb"][:1]).max() < LIMIT


def test_low_rank_updates_change_what_is_read(official, adapters, oracle, german, gap):
    """The comparison with the oracle would be empty if they were too small to see."""
    plain = transformers.LlamaModel.from_pretrained(official["vicuna"]).eval()
    ids = [1, *oracle.pieces.encode(f"USER: {TEXTS[0]}\nASSISTANT:")]
    with torch.no_grad():
        bare = plain(torch.tensor([ids]), output_hidden_states=True).hidden_states
    hidden, _ = oracle.run(ids)
    assert gap(bare[1][0].numpy().mean(0), hidden[1].mean(0)) > 0.05
    without = adapters(input="separate", pool_prompt=True, lora_alpha=0).tower("text")
    found = encode(without, TEXTS[0], spoken=german)
    for name, wanted in zip(NAMES, bare, strict=True):
        assert gap(found[name], wanted[0, 1:].numpy().mean(0)) < LIMIT


@pytest.mark.parametrize("seconds", [0.4, 1.0, 3.007])
def test_speech_equals_plain_transformers(seconds, adapters, oracle, sounds, german, gap):
    adapter, samples = adapters(), sounds(seconds)
    audio, fused, _ = audio_of(adapter, samples)
    assert audio.shape == (88, WIDTH)
    hidden, (_, _, span) = oracle.run([1], "USER: <Speech>", audio)
    made = encode(adapter.tower("speech"), samples, spoken=german)
    assert list(made) == ["enc", *NAMES]
    assert gap(made["enc"], fused.mean(0)) < LIMIT
    for name, wanted in zip(NAMES, hidden, strict=True):
        assert gap(made[name], wanted[span].mean(0)) < LIMIT


def test_fused_features_are_whisper_s_beside_beats_s(official, adapters, sounds):
    """Whisper of transformers on 30 s, BEATs on the recording alone, zeros where it has ended."""
    samples = sounds(2.0)
    with quiet():
        whisper = transformers.WhisperModel.from_pretrained(official["whisper"]).encoder.eval()
    extractor = transformers.WhisperFeatureExtractor.from_pretrained(official["whisper"])
    mel = extractor(samples, sampling_rate=16_000, return_tensors="pt")["input_features"]
    with torch.no_grad():
        spoken = whisper(mel).last_hidden_state[0].numpy()
    _, fused, raw = audio_of(adapters(), samples)
    assert raw.shape == fused.shape == (1500, 64 + 48)
    assert np.abs(raw[:, :64] - spoken).max() < LIMIT
    heard = 8 * (198 // 16)
    assert not raw[heard:, 64:].any()
    assert not fused[heard:, 64:].any()
    assert np.abs(raw[:heard, 64:]).min(axis=1).max() > 0
    assert np.abs(fused[:, :64] - raw[:, :64]).max() > 0.01


@pytest.mark.parametrize("text", TEXTS)
def test_joint_text_equals_plain_transformers(text, adapters, oracle, sounds, german, gap):
    """The official prompt: pieces before and after the audio, each tokenised by itself."""
    adapter, samples = adapters(), sounds(1.2)
    audio = audio_of(adapter, samples)[0]
    after = oracle.pieces.encode(f"</Speech> {text}\nASSISTANT:")
    own = oracle.pieces.encode(text)
    start = len(oracle.pieces.encode("</Speech>"))
    assert after[start : start + len(own)] == own
    hidden, spans = oracle.run([1], "USER: <Speech>", audio, after)
    place = spans[3].start + start
    made = encode(adapter.tower("text"), Heard(text, samples), spoken=german)
    assert list(made) == NAMES
    for name, wanted in zip(NAMES, hidden, strict=True):
        assert gap(made[name], wanted[place : place + len(own)].mean(0)) < LIMIT
    around = encode(adapters(pool_prompt=True).tower("text"), Heard(text, samples), spoken=german)
    for name, wanted in zip(NAMES, hidden, strict=True):
        assert gap(around[name], wanted[spans[3]].mean(0)) < LIMIT


@pytest.mark.parametrize("text", TEXTS)
def test_separate_text_equals_plain_transformers(text, adapters, oracle, german, gap):
    hidden, spans = oracle.run([1], f"USER: {text}\nASSISTANT:")
    start = 1 + len(oracle.pieces.encode("USER:"))
    own = slice(start, start + len(oracle.pieces.encode(text)))
    made = encode(adapters(input="separate").tower("text"), text, spoken=german)
    for name, wanted in zip(NAMES, hidden, strict=True):
        assert gap(made[name], wanted[own].mean(0)) < LIMIT
    around = adapters(input="separate", pool_prompt=True).tower("text")
    made = encode(around, f"  {text} ", spoken=german)
    for name, wanted in zip(NAMES, hidden, strict=True):
        assert gap(made[name], wanted[spans[1]].mean(0)) < LIMIT


def test_last_layer_as_the_layer_leaves_it(adapters, oracle, german, gap):
    raw = []
    hook = oracle.model.model.norm.register_forward_pre_hook(lambda m, args: raw.append(args[0]))
    _, spans = oracle.run([1], f"USER: {TEXTS[0]}\nASSISTANT:")
    hook.remove()
    settings = {"input": "separate", "pool_prompt": True}
    made = encode(adapters(**settings, last_layer="raw").tower("text"), TEXTS[0], spoken=german)
    normed = encode(adapters(**settings).tower("text"), TEXTS[0], spoken=german)
    assert gap(made["4"], raw[0][0, spans[1]].numpy().mean(0)) < LIMIT
    assert gap(made["4"], normed["4"]) > 0.05
    assert np.array_equal(made["3"], normed["3"])


def test_enc_before_the_norms_and_over_the_recording(adapters, sounds, german, gap):
    samples = sounds(1.51)
    _, fused, raw = audio_of(adapters(), samples)
    for settings, wanted in (
        ({"enc": "raw"}, raw),
        ({"pool": "valid"}, fused[:76]),
        ({"enc": "raw", "pool": "valid"}, raw[:76]),
    ):
        made = encode(adapters(**settings).tower("speech"), samples, spoken=german)
        assert gap(made["enc"], wanted.mean(0)) < LIMIT


@pytest.mark.parametrize(
    ("samples", "tokens"), [(1, 1), (5440, 1), (5441, 2), (48_123, 9), (478_720, 88), (480_000, 88)]
)
def test_valid_audio_tokens(samples, tokens, adapters, oracle, sounds, german, gap):
    """One per 0.34 s begun; the 88th ends at 29.92 s."""
    assert tokens == min(88, math.ceil(samples / 16_000 / 0.34 - 1e-12))
    recording = sounds(30.0)[:samples]
    adapter = adapters(pool="valid")
    hidden, (_, _, span) = oracle.run([1], "USER: <Speech>", audio_of(adapter, recording)[0])
    made = encode(adapter.tower("speech"), recording, spoken=german)
    for name, wanted in zip(NAMES, hidden, strict=True):
        assert gap(made[name], wanted[span][:tokens].mean(0)) < LIMIT


def test_text_sees_the_speech_only_in_joint_inputs(adapters, sounds, german, gap):
    tower = adapters().tower("text")
    first, other = (
        encode(tower, Heard(TEXTS[0], sounds(2.0, seed=s)), spoken=german) for s in (0, 7)
    )
    assert np.array_equal(first["in"], other["in"])
    assert all(gap(first[n], other[n]) > 1e-3 for n in NAMES[1:])
    alone = adapters(input="separate").tower("text")
    with pytest.raises(TypeError, match="takes text"):
        alone.features(Heard(TEXTS[0], sounds(2.0)), german)
    again = encode(adapters(input="mismatched").tower("text"), Heard(TEXTS[0], sounds(2.0, seed=7)))
    assert all(np.array_equal(again[n], other[n]) for n in NAMES)


def test_speech_is_the_same_with_every_input(adapters, oracle, sounds, german):
    """The model is causal: what follows the audio cannot change it, so it is not even given."""
    samples = sounds(1.3)
    made = [encode(adapters(input=m).tower("speech"), samples, spoken=german) for m in MODES]
    for name in made[0]:
        assert all(np.array_equal(made[0][name], other[name]) for other in made)
    audio = audio_of(adapters(), samples)[0]
    for text in TEXTS:
        after = f"</Speech> {text}\nASSISTANT:"
        hidden, spans = oracle.run([1], "USER: <Speech>", audio, after)
        for name, wanted in zip(NAMES, hidden, strict=True):
            found = wanted[spans[2]].mean(0)
            assert np.abs(found - made[0][name][0]).max() < LIMIT


@pytest.mark.parametrize("mode", MODES)
def test_results_do_not_depend_on_the_batch(mode, adapters, sounds, german, gap):
    adapter = adapters(input=mode)
    heard = [sounds(s, seed=i) for i, s in enumerate((0.5, 2.9, 1.4))]
    pairs = zip(TEXTS, heard, strict=True)
    texts = TEXTS if mode == "separate" else [Heard(*pair) for pair in pairs]
    for modality, items in (("text", texts), ("speech", heard)):
        tower = adapter.tower(modality)
        together = encode(tower, *items, spoken=german)
        for row, item in enumerate(items):
            alone = encode(tower, item, spoken=german)
            assert all(gap(together[name][row], alone[name]) < LIMIT for name in alone)


def test_parts_are_loaded_once_and_let_go(official):
    adapter = Salmonn(**official).load(device="cpu")
    text, speech = adapter.tower("text"), adapter.tower("speech")
    assert text.module.llama is speech.module.llama
    assert text.module.ears is speech.module.ears
    assert adapter.tower("text") is text
    adapter.close()
    assert not adapter.parts._loaded
    alone = Salmonn(**official, input="separate").load(device="cpu")
    assert alone.tower("text").module.ears is None
    assert set(alone.parts._loaded) == {"pieces", "llama"}


@pytest.mark.parametrize(("dtype", "limit"), [("float16", 0.01), ("bfloat16", 0.05)])
def test_lower_precision(dtype, limit, adapters, sounds, german, gap):
    """Whisper and Vicuna are in it; what is small stays in float32."""
    exact, rough = adapters(), adapters(dtype=dtype)
    ears = rough.parts.ears()
    assert {p.dtype for p in rough.parts.llama().parameters()} == {getattr(torch, dtype)}
    assert {p.dtype for p in ears.whisper.parameters()} == {getattr(torch, dtype)}
    assert {p.dtype for m in (ears.bridge, ears.beats) for p in m.parameters()} == {torch.float32}
    item = Heard(TEXTS[0], sounds(1.4))
    for modality, given in (("text", item), ("speech", item.samples)):
        wanted = encode(exact.tower(modality), given, spoken=german)
        found = encode(rough.tower(modality), given, spoken=german)
        assert all(0 < gap(found[n], wanted[n]) < limit for n in wanted)


def test_layout_and_notes(official):
    layout = Salmonn(**official).layout()
    assert [t.name for t in layout.taps["text"]] == NAMES
    assert [t.name for t in layout.taps["speech"]] == ["enc", *NAMES]
    assert [t.width for t in layout.taps["speech"]] == [64 + 48, *[WIDTH] * (LAYERS + 1)]
    pairs = [(p.label, p.text, p.speech, p.depth) for p in layout.pairs]
    assert pairs[:3] == [("enc", "in", "enc", 0.0), ("in", "in", "in", 0.0), ("1", "1", "1", 0.25)]
    said = {mode: Salmonn(**official, input=mode).layout().notes for mode in MODES}
    assert said["joint"][0].startswith("joint input: ")
    assert said["separate"][0].startswith("separate inputs: ")
    assert said["mismatched"][0].startswith("mismatched input (control): ")
    assert any("speech is the same with every input" in note for note in said["joint"])
    companions = [Salmonn(**official, input=mode).companion() for mode in MODES]
    assert companions == ["same", "none", "other"]
    titles = [Salmonn(**official, input=mode).title() for mode in MODES]
    assert titles == ["salmonn_7b_v0", "salmonn_7b_v0-separate", "salmonn_7b_v0-mismatched"]


def test_chosen_taps(adapters, sounds, german):
    speech = adapters(taps=["in", "2"]).tower("speech")
    assert list(encode(speech, sounds(1.0), spoken=german)) == ["in", "2"]
    paper = adapters(taps="paper", input="separate").tower("text")
    assert list(encode(paper, TEXTS[0], spoken=german)) == ["in", "1", "2", "3", "4"]


@pytest.mark.parametrize(
    ("prompt", "opening"),
    [
        ("{audio}{text}", []),
        ("USER: <Speech>{audio}</Speech> Repeat it.\nASSISTANT: {text}</s>", ["USER: <Speech>"]),
    ],
)
def test_other_prompts(prompt, opening, adapters, oracle, sounds, german, gap):
    """Without a prompt, and as in training, where the text is the answer."""
    samples = sounds(1.0)
    adapter = adapters(prompt=prompt)
    audio, text = audio_of(adapter, samples)[0], TEXTS[0]
    between = [oracle.pieces.encode("</Speech> Repeat it.\nASSISTANT:")] if opening else []
    hidden, spans = oracle.run([1], *opening, audio, *between, oracle.pieces.encode(text))
    made = encode(adapter.tower("text"), Heard(text, samples), spoken=german)
    for name, wanted in zip(NAMES, hidden, strict=True):
        assert gap(made[name], wanted[spans[-1]].mean(0)) < LIMIT


def test_audio_that_is_too_long(adapters, sounds, german):
    long = sounds(30.1)
    for modality, item in (("speech", long), ("text", Heard("Hello", long))):
        with pytest.raises(ItemError, match=r"lasts 30.1 s, and SALMONN hears 30 s; `long_audio"):
            adapters().tower(modality).features(item, german)
    features = adapters(long_audio="cut").tower("speech").features(long, german)
    assert features.note == "cut after 30 s"
    whole = adapters().tower("speech").features(long[:480_000], german)
    assert not whole.note
    assert all(np.array_equal(features.values[k], whole.values[k]) for k in ("mel", "fbank"))


def test_short_audio_is_filled_up(adapters, sounds, german):
    tower = adapters().tower("speech")
    features = tower.features(sounds(0.5), german)
    assert features.note.startswith("filled up to 1 s")
    assert len(features.values["fbank"]) == 98
    assert len(tower.features(sounds(2.0), german).values["fbank"]) == 198


@pytest.mark.parametrize(
    ("samples", "reason"),
    [(np.zeros(0, np.float32), "is empty"), (np.full(20_000, np.nan, np.float32), "not finite")],
)
def test_audio_that_cannot_be_used(samples, reason, adapters, german):
    for modality, item in (("speech", samples), ("text", Heard("Hello", samples))):
        with pytest.raises(ItemError, match=reason):
            adapters().tower(modality).features(item, german)


def test_text_that_cannot_be_used(adapters, sounds, german):
    alone, joint = adapters(input="separate").tower("text"), adapters().tower("text")
    with pytest.raises(ItemError, match="the text is empty"):
        alone.features("  ", german)
    with pytest.raises(ItemError, match=r"the input has \d+ tokens with the prompt, and the model"):
        alone.features("right " * 300, german)
    with pytest.raises(ItemError, match="the text has no recording to stand after; use `input: se"):
        joint.features("Hello", german)
    with pytest.raises(ItemError, match="changes the text"):
        alone.features("a ▁ b", german)
