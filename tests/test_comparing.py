"""One run beside another: equal runs are equal, planted differences are found, intervals hold."""

import json
import shutil
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from scipy import stats

from builders import make_run, write_run
from isogloss import api
from isogloss.beside import compare_runs, keep, kept
from isogloss.beside.data import (
    APART,
    BY_LANGUAGE,
    CLOSER,
    DIFFERENCES,
    EQUAL,
    MODAL,
    NOT_SEEN,
    NOT_TESTED,
    SPEECH,
    TEXT,
    verdict,
)
from isogloss.beside.estimates import of_mean, of_one
from isogloss.beside.places import Place, Spot, pair
from isogloss.beside.stored import outdated
from isogloss.cli import call
from isogloss.errors import IsoglossError, StoreError, StudyError
from isogloss.findings import statistics
from isogloss.findings.statistics import Halves, holm
from isogloss.models.base import TapPair
from isogloss.report.content import content
from isogloss.results import MEANS
from isogloss.runs import Run
from isogloss.settings import digest
from isogloss.storage import sealing
from isogloss.storage.store import Store, Unit
from isogloss.study import Study
from planted import Plan, plant

LANGUAGES = ("arb", "deu", "eng", "fin")
EIGHT = (*LANGUAGES, "hin", "kat", "lit", "spa")
QUICK = {"languages": LANGUAGES, "sentences": 48, "analyses": ("cross_modal", "cross_lingual")}
LAST = ("last",)


