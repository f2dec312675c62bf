"""On views with known structure every verdict is the planted one, both ways."""

import numpy as np
import polars as pl
import pytest

from isogloss import findings, specs
from isogloss.analyses import ANALYSES
from isogloss.api import analyse, load_results
from planted import ENCODER, HIGH, LOW, MEDIUM, Plan, plant
from plugins import DISTANCE, measures

HALVES = "halves(splits=8)"
GAPS = ["gaps", "closest(splits=8)"]
ALL = ["cross_modal", "cross_lingual", *GAPS, HALVES]


def found(folder, plan, analyses=ALL, **more):
    run = plant(folder, plan, analyses=analyses, **more)
    tables, _ = analyse(run.folder)
    parts = [specs.parse(ANALYSES, line) for line in run.study["analyses"]]
    named = {ANALYSES.name_of(type(p)): p for p in parts}
    frame = findings.gather("seamless", named, tables, load_results(run.folder, means=True))
    return frame, named, tables


def verdicts(frame, *names):
    rows = frame.filter(pl.col("claim").is_in(names))
    return {(r["claim"], r["scores"]): r["verdict"] for r in rows.iter_rows(named=True)}


def curve(*values):
    return dict(zip(ENCODER, values, strict=True))


RISING = Plan(
    text=curve(0.8, 0.3, 0.3, 0.5, 0.8, 0.9, 0.7),
    speech=curve(0.8, 0.3, 0.3, 0.5, 0.8, 0.9, 0.3) | {"len": 0.85},
)
FALLING = Plan(
    text=curve(0.2, 0.8, 0.9, 0.7, 0.5, 0.3, 0.4),
    speech=curve(0.2, 0.9, 0.9, 0.8, 0.6, 0.5, 0.9) | {"len": 0.5},
)


@pytest.fixture(scope="module")
def rising(tmp_path_factory):
    folder = tmp_path_factory.mktemp("rising") / "out"
    return found(folder, RISING, ["cross_modal", *GAPS, HALVES], confounds=["characters"])


@pytest.fixture(scope="module")
def falling(tmp_path_factory):
    return found(tmp_path_factory.mktemp("falling") / "out", FALLING)


def test_what_is_planted_is_supported(rising):
    frame, _, _ = rising
    names = ("rises", "dips", "drops", "adaptor")
    got = verdicts(frame, *names)
    assert len(got) == 3 * len(names)
    assert set(got.values()) == {"supported"}, got


def test_what_is_planted_the_other_way_is_contradicted(falling):
    frame, _, _ = falling
    names = ("rises", "dips", "adaptor", "text above speech")
    got = verdicts(frame, *names)
    assert len(got) == 2 * len(names)
    assert set(got.values()) == {"contradicted"}
    assert set(verdicts(frame, "text drops first").values()) == {"contradicted"}


def test_all_claims_have_all_kinds_of_scores_and_over_sentences_too(rising):
    frame, _, _ = rising
    counts = frame.group_by("claim").agg(pl.col("scores").unique().sort())
    assert all(s == ["calibrated", "controlled", "raw"] for s in counts["scores"].to_list())
    tested = frame.filter(pl.col("verdict") != "not testable")
    assert (tested["given"] == "").all()
    assert (tested["languages"] >= 3).all()
    assert (tested["low"] < tested["effect"]).all()
    assert (tested["effect"] < tested["high"]).all()
    assert (tested["p_adjusted"] >= tested["p_value"]).all()
    assert set(frame.filter(claim="gap by the rule")["verdict"]) == {"not testable"}


def test_effects_are_those_of_the_scores_themselves(rising):
    frame, _, tables = rising
    scores = tables["cross_modal"].filter(control="")
    mean = {k: v["score"].mean() for (k,), v in scores.group_by("label")}
    effect = dict(frame.filter(scores="raw").select("claim", "effect").iter_rows())
    assert effect["rises"] == pytest.approx(
        np.mean([mean[t] for t in "456"]) - np.mean([mean[t] for t in "12"])
    )
    assert effect["adaptor"] == pytest.approx(mean["len"] - mean["6"])
    rest = np.mean([mean[t] for t in "23456"])
    assert effect["dips"] in (
        pytest.approx(mean["in"] - mean["1"]), pytest.approx(rest - mean["1"]),
    )  # fmt: skip
    assert effect["drops"] == pytest.approx(np.mean([mean["4"], mean["5"]]) - mean["6"])
    own = scores.filter(pl.col("language_a").is_in(HIGH))
    before, after = (own.filter(label=t)["score"].mean() for t in ("6", "len"))
    assert effect["adaptor high"] == pytest.approx(after - before)


