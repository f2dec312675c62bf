"""The whole path on the tiny checkpoint: corpus to report, resumed, killed, and with failures."""

import json
import os
import signal
import subprocess
import sys
import time

import polars as pl
import pytest

import isogloss
from builders import small_study
from isogloss.errors import StoreError
from isogloss.planning import plan
from isogloss.runs import Run

ARGUMENTS = {"languages": "eng,deu,tur", "sentences": 8}
SCORES = ("cross_modal", "cross_lingual", "gaps")


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    study = small_study(tmp_path_factory.mktemp("whole") / "out", **ARGUMENTS)
    return study, isogloss.run(study)


def activations(folder):
    records = sorted((folder / "activations").glob("*.json"))
    return {p.name: json.loads(p.read_text())["sha256"] for p in records}


def test_a_run_leaves_everything(done):
    study, outcome = done
    assert outcome.made == 6
    assert not outcome.failed
    assert set(outcome.results) == set(SCORES)
    names = {p.name for p in study.output.iterdir()}
    assert names == {
        "study.json", "run.json", "sentences.parquet", "digests.json", "activations", "results",
        "figures", "report.html", "leases",
    }  # fmt: skip
    texts = Run.read(study.output).texts()
    units = Run.read(study.output).units
    assert len(texts) == sum(len(u.sentences) for u in units if u.modality == "text")
    assert all(text.strip() for text in texts.values())
    for name in SCORES:
        assert (study.output / "results" / f"{name}.csv").stat().st_size
        assert (study.output / "results" / "means" / f"{name}.csv").stat().st_size
        for suffix in (".pdf", ".png", "-dark.png"):
            assert (study.output / "figures" / f"{name}{suffix}").stat().st_size
    assert isogloss.load_findings(study.output).height
    assert not list(isogloss.verify(study.output))


def test_every_tap_is_compared_with_its_n_k_and_chance(done):
    _, outcome = done
    frame = outcome.results["cross_modal"]
    assert set(frame["label"]) == {"in", "1", "2", "3", "4", "5", "6", "len"}
    assert (frame["n"] == 8).all()
    assert (frame["k_a"] > 0).all()
    assert frame["chance"].is_between(0, 1).all()
    assert frame["null_mean"].is_between(0, 1).all()
    assert frame["baseline"].is_between(0, 1).all()
    speech = outcome.results["cross_lingual"].filter(group="speech")
    assert set(speech["label"]) >= {"in", "6", "len"}
    assert speech.filter(control="").height == 3 * 8
    assert speech.filter(control="characters, tokens, seconds").height == 3 * 8
    assert frame.filter(pl.col("control") != "")["covariates"].unique().to_list() == [3]


def test_the_report_says_what_the_model_and_the_speech_are(done):
    _, outcome = done
    text = outcome.report.read_text(encoding="utf-8")
    assert "random" in text
    assert "synthesiser" in text
    assert "checkpoint: tiny" in text


def test_a_second_run_makes_nothing_and_changes_nothing(done):
    study, outcome = done
    before = activations(study.output)
    parts = {p: p.stat().st_mtime_ns for p in study.output.rglob("*.part")}
    again = isogloss.run(study)
    assert again.made == 0
    assert activations(study.output) == before
    for path, when in parts.items():
        if path.parent.name == "parts":
            assert path.stat().st_mtime_ns == when
    for name in SCORES:
        assert again.results[name].equals(outcome.results[name])


def test_another_language_makes_only_its_own_units(done):
    study, _ = done
    wider = small_study(study.output, languages="eng,deu,tur,fin", sentences=8)
    assert {u.language for u in plan(wider).pending(isogloss.Run.of(plan(wider)).store())} == {
        "fin"
    }


def test_another_study_in_the_folder_is_refused(done):
    study, _ = done
    values = {**study.model_dump(), "seed": 1}
    other = isogloss.Study(**{**values, "corpus": study.corpus, "model": study.model})
    before = activations(study.output)
    with pytest.raises(StoreError, match=r"holds another study. It differs in seed \(0 there, 1"):
        isogloss.run(other)
    assert activations(study.output) == before


def test_a_damaged_unit_is_made_again_the_same(done, tmp_path):
    import shutil

    study, outcome = done
    folder = tmp_path / "copy"
    shutil.copytree(study.output, folder)
    victim = sorted((folder / "activations").glob("deu.speech*.safetensors"))[0]
    os.truncate(victim, 100)
    states = {(s.unit.language, s.unit.modality): s.state for s in isogloss.status(folder)}
    assert states["deu", "speech"] == "pending"
    again = isogloss.run(small_study(folder, **ARGUMENTS))
    assert again.made == 1
    assert activations(folder) == activations(study.output)
    for name in SCORES:
        assert again.results[name].equals(outcome.results[name])


