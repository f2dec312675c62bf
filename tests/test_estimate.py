import json
from typing import ClassVar, Literal

import numpy as np
import pytest

from isogloss.estimate import estimate
from isogloss.events import Silent
from isogloss.extraction.extract import extract
from isogloss.models.base import (
    Adapter,
    Features,
    Layout,
    ModelInfo,
    ModelSource,
    Tap,
    TapPair,
    Tower,
)
from isogloss.models.speech_llm import SpeechLlm
from isogloss.models.towers import Towers
from isogloss.models.whisper import Whisper
from isogloss.planning import plan
from isogloss.runs import Run
from isogloss.settings import setting
from isogloss.study import Study

soundfile = pytest.importorskip("soundfile")

LAYER = Tap("3", 64, 0.5)
FIRST = Tap("in", 64, 0.0)


TAPS = (Tap("in", 64, 0.0), Tap("1", 64, 1.0))


class Means(Tower):
    taps = TAPS

    def __init__(self, modality):
        self.modality = modality

    def features(self, item, spoken):
        values = [ord(c) for c in item] if isinstance(item, str) else item
        return Features({"x": np.array(values, dtype=np.float32)}, len(values))

    def encode(self, batch):
        rows = np.array([np.resize(f.values["x"], 64) for f in batch])
        return {"in": rows, "1": rows + 1}


class Both(Adapter):
    def tower(self, modality, language=None):
        return Means(modality)


class Averages(ModelSource):
    """A whole model family, as a plug-in would bring one."""

    info: ClassVar[ModelInfo] = ModelInfo("means", "none", "none", "none")
    family: Literal["averages"] = setting("averages", role="identity", help="Kind.")

    def layout(self):
        names = ("in", "1")
        pairs = tuple(TapPair(t.name, t.name, t.name, t.depth) for t in TAPS)
        return Layout({"text": TAPS, "speech": TAPS}, {"text": names, "speech": names}, pairs)

    def fingerprint(self):
        return {}

    def load(self, *, device):
        return Both()


class Padded(Averages):
    """Hears a window of 30 s."""

    def time_steps(self, modality, size, tap):
        steps = super().time_steps(modality, size, tap)
        return 1500.0 if steps and modality == "speech" else steps


