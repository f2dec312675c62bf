import numpy as np

from builders import PAIRS, TAPS, make_run
from isogloss import specs
from isogloss.analyses import ANALYSES
from isogloss.analyses.base import Contents
from isogloss.api import analyse, load_results
from isogloss.similarity import svcca


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
    assert "two recordings of a sentence score 0." in summary.findings[0]
    assert np.isfinite(summary.charts[1].panels[0].marks[0].y).all()


def test_a_run_without_further_recordings_says_that_there_is_nothing(tmp_path):
    run = make_run(tmp_path / "out", analyses=["gaps", "noise_ceiling"], interval="none")
    tables, skipped = analyse(run.folder)
    assert set(tables) == {"gaps"}
    assert skipped == ["noise_ceiling"]
