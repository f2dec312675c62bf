"""Which pairs converge first: where curves reach levels, and whether text comes before speech."""

import numpy as np
import polars as pl
import pytest

from builders import make_run
from isogloss.analyses._convergence_curves import arrival
from isogloss.analyses.convergence import Convergence
from isogloss.api import analyse
from isogloss.charts import check
from isogloss.errors import IsoglossError
from planted_scores import MEASURE, cross_lingual, cross_modal, material

LANGUAGES = ("arb", "deu", "ell", "eng", "est", "fin", "heb", "ita", "mal", "tam")
DEPTHS = tuple(np.linspace(0, 1, 11))


@pytest.mark.parametrize(
    ("values", "level", "depth", "state"),
    [
        ((0.0, 0.2, 0.6, 0.8), 0.4, 1 / 2, "reached"),
        ((0.0, 0.2, 0.6, 0.8), 0.6, 2 / 3, "reached"),
        ((0.5, 0.2, 0.6, 0.8), 0.4, 0.0, "start"),
        ((0.0, 0.2, 0.3, 0.3), 0.4, np.nan, "never"),
        ((0.0, np.nan, 0.6, 0.8), 0.3, 1 / 3, "reached"),
        ((np.nan, 0.2, 0.6, 0.1), 0.2, 1 / 3, "start"),
        ((0.0, 0.9, 0.0, 0.9), 0.45, 1 / 6, "reached"),
    ],
)
def test_arrival_by_hand(values, level, depth, state):
    found = arrival(np.array([0, 1 / 3, 2 / 3, 1]), np.array(values), level)
    assert found.state == state
    np.testing.assert_allclose(found.depth, depth)


def test_two_taps_at_one_depth():
    found = arrival(np.array([0.0, 1.0, 1.0]), np.array([0.0, 0.2, 0.6]), 0.4)
    assert (found.depth, found.state) == (1.0, "reached")


def ramp(top, middle):
    """A straight rise that is at half of its top at a depth."""
    return [top * min(1.0, d / (2 * middle)) for d in DEPTHS]


def planted(middle, *, top=0.6, modal=0.4, p_curve=None, seed=0, noise=0.0):
    """Curves that are at half of their maximum at known depths: {modality: depth}."""
    rng = np.random.default_rng(seed)
    later = {m: {code: noise * rng.normal() for code in LANGUAGES} for m in middle}
    tops = top if callable(top) else lambda *_: top

    def value(modality, a, b, tap):
        at = middle[modality] + later[modality][a] + later[modality][b]
        return ramp(tops(modality, a, b), at)[tap]

    tables = {
        "cross_lingual": cross_lingual(LANGUAGES, DEPTHS, value, tuple(middle), p_curve=p_curve),
        "cross_modal": cross_modal(LANGUAGES, DEPTHS, lambda _, tap: ramp(0.5, modal)[tap]),
    }
    return material(tables, DEPTHS, LANGUAGES, modalities=tuple(middle))


def test_depths_are_the_planted_ones():
    frame = Convergence().read(planted({"text": 0.2, "speech": 0.45}))
    for scores in ("calibrated", "controlled"):
        rows = frame.filter(scores=scores)
        for what, depth in (("text", 0.2), ("speech", 0.45)):
            own = rows.filter(what=what)["own_depth"].to_numpy()
            assert len(own) == 45
            np.testing.assert_allclose(own, depth)
    modal = frame.filter(what="cross-modal", scores="calibrated")
    assert modal["language_a"].to_list() == modal["language_b"].to_list() == sorted(LANGUAGES)
    np.testing.assert_allclose(modal["own_depth"], 0.4)
    # Half of the largest score of all, .3, is at three fifths of the rise to .5.
    assert set(modal["common_level"]) == {0.3}
    np.testing.assert_allclose(modal["common_depth"], 0.8 * 0.6)
    quarter = Convergence(share=0.25, level=0.45).read(planted({"text": 0.2, "speech": 0.45}))
    text = quarter.filter(what="text", scores="calibrated")
    np.testing.assert_allclose(text["own_depth"], 0.1)
    np.testing.assert_allclose(text["common_depth"], 0.3)


def test_pairs_that_never_do_are_said_so():
    def p_curve(modality, a, b):
        return 0.3 if (a, b) == ("deu", "eng") else 0.01

    def top(modality, a, b):
        return {("deu", "fin"): 0.1, ("deu", "ita"): -0.2}.get((a, b), 0.6)

    run = planted({"text": 0.2, "speech": 0.2}, top=top, p_curve=p_curve)
    frame = Convergence().read(run).filter(what="text", scores="calibrated")
    rows = {(r["language_a"], r["language_b"]): r for r in frame.to_dicts()}
    chance = rows["deu", "eng"]
    assert np.isnan([chance["own_depth"], chance["common_depth"]]).all()
    assert (chance["own_state"], chance["reason"]) == (
        "never", "not above chance: p = 0.3 over all taps",
    )  # fmt: skip
    below = rows["deu", "ita"]
    assert (below["own_state"], below["reason"]) == ("never", "above chance at no tap")
    low = rows["deu", "fin"]
    assert low["own_depth"] == pytest.approx(0.2)
    assert (low["common_state"], low["reason"]) == ("never", "")
    assert np.isnan(low["common_depth"])
    summary = Convergence().describe(Convergence().read(run))
    drawn = summary.charts[0].panels
    text = [panel.marks[0].y[-1] for panel in drawn]
    assert text == [43 / 45, 42 / 45]
    groups = summary.tables[0][1].filter(what="text")
    assert groups["own_never"].sum() == 2 * 2
    assert groups["common_never"].sum() == 2 * 3


