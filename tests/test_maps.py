"""Figure 4: what is read and kept, what is drawn and said, and the claims, on planted views."""

import itertools
import math

import numpy as np
import polars as pl
import pytest

from isogloss.analyses._maps_table import chosen, order
from isogloss.analyses.base import Contents
from isogloss.analyses.maps import Maps
from isogloss.charts import Line, Points, check
from isogloss.models.base import TapPair
from isogloss.report import interactive, tables
from planted_maps import LANGUAGES, TAPS, TEXTS, planted

SMALL = {"languages": LANGUAGES[:3], "sentences": 4}


@pytest.fixture(scope="module")
def frame():
    return Maps(perplexity=8).read(planted()[0])


@pytest.fixture(scope="module")
def summary(frame):
    return Maps().describe(frame)


# ---- reading ----------------------------------------------------------------------------------


def test_every_sentence_has_a_place_at_every_tap(frame):
    points = frame.filter(kind="point")
    assert points.height == 2 * len(TAPS) * len(LANGUAGES) * 12
    assert points["x"].is_finite().all()
    made = frame.filter(kind="map")
    assert made.height == 2 * len(TAPS)
    assert set(made["points"]) == {len(LANGUAGES) * 12}
    assert set(made["perplexity"]) == {8}
    assert set(made["seed"]) == {3}
    assert made["divergence"].is_finite().all()
    assert set(made["metric"]) == {"euclidean"}
    assert frame.filter(kind="sentence").height == len(LANGUAGES) * 12
    assert frame.filter(kind="sentence", language="arb", sentence="2")["text"][0] == (
        f"2. {TEXTS['arb']}"
    )


def test_numbers_are_the_planted_ones(frame):
    shares = frame.filter(kind="share", number="same language")
    of = dict(shares.group_by("modality").agg(pl.col("value").mean()).iter_rows())
    assert of["speech"] > 0.95
    assert of["text"] < 0.05
    pairs = frame.filter(kind="pair")
    assert pairs.filter(tap="1", modality="text").height == len(LANGUAGES) * 9 / 2
    of = dict(pairs.group_by("modality").agg(pl.col("value").mean()).iter_rows())
    assert of["text"] > 0.95
    assert of["speech"] < 0.3
    assert set(pairs["chance"]) == {1 / 12}


def test_each_tap_is_made_once_and_kept():
    material, made = planted(**SMALL)
    first = Maps(perplexity=3).read(material)
    assert [(i["modality"], i["tap"]) for i in made] == [
        (m, tap) for m in ("text", "speech") for tap, _ in TAPS
    ]
    assert Maps(perplexity=3).read(material).equals(first, null_equal=True)
    assert len(made) == 6
    Maps(perplexity=3, middle=0.9).read(material)
    assert len(made) == 6
    Maps(perplexity=2, taps="middle").read(material)
    assert len(made) == 8


def test_each_map_is_turned_onto_the_one_before(frame):
    for modality in ("text", "speech"):
        maps = [
            frame.filter(kind="point", modality=modality, tap=tap).select("x", "y").to_numpy()
            for tap, _ in TAPS
        ]
        for before, after in itertools.pairwise(maps):
            centred = [x - x.mean(axis=0) for x in (after, before)]
            u, _, vt = np.linalg.svd(centred[0].T @ centred[1])
            np.testing.assert_allclose(u @ vt, np.eye(2), atol=1e-3)


def test_sentences_are_those_that_most_have():
    ids = {
        ("deu", "text"): ("a", "b", "c", "d"),
        ("deu", "speech"): ("b", "c", "d"),
        ("eng", "text"): ("b", "d", "e"),
    }
    contents = Contents(ids, {}, ())
    assert chosen(contents, 2) == ("b", "d")
    assert chosen(contents, 3) == ("b", "c", "d")
    assert chosen(contents, 9) == ("a", "b", "c", "d", "e")


def test_languages_that_lack_a_sentence_keep_the_others():
    lost = {("deu", "speech", "1"), ("deu", "speech", "2")}
    frame = Maps(perplexity=3).read(planted(**SMALL, missing=lost)[0])
    counts = frame.filter(kind="point", tap="1").group_by("language", "modality").len()
    assert (
        dict(zip(counts.select("language", "modality").iter_rows(), counts["len"], strict=True))[
            "deu", "speech"
        ]
        == 2
    )
    assert sorted(counts["len"]) == [2, 4, 4, 4, 4, 4]
    chance = frame.filter(kind="pair", modality="speech", tap="1").sort("chance")["chance"]
    assert chance.to_list() == [1 / 4, 1 / 2, 1 / 2]


