"""Intervals: closed forms, determinism, and how often they contain what they are for."""

from typing import ClassVar

import numpy as np
import pytest
from scipy import stats

from isogloss.errors import MeasureError
from isogloss.similarity.base import Measure, MeasureInfo, Score, undefined
from isogloss.similarity.intervals import subsampling
from isogloss.similarity.measures.cka import Cka
from isogloss.similarity.measures.svcca import Svcca
from isogloss.similarity.over_languages import languages
from isogloss.similarity.over_utterances import utterances

BAND = (0.92, 0.98)


class MeanProduct(Measure):
    """A measure as a third party may write one: the mean product of the first features."""

    info: ClassVar[MeasureInfo] = MeasureInfo(
        "mean product", "here", (-100.0, 100.0), True, frozenset()
    )
    lost: tuple[int, ...] = ()
    """Values of the first view without any of which the score is not defined."""

    def prepare(self, x):
        return np.asarray(x, dtype=float)

    def compare(self, a, b, *, rows_a=None, rows_b=None, covariates=None, shuffles=None):
        x = (a if rows_a is None else a[rows_a])[:, 0]
        y = (b if rows_b is None else b[rows_b])[:, 0]
        if self.lost and not np.isin(x, self.lost).any():
            return undefined(x.size, "the needed sentence is missing")
        extra = 0 if covariates is None else np.asarray(covariates)[:, 0]
        assert covariates is None or extra.size == x.size
        null = np.empty(0) if shuffles is None else (x * y[shuffles.orders(x.size)]).mean(axis=1)
        score = float(np.mean(x * y - extra))
        return Score(score, x.size, null=null - np.mean(extra), range=(-100.0, 100.0))


class Distance(Cka):
    """Debiased CKA the other way round."""

    info: ClassVar[MeasureInfo] = MeasureInfo("distance", "here", (-1.0, 1.0), False, frozenset())

    def compare(self, *args, **kwargs):
        found = super().compare(*args, **kwargs)
        return Score(
            -found.score, found.n, null=-found.null, range=(-1.0, 1.0), larger_is_more_similar=False
        )


def views(rng, n, d, signal, decay=0.6):
    """Two views whose factors, with standard deviations i^-decay, correlate by ``signal``."""
    one, noise = rng.standard_normal((2, n, d))
    spread = np.arange(1, d + 1) ** -decay
    return one * spread, (signal * one + np.sqrt(1 - signal**2) * noise) * spread


def column(values):
    return np.asarray(values, dtype=float)[:, None]


def test_standard_error_of_a_mean():
    measure, x = MeanProduct(), np.random.default_rng(0).gamma(2, size=50)
    found = subsampling(measure, column(x), column(np.ones(50)), splits=1200)
    expected = x.std(ddof=1) / np.sqrt(50)
    assert found.se == pytest.approx(expected, rel=0.06)
    margin = stats.t.ppf(0.975, 1 / (1 / 1200 + 1 / 11)) * found.se
    assert (found.low, found.high) == pytest.approx((x.mean() - margin, x.mean() + margin))
    assert (found.replicates, found.skipped, found.reason) == (3600, 0, "")
    wider = subsampling(measure, column(x), column(np.ones(50)), splits=1200, level=0.99)
    assert wider.high - wider.low > 1.2 * (found.high - found.low)


def test_the_same_seed_gives_the_same_interval():
    x, y = views(np.random.default_rng(1), 41, 8, 0.5)
    measure = Svcca()
    a, b = measure.prepare(x), measure.prepare(y)
    found = subsampling(measure, a, b, splits=8, seed=3)
    assert found == subsampling(measure, a, b, splits=8, seed=3)
    assert found != subsampling(measure, a, b, splits=8, seed=4)
    assert found.low < measure.compare(a, b).score < found.high


