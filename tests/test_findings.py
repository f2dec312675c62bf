"""The statistics of findings against their definitions, the table, and its words."""

import itertools
from math import isnan

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from isogloss import findings
from isogloss.analyses import _claims_modal
from isogloss.analyses._claims import Column, Table, adapted, layers
from isogloss.analyses._crossfit import Crossfit
from isogloss.analyses._gap_table import MODAL, TEXT
from isogloss.analyses._halves import halved
from isogloss.analyses.base import Claim, Comparison, ViewKey
from isogloss.charts import check
from isogloss.errors import IsoglossError
from isogloss.findings import statistics
from isogloss.findings.statistics import Estimate, Halves
from isogloss.findings.words import number, probability, sentence
from isogloss.similarity.over_languages import languages

NAMES = [f"l{i:02}" for i in range(12)]
MEASURE = "svcca(share=0.9, rule=squared, mean=all, epsilon=1e-10, zscore=false)"


def rng(seed=0):
    return np.random.default_rng(seed)


def test_a_mean_over_languages_is_students_test():
    values = rng().normal(size=12) + 0.5
    found = statistics.mean([*values, np.nan], [*NAMES, "lost"])
    golden = stats.ttest_1samp(values, 0)
    assert found.p_value == pytest.approx(golden.pvalue)
    assert (found.low, found.high) == pytest.approx(tuple(golden.confidence_interval()))
    assert (found.count, found.given) == (12, "these sentences")


@pytest.mark.parametrize("count", [0, 1, 2])
def test_too_few_languages_have_no_p_value(count):
    found = statistics.mean(rng().normal(size=count), NAMES[:count])
    assert isnan(found.p_value)
    assert found.reason


def test_pairs_that_share_languages_are_not_independent():
    """Eight languages with a value each: 28 pairs know no more than eight values."""
    own = rng(3).normal(size=8)
    pairs = list(itertools.combinations(range(8), 2))
    values = [own[i] + own[j] for i, j in pairs]
    first, second = ([NAMES[p[k]] for p in pairs] for k in (0, 1))
    found = statistics.mean(values, first, second)
    golden = stats.ttest_1samp(2 * own, 0)
    assert found.count == 8
    assert found.p_value == pytest.approx(golden.pvalue, rel=0.15)
    assert found.p_value > 20 * stats.ttest_1samp(values, 0).pvalue
    few = [k for k, p in enumerate(pairs) if max(p) < 7]
    fewer = [[column[k] for k in few] for column in (values, first, second)]
    assert "it takes 8 languages in pairs, there are 7" in statistics.mean(*fewer).reason


def test_the_p_value_of_a_mean_over_pairs_belongs_to_its_interval():
    rng = np.random.default_rng(4)
    names = [f"l{i}" for i in range(9)]
    a, b = zip(*[(x, y) for i, x in enumerate(names) for y in names[i + 1 :]], strict=True)
    for _ in range(40):
        effect = dict(zip(names, rng.normal(size=9), strict=True))
        noise = rng.choice([0.1, 3.0]) * rng.normal(size=36)
        values = [0.8 + effect[x] + effect[y] for x, y in zip(a, b, strict=True)] + noise
        found = statistics.mean(values, a, b)
        assert (found.p_value < 0.05) == (found.low > 0 or found.high < 0)
        interval = languages(a, b, values)
        assert (found.low, found.high) == pytest.approx((interval.low, interval.high), rel=1e-6)


