"""Every architecture: equal to a plain transformers loop, and free of its batch."""

import json

import numpy as np
import pytest

from isogloss.errors import ItemError, ModelError
from isogloss.languages import language
from isogloss.models._architectures import ARCHITECTURES
from isogloss.models._weights import model_class, quiet
from isogloss.models.towers import Towers

torch = pytest.importorskip("torch")

TEXT = ["bert", "xlm-roberta", "mpnet", "distilbert", "t5", "nllb"]
SPEECH = [
    "whisper",
    "wav2vec2",
    "wav2vec2-group",
    "hubert",
    "hubert-group",
    "wavlm",
    "w2v-bert",
]
LIMIT = 1e-5


@pytest.fixture
def tower(built):
    def load(kind, **settings):
        modality = "text" if kind in TEXT else "speech"
        other = {"text": built("bert"), "speech": built("whisper"), modality: built(kind)}
        source = Towers(text=str(other["text"]), speech=str(other["speech"]), **settings)
        return source.load(device="cpu").tower(modality)

    return load


def whole_model(folder):
    """The checkpoint as transformers itself loads it, as a base model."""
    from transformers import AutoModel

    with quiet():
        return AutoModel.from_pretrained(folder).eval()


def states(folder, inputs):
    """hidden_states of a plain transformers call, the last one after the final norm."""
    model = whole_model(folder)
    encoder = model.get_encoder() if model.config.is_encoder_decoder else model
    encoder.adapter = None
    with torch.no_grad():
        found = encoder(**inputs, output_hidden_states=True)
    return [*found.hidden_states[:-1], found.last_hidden_state]


@pytest.mark.parametrize("kind", TEXT)
def test_text_equals_plain_transformers(kind, tower, built, makers, gap):
    from tokenizers import Tokenizer

    found_tower = tower(kind)
    tokeniser = Tokenizer.from_file(str(built(kind) / "tokenizer.json"))
    for code, texts in makers.texts.items():
        for text in texts:
            ids = tokeniser.encode(text).ids
            if kind == "nllb":
                sides = [tokeniser.token_to_id(t) for t in (f"{code}_Latn", "</s>")]
                ids = [sides[0], *ids, sides[1]]
            hidden = states(built(kind), {"input_ids": torch.tensor([ids])})
            assert len(hidden) == 4
            made = found_tower.encode([found_tower.features(text, language(code))])
            for name, wanted in zip(("in", "1", "2", "3"), hidden, strict=True):
                assert made[name].dtype == np.float32
                assert gap(made[name], wanted[0].mean(0).numpy()) < LIMIT