def test_a_score_computed_before_is_not_computed_again():
    x, y = views(np.random.default_rng(1), 41, 8, 0.5)
    measure = MeanProduct()
    altered = Score(5.0, 41, null=np.zeros(9), range=(-100.0, 100.0))
    found = subsampling(measure, x, y, splits=8, whole=altered)
    assert found.low < 5 < found.high
    own = subsampling(measure, x, y, splits=8, whole=measure.compare(x, y))
    assert own == subsampling(measure, x, y, splits=8)


def test_rows_choose_the_sentences():
    rng = np.random.default_rng(2)
    x, y = views(rng, 60, 80, 0.5)
    rows_a, rows_b = rng.permutation(60)[:45], rng.permutation(60)[:45]
    measure = Svcca()
    some = subsampling(
        measure, measure.prepare(x), measure.prepare(y), rows_a=rows_a, rows_b=rows_b, splits=8
    )
    alone = subsampling(measure, measure.prepare(x[rows_a]), measure.prepare(y[rows_b]), splits=8)
    assert (some.low, some.high) == pytest.approx((alone.low, alone.high), abs=1e-9)


def test_covariates_go_with_their_sentences():
    rng = np.random.default_rng(3)
    x, extra = rng.standard_normal((2, 48))
    ones, measure = column(np.ones(48)), MeanProduct()
    taken = subsampling(measure, column(x), ones, covariates=column(extra), splits=10)
    alone = subsampling(measure, column(x - extra), ones, splits=10)
    assert taken.se == pytest.approx(alone.se)
    assert (taken.low + taken.high) == pytest.approx(alone.low + alone.high)
    partial = Svcca()
    a, b = (partial.prepare(v) for v in views(rng, 48, 60, 0.7))
    assert subsampling(partial, a, b, covariates=column(extra), splits=8).reason == ""


def test_intervals_stay_in_the_range_of_the_measure():
    x, y = views(np.random.default_rng(4), 40, 8, 0.97)
    measure = Svcca(share=0.5)
    found = subsampling(measure, measure.prepare(x), measure.prepare(y), level=0.9999)
    assert found.high == 1
    assert 0.5 < found.low < 1


def test_distances_are_mirrored():
    x, y = views(np.random.default_rng(6), 60, 80, 0.4)
    straight, mirrored = Cka(debiased=True), Distance(debiased=True)
    a, b = straight.prepare(x), straight.prepare(y)
    one, other = (subsampling(m, a, b) for m in (straight, mirrored))
    assert (other.low, other.high) == pytest.approx((-one.high, -one.low))
    assert other.se == pytest.approx(one.se)


def test_near_chance_the_limit_toward_it_is_the_nearer_one():
    x, y = views(np.random.default_rng(6), 60, 80, 0.4)
    measure = Cka(debiased=True)
    a, b = measure.prepare(x), measure.prepare(y)
    score, found = measure.compare(a, b).score, subsampling(measure, a, b)
    assert 0 < score - found.low < 0.9 * (found.high - score)


def test_a_saturated_score_has_no_interval():
    x, y = views(np.random.default_rng(20), 40, 200, 0.99, decay=0.3)
    measure = Svcca()
    found = subsampling(measure, measure.prepare(x), measure.prepare(y))
    assert np.isnan(found.low)
    assert "coefficients are one whatever the data" in found.reason
    # As many forced ones, but little more than chance: there is something left to vary.
    low = views(np.random.default_rng(20), 40, 200, 0.2, decay=0.3)
    assert subsampling(measure, *(measure.prepare(v) for v in low), splits=8).reason == ""


def test_what_has_no_score_has_no_interval():
    rng = np.random.default_rng(7)
    x, y = views(rng, 60, 10, 0.5)
    measure = Svcca()
    few = subsampling(measure, measure.prepare(x[:39]), measure.prepare(y[:39]))
    assert np.isnan([few.low, few.high, few.se]).all()
    assert few.reason == "at least 40 sentences are needed, there are 39"
    x[3] = np.nan
    found = subsampling(measure, measure.prepare(x), measure.prepare(y))
    assert np.isnan(found.low)
    assert "NaN" in found.reason
    assert found.replicates == 0


