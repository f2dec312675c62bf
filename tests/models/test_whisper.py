"""Whisper: taps against transformers' own forward pass, what the decoder hears, languages."""

import json
import shutil

import numpy as np
import pytest

from isogloss.errors import ItemError, ModelError
from isogloss.languages import language
from isogloss.models._tokens import Tokeniser
from isogloss.models._whisper_towers import WINDOWS
from isogloss.models.base import Heard
from isogloss.models.whisper import Whisper, _check_release

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

LIMIT = 1e-5
SPOKEN = ["en", "de", "fr", "zh"]
TEXT_TAPS, SPEECH_TAPS = ["in", "1", "2"], ["in", "1", "2", "3"]
STEPS = 150


def make_tokeniser(folder, texts, spoken):
    """Byte-level BPE with Whisper's special tokens behind the pieces."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

    tokeniser = Tokenizer(models.BPE())
    tokeniser.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokeniser.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=300,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokeniser.train_from_iterator(texts, trainer)
    names = ["endoftext", "startoftranscript", *spoken, "translate", "transcribe", "notimestamps"]
    tokeniser.add_special_tokens([AddedToken(f"<|{n}|>", special=True) for n in names])
    folder.mkdir(parents=True, exist_ok=True)
    tokeniser.save(str(folder / "tokenizer.json"))
    return tokeniser


def make_whisper(folder, texts, *, spoken=SPOKEN, **config):
    tokeniser = make_tokeniser(folder, texts, spoken)
    extractor = transformers.WhisperFeatureExtractor(feature_size=20, chunk_length=3)
    extractor.save_pretrained(folder)
    settings = {
        "vocab_size": tokeniser.get_vocab_size(),
        "num_mel_bins": 20,
        "d_model": 32,
        "encoder_layers": 3,
        "decoder_layers": 2,
        "encoder_attention_heads": 4,
        "decoder_attention_heads": 4,
        "encoder_ffn_dim": 64,
        "decoder_ffn_dim": 64,
        "max_source_positions": STEPS,
        "max_target_positions": 60,
    }
    end = tokeniser.token_to_id("<|endoftext|>")
    settings |= dict.fromkeys(("pad_token_id", "bos_token_id", "eos_token_id"), end)
    settings |= {"decoder_start_token_id": end + 1, **config}
    torch.manual_seed(0)
    model = transformers.WhisperForConditionalGeneration(transformers.WhisperConfig(**settings))
    for name, value in model.named_parameters():
        if "embed_positions" not in name:  # large enough that every part matters
            value.data += 0.2 * torch.randn_like(value)
    model.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def texts():
    return [
        "Alle Menschen sind frei und gleich an Würde und Rechten geboren.",
        "Sie sind mit Vernunft begabt.",
        "Jeder hat das Recht auf Leben und Freiheit.",
    ]


@pytest.fixture(scope="session")
def folder(tmp_path_factory, texts):
    return make_whisper(tmp_path_factory.mktemp("whisper") / "whisper-tiny", texts)


@pytest.fixture(scope="session")
def adapters(folder):
    made = {}

    def get(**settings):
        key = json.dumps(settings, sort_keys=True)
        if key not in made:
            made[key] = Whisper(checkpoint=str(folder), **settings).load(device="cpu")
        return made[key]

    return get


@pytest.fixture(scope="session")
def whole(folder):
    return transformers.WhisperForConditionalGeneration.from_pretrained(folder).eval()


@pytest.fixture(scope="session")
def mel(folder):
    extractor = transformers.WhisperFeatureExtractor.from_pretrained(folder)

    def make(samples):
        made = extractor(samples, sampling_rate=16_000, return_tensors="pt")
        return made["input_features"]

    return make


def expected_ids(folder, text, code="de", space=" "):
    from tokenizers import Tokenizer

    tokeniser = Tokenizer.from_file(str(folder / "tokenizer.json"))
    names = ["startoftranscript", code, "transcribe", "notimestamps"]
    prompt = [tokeniser.token_to_id(f"<|{name}|>") for name in names]
    return [*prompt, *tokeniser.encode(space + text).ids]


@pytest.mark.parametrize("seconds", [0.5, 1.31, 3.0])
def test_speech_equals_plain_transformers(seconds, adapters, whole, mel, sounds, gap, german):
    samples = sounds(seconds)
    with torch.no_grad():
        found = whole.model.encoder(mel(samples), output_hidden_states=True).hidden_states
    reached = -(-len(samples) // 320)
    for pool, steps in (("valid", reached), ("all", STEPS)):
        tower = adapters(pool=pool).tower("speech")
        made = tower.encode([tower.features(samples, german)])
        assert list(made) == SPEECH_TAPS
        for name, wanted in zip(SPEECH_TAPS, found, strict=True):
            assert gap(made[name], wanted[0, :steps].mean(0).numpy()) < LIMIT


@pytest.mark.parametrize("special", [False, True])
@pytest.mark.parametrize("given", ["joint", "mismatched", "separate"])
def test_text_equals_plain_transformers(
    given, special, folder, adapters, whole, mel, texts, sounds, gap, german
):
    """The whole model's own pass; with separate input it hears nothing but zeros."""
    tower = adapters(input=given, pool_special_tokens=special).tower("text")
    for number, text in enumerate(texts):
        samples = sounds(1.0 + number / 3, seed=number)
        if given == "separate":
            item, heard = text, np.zeros(48_000, np.float32)
        else:
            item, heard = Heard(text, samples), samples
        ids = expected_ids(folder, text)
        with torch.no_grad():
            found = whole(
                input_features=mel(heard),
                decoder_input_ids=torch.tensor([ids]),
                output_hidden_states=True,
            ).decoder_hidden_states
        features = tower.features(item, german)
        assert features.values["input_ids"].tolist() == ids
        assert features.length == len(ids)
        made = tower.encode([features])
        assert list(made) == TEXT_TAPS
        for name, wanted in zip(TEXT_TAPS, found, strict=True):
            assert gap(made[name], wanted[0, 0 if special else 4 :].mean(0).numpy()) < LIMIT