def test_a_trend_of_two_levels_is_welchs_with_the_p_value_of_permutations():
    y, x = rng(1).normal(size=13), np.repeat([0.0, 1.0], [6, 7])
    y[x == 1] = 3 * y[x == 1] + 1
    found = statistics.trend(y, x)
    golden = stats.ttest_ind(y[x == 1], y[x == 0], equal_var=False)
    assert found.effect == pytest.approx(y[x == 1].mean() - y[x == 0].mean())
    error = found.effect / golden.statistic
    freedom = (1 / 6 + 1 / 7) ** 2 / (1 / 6**2 / 5 + 1 / 7**2 / 6)
    assert found.high - found.effect == pytest.approx(stats.t.ppf(0.975, freedom) * error)

    def studied(chosen):
        one, other = y[chosen], np.delete(y, chosen)
        return abs(stats.ttest_ind(one, other, equal_var=False).statistic)

    every = [studied(list(c)) for c in itertools.combinations(range(13), 7)]
    exact = np.mean(np.array(every) >= abs(golden.statistic) - 1e-9)
    assert found.p_value == pytest.approx(exact, abs=4 * np.sqrt(exact * (1 - exact) / 9999))


@pytest.mark.parametrize(
    ("levels", "reason"),
    [([1] * 9, "different levels"), ([0] * 8 + [1], "one language only"),
     ([0] * 3 + [1] * 3, "6 languages are too few")],
)  # fmt: skip
def test_a_trend_needs_enough_languages_of_each_level(levels, reason):
    found = statistics.trend(rng().normal(size=len(levels)), levels)
    assert reason in found.reason
    assert isnan(found.p_value)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_is_the_step_down_of_its_definition(p):
    adjusted = statistics.holm(p)
    order = sorted(range(len(p)), key=p.__getitem__)
    for rank, i in enumerate(order):
        steps = [(len(p) - k) * p[order[k]] for k in range(rank + 1)]
        assert adjusted[i] == pytest.approx(min(1, max(steps)))


def test_both_takes_the_part_that_is_least_above_zero():
    sure, unsure, below = (
        Estimate(e, e - 1, e + 1, p, 9) for e, p in ((2, 1e-9), (1, 0.03), (-1, 0.02))
    )
    assert statistics.both([sure, unsure]) == (unsure, 1)
    found, which = statistics.both([sure, below])
    assert (which, found.effect, found.p_value) == (1, -1, 0.04)
    lost = Estimate(float("nan"), reason="nothing there")
    assert statistics.both([sure, lost]) == (lost, 1)