def planted(folder, plan=None, **values):
    """A run with results and texts."""
    run = plant(folder, plan or Plan(), **{**QUICK, **values})
    run.keep_texts({(u.language, s): f"{u.language} {s}" for u in run.units for s in u.sentences})
    api.analyse(folder)
    return folder


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A model, a better checkpoint of it, and its twin: only what is planted differs."""
    root = tmp_path_factory.mktemp("beside")
    folders = {"a": planted(root / "a", Plan(own={"6": 0.3, "len": 0.4}))}
    folders["b"] = planted(root / "b")
    shutil.copytree(folders["a"], root / "twin")
    return folders | {"twin": root / "twin"}


@pytest.fixture(scope="module")
def better(runs, tmp_path_factory):
    folder = tmp_path_factory.mktemp("out") / "compare"
    before = contents(runs["a"]) | contents(runs["b"])
    done = compare_runs(runs["a"], runs["b"], folder, splits=8, report=False)
    assert contents(runs["a"]) | contents(runs["b"]) == before, "a run was written to"
    return done


def contents(folder):
    return {p: p.stat().st_mtime_ns for p in folder.rglob("*") if p.is_file()}


def row_of(done, kind, tap=None, scores="calibrated"):
    rows = done.differences.filter(kind=kind, scores=scores)
    rows = rows.filter(last=True) if tap is None else rows.filter(tap=tap)
    return rows.row(0, named=True)


# What is found


def test_equal_runs_are_equal_and_nothing_is_divided_by_zero(runs):
    done = compare_runs(runs["a"], runs["twin"], taps=("in", "6", "len"))
    for frame in (done.differences, done.by_language):
        known = frame.filter(pl.col("difference").is_not_nan())
        assert known.height >= 14
        for column in ("difference", "low", "high"):
            assert (known[column] == 0).all()
        assert (known["p_value"] == 1).all()
        assert (known["p_holm"] == 1).all()
        assert set(known["verdict"]) == {NOT_SEEN}
    assert done.findings() == ("a and twin are equal: all scores agree to rounding.",)
    assert done.folder is None
    assert done.report is None


def test_rounding_is_no_difference(runs, tmp_path):
    """Another machine or batch changes the last bits of float32, all in one direction at times."""
    rewritten(runs["a"], tmp_path / "c", lambda tap, x: x * (1 + 1e-7) + np.float32(1e-7) * x[::-1])
    done = compare_runs(runs["a"], tmp_path / "c", taps=LAST, splits=8)
    assert (done.differences["difference"].abs() < EQUAL).all()
    assert (done.differences["difference"] != 0).any()
    assert set(done.differences["verdict"]) == {NOT_SEEN}
    assert (done.differences["low"] <= 0).all()
    assert (done.differences["high"] >= 0).all()


def rewritten(origin, folder, change):
    """A copy of a run with other activations."""
    run = Run.read(origin)
    store = run.store()
    units = {}
    arrays, covariates = {}, {}
    for unit in run.units:
        new = replace(unit, digest=digest([unit.digest, str(folder)]))
        arrays[new] = {t: change(t, store.view(unit, t)).astype(np.float32) for t in unit.taps}
        covariates[new] = store.record(unit)["covariates"]
        units[unit] = new
    study = Study(**{**run.study, "output": folder})
    write_run(study, arrays, covariates, taps=run.taps, pairs=run.pairs, counts={})
    Run.read(folder).keep_texts(run.texts())
    api.analyse(folder)
    return folder


def test_a_planted_difference_is_found_where_it_was_planted(better):
    for tap, least in (("6", 0.05), ("len", 0.2)):
        row = row_of(better, MODAL, tap)
        assert row["verdict"] == CLOSER
        assert least < row["low"] < row["difference"] < row["high"]
        assert row["first"] > row["second"]
    others = better.differences.filter(
        ~((pl.col("kind") == MODAL) & pl.col("tap").is_in(["6", "len"]))
    )
    # The rest has the same meaning and noise, but for what was planted instead of noise.
    assert set(others["verdict"]) <= {NOT_SEEN, NOT_TESTED}
    said = better.findings()
    assert said[0] == (
        "At the last taps, speech and text of one language are closer in a than in b; for "
        "languages in text and languages in speech, no difference is seen."
    )
    assert "Of 4 single languages, over sentences, 4 closer" in " ".join(said)


def test_the_other_way_round_everything_is_mirrored(runs, better):
    done = compare_runs(runs["b"], runs["a"], taps=("6", "len"), splits=8)
    for name in ("differences", "by_language"):
        mine, its = (
            getattr(x, name).filter(pl.col("tap").is_in(["6", "len"])) for x in (better, done)
        )
        assert mine["difference"].to_numpy() == pytest.approx(
            -its["difference"].to_numpy(), nan_ok=True
        )
        assert mine["low"].to_numpy() == pytest.approx(-its["high"].to_numpy(), nan_ok=True)
        assert mine["p_value"].to_numpy() == pytest.approx(its["p_value"].to_numpy(), nan_ok=True)
    assert row_of(done, MODAL)["verdict"] == APART
    assert "further apart in b than in a" in done.findings()[0]


def test_differences_are_those_of_the_runs_own_scores(runs, better):
    """The runs have the same sentences, so nothing is computed anew."""
    for name, kinds in (("cross_modal", [MODAL]), ("cross_lingual", [TEXT, SPEECH])):
        mine, its = (api.load_results(runs[r])[name] for r in "ab")
        place = ["group", "label", "language_a", "language_b"]
        both = mine.join(its, on=place, suffix="_b")
        for kind in kinds:
            group = "matched" if kind == MODAL else kind.rpartition(" ")[2]
            for row in better.differences.filter(kind=kind, scores="calibrated").iter_rows(
                named=True
            ):
                own = both.filter(group=group, label=row["tap"])
                values = (own["calibrated"] - own["calibrated_b"]).to_numpy()
                assert row["difference"] == pytest.approx(values.mean())
                assert row["first"] == pytest.approx(own["calibrated"].mean())
                single = better.by_language.filter(kind=kind, scores="calibrated", tap=row["tap"])
                assert sorted(single["difference"]) == pytest.approx(sorted(values))
    parts = {p.name for p in (better.folder / "results" / "parts").iterdir()}
    for run in (runs["a"], runs["b"]):
        assert {p.name for p in (run / "results" / "parts").iterdir()} <= parts


def test_without_halves_the_test_is_students_over_languages(runs):
    done = compare_runs(runs["a"], runs["b"], taps=LAST, splits=0)
    row = row_of(done, MODAL)
    own = [api.load_results(runs[r])["cross_modal"].filter(label="len") for r in "ab"]
    a, b = (frame.sort("language_a")["calibrated"].to_numpy() for frame in own)
    test = stats.ttest_rel(a, b)
    assert row["p_value"] == pytest.approx(test.pvalue)
    assert (row["low"], row["high"]) == pytest.approx(tuple(test.confidence_interval()))
    assert row["given"] == "these sentences"
    # Four languages make six pairs, too few for a test over languages.
    assert row_of(done, TEXT)["verdict"] == NOT_TESTED
    assert "it takes 8 languages in pairs" in row_of(done, TEXT)["reason"]
    assert set(done.by_language["verdict"]) == {NOT_TESTED}


def test_with_halves_sentences_are_a_sample_too(runs, better):
    fixed = row_of(compare_runs(runs["a"], runs["b"], taps=LAST, splits=0), MODAL)
    row = row_of(better, MODAL)
    assert row["given"] == ""
    assert row["difference"] == pytest.approx(fixed["difference"])
    assert row["p_value"] >= fixed["p_value"]
    # Too few languages for pairs, so these hold the languages fixed.
    pairs = row_of(better, TEXT)
    assert pairs["given"] == "these languages"
    assert pairs["low"] < pairs["difference"] < pairs["high"]
    singles = better.by_language.filter(pl.col("p_value") < 1)
    assert set(singles["given"]) == {"these languages"}


def test_p_values_are_adjusted_over_what_is_asked_at_once(better):
    rows = better.differences.filter(scores="calibrated")
    for last in (True, False):
        own = rows.filter(last=last)
        assert own["p_holm"].to_numpy() == pytest.approx(holm(own["p_value"].to_numpy()))
    assert rows.filter(last=True).height == 3
    single = better.by_language.filter(scores="calibrated", kind=MODAL, tap="6")
    assert single["p_holm"].to_numpy() == pytest.approx(holm(single["p_value"].to_numpy()))


def test_pairs_of_eight_languages_have_halves_of_a_ring_but_for_the_last_tap(tmp_path):
    taps = {"languages": EIGHT, "sentences": 40, "analyses": ("cross_lingual",)}
    a = planted(tmp_path / "a", Plan(speech={"6": 0.7}), **taps)
    b = planted(tmp_path / "b", **taps)
    done = compare_runs(a, b, splits=8, taps=("6", "last"))
    row = row_of(done, SPEECH, "6")
    assert (row["verdict"], row["given"], row["languages"]) == (CLOSER, "", 8)
    single = done.by_language.filter(kind=SPEECH, scores="calibrated")
    assert single.filter(tap="len")["p_value"].is_not_nan().sum() == 28
    ring = single.filter(tap="6")
    assert ring["difference"].is_not_nan().sum() == 28
    assert ring["p_value"].is_not_nan().sum() == 8
    assert (row_of(done, TEXT)["verdict"], row_of(done, TEXT)["tap"]) == (NOT_SEEN, "6")


# Estimates


def test_a_verdict_is_about_size_too():
    assert verdict(0.01, 0.02, 0.05) == CLOSER
    assert verdict(0.01, -0.02, 0.05) == APART
    assert verdict(0.06, 0.02, 0.05) == NOT_SEEN
    assert verdict(1e-9, EQUAL, 0.05) == NOT_SEEN, "rounding can be the same in all languages"
    assert verdict(float("nan"), 0.02, 0.05) == NOT_TESTED


def test_other_languages_and_sentences_move_a_mean_no_less_than_other_sentences_alone():
    rng = np.random.default_rng(1)
    halves = Halves(rng.normal(scale=0.2, size=(12, 2, 5)), 1.0)
    values = np.array([0.5, 0.5001, 0.4999, 0.5002, 0.4998])
    # Languages differ in nothing, and their halves have nothing in common.
    narrow = statistics.mean(values, list("abcde"), None, halves)
    found = of_mean(values, list("abcde"), None, halves)
    assert found.high - found.low > 1.2 * (narrow.high - narrow.low)
    assert (found.given, found.count) == ("", 5)
    assert found.p_value > narrow.p_value


def test_a_single_difference_has_the_variance_between_halves():
    halves = np.array([[0.3, 0.1], [0.2, 0.2], [0.15, 0.25], [0.4, 0.0]])
    found = of_one(0.2, halves, 0.9)
    variance = 0.9 * np.mean([0.04, 0, 0.01, 0.16]) / 4
    # The means of the halves are all .2, so the variance is all lasting.
    t = stats.t.ppf(0.975, 1 / (1 / 4 + 1 / 11))
    assert (found.low, found.high) == pytest.approx(
        (0.2 - t * np.sqrt(variance), 0.2 + t * np.sqrt(variance))
    )
    assert of_one(float("nan"), halves, 1.0).reason == "not scored in both runs"
    assert np.isnan(of_one(0.2, None, 1.0).p_value)
    assert np.isnan(of_one(0.2, np.full((4, 2), 0.2), 1.0).p_value)


def test_a_difference_that_is_small_by_chance_is_not_called_rounding():
    rng = np.random.default_rng(0)
    found = of_one(EQUAL / 2, rng.normal(scale=0.05, size=(12, 2)), 1.0)
    assert found.high - found.low > 0.02
    mean = of_mean(
        np.full(4, EQUAL / 2), list("abcd"), None, Halves(rng.normal(size=(12, 2, 4)), 1.0)
    )
    assert mean.high - mean.low > 0.2
    assert mean.given == "these languages"


def simulated(rng, shift, languages=6, sentences=40, splits=12):
    """Differences that are means over sentences, which all languages share in part."""
    common = rng.normal(size=sentences)
    each = shift + common[:, None] + rng.normal(size=(sentences, languages))
    halves = np.empty((splits, 2, languages))
    for split in range(splits):
        order = rng.permutation(sentences)
        for half, rows in enumerate((order[: sentences // 2], order[sentences // 2 :])):
            halves[split, half] = each[rows].mean(axis=0)
    names = [f"l{i}" for i in range(languages)]
    return each.mean(axis=0), names, Halves(halves, 1.0)


def test_intervals_contain_what_they_are_for_and_alarms_are_rarely_false():
    rng = np.random.default_rng(3)
    studies = [simulated(rng, 0.2) for _ in range(400)]
    over = [of_mean(values, names, None, halves) for values, names, halves in studies]
    fixed = [of_mean(values, names, None, None) for values, names, _ in studies]
    inside = np.mean([e.low <= 0.2 <= e.high for e in over])
    assert 0.93 <= inside <= 0.985
    assert np.mean([e.low <= 0.2 <= e.high for e in fixed]) < 0.75, "sentences are not fixed"
    single = [of_one(float(v[0]), h.values[:, :, 0], 1.0) for v, _, h in studies]
    assert 0.93 <= np.mean([e.low <= 0.2 <= e.high for e in single]) <= 0.985
    two = [
        of_mean(v[:2], n[:2], None, replace(h, values=h.values[:, :, :2])) for v, n, h in studies
    ]
    assert {e.given for e in two} == {"these languages"}
    assert 0.93 <= np.mean([e.low <= 0.2 <= e.high for e in two]) <= 0.985
    none = [simulated(rng, 0.0) for _ in range(400)]
    alarms = [of_mean(v, n, None, h).p_value <= 0.05 for v, n, h in none]
    assert np.mean(alarms) <= 0.08


# What is compared


def spots(*depths, names=None):
    names = names or ["in", *map(str, range(1, len(depths)))]
    return [Spot(d, i, n, n, n) for i, (d, n) in enumerate(zip(depths, names, strict=True))]


def test_taps_of_one_name_and_depth_go_together_and_the_last_ones_always():
    four, same = spots(0, 0.5, 1), spots(0, 0.5, 1)
    assert [(p.label, p.last) for p in pair(four, same)] == [
        ("in", False),
        ("1", False),
        ("2", True),
    ]
    deep = spots(0, 0.25, 0.5, 0.75, 1)
    assert pair(four, deep) == (
        Place("in", four[0], deep[0], last=False),
        Place("2 / 4", four[-1], deep[-1], last=True),
    )
    assert pair(four, four[:2])[-1].label == "2 / 1"
    assert pair([], four) == ()
    ends = pair(four, deep)
    assert [p.label for p in ends if p.named(("last",))] == ["2 / 4"]
    assert [p.label for p in ends if p.named(("in",))] == ["in"]


def test_models_of_other_widths_and_depths_compare_at_their_last_taps_by_calibrated_scores(
    runs, tmp_path
):
    folder = tmp_path / "wide"
    ids = {(u.language, u.modality): u.sentences for u in Run.read(runs["a"]).units}
    rng = np.random.default_rng(5)
    taps = {"text": (("in", 0.0), ("1", 0.5), ("enc", 1.0)), "speech": (("1", 0.5), ("enc", 1.0))}
    meaning = rng.normal(size=(48, 20))
    arrays, covariates = {}, {}
    for (language, modality), sentences in ids.items():
        names = tuple(t for t, _ in taps[modality])
        unit = Unit(language, modality, digest([language, modality, "wide"]), names, sentences)
        arrays[unit] = {t: (meaning + rng.normal(size=(48, 20))).astype(np.float32) for t in names}
        covariates[unit] = {"characters": [1.0] * 48}
    study = Study(
        corpus={"source": "udhr", "languages": LANGUAGES},
        model={"family": "seamless", "checkpoint": "tiny"},
        output=folder, permutations=0, confounds=[], interval="none", jobs=1,
        analyses=QUICK["analyses"],
    )  # fmt: skip
    pairs = (TapPair("1", "1", "1", 0.5), TapPair("enc", "enc", "enc", 1.0))
    write_run(study, arrays, covariates, taps=taps, pairs=pairs, counts={})
    api.analyse(folder)
    done = compare_runs(runs["a"], folder, splits=8)
    assert set(done.differences["scores"]) == {"calibrated"}
    assert {(r["kind"], r["tap"], r["last"]) for r in done.differences.iter_rows(named=True)} == {
        (MODAL, "len / enc", True), (TEXT, "6 / enc", True), (SPEECH, "len / enc", True),
        (TEXT, "in", False),
    }  # fmt: skip
    assert any("not equally wide" in note for note in done.notes)
    assert any("wide: the run does not hold its texts" in note for note in done.notes)
    curves = {c.name: c for c in done.charts()}
    assert "relative depth" in curves["beside_cross_modal"].panels[0].x.label


def test_only_what_both_have_is_compared(runs, tmp_path):
    fewer = planted(tmp_path / "c", languages=("deu", "eng", "fin", "hin"), sentences=44)
    done = compare_runs(runs["a"], fewer, taps=LAST, splits=8)
    assert done.ground.languages == ("deu", "eng", "fin")
    assert set(done.differences["n"]) == {44}
    assert {x.language for x in done.ground.left_out if not x.modality} == {"arb", "hin"}
    one = compare_runs(runs["a"], fewer, languages=["deu", "fin"], taps=LAST, splits=8)
    assert one.ground.languages == ("deu", "fin")
    row = row_of(one, MODAL)
    assert (row["given"], row["languages"]) == ("these languages", 2)


def test_with_few_sentences_the_interval_is_over_languages_and_with_few_of_both_there_is_none(
    tmp_path,
):
    folders = [
        planted(tmp_path / x, Plan(own={"len": s}), sentences=20)
        for x, s in (("a", 0.4), ("b", 0.1))
    ]
    done = compare_runs(*folders, taps=LAST)
    assert row_of(done, MODAL)["given"] == "these sentences"
    assert "it takes comparisons of 40 sentences or more" in done.notes[0]
    two = compare_runs(*folders, taps=LAST, languages=["deu", "eng"])
    row = row_of(two, MODAL)
    assert (row["verdict"], row["reason"]) == (NOT_TESTED, "it takes 3 languages, there are 2")
    assert not np.isnan(row["difference"])
    assert np.isnan(row["low"])
    assert "not tested" in " ".join(two.findings())


def test_runs_of_text_alone_compare_in_text(tmp_path):
    folders = []
    for i, name in enumerate("ab"):
        missing = [(x, "speech") for x in ("deu", "eng", "fin", "swh")]
        make_run(
            tmp_path / name, missing=missing, seed=i, permutations=0, confounds=(),
            analyses=("cross_lingual",),
        )  # fmt: skip
        api.analyse(tmp_path / name)
        folders.append(tmp_path / name)
    done = compare_runs(*folders, splits=8)
    assert set(done.differences["kind"]) == {TEXT}
    assert not [c for c in done.charts() if c.name == "beside_languages"]


def test_each_measure_and_kind_of_scores_is_compared_by_itself(tmp_path):
    values = {"confounds": ("characters",), "measures": ("svcca", "cka"), "permutations": 5,
              "languages": LANGUAGES[:3], "analyses": ("cross_modal",)}  # fmt: skip
    a = planted(tmp_path / "a", Plan(own={"6": 0.3, "len": 0.4}), **values)
    b = planted(tmp_path / "b", **values)
    done = compare_runs(a, b, taps=LAST, splits=8)
    assert len(done.measures) == 2
    modal = done.differences.filter(kind=MODAL)
    assert modal.group_by("measure").len()["len"].to_list() == [3, 3]
    for (measure, scores), rows in modal.group_by("measure", "scores"):
        assert set(rows["control"]) == {"characters" if scores == "controlled" else ""}
        assert rows["difference"][0] > 0.02
        other = modal.filter(measure=measure, scores="raw")["first"][0]
        assert (rows["first"][0] == other) == (scores == "raw")
    for measure in done.measures:
        assert any("With characters taken out" in text for text in done.findings(measure))
    names = [c.name for m in done.measures for c in done.charts(m)]
    assert len(set(names)) == len(names)


def edited(folder, **changes):
    """Write other settings into a run's description: ``corpus__path`` is ``study.corpus.path``."""
    values = sealing.read(folder / "run.json")
    for name, value in changes.items():
        section, _, key = name.partition("__")
        (values["model"] if section == "model" else values["study"][section])[key] = value
    sealing.write(folder / "run.json", values)