def test_text_above_speech_both_ways_and_where(tmp_path, falling):
    plan = Plan(
        text=curve(0.3, 0.8, 0.8, 0.8, 0.8, 0.8, 0.8), speech=curve(0.8, *[0.4] * 6) | {"len": 0.4}
    )
    frame, _, _ = found(tmp_path / "out", plan, ["cross_lingual", HALVES])
    got = verdicts(frame, "text above speech", "text above speech last", "text drops first")
    assert {v for (c, _), v in got.items() if c != "text drops first"} == {"supported"}
    assert {v for (c, _), v in got.items() if c == "text drops first"} == {"contradicted"}
    got = verdicts(falling[0], "text above speech last")
    assert set(got.values()) == {"contradicted"}


@pytest.mark.parametrize(("worse", "verdict"), [(LOW, "supported"), (HIGH, "contradicted")])
def test_resource_levels_and_the_adaptor_both_ways(tmp_path, worse, verdict):
    """Before the adaptor all levels are alike; it helps the better level alone."""
    better = HIGH if worse is LOW else LOW
    shares = dict.fromkeys(worse, 0.3) | dict.fromkeys(MEDIUM, 0.6) | dict.fromkeys(better, 0.9)
    plan = Plan(
        text=dict.fromkeys(ENCODER, 0.9),
        by_language={("speech", x): s for x, s in shares.items()}
        | {("speech", x, "6"): 0.3 for x in shares},
    )
    frame, _, _ = found(tmp_path / "out", plan, ["cross_modal"], languages=(*HIGH, *MEDIUM, *LOW))
    names = ("resource", "resource last", "adaptor high over low")
    assert set(verdicts(frame, *names).values()) == {verdict}
    gains, flat = ("high", "low") if worse is LOW else ("low", "high")
    assert set(verdicts(frame, f"adaptor {gains}").values()) == {"supported"}
    assert set(verdicts(frame, f"adaptor {flat}").values()) == {"no evidence"}
    scores = frame.filter(claim="adaptor high over low", scores="raw").row(0, named=True)
    each = {r["claim"]: r["effect"] for r in frame.filter(scores="raw").iter_rows(named=True)}
    assert scores["effect"] == pytest.approx(each["adaptor high"] - each["adaptor low"])


def test_own_speech_closer_than_any_text(tmp_path):
    plan = Plan(text={"6": 0.4}, speech={"len": 0.4}, own={"6": 0.5, "len": 0.5})
    frame, named, tables = found(tmp_path / "out", plan, GAPS)
    got = verdicts(frame, "gap closest", "gap average")
    assert set(got.values()) == {"contradicted"}
    table = named["closest"].describe(tables["closest"]).tables[0][1]
    assert set(table["closer"]) == {"own speech"}
    assert (table["p adjusted"] <= 0.05).all()
    rule = frame.filter(claim="gap by the rule", scores="raw")
    assert rule["effect"].item() == -1


def test_texts_closer_than_own_speech(tmp_path):
    plan = Plan(text={"6": 0.9}, speech={"len": 0.2})
    frame, named, tables = found(tmp_path / "out", plan, GAPS)
    assert set(verdicts(frame, "gap closest", "gap average").values()) == {"supported"}
    table = named["closest"].describe(tables["closest"]).tables[0][1]
    assert table["closer"].str.starts_with("text of").all()


def test_the_rule_of_the_study_finds_a_gap_where_there_is_none(tmp_path):
    """Speech that is to a text what any other text is: the best of eight is closer anyway."""
    frame, named, tables = found(tmp_path / "out", Plan(), GAPS, sentences=120)
    rule = frame.filter(claim="gap by the rule", scores="raw").row(0, named=True)
    assert rule["effect"] >= 0.5
    assert rule["verdict"] == "not testable"
    assert "it favours the statement" in rule["reason"]
    got = verdicts(frame, "gap closest", "gap average")
    assert set(got.values()) == {"no evidence"}
    table = named["closest"].describe(tables["closest"]).tables[0][1]
    assert set(table["closer"]) == {"neither is clearly closer"}


