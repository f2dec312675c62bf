"""Conditions on a run for CI: what holds, what does not, and what cannot be said never holds."""

import json
import shutil
from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from isogloss import api
from isogloss.beside.data import MODAL, SPEECH, TEXT
from isogloss.checking import Checked, check
from isogloss.cli import call
from isogloss.cli.check import annotation
from isogloss.errors import IsoglossError, StudyError
from isogloss.events import Silent
from isogloss.results import write
from isogloss.runs import Run
from isogloss.settings import digest
from isogloss.storage import sealing
from planted import Plan, plant

LANGUAGES = ("arb", "deu", "eng", "fin")
QUICK = {"languages": LANGUAGES, "sentences": 48, "analyses": ("cross_modal", "cross_lingual")}


def planted(folder, plan=None, **values):
    plant(folder, plan or Plan(), **{**QUICK, **values})
    api.analyse(folder)
    return folder


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    root = tmp_path_factory.mktemp("check")
    good = planted(root / "good", Plan(own={"6": 0.3, "len": 0.4}))
    shutil.copytree(good, root / "twin")
    return {"good": good, "bad": planted(root / "bad"), "twin": root / "twin"}


def mean_of(run, label="len", analysis="cross_modal", group="matched", **more):
    means = api.load_results(run, means=True)[analysis]
    return means.filter(label=label, group=group, control="", **more).row(0, named=True)


def test_a_limit_is_held_against_the_mean_at_the_last_tap(runs):
    mean = mean_of(runs["good"])
    for limit, holds in ((mean["calibrated"] - 1e-6, True), (mean["calibrated"] + 1e-6, False)):
        (found,) = check(runs["good"], min_cross_modal=limit)
        assert found.passed is holds
        assert (found.tap, found.what, found.languages) == ("len", MODAL, 4)
        assert found.found == pytest.approx(mean["calibrated"])
        assert (found.low, found.high) == pytest.approx(
            (mean["calibrated_low"], mean["calibrated_high"])
        )
        assert found.given == "these sentences"
        (found,) = check(runs["good"], max_cross_modal=limit)
        assert found.passed is not holds


def test_strict_asks_for_the_whole_interval(runs):
    mean = mean_of(runs["good"])
    between = (mean["calibrated"] + mean["calibrated_low"]) / 2
    assert check(runs["good"], min_cross_modal=between)[0].passed
    assert not check(runs["good"], min_cross_modal=between, strict=True)[0].passed
    low = mean["calibrated_low"] - 1e-6
    assert check(runs["good"], min_cross_modal=low, strict=True)[0].passed
    # Four languages make too few pairs for an interval, so nobody knows.
    (text,) = check(runs["good"], min_cross_lingual=0.0, modalities=["text"])
    assert text.passed
    (text,) = check(runs["good"], min_cross_lingual=0.0, modalities=["text"], strict=True)
    assert not text.passed
    assert "no interval: it takes 8 languages in pairs" in text.reason


def test_taps_modalities_scores_and_several_conditions(runs):
    found = check(runs["good"], min_cross_lingual=0.1, max_cross_lingual=0.9, min_cross_modal=0.1)
    assert [(f.what, f.condition, f.tap) for f in found] == [
        (MODAL, "minimum", "len"), (TEXT, "minimum", "6"), (TEXT, "maximum", "6"),
        (SPEECH, "minimum", "len"), (SPEECH, "maximum", "len"),
    ]  # fmt: skip
    (first,) = check(runs["good"], min_cross_modal=0, tap="in")
    assert first.found == pytest.approx(mean_of(runs["good"], "in")["calibrated"])
    (raw,) = check(runs["good"], min_cross_modal=0, scores="raw")
    assert raw.found == pytest.approx(mean_of(runs["good"])["score"])
    # Text has no tap of this name, but speech has.
    text, speech = check(runs["good"], min_cross_lingual=0, tap="len")
    assert (text.what, text.passed, text.tap) == (TEXT, False, "len")
    assert text.reason == "it has no tap len; --modalities speech asks of speech alone"
    assert (speech.what, speech.passed) == (SPEECH, True)
    assert [f.what for f in check(runs["good"], min_cross_lingual=0, modalities="speech")] == [
        SPEECH
    ]