def other_notes(first, second):
    done = compare_runs(first, second, taps="last", splits=0)
    return [note for note in done.notes if "recordings" in note]


def test_other_recordings_of_the_same_sentences_are_noted(runs, tmp_path):
    a = runs["a"]
    assert other_notes(a, runs["b"]) == [], "their units have the same digest"
    # One model with all settings and sentences alike: only the inputs can be others.
    same = rewritten(runs["b"], tmp_path / "same", lambda tap, x: x)
    (note,) = other_notes(a, same)
    assert note.startswith("The runs have heard different recordings in arb, deu, eng, fin,")
    # Another checkpoint: its digests say nothing, and the lengths are equal.
    edited(same, model__checkpoint={"weights": "1" * 64})
    assert other_notes(a, same) == []
    edited(same, corpus__voices=2)
    (note,) = other_notes(a, same)
    assert "(voices is 1 in a and 2 in same), so nobody knows whether" in note
    # A recording that is longer, and one by another speaker.
    run = Run.read(same)
    store = run.store()
    unit = next(u for u in run.units if (u.language, u.modality) == ("eng", "speech"))
    known = store.record(unit)["covariates"]
    store.amend(unit, {"covariates": known | {"seconds": [99.0, *known["seconds"][1:]]}})
    (note,) = other_notes(a, same)
    assert note.startswith("The runs have heard different recordings in eng, so")
    store.amend(unit, {"covariates": known, "speakers": ["x"] * unit.rows})
    assert "nobody knows" in other_notes(a, same)[0], "a speaker that is unknown may be the same"
    one = shutil.copytree(a, tmp_path / "one")
    spoken = Run.read(one)
    mine = next(u for u in spoken.units if (u.language, u.modality) == ("eng", "speech"))
    spoken.store().amend(mine, {"speakers": ["y", *["x"] * (mine.rows - 1)]})
    assert "different recordings in eng" in other_notes(one, same)[0]


