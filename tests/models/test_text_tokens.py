"""Tokens of a text alone are those that the text encoder gets, and need no weights."""

import json
import shutil

import numpy as np
import pytest

from isogloss.errors import ModelError
from isogloss.languages import language
from isogloss.models._text_tokens import find_tokens, fingerprint
from isogloss.models.salmonn import Salmonn
from isogloss.models.seamless import Seamless
from isogloss.models.speech_llm import SpeechLlm
from isogloss.models.towers import Towers
from isogloss.models.whisper import Whisper

pytest.importorskip("torch")
from salmonn_files import write_all
from sonar_files import sonar, write

TEXTS = ["Alle Menschen sind frei.", "  Jeder hat das Recht auf Leben 1948 ", "Würde, Ω"]
WEIGHTS = ("*.safetensors", "*.bin", "*.pth", "*.pt")


@pytest.fixture
def bare(tmp_path):
    """A copy of a checkpoint without its weights."""

    def copy(folder):
        return str(
            shutil.copytree(folder, tmp_path / "bare", ignore=shutil.ignore_patterns(*WEIGHTS))
        )

    return copy


def inner(features):
    """Ids between the first and the last, which are no part of a text."""
    return features.values["input_ids"][1:-1].tolist()


@pytest.mark.parametrize("text", TEXTS)
def test_seamless(text, tiny, bare, german):
    tower = Seamless(checkpoint=str(tiny)).load(device="cpu").tower("text")
    tokens = Seamless(checkpoint=bare(tiny)).tokeniser()
    assert tokens(text, german) == inner(tower.features(text, german))


@pytest.mark.parametrize("prefix", ["", "query: "])
def test_towers(prefix, built, bare, german):
    both = {"speech": str(built("whisper")), "text_prefix": prefix}
    text = "Alle Menschen sind frei."
    tower = Towers(text=str(built("xlm-roberta")), **both).load(device="cpu").tower("text")
    tokens = Towers(text=bare(built("xlm-roberta")), **both).tokeniser()
    whole = inner(tower.features(text, german))
    found = tokens(text, german)
    assert found == whole[len(whole) - len(found) :]
    alone = Towers(text=str(built("xlm-roberta")), **{**both, "text_prefix": ""}).tokeniser()
    assert found == alone(text, german)


def test_sonar(tmp_path, german):
    folder = write(tmp_path / "sonar")
    tower = sonar(folder).load(device="cpu").tower("text")
    wanted = [inner(tower.features(text, german)) for text in TEXTS]
    # No weight is read: rubbish in their place does no harm.
    (tmp_path / "sonar" / "sonar_text_encoder.pt").write_bytes(b"nothing")
    assert [sonar(folder).tokeniser()(text, german) for text in TEXTS] == wanted


@pytest.mark.parametrize("given", ["separate", "joint"])
def test_salmonn_splits_a_sentence_within_its_prompt(given, tmp_path, german):
    from isogloss.models import _salmonn_prompt as prompts

    places = write_all(tmp_path)
    source = Salmonn(**places, input=given)
    pieces = prompts.load_pieces(tmp_path / "vicuna", "vicuna", 340)
    template = source.text_prompt if given == "separate" else "</Speech> {text}\nASSISTANT:"
    for path in [*tmp_path.rglob("*.safetensors"), *tmp_path.glob("*.p*t*")]:
        path.unlink()
    tokens = source.tokeniser()
    for text in TEXTS:
        ids, own = prompts.placed(pieces, template, text.strip())
        found = tokens(text, german)
        assert found == np.array(ids)[np.array(own)].tolist()
        assert 0 < len(found) < len(ids)
    # Ω is not in its vocabulary, and falls into two bytes.
    kinds = [tokens.kind(i) for i in tokens("Ω", german)]
    assert kinds.count("byte") == 2