def test_without_confounds_if_the_run_has_them(tmp_path):
    folder = planted(
        tmp_path / "run", Plan(length={"len": 0.3, "6": 0.3}), languages=LANGUAGES[:3],
        confounds=("characters",), permutations=9, analyses=("cross_modal",),
    )  # fmt: skip
    (found,) = check(folder, min_cross_modal=0)
    rows = api.load_results(folder)["cross_modal"].filter(label="len")
    values = {c: rows.filter(control=c)["calibrated"].mean() for c in ("", "characters")}
    assert (found.scores, found.found) == ("controlled", pytest.approx(values["characters"]))
    (plain,) = check(folder, min_cross_modal=0, scores="calibrated")
    assert plain.found == pytest.approx(values[""])
    assert abs(values[""] - values["characters"]) > 0.01


def test_halves_in_the_study_make_the_interval_one_over_sentences_too(tmp_path):
    analyses = ("cross_modal", "halves(splits=8)")
    folder = planted(tmp_path / "run", analyses=analyses)
    (found,) = check(folder, min_cross_modal=0)
    assert found.given == ""
    mean = mean_of(folder)
    assert found.found == pytest.approx(mean["calibrated"])
    assert found.high - found.low >= mean["calibrated_high"] - mean["calibrated_low"] - 1e-12


def test_a_gap_that_has_grown_beyond_its_interval_fails(runs):
    lost = {f.what: f for f in check(runs["bad"], baseline=runs["good"])}
    assert set(lost) == {MODAL, TEXT, SPEECH}
    assert not lost[MODAL].passed
    assert lost[MODAL].high < 0
    assert "FAIL  cross-modal at len" in str(lost[MODAL])
    assert "must not have fallen" in str(lost[MODAL])
    assert lost[TEXT].passed
    assert lost[TEXT].low < 0 < lost[TEXT].high
    # A gap that has closed is no failure, nor is a loss within the tolerance.
    assert all(f.passed for f in check(runs["good"], baseline=runs["bad"]))
    edge = -lost[MODAL].high
    for tolerance, holds in ((edge - 1e-6, False), (edge + 1e-6, True)):
        (one,) = check(runs["bad"], baseline=runs["good"], tolerance=tolerance, modalities=[])
        assert one.passed is holds


@pytest.mark.parametrize("strict", [False, True])
def test_an_equal_run_has_lost_nothing(runs, strict):
    found = check(runs["good"], baseline=runs["twin"], strict=strict)
    assert len(found) == 3
    for f in found:
        assert (f.found, f.low, f.high, f.passed) == (0, 0, 0, True)
        assert "0.000 against the baseline" in str(f)


def test_what_cannot_be_computed_never_passes(runs, tmp_path):
    folder = tmp_path / "collapsed"
    shutil.copytree(runs["good"], folder)
    frame = api.load_results(folder)["cross_modal"]
    gone = (pl.col("language_a") == "fin") & (pl.col("label") == "len")
    undefined = ("score", "chance", "null_mean", "calibrated")
    spoilt = frame.with_columns(
        *(pl.when(gone).then(float("nan")).otherwise(c).alias(c) for c in undefined),
        reason=pl.when(gone).then(pl.lit("the second view does not vary")).otherwise("reason"),
    )
    write(spoilt, folder / "results", "cross_modal")
    for limits in ({"min_cross_modal": -9.0}, {"max_cross_modal": 9.0}):
        (found,) = check(folder, **limits)
        assert not found.passed
        assert found.reason == "no score of fin (the second view does not vary)"
        assert not np.isnan(found.found), "the mean of the others is shown all the same"
    assert check(folder, min_cross_modal=-9, tap="6")[0].passed


def collapsed(folder, languages):
    """A run in which the speech of some languages no longer varies at the last tap."""
    plant(folder, Plan(own={"6": 0.3, "len": 0.4}), **QUICK)
    run = Run.read(folder)
    store = run.store()
    fresh = run.store()
    fresh.claim(store.study())
    for unit in run.units:
        if unit.modality != "speech" or unit.language not in languages:
            continue
        arrays = {t: store.view(unit, t).copy() for t in unit.taps}
        arrays["len"][:] = 1.0
        record = store.record(unit)
        for path in (folder / "activations").glob(f"{unit.name}*"):
            path.unlink()
        keys = ("sentences", "takes", "planned", "lengths", "speakers", "covariates", "failed",
                "notes", "device", "seconds")  # fmt: skip
        fresh.put(unit, arrays, {k: record[k] for k in keys})
    api.analyse(folder)
    return folder


def test_a_collapsed_language_is_a_loss_against_the_baseline(runs, tmp_path):
    folder = collapsed(tmp_path / "collapsed", ["fin"])
    found = {f.what: f for f in check(folder, baseline=runs["good"])}
    assert not found[MODAL].passed
    assert found[MODAL].reason == "no score of fin"
    assert not found[SPEECH].passed
    assert found[TEXT].passed
    assert not check(folder, min_cross_modal=-9)[0].passed