def test_curves_have_all_taps_of_both_runs_or_of_neither(runs, tmp_path):
    every = {"in", "1", "2", "3", "4", "5", "6", "len"}
    bare = shutil.copytree(runs["b"], tmp_path / "bare")
    shutil.rmtree(bare / "results" / "parts")
    for second, labels in ((runs["b"], every), (bare, {"len"})):
        for pair_ in ((runs["a"], second), (second, runs["a"])):
            done = compare_runs(*pair_, taps=["len"], splits=0)
            modal = done.curves.filter(analysis="cross_modal", group="matched")
            for _, own in modal.group_by("run"):
                assert set(own["label"]) == labels
            assert row_of(done, MODAL)["difference"] != 0
            assert "cross-lingual text: no tap len there, so it is not compared." in done.notes
            assert not [note for note in done.notes if note.startswith(("cross-modal", SPEECH))]


def test_lists_may_be_written_with_commas(runs):
    done = compare_runs(runs["a"], runs["b"], names="new, old", languages="deu,eng,fin",
                        taps="6,last", measures="svcca", splits=0)  # fmt: skip
    assert done.names == ("new", "old")
    assert done.ground.languages == ("deu", "eng", "fin")
    assert set(done.differences["tap"]) == {"6", "len"}
    with pytest.raises(StudyError, match="two different names"):
        compare_runs(runs["a"], runs["b"], names="ab")


