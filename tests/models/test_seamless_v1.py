"""SeamlessM4T v1: conformers with relative positions and batch norm, read as v2 is."""

import json
import shutil

import numpy as np
import pytest

from isogloss.errors import ModelError
from isogloss.models._adaptor import AdaptedSpeechTower
from isogloss.models._speech import SpeechTower
from isogloss.models._weights import quiet
from isogloss.models.seamless import Seamless

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

LIMIT = 1e-5
TEXT_TAPS = ["in", "1", "2"]
SPEECH_TAPS = ["in", "1", "2", "3", "len"]
TOKENISER = ("sentencepiece.bpe.model", "added_tokens.json", "tokenizer_config.json")


def make_v1(folder, tiny, *, position_embeddings_type="relative"):
    """A whole small v1 model with random weights and statistics, as transformers saves it."""
    vocabulary = json.loads((tiny / "config.json").read_text())["vocab_size"]
    small = dict.fromkeys(
        (
            "decoder_ffn_dim",
            "t2u_encoder_ffn_dim",
            "t2u_decoder_ffn_dim",
            "t2u_max_position_embeddings",
            "unit_embed_dim",
            "spkr_embed_dim",
            "lang_embed_dim",
            "variance_predictor_hidden_dim",
            "upsample_initial_channel",
        ),
        16,
    )
    layers = dict.fromkeys(("decoder_layers", "t2u_encoder_layers", "t2u_decoder_layers"), 1)
    config = transformers.SeamlessM4TConfig(
        vocab_size=vocabulary,
        t2u_vocab_size=50,
        unit_hifi_gan_vocab_size=50,
        vocoder_num_langs=2,
        vocoder_num_spkrs=2,
        upsample_rates=[4, 4],
        upsample_kernel_sizes=[8, 8],
        resblock_kernel_sizes=[3],
        resblock_dilation_sizes=[[1]],
        hidden_size=32,
        encoder_layers=2,
        encoder_ffn_dim=64,
        encoder_attention_heads=4,
        decoder_attention_heads=4,
        t2u_encoder_attention_heads=4,
        t2u_decoder_attention_heads=4,
        max_position_embeddings=128,
        speech_encoder_layers=3,
        speech_encoder_intermediate_size=64,
        speech_encoder_attention_heads=4,
        max_source_positions=60,  # shorter than some recordings, so the table must grow
        position_embeddings_type=position_embeddings_type,
        **small,
        **layers,
    )
    torch.manual_seed(0)
    with quiet():
        model = transformers.SeamlessM4TModel(config)
        for name, value in [*model.named_parameters(), *model.named_buffers()]:
            if "running_var" in name:
                value.data = 0.5 + torch.rand_like(value)
            elif "running_mean" in name or name.endswith("bias"):
                value.data += 0.2 * torch.randn_like(value)
            elif "pos_bias" in name or value.dim() == 1:
                value.data += 0.3 * torch.randn_like(value.float())
        model.eval().save_pretrained(folder)
    for name in (*TOKENISER, "preprocessor_config.json"):
        shutil.copy(tiny / name, folder / name)
    return folder, model


@pytest.fixture(scope="session")
def made(tiny, tmp_path_factory):
    return make_v1(tmp_path_factory.mktemp("v1") / "seamless-v1", tiny)


@pytest.fixture(scope="session")
def folder(made):
    return made[0]


@pytest.fixture(scope="session")
def whole(made):
    """The model as it was built, before it was saved: nothing of it went through loading."""
    return made[1]


@pytest.fixture(scope="session")
def adapters(folder):
    found = {}

    def get(**settings):
        key = json.dumps(settings, sort_keys=True)
        if key not in found:
            found[key] = Seamless(checkpoint=str(folder), **settings).load(device="cpu")
        return found[key]

    return get


