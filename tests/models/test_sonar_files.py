"""SONAR's files: where they are, how large they are, whose they are, and what is refused."""

import json
import os
import shutil

import pytest

from isogloss.errors import ModelError
from isogloss.languages import language, languages
from isogloss.models._sonar_cards import SPEECH, TEXT_LANGUAGES, Card
from isogloss.models._weights import quiet
from isogloss.models.base import chosen_taps
from isogloss.models.sonar import Sonar

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
pytest.importorskip("sentencepiece")

from sonar_files import CONFIG, as_fairseq, sonar, state, write, write_tokeniser  # noqa: E402

GERMAN = language("deu")
TEXT, SPENC = "sonar_text_encoder.pt", "spenc.v3ap.deu.pt"


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A checkpoint that tests must not change."""
    return write(tmp_path_factory.mktemp("sonar") / "small")


@pytest.fixture
def folder(whole, tmp_path):
    """A copy that a test may damage."""
    return shutil.copytree(whole, tmp_path / "copy")


def tower(model, modality, spoken=GERMAN):
    return model.load(device="cpu").tower(modality, spoken)


def test_the_released_size_is_known_without_a_configuration(whole, tmp_path):
    for name in (TEXT, "sentencepiece.source.256000.model"):
        shutil.copy(whole / name, tmp_path)
    model = sonar(tmp_path)
    layout = model.layout()
    layers = [str(i) for i in range(1, 25)]
    for modality in ("text", "speech"):
        taps = layout.taps[modality]
        assert [t.name for t in taps] == ["in", *layers, "pool"]
        assert {t.width for t in taps} == {1024}
        assert taps[12].depth == 0.5
    study = ["in", "1", *(str(i) for i in range(2, 23, 2)), "23", "24", "pool"]
    assert list(layout.paper["text"]) == list(layout.paper["speech"]) == study
    assert [p.label for p in layout.pairs] == ["in", *layers, "pool"]
    read = chosen_taps(model.model_copy(update={"taps": "paper"}), layout)
    assert [t.name for t in read["speech"]] == study
    assert not layout.untrained


def test_a_size_of_its_own(whole):
    layout = sonar(whole).layout()
    assert [(t.name, t.width) for t in layout.taps["speech"]] == [
        (name, 32) for name in ("in", "1", "2", "3", "pool")
    ]


def test_encoders_of_different_depth_are_paired_by_relative_depth(folder):
    (folder / "config.json").write_text(json.dumps({**CONFIG, "speech_encoder_layers": 6}))
    pairs = sonar(folder).layout().pairs
    assert [p.label for p in pairs] == ["in", "1|2", "2|4", "3|6", "pool"]


@pytest.mark.parametrize(
    ("modality", "change"),
    [
        ("text", {"encoder_layers": 2}),
        ("text", {"d_model": 64}),
        ("speech", {"speech_encoder_layers": 24}),
        ("speech", {"hidden_size": 64}),
        ("speech", {"speech_encoder_attention_heads": 8}),
    ],
)
def test_weights_of_another_size_are_refused(modality, change, folder):
    (folder / "config.json").write_text(json.dumps({**CONFIG, **change}))
    with pytest.raises(ModelError, match=r"\.pt holds an encoder with 3 layers, width 32, 4 heads"):
        tower(sonar(folder), modality)


@pytest.mark.parametrize("value", [0, "3", 2.5, True])
def test_a_size_that_is_none(value, folder):
    (folder / "config.json").write_text(json.dumps({**CONFIG, "encoder_layers": value}))
    with pytest.raises(ModelError, match='"encoder_layers" in config.json must be a whole number'):
        sonar(folder).layout()


def test_heads_must_divide_the_width(folder):
    (folder / "config.json").write_text(json.dumps({**CONFIG, "encoder_attention_heads": 5}))
    with pytest.raises(ModelError, match="heads must divide the width"):
        sonar(folder).layout()
    (folder / "config.json").write_text(json.dumps({**CONFIG, "pooler_attention_heads": 5}))
    with pytest.raises(ModelError, match="32 features cannot be shared out to 5 heads"):
        sonar(folder).layout()


def test_a_folder_a_file_and_a_pattern_mean_the_same(folder, tmp_path):
    by_folder = sonar(folder)
    by_file = Sonar(text=str(folder / TEXT), speech=str(folder / "spenc.v3ap.{language}.pt"))
    assert by_file.fingerprint() == by_folder.fingerprint()
    own = by_folder.fingerprint_of("speech", "deu")
    assert own == by_file.fingerprint_of("speech", "deu")
    assert by_file.identity() == by_folder.identity()
    assert (by_folder.title(), by_file.title()) == ("copy", "sonar_text_encoder")
    moved = folder.rename(tmp_path / "elsewhere")
    shutil.move(moved / SPENC, moved / "sonar_speech_encoder_deu.pt")
    assert sonar(moved).fingerprint_of("speech", "deu") == own
    assert tower(sonar(moved), "speech").taps[-1].name == "pool"


def test_the_files_of_a_language_name_its_units_alone(folder):
    before = sonar(folder)
    shared, german = before.fingerprint(), before.fingerprint_of("speech", "deu")
    english = before.fingerprint_of("speech", "eng")
    assert german != english
    assert before.fingerprint_of("text", "deu") == {}
    torch.save({"model": as_fairseq("speech")}, folder / SPENC)
    after = sonar(folder)
    assert after.fingerprint_of("speech", "deu") != german
    assert after.fingerprint_of("speech", "eng") == english
    assert after.fingerprint() == shared
    (folder / "config.json").write_text(json.dumps({**CONFIG, "pooler_attention_heads": 2}))
    assert sonar(folder).fingerprint() != shared


def test_a_text_encoder_saved_by_transformers(folder, gap):
    """The port of the text encoder has transformers' ids, names, files and configuration."""
    from transformers import M2M100Config
    from transformers.models.m2m_100.modeling_m2m_100 import M2M100Encoder

    wanted = tower(sonar(folder), "text")
    item = wanted.features("Alle Menschen sind frei, 漢.", GERMAN)
    port = {n: t for n, t in as_fairseq("text").items() if n.startswith(("layer", "embed_tokens"))}
    sizes = {k: v for k, v in CONFIG.items() if "speech" not in k and k != "hidden_size"}
    size, inner = len(port["embed_tokens.weight"]), len(port["layers.0.fc1.weight"])
    with quiet():
        encoder = M2M100Encoder(M2M100Config(**sizes, vocab_size=size, encoder_ffn_dim=inner))
        encoder.load_state_dict(port)
        encoder.save_pretrained(folder / "port")
    shutil.copy(folder / "sentencepiece.source.256000.model", folder / "port")
    model = Sonar(text=str(folder / "port"), speech=str(folder))
    assert model.layout().taps["text"] == sonar(folder).layout().taps["text"]
    assert gap(tower(model, "text").encode([item])["pool"], wanted.encode([item])["pool"]) == 0