def pairs(count, last=()):
    return tuple(TapPair(str(i), str(i), str(i), i / count) for i in range(1, count + 1)) + last


@pytest.mark.parametrize(("count", "tap"), [(24, "14"), (32, "18")])
def test_the_printed_tap_is_that_of_the_study(count, tap):
    """The 14th of 24 layers and the 18th of 32, among the layers that the study reads."""
    read = [1, *range(2, count - 1, 2), count - 1, count]
    shown = tuple(p for p in pairs(count) if int(p.text) in read)
    taps = tuple((p.text, p.depth) for p in shown)
    ids = {(x, m): ("1",) for x in ("deu", "eng") for m in ("text", "speech")}
    contents = Contents(ids, {"text": taps, "speech": taps}, shown)
    found = [s for s in order(contents, Maps().middle).steps if s.printed]
    assert [s.label for s in found] == [tap]


def test_one_modality_has_its_own_taps_and_no_claims():
    frame = Maps(perplexity=3).read(planted(**SMALL, modalities=("speech",))[0])
    chart = Maps().describe(frame).charts[0]
    assert [s.label for s in chart.steps] == ["in", "1", "2"]
    assert [p.title for p in chart.panels] == ["Speech"]
    assert Maps().claims_of(frame) == ()


def test_one_language_has_nothing_to_map():
    assert Maps().read(planted(languages=("deu",))[0]) is None
    assert Maps().read(planted(languages=("deu", "eng"), taps=())[0]) is None


def test_what_cannot_be_drawn_is_said_and_costs_nothing_else():
    def spoil(key, view):
        if key.modality == "text" and key.tap == "1":
            return np.ones_like(view)
        if key.language == "deu" and key.tap == "2":
            view = view.copy()
            view[0] = np.nan
        return view

    frame = Maps(perplexity=3).read(planted(**SMALL, spoil=spoil)[0])
    bad = frame.filter(kind="map", tap="1", modality="text").row(0, named=True)
    assert "the same but for 1" in bad["reason"]
    assert math.isnan(bad["divergence"])
    summary = Maps().describe(frame)
    for chart in summary.charts:
        check(chart)
    assert [len(p.marks) for p in summary.charts[0].panels] == [0, 3]
    said = " ".join(summary.findings)
    assert "There is no map of text at tap 1: the 12 points are the same but for 1" in said
    assert "On 2 maps sentences are missing, at most 1" in said
    shares = frame.filter(kind="share", tap="1", modality="text", number="same language")
    np.testing.assert_allclose(shares["value"], shares["chance"])
    assert frame.filter(kind="map", tap="2", modality="text")["left_out"][0] == 1


# ---- what is shown ----------------------------------------------------------------------------


def test_the_map_has_a_step_for_each_tap_and_prints_the_middle(summary):
    chart = summary.charts[0]
    check(chart)
    assert [s.label for s in chart.steps] == [tap for tap, _ in TAPS]
    assert chart.steps[chart.shown].label == "1"
    assert [p.title for p in chart.panels] == ["Text", "Speech"]
    assert all(isinstance(m, Points) for m in chart.panels[0].marks)
    assert [m.label for m in chart.panels[1].marks] == list(LANGUAGES)
    assert [c.name for c in chart.colourings] == [
        "language family",
        "language",
        "resource level",
        "script",
    ]
    assert chart.colourings[0].groups["deu"] == "Indo-European"
    assert next(iter(chart.colourings[0].groups.values())) == "Indo-European"
    assert chart.colourings[1].groups["deu"] == "German (deu)"
    assert next(iter(chart.colourings[2].groups.values())) == "high"
    assert "perplexity 8" in chart.caption
    assert "seed 3" in chart.caption


def test_hover_has_language_sentence_and_text_cut_and_escaped(summary):
    chart = summary.charts[0]
    points = {m.name: m for m in chart.panels[0].marks}
    name, sentence, text = points["arb"].hover[3].split("\n")
    assert (name, sentence) == ("Arabic (arb)", "sentence 3")
    assert len(text) == 200
    assert text.endswith("…")
    content = interactive.content(chart)
    shown = [t for texts in content["texts"] for t in texts]
    assert any("&lt;b&gt;in&lt;/b&gt;" in t for t in shown)
    assert not any("<b>" in t for t in shown)
    # Text and speech, and all taps, share the hover texts of a language.
    assert sum(len(texts) > 1 for texts in content["texts"]) == len(LANGUAGES)