def test_nothing_is_missing_and_buffers_are_there(adapters, whole):
    """Tables that no file holds (positions) are those of the model that was never saved."""
    for modality, part in (("text", whole.text_encoder), ("speech", whole.speech_encoder)):
        module = adapters().tower(modality).module
        assert type(module) is type(part)
        wanted = dict([*part.named_parameters(), *part.named_buffers()])
        found = dict([*module.named_parameters(), *module.named_buffers()])
        assert set(found) == set(wanted)
        assert any("running_mean" in name for name in found) == (modality == "speech")
        for name, value in found.items():
            rows = min(value.shape[1], wanted[name].shape[1]) if name.endswith(".pe") else None
            assert rows or torch.equal(value, wanted[name]), name
        if modality == "speech":
            name = "encoder.embed_positions.pe"
            assert found[name].abs().max() == 1
            if found[name].shape == wanted[name].shape:
                assert torch.equal(found[name], wanted[name])


def test_text_equals_plain_transformers(whole, adapters, makers, gap, german):
    normed, raw = (adapters(last_layer=last).tower("text") for last in ("normed", "raw"))
    bare = adapters(text_in="embedding").tower("text")
    encoder, before = whole.text_encoder, []
    hook = encoder.layer_norm.register_forward_pre_hook(lambda m, args: before.append(args[0]))
    for text in makers.texts["deu"]:
        features = normed.features(text, german)
        ids = torch.tensor(features.values["input_ids"][None])
        before.clear()
        with torch.no_grad():
            hidden = encoder(ids, output_hidden_states=True).hidden_states
            words = encoder.embed_tokens(ids)
        found = normed.encode([features])
        assert list(found) == TEXT_TAPS
        for name, wanted in zip(TEXT_TAPS, hidden, strict=True):
            assert gap(found[name], wanted[0].mean(0).numpy()) < LIMIT
        assert gap(raw.encode([features])["2"], before[0][0].mean(0).numpy()) < LIMIT
        assert gap(raw.encode([features])["2"], found["2"]) > 0.01
        assert gap(bare.encode([features])["in"], words[0].mean(0).numpy()) < LIMIT
    hook.remove()


@pytest.mark.parametrize("seconds", [0.6, 1.0, 1.25, 2.003])
def test_speech_equals_plain_transformers(seconds, whole, adapters, sounds, gap, german):
    """Alone and unpadded, the released encoder has no leak, so it is the oracle."""
    tower = adapters().tower("speech")
    features = tower.features(sounds(seconds), german)
    frames = torch.tensor(features.values["input_features"][None])
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
    wanted = [*found.hidden_states[:3], norm[0], found.last_hidden_state]
    made = tower.encode([features])
    assert list(made) == SPEECH_TAPS
    for name, value in zip(made, wanted, strict=True):
        assert gap(made[name], value[0].mean(0).numpy()) < LIMIT
    last = adapters(last_layer="raw").tower("speech").encode([features])
    assert gap(last["3"], raw[0][0].mean(0).numpy()) < LIMIT
    assert gap(last["3"], made["3"]) > 1e-4


@pytest.mark.parametrize("special", [True, False])
def test_text_does_not_depend_on_its_batch(special, adapters, makers, gap, german):
    tower = adapters(pool_special_tokens=special).tower("text")
    batch = [tower.features(text, german) for text in makers.texts["deu"]]
    together = tower.encode(batch)
    for row, item in enumerate(batch):
        alone = tower.encode([item])
        assert all(gap(together[name][row], alone[name]) < LIMIT for name in alone)


def frames_of(tower, sounds, german, remainder):
    """A recording whose frame count leaves this remainder when divided by twice the stride."""
    features = tower.features(sounds(0.516 + 0.02 * remainder, seed=remainder), german)
    assert features.length % 16 == (25 + remainder) % 16
    return features


@pytest.mark.parametrize("remainder", range(16))
def test_speech_does_not_depend_on_its_batch(remainder, adapters, sounds, gap, german):
    tower = adapters().tower("speech")
    item = frames_of(tower, sounds, german, remainder)
    alone = tower.encode([item])
    for seconds in (0.9, 3.0):
        other = tower.features(sounds(seconds, seed=50), german)
        together = tower.encode([other, item])
        assert all(gap(together[name][1], alone[name]) < LIMIT for name in alone)