def test_few_subsets_without_a_score_are_left_out_and_counted():
    x = column(np.arange(48))
    ones = np.ones((48, 1))
    # One half of a split lacks all four with probability 2 (1/2)^4; so about 3 of 72 subsets.
    found = subsampling(MeanProduct(lost=(0, 1, 2, 3)), x, ones)
    assert 0 < found.skipped < 8
    assert found.replicates == 72 - found.skipped
    assert found.reason == ""
    assert found.low < 23.5 < found.high
    lost = subsampling(MeanProduct(lost=(0,)), x, ones)
    assert np.isnan(lost.low)
    assert "subsets have no score: the needed sentence is missing" in lost.reason


def _share(inside):
    share = np.mean(inside)
    assert BAND[0] <= share <= BAND[1], share


@pytest.mark.parametrize(
    ("measure", "d", "signal", "splits"),
    [
        (Svcca(), 8, 0.6, 12),
        (Cka(debiased=True), 12, 0.0, 12),
        (MeanProduct(), 1, 0.5, 24),
    ],
    ids=["svcca", "cka unrelated", "mean product"],
)
def test_subsampling_contains_the_expected_score(measure, d, signal, splits):
    rng, n = np.random.default_rng(8), 40

    def prepared():
        return tuple(measure.prepare(v) for v in views(rng, n, d, signal))

    truth = np.mean([measure.compare(*prepared()).score for _ in range(600)])
    found = [subsampling(measure, *prepared(), splits=splits, seed=i) for i in range(200)]
    _share([f.low <= truth <= f.high for f in found])


def _takes(counts):
    starts = np.cumsum(counts) - counts
    return [np.arange(s, s + c) for s, c in zip(starts, counts, strict=True)]


def test_variance_between_recordings_is_corrected_for_their_number():
    rng = np.random.default_rng(9)
    for counts in (np.full(30, 2), np.full(30, 3), rng.choice([2, 3, 5], size=30)):
        rows = _takes(counts)
        x, ones = rng.standard_normal(counts.sum()), column(np.ones(30))
        found = utterances(MeanProduct(), column(x), ones, takes_a=rows, draws=1000)
        expected = np.sqrt(sum(x[r].var(ddof=1) for r in rows)) / 30
        assert found.se == pytest.approx(expected, rel=0.1)
        first = np.mean([x[r[0]] for r in rows])
        assert (found.low + found.high) / 2 == pytest.approx(first)
        assert found.replicates == 2000


def test_sentences_with_one_recording_are_made_up_for():
    rng = np.random.default_rng(10)
    counts = np.array([2] * 30 + [1] * 10)
    rows = _takes(counts)
    x = rng.standard_normal(counts.sum())
    found = utterances(
        MeanProduct(), column(np.ones(40)), column(x), takes_b=rows, draws=1000, seed=1
    )
    expected = np.sqrt(sum(x[r].var(ddof=1) for r in rows[:30]) * 40 / 30) / 40
    assert found.se == pytest.approx(expected, rel=0.1)
    rare = utterances(MeanProduct(), column(np.ones(30)), column(x), takes_b=rows[20:] + rows[30:])
    assert np.isnan(rare.low)
    assert rare.reason == "only 33% of the sentences have several recordings"


def test_recordings_on_both_sides_add_up():
    rng = np.random.default_rng(11)
    rows = _takes(np.full(40, 2))
    x, y = rng.standard_normal((2, 80)) + 3
    both = utterances(
        MeanProduct(), column(x), column(y), takes_a=rows, takes_b=rows, draws=1000
    ).se
    firsts, alone = [r[0] for r in rows], []
    for view, other in ((x, y), (y, x)):
        alone.append(
            utterances(
                MeanProduct(), column(view), column(other[firsts]), takes_a=rows, draws=1000
            ).se
        )
    assert both**2 == pytest.approx(sum(v**2 for v in alone), rel=0.15)