def test_text_that_hears_nothing_equals_a_decoder_without_cross_attention(
    folder, adapters, whole, texts, gap, german
):
    tower = adapters(unheard="nothing").tower("text")
    assert tower.module.encoder is None
    silent = adapters().tower("text")
    for text in texts:
        with torch.no_grad():
            found = whole.model.decoder(
                torch.tensor([expected_ids(folder, text)]), output_hidden_states=True
            ).hidden_states
        made = tower.encode([tower.features(text, german)])
        for name, wanted in zip(TEXT_TAPS, found, strict=True):
            assert gap(made[name], wanted[0, 4:].mean(0).numpy()) < LIMIT
        other = silent.encode([silent.features(text, german)])
        assert np.array_equal(other["in"], made["in"])
        assert all(gap(other[name], made[name]) > 0.01 for name in ("1", "2"))


def test_last_layer_before_the_norm(folder, adapters, whole, mel, texts, sounds, gap, german):
    samples, before = sounds(1.0), {}
    for name, part in (("text", whole.model.decoder), ("speech", whole.model.encoder)):
        part.layer_norm.register_forward_pre_hook(
            lambda _, args, name=name: before.update({name: args[0]})
        )
    with torch.no_grad():
        whole(
            input_features=mel(samples),
            decoder_input_ids=torch.tensor([expected_ids(folder, texts[0])]),
        )
    raw, normed = adapters(last_layer="raw", input="joint"), adapters(input="joint")
    speech, text = raw.tower("speech"), raw.tower("text")
    item, both = speech.features(samples, german), text.features(Heard(texts[0], samples), german)
    found = speech.encode([item])
    assert gap(found["3"], before["speech"][0, :50].mean(0).numpy()) < LIMIT
    after = normed.tower("speech").encode([item])
    assert gap(found["3"], after["3"]) > 0.01
    assert np.array_equal(found["2"], after["2"])
    found = text.encode([both])
    assert gap(found["2"], before["text"][0, 4:].mean(0).numpy()) < LIMIT
    assert gap(found["2"], normed.tower("text").encode([both])["2"]) > 0.01