class Heavy(Averages):
    """So much work that nothing else counts."""

    def time_steps(self, modality, size, tap):
        return 1e9 * size


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """Two languages, eight sentences of 4 s, and of 60 characters."""
    folder = tmp_path_factory.mktemp("corpus")
    rng = np.random.default_rng(0)
    rows = []
    for language in ("eng", "deu"):
        for i in range(8):
            path = folder / f"{language}{i}.wav"
            soundfile.write(path, 0.1 * rng.normal(size=64_000), 16_000)
            text = f"{language} {i} ".ljust(60, "x")
            rows.append({"id": i, "lang": language, "text": text, "audio_filepath": path.name})
    (folder / "m.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder / "m.jsonl"


def found(corpus, folder, model=None, **values):
    source = {"source": "manifest", "path": corpus}
    study = Study(corpus=source, model=model or Averages(), output=folder / "out", **values)
    planned = plan(study)
    return estimate(planned, Run.of(planned).store())


def test_sizes_are_counted(corpus, tmp_path):
    made = found(corpus, tmp_path)
    assert (made.units, made.pending, made.sentences, made.further) == (4, 4, 32, 0)
    assert made.hours == pytest.approx(16 * 4 / 3600)
    assert made.seconds > 0
    assert "CPU" in made.basis


def test_work_is_divided_among_workers(corpus, tmp_path):
    one = found(corpus, tmp_path, Heavy())
    two = found(corpus, tmp_path, Heavy(), executor={"kind": "ray", "workers": 2})
    assert two.seconds == pytest.approx(one.seconds / 2, rel=0.01)
    assert (one.workers, two.workers) == (1, 2)
    assert "2 workers" in two.basis
    # Text costs fifteen times as much as speech here, and a unit cannot be divided.
    many = found(corpus, tmp_path, Heavy(), executor={"kind": "ray", "workers": 64})
    assert many.workers == 4
    longest = 60 / (60 + 4) / 2
    assert many.seconds == pytest.approx(one.seconds * longest, rel=0.02)
    # Processes of this machine share its cores.
    same = found(corpus, tmp_path, Heavy(), executor={"kind": "processes", "workers": 4})
    assert same.seconds == pytest.approx(one.seconds, rel=0.01)
    assert same.workers == 1


def test_padding_is_counted(corpus, tmp_path):
    plain, padded = Averages(), Padded()
    assert padded.time_steps("speech", 4, LAYER) == 1500
    assert plain.time_steps("speech", 4, LAYER) == 200
    assert found(corpus, tmp_path, padded).seconds > found(corpus, tmp_path, plain).seconds


def test_units_that_are_done_say_how_long_the_others_take(corpus, tmp_path):
    source = {"source": "manifest", "path": corpus}
    study = Study(corpus=source, model=Averages(), output=tmp_path / "out", device="cpu")
    planned = plan(study)
    run = Run.of(planned)
    store = run.store()
    store.claim(study.identity())
    extract(planned, store, Silent())
    assert estimate(planned, store).seconds == 0
    for unit in planned.units:
        took = {"text": 3.0, "speech": 50.0}[unit.modality]
        store.amend(unit, {"seconds": took})
    for unit in planned.units[:2]:
        for path in store.folder.glob(f"{unit.name}*"):
            path.unlink()
    left = estimate(planned, run.store())
    assert left.pending == 2
    expected = sum({"text": 3.0, "speech": 50.0}[u.modality] for u in planned.units[:2])
    assert left.seconds == pytest.approx(expected, rel=0.01)
    assert left.basis == "the units that are done"


def test_most_models_take_fifty_steps_a_second_and_none_at_the_input():
    assert ModelSource.time_steps(Averages(), "speech", 10, LAYER) == 500
    assert ModelSource.time_steps(Averages(), "text", 60, LAYER) == 20
    assert ModelSource.time_steps(Averages(), "text", 60, FIRST) == 0


@pytest.fixture
def whisper(tmp_path):
    folder = tmp_path / "whisper"
    folder.mkdir()
    config = {
        "model_type": "whisper", "d_model": 64, "encoder_layers": 2, "decoder_layers": 2,
        "max_source_positions": 1500,
    }  # fmt: skip
    (folder / "config.json").write_text(json.dumps(config))
    return str(folder)


def test_whisper_hears_a_whole_window(whisper):
    model = Whisper(checkpoint=whisper)
    assert {model.time_steps("speech", s, LAYER) for s in (1, 10, 30)} == {1500}
    assert model.time_steps("speech", 10, FIRST) == 0
    silent = model.time_steps("text", 60, LAYER)
    assert silent == pytest.approx(20 + 1500 / 8)
    nothing = Whisper(checkpoint=whisper, unheard="nothing")
    assert nothing.time_steps("text", 60, LAYER) == 20
    joint = Whisper(checkpoint=whisper, input="joint")
    assert joint.time_steps("text", 60, LAYER) == silent + 1500


def test_a_tower_hears_what_its_kind_hears(whisper, tmp_path):
    wave = tmp_path / "wave"
    wave.mkdir()
    config = {"model_type": "wav2vec2", "hidden_size": 64, "num_hidden_layers": 2}
    (wave / "config.json").write_text(json.dumps(config))
    windowed = Towers(text=str(wave), speech=whisper)
    assert windowed.time_steps("speech", 2, LAYER) == 1500
    assert windowed.time_steps("speech", 2, FIRST) == 0
    assert windowed.time_steps("text", 60, LAYER) == 20
    heard = Towers(text=str(wave), speech=str(wave))
    assert heard.time_steps("speech", 2, LAYER) == 100
    # The convolutions before the first layer: ten taps at 3200 Hz, and so on, 512 wide.
    rates = [3200 * 10 * 512, *(r * 3 * 512**2 for r in (1600, 800, 400, 200))]
    rates += [r * 2 * 512**2 for r in (100, 50)]
    work = heard.time_steps("speech", 2, FIRST) * 16 * 64**2
    assert work == pytest.approx(2 * sum(rates), rel=0.01)


def test_an_audio_llm_hears_a_window_and_reads_few_tokens(tmp_path):
    config = {"model_type": "qwen2_audio", "audio_config": {}, "text_config": {}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    model = SpeechLlm(checkpoint=str(tmp_path))
    assert model.time_steps("speech", 10, Tap("a3", 64, 0.0)) == 1500
    assert model.time_steps("speech", 10, Tap("a0", 64, 0.0)) == 0
    assert model.time_steps("speech", 10, Tap("7", 64, 0.5)) == 250
    assert model.time_steps("text", 60, Tap("7", 64, 0.5)) == 20