def test_a_language_that_has_collapsed_in_both_runs_is_named_and_does_not_pass(tmp_path):
    folder = collapsed(tmp_path / "new", ["fin"])
    shutil.copytree(folder, tmp_path / "old")
    found = {f.what: f for f in check(folder, baseline=tmp_path / "old")}
    assert not found[MODAL].passed
    assert found[MODAL].reason == "no score of fin"
    assert found[SPEECH].reason == "no score of arb and fin, deu and fin, eng and fin"
    assert found[TEXT].passed
    assert all(f.passed for f in check(folder, baseline=tmp_path / "old", languages="arb,deu,eng"))


def test_where_all_has_collapsed_every_language_is_named(runs, tmp_path):
    folder = collapsed(tmp_path / "new", LANGUAGES)
    limit, modal, text, speech = check(folder, min_cross_modal=-1.0, baseline=runs["good"])
    assert limit.reason.startswith("no score of arb, deu, eng, fin (")
    assert modal.reason == "no score of arb, deu, eng, fin"
    assert [limit.passed, modal.passed, text.passed, speech.passed] == [False, False, True, False]
    assert np.isnan(modal.found)
    assert modal.scores == "calibrated"


def fewer(origin, folder, keep):
    """A run without some of the units of another."""
    shutil.copytree(origin, folder)
    for path in (folder / "results").glob("*.*"):
        path.unlink()
    run = Run.read(folder)
    replace(run, units=tuple(u for u in run.units if keep(u))).write()
    api.analyse(folder)
    return folder


@pytest.fixture(scope="module")
def mute(runs, tmp_path_factory):
    """The good run, but for all of its speech."""
    folder = tmp_path_factory.mktemp("mute") / "run"
    return fewer(runs["good"], folder, lambda u: u.modality == "text")