# What is refused


def test_what_cannot_be_compared_is_refused_before_anything_is_written(runs, tmp_path):
    out = tmp_path / "out"
    a, b = runs["a"], runs["b"]
    other = planted(tmp_path / "other", languages=LANGUAGES[:2], measures=("cka",))
    strange = tmp_path / "strange"
    shutil.copytree(b, strange)
    values = sealing.read(strange / "run.json")
    values["corpus"]["name"] = "another"
    sealing.write(strange / "run.json", values)
    for arguments, options, kind, message in (
        ((a, other), {}, IsoglossError, "no measure in common .svcca.*cka.*--measures"),
        ((a, strange), {}, IsoglossError, "is of the corpus planted and .* of another"),
        ((a, a), {}, IsoglossError, "is given 2 times"),
        ((a, tmp_path), {}, IsoglossError, "holds no run"),
        ((a, b), {"taps": ["lem"]}, StudyError, 'unknown tap "lem"; did you mean "len"'),
        ((a, b), {"names": ["x"]}, StudyError, "two different names"),
        ((a, b), {"names": ["x", "x"]}, StudyError, "two different names"),
        ((a, b), {"splits": 3}, StudyError, "splits must be 8 or more"),
        ((a, b), {"languages": ["xxx"]}, StudyError, "xxx"),
        ((a, b), {"permutations": -1}, StudyError, "permutations must be 0 or more"),
        ((a, b), {"measures": ["svca"]}, StudyError, "svcca"),
    ):
        with pytest.raises(kind, match=message):
            compare_runs(*arguments, out, **options)
        assert not out.exists()
    with pytest.raises(IsoglossError, match="belongs to the run"):
        compare_runs(a, b, a / "compare")
    (tmp_path / "file").write_text("mine")
    for out_ in (tmp_path / "file", tmp_path / "file" / "out"):
        with pytest.raises(IsoglossError, match="file is a file; choose another --output"):
            compare_runs(a, b, out_)
        with pytest.raises(IsoglossError, match="file is a file; choose another --output"):
            Store(out_).claim({})
    assert (tmp_path / "file").read_text() == "mine"
    out.mkdir()
    (out / "results").mkdir()
    (out / "results" / "mine.csv").write_text("mine")
    with pytest.raises(IsoglossError, match=r"holds something else \(there is no compare.json"):
        compare_runs(a, b, out)
    assert (out / "results" / "mine.csv").read_text() == "mine"


