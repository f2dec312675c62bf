"""What a checkpoint is, what its content is called, and every way in which it can be wrong."""

import json
import os
import shutil

import numpy as np
import pytest

from hub_server import serving
from isogloss.errors import ModelError, StudyError
from isogloss.models._checkpoint import _hub_commit, find
from isogloss.models._files import content_digest
from isogloss.models._single import find_file
from isogloss.models.seamless import Seamless
from isogloss.models.towers import Towers

torch = pytest.importorskip("torch")
from safetensors.torch import load_file, save_file  # noqa: E402


@pytest.fixture
def damaged(tiny, built, tmp_path):
    """A copy of a checkpoint that a test may change."""

    def copy(kind="tiny"):
        return shutil.copytree(tiny if kind == "tiny" else built(kind), tmp_path / kind)

    return copy


@pytest.fixture
def pair(built):
    def make(**settings):
        both = {"text": str(built("bert")), "speech": str(built("whisper"))}
        return Towers(**{**both, **settings})

    return make


def change(folder, change):
    """Change the tensors of a checkpoint."""
    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})


def configure(folder, **values):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, **values}))


@pytest.mark.parametrize(
    ("modality", "key"),
    [
        ("text", "text_encoder.layers.3.ffn.fc1.weight"),
        ("text", "text_encoder.layer_norm.bias"),
        ("text", "shared.weight"),
        ("speech", "speech_encoder.encoder.layers.0.self_attn.distance_embedding.weight"),
        ("speech", "speech_encoder.adapter.layers.0.residual_conv.weight"),
    ],
)
def test_missing_weight_is_named(modality, key, damaged):
    folder = damaged()
    change(folder, lambda tensors: tensors.pop(key))
    adapter = Seamless(checkpoint=str(folder)).load(device="cpu")
    name = "embed_tokens.weight" if key == "shared.weight" else key.partition(".")[2]
    with pytest.raises(ModelError, match=rf"{modality} encoder are incomplete, 1 missing: {name}"):
        adapter.tower(modality)
    # The other encoder does not care.
    adapter.tower("speech" if modality == "text" else "text")


@pytest.mark.parametrize(
    ("kind", "modality", "key"),
    [
        ("bert", "text", "bert.encoder.layer.1.output.dense.weight"),
        ("nllb", "text", "model.encoder.layers.0.fc2.weight"),
        ("t5", "text", "encoder.final_layer_norm.weight"),
        ("whisper", "speech", "model.encoder.embed_positions.weight"),
        ("wav2vec2", "speech", "wav2vec2.encoder.layers.2.layer_norm.weight"),
        ("w2v-bert", "speech", "wav2vec2_bert.feature_projection.projection.bias"),
    ],
)
def test_missing_weight_of_a_tower_is_named(kind, modality, key, damaged, pair):
    folder = damaged(kind)
    change(folder, lambda tensors: tensors.pop(key))
    short = key.split(".", 1)[1].removeprefix("encoder.") if kind in ("nllb", "whisper") else key
    short = short.removeprefix("bert.").removeprefix("wav2vec2_bert.").removeprefix("wav2vec2.")
    with pytest.raises(ModelError, match=rf"incomplete, 1 missing: {short}"):
        pair(**{modality: str(folder)}).load(device="cpu").tower(modality)


def test_parameter_that_inference_never_reads_may_be_missing(damaged, pair):
    """Published wav2vec 2.0 checkpoints lack the vector that training puts over masked frames."""
    folder = damaged("wav2vec2")
    change(folder, lambda tensors: tensors.pop("wav2vec2.masked_spec_embed"))
    pair(speech=str(folder)).load(device="cpu").tower("speech")


def test_old_names_of_weights(damaged, pair, german):
    """LayerNorm.gamma and conv.weight_g, as in checkpoints of the first years."""
    renames = {
        "bert": (".LayerNorm.weight", ".LayerNorm.gamma"),
        "wav2vec2": ("parametrizations.weight.original0", "weight_g"),
    }
    for kind, (new, old) in renames.items():
        folder = damaged(kind)

        def rename(tensors, new=new, old=old):
            names = [name for name in tensors if new in name]
            assert names
            tensors.update({n.replace(new, old): tensors.pop(n) for n in names})

        modality, item = "text", "Hallo"
        if kind != "bert":
            modality, item = "speech", np.sin(np.arange(9000) / 7).astype("f")
        made = []
        for step in range(2):
            if step:
                change(folder, rename)
            tower = pair(**{modality: str(folder)}).load(device="cpu").tower(modality)
            made.append(tower.encode([tower.features(item, german)])["3"])
        assert np.array_equal(*made)