def test_drawing_recordings_is_deterministic_and_undefined_scores_are_named():
    rng = np.random.default_rng(12)
    rows = _takes(np.full(40, 2))
    x, y = rng.standard_normal((80, 5)), rng.standard_normal((40, 5))
    measure = Svcca()
    b = measure.prepare(y)
    found = [utterances(measure, measure.prepare(x), b, takes_a=rows, seed=s) for s in (0, 0, 1)]
    assert found[0] == found[1] != found[2]
    x[1] = np.nan
    bad = utterances(measure, measure.prepare(x), b, takes_a=rows)
    assert np.isnan(bad.low)
    assert "draws have no score: the first view has NaN" in bad.reason


@pytest.mark.parametrize("counts", [(2,), (1, 2, 2, 3)])
def test_drawing_recordings_contains_the_mean_over_fresh_ones(counts):
    rng, inside = np.random.default_rng(13), []
    for i in range(300):
        sentences, y = rng.standard_normal((2, 40)) + 1
        takes = rng.choice(counts, size=40)
        x = np.repeat(sentences, takes) + 0.5 * rng.standard_normal(takes.sum())
        found = utterances(MeanProduct(), column(x), column(y), takes_a=_takes(takes), seed=i)
        inside.append(found.low <= np.mean(sentences * y) <= found.high)
    _share(inside)


def test_drawing_recordings_for_svcca():
    rng, measure, inside = np.random.default_rng(14), Svcca(), []
    spread = np.arange(1, 9) ** -0.6
    rows = _takes(np.full(40, 2))
    for i in range(200):
        x, y = views(rng, 40, 8, 0.7)
        b = measure.prepare(y)

        def record(count, x=x):
            many = np.repeat(x, count, axis=0)
            return measure.prepare(many + 0.5 * spread * rng.standard_normal(many.shape))

        found = utterances(measure, record(2), b, takes_a=rows, seed=i)
        fresh = np.mean([measure.compare(record(1), b).score for _ in range(24)])
        inside.append(found.low <= fresh <= found.high)
    _share(inside)


def _pairs(count):
    names = np.array([f"l{i:02}" for i in range(count)])
    first, second = np.triu_indices(count, 1)
    return names, first, second


def test_mean_over_languages_is_a_plain_mean():
    values = np.random.default_rng(15).gamma(2, size=9)
    found = languages([f"l{i}" for i in range(9)], None, values)
    assert found.se == pytest.approx(values.std(ddof=1) / 3)
    margin = stats.t.ppf(0.975, 8) * found.se
    assert (found.low, found.high) == pytest.approx(
        (values.mean() - margin, values.mean() + margin)
    )


def test_jackknife_over_pairs_by_brute_force():
    names, first, second = _pairs(9)
    rng = np.random.default_rng(16)
    effect = rng.standard_normal(9)
    values = effect[first] + effect[second] + 0.5 * rng.standard_normal(36)
    means = [values[(first != i) & (second != i)].mean() for i in range(9)]
    jackknife = 8 / 9 * np.sum((means - np.mean(means)) ** 2)
    table = np.zeros((9, 9))
    table[first, second] = values
    table += table.T
    # The additive model of a complete table in closed form.
    fitted = (table.sum(axis=1) - 8 * values.mean()) / 7
    left = values - (values.mean() + fitted[first] + fitted[second])
    of_pair = (left**2).sum() / (36 - 9)
    found = languages(names[first], names[second], values)
    assert found.se**2 == pytest.approx(jackknife - 2 * of_pair / (8 * 7), rel=1e-10)
    assert found.replicates == 9
    order = rng.permutation(36)
    swapped = languages(names[second][order], names[first][order], values[order])
    assert (swapped.low, swapped.high) == pytest.approx((found.low, found.high))