def json_folder(folder, built, **config):
    """A folder with a tokeniser and a configuration, and nothing else."""
    folder.mkdir()
    shutil.copy(built("nllb") / "tokenizer.json", folder / "tokenizer.json")
    (folder / "config.json").write_text(json.dumps(config))
    return str(folder)


@pytest.mark.parametrize("space", [True, False])
def test_whisper_and_audio_llms(space, built, tmp_path, german):
    from tokenizers import Tokenizer

    folder = json_folder(tmp_path / "model", built, model_type="whisper")
    plain = Tokenizer.from_file(f"{folder}/tokenizer.json")
    whisper = Whisper(checkpoint=folder, leading_space=space).tokeniser()
    llm = SpeechLlm(checkpoint=folder).tokeniser()
    for text in TEXTS:
        own = (" " if space else "") + text.strip()
        assert whisper(text, german) == plain.encode(own, add_special_tokens=False).ids
        assert llm(text, german) == plain.encode(text, add_special_tokens=False).ids


def test_kinds_of_tokens(tmp_path):
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=264, initial_alphabet=alphabet, show_progress=False)
    made.train_from_iterator(["the the the then"], trainer)
    made.save(str(tmp_path / "tokenizer.json"))
    tokens = find_tokens(str(tmp_path / "tokenizer.json"))
    eng = language("eng")
    assert [tokens.kind(i) for i in tokens("the x", eng)] == ["longer", "character", "character"]
    assert {tokens.kind(i) for i in tokens("語", eng)} == {"byte"}


def test_any_tokeniser_by_its_name(tmp_path, built, tiny, german):
    folder = tmp_path / "tokeniser"
    folder.mkdir()
    model = folder / "own.model"
    shutil.copy(tiny / "sentencepiece.bpe.model", model)
    text = "Alle Menschen sind frei."
    own = Seamless(checkpoint=str(tiny)).tokeniser()
    # fairseq counts from one.
    assert [i + 1 for i in find_tokens(str(model))(text, german)] == own(text, german)
    assert find_tokens(str(folder))(text, german) == find_tokens(str(model))(text, german)
    assert find_tokens(str(model)).kind(0) == "unknown"
    named = str(built("nllb") / "tokenizer.json")
    whole = Towers(text=str(built("nllb")), speech=str(built("whisper"))).tokeniser()
    assert find_tokens(named)(text, german) == whole(text, german)
    assert find_tokens(str(built("nllb")))(text, german) == whole(text, german)


def test_what_a_tokeniser_is_called_follows_its_content(tmp_path, tiny):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        shutil.copy(tiny / "sentencepiece.bpe.model", tmp_path / name / "own.model")
    first, second = (fingerprint(str(tmp_path / name)) for name in ("a", "b"))
    assert first == second
    (tmp_path / "b" / "own.model").write_bytes(b"other")
    assert fingerprint(str(tmp_path / "b")) != first
    assert fingerprint(str(tmp_path / "a" / "own.model")) != fingerprint(
        str(tmp_path / "b" / "own.model")
    )


def test_tokenisers_that_cannot_be_read(tmp_path, tiny, bare):
    folder = bare(tiny)
    (tmp_path / "bare" / "sentencepiece.bpe.model").write_bytes(b"nothing")
    with pytest.raises(ModelError, match=r"the tokeniser of .*bare cannot be read"):
        Seamless(checkpoint=folder).tokeniser()
    (tmp_path / "bare" / "sentencepiece.bpe.model").unlink()
    with pytest.raises(ModelError, match=r"has no tokeniser, so text cannot be read"):
        Seamless(checkpoint=folder).tokeniser()
    for name in ("broken.model", "tokenizer.json"):
        (tmp_path / name).write_bytes(b"nothing")
        with pytest.raises(ModelError, match=f"{name} cannot be read as a"):
            find_tokens(str(tmp_path / name))
    with pytest.raises(ModelError, match="no such folder"):
        find_tokens(str(tmp_path / "absent"))
