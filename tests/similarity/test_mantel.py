"""Correlations of matrices whose pairs share languages."""

import time
from itertools import combinations, permutations

import numpy as np
import pytest
from scipy import stats

from isogloss.errors import MeasureError
from isogloss.similarity.correlation import difference, ordinary_p
from isogloss.similarity.mantel import mantel, mantel_all


def names(count):
    return [f"l{i:02d}" for i in range(count)]


def sides(count):
    return zip(*combinations(names(count), 2), strict=True)


def by_hand(count, x, y, orders, control=None, there=None):
    """r of y with the residuals of x, relabelled and freed of the control again, order by order."""
    pairs = list(combinations(range(count), 2))
    there = np.ones(len(pairs), bool) if there is None else there
    table = np.full((count, count), np.nan)
    for (i, j), value in zip(pairs, freed(x, control, there), strict=True):
        table[i, j] = table[j, i] = value
    found = []
    for order in orders:
        moved = np.array([table[order[i], order[j]] for i, j in pairs])
        both = ~np.isnan(moved) & there
        a, b = freed(moved, control, both)[both], freed(y, control, both)[both]
        found.append(np.corrcoef(a, b)[0, 1])
    return np.array(found)


def freed(values, control, known):
    design = np.column_stack([np.ones(len(values)), *([] if control is None else [control])])
    weights, *_ = np.linalg.lstsq(design[known], values[known], rcond=None)
    return np.where(known, values - design @ weights, np.nan)


def shared(rng, count, strength=1.0):
    """Entries that share languages: an effect of each language, and one of each pair."""
    first, second = np.triu_indices(count, 1)
    effect = strength * rng.normal(size=count)
    return effect[first] + effect[second] + rng.normal(size=len(first))


def test_the_study_s_p_value():
    # The study gives r = .228 for 435 pairs, so its r lies between these two.
    assert ordinary_p(0.2285, 435) < 1.48e-06 < ordinary_p(0.2275, 435)
    assert f"{ordinary_p(0.22842, 435):.2e}" == "1.48e-06"


@pytest.mark.parametrize("method", ["pearson", "spearman"])
def test_r_and_ordinary_p_are_those_of_scipy(method):
    rng = np.random.default_rng(0)
    a, b = sides(9)
    x = rng.normal(size=36)
    y = x + 2 * rng.normal(size=36)
    y[3] = np.nan
    known = ~np.isnan(y)
    wanted = (stats.pearsonr if method == "pearson" else stats.spearmanr)(x[known], y[known])
    found = mantel(a, b, x, y, method=method, permutations=9)
    assert found.r == pytest.approx(wanted.statistic, abs=1e-12)
    assert found.p_ordinary == pytest.approx(wanted.pvalue, rel=1e-9)
    assert (found.pairs, found.languages) == (35, 9)


@pytest.mark.parametrize("controls", [0, 2])
def test_all_orders_of_few_languages(controls):
    rng = np.random.default_rng(1)
    a, b = sides(5)
    x, y = rng.normal(size=10), rng.normal(size=10)
    control = rng.normal(size=(10, controls)) if controls else None
    found = mantel(a, b, x, y, control=control, permutations=200)
    wanted = by_hand(5, x, y, permutations(range(5)), control)
    assert found.exact
    assert found.permutations == 119
    assert found.r == pytest.approx(wanted[0])
    np.testing.assert_allclose(np.sort(found.null), np.sort(wanted[1:]), atol=1e-12)
    assert found.p_mantel == pytest.approx(np.mean(np.abs(wanted) >= abs(wanted[0]) - 1e-12))
    assert found.p_greater == pytest.approx(np.mean(wanted >= wanted[0] - 1e-12))


@pytest.mark.parametrize("controls", [0, 1])
def test_missing_pairs_are_missing_in_every_order(controls):
    rng = np.random.default_rng(2)
    a, b = sides(6)
    x, y = rng.normal(size=15), rng.normal(size=15)
    control = rng.normal(size=(15, controls)) if controls else None
    there = np.ones(15, bool)
    there[[2, 11]] = False
    y[~there] = np.nan
    found = mantel(a, b, x, y, control=control, permutations=719)
    wanted = by_hand(6, x, np.nan_to_num(y), permutations(range(6)), control, there)
    assert found.r == pytest.approx(wanted[0])
    np.testing.assert_allclose(np.sort(found.null), np.sort(wanted[1:]), atol=1e-10)