def test_recording_reaches_the_text_in_joint_input_only(adapters, texts, sounds, gap, german):
    """The leak, and that separate input has none: it does not even take a recording."""
    joint = adapters(input="joint").tower("text")
    made = [
        joint.encode([joint.features(Heard(texts[0], sounds(2.0, seed)), german)])
        for seed in (1, 2)
    ]
    assert np.array_equal(made[0]["in"], made[1]["in"])
    assert all(gap(made[0][name], made[1][name]) > 1e-3 for name in ("1", "2"))
    for unheard in ("silence", "nothing"):
        separate = adapters(unheard=unheard).tower("text")
        with pytest.raises(TypeError):
            separate.features(Heard(texts[0], sounds(2.0)), german)
    with pytest.raises(TypeError):
        joint.features(texts[0], german)


@pytest.mark.parametrize(
    ("given", "rule"), [("separate", "none"), ("joint", "same"), ("mismatched", "other")]
)
def test_what_goes_with_a_text_is_declared_and_noted(given, rule, folder):
    source = Whisper(checkpoint=str(folder), input=given)
    assert source.companion() == rule
    assert source.layout().notes[0].startswith(f"{given} input")
    assert source.identity()["input"] == given


@pytest.mark.parametrize("special", [False, True])
@pytest.mark.parametrize("given", ["joint", "silence", "nothing"])
def test_text_does_not_depend_on_its_batch(given, special, adapters, texts, sounds, gap, german):
    settings = {"input": "joint"} if given == "joint" else {"unheard": given}
    tower = adapters(**settings, pool_special_tokens=special).tower("text")
    batch = []
    for i in range(WINDOWS + 3):  # more than run at once
        text = " ".join(texts[i % 3].split()[: 3 + i % 5])
        item = Heard(text, sounds(0.4 + i / 5, seed=i)) if given == "joint" else text
        batch.append(tower.features(item, german))
    together = tower.encode(batch)
    assert all(len(rows) == len(batch) for rows in together.values())
    for row, item in enumerate(batch):
        alone = tower.encode([item])
        assert all(gap(together[name][row], alone[name]) < LIMIT for name in alone)


@pytest.mark.parametrize("pool", ["valid", "all"])
def test_speech_does_not_depend_on_its_batch(pool, adapters, sounds, gap, german):
    tower = adapters(pool=pool).tower("speech")
    batch = [tower.features(sounds(s, i), german) for i, s in enumerate((0.31, 2.5, 1.2, 3.0))]
    together = tower.encode(batch)
    for row, item in enumerate(batch):
        alone = tower.encode([item])
        assert all(gap(together[name][row], alone[name]) < LIMIT for name in alone)


def test_text_knows_only_what_came_before(adapters, texts, gap, german):
    """Tokens before the text are the same in every sentence, so they are left out of its mean."""
    with_prompt = adapters(pool_special_tokens=True).tower("text")
    items = [with_prompt.features(text, german) for text in texts[:2]]
    for item in items:
        item.values["pooled"][4:] = False
    made = with_prompt.encode(items)
    assert all(gap(rows[0], rows[1]) < LIMIT for rows in made.values())


def test_leading_space_is_a_setting(folder, adapters, german):
    plain = adapters(leading_space=False).tower("text").features(" Recht ", german)
    spaced = adapters().tower("text").features(" Recht ", german)
    assert plain.values["input_ids"].tolist() == expected_ids(folder, "Recht", space="")
    assert spaced.values["input_ids"].tolist() == expected_ids(folder, "Recht")
    assert plain.length != spaced.length or not np.array_equal(
        plain.values["input_ids"], spaced.values["input_ids"]
    )