@pytest.mark.parametrize("kind", SPEECH)
def test_speech_equals_plain_transformers(kind, tower, built, sounds, gap, german):
    samples = sounds(1.31)
    architecture = ARCHITECTURES[
        json.loads((built(kind) / "config.json").read_text())["model_type"]
    ]
    extractor = model_class(architecture.extractor).from_pretrained(str(built(kind)))
    inputs = dict(extractor(samples, sampling_rate=16_000, return_tensors="pt"))
    if "attention_mask" in inputs and inputs["attention_mask"].all():
        del inputs["attention_mask"]
    hidden = states(built(kind), inputs)
    assert len(hidden) == 4
    if kind == "whisper":
        hidden = [h[:, : -(-len(samples) // 320)] for h in hidden]
    if kind == "w2v-bert":
        assert "attention_mask" in inputs  # an odd number of frames, so that a step is padding
        hidden = [h[:, inputs["attention_mask"][0].bool()] for h in hidden]
    found_tower = tower(kind)
    made = found_tower.encode([found_tower.features(samples, german)])
    for name, wanted in zip(("in", "1", "2", "3"), hidden, strict=True):
        assert gap(made[name], wanted[0].mean(0).numpy()) < LIMIT


@pytest.mark.parametrize("kind", TEXT)
@pytest.mark.parametrize("special", [True, False])
def test_text_does_not_depend_on_its_batch(kind, special, tower, makers, gap, german):
    found = tower(kind, pool_special_tokens=special)
    batch = [found.features(text, german) for text in makers.texts["deu"]]
    together = found.encode(batch)
    for row, item in enumerate(batch):
        alone = found.encode([item])
        assert all(gap(together[name][row], alone[name]) < LIMIT for name in alone)


@pytest.mark.parametrize("kind", SPEECH)
def test_speech_does_not_depend_on_its_batch(kind, tower, sounds, gap, german):
    found = tower(kind)
    assert found.max_batch == (1 if kind.endswith("group") else None)
    lengths = (0.31, 2.5, 1.207, 0.9031, 2.5)
    batch = [found.features(sounds(s, i), german) for i, s in enumerate(lengths)]
    together = found.encode(batch)
    for row, item in enumerate(batch):
        alone = found.encode([item])
        assert all(gap(together[name][row], alone[name]) < LIMIT for name in alone)


def test_group_norm_would_leak_if_it_were_batched(tower, sounds, gap, german):
    found = tower("wav2vec2-group")
    batch = [found.features(sounds(s, 1), german) for s in (0.5, 2.5)]
    alone = found.encode(batch[:1])
    found.max_batch = None
    assert gap(found.encode(batch)["3"][0], alone["3"]) > 100 * LIMIT


def test_length_of_wave_counts_encoder_steps(tower, sounds, german):
    found = tower("wav2vec2")
    for seconds in (0.1, 0.7, 1.2345):
        samples = sounds(seconds)
        steps = len(samples)
        for kernel, stride in ((10, 10), (8, 8), (4, 4)):
            steps = (steps - kernel) // stride + 1
        assert found.features(samples, german).length == steps


def test_special_tokens_can_be_left_out(tower, makers, gap, german):
    text = makers.texts["deu"][0]
    counted, left_out = tower("bert"), tower("bert", pool_special_tokens=False)
    features = counted.features(text, german)
    inner = left_out.features(text, german)
    assert inner.values["pooled"].sum() == features.values["pooled"].sum() - 2
    assert not inner.values["pooled"][[0, -1]].any()
    assert gap(counted.encode([features])["2"], left_out.encode([inner])["2"]) > 1e-3


def test_prefix_is_part_of_the_text(tower, german):
    plain, prefixed = tower("bert"), tower("bert", text_prefix="query: ")
    wanted = plain.features("query: Hallo", german).values["input_ids"]
    assert np.array_equal(prefixed.features("Hallo", german).values["input_ids"], wanted)


def test_language_token_follows_the_language(tower, built):
    from tokenizers import Tokenizer

    tokeniser = Tokenizer.from_file(str(built("nllb") / "tokenizer.json"))
    found = tower("nllb")
    for code in ("eng", "deu", "eng"):
        ids = found.features("Hello", language(code)).values["input_ids"]
        assert ids[0] == tokeniser.token_to_id(f"{code}_Latn")
        assert ids[-1] == tokeniser.token_to_id("</s>")
    with pytest.raises(ModelError, match=r"no language token for French \(fra\)"):
        found.features("Bonjour", language("fra"))


def test_m2m100_two_letter_codes(built, tmp_path, makers):
    """The tokeniser of M2M-100: vocab.json and a SentencePiece model, languages as __xx__."""
    import io

    import sentencepiece

    model = io.BytesIO()
    texts = [t for ts in makers.texts.values() for t in ts]
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(texts), model_writer=model, vocab_size=60, minloglevel=2
    )
    folder = makers.nllb(tmp_path / "m2m", config={"vocab_size": 300})
    (folder / "tokenizer.json").unlink()
    (folder / "sentencepiece.bpe.model").write_bytes(model.getvalue())
    pieces = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
    names = [pieces.id_to_piece(i) for i in range(3, 60)]
    vocabulary = {t: i for i, t in enumerate(["<s>", "<pad>", "</s>", "<unk>", *names])}
    (folder / "vocab.json").write_text(json.dumps(vocabulary))
    config = {"tokenizer_class": "M2M100Tokenizer", "src_lang": "en"}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    found = Towers(text=str(folder), speech=str(built("whisper"))).load(device="cpu").tower("text")
    codes = model_class("m2m_100.tokenization_m2m_100:M2M100Tokenizer").from_pretrained(folder)
    ids = found.features(texts[0], language("deu")).values["input_ids"]
    codes.src_lang = "de"
    assert ids.tolist() == codes(texts[0])["input_ids"]
    assert ids[0] == codes.get_lang_id("de") != codes.get_lang_id("en")
    assert found.encode([found.features(texts[0], language("deu"))])["3"].shape == (1, 32)
    with pytest.raises(ModelError, match="Assamese"):
        found.features("x", language("asm"))


@pytest.mark.parametrize(
    ("text", "reason"), [("", "empty"), ("  \n", "empty"), ("Recht " * 90, "has .* tokens")]
)
def test_text_that_cannot_be_used(text, reason, tower, german):
    with pytest.raises(ItemError, match=reason):
        tower("bert").features(text, german)


def test_longest_text_is_read(tower, german):
    """RoBERTa counts positions from the padding id on: two fewer than its table has rows."""
    found = tower("xlm-roberta")
    for count in range(10, 80):
        try:
            features = found.features("Recht " * count, german)
        except ItemError:
            break
        longest = features
    assert longest.length > 50
    assert np.isfinite(found.encode([longest])["3"]).all()


def test_sound_that_cannot_be_used(tower, sounds, german):
    with pytest.raises(ItemError, match=r"lasts 3\.2 s, and the model hears 3 s"):
        tower("whisper").features(sounds(3.2), german)
    with pytest.raises(ItemError, match="needs"):
        tower("wav2vec2").features(sounds(0.005), german)
    with pytest.raises(ItemError, match="needs 35 ms"):
        tower("w2v-bert").features(sounds(0.03), german)
    bad = sounds(1.0)
    bad[7] = np.nan
    with pytest.raises(ItemError, match="not finite"):
        tower("w2v-bert").features(bad, german)


def test_unknown_text_is_noted(tower, german):
    assert tower("bert").features("漢字かな交じり文", german).note
    assert not tower("bert").features("Alle Menschen", german).note


def test_features_are_thread_safe(tower, makers):
    from concurrent.futures import ThreadPoolExecutor

    found = tower("nllb")
    jobs = [(text, language(code)) for code, texts in makers.texts.items() for text in texts] * 40
    wanted = [found.features(*job).values["input_ids"].tolist() for job in jobs]
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda job: found.features(*job).values["input_ids"].tolist(), jobs))
    assert made == wanted