def test_weight_of_another_shape_is_named(damaged):
    folder = damaged()
    key = "text_encoder.layers.3.ffn.fc1.weight"
    change(folder, lambda tensors: tensors.update({key: torch.zeros(3, 64)}))
    with pytest.raises(ModelError, match=r"layers\.3\.ffn\.fc1\.weight is \(3, 64\).*\(128, 64\)"):
        Seamless(checkpoint=str(folder)).load(device="cpu").tower("text")


def test_checkpoint_without_the_encoder(damaged):
    folder = damaged()

    def drop(tensors):
        for name in [name for name in tensors if name.startswith("speech_encoder")]:
            del tensors[name]

    change(folder, drop)
    with pytest.raises(ModelError, match=r"has no speech encoder.*begin with .*text_encoder"):
        Seamless(checkpoint=str(folder)).load(device="cpu").tower("speech")


def test_encoder_saved_alone(built, damaged, pair, gap, german):
    """An encoder without the rest of its model, such as the text encoder of SONAR."""
    folder = damaged("nllb")
    prefix = "model.encoder."

    def strip(tensors):
        shared = tensors.pop("model.shared.weight")
        kept = {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}
        tensors.clear()
        tensors.update(kept, **{"embed_tokens.weight": shared})

    change(folder, strip)
    whole = pair(text=str(built("nllb"))).load(device="cpu").tower("text")
    alone = pair(text=str(folder)).load(device="cpu").tower("text")
    features = whole.features("Alle Menschen", german)
    assert gap(alone.encode([features])["3"], whole.encode([features])["3"]) < 1e-6


def test_pickled_weights(built, damaged, pair, gap, german):
    folder = damaged("bert")
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    towers = [pair(text=str(f)).load(device="cpu").tower("text") for f in (folder, built("bert"))]
    made = [t.encode([t.features("Alle", german)])["3"] for t in towers]
    assert np.array_equal(*made)


def test_pickle_that_runs_code_is_refused(damaged, pair, tmp_path):
    class Evil:
        def __reduce__(self):
            return (tmp_path.joinpath("ran").write_text, ("x",))

    folder = damaged("bert")
    (folder / "model.safetensors").unlink()
    torch.save({"bert.encoder.layer.0.x": Evil()}, folder / "pytorch_model.bin")
    with pytest.raises(ModelError, match="holds more than weights"):
        pair(text=str(folder)).load(device="cpu").tower("text")
    assert not (tmp_path / "ran").exists()


def test_truncated_weights(damaged):
    folder = damaged()
    whole = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ModelError, match="incomplete or damaged"):
        Seamless(checkpoint=str(folder)).load(device="cpu").tower("text")


def test_folder_without_weights(damaged):
    folder = damaged()
    (folder / "model.safetensors").unlink()
    with pytest.raises(ModelError, match=r"has no weights.*It holds: .*config\.json"):
        Seamless(checkpoint=str(folder)).load(device="cpu").tower("text")


def test_missing_shard(damaged):
    folder = damaged()
    (folder / "model.safetensors").unlink()
    index = {"weight_map": {"a": "model-00001-of-00001.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(ModelError, match=r"names model-00001-of-00001\.safetensors, which is not"):
        Seamless(checkpoint=str(folder)).load(device="cpu").tower("text")


@pytest.mark.parametrize(
    ("modality", "names", "message"),
    [
        ("text", ["sentencepiece.bpe.model"], "has no tokeniser"),
        ("text", ["added_tokens.json", "tokenizer_config.json"], "lists no language tokens"),
        ("speech", ["preprocessor_config.json"], "has no feature extractor"),
    ],
)
def test_missing_file(modality, names, message, damaged):
    folder = damaged()
    for name in names:
        (folder / name).unlink()
    with pytest.raises(ModelError, match=message):
        Seamless(checkpoint=str(folder)).load(device="cpu").tower(modality)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"feature_extractor_type": "WhisperFeatureExtractor"}, "needs a SeamlessM4TFeature"),
        ({"sampling_rate": 48000}, "asks for 48000 samples a second"),
    ],
)
def test_wrong_feature_extractor(change, message, damaged):
    folder = damaged()
    path = folder / "preprocessor_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(ModelError, match=message):
        Seamless(checkpoint=str(folder)).load(device="cpu").tower("speech")


def test_whisper_window_of_another_length(damaged, pair):
    folder = damaged("whisper")
    path = folder / "preprocessor_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "chunk_length": 30}))
    with pytest.raises(ModelError, match="makes 3000 frames, but the encoder takes 300"):
        pair(speech=str(folder)).load(device="cpu").tower("speech")


def test_tokeniser_of_another_model(damaged, pair):
    folder = damaged("bert")
    configure(folder, vocab_size=20)
    change(folder, lambda t: t.update({
        name: tensor[:20].clone() for name, tensor in t.items() if "word_embeddings" in name
    }))  # fmt: skip
    with pytest.raises(ModelError, match="belong to different checkpoints"):
        pair(text=str(folder)).load(device="cpu").tower("text")