def test_languages(folder, adapters, german):
    spoken = Whisper(checkpoint=str(folder)).speaks()
    assert spoken == {m: frozenset({"eng", "deu", "fra", "cmn"}) for m in ("text", "speech")}
    tower = adapters().tower("text")
    firsts = {c: tower.features("1948", language(c)).values["input_ids"][1] for c in spoken["text"]}
    assert len(set(firsts.values())) == 4
    with pytest.raises(ModelError, match=r"whisper-tiny does not speak Finnish \(fin\)"):
        tower.features("1948", language("fin"))
    with pytest.raises(ModelError, match=r"does not speak Cantonese \(yue\)"):
        tower.features("1948", language("yue"))


def test_languages_of_files_that_only_list_tokens(folder, tmp_path):
    (tmp_path / "config.json").write_text((folder / "config.json").read_text())
    with pytest.raises(ModelError, match="does not say which languages it speaks"):
        Whisper(checkpoint=str(tmp_path)).speaks()
    listed = {"<|startoftranscript|>": 7, "<|de|>": 8, "<|yue|>": 9, "<|tlh|>": 10}
    (tmp_path / "added_tokens.json").write_text(json.dumps(listed))
    assert Whisper(checkpoint=str(tmp_path)).speaks()["speech"] == {"deu", "yue"}
    (tmp_path / "added_tokens.json").unlink()
    decoder = {str(i): {"content": token} for token, i in listed.items()}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"added_tokens_decoder": decoder}))
    assert Whisper(checkpoint=str(tmp_path)).speaks()["text"] == {"deu", "yue"}


def test_english_only(tmp_path, texts, german, sounds):
    """The released .en models: their tokeniser lists every language, but they speak one."""
    small = {"d_model": 8, "encoder_ffn_dim": 8, "decoder_ffn_dim": 8}
    made = make_whisper(tmp_path / "tiny.en", texts, vocab_size=51_864, **small)
    source = Whisper(checkpoint=str(made), input="joint")
    assert source.speaks() == {"text": {"eng"}, "speech": {"eng"}}
    tower = source.load(device="cpu").tower("text")
    ids = tower.features(Heard("Hello", sounds(1.0)), language("eng")).values["input_ids"]
    wanted = expected_ids(made, "Hello")
    assert ids.tolist() == [wanted[0], *wanted[3:]]
    with pytest.raises(ModelError, match=r"does not speak German \(deu\).* English-only"):
        tower.features(Heard("Hallo", sounds(1.0)), german)


def test_text_that_cannot_be_used(adapters, sounds, german):
    tower = adapters().tower("text")
    with pytest.raises(ItemError, match="empty"):
        tower.features("  ", german)
    with pytest.raises(ItemError, match="tokens, and the model reads 60"):
        tower.features("Recht " * 90, german)
    longest = next(
        f for n in range(200, 1, -1) if (f := fitting(tower, "x" * n, german)) is not None
    )
    assert longest.length == 60
    assert np.isfinite(tower.encode([longest])["2"]).all()
    joint = adapters(input="joint").tower("text")
    with pytest.raises(ItemError, match=r"no recording to go with it: .*3\.5 s.* hears 3 s"):
        joint.features(Heard("Recht", sounds(3.5)), german)
    bad = sounds(1.0)
    bad[3] = np.inf
    with pytest.raises(ItemError, match="beside the text holds samples that are not finite"):
        joint.features(Heard("Recht", bad), german)


def fitting(tower, text, spoken):
    try:
        return tower.features(text, spoken)
    except ItemError:
        return None