# What it leaves


def test_tables_are_on_disk(better, runs):
    for name, frame in better.tables().items():
        assert pl.read_parquet(better.folder / "results" / f"{name}.parquet").equals(frame)
        assert (better.folder / "results" / f"{name}.csv").exists()
    assert better.differences.columns == list(DIFFERENCES)
    assert better.by_language.columns == list(BY_LANGUAGE)
    assert better.curves.columns == ["run", *MEANS]
    assert {c.name for c in better.charts()} == {
        "beside_cross_modal", "beside_cross_lingual", "beside_differences", "beside_languages",
    }  # fmt: skip
    assert not list(api.verify(better.folder))
    again = compare_runs(runs["a"], runs["b"], better.folder, splits=8, report=False)
    assert again.differences.equals(better.differences)


def test_the_curves_are_those_of_the_runs(better, runs):
    chart = next(c for c in better.charts() if c.name == "beside_cross_modal")
    for line, run in zip(chart.panels[0].marks, "ab", strict=False):
        means = api.load_results(runs[run], means=True)["cross_modal"].sort("position")
        assert line.y == tuple(means["calibrated"])
        assert line.low == tuple(means["calibrated_low"])
    change = next(c for c in better.charts() if c.name == "beside_differences")
    row = row_of(better, MODAL)
    assert change.panels[0].marks[0].y[-1] == row["difference"]
    assert change.panels[0].marks[0].high[-1] == row["high"]


