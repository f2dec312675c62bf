"""A model in memory gives what its checkpoint gives, and stays as it is."""

import runpy
from pathlib import Path

import numpy as np
import pytest

from isogloss.errors import ModelError
from isogloss.models.seamless import Seamless
from isogloss.models.sonar import Sonar
from isogloss.models.towers import Towers
from isogloss.models.whisper import Whisper

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from isogloss.models._live import living  # noqa: E402
from isogloss.models._weights import quiet  # noqa: E402

make_whisper = runpy.run_path(str(Path(__file__).with_name("test_whisper.py")))["make_whisper"]


def activations(adapter, texts, samples, german):
    found = {}
    for modality, items in (("text", texts), ("speech", samples)):
        tower = adapter.tower(modality, german)
        tower.refresh()
        found[modality] = tower.encode([tower.features(item, german) for item in items])
    return found


def same(a, b, gap, limit=1e-5):
    assert a.keys() == b.keys()
    for modality in a:
        assert list(a[modality]) == list(b[modality])
        for tap in a[modality]:
            assert gap(a[modality][tap], b[modality][tap]) < limit, (modality, tap)


@pytest.fixture(scope="module")
def seamless(tiny):
    with quiet():
        return transformers.SeamlessM4Tv2Model.from_pretrained(tiny).eval()


class Wrapped(torch.nn.Module):
    def __init__(self, **parts):
        super().__init__()
        self.parts = torch.nn.ModuleDict(parts)


def test_seamless_in_memory_equals_its_checkpoint(tiny, seamless, makers, sounds, german, gap):
    source = Seamless(checkpoint=str(tiny))
    texts, samples = makers.texts["deu"], [sounds(0.5, 1), sounds(0.9, 2)]
    stored = activations(source.load(device="cpu"), texts, samples, german)
    same(activations(source.live(seamless), texts, samples, german), stored, gap)
    parts = Wrapped(a=seamless.text_encoder, b=seamless.speech_encoder)
    same(activations(source.live(parts), texts, samples, german), stored, gap)
    assert "forward" not in {k for m in seamless.modules() for k in vars(m)}


def test_changed_weights_are_read_and_nothing_keeps_inference_tensors(tiny, sounds, german):
    with quiet():
        model = transformers.SeamlessM4Tv2Model.from_pretrained(tiny).eval()
    tower = Seamless(checkpoint=str(tiny)).live(model).tower("text")
    batch = [tower.features("guten Tag", german)]
    made = []
    layer = model.text_encoder.layers[0]
    hook = layer.register_forward_hook(lambda _, args, out: made.append(out[0].is_inference()))
    before = tower.encode(batch)["6"]
    hook.remove()
    assert made == [False]
    with torch.no_grad():
        model.text_encoder.layers[2].ffn.fc1.weight.mul_(3)
    assert not np.allclose(before, tower.encode(batch)["6"])
    assert not any(b.is_inference() for b in model.buffers())
    ids = torch.from_numpy(batch[0].values["input_ids"])[None]
    model.text_encoder(input_ids=ids).last_hidden_state.sum().backward()
    assert model.text_encoder.layers[0].ffn.fc1.weight.grad.abs().sum() > 0


@pytest.mark.parametrize(("text", "speech"), [("bert", "wav2vec2"), ("t5", "w2v-bert")])
def test_towers_in_memory_equal_their_checkpoints(built, text, speech, makers, sounds, german, gap):
    source = Towers(text=str(built(text)), speech=str(built(speech)))
    names = {
        "bert": "BertForMaskedLM",
        "t5": "T5EncoderModel",
        "wav2vec2": "Wav2Vec2ForCTC",
        "w2v-bert": "Wav2Vec2BertForCTC",
    }
    with quiet():
        parts = {
            kind: getattr(transformers, names[kind]).from_pretrained(built(kind)).eval()
            for kind in (text, speech)
        }
    texts, samples = makers.texts["deu"], [sounds(0.5, 1), sounds(0.9, 2)]
    stored = activations(source.load(device="cpu"), texts, samples, german)
    same(activations(source.live(Wrapped(**parts)), texts, samples, german), stored, gap)


@pytest.mark.parametrize("unheard", ["silence", "nothing"])
def test_whisper_in_memory_equals_its_checkpoint(tmp_path, unheard, makers, sounds, german, gap):
    folder = make_whisper(tmp_path / "whisper", makers.texts["deu"])
    source = Whisper(checkpoint=str(folder), unheard=unheard)
    with quiet():
        model = transformers.WhisperForConditionalGeneration.from_pretrained(folder).eval()
    texts, samples = makers.texts["deu"], [sounds(0.5, 1), sounds(0.9, 2)]
    stored = activations(source.load(device="cpu"), texts, samples, german)
    adapter = source.live(model)
    same(activations(adapter, texts, samples, german), stored, gap)
    # What the decoder hears with every text is made by an encoder that goes on changing.
    with torch.no_grad():
        model.model.encoder.layer_norm.bias.add_(1.0)
    model.save_pretrained(folder)
    again = activations(source.load(device="cpu"), texts, samples, german)
    assert gap(again["speech"]["3"], stored["speech"]["3"]) > 0.01
    same(activations(adapter, texts, samples, german), again, gap)


def test_what_is_not_there_is_named(tiny, built, seamless):
    source = Seamless(checkpoint=str(tiny))
    with pytest.raises(ModelError, match="holds no text encoder.*SeamlessM4Tv2Encoder"):
        source.live(torch.nn.Linear(2, 2)).tower("text")
    two = Wrapped(a=seamless.text_encoder, b=type(seamless.text_encoder)(seamless.config))
    with pytest.raises(ModelError, match="several that may be the text encoder.*parts.a, parts.b"):
        source.live(two).tower("text")
    config = transformers.SeamlessM4Tv2Config.from_pretrained(tiny)
    config.encoder_layers = 4
    cut = type(seamless.text_encoder)(config)
    with pytest.raises(ModelError, match="layers has 4 entries, but the configuration asks for 6"):
        source.live(cut).tower("text")
    config.encoder_layers, config.encoder_ffn_dim = 6, 96
    with pytest.raises(ModelError, match=r"fc1.weight is \(96, 64\).*asks for \(128, 64\)"):
        source.live(type(seamless.text_encoder)(config)).tower("text")
    with pytest.raises(ModelError, match='family "sonar".*give functions'):
        Sonar().live(seamless)


def test_parts_that_others_wrap_are_found(seamless, tiny):
    class Adapted(torch.nn.Module):
        """As adapters of PEFT put themselves in the place of a linear map."""

        def __init__(self, base):
            super().__init__()
            self.base_layer, self.low = base, torch.nn.Linear(base.in_features, 2)

        def forward(self, x):
            return self.base_layer(x)

    with quiet():
        model = transformers.SeamlessM4Tv2Model.from_pretrained(tiny).eval()
    layer = model.text_encoder.layers[0].self_attn
    layer.q_proj = Adapted(layer.q_proj)
    found = Seamless(checkpoint=str(tiny)).live(model).tower("text")
    assert found.module is model.text_encoder
    with torch.device("meta"):
        expected = type(seamless.text_encoder)(seamless.config)
    missing = type(seamless.text_encoder)(seamless.config)
    del missing.layers[0].self_attn.q_proj.weight
    with pytest.raises(ModelError, match=r"it has no layers.0.self_attn.q_proj.weight"):
        living(missing, expected, what="text encoder", checkpoint="here", unused=None)
