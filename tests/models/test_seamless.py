"""SeamlessM4T v2: what is read where, the languages, the adaptor, the settings."""

import json
import shutil

import numpy as np
import pytest

from isogloss.errors import ItemError, ModelError
from isogloss.languages import language, languages
from isogloss.models._adaptor import AdaptedSpeechTower
from isogloss.models._speech import SpeechTower
from isogloss.models._weights import model_class, quiet
from isogloss.models.seamless import Seamless

torch = pytest.importorskip("torch")

LIMIT = 1e-5
MODEL = "seamless_m4t_v2.modeling_seamless_m4t_v2:SeamlessM4Tv2Model"
LAYERS = ["in", "1", "2", "3", "4", "5", "6"]


@pytest.fixture(scope="module")
def adapters(tiny):
    made = {}

    def get(**settings):
        key = json.dumps(settings, sort_keys=True)
        if key not in made:
            made[key] = Seamless(checkpoint=str(tiny), **settings).load(device="cpu")
        return made[key]

    return get


@pytest.fixture(scope="module")
def whole(tiny):
    """The whole model, as transformers itself loads it."""
    with quiet():
        model, report = model_class(MODEL).from_pretrained(tiny, output_loading_info=True)
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]
    assert not report["mismatched_keys"]
    return model.eval()


def pieces_and_ids(tiny, text, code):
    from sentencepiece import SentencePieceProcessor

    model = SentencePieceProcessor(model_file=str(tiny / "sentencepiece.bpe.model"))
    added = json.loads((tiny / "added_tokens.json").read_text())
    return [added[f"__{code}__"], *[i + 1 for i in model.encode(text)], 3]


def test_text_equals_plain_transformers(tiny, whole, adapters, makers, gap, german):
    normed, raw = (adapters(last_layer=last).tower("text") for last in ("normed", "raw"))
    bare = adapters(text_in="embedding").tower("text")
    encoder, before = whole.text_encoder, []
    hook = encoder.layer_norm.register_forward_pre_hook(lambda m, args: before.append(args[0]))
    for text in makers.texts["deu"]:
        ids = torch.tensor([pieces_and_ids(tiny, text, "deu")])
        before.clear()
        with torch.no_grad():
            hidden = encoder(ids, output_hidden_states=True).hidden_states
            words = encoder.embed_tokens(ids)
        features = normed.features(text, german)
        assert features.values["input_ids"].tolist() == ids[0].tolist()
        assert features.length == ids.shape[1]
        made = normed.encode([features])
        assert list(made) == LAYERS
        for name, wanted in zip(LAYERS, hidden, strict=True):
            assert gap(made[name], wanted[0].mean(0).numpy()) < LIMIT
        made_raw = raw.encode([features])
        assert gap(made_raw["6"], before[0][0].mean(0).numpy()) < LIMIT
        assert gap(made_raw["6"], made["6"]) > 0.05
        assert np.array_equal(made_raw["5"], made["5"])
        assert gap(bare.encode([features])["in"], words[0].mean(0).numpy()) < LIMIT
        assert gap(made["in"], words[0].mean(0).numpy()) > 0.05
    hook.remove()


@pytest.mark.parametrize("seconds", [0.6, 1.0, 1.25, 2.003])
def test_speech_equals_plain_transformers(seconds, tiny, whole, adapters, sounds, gap, german):
    """Alone and unpadded, the released encoder has no leak, so it is the oracle.

    transformers 5 puts the adaptor's output where ``hidden_states[-1]`` used to be the last layer,
    so layer 6 is read by a hook.
    """
    extractor = model_class(
        "seamless_m4t.feature_extraction_seamless_m4t:SeamlessM4TFeatureExtractor"
    ).from_pretrained(str(tiny))
    samples = sounds(seconds)
    given = extractor(samples, sampling_rate=16_000, return_tensors="pt")
    frames = given["input_features"][:, given["attention_mask"][0].bool()]
    encoder, norm, raw = whole.speech_encoder, [], []
    hooks = [
        encoder.encoder.layer_norm.register_forward_hook(lambda m, args, out: norm.append(out)),
        encoder.encoder.layer_norm.register_forward_pre_hook(lambda m, args: raw.append(args[0])),
    ]
    with torch.no_grad():
        found = encoder(frames, output_hidden_states=True)
    for hook in hooks:
        hook.remove()
    assert found.last_hidden_state.shape[1] == frames.shape[1] // 8 + 1
    wanted = [*found.hidden_states[:6], norm[0], found.last_hidden_state]
    tower = adapters().tower("speech")
    features = tower.features(samples, german)
    assert features.length == frames.shape[1]
    made = tower.encode([features])
    assert list(made) == [*LAYERS, "len"]
    for name, value in zip(made, wanted, strict=True):
        assert gap(made[name], value[0].mean(0).numpy()) < LIMIT
    last = adapters(last_layer="raw").tower("speech").encode([features])
    assert gap(last["6"], raw[0][0].mean(0).numpy()) < LIMIT
    assert gap(last["6"], made["6"]) > 1e-4