def test_damaged_tokeniser(damaged, pair):
    folder = damaged("bert")
    (folder / "tokenizer.json").write_text("{}")
    with pytest.raises(ModelError, match="tokeniser of .* cannot be read"):
        pair(text=str(folder)).load(device="cpu").tower("text")


def test_folder_that_is_no_checkpoint(tmp_path):
    (tmp_path / "holiday.jpg").touch()
    with pytest.raises(ModelError, match=r"no checkpoint: it has no config.json.*holiday\.jpg"):
        Seamless(checkpoint=str(tmp_path)).layout()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "cannot be read as JSON"),
        ("[]", "must hold a JSON object"),
        ('{"a": 1}', 'names no "model_type"'),
        ('{"model_type": "seamless_m4t_v2", "hidden_size": 0}', '"hidden_size".*not 0'),
        ('{"model_type": "seamless_m4t_v2", "hidden_size": 8}', '"encoder_layers".*not None'),
        ('{"model_type": "seamless_m4t_v2", "add_adapter": false}', "must have a length adaptor"),
        ('{"model_type": "seamless_m4t"}', '"hidden_size".*not None'),
        ('{"model_type": "whisper"}', 'Use the family "towers" for it, as its speech encoder'),
        ('{"model_type": "llama"}', 'is a "llama" model, not SeamlessM4T '),
    ],
)
def test_wrong_configuration(text, message, tmp_path):
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(ModelError, match=message):
        Seamless(checkpoint=str(tmp_path)).layout()


def test_encoder_of_the_wrong_kind(built, tiny, pair):
    with pytest.raises(
        ModelError, match=r"is a speech encoder \(Whisper\), but was given as the t"
    ):
        pair(text=str(built("whisper"))).layout()
    with pytest.raises(
        ModelError, match=r"is a text encoder \(BERT\), but was given as the speech"
    ):
        pair(speech=str(built("bert"))).layout()
    with pytest.raises(ModelError, match=r"supported: bert, .* m2m_100.*the family \"seamless\""):
        pair(text=str(tiny)).layout()


def test_device_that_is_not_there(tiny):
    for device in ("cuda:99", "abacus"):
        with pytest.raises(ModelError, match=f'cannot use the device "{device}"'):
            Seamless(checkpoint=str(tiny)).load(device=device)


def test_settings_are_checked():
    with pytest.raises(StudyError, match="required"):
        Towers(text="x")


@pytest.mark.parametrize(
    ("name", "revision", "message"),
    [
        ("./nowhere", None, "no such folder: ./nowhere"),
        ("/a/b/c", None, "no such folder: /a/b/c"),
        ("~/nowhere/at/all", None, "no such folder: ~/nowhere/at/all"),
        ("two words", None, "no such folder: two words"),
        ("FOLDER", "main", 'is a folder, and the revision "main" applies to hub ids only'),
        ("FOLDER/config.json", None, "is a file; give the folder"),
    ],
)
def test_neither_folder_nor_hub_id(name, revision, message, tiny):
    with pytest.raises(ModelError, match=message):
        find(name.replace("FOLDER", str(tiny)), revision)


def test_fingerprint_is_the_content(damaged, tiny):
    folder = damaged()
    assert content_digest(folder) == content_digest(tiny)
    (folder / "README.md").write_text("says nothing about numbers")
    (folder / "seamlessM4T_v2_large.pt").write_text("another form of the weights")
    assert content_digest(folder) == content_digest(tiny)
    seen = {content_digest(folder)}
    for name in ("config.json", "sentencepiece.bpe.model", "preprocessor_config.json"):
        with (folder / name).open("ab") as file:
            file.write(b"\n")
        seen.add(content_digest(folder))
    change(folder, lambda t: t["shared.weight"].add_(1e-3))
    seen.add(content_digest(folder))
    assert len(seen) == 5
    assert Seamless(checkpoint=str(folder)).fingerprint() == {
        "checkpoint": f"sha256:{content_digest(folder)}"
    }