def test_a_modality_that_is_lost_never_passes(runs, mute, tmp_path, capsys):
    for new, old, who in ((mute, runs["good"], "run"), (runs["good"], mute, "baseline")):
        found = {f.what: f for f in check(new, baseline=old)}
        assert set(found) == {MODAL, TEXT, SPEECH}
        assert found[TEXT].passed
        for kind in (MODAL, SPEECH):
            assert not found[kind].passed
            assert np.isnan(found[kind].found)
            assert f"the {who} has no speech" in found[kind].reason
    line = ["check", str(mute), "--baseline", str(runs["good"])]
    assert call([*line, "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert told["passed"] is False
    assert [c["found"] is None for c in told["conditions"]] == [True, False, True]
    assert call([*line, "--github"]) == 1
    said = capsys.readouterr().out.splitlines()
    assert [text.partition(" ")[0] for text in said] == ["::error", "::notice", "::error", "held:"]
    # What neither has is not asked about, unless it is named.
    shutil.copytree(mute, tmp_path / "twin")
    assert [f.what for f in check(mute, baseline=tmp_path / "twin")] == [TEXT]
    named = check(mute, baseline=tmp_path / "twin", modalities=["text", "speech"])
    assert [(f.what, f.passed) for f in named] == [(TEXT, True), (SPEECH, False)]
    with pytest.raises(StudyError, match="there is nothing to check: neither"):
        check(mute, baseline=tmp_path / "twin", modalities=[])


def test_a_limit_on_what_the_run_does_not_have_is_not_held(mute):
    modal, text, speech = check(mute, min_cross_modal=-1.0, min_cross_lingual=-1.0)
    assert (modal.passed, modal.reason) == (False, "the run has no speech")
    assert text.passed
    assert not speech.passed
    assert speech.reason == "the run has no speech; --modalities text asks of text alone"
    assert "FAIL  cross-lingual speech at last, calibrated: undefined; at least -1" in str(speech)
    assert [f.passed for f in check(mute, min_cross_lingual=-1.0, modalities="text")] == [True]


def test_languages_that_only_the_baseline_has_are_a_loss_unless_others_are_named(runs, tmp_path):
    new = fewer(runs["good"], tmp_path / "new", lambda u: u.language not in ("arb", "fin"))
    found = check(new, baseline=runs["good"])
    assert len(found) == 3
    for f in found:
        assert not f.passed
        assert f.reason.startswith("the baseline has arb, fin too, which cannot be compared")
    assert all(f.passed for f in check(new, baseline=runs["good"], languages=["deu", "eng"]))
    # One language makes no pairs, so only its own text and speech are asked about.
    assert [f.what for f in check(new, baseline=runs["good"], languages="deu")] == [MODAL]
    (text,) = [
        f
        for f in check(new, baseline=runs["good"], languages="deu", modalities="text")
        if f.what == TEXT
    ]
    assert text.reason.startswith("the run has only deu in text")
    # More than the baseline is no loss.
    assert all(f.passed for f in check(runs["good"], baseline=new))
    # One modality of a language is lost.
    part = fewer(runs["good"], tmp_path / "part", lambda u: u.name[:7] != "arb.spe")
    found = {f.what: f for f in check(part, baseline=runs["good"])}
    assert [found[k].passed for k in (MODAL, TEXT, SPEECH)] == [False, True, False]


def test_limits_can_be_asked_of_some_languages(runs):
    (found,) = check(runs["good"], min_cross_modal=0, languages="deu,fin")
    rows = api.load_results(runs["good"])["cross_modal"].filter(label="len")
    values = rows.filter(pl.col("language_a").is_in(["deu", "fin"]))["calibrated"]
    assert found.languages == 2
    assert found.found == pytest.approx(values.mean())
    with pytest.raises(IsoglossError, match=r"spa \(Spanish\) is not in .*; it has arb, deu"):
        check(runs["good"], min_cross_modal=0, languages=["spa"])


def test_without_a_level_of_chance_raw_scores_are_not_taken_for_an_answer(tmp_path):
    few = {"languages": LANGUAGES[:3], "measures": ("procrustes",), "analyses": ("cross_modal",)}
    new, old = (planted(tmp_path / x, Plan(own={"len": s}), **few) for x, s in (("a", 0), ("b", 0)))
    for question in ({"min_cross_modal": -1.0}, {"baseline": old}):
        with pytest.raises(IsoglossError, match="no level of chance for procrustes .permutations"):
            check(new, **question, modalities=[])
    found = check(new, max_cross_modal=9.0, baseline=old, scores="raw", modalities=[])
    assert [(f.scores, f.passed) for f in found] == [("raw", True), ("raw", True)]


def test_strict_asks_the_baseline_for_an_interval_above_what_may_be_lost(runs):
    plain = {f.what: f for f in check(runs["bad"], baseline=runs["good"])}[TEXT]
    assert plain.low < 0 < plain.high
    assert plain.passed
    edge = -plain.low
    for tolerance, holds in ((edge - 1e-6, False), (edge + 1e-6, True)):
        found = check(runs["bad"], baseline=runs["good"], tolerance=tolerance, strict=True)
        text = next(f for f in found if f.what == TEXT)
        assert text.passed is holds
    assert "by the whole interval" in str(text)
    assert "by the whole interval" not in str(plain)


class Heard(Silent):
    """Keeps what is warned of."""

    def __init__(self):
        self.warnings = []

    def warn(self, message):
        self.warnings.append(message)


def test_other_recordings_than_those_of_the_baseline_are_a_warning(runs, tmp_path):
    same, other = Heard(), Heard()
    check(runs["good"], baseline=runs["twin"], tap="6", modalities=[], events=same)
    assert same.warnings == []
    folder = tmp_path / "other"
    shutil.copytree(runs["twin"], folder)
    run = Run.read(folder)
    store = run.store()
    for unit in run.units:
        if unit.modality == "speech":
            known = store.record(unit)["covariates"]
            longer = known | {"seconds": [s + 1 for s in known["seconds"]]}
            renamed = replace(unit, digest=digest([unit.digest]))
            record = store.record(unit) | {"digest": renamed.digest, "covariates": longer}
            (folder / "activations" / f"{unit.name}.json").unlink()
            sealing.write(folder / "activations" / f"{renamed.name}.json", record)
            run = replace(run, units=tuple(renamed if u == unit else u for u in run.units))
    run.write()
    check(runs["good"], baseline=folder, tap="6", modalities=[], events=other)
    assert [text[:53] for text in other.warnings] == [
        "The runs have heard different recordings in arb, deu,"
    ]


def test_a_run_that_is_not_whole_never_passes(runs, tmp_path):
    folder = tmp_path / "part"
    shutil.copytree(runs["good"], folder)
    unit = next(u for u in Run.read(folder).units if u.modality == "speech")
    (folder / "activations" / f"{unit.name}.json").unlink()
    found = check(folder, min_cross_modal=-9, baseline=runs["good"])
    assert len(found) == 4
    assert not any(f.passed for f in found)
    assert found[0].reason == f"not all of the run is there: no {unit.language} speech"


def test_too_few_of_everything_for_an_interval_fails_against_a_baseline(tmp_path):
    few = {"languages": ("deu", "eng"), "sentences": 20, "analyses": ("cross_modal",)}
    a, b = (planted(tmp_path / x, Plan(own={"len": s}), **few) for x, s in (("a", 0), ("b", 0.1)))
    (found,) = check(a, baseline=b, modalities=[])
    assert not found.passed
    assert "no interval: it takes 3 languages, there are 2" in found.reason


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "there is nothing to check"),
        ({"min_cross_modal": float("nan")}, "must be a finite number"),
        ({"min_cross_modal": 0, "tap": "lem"}, 'unknown tap "lem"; did you mean "len"'),
        ({"min_cross_modal": 0, "measure": "cka"}, "has no scores of cka; it has svcca"),
        ({"min_cross_modal": 0, "scores": "row"}, 'kind of scores "row"; did you mean "raw"'),
        ({"min_cross_modal": 0, "modalities": ["txt"]}, 'unknown modality "txt"'),
        ({"min_cross_modal": 0, "tolerance": -1.0}, "tolerance must be 0 or more"),
        ({"min_cross_modal": 0, "tolerance": float("nan")}, "tolerance must be 0 or more"),
        ({"min_cross_lingual": 0, "modalities": []}, "there is nothing to check"),
    ],
)
def test_wrong_questions_are_refused(runs, options, message):
    with pytest.raises(StudyError, match=message):
        check(runs["good"], **options)