@pytest.mark.parametrize("special", [True, False])
def test_text_does_not_depend_on_its_batch(special, adapters, makers, gap, german):
    tower = adapters(pool_special_tokens=special).tower("text")
    batch = [tower.features(text, german) for text in makers.texts["deu"]]
    together = tower.encode(batch)
    for row, item in enumerate(batch):
        alone = tower.encode([item])
        assert all(gap(together[name][row], alone[name]) < LIMIT for name in alone)


def frames_of(tower, sounds, german, remainder):
    """A recording whose frame count leaves this remainder when divided by the stride."""
    features = tower.features(sounds(0.516 + 0.02 * remainder, seed=remainder), german)
    assert features.length % 8 == (25 + remainder) % 8
    return features


@pytest.mark.parametrize("remainder", range(8))
def test_speech_does_not_depend_on_its_batch(remainder, adapters, sounds, gap, german):
    tower = adapters().tower("speech")
    item = frames_of(tower, sounds, german, remainder)
    alone = tower.encode([item])
    for seconds in (0.9, 3.0):
        other = tower.features(sounds(seconds, seed=50), german)
        together = tower.encode([other, item])
        assert all(gap(together[name][1], alone[name]) < LIMIT for name in alone)


def test_adaptor_would_leak_without_the_mask(adapters, sounds, gap, german, monkeypatch):
    """The released adaptor reads padded frames where an utterance ends early in a window."""
    tower = adapters().tower("speech")
    monkeypatch.setattr(AdaptedSpeechTower, "during", SpeechTower.during)
    other = tower.features(sounds(3.0, seed=50), german)
    leaks = {}
    for remainder in range(8):
        item = frames_of(tower, sounds, german, remainder)
        alone, together = tower.encode([item]), tower.encode([other, item])
        assert gap(together["6"][1], alone["6"]) < LIMIT
        leaks[item.length % 8] = gap(together["len"][1], alone["len"])
    assert all(leaks[r] > 1e-3 for r in range(4))
    assert all(leaks[r] < LIMIT for r in range(4, 8))


def test_special_tokens_can_be_left_out(adapters, whole, tiny, gap, german):
    text = "Alle Menschen sind frei"
    tower = adapters(pool_special_tokens=False).tower("text")
    ids = torch.tensor([pieces_and_ids(tiny, text, "deu")])
    with torch.no_grad():
        hidden = whole.text_encoder(ids, output_hidden_states=True).hidden_states
    made = tower.encode([tower.features(text, german)])
    for name, wanted in zip(LAYERS, hidden, strict=True):
        assert gap(made[name], wanted[0, 1:-1].mean(0).numpy()) < LIMIT


def test_every_language_has_its_own_token(adapters):
    tower = adapters().tower("text")
    firsts = {
        code: tower.features("1948", spoken).values["input_ids"][0]
        for code, spoken in languages().items()
        if spoken.seamless
    }
    assert len(set(firsts.values())) == len(firsts) == 90
    again = tower.features("1948", language("eng")).values["input_ids"][0]
    assert again == firsts["eng"]


def test_language_that_the_checkpoint_lacks(tiny, tmp_path, german):
    folder = shutil.copytree(tiny, tmp_path / "few")
    (folder / "tokenizer_config.json").unlink()
    added = json.loads((folder / "added_tokens.json").read_text())
    added.pop("__deu__")
    (folder / "added_tokens.json").write_text(json.dumps(added))
    tower = Seamless(checkpoint=str(folder)).load(device="cpu").tower("text")
    assert tower.features("Hello", language("eng")).length > 2
    with pytest.raises(ModelError, match=r"few has no language token for German \(deu\)"):
        tower.features("Hallo", german)