def test_random_orders_count_the_given_one():
    rng = np.random.default_rng(3)
    a, b = sides(12)
    x = shared(rng, 12)
    found = mantel(a, b, x, x + 0.01 * rng.normal(size=66), permutations=99)
    assert (found.p_mantel, found.p_greater, found.exact) == (0.01, 0.01, False)
    opposite = mantel(a, b, x, -x + 0.01 * rng.normal(size=66), permutations=99)
    assert (opposite.p_mantel, opposite.p_greater) == (0.01, 1.0)


def test_order_of_pairs_and_of_their_languages_does_not_matter():
    rng = np.random.default_rng(4)
    a, b = sides(8)
    x, y = shared(rng, 8), shared(rng, 8)
    turn = rng.permutation(28)
    swapped = [(b[i], a[i]) if i % 2 else (a[i], b[i]) for i in turn]
    c, d = zip(*swapped, strict=True)
    one, other = mantel(a, b, x, y), mantel(c, d, x[turn], y[turn])
    assert other.r == pytest.approx(one.r)
    assert (other.p_mantel, other.low) == pytest.approx((one.p_mantel, one.low))


def test_shared_languages_make_the_ordinary_p_too_small_and_not_mantel_s():
    """Two matrices that have nothing to do with each other, each with effects of languages."""
    rng = np.random.default_rng(5)
    a, b = sides(12)
    studies = 250
    sharing = [mantel(a, b, shared(rng, 12), shared(rng, 12), permutations=99, seed=i)
               for i in range(studies)]  # fmt: skip
    alone = [ordinary_p(float(np.corrcoef(*rng.normal(size=(2, 66)))[0, 1]), 66)
             for _ in range(studies)]  # fmt: skip
    error = 3 * np.sqrt(0.05 * 0.95 / studies)
    assert np.mean([m.p_ordinary <= 0.05 for m in sharing]) > 0.15
    assert np.mean([m.p_mantel <= 0.05 for m in sharing]) == pytest.approx(0.05, abs=error)
    assert np.mean(np.array(alone) <= 0.05) == pytest.approx(0.05, abs=error)


def test_a_control_that_explains_all_leaves_nothing_to_find():
    """Both matrices follow a third one, which has effects of languages itself."""
    rng = np.random.default_rng(66)
    a, b = sides(12)
    plain, partial = [], []
    for seed in range(200):
        third = shared(rng, 12)
        x, y = third + shared(rng, 12, 0.5), third + shared(rng, 12, 0.5)
        plain.append(mantel(a, b, x, y, permutations=99, seed=seed).p_mantel)
        partial.append(mantel(a, b, x, y, control=third, permutations=99, seed=seed).p_mantel)
    assert np.mean(np.array(plain) <= 0.05) > 0.5
    error = 3 * np.sqrt(0.05 * 0.95 / 200)
    assert np.mean(np.array(partial) <= 0.05) == pytest.approx(0.05, abs=error)


def test_partial_r_has_its_textbook_value():
    rng = np.random.default_rng(7)
    a, b = sides(10)
    x, y, z = rng.normal(size=(3, 45))
    xy, xz, yz = (np.corrcoef(p, q)[0, 1] for p, q in ((x, y), (x, z), (y, z)))
    found = mantel(a, b, x, y, control=z, permutations=9)
    assert found.r == pytest.approx((xy - xz * yz) / np.sqrt((1 - xz**2) * (1 - yz**2)))
    assert found.p_ordinary == pytest.approx(ordinary_p(found.r, 45, 1))


def test_interval_is_the_jackknife_on_fisher_s_z():
    rng = np.random.default_rng(8)
    a, b = sides(9)
    x = shared(rng, 9)
    y = x + shared(rng, 9)
    found = mantel(a, b, x, y, permutations=9)
    first, second = np.array(a), np.array(b)
    z = []
    for name in names(9):
        rest = (first != name) & (second != name)
        z.append(np.arctanh(np.corrcoef(x[rest], y[rest])[0, 1]))
    se = np.sqrt(8 / 9 * np.sum((np.array(z) - np.mean(z)) ** 2))
    wanted = np.tanh(np.arctanh(found.r) + np.array([-1, 1]) * stats.t.ppf(0.975, 8) * se)
    assert (found.low, found.high) == pytest.approx(tuple(wanted))
    np.testing.assert_allclose(found.left_out, np.tanh(z))