def test_a_comparison_is_kept_beside_a_run_and_shown_in_its_report(runs, tmp_path):
    folders = [tmp_path / "new", tmp_path / "old"]
    for folder, name in zip(folders, "ab", strict=True):
        shutil.copytree(runs[name], folder)
    run = Run.read(folders[0])
    assert kept(run) is None
    # As paths or as the run, with names in a list or with commas.
    keep(str(folders[0]), str(folders[1]), names="x,y", splits=0, taps="last")
    assert kept(str(folders[0])).names == ("x", "y")
    done = keep(run, folders[1], names=("trained", "untrained"), splits=8)
    shutil.rmtree(folders[1])
    found = kept(run)
    assert found.names == ("trained", "untrained")
    assert found.differences.equals(done.differences)
    assert found.findings() == done.findings()
    tables, means = (api.load_results(run.folder, means=m) for m in (False, True))
    section = content(run, tables, means).sections[-1]
    assert section.title == "Beside untrained"
    assert [c.name for c in section.charts] == [c.name for c in done.charts()]
    assert "trained than in untrained" in section.text
    assert not list(api.verify(run.folder))
    damage(run.folder / "beside" / "differences.parquet")
    assert [p.file for p in api.verify(run.folder)] == ["beside/differences.parquet"]
    with pytest.raises(StoreError, match="damaged"):
        kept(run)


