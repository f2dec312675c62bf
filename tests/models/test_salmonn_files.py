"""SALMONN's files: sizes, prompts and tokens, and what happens where they do not fit."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from isogloss.errors import ModelError, StudyError
from isogloss.models.salmonn import Salmonn

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from isogloss.models._salmonn_load import merge_lora  # noqa: E402
from isogloss.models._salmonn_prompt import load_pieces, placed  # noqa: E402
from isogloss.models._salmonn_sizes import read_sizes  # noqa: E402
from isogloss.models._weights import model_class, quiet  # noqa: E402
from salmonn_files import (  # noqa: E402
    ALPHA,
    RANK,
    TEXTS,
    WIDTH,
    released_checkpoint,
    write_all,
    write_whisper,
)


@pytest.fixture(scope="module")
def official(tmp_path_factory):
    """The four official files, small. Tests must not change them."""
    return write_all(tmp_path_factory.mktemp("salmonn"))


@pytest.fixture
def full_size(tmp_path):
    """The released sizes: configurations, and a checkpoint whose tensors repeat one number."""
    for name, config in (
        ("whisper", {"model_type": "whisper", "d_model": 1280, "num_mel_bins": 80}),
        ("vicuna", {"model_type": "llama", "hidden_size": 4096, "num_hidden_layers": 32}),
    ):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text(json.dumps(config))
    at = "speech_Qformer.bert.encoder.layer.{}.intermediate_query.dense.weight"
    shapes = {"ln_speech.weight": (1280,), "ln_audio.weight": (768,)}
    shapes |= {"speech_query_tokens": (1, 1, 768), "speech_llama_proj.weight": (4096, 768)}
    shapes |= {at.format(i): (3072, 768) for i in range(2)}
    for i in range(32):
        name = f"llama_model.base_model.model.model.layers.{i}.self_attn.q_proj.lora_A"
        shapes[f"{name}.default.weight"] = (8, 4096)
    model = {name: torch.zeros(1).expand(shape) for name, shape in shapes.items()}
    torch.save({"model": model}, tmp_path / "salmonn_7b_v0.pth")
    (tmp_path / "BEATs_iter3_plus_AS2M_finetuned_on_AS2M_cpt2.pt").touch()
    places = {name: str(tmp_path / name) for name in ("whisper", "vicuna")}
    return {**places, "beats": str(tmp_path), "checkpoint": str(tmp_path)}


def test_layout_of_the_released_model_is_the_study_s(full_size):
    """Appendix B.3, from configurations and tensor sizes alone."""
    layout = Salmonn(**full_size).layout()
    numbers = [1, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30, 31, 32]
    assert layout.paper["text"] == ("in", *map(str, numbers))
    assert layout.paper["speech"] == ("enc", "in", *map(str, numbers))
    widths = {t.name: t.width for t in layout.taps["speech"]}
    assert widths == {"enc": 2048, "in": 4096, **{str(i): 4096 for i in range(1, 33)}}
    assert read_sizes(Path(full_size["checkpoint"]) / "salmonn_7b_v0.pth").tokens == 88


def test_parameters_of_the_released_model(full_size):
    from isogloss.models._beats import Beats, BeatsConfig
    from isogloss.models._salmonn_model import Bridge

    def count(module):
        return sum(p.numel() for p in module.parameters())

    sizes = read_sizes(Path(full_size["checkpoint"]) / "salmonn_7b_v0.pth")
    whisper = transformers.WhisperConfig(
        d_model=1280, encoder_layers=32, encoder_attention_heads=20, encoder_ffn_dim=5120
    )
    with torch.device("meta"), quiet():
        found = {
            "Whisper encoder": count(
                model_class("whisper.modeling_whisper:WhisperEncoder")(whisper)
            ),
            "BEATs": count(Beats(BeatsConfig(deep_norm=True, max_distance=800))),
            "Q-Former and projection": count(Bridge(sizes)),
            "Vicuna without its head": count(transformers.LlamaModel(transformers.LlamaConfig())),
        }
    assert dict(Salmonn.info.parameters) == found


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"prompt": "{text}"}, r"model.prompt: it must hold {audio} and {text} once each"),
        ({"prompt": "{text} {audio}"}, "{audio} must come before {text}"),
        ({"text_prompt": "{audio}{text}"}, "text_prompt: it must hold {text} once and no"),
        ({"text_prompt": "hello"}, "text_prompt: it must hold {text} once"),
    ],
)
def test_prompts_that_do_not_work(settings, message, official):
    with pytest.raises(StudyError, match=message):
        Salmonn(**official, **settings)


def test_tokenizer_json_gives_the_same_tokens(official, tmp_path):
    """The form that transformers 5 saves, over the pieces of the SentencePiece model."""
    from tokenizers import Tokenizer, models, normalizers

    exact = load_pieces(Path(official["vicuna"]), "x", 340)
    spelt = {f"<0x{b:02X}>": b + 3 for b in range(256)}
    letters = {exact._model.id_to_piece(i): i for i in range(259, 340)}
    vocabulary = {"<unk>": 0, "<s>": 1, "</s>": 2, **spelt, **letters}
    # Merges in the order of the vocabulary, wherever two pieces make a third.
    merges = [
        (piece[:cut], piece[cut:])
        for piece in letters
        for cut in range(1, len(piece))
        if piece[:cut] in letters and piece[cut:] in letters
    ]
    tokeniser = Tokenizer(
        models.BPE(vocabulary, merges, unk_token="<unk>", byte_fallback=True, fuse_unk=True)
    )
    tokeniser.normalizer = normalizers.Sequence(
        [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
    )
    tokeniser.save(str(tmp_path / "tokenizer.json"))
    pieces = load_pieces(tmp_path, "x", 340)
    for text in TEXTS:
        for template in ("</Speech> {text}\nASSISTANT:", "{text}", "a {text}</s>"):
            assert placed(pieces, template, text) == placed(exact, template, text)


@pytest.mark.parametrize("files", ["none", "small"])
def test_tokenisers_that_do_not_fit(files, official, tmp_path):
    folder = shutil.copytree(official["vicuna"], tmp_path / "vicuna")
    if files == "none":
        (folder / "tokenizer.model").unlink()
        message = "vicuna has no tokeniser"
    else:
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps({**config, "vocab_size": 300}))
        message = "the tokeniser has 340 tokens, but the model 300 embeddings"
    adapter = Salmonn(**{**official, "vicuna": str(folder)}).load(device="cpu")
    with pytest.raises(ModelError, match=message):
        adapter.tower("speech")


@pytest.mark.parametrize(
    ("part", "message"),
    [
        ("beats", r"no such file: .*gone.pt. [Tt]he BEATs encoder \(`beats`\) is one file .*unilm"),
        ("checkpoint", r"no such file: .*gone.pth. SALMONN's own checkpoint .*tsinghua-ee"),
        ("whisper", "no such folder: .*gone"),
        ("vicuna", "no such folder: .*gone"),
    ],
)
def test_missing_files(part, message, official, tmp_path):
    end = {"beats": ".pt", "checkpoint": ".pth"}.get(part, "/x/y")
    with pytest.raises(ModelError, match=message):
        Salmonn(**{**official, part: f"{tmp_path}/gone{end}"}).layout()


def test_folders_that_lack_the_file(official, tmp_path):
    with pytest.raises(ModelError, match=r"lacks the BEATs encoder .*it holds nothing.*unilm"):
        Salmonn(**{**official, "beats": str(tmp_path)}).layout()
    with pytest.raises(StudyError, match=r'"model.beats" is required: .*unilm'):
        Salmonn(whisper=official["whisper"])


def test_files_in_each_other_s_place(official, tmp_path):
    swapped = {**official, "whisper": official["vicuna"]}
    with pytest.raises(ModelError, match=r'is a "llama" model, but `whisper` of SALMONN is Whisp'):
        Salmonn(**swapped).layout()
    with pytest.raises(ModelError, match=r'is a "whisper" model, but `vicuna` of SALMONN is Vic'):
        Salmonn(**{**official, "vicuna": official["whisper"]}).layout()
    with pytest.raises(ModelError, match=r"no checkpoint of SALMONN, but one of BEATs"):
        Salmonn(**{**official, "checkpoint": official["beats"]}).layout()
    with pytest.raises(ModelError, match='no checkpoint of BEATs: it has no "cfg"'):
        Salmonn(**{**official, "beats": official["checkpoint"]}).load(device="cpu").tower("speech")


def test_encoders_of_another_size(official, tmp_path):
    write_whisper(tmp_path / "small", width=32)
    with pytest.raises(ModelError, match=r"small has 32 features, and .* was trained with 64"):
        Salmonn(**{**official, "whisper": str(tmp_path / "small")}).layout()
    write_whisper(tmp_path / "v3", mels=128)
    with pytest.raises(ModelError, match="v3 hears 128 mel bins .*not large-v3"):
        Salmonn(**{**official, "whisper": str(tmp_path / "v3")}).layout()


@pytest.fixture
def changed(official, tmp_path):
    """A changed copy of the checkpoint, as a source."""

    def make(change):
        content = released_checkpoint()
        change(content)
        torch.save(content, tmp_path / "salmonn_x.pth")
        return Salmonn(**{**official, "checkpoint": str(tmp_path)})

    return make


AT = "llama_model.base_model.model.model.layers.{}.self_attn.v_proj.lora_B.default.weight"


def lacks(name):
    return lambda content: content["model"].pop(name)


def has(name, shape):
    return lambda content: content["model"].update({name: torch.zeros(shape)})


def other_rank(content):
    content["config"]["model"]["lora_rank"] = 16


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lacks(AT.format(2)), r"lacks low-rank updates: layer 3 v_proj B"),
        (has(AT.format(4), (WIDTH, RANK)), "has, for layers that the language model lacks, low-ra"),
        (has(AT.format(1), (64, RANK)), r"update of v_proj in layer 2 is \(64, 8\)"),
        (lacks("ln_audio.bias"), r"it lacks ln_audio.bias"),
        (lacks("ln_audio.weight"), r"incomplete: it lacks ln_audio.weight. Random"),
        (has("speech_encoder.conv1.weight", (2, 2)), "do not belong there: speech_encoder.conv1"),
        (has("ln_speech.bias", (5,)), r"another size: ln_speech.bias \(\(5,\) instead of \(64,\)"),
        (other_rank, "have rank 8, but its config says 16"),
    ],
)
def test_partial_and_foreign_checkpoints(change, message, changed):
    with pytest.raises(ModelError, match=message):
        changed(change).load(device="cpu").tower("speech")


def test_without_its_low_rank_updates(changed):
    def strip(content):
        content["model"] = {k: v for k, v in content["model"].items() if "lora" not in k}

    with pytest.raises(ModelError, match="it lacks low-rank updates of Vicuna"):
        changed(strip).layout()


def test_options_of_the_training_are_read(changed, sounds, german):
    def halve(content):
        options = {"lora_alpha": 16, "second_per_window": 0.5, "second_stride": 0.25}
        content["config"]["model"].update(options)

    source = changed(halve)
    sizes = read_sizes(source._files().trained.path())
    # Overlapping windows of 25 steps, 12 apart (Python rounds 12.5 down).
    assert (sizes.alpha, sizes.window, sizes.stride, sizes.tokens) == (16, 25, 12, 123)
    adapter = source.load(device="cpu")
    tower = adapter.tower("speech")
    made = tower.encode([tower.features(sounds(1.0), german)])
    assert all(np.isfinite(v).all() for v in made.values())


def test_merging_is_exact_in_half_precision(official):
    """The sum is taken in float32 and rounded once."""
    path = Path(official["checkpoint"])
    with quiet():
        half = transformers.LlamaModel.from_pretrained(official["vicuna"], dtype=torch.float16)
    name = "layers.1.self_attn.q_proj"
    before = half.get_parameter(f"{name}.weight").float()
    stored = released_checkpoint()["model"]
    prefix = f"llama_model.base_model.model.model.{name}.lora_"
    a, b = (stored[f"{prefix}{factor}.default.weight"] for factor in "AB")
    merge_lora(half, stored, sizes=read_sizes(path), path=path)
    found = half.get_parameter(f"{name}.weight")
    assert torch.equal(found, (before + ALPHA / RANK * (b @ a)).half())


class Runs:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


def test_pickle_with_code_is_refused_and_not_run(changed, tmp_path):
    def poison(content):
        content["extra"] = Runs(tmp_path / "ran")

    source = changed(poison)
    assert source.layout().taps["speech"]
    with pytest.raises(ModelError, match=r"holds more than weights: it asks for .*system"):
        source.load(device="cpu").tower("text")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 torn", b"{}"])
def test_damaged_checkpoint(content, official, tmp_path):
    (tmp_path / "salmonn.pth").write_bytes(content)
    with pytest.raises(ModelError, match="no file that torch.save wrote, or the download is inc"):
        Salmonn(**{**official, "checkpoint": str(tmp_path)}).layout()


def test_fingerprint_names_the_content_of_all_four(official, tmp_path):
    prints = Salmonn(**official).fingerprint()
    assert set(prints) == {"checkpoint", "whisper", "beats", "vicuna"}
    moved = shutil.copy(official["beats"], tmp_path / "beats.pt")
    source = Salmonn(**{**official, "beats": str(moved)})
    assert source.fingerprint() == prints
    assert source.identity() == Salmonn(**official).identity()
    assert source.identity()["input"] == "joint"
    assert "beats" not in source.identity()


def test_vicuna_in_the_form_of_its_release(official, tmp_path, german):
    """Two pickled shards with an index, and tables that transformers of that time saved too."""
    from safetensors.torch import load_file

    folder = tmp_path / "vicuna"
    shutil.copytree(official["vicuna"], folder)
    stored = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    stored |= {f"model.layers.{i}.self_attn.rotary_emb.inv_freq": torch.ones(16) for i in range(4)}
    names = sorted(stored)
    index = {}
    for number, part in enumerate((names[::2], names[1::2]), start=1):
        shard = f"pytorch_model-0000{number}-of-00002.bin"
        torch.save({name: stored[name] for name in part}, folder / shard)
        index |= dict.fromkeys(part, shard)
    text = json.dumps({"metadata": {}, "weight_map": index})
    (folder / "pytorch_model.bin.index.json").write_text(text)
    made = []
    for vicuna in (official["vicuna"], str(folder)):
        source = Salmonn(**{**official, "vicuna": vicuna, "input": "separate"})
        tower = source.load(device="cpu").tower("text")
        made.append(tower.encode([tower.features(TEXTS[0], german)]))
    assert all(np.array_equal(made[0][tap], made[1][tap]) for tap in made[0])