def test_what_is_not_planted_is_no_evidence(tmp_path):
    frame, _, _ = found(tmp_path / "out", Plan())
    tested = frame.filter(pl.col("verdict") != "not testable")
    assert tested["claim"].n_unique() >= 15
    assert set(tested["verdict"]) == {"no evidence"}


def test_a_flat_spectrum_is_a_finding_of_raw_scores_only(tmp_path):
    """Unrelated views score higher by chance, the more dimensions are kept of them."""
    plan = Plan(
        text=dict.fromkeys(ENCODER, 0.0),
        speech=dict.fromkeys([*ENCODER, "len"], 0.0),
        decay=curve(2.0, 2.0, 2.0, 0.5, 0.5, 0.0, 0.0),
    )
    frame, _, _ = found(tmp_path / "out", plan, ["cross_modal", HALVES])
    got = verdicts(frame, "rises")
    assert got == {("rises", "raw"): "supported", ("rises", "calibrated"): "no evidence"}
    said = findings.summary(frame).findings
    assert any("is supported by raw scores, but not by calibrated scores" in s for s in said)


def test_a_shared_length_is_no_finding_once_it_is_taken_out(tmp_path):
    """Speech and text that have nothing in common but how long the sentence is, in later layers."""
    plan = Plan(
        text=dict.fromkeys(ENCODER, 0.0),
        speech=dict.fromkeys([*ENCODER, "len"], 0.0),
        length=curve(0.0, 0.0, 0.0, 0.0, 0.9, 0.9, 0.9),
    )
    more = {"confounds": ["characters"]}
    frame, _, _ = found(tmp_path / "out", plan, ["cross_modal", HALVES], **more)
    got = verdicts(frame, "rises")
    assert got[("rises", "calibrated")] == "supported"
    assert got[("rises", "controlled")] == "no evidence"
    said = findings.summary(frame).findings
    assert any(s.endswith("but not by calibrated scores without confounds.") for s in said)


def test_few_languages_have_no_verdict(tmp_path):
    frame, _, _ = found(tmp_path / "out", RISING, languages=("deu", "eng"))
    assert set(frame["verdict"]) == {"not testable"}
    assert frame["p_value"].is_nan().all()
    assert (frame["reason"] != "").all()
    reason = frame.filter(claim="rises", scores="raw")["reason"].item()
    assert reason == "it takes 3 languages, there are 2"


def test_few_sentences_leave_the_claims_given_these_sentences(tmp_path):
    frame, _, tables = found(tmp_path / "out", RISING, sentences=30)
    assert "halves" not in tables
    assert "closest" not in tables
    row = frame.filter(claim="rises", scores="raw").row(0, named=True)
    assert (row["verdict"], row["given"]) == ("supported", "these sentences")
    assert any("hold the sentences fixed" in s for s in findings.summary(frame).findings)


def test_saturated_scores_have_a_reason(tmp_path):
    flat = Plan(decay=dict.fromkeys([*ENCODER, "len"], 0.0))
    frame, _, _ = found(tmp_path / "out", flat, ["cross_modal"], sentences=3)
    row = frame.filter(claim="rises", scores="raw").row(0, named=True)
    assert row["verdict"] == "not testable"
    assert "chance gives the best score there is" in row["reason"]


def test_languages_without_a_level_take_part_in_all_other_claims(tmp_path):
    names = ("afr", "deu", "eng", "zul")
    frame, _, _ = found(tmp_path / "out", RISING, ["cross_modal"], languages=names, sentences=24)
    rows = {r["claim"]: r for r in frame.filter(scores="raw").iter_rows(named=True)}
    assert rows["rises"]["languages"] == 4
    assert rows["resource"]["verdict"] == "not testable"
    assert "unknown" not in rows["resource"]["detail"]


def test_words_about_a_distance_have_the_distances(tmp_path, monkeypatch):
    with measures(tmp_path, monkeypatch, DISTANCE, distance="Distance"):
        frame, _, tables = found(
            tmp_path / "out", RISING, ["cross_lingual"], sentences=24, measures=["distance"]
        )
    detail = frame.filter(claim="text above speech last", scores="raw")["detail"][0]
    last = tables["cross_lingual"].filter(group="text", label="6")
    assert f"{last['score'].mean():.2f}" in detail, detail
    assert "-" not in detail.split(":", 1)[1]