def test_untrained_weights_say_so(folder):
    (folder / "isogloss.json").write_text('{"untrained": true}')
    assert sonar(folder).layout().untrained


@pytest.mark.parametrize(
    ("file", "message"),
    [
        (TEXT, r"lacks the text encoder of SONAR.*fbaipublicfiles\.com/SONAR/sonar_text_encoder"),
        ("sentencepiece.source.256000.model", r"lacks the tokeniser.*sentencepiece\.source"),
        (SPENC, r'lacks the speech encoder of SONAR for "deu".*Get it from .*spenc\.v3ap\.deu\.pt'),
    ],
)
def test_a_missing_file_says_where_to_get_it(file, message, folder):
    (folder / file).unlink()
    model = sonar(folder)
    with pytest.raises(ModelError, match=message):
        model.fingerprint() and model.fingerprint_of("speech", "deu")
    if file == SPENC:
        assert model.fingerprint_of("speech", "eng")
        pattern = Sonar(text=str(folder), speech=str(folder / "{language}.pt"))
        with pytest.raises(ModelError, match=r"no such file: .*deu\.pt.*Get it from"):
            pattern.fingerprint_of("speech", "deu")


def test_one_speech_file_for_all_languages_is_refused(whole):
    model = Sonar(text=str(whole), speech=str(whole / SPENC))
    with pytest.raises(ModelError, match="is one file, but SONAR has a speech encoder for each"):
        model.fingerprint_of("speech", "deu")


def test_a_language_without_speech_is_named_with_what_to_do(whole):
    model = sonar(whole)
    for ask in (
        lambda: model.fingerprint_of("speech", "amh"),
        lambda: tower(model, "speech", language("amh")),
    ):
        with pytest.raises(ModelError, match=r"Amharic \(amh\).*languages: paper-sonar"):
            ask()


def test_languages_and_licences():
    from transformers.models.nllb.tokenization_nllb import FAIRSEQ_LANGUAGE_CODES

    assert list(TEXT_LANGUAGES) == list(FAIRSEQ_LANGUAGE_CODES)
    assert (len(TEXT_LANGUAGES), len(SPEECH)) == (202, 57)
    speaks = Sonar().speaks()
    for known in languages().values():
        assert known.sonar_text in TEXT_LANGUAGES
        assert known.code in speaks["text"]
        assert bool(known.sonar_speech) == (known.code in speaks["speech"])
        if known.sonar_speech:
            card = SPEECH[known.code]
            assert known.sonar_speech == f"sonar_speech_encoder_{card.language}"
            stated = "not stated" if known.code == "eng" else known.sonar_speech_licence
            assert card.licence == stated
    studied = {code: x for code, x in languages().items() if x.published_sentences}
    without = {code for code, x in studied.items() if not x.sonar_speech}
    assert without == {"amh", "ell", "hye", "kat", "khm", "sna"}
    assert {code for code, x in languages().items() if x.in_sonar} <= speaks["speech"]
    assert SPEECH["ben"] == Card("ben", "spenc.v5ap.ben.pt", "CC-BY-NC-4.0")
    assert SPEECH["eng"].names[0] == "spenc.eng.pt"