def test_every_byte_of_a_large_file_counts(tmp_path):
    path = tmp_path / "model.safetensors"
    size = 5_000_000
    path.write_bytes(bytes(size))
    digests = {content_digest(tmp_path)}
    for i, position in enumerate((0, size // 3, size - 1)):
        data = bytearray(size)
        data[position] = 1
        path.write_bytes(data)
        os.utime(path, ns=(i, i))  # faster than the clock of the file system ticks
        digests.add(content_digest(tmp_path))
    path.write_bytes(bytes(size - 1))
    digests.add(content_digest(tmp_path))
    assert len(digests) == 5


def test_shards_of_any_name_count(tmp_path):
    index = {"weight_map": {"a": "shard-a.safetensors"}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    (tmp_path / "shard-a.safetensors").write_bytes(b"one")
    before = content_digest(tmp_path)
    (tmp_path / "shard-a.safetensors").write_bytes(b"another")
    assert content_digest(tmp_path) != before


COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def hub(tiny, tmp_path, monkeypatch):
    """A small hub on this machine that serves one checkpoint, and an empty cache."""
    folder = shutil.copytree(tiny, tmp_path / "served")
    (folder / "seamlessM4T_v2_large.pt").write_bytes(b"must not be fetched")
    (folder / "pytorch_model.bin").write_bytes(b"must not be fetched either")
    cache, names = tmp_path / "cache", {"main": COMMIT}
    _hub_commit.cache_clear()
    with serving(
        "models", "org/model", {COMMIT: folder}, names, cache=cache, monkeypatch=monkeypatch
    ) as found:
        yield found
    _hub_commit.cache_clear()


def test_checkpoint_on_the_hub(hub, tiny, german, gap):
    server, asked = hub
    source = Seamless(checkpoint="org/model")
    assert source.layout().taps == Seamless(checkpoint=str(tiny)).layout().taps
    assert source.title() == "model"
    assert source.fingerprint() == {"checkpoint": f"commit:{COMMIT}"}
    assert set(asked) == {"config.json", "isogloss.json"}
    tower = source.load(device="cpu").tower("text")
    assert "model.safetensors" in asked
    assert not {name for name in asked if name.endswith((".pt", ".bin"))}
    features = tower.features("Hallo", german)
    here = Seamless(checkpoint=str(tiny)).load(device="cpu").tower("text")
    assert gap(tower.encode([features])["6"], here.encode([features])["6"]) < 1e-6
    # Once it is in the cache, no hub is needed.
    server.shutdown()
    server.server_close()
    _hub_commit.cache_clear()
    assert source.fingerprint() == {"checkpoint": f"commit:{COMMIT}"}
    assert source.layout().untrained
    source.load(device="cpu").tower("speech")
    _hub_commit.cache_clear()
    with pytest.raises(
        ModelError, match="no such folder: org/other, and the hub cannot be reached"
    ):
        Seamless(checkpoint="org/other").layout()


def test_hub_that_lacks_it(hub):
    with pytest.raises(ModelError, match="no folder org/missing, and the hub has no such model"):
        Seamless(checkpoint="org/missing").layout()
    with pytest.raises(ModelError, match='no revision "v9"'):
        Seamless(checkpoint="org/model", revision="v9").layout()
    assert Seamless(checkpoint="org/model", revision="main").layout()


def test_one_file_on_the_hub(hub):
    server, asked = hub
    (server.RequestHandlerClass.trees[COMMIT] / "config.json").unlink()
    wanted = {"patterns": ("*.pt",), "what": "the encoder", "where": "Ask."}
    found = find_file("org/model", **wanted)
    assert found.fingerprint() == f"commit:{COMMIT}/seamlessM4T_v2_large.pt"
    assert asked == []
    assert found.path().read_bytes() == b"must not be fetched"
    server.shutdown()
    server.server_close()
    _hub_commit.cache_clear()
    again = find_file("org/model", **wanted)
    assert (again.fingerprint(), again.path()) == (found.fingerprint(), found.path())
    with pytest.raises(ModelError, match=r"org/model lacks the encoder; it holds seamless"):
        find_file("org/model", **{**wanted, "patterns": ("*.pth",)})


@pytest.mark.parametrize(
    ("kind", "key"),
    [("bert", "num_hidden_layers"), ("t5", "num_layers"), ("whisper", "encoder_layers")],
)
def test_weights_with_more_layers_than_the_configuration(damaged, pair, kind, key):
    folder = damaged(kind)
    layers = json.loads((folder / "config.json").read_text())[key]
    configure(folder, **{key: layers - 1})
    side = "speech" if kind == "whisper" else "text"
    with pytest.raises(
        ModelError, match=rf"layers that config.json does not count: .*{layers - 1}"
    ):
        pair(**{side: str(folder)}).load(device="cpu").tower(side)


def test_tokeniser_on_the_hub_needs_no_weights(hub, tiny, german):
    server, asked = hub
    tokens = Seamless(checkpoint="org/model").tokeniser()
    assert tokens("Hallo", german) == Seamless(checkpoint=str(tiny)).tokeniser()("Hallo", german)
    assert "sentencepiece.bpe.model" in asked
    assert not {name for name in asked if name.endswith((".pt", ".bin", ".safetensors"))}
    server.shutdown()
    server.server_close()
    _hub_commit.cache_clear()
    assert Seamless(checkpoint="org/model").tokeniser()("Hallo", german)