def test_tokeniser_of_the_released_files_keeps_their_normalisation(tiny, adapters, german):
    """Zero-width characters and full-width letters go the way the SentencePiece model says."""
    tower = adapters().tower("text")
    plain = tower.features("frei und gleich", german).values["input_ids"].tolist()
    odd = tower.features("ｆｒｅｉ und\u200c gleich", german).values["input_ids"].tolist()
    assert odd == pieces_and_ids(tiny, "ｆｒｅｉ und\u200c gleich", "deu") == plain
    assert plain == pieces_and_ids(tiny, "frei und gleich", "deu")


def test_tokenizer_json_in_place_of_sentencepiece(tiny, tmp_path, makers, german):
    """The form that transformers 5 saves: same ids where it knows the same normalisation."""
    from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers

    folder = shutil.copytree(tiny, tmp_path / "fast")
    added = json.loads((folder / "added_tokens.json").read_text())
    vocabulary = {t: i for i, t in enumerate(["<pad>", "<unk>", "<s>", "</s>", "▁a", "▁b"])}
    tokeniser = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokeniser.pre_tokenizer = pre_tokenizers.Metaspace()
    tokeniser.add_special_tokens([AddedToken(token, special=True) for token in added])
    tokeniser.enable_truncation(3)
    tokeniser.enable_padding(length=20)
    for name in ("sentencepiece.bpe.model", "added_tokens.json", "tokenizer_config.json"):
        (folder / name).unlink()
    tokeniser.save(str(folder / "tokenizer.json"))
    tower = Seamless(checkpoint=str(folder)).load(device="cpu").tower("text")
    ids = tower.features("a b b a z", german).values["input_ids"].tolist()
    assert ids == [tokeniser.token_to_id("__deu__"), 4, 5, 5, 4, 1, 3]


def test_layout(tiny):
    layout = Seamless(checkpoint=str(tiny)).layout()
    assert [tap.name for tap in layout.taps["text"]] == LAYERS
    assert [tap.name for tap in layout.taps["speech"]] == [*LAYERS, "len"]
    assert {tap.width for taps in layout.taps.values() for tap in taps} == {64}
    assert layout.paper["text"] == ("in", "1", "2", "4", "5", "6")
    assert layout.paper["speech"] == ("in", "1", "2", "4", "5", "6", "len")
    pairs = [(p.label, p.text, p.speech) for p in layout.pairs]
    assert pairs == [*[(t, t, t) for t in LAYERS], ("len", "6", "len")]
    assert [p.depth for p in layout.pairs] == [i / 6 for i in range(7)] + [1.0]
    assert layout.untrained


def test_layout_of_the_released_model_is_the_study_s(tmp_path):
    """Appendix B.1: layers {1, 2, 4, … 22, 23, 24}, both inputs, and after the length adaptor."""
    config = {"model_type": "seamless_m4t_v2", "hidden_size": 1024}
    config |= {"encoder_layers": 24, "speech_encoder_layers": 24}
    (tmp_path / "config.json").write_text(json.dumps(config))
    layout = Seamless(checkpoint=str(tmp_path)).layout()
    numbers = [1, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 23, 24]
    assert layout.paper["text"] == ("in", *map(str, numbers))
    assert layout.paper["speech"] == ("in", *map(str, numbers), "len")
    assert len(layout.pairs) == 26
    assert layout.pairs[14].depth == 14 / 24
    assert {tap.width for taps in layout.taps.values() for tap in taps} == {1024}
    assert not layout.untrained


def test_encoders_of_different_depth_are_paired_by_depth(tmp_path):
    config = {"model_type": "seamless_m4t_v2", "hidden_size": 8}
    config |= {"encoder_layers": 2, "speech_encoder_layers": 4}
    (tmp_path / "config.json").write_text(json.dumps(config))
    pairs = Seamless(checkpoint=str(tmp_path)).layout().pairs
    assert [(p.label, p.text, p.speech) for p in pairs] == [
        ("in", "in", "in"),
        ("1|2", "1", "2"),
        ("2|4", "2", "4"),
        ("len", "2", "len"),
    ]