def test_the_licences_are_among_the_notes(whole):
    note = sonar(whole).layout().notes[-1]
    assert note.startswith("licences of the weights: text CC-BY-NC-4.0; speech MIT: arb cat")
    assert note.endswith("not stated: eng")


def test_token_ids_are_those_of_fairseq2(whole):
    from sentencepiece import SentencePieceProcessor

    reading = tower(sonar(whole), "text")
    path = str(whole / "sentencepiece.source.256000.model")
    model = SentencePieceProcessor(model_file=path)
    text = "Alle Menschen, 漢."
    for code, place in (("deu", 41), ("cmn", 199), ("arb", 10)):
        spoken = language(code)
        ids = reading.features(text, spoken).values["input_ids"].tolist()
        assert ids == [130 + 1 + place, *(i + 1 for i in model.encode(text)), 3]
        assert 1 in ids  # the character that no piece holds
        assert TEXT_LANGUAGES[place] == spoken.sonar_text


def test_a_tokeniser_of_another_model(folder):
    write_tokeniser(folder / "other.model", 120)
    model = Sonar(text=str(folder), speech=str(folder), tokenizer=str(folder / "other.model"))
    with pytest.raises(ModelError, match="has 336 embeddings, but .*other.model makes 326 tokens"):
        tower(model, "text")
    (folder / "broken.model").write_bytes(b"\x00not a model")
    model = Sonar(text=str(folder), speech=str(folder), tokenizer=str(folder / "broken.model"))
    with pytest.raises(ModelError, match=r"broken\.model cannot be read as a SentencePiece"):
        tower(model, "text")


def test_a_partial_checkpoint_is_refused(folder):
    weights = state("speech")
    del weights["encoder.layers.1.conv.depthwise_conv.weight"]
    torch.save({"model": weights}, folder / SPENC)
    with pytest.raises(ModelError, match=r"it lacks encoder\.layers\.1\.conv_module\.depthwise"):
        tower(sonar(folder), "speech")
    weights = state("speech")
    weights["quantizer.vars"] = torch.ones(2)
    torch.save({"model": weights}, folder / SPENC)
    with pytest.raises(ModelError, match=r"do not belong there: quantizer\.vars"):
        tower(sonar(folder), "speech")
    for first in (
        "encoder.layers.0.ffn1.inner_proj.weight",
        "encoder_pooler.projection_out.weight",
    ):
        weights = state("speech")
        del weights[first]
        torch.save({"model": weights}, folder / SPENC)
        with pytest.raises(ModelError, match="lacks"):
            tower(sonar(folder), "speech")
    weights = state("text")
    del weights["encoder.layers.0.ffn.inner_proj.weight"]
    torch.save({"model": weights}, folder / TEXT)
    with pytest.raises(ModelError, match=r"it lacks layers\.0\.fc1\.weight"):
        tower(sonar(folder), "text")


def test_an_encoder_given_as_the_other_is_refused(folder):
    shutil.copy(folder / TEXT, folder / SPENC)
    with pytest.raises(ModelError, match="is not a speech encoder of SONAR .*encoder_frontend"):
        tower(sonar(folder), "speech")
    torch.save({"model": state("speech")}, folder / TEXT)
    with pytest.raises(ModelError, match="is not the text encoder of SONAR"):
        tower(sonar(folder), "text")


def test_other_models_are_refused(tiny, built, whole):
    with pytest.raises(ModelError, match='is a "seamless_m4t_v2" model, not SONAR'):
        Sonar(text=str(tiny), speech=str(whole)).layout()
    nllb = built("nllb")
    spm = str(whole / "sentencepiece.source.256000.model")
    model = Sonar(text=str(nllb), speech=str(whole), tokenizer=spm)
    with pytest.raises(ModelError, match=r"is not the text encoder of SONAR.*model\.(de|en)coder"):
        tower(model, "text")


class Trap:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize(("modality", "file"), [("text", TEXT), ("speech", SPENC)])
def test_a_pickle_with_code_in_it_is_refused(modality, file, folder, tmp_path):
    sprung = tmp_path / "sprung"
    torch.save({"model": state(modality), "hook": Trap(sprung)}, folder / file)
    with pytest.raises(ModelError, match=r"holds more than weights: it asks for .*mkdir"):
        tower(sonar(folder), modality)
    assert not sprung.exists()