def noise(shared, own, rows=10, splits=400, blocks=200, seed=0):
    r = rng(seed)
    scale = np.sqrt(blocks)
    made = shared * scale * r.normal(size=(blocks, 1)) + own * scale * r.normal(size=(blocks, rows))
    orders = [r.permutation(blocks) for _ in range(splits)]
    sides = [[made[o[: blocks // 2]].mean(0), made[o[blocks // 2 :]].mean(0)] for o in orders]
    return made.mean(0), np.array(sides)


def test_the_noise_that_rows_share_is_told_from_their_own():
    many = [
        [
            statistics.shared_noise(Halves(noise(s, o, seed=i, splits=40)[1], 1))[0]
            for i in range(40)
        ]
        for s, o in ((0.3, 0.2), (0.0, 0.3))
    ]
    assert np.mean(many[0]) == pytest.approx(0.09, rel=0.15)
    assert np.mean(many[1]) < 0.1 * 0.09
    half = statistics.shared_noise(Halves(noise(0.3, 0.2)[1], 0.5))[0]
    assert half == pytest.approx(statistics.shared_noise(Halves(noise(0.3, 0.2)[1], 1))[0] / 2)


def test_sentences_that_all_languages_share_are_not_mistaken_for_a_finding():
    """A binomial bound of one in a million: at the nominal rate nobody sees it fail."""
    fixed, over = [], []
    for seed in range(200):
        whole, halves = noise(0.3, 0.3, splits=12, blocks=32, seed=seed)
        values = whole + 0.1 * rng([seed, 1]).normal(size=10)
        fixed.append(statistics.mean(values, NAMES[:10]).p_value <= 0.05)
        found = statistics.mean(values, NAMES[:10], None, Halves(halves, 1.0))
        over.append(found.p_value <= 0.05)
        assert found.given == ""
    most = stats.binom.isf(1e-6, 200, 0.05)
    assert sum(over) <= most
    assert sum(fixed) > most


def modal_table(values, halves=None):
    depths = np.linspace(0, 1, values.shape[1] - 1)
    columns = [
        Column(_claims_modal.GROUP, str(i), i, float(d), str(i), str(i))
        for i, d in enumerate(depths)
    ]
    last = columns[-1]
    columns.append(Column(_claims_modal.GROUP, "len", last.position + 1, 1.0, last.tap_a, "len"))
    codes = ("arb", "cat", "cmn", "deu", "eng", "fin", "amh", "bul", "hye", "kat", "khm", "lit")
    return Table("raw", tuple((c, c) for c in codes), tuple(columns), values, halves=halves)


def test_no_claim_is_made_of_noise_more_often_than_it_should_be():
    counts, studies = {}, 80
    for seed in range(studies):
        r = rng([7, seed])
        values = 0.5 + 0.1 * r.normal(size=(12, 1)) + 0.03 * r.normal(size=(12, 14))
        for claim in _claims_modal.claims(modal_table(values)):
            if not claim.reason:
                counts[claim.name] = counts.get(claim.name, 0) + (claim.p_value <= 0.05)
    tested = {"rises", "dips", "flattens", "drops", "adaptor", "adaptor high over low", "resource"}
    assert tested <= set(counts)
    assert max(counts.values()) <= stats.binom.isf(1e-6, studies, 0.05)


def test_a_dip_needs_both_the_fall_and_the_rise():
    base = 0.5 + 0.02 * rng().normal(size=(12, 14))
    initial = np.zeros(14)
    initial[1:3] = 1  # of 12 layers, those up to a sixth of the depth

    def p_of(values):
        return next(c for c in _claims_modal.claims(modal_table(values)) if c.name == "dips")

    dip = p_of(base - 0.2 * initial)
    assert dip.effect > 0
    assert dip.p_value < 1e-4
    only_falls, only_rises = initial.copy(), initial.copy()
    only_falls[1:] = 1
    only_rises[0] = 1
    for shape in (only_falls, only_rises):
        assert p_of(base - 0.2 * shape).p_value > 0.01
    bump = p_of(base + 0.2 * initial)
    assert bump.effect < 0
    assert bump.p_value < 1e-4


def gap_table(own, text, splits=12, spread=0.02, seed=0):
    names = NAMES[: len(own)]
    rows = sorted([(x, x) for x in names] + list(itertools.combinations(names, 2)))
    truth = np.full((len(rows), 2), np.nan)
    at = {x: i for i, x in enumerate(names)}
    for i, (a, b) in enumerate(rows):
        truth[i, int(a != b)] = own[at[a]] if a == b else text[at[a], at[b]]
    columns = (Column(MODAL, "x", 0, 1.0, "t", "s"), Column(TEXT, "x", 0, 1.0, "t", "t"))
    halves = truth + spread * rng(seed).normal(size=(splits, 2, *truth.shape))
    return Table("raw", tuple(rows), columns, truth, halves=halves)


def test_the_partner_is_chosen_on_the_other_half():
    text = np.full((9, 9), 0.4)
    text[0, 1] = text[1, 0] = 0.7
    fit = Crossfit.of(gap_table(np.full(9, 0.4), text, spread=0.2))
    gaps, partner = fit.gaps()
    for s, h, i in itertools.product(range(3), range(2), range(9)):
        chosen = np.nanargmax(fit.text[s, 1 - h, i])
        assert partner[s, h, i] == chosen
        assert gaps[s, h, i] == pytest.approx(fit.text[s, h, i, chosen] - fit.own[s, h, i])
    # The best of eight, chosen where it is judged, is high by noise alone.
    same = np.nanmax(fit.text, axis=-1) - fit.own
    assert same[..., 2:].mean() > 0.15
    assert abs(gaps[..., 2:].mean()) < 0.05
    without, partner = fit.gaps(1)
    assert not (partner[..., [0, *range(2, 9)]] == 1).any()
    assert np.isnan(without[..., 1]).all()


def comparison(sentences, language="deu"):
    ids = tuple(f"{i:03}" for i in sentences)
    views = ViewKey(language, "text", "1"), ViewKey(language, "speech", "1")
    return Comparison(*views, ids, "matched", "1", 0, 0.5)


def test_halves_share_no_sentence_in_any_language():
    parts = halved([comparison(range(90)), comparison(range(10, 100), "eng")], 9, seed=3)
    assert len(parts) == 2 * 9 * 2
    assert len({len(c.sentences) for c, _, _ in parts}) == 1
    for split in range(9):
        sides = [
            {s for c, number, half in parts if (number, half) == (split, h) for s in c.sentences}
            for h in (0, 1)
        ]
        assert not sides[0] & sides[1]
    with pytest.raises(IsoglossError, match="comparisons of 40 sentences or more"):
        halved([comparison(range(39))], 9, seed=0)


def claim(name="rises", scores="raw", effect=0.2, p=0.001, **more):
    values = {
        "statement": f"It {name}", "source": "section 3.1", "low": effect - 0.1,
        "high": effect + 0.1, "count": 12, "unit": "difference of scores", "detail": "",
    }  # fmt: skip
    return Claim(name=name, scores=scores, effect=effect, p_value=p, **{**values, **more})


def test_verdicts_follow_the_adjusted_p_and_the_sign():
    lost = claim("drops", p=float("nan"), effect=float("nan"), reason="no layers")
    given_ = [claim(p=0.001), claim("dips", p=0.02, effect=-0.3), claim("resource", p=0.03), lost]
    frame = findings.table("salmonn", {("cross_modal", MEASURE): given_})
    assert frame["p_adjusted"][:3].to_list() == pytest.approx([0.003, 0.04, 0.04])
    assert frame["verdict"].to_list() == [
        "supported", "contradicted", "supported", "not testable",
    ]  # fmt: skip
    assert frame["in the study"].to_list() == ["yes", "yes", "yes", "yes"]
    assert dict(frame.schema) == findings.SCHEMA
    weak = findings.table("x", {("a", MEASURE): [claim(p=0.03), claim("dips", p=0.2)]})
    assert set(weak["verdict"]) == {"no evidence"}
    assert set(weak["in the study"]) == {""}


def test_p_values_are_adjusted_within_a_kind_of_scores_and_measure():
    several = [claim(scores=s, p=0.03) for s in ("raw", "calibrated", "controlled")]
    other = {("cross_modal", "cka(debiased=true, zscore=false)"): [claim(p=0.04)]}
    frame = findings.table("seamless", {("cross_modal", MEASURE): several, **other})
    assert (frame["p_adjusted"] == frame["p_value"]).all()


def test_a_claim_over_sentences_goes_before_one_given_them():
    fixed = claim(given="these sentences", p=1e-6)
    over = claim(p=0.2, measure=MEASURE)
    key = ("cross_modal", MEASURE)
    for order in ({key: [fixed], "halves": [over]}, {"halves": [over], key: [fixed]}):
        frame = findings.table("seamless", order)
        assert frame["p_value"].to_list() == [0.2]
    lost = claim(p=float("nan"), reason="too few sentences", measure=MEASURE)
    kept = findings.table("seamless", {key: [fixed], "halves": [lost]})
    assert kept["given"].to_list() == ["these sentences"]


def test_what_the_study_says_of_each_model():
    names = ("gap closest", "adaptor low", "text above speech first")
    said = {
        family: findings.table(family, {("x", MEASURE): [claim(n) for n in names]})["in the study"]
        for family in ("seamless", "sonar", "salmonn")
    }
    assert {k: v.to_list() for k, v in said.items()} == {
        "seamless": ["yes", "no", "yes"], "sonar": ["no", "", "yes"],
        "salmonn": ["yes", "no", "no"],
    }  # fmt: skip


def test_disagreement_is_said_in_words():
    rows = [claim(p=1e-5), claim(scores="calibrated", effect=0.01, p=0.6)]
    rows.append(claim(scores="controlled", effect=-0.2, p=0.001))
    frame = findings.table("sonar", {("cross_modal", MEASURE): rows})
    summary = findings.summary(frame)
    assert summary.findings[0].startswith(
        "Of the claims that could be tested, raw scores support 1"
    )
    assert "the kinds disagree" in summary.findings[0]
    assert summary.findings[1] == (
        "“It rises” is supported by raw scores, but not by calibrated scores and calibrated scores "
        "without confounds."
    )
    text = sentence(frame.to_dicts())
    assert "raw scores support it (+0.20, 95 % +0.10 to +0.30, p < .001)" in text
    assert "calibrated scores give no evidence either way" in text
    assert "but calibrated scores without confounds speak against it" in text
    assert text.endswith("The study says so of its model of this family.")
    assert summary.tables[0][1].row(0, named=True) == {
        "statement": "It rises", "in the study": "yes", "raw": "supported",
        "calibrated": "no evidence", "controlled": "contradicted", "languages": 12,
    }  # fmt: skip
    assert summary.charts
    for chart in summary.charts:
        check(chart)


def test_a_run_on_which_nothing_can_be_tested_says_so():
    row = claim(p=float("nan"), low=float("nan"), high=float("nan"), reason="too few languages")
    frame = findings.table("sonar", {("cross_modal", MEASURE): [row]})
    assert (
        findings.summary(frame).findings[0].startswith("None of the study's claims can be tested")
    )


def test_a_run_without_claims_says_so():
    frame = findings.table("seamless", {})
    assert frame.height == 0
    assert "no claim to test" in findings.summary(frame).findings[0]
    lost = claim(p=float("nan"), effect=float("nan"), reason="no layers")
    only = findings.table("seamless", {("cross_modal", MEASURE): [lost]})
    summary = findings.summary(only)
    assert summary.charts == ()
    verdicts, words = (frame for _, frame in summary.tables[:2])
    assert verdicts["raw"].to_list() == ["not testable"]
    assert "raw scores cannot test it (no layers)" in words["finding"][0]


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.123, "+0.12"), (-0.05, "−0.050"), (0.0, "0.000"), (0.0996, "+0.10"), (-0.0001, "0.000")],
)
def test_numbers_have_a_sign_and_as_many_places_as_they_need(value, text):
    assert number(value) == text


def test_p_values_never_look_like_zero():
    assert [probability(p) for p in (0.0, 0.0312, 0.5, 1.0)] == [
        "< .001", "= .031", "= .50", "= 1.00",
    ]  # fmt: skip


def test_the_table_survives_a_file(tmp_path):
    frame = findings.table("seamless", {("cross_modal", MEASURE): [claim()]})
    frame.write_parquet(tmp_path / "f.parquet")
    assert pl.read_parquet(tmp_path / "f.parquet").equals(frame)


@pytest.mark.parametrize(
    ("places", "marked"),
    [
        ([("in", "in"), ("1", "1"), ("2", "2"), ("2", "len")], [3]),  # Seamless
        ([("in", "in"), ("1", "1"), ("2", "2"), ("pool", "pool")], [3]),  # SONAR
        ([("in", "enc"), ("in", "in"), ("1", "1"), ("2", "2")], [1]),  # SALMONN
        ([("in", "in"), ("1", "1"), ("2", "1"), ("3", "2")], []),  # towers of different depth
    ],
)
def test_the_place_behind_a_length_adaptor_is_known_by_its_taps(places, marked):
    depths = {"in": 0.0, "1": 0.3, "2": 0.7, "3": 1.0, "pool": 1.0}
    columns = tuple(
        Column("matched", f"{t}|{s}", i, depths[t], t, s) for i, (t, s) in enumerate(places)
    )
    table = Table("raw", (("deu", "deu"),), columns, np.zeros((1, len(columns))))
    assert [i for i in range(len(columns)) if adapted(table, i)] == marked
    found = layers(table, "matched", 0, 1)
    assert not set(found) & set(marked)
    assert 0 not in found