def test_layout_needs_no_torch_and_pairs_by_depth(built, makers, tmp_path):
    folder = makers.by_kind["bert"](tmp_path / "deep", config={"num_hidden_layers": 6})
    source = Towers(text=str(folder), speech=str(built("whisper")))
    layout = source.layout()
    assert [tap.name for tap in layout.taps["text"]] == ["in", "1", "2", "3", "4", "5", "6"]
    assert [tap.depth for tap in layout.taps["speech"]] == [0, 1 / 3, 2 / 3, 1]
    assert [(p.text, p.speech) for p in layout.pairs] == [
        ("in", "in"), ("1", "1"), ("2", "1"), ("3", "1"), ("4", "2"), ("5", "2"), ("6", "3")
    ]  # fmt: skip
    assert [p.label for p in layout.pairs] == ["in", "1", "2|1", "3|1", "4|2", "5|2", "6|3"]
    assert layout.paper["text"] == tuple(tap.name for tap in layout.taps["text"])
    assert not layout.untrained
    assert source.title() == "deep+whisper"


def test_chosen_taps_only(built, sounds, german):
    source = Towers(text=str(built("bert")), speech=str(built("whisper")), taps=("3", "in"))
    found = source.load(device="cpu").tower("speech")
    assert [tap.name for tap in found.taps] == ["in", "3"]
    assert list(found.encode([found.features(sounds(1.0), german)])) == ["in", "3"]
    wrong = source.model_copy(update={"taps": ("len",)})
    with pytest.raises(ModelError, match='unknown tap "len"'):
        wrong.load(device="cpu")


@pytest.mark.parametrize("kind", ["bert", "nllb", "whisper", "hubert"])
def test_half_precision_checkpoint_becomes_what_was_asked_for(kind, built, makers, tmp_path, gap):
    from safetensors.torch import load_file, save_file

    folder = makers.by_kind[kind](tmp_path / kind, dtype=torch.float16)
    stored = load_file(folder / "model.safetensors")
    assert {t.dtype for t in stored.values()} == {torch.float16}
    modality = "text" if kind in TEXT else "speech"
    settings = {"text": str(built("bert")), "speech": str(built("whisper")), modality: str(folder)}
    found = Towers(**settings).load(device="cpu").tower(modality)
    assert {p.dtype for p in found.module.parameters()} == {torch.float32}
    low = Towers(**settings, dtype="bfloat16").load(device="cpu").tower(modality)
    assert {p.dtype for p in low.module.parameters()} == {torch.bfloat16}
    # The same numbers stored in float32 give the same result.
    save_file(
        {k: t.float() for k, t in stored.items()}, folder / "model.safetensors", {"format": "pt"}
    )
    again = Towers(**settings).load(device="cpu").tower(modality)
    item = "Alle Menschen" if modality == "text" else np.sin(np.arange(16_000) / 9).astype("f")
    pooled = [t.encode([t.features(item, language("deu"))])["3"] for t in (found, again, low)]
    assert np.array_equal(pooled[0], pooled[1])
    assert pooled[2].dtype == np.float32
    assert gap(pooled[2], pooled[0]) < 0.1