def test_adaptor_would_leak_without_the_mask(adapters, sounds, gap, german, monkeypatch):
    """The adaptor reads padding; the convolutions before it, with batch norm, do not."""
    tower = adapters().tower("speech")
    monkeypatch.setattr(AdaptedSpeechTower, "during", SpeechTower.during)
    other = tower.features(sounds(3.0, seed=50), german)
    leaks = {}
    for remainder in range(8):
        item = frames_of(tower, sounds, german, remainder)
        alone, together = tower.encode([item]), tower.encode([other, item])
        assert gap(together["3"][1], alone["3"]) < LIMIT
        leaks[item.length % 8] = gap(together["len"][1], alone["len"])
    assert all(leaks[r] > 1e-3 for r in range(4))
    assert all(leaks[r] < LIMIT for r in range(4, 8))


def test_rotary_positions(tiny, tmp_path, sounds, gap, german):
    """The other kind of positions that the configuration of v1 allows."""
    folder, model = make_v1(tmp_path / "v1", tiny, position_embeddings_type="rotary")
    tower = Seamless(checkpoint=str(folder)).load(device="cpu").tower("speech")
    items = [tower.features(sounds(s, seed=3), german) for s in (1.3, 2.4)]
    together = tower.encode(items)
    for row, item in enumerate(items):
        with torch.no_grad():
            found = model.speech_encoder(
                torch.tensor(item.values["input_features"][None]), output_hidden_states=True
            )
        wanted = [*found.hidden_states[:3], found.last_hidden_state]
        for name, value in zip(["in", "1", "2", "len"], wanted, strict=True):
            assert gap(together[name][row], value[0].mean(0).numpy()) < LIMIT


def change(folder, key):
    from safetensors.torch import load_file, save_file

    tensors = load_file(folder / "model.safetensors")
    tensors.pop(key)
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})


@pytest.mark.parametrize(
    "key",
    [
        "speech_encoder.encoder.layers.1.conv_module.batch_norm.running_var",
        "speech_encoder.encoder.layers.0.self_attn.pos_bias_u",
        "speech_encoder.encoder.layers.2.self_attn.linear_pos.weight",
        "speech_encoder.adapter.layers.0.self_attn_conv.bias",
    ],
)
def test_missing_weight_is_named(key, folder, tmp_path):
    copy = shutil.copytree(folder, tmp_path / "damaged")
    change(copy, key)
    adapter = Seamless(checkpoint=str(copy)).load(device="cpu")
    with pytest.raises(ModelError, match=f"incomplete, 1 missing: {key.partition('.')[2]}"):
        adapter.tower("speech")
    adapter.tower("text")


def test_counter_that_inference_never_reads_may_be_missing(folder, tmp_path):
    copy = shutil.copytree(folder, tmp_path / "old")
    change(copy, "speech_encoder.encoder.layers.1.conv_module.batch_norm.num_batches_tracked")
    assert Seamless(checkpoint=str(copy)).load(device="cpu").tower("speech")


def test_layout(folder):
    source = Seamless(checkpoint=str(folder))
    layout = source.layout()
    assert [tap.name for tap in layout.taps["text"]] == TEXT_TAPS
    assert [tap.name for tap in layout.taps["speech"]] == SPEECH_TAPS
    assert [p.label for p in layout.pairs] == ["in", "1", "2|3", "len"]
    assert source.title() == "seamless-v1"


def test_layout_of_the_released_sizes(tmp_path):
    """Medium has 12 + 12 layers, large 24 + 24."""
    for layers, paper in ((12, 9), (24, 15)):
        config = {"model_type": "seamless_m4t", "hidden_size": 1024}
        config |= {"encoder_layers": layers, "speech_encoder_layers": layers}
        (tmp_path / "config.json").write_text(json.dumps(config))
        layout = Seamless(checkpoint=str(tmp_path)).layout()
        assert len(layout.taps["speech"]) == layers + 2
        assert len(layout.paper["text"]) == paper


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_lower_precision(dtype, adapters, sounds, gap, german):
    """Pooled in float32 from activations of the lower precision, finite, and near."""
    for modality, item in (("text", "Alle Menschen"), ("speech", sounds(1.1))):
        low, full = (adapters(dtype=d).tower(modality) for d in (dtype, "float32"))
        found, wanted = (t.encode([t.features(item, german)]) for t in (low, full))
        for name, row in found.items():
            assert row.dtype == np.float32
            assert gap(row, wanted[name]) < (0.05 if dtype == "bfloat16" else 0.01)