def test_variance_over_pairs_has_no_bias_with_missing_pairs():
    names, first, second = _pairs(10)
    rng = np.random.default_rng(17)
    missing = rng.permutation(45)[:9]
    means, variances = [], []
    for _ in range(1500):
        effect = rng.standard_normal(10)
        values = effect[first] + effect[second] + rng.standard_normal(45)
        values[missing] = np.nan
        found = languages(names[first], names[second], values)
        assert found.skipped == 9
        means.append(np.nanmean(values))
        variances.append(found.se**2)
    assert np.mean(variances) == pytest.approx(np.var(means), rel=0.1)


def test_one_odd_language_widens_the_interval():
    names, first, second = _pairs(10)
    values = np.random.default_rng(18).standard_normal(45) * 0.01
    calm = languages(names[first], names[second], values)
    # The same nine values, once all with one language and once spread over all.
    odd = languages(names[first], names[second], values + (first == 0))
    spread = values.copy()
    spread[np.arange(0, 45, 5)] += 1
    even = languages(names[first], names[second], spread)
    assert odd.se > 2 * even.se > 10 * calm.se


@pytest.mark.parametrize(("count", "effect"), [(8, 0.0), (8, 0.5), (20, 0.0), (20, 1.0)])
def test_mean_over_pairs_contains_the_mean_over_languages(count, effect):
    names, first, second = _pairs(count)
    rng, inside = np.random.default_rng(19), []
    for _ in range(400):
        of = effect * rng.standard_normal(count)
        values = of[first] + of[second] + rng.standard_normal(first.size)
        found = languages(names[first], names[second], values)
        inside.append(found.low <= 0 <= found.high)
    _share(inside)


def test_means_that_cannot_be_had():
    few = languages(["a", "b"], None, [0.1, 0.2])
    assert few.reason == "at least 3 languages are needed, there are 2"
    names, first, second = _pairs(7)
    seven = languages(names[first], names[second], np.arange(21.0))
    assert seven.reason == "at least 8 languages are needed, there are 7"
    star = languages(["a"] * 8, list("bcdefghi"), np.arange(8.0))
    assert star.reason == "without a no pair is left"
    ring = languages(list("abcdefghi"), list("bcdefghia"), np.arange(9.0))
    assert "do not tell languages from pairs" in ring.reason
    nothing = languages(["a", "b", "c"], None, [np.nan] * 3)
    assert (nothing.skipped, np.isnan(nothing.low)) == (3, True)


def test_means_are_clipped_to_a_range():
    found = languages(list("abc"), None, [0.9, 0.5, 1.0], range=(0, 1))
    assert (found.low > 0, found.high) == (True, 1.0)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: subsampling(MeanProduct(), x, x, splits=7), "splits must be 8 or more, not 7"),
        (lambda x: subsampling(MeanProduct(), x, x, level=95), "between 0 and 1, not 95"),
        (lambda x: utterances(MeanProduct(), x, x), "takes_a or takes_b must say"),
        (lambda x: utterances(MeanProduct(), x, x, takes_a=[[0, 0]]), "each once, but for sent"),
        (lambda x: utterances(MeanProduct(), x, x, takes_a=[[]]), r"sentence 0 it has \[\]"),
        (
            lambda x: utterances(MeanProduct(), x, x, takes_a=[[0]], takes_b=[[0], [1]]),
            "there are 1 and 2",
        ),
        (lambda x: utterances(MeanProduct(), x, x, takes_a=[[0]], draws=2), "8 or more, not 2"),
        (lambda x: languages(["a"], ["a"], [1]), 'two languages, not "a" twice'),
        (lambda x: languages(["a", "b"], ["b", "a"], [1, 2]), "a and b are given twice"),
        (lambda x: languages(["a"], None, [1, 2]), "lists of one length"),
        (lambda x: languages(["a"], None, [1], level=0), "between 0 and 1, not 0"),
    ],
)
def test_wrong_calls_say_what_is_wrong(call, message):
    with pytest.raises(MeasureError, match=message):
        call(np.ones((40, 1)))