def damage(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))


def test_a_comparison_no_longer_counts_once_the_run_has_other_activations(runs, tmp_path):
    folder = tmp_path / "a"
    shutil.copytree(runs["a"], folder)
    run = Run.read(folder)
    keep(run, runs["b"], names=("new", "old"), splits=8)
    assert kept(run).names == ("new", "old")
    assert not outdated(run)
    (folder / "activations" / f"{run.units[0].name}.json").unlink()
    changed = Run.read(folder)
    assert outdated(changed)
    assert kept(changed) is None
    # Another study in the same folder takes it away altogether.
    replace(changed, study={**changed.study, "seed": 9}).retire()
    assert not (folder / "beside" / "beside.json").exists()


# The command


def test_the_command_prints_a_table_and_json(runs, tmp_path, capsys):
    arguments = ["compare", str(runs["a"]), str(runs["b"]), "--output", str(tmp_path / "out")]
    assert call([*arguments, "--names", "new,old", "--taps", "6,len"]) == 0
    printed = capsys.readouterr().out
    assert "new less old" in printed
    assert "len (last)" in printed
    assert "6 (largest)" in printed
    assert "report:" in printed
    for chart in ("cross_modal", "cross_lingual", "differences", "languages"):
        assert (tmp_path / "out" / "figures" / f"beside_{chart}.png").exists()
    page = (tmp_path / "out" / "report.html").read_text()
    for text in ("new beside old", "untrained, random weights: new, old", "differences.csv"):
        assert text in page
    assert call([*arguments, "--names", "new,old", "--taps", "6,len", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["names"] == ["new", "old"]
    rows = [r for r in told["differences"] if r["kind"] == MODAL and r["scores"] == "calibrated"]
    assert [r["tap"] for r in rows] == ["6", "len"]
    row = rows[-1]
    assert row["verdict"] == CLOSER
    assert row["low"] > 0
    assert call(["compare", str(runs["a"]), str(tmp_path)]) == 1
    assert call(["compare", str(runs["a"])]) == 2


def test_the_report_command_sets_a_run_beside_another(tmp_path, capsys):
    folders = []
    for seed, name in enumerate("ab"):
        make_run(tmp_path / name, ("deu", "eng"), seed=seed, permutations=0, confounds=(),
                 analyses=("cross_modal",))  # fmt: skip
        api.analyse(tmp_path / name)
        folders.append(str(tmp_path / name))
    assert call(["report", folders[0], "--names", "trained,untrained"]) == 2
    assert "--names is for --beside" in capsys.readouterr().err
    assert not (tmp_path / "a" / "report.html").exists()
    line = ["report", folders[0], "--beside", folders[1], "--names", "trained,untrained"]
    assert call(line) == 0
    assert "Beside untrained" in (tmp_path / "a" / "report.html").read_text()
    assert (tmp_path / "a" / "figures" / "beside_cross_modal.png").exists()