def test_another_size(tiny, tmp_path, sounds, makers, gap, german):
    """Depths, widths and adaptor windows are those of the configuration."""
    folder = shutil.copytree(tiny, tmp_path / "other")
    config = json.loads((folder / "config.json").read_text())
    config |= {"hidden_size": 48, "encoder_layers": 2, "speech_encoder_layers": 3}
    config |= {"encoder_ffn_dim": 80, "speech_encoder_intermediate_size": 40}
    config |= {"adaptor_kernel_size": 4, "adaptor_stride": 4, "conv_depthwise_kernel_size": 5}
    cls = model_class(MODEL)
    torch.manual_seed(0)
    with quiet():
        model = cls(cls.config_class(**config)).eval()
        model.save_pretrained(folder)
    adapter = Seamless(checkpoint=str(folder)).load(device="cpu")
    text, speech = adapter.tower("text"), adapter.tower("speech")
    batch = [speech.features(sounds(s, seed=4), german) for s in (0.7, 0.82, 1.5)]
    together = speech.encode(batch)
    assert list(together) == ["in", "1", "2", "3", "len"]
    for row, item in enumerate(batch):
        frames = torch.tensor(item.values["input_features"][None])
        with torch.no_grad():
            found = model.speech_encoder(frames, output_hidden_states=True)
        wanted = [*found.hidden_states[:3], found.last_hidden_state]
        for name, value in zip(["in", "1", "2", "len"], wanted, strict=True):
            assert gap(together[name][row], value[0].mean(0).numpy()) < LIMIT
    item = text.features(makers.texts["deu"][0], german)
    with torch.no_grad():
        hidden = model.text_encoder(
            torch.tensor(item.values["input_ids"][None]), output_hidden_states=True
        ).hidden_states
    for value, wanted in zip(text.encode([item]).values(), hidden, strict=True):
        assert gap(value, wanted[0].mean(0).numpy()) < LIMIT


@pytest.mark.parametrize("taps", ["paper", ("len",)])
def test_chosen_taps(taps, tiny, sounds, german):
    adapter = Seamless(checkpoint=str(tiny), taps=taps).load(device="cpu")
    text, speech = adapter.tower("text"), adapter.tower("speech")
    names = ["in", "1", "2", "4", "5", "6"] if taps == "paper" else []
    assert list(text.encode([text.features("Hallo", german)])) == names
    assert list(speech.encode([speech.features(sounds(1), german)])) == [*names, "len"]


def test_sharded_checkpoint_and_half_precision(tiny, whole, tmp_path, sounds, gap, german):
    """The form of the released checkpoint: shards with an index, here in float16."""
    import copy

    folder = shutil.copytree(tiny, tmp_path / "sharded")
    (folder / "model.safetensors").unlink()
    with quiet():
        copy.deepcopy(whole).half().save_pretrained(folder, max_shard_size="2MB")
    assert len(list(folder.glob("model-*-of-*.safetensors"))) > 1
    adapter = Seamless(checkpoint=str(folder)).load(device="cpu")
    exact = Seamless(checkpoint=str(tiny)).load(device="cpu")
    for modality, item in (("text", "Alle Menschen"), ("speech", sounds(1.1))):
        found, wanted = adapter.tower(modality), exact.tower(modality)
        assert {p.dtype for p in found.module.parameters()} == {torch.float32}
        features = found.features(item, german)
        made, full = found.encode([features]), wanted.encode([features])
        assert all(gap(made[name], full[name]) < 0.01 for name in full)


def test_only_the_needed_encoder_is_loaded(adapters):
    speech, text = (adapters().tower(m).module for m in ("speech", "text"))
    assert type(speech).__name__ == "SeamlessM4Tv2SpeechEncoder"
    assert type(text).__name__ == "SeamlessM4Tv2Encoder"
    assert not speech.training
    assert not any(p.requires_grad for p in text.parameters())


@pytest.mark.parametrize(
    ("item", "reason"), [("", "empty"), ("Recht " * 2000, "tokens, and the model reads 1024")]
)
def test_text_that_cannot_be_used(item, reason, adapters, german):
    with pytest.raises(ItemError, match=reason):
        adapters().tower("text").features(item, german)


@pytest.mark.parametrize("count", [0, 1, 559])
def test_sound_that_is_too_short(count, adapters, german):
    with pytest.raises(ItemError, match="needs 35 ms"):
        adapters().tower("speech").features(np.ones(count, np.float32), german)


def test_shortest_sound(adapters, sounds, german):
    tower = adapters().tower("speech")
    features = tower.features(sounds(0.035), german)
    assert features.length == 1
    assert all(np.isfinite(v).all() for v in tower.encode([features]).values())