def test_encoder_is_loaded_once_and_only_where_needed(folder, adapters, texts, german):
    joint = Whisper(checkpoint=str(folder), input="joint").load(device="cpu")
    assert joint.tower("text").module.encoder is joint.tower("speech").module
    joint.close()
    deaf = Whisper(checkpoint=str(folder), unheard="nothing").load(device="cpu").tower("text")
    assert {name.split(".")[0] for name, _ in deaf.module.named_parameters()} == {"decoder"}
    silent = adapters().tower("text")
    assert {name.split(".")[0] for name, _ in silent.module.named_parameters()} == {"decoder"}
    assert silent.module.heard.shape == (1, STEPS, 32)


@pytest.mark.parametrize(
    ("key", "modality"),
    [
        ("model.decoder.layers.1.encoder_attn.v_proj.weight", "text"),
        ("model.decoder.embed_positions.weight", "text"),
        ("model.decoder.layer_norm.bias", "text"),
        ("model.encoder.conv2.weight", "speech"),
    ],
)
def test_missing_weight_is_named(key, modality, folder, tmp_path):
    from safetensors.torch import load_file, save_file

    copy = shutil.copytree(folder, tmp_path / "damaged")
    tensors = load_file(copy / "model.safetensors")
    tensors.pop(key)
    save_file(tensors, copy / "model.safetensors", {"format": "pt"})
    adapter = Whisper(checkpoint=str(copy), unheard="nothing").load(device="cpu")
    with pytest.raises(ModelError, match=f"incomplete, 1 missing: {key.split('.', 2)[2]}"):
        adapter.tower(modality)
    adapter.tower("speech" if modality == "text" else "text")


def test_embeddings_stored_under_the_head(folder, tmp_path, texts, adapters, german):
    from safetensors.torch import load_file, save_file

    copy = shutil.copytree(folder, tmp_path / "tied")
    tensors = load_file(copy / "model.safetensors")
    tensors["proj_out.weight"] = tensors.pop("model.decoder.embed_tokens.weight")
    save_file(tensors, copy / "model.safetensors", {"format": "pt"})
    made = []
    for adapter in (Whisper(checkpoint=str(copy)).load(device="cpu"), adapters()):
        tower = adapter.tower("text")
        made.append(tower.encode([tower.features(texts[0], german)]))
    assert all(np.array_equal(made[0][name], made[1][name]) for name in TEXT_TAPS)


def test_layout(folder, tmp_path):
    layout = Whisper(checkpoint=str(folder)).layout()
    assert [tap.name for tap in layout.taps["text"]] == TEXT_TAPS
    assert [tap.name for tap in layout.taps["speech"]] == SPEECH_TAPS
    assert [(p.label, p.text, p.speech) for p in layout.pairs] == [
        ("in", "in", "in"),
        ("1", "1", "1"),
        ("2|3", "2", "3"),
    ]
    assert not layout.untrained
    turbo = {"model_type": "whisper", "d_model": 1280, "encoder_layers": 32, "decoder_layers": 4}
    (tmp_path / "config.json").write_text(json.dumps(turbo))
    pairs = Whisper(checkpoint=str(tmp_path)).layout().pairs
    assert [p.label for p in pairs] == ["in", "1|8", "2|16", "3|24", "4|32"]


def test_other_models_are_refused(tiny):
    with pytest.raises(ModelError, match=r'is a "seamless_m4t_v2" model, not Whisper'):
        Whisper(checkpoint=str(tiny)).layout()