def test_other_work_in_the_folder_leaves_no_scores_of_the_old(done, tmp_path):
    import shutil

    study, _ = done
    folder = tmp_path / "copy"
    shutil.copytree(study.output, folder)
    narrow = small_study(folder, **ARGUMENTS)
    corpus = {**narrow.corpus.model_dump(), "modalities": ["text"]}
    values = {**narrow.model_dump(), "corpus": corpus, "model": narrow.model}
    outcome = isogloss.run(isogloss.Study(**values))
    assert outcome.made == 0
    assert set(outcome.results) == {"cross_lingual"}
    assert {p.stem for p in (folder / "results").glob("*.csv")} == {"cross_lingual", "findings"}
    figures = (folder / "figures").glob("*.p*")
    drawn = {p.name.partition(".")[0].removesuffix("-dark") for p in figures}
    assert drawn <= {"cross_lingual", "cross_lingual_calibrated", "findings", "findings_other"}
    again = isogloss.run(narrow)
    assert again.made == 0
    for name in SCORES:
        assert again.results[name].equals(done[1].results[name])


MOMENTS = {
    "run.json": 1,
    "activations/*.json": 1,
    "activations/*.safetensors": 4,
    "results/parts/*.part": 5,
    "figures/*.pdf": 1,
}


@pytest.mark.parametrize("pattern", MOMENTS)
def test_killed_at_any_moment_it_goes_on_to_the_same_results(done, tmp_path, pattern):
    study, outcome = done
    folder = tmp_path / "out"
    command = [
        sys.executable, "-m", "isogloss", "run", "--corpus.source", "udhr",
        "--corpus.languages", ARGUMENTS["languages"],
        "--corpus.sentences", str(ARGUMENTS["sentences"]),
        "--model.family", "seamless", "--model.checkpoint", "tiny",
        "--title", "Isogloss demo", "--output", str(folder),
    ]  # fmt: skip
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    until = time.monotonic() + 120
    while len(list(folder.glob(pattern))) < MOMENTS[pattern] and time.monotonic() < until:
        time.sleep(0.01)
        assert process.poll() is None, "it ended before the moment came"
    process.send_signal(signal.SIGKILL)
    process.wait()
    there = activations(folder) if folder.exists() else {}
    assert there.items() <= activations(study.output).items()
    again = isogloss.run(small_study(folder, **ARGUMENTS))
    assert again.made == 6 - len(there)
    assert activations(folder) == activations(study.output)
    for name in SCORES:
        assert again.results[name].equals(outcome.results[name])


def test_one_failed_unit_does_not_stop_the_rest(done, tmp_path, monkeypatch):
    from isogloss.corpora.udhr import Udhr

    load = Udhr.load

    def with_trouble(self):
        corpus = load(self)
        for utterance in corpus.utterances:
            if utterance.language == "deu" and utterance.clip is not None:
                object.__setattr__(utterance, "clip", Broken(utterance.clip))
        return corpus

    class Broken:
        def __init__(self, clip):
            self.identity, self.seconds, self.name = clip.identity, clip.seconds, clip.name

        def read(self):
            raise RuntimeError("the disk is on fire")

    monkeypatch.setattr(Udhr, "load", with_trouble)
    study = small_study(tmp_path / "out", **ARGUMENTS)
    outcome = isogloss.run(study)
    assert [(u.language, u.modality) for u, _ in outcome.failed] == [("deu", "speech")]
    states = {(s.unit.language, s.unit.modality): s for s in isogloss.status(study.output)}
    assert states["deu", "speech"].state == "failed"
    assert "the disk is on fire" in states["deu", "speech"].detail
    assert sum(s.state == "done" for s in states.values()) == 5
    assert set(outcome.results["cross_modal"]["language_a"]) == {"eng", "tur"}
    assert "deu speech" in outcome.report.read_text(encoding="utf-8")
    monkeypatch.undo()
    again = isogloss.run(study)
    assert (again.made, again.failed) == (1, ())
    assert activations(study.output) == activations(done[0].output)
    assert all(s.state == "done" for s in isogloss.status(study.output))


def test_a_corpus_with_foreign_codes_is_refused_before_anything_is_run(tmp_path, monkeypatch):
    from dataclasses import replace

    from isogloss.corpora.udhr import Udhr
    from isogloss.errors import CorpusError

    load = Udhr.load

    def foreign(self):
        corpus = load(self)
        changed = tuple(replace(u, language="de_de") for u in corpus.utterances)
        return replace(corpus, utterances=changed)

    monkeypatch.setattr(Udhr, "load", foreign)
    with pytest.raises(CorpusError, match="not known by that code: de_de"):
        isogloss.run(small_study(tmp_path / "out", **ARGUMENTS))
    assert not (tmp_path / "out").exists()


def test_results_can_be_loaded_from_the_folder_alone(done):
    study, outcome = done
    for name, frame in isogloss.load_results(study.output).items():
        assert isinstance(frame, pl.DataFrame)
        assert frame.equals(outcome.results[name])