def test_curves_have_chance_and_intervals(summary):
    chart = summary.charts[1]
    check(chart)
    assert len(chart.panels) == 3
    lines = {m.name: m for m in chart.panels[0].marks if isinstance(m, Line)}
    assert min(lines["Speech"].y) > 0.95
    assert lines["chance"].y == pytest.approx([11 / 119] * 3)
    found = next(m for m in chart.panels[2].marks if m.name == "Speech")
    assert (np.array([found.low, found.y, found.high]).argsort(axis=0).T == [0, 1, 2]).all()


def test_findings_say_the_numbers_of_the_middle(summary):
    first = summary.findings[0]
    assert first.startswith("At the middle tap (1), ")
    assert "% in speech (chance 9.2 %)" in first
    assert "distances between them" in summary.findings[-1]
    (title, table) = summary.tables[0]
    assert title == "By tap"
    assert table.height == 6
    assert table["translation: chance"].to_list() == pytest.approx([1 / 12] * 6)


def test_values_name_tap_language_and_sentence(summary):
    table = tables.chart_table(summary.charts[0])
    labels = [c.label for c in table.columns]
    assert labels == ["tap", "panel", "series", "point", "x", "value"]
    assert len(table.rows) == 6 * 120
    assert table.rows[0][:4] == ("in", "Text", "arb", "0")


# ---- claims -----------------------------------------------------------------------------------


def claims(**planted_as):
    frame = Maps(perplexity=5, taps="middle").read(planted(sentences=8, **planted_as)[0])
    return {c.name: c for c in Maps().claims_of(frame)}


def test_claims_find_what_was_planted(frame):
    found = {c.name: c for c in Maps().claims_of(frame)}
    assert list(found) == ["speech by language", "speech by family", "text by meaning"]
    for name in ("speech by language", "text by meaning"):
        claim = found[name]
        assert claim.effect > 0.7
        assert claim.low <= claim.effect <= claim.high
        assert claim.p_value < 1e-6 or claim.reason == "all languages have the same value"
        assert claim.count == len(LANGUAGES)
        assert (claim.scores, claim.source) == ("raw", "section 3.2 and Figure 4")
    assert "in speech (tap 1)" in found["speech by language"].detail


def test_claims_turn_round_with_what_was_planted():
    found = claims(meaning={"text": 0.0, "speech": 1.2}, of_language={"text": 1.2, "speech": 0.0})
    for name in ("speech by language", "text by meaning"):
        assert found[name].effect < -0.3
        assert found[name].p_value < 1e-3


def test_claims_are_open_when_nothing_was_planted():
    """With the same order in both, at most as many are significant as chance allows."""
    same = {"text": 0.7, "speech": 0.7}
    p = []
    for seed in range(8):
        found = claims(meaning=same, of_language=same, seed=seed)
        p += [found[n].p_value for n in ("speech by language", "text by meaning")]
        assert abs(found["text by meaning"].effect) < 0.25
    # Binomial: more than 4 of 16 below .05 happen once in a thousand times.
    assert sum(value < 0.05 for value in p) <= 4
    assert np.isfinite(p).all()


def test_two_languages_have_numbers_but_no_test():
    found = claims(languages=("deu", "fin"))
    assert "it takes 3 languages" in found["speech by language"].reason
    assert math.isnan(found["speech by language"].p_value)
    assert found["speech by family"].reason
    assert found["text by meaning"].effect > 0


def test_what_only_one_modality_has_makes_no_finding():
    """More languages or sentences in one modality shift chance, and the claims must not see it."""
    nothing = dict.fromkeys(("text", "speech"), 0.0)
    several = LANGUAGES

    def noise(key, view):
        rng = np.random.default_rng([seed, *map(ord, key.language + key.modality)])
        return rng.normal(size=view.shape)

    for missing in (
        {(x, "speech", str(i)) for x in several[8:] for i in range(24)},
        {(x, "speech", str(i)) for x in several for i in range(8, 24)},
    ):
        found = []
        for seed in range(3):
            material, _ = planted(
                several, 24, taps=TAPS[:1], missing=missing, seed=seed,
                meaning=nothing, of_language=nothing, spoil=noise,
            )  # fmt: skip
            frame = Maps(perplexity=8, middle=0.0, neighbours=5).read(material)
            found += [c for c in Maps().claims_of(frame) if not c.reason]
        assert len(found) >= 6
        assert sum(c.p_value < 0.01 for c in found) == 0, [(c.name, c.p_value) for c in found]
        # The shares that are drawn are those of all that there is.
        drawn = frame.filter(kind="share", number="same language", modality="text")
        assert drawn.height == len(several)
