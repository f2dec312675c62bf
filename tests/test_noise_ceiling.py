import numpy as np
import polars as pl

from builders import PAIRS, TAPS, make_run
from isogloss import specs
from isogloss.analyses import ANALYSES
from isogloss.analyses.base import Contents
from isogloss.analyses.noise_ceiling import _findings
from isogloss.api import analyse, load_results
from isogloss.results import MEANS
from isogloss.similarity import svcca
from plugins import DISTANCE, measures


def listed(speakers):
    ids = {("deu", "speech"): tuple(speakers)}
    found = Contents(ids, TAPS, PAIRS, {("deu", "speech"): speakers})
    return list(specs.parse(ANALYSES, "noise_ceiling").comparisons(found))


def test_another_speaker_is_chosen_and_sentences_without_one_left_out():
    speakers = {
        "1": ("a", "b"), "2": ("a", "a"), "3": ("b",), "4": ("a", "a", "c"), "5": ("c", "a"),
    }  # fmt: skip
    got = listed(speakers)
    assert len(got) == len(TAPS["speech"])
    for comparison in got:
        assert comparison.a == comparison.b
        assert comparison.sentences == ("1", "4", "5")
        assert (comparison.takes_a, comparison.takes_b) == (None, (1, 2, 1))
        assert comparison.group == "other speaker"


def test_unknown_speakers_are_only_other_recordings():
    got = listed({"1": (None, None), "2": ("a", None), "3": (None,), "4": (None, "a")})
    assert {c.group for c in got} == {"other recording"}
    assert got[0].sentences == ("1", "2", "4")
    assert listed({"1": ("a",), "2": ("a", "a")}) == []


def test_the_ceiling_is_the_score_of_two_recordings(tmp_path):
    run = make_run(tmp_path / "out", recordings=3, analyses="noise_ceiling", interval="none")
    frame = analyse(run.folder)[0]["noise_ceiling"]
    assert set(frame["group"]) == {"other speaker"}
    store = run.store()
    unit = run.committed(store)["fin", "speech"]
    record, x = store.record(unit), store.view(unit, "len")
    rows = {key: i for i, key in enumerate(zip(record["sentences"], record["takes"], strict=True))}
    ids = [str(i) for i in range(40)]
    first = x[[rows[i, 0] for i in ids]]
    second = x[[rows[i, 1] for i in ids]]
    row = frame.filter(language_a="fin", label="len", control="").row(0, named=True)
    assert row["score"] == svcca(first, second).score
    assert row["n"] == 40
    means = load_results(run.folder, means=True)["noise_ceiling"]
    summary = specs.parse(ANALYSES, "noise_ceiling").summarise(frame, means)
    assert len(summary.findings) == 1
    assert "two recordings of a sentence by different speakers score 0." in summary.findings[0]
    assert "a recording scores 1 with itself" in summary.findings[0]
    assert np.isfinite(summary.charts[1].panels[0].marks[0].y).all()


def test_a_run_without_further_recordings_says_that_there_is_nothing(tmp_path):
    run = make_run(tmp_path / "out", analyses=["gaps", "noise_ceiling"], interval="none")
    tables, skipped = analyse(run.folder)
    assert set(tables) == {"gaps"}
    assert skipped == ["noise_ceiling"]


def mean(group, label, depth, score, null, measure="svcca"):
    empty = dict.fromkeys(MEANS, None)
    return {
        **empty, "measure": measure, "control": "", "group": group, "label": label, "depth": depth,
        "position": int(depth * 2), "languages": 1, "rows": 1, "score": score, "null": null,
        "calibrated": (score - null) / (1 - null),
    }  # fmt: skip


def test_each_kind_of_recording_has_its_own_sentence():
    nan = float("nan")
    means = pl.DataFrame(
        [
            mean("other speaker", "1", 0.5, 0.9, 0.1),
            mean("other speaker", "2", 1.0, 0.75, 0.5),
            mean("other recording", "1", 0.5, 0.8, nan),
            mean("other recording", "2", 1.0, 0.7, nan),
        ],
        schema=MEANS,
    )
    speakers, recordings = _findings(means)
    assert "(2)" in speakers
    assert "by different speakers score 0.75 (chance 0.50, calibrated 0.50; " in speakers
    assert "mean over 1 language)" in speakers
    assert "another voice makes the rest" in speakers
    assert "one speaker or by two score 0.70 (mean over" in recordings
    assert "voice" not in recordings


def test_the_ceiling_of_a_distance_is_measured_from_zero(tmp_path, monkeypatch):
    rows = [mean("other speaker", "2", 1.0, 0.2, 0.9, measure="distance")]
    with measures(tmp_path, monkeypatch, DISTANCE, distance="Distance"):
        found = _findings(pl.DataFrame(rows, schema=MEANS))
    assert "a recording scores 0 with itself" in found[0]
