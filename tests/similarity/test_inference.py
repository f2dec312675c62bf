"""Many tests at once: against definitions by hand, and against their promises by simulation."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from isogloss.errors import MeasureError
from isogloss.similarity.inference import average_null, benjamini_hochberg, max_over

NAN = float("nan")


def test_false_discovery_by_hand():
    q = benjamini_hochberg([0.01, 0.04, 0.03, 0.5])
    np.testing.assert_allclose(q, [0.04, 0.16 / 3, 0.16 / 3, 0.5], atol=1e-15)


def test_false_discovery_leaves_nan_out_of_the_family():
    q = benjamini_hochberg([[0.01, NAN], [0.04, 0.03]])
    np.testing.assert_allclose(q, [[0.03, NAN], [0.04, 0.04]], atol=1e-15)
    assert np.isnan(benjamini_hochberg([NAN, NAN])).all()
    assert benjamini_hochberg([]).shape == (0,)


def test_false_discovery_refuses_what_is_no_p_value():
    with pytest.raises(MeasureError, match=r"between 0 and 1, but one is 1\.5"):
        benjamini_hochberg([0.2, 1.5])


@given(arrays(np.float64, st.integers(1, 30), elements=st.floats(0, 1)))
def test_false_discovery_keeps_the_order_and_rejects_the_same(p):
    q = benjamini_hochberg(p)
    assert (q >= p - 1e-15).all()
    assert (q <= 1).all()
    assert (np.diff(q[np.argsort(p, kind="stable")]) >= -1e-15).all()
    # The rule as published: reject the k smallest, k the last one below its line.
    ranked = np.sort(p)
    below = np.flatnonzero(ranked <= np.arange(1, p.size + 1) / p.size * 0.1)
    margin = np.abs(q - 0.1).min() > 1e-12
    if margin:
        assert (q <= 0.1).sum() == (below.max() + 1 if below.size else 0)


def test_maximum_over_places_by_hand():
    # Orders of place one: 4, 0, 1, 1 (mean 1.5, variance 2.25); of place two: 1, 3, 1, 3 (2, 1).
    p = max_over([4, 1], [[0, 1, 1], [3, 1, 3]])
    # Largest over places: 5/3, 1, -1/3, 1; place one reaches 5/3, place two -1.
    np.testing.assert_allclose(p, [1 / 4, 1])
    p = max_over([4, 3], [[0, 1, 1], [1, 1, 3]])
    # Place two: 3, 1, 1, 3. Largest: 5/3, -1, -1/3, 1; place two reaches 1.
    np.testing.assert_allclose(p, [1 / 4, 2 / 4])


def test_maximum_over_places_turns_for_distances():
    rng = np.random.default_rng(0)
    scores, nulls = rng.standard_normal(4) + 2, rng.standard_normal((4, 99))
    np.testing.assert_array_equal(
        max_over(scores, nulls), max_over(-scores, -nulls, larger_is_more_similar=False)
    )
    assert not np.array_equal(max_over(scores, nulls), max_over(-scores, -nulls))


def test_places_that_cannot_be_tested():
    rng = np.random.default_rng(1)
    nulls = rng.standard_normal((5, 49))
    nulls[1, 7], nulls[3] = NAN, 0.7
    p = max_over([2.0, 2.0, NAN, 0.7, 0.0], nulls)
    assert np.isnan(p).tolist() == [False, True, True, False, False]
    assert p[3] == 1
    # The others are as if those places were not there.
    np.testing.assert_array_equal(p[[0, 4]], max_over([2.0, 0.0], nulls[[0, 4]]))
    assert np.isnan(max_over([NAN], nulls[:1])).all()
    assert max_over([], np.empty((0, 9))).shape == (0,)


def test_a_constant_null_below_the_score_counts():
    np.testing.assert_allclose(max_over([0.9], [[0.7] * 99]), [1 / 100])


def test_rounding_of_saturated_scores_is_a_tie():
    nulls = 1 - 1e-9 * np.random.default_rng(0).random((1, 99))
    assert max_over([1.0], nulls) == 1


def test_one_place_is_a_plain_permutation_test():
    rng = np.random.default_rng(2)
    for _ in range(20):
        score, null = rng.standard_normal(), rng.standard_normal(99)
        expected = (1 + np.count_nonzero(null >= score)) / 100
        assert max_over([score], null[None]) == pytest.approx(expected)


@given(
    arrays(np.float64, (3, 20), elements=st.floats(-1, 1, width=16)),
    st.lists(st.floats(0.5, 4), min_size=3, max_size=3),
    st.integers(0, 2**31),
)
def test_places_may_have_any_scale_and_shuffles_any_order(orders, scale, seed):
    orders = orders + 1e-3 * np.arange(20) ** 2
    scale = np.array(scale)[:, None]
    turned = np.random.default_rng(seed).permutation(19) + 1
    p = max_over(orders[:, 0], orders[:, 1:])
    other = max_over(scale[:, 0] * orders[:, 0] + 3, scale * orders[:, turned] + 3)
    np.testing.assert_allclose(p, other, atol=0.051)


def _curves(rng, places, orders, related=0.6, *, studies):
    """Scores of dependent places with unequal scales: (studies × places × orders)."""
    common = rng.standard_normal((studies, 1, orders))
    own = rng.standard_normal((studies, places, orders))
    mixed = np.sqrt(related) * common + np.sqrt(1 - related) * own
    return np.exp(0.5 * mixed) * (1 + np.arange(places))[:, None]


def test_family_wise_error_is_the_level_for_dependent_places():
    drawn = _curves(np.random.default_rng(3), 12, 100, studies=2000)
    adjusted = np.array([max_over(d[:, 0], d[:, 1:]) for d in drawn])
    least = adjusted.min(axis=1)
    # The smallest adjusted value is the p-value of the maximum: uniform on 1/100 … 1.
    assert np.mean(least <= 0.05) == pytest.approx(0.05, abs=0.015)
    assert stats.kstest(least - 0.005, "uniform").pvalue > 0.01
    # Unadjusted, some place of the twelve is found far too often.
    single = (drawn[:, :, 1:] >= drawn[:, :, :1]).mean(axis=2)
    assert np.mean(single.min(axis=1) <= 0.05) > 0.15


def test_control_is_strong():
    """Places that are related take nothing away from the protection of those that are not."""
    drawn = _curves(np.random.default_rng(4), 10, 200, studies=1000)
    drawn[:, :4, 0] += 50
    adjusted = np.array([max_over(d[:, 0], d[:, 1:]) for d in drawn])
    assert (adjusted[:, :4] <= 0.05).all()
    assert np.mean(adjusted[:, 4:].min(axis=1) <= 0.05) <= 0.05 + 0.015


def test_mean_of_scores_by_hand():
    found = average_null([1.0, 3.0], [[0.0, 2.0, 1.0], [2.0, 4.0, 1.0]])
    assert (found.score, found.count) == (2.0, 2)
    np.testing.assert_allclose(found.null, [1, 3, 1])
    assert found.p_value == 2 / 4
    weighted = average_null([1.0, 3.0], [[0.0, 2.0, 1.0], [2.0, 4.0, 1.0]], weights=[3, 1])
    assert weighted.score == 1.5
    np.testing.assert_allclose(weighted.null, [0.5, 2.5, 1])
    distance = average_null([1.0], [[0.0, 2.0, 3.0]], larger_is_more_similar=False)
    assert distance.p_value == 2 / 4


def test_mean_leaves_rows_without_a_score_out():
    nulls = np.array([[0.0, 1.0], [NAN, 1.0], [0.0, 1.0], [9.0, 9.0]])
    found = average_null([1.0, 1.0, NAN, 9.0], nulls, weights=[1, 1, 1, 0])
    assert (found.score, found.count, found.p_value) == (1.0, 1, 2 / 3)
    nothing = average_null([NAN], [[0.0, 1.0]])
    assert np.isnan(nothing.score)
    assert np.isnan(nothing.p_value)
    assert np.isnan(nothing.null).all()
    assert nothing.count == 0


def test_p_of_a_mean_is_uniform():
    rng = np.random.default_rng(5)
    drawn = rng.gamma(2.0, size=(600, 6, 100)) * (1 + np.arange(6))[:, None]
    p = [average_null(d[:, 0], d[:, 1:]).p_value for d in drawn]
    assert stats.kstest(np.array(p) - 0.005, "uniform").pvalue > 0.01


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: max_over([1.0], [[0.1], [0.2]]), r"shapes are \(1,\) and \(2, 1\)"),
        (lambda: max_over([1.0], [[]]), "nulls are empty"),
        (lambda: average_null([1.0], [[0.0]], weights=[-1]), "none negative"),
        (lambda: average_null([1.0], [[0.0]], weights=[1, 2]), "1 finite numbers"),
    ],
)
def test_wrong_tables_are_refused(call, message):
    with pytest.raises(MeasureError, match=message):
        call()