def test_vocabulary_of_another_model(folder, tmp_path, texts):
    copy = shutil.copytree(folder, tmp_path / "other")
    config = json.loads((copy / "config.json").read_text())
    tokens = config["vocab_size"]
    make_tokeniser(copy, texts, [*SPOKEN, "fi", "sw"])
    with pytest.raises(ModelError, match=f"has {tokens + 2} tokens, but the model {tokens}"):
        Whisper(checkpoint=str(copy)).load(device="cpu").tower("text")


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_lower_precision(dtype, adapters, texts, sounds, gap, german):
    low, full = (adapters(dtype=d, input="joint") for d in (dtype, "float32"))
    for modality, item in (("speech", sounds(1.2)), ("text", Heard(texts[0], sounds(1.2)))):
        towers = [a.tower(modality) for a in (low, full)]
        made = [t.encode([t.features(item, german)]) for t in towers]
        for name in made[0]:
            assert made[0][name].dtype == np.float32
            assert gap(made[0][name], made[1][name]) < (0.05 if dtype == "bfloat16" else 0.01)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory, texts):
    soundfile = pytest.importorskip("soundfile")
    root, rng, rows = tmp_path_factory.mktemp("corpus"), np.random.default_rng(0), []
    for spoken in ("eng", "deu"):
        for i in range(5):
            path = root / f"{spoken}{i}.wav"
            samples = 0.1 * rng.normal(size=int((0.4 + 0.3 * i) * 16_000))
            soundfile.write(path, samples, 16_000, subtype="FLOAT")
            text = f"{i} {spoken} {texts[i % 3]}"
            rows.append({"id": str(i), "lang": spoken, "text": text, "audio_filepath": path.name})
    (root / "m.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return root, rows


@pytest.mark.parametrize("given", ["separate", "joint", "mismatched"])
def test_a_study(given, corpus, folder, whole, mel, tmp_path, gap):
    """From a corpus to the store; mismatched texts hear another sentence, each a different one."""
    import soundfile

    import isogloss
    from isogloss.events import Silent
    from isogloss.extraction.extract import extract
    from isogloss.planning import plan
    from isogloss.storage.store import Store

    root, rows = corpus
    study = isogloss.Study(
        corpus={"source": "manifest", "path": root / "m.jsonl"},
        model={"family": "whisper", "checkpoint": str(folder), "input": given},
        analyses=["cross_modal"],
        device="cpu",
        output=tmp_path,
    )
    planned, store = plan(study), Store(tmp_path)
    assert extract(planned, store, Silent()) == []
    unit = next(u for u in planned.units if (u.language, u.modality) == ("deu", "text"))
    found = store.view(unit, "2")
    german = {row["id"]: row for row in rows if row["lang"] == "deu"}
    heard = {i: soundfile.read(root / german[i]["audio_filepath"], dtype="f4")[0] for i in german}
    heard["silence"] = np.zeros(16_000, np.float32)
    partners = []
    for sentence, vector in zip(store.record(unit)["sentences"], found, strict=True):
        ids = torch.tensor([expected_ids(folder, german[sentence]["text"])])
        apart = {}
        for name, samples in heard.items():
            with torch.no_grad():
                states = whole(
                    input_features=mel(samples), decoder_input_ids=ids, output_hidden_states=True
                ).decoder_hidden_states[2]
            apart[name] = gap(vector, states[0, 4:].mean(0).numpy())
        nearest = min(apart, key=apart.get)
        assert apart[nearest] < LIMIT
        partners.append((sentence, nearest))
    if given == "separate":
        assert {n for _, n in partners} == {"silence"}
    elif given == "joint":
        assert all(s == n for s, n in partners)
    else:
        assert all(s != n for s, n in partners)
        assert sorted(n for _, n in partners) == sorted(german)


class Listed(Tokeniser):
    """As many tokens as a released one, with one of them at a given place."""

    def __init__(self, size, place):
        self.size, self.place = size, place

    def pieces(self, text):
        raise NotImplementedError

    around = pieces

    def id(self, token):
        return self.place if token == "<|notimestamps|>" else None


@pytest.mark.parametrize(("vocabulary", "place"), [(51_865, 50_363), (51_866, 50_364)])
def test_a_tokeniser_of_another_release_is_refused(vocabulary, place):
    _check_release(Listed(vocabulary, place), vocabulary, "whisper")
    _check_release(Listed(vocabulary, None), vocabulary, "whisper")
    with pytest.raises(
        ModelError, match=f"at {place - 1}, but a model with {vocabulary} tokens at"
    ):
        _check_release(Listed(vocabulary - 1, place - 1), vocabulary, "whisper")