def test_interval_covers_where_that_of_fisher_does_not():
    rng = np.random.default_rng(19)
    a, b = sides(15)
    hits = plain = 0
    for _ in range(150):
        x = shared(rng, 15)
        found = mantel(a, b, x, shared(rng, 15), permutations=1)
        hits += found.low <= 0 <= found.high
        plain += abs(np.arctanh(found.r)) <= 1.96 / np.sqrt(105 - 3)
    assert hits >= 0.92 * 150
    assert plain < 0.85 * 150


def test_several_matrices_are_corrected_together():
    rng = np.random.default_rng(10)
    a, b = sides(10)
    x = shared(rng, 10)
    ys = np.column_stack([x + 0.05 * shared(rng, 10), *(shared(rng, 10) for _ in range(7))])
    found = mantel_all(a, b, x, ys, permutations=199)
    largest = np.max([np.abs(f.null) for f in found], axis=0)
    for one, y in zip(found, ys.T, strict=True):
        assert one.p_mantel == mantel(a, b, x, y, permutations=199).p_mantel
        assert one.p_all == (1 + np.sum(largest >= abs(one.r) - 1e-12)) / 200
        assert one.p_all >= one.p_mantel
    assert found[0].p_all == 0.005


def test_difference_of_two_correlations():
    rng = np.random.default_rng(11)
    a, b = sides(14)
    x = shared(rng, 14)
    strong, weak = mantel_all(
        a, b, x, np.column_stack([x + 0.2 * shared(rng, 14), shared(rng, 14)]), permutations=9
    )
    effect, low, high, p = difference(strong, weak)
    assert effect == pytest.approx(strong.r - weak.r)
    assert 0 < low < effect < high
    assert p < 0.01
    assert difference(weak, strong)[0] == -effect
    assert difference(weak, weak)[0] == 0
    other = mantel(*sides(9), rng.normal(size=36), rng.normal(size=36), permutations=9)
    assert np.isnan(difference(strong, other)).all()


def test_what_is_not_defined_says_why():
    a, b = sides(7)
    x = np.arange(21.0)
    few = mantel(*sides(3), x[:3], x[:3])
    assert np.isnan(few.r)
    assert "at least 4 languages" in few.reason
    flat = mantel(a, b, x, np.full(21, 0.3))
    assert np.isnan(flat.r)
    assert np.isnan(flat.p_mantel)
    assert "same for all pairs" in flat.reason
    explained = mantel(a, b, x, np.sin(x), control=x * 2 + 1)
    assert np.isnan(explained.r)
    assert "beyond the control" in explained.reason
    assert "is 1" in mantel(a, b, x, x).reason
    assert mantel(a, b, x, x).p_mantel <= 0.001
    narrow = mantel(*sides(5), x[:10], np.sin(x[:10]))
    assert "at least 6 languages" in narrow.reason
    assert np.isnan(narrow.low)
    empty = mantel(a, b, x, np.full(21, np.nan))
    assert np.isnan(empty.r)
    assert empty.languages == 0


def test_lists_that_are_no_matrix_are_refused():
    with pytest.raises(MeasureError, match="given twice"):
        mantel(["deu", "eng"], ["eng", "deu"], [1, 2], [1, 2])
    with pytest.raises(MeasureError, match='not "deu" twice'):
        mantel(["deu"], ["deu"], [1], [1])
    with pytest.raises(MeasureError, match="one length"):
        mantel(["deu"], ["eng"], [1, 2], [1])


def test_ten_thousand_permutations_of_thirty_languages_are_quick():
    rng = np.random.default_rng(12)
    a, b = sides(30)
    x, y = rng.normal(size=(2, 435))
    mantel(a, b, x, y, permutations=10)
    start = time.process_time()
    assert mantel(a, b, x, y, permutations=10_000).permutations == 10_000
    assert time.process_time() - start < 1