@pytest.mark.parametrize("sign", [1, -1])
def test_claim_has_the_planted_sign(sign):
    middle = {"text": 0.3 - 0.1 * sign, "speech": 0.3 + 0.1 * sign}
    frame = Convergence().read(planted(middle, noise=0.01))
    raw, calibrated, controlled = Convergence().claims_of(frame)
    assert np.isnan(raw.effect)
    assert "no zero" in raw.reason
    for claim in (calibrated, controlled):
        assert claim.effect == pytest.approx(0.2 * sign, abs=0.03)
        assert sign * claim.low > 0
        assert sign * claim.high > 0
        assert claim.p_value < 0.001
        assert (claim.count, claim.measure) == (10, MEASURE)


def test_claim_is_made_at_the_nominal_rate_where_there_is_nothing():
    p, covered = [], 0
    for seed in range(25):
        frame = Convergence().read(planted({"text": 0.3, "speech": 0.3}, noise=0.01, seed=seed))
        claim = Convergence().claims_of(frame)[1]
        p.append(claim.p_value)
        covered += claim.low <= 0 <= claim.high
    assert np.mean(np.array(p) <= 0.05) <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 25)
    assert covered == np.sum(np.array(p) > 0.05)


def test_charts_and_sentences():
    frame = Convergence().read(planted({"text": 0.2, "speech": 0.4}, noise=0.02))
    summary = Convergence().describe(frame)
    assert [chart.name for chart in summary.charts] == ["convergence", "convergence_languages"]
    for chart in summary.charts:
        check(chart)
    own = summary.charts[0].panels[0].marks
    assert [line.name for line in own] == [
        "pairs of languages, text", "pairs of languages, speech", "text with speech of a language",
    ]  # fmt: skip
    for line in own:
        assert list(line.y) == sorted(line.y)
        assert line.y[-1] == 1.0
    depths = frame.filter(what="text", scores="calibrated")["own_depth"].to_numpy()
    assert own[0].y[4] == np.mean(depths <= 0.2 + 1e-9)
    assert "in text and" in summary.findings[0]
    assert any("half of 45 pairs of languages reach 0.5" in s for s in summary.findings)
    assert any("the first to rise" in s for s in summary.findings)


def test_one_modality_makes_no_claim():
    run = planted({"text": 0.2})
    object.__setattr__(run, "tables", {"cross_lingual": run.tables["cross_lingual"]})
    frame = Convergence().read(run)
    assert Convergence().claims_of(frame) == ()
    assert set(frame["what"]) == {"text"}
    for chart in Convergence().describe(frame).charts:
        check(chart)


def test_few_languages_have_no_test():
    names = LANGUAGES[:5]
    table = cross_lingual(names, DEPTHS, lambda m, a, b, tap: ramp(0.5, 0.3)[tap])
    frame = Convergence().read(material({"cross_lingual": table}, DEPTHS, names))
    claim = Convergence().claims_of(frame)[1]
    assert claim.effect == 0
    assert np.isnan(claim.p_value)
    assert "it takes 8 languages in pairs" in claim.reason


def test_nothing_to_read():
    run = planted({"text": 0.2, "speech": 0.4})
    table = run.tables["cross_lingual"]
    nothing = table.with_columns(calibrated=pl.lit(float("nan")))
    object.__setattr__(run, "tables", {"cross_lingual": nothing})
    assert Convergence().read(run) is None
    object.__setattr__(run, "tables", {})
    with pytest.raises(IsoglossError, match="name that analysis in the study too"):
        Convergence().read(run)


def test_in_a_run(tmp_path):
    names = ("deu", "ell", "eng", "est", "fin", "heb", "ita", "tur")
    make_run(
        tmp_path / "run", names, measures=("svcca",),
        analyses=("cross_lingual", "cross_modal", "convergence"),
    )  # fmt: skip
    frame = analyse(tmp_path / "run")[0]["convergence"]
    plain = frame.filter(scores="calibrated")
    assert plain.filter(what="cross-modal").height == 8
    assert plain.filter(what="text").height == plain.filter(what="speech").height == 28
    # The views share nothing at the input, .7 in the middle and .9 at the end.
    text = plain.filter(what="text", own_state="reached")
    assert text.height > 20
    assert text["own_depth"].is_between(0.1, 0.5).mean() > 0.9
    for chart in Convergence().describe(frame).charts:
        check(chart)