def test_scores_that_a_run_does_not_have_are_an_error(runs, tmp_path):
    with pytest.raises(IsoglossError, match="has no controlled cross-modal scores to check"):
        check(runs["good"], min_cross_modal=0, scores="controlled")
    folder = planted(tmp_path / "run", analyses=("cross_modal",), languages=LANGUAGES[:2])
    with pytest.raises(IsoglossError, match="must have the analysis cross_lingual"):
        check(folder, min_cross_lingual=0)
    with pytest.raises(IsoglossError, match="holds no run"):
        check(tmp_path, min_cross_modal=0)


def test_exit_codes_lines_and_json(runs, tmp_path, capsys):
    good, bad = str(runs["good"]), str(runs["bad"])
    assert call(["check", good, "--min-cross-modal", "0.1"]) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[0].startswith("pass  cross-modal at len, calibrated: 0.")
    assert out[0].endswith("; at least 0.1 asked")
    assert out[-1] == "held: 1 of 1"
    assert call(["check", good, "--min-cross-modal", "0.99", "--max-cross-lingual", ".9"]) == 1
    out = capsys.readouterr().out.splitlines()
    assert [line[:4] for line in out] == ["FAIL", "pass", "pass", "held"]
    assert call(["check", bad, "--baseline", good, "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert told["passed"] is False
    assert [c["passed"] for c in told["conditions"]] == [False, True, True]
    assert call(["check", good]) == 2
    assert call(["check", str(tmp_path), "--min-cross-modal", "0"]) == 1
    assert call(["check", good, "--min-cross-modal", "much"]) == 2
    capsys.readouterr()
    assert call(["check", good, "--min-cross-modal", "0.99", "--github"]) == 1
    line = capsys.readouterr().out.splitlines()[0]
    assert line.startswith("::error title=isogloss check::FAIL  cross-modal")
    assert "95 %25" in line
    assert "95 % " not in line


def test_json_has_no_nan_and_undefined_is_said():
    nan = float("nan")
    item = Checked("minimum", MODAL, "len", "svcca", "raw", 0.2, nan, nan, nan, "", 0, False, "why")
    assert item.as_dict()["found"] is None
    assert str(item) == "FAIL  cross-modal at len, raw: undefined; at least 0.2 asked; why"
    assert annotation(item).startswith("::error")


def test_tables_of_an_earlier_state_hold_nothing(runs, tmp_path):
    """A language whose units are there, but which no table has yet, may not pass unseen."""
    folder = tmp_path / "stale"
    shutil.copytree(runs["good"], folder)
    frame = pl.read_parquet(folder / "results" / "cross_modal.parquet")
    write(frame.filter(pl.col("language_a") != "deu"), folder / "results", "cross_modal")
    (found,) = check(folder, min_cross_modal=-1.0)
    assert not found.passed
    assert "without deu" in found.reason


@pytest.mark.parametrize("value", [float("inf"), float("-inf")])
def test_limits_are_finite(runs, value):
    with pytest.raises(StudyError, match="finite"):
        check(runs["good"], min_cross_modal=value)
    with pytest.raises(StudyError, match="tolerance"):
        check(runs["good"], baseline=runs["twin"], tolerance=abs(value))
