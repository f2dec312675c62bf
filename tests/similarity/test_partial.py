"""Confounds are taken out by regression, and cost as many sentences as they explain."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isogloss.errors import MeasureError
from isogloss.similarity import Svcca, svcca, wachter
from isogloss.similarity.partial import nuisance


def noise(n=40, d=12, seed=0):
    return np.random.default_rng(seed).standard_normal((n, d))


def regressed(x, c):
    design = np.column_stack([np.ones(len(c)), c])
    return x - design @ np.linalg.lstsq(design, x, rcond=None)[0]


@settings(max_examples=30, deadline=None)
@given(st.integers(4, 40), st.integers(1, 6), st.integers(0, 99))
def test_the_reduction_is_centring_of_fewer_sentences(n, q, seed):
    c = noise(n, q, seed)
    out = nuisance(c, n)
    assert out.count == min(q, n - 1)
    if out.count > n - 2:
        return
    w, left = out.reduction, n - out.count
    np.testing.assert_allclose(w @ w.T, np.eye(left) - 1 / left, atol=1e-12)
    np.testing.assert_allclose(w @ c, 0, atol=1e-10)
    np.testing.assert_allclose(w.sum(axis=0), 0, atol=1e-10)
    np.testing.assert_allclose(w.sum(axis=1), 0, atol=1e-10)
    residual = regressed(noise(n, 3, seed + 1), c)
    np.testing.assert_allclose((w @ residual).T @ (w @ residual), residual.T @ residual, atol=1e-9)


@pytest.mark.parametrize("d", [8, 90])
def test_the_score_is_that_of_the_residuals(d):
    x, y, c = noise(d=d), noise(d=20, seed=1), noise(d=3, seed=2)
    found = svcca(x, y, covariates=c)
    expected = svcca(regressed(x, c), regressed(y, c))
    np.testing.assert_allclose(found.coefficients, expected.coefficients, atol=1e-10)
    assert (found.n, found.covariates, found.k_x) == (40, 3, expected.k_x)
    assert found.chance == wachter(found.k_x, found.k_y, 37)


def test_a_shared_confound_is_removed():
    length = np.random.default_rng(3).standard_normal(120)
    x, y = noise(120, 200, 4), noise(120, 200, 5)
    x[:, 0] += 60 * length
    y[:, 3] -= 60 * length
    plain = svcca(x, y, share=0.5, permutations=99)
    assert plain.coefficients[0] > 0.99
    found = svcca(x, y, share=0.5, covariates=length, permutations=99)
    assert found.coefficients[0] < 0.95
    assert plain.p_value == 0.01
    assert found.p_value > 0.05
    assert abs(found.calibrated) < 0.02


def test_columns_that_say_nothing_new_cost_nothing():
    x, y, c = noise(), noise(seed=1), noise(d=2, seed=2)
    more = np.column_stack([np.full(40, 7.0), c, c[:, 0] * -3 + 2, c.sum(axis=1), np.zeros(40)])
    found, expected = svcca(x, y, covariates=more), svcca(x, y, covariates=c)
    assert found.covariates == 2
    assert found.score == pytest.approx(expected.score, abs=1e-10)
    assert svcca(x, y, covariates=np.ones(40)).score == svcca(x, y).score
    scaled = svcca(x, y, covariates=c * [1e-12, 1e12] + [0, 1e13])
    assert scaled.score == pytest.approx(expected.score, abs=1e-5)


def test_a_view_of_confounds_alone_is_undefined():
    c = noise(d=2, seed=2)
    found = svcca(c @ noise(2, 30), noise(), covariates=c)
    assert np.isnan(found.score)
    assert "beyond its confounds" in found.reason
    assert found.covariates == 2


def test_too_many_confounds():
    found = svcca(noise(10), noise(10, seed=1), covariates=noise(10, 8, seed=2))
    assert "beyond the 8 confounds, there are 10" in found.reason


@pytest.mark.parametrize(
    ("covariates", "message"),
    [
        (np.zeros(39), "each of the 40"),
        (np.zeros((2, 40)), "each of the 40"),
        (np.full(40, np.nan), "NaN or infinity, first in row 0"),
        (["a"] * 40, "must be numbers"),
    ],
)
def test_wrong_covariates(covariates, message):
    with pytest.raises(MeasureError, match=message):
        svcca(noise(), noise(seed=1), covariates=covariates)


def test_confounds_belong_to_their_sentences():
    measure = Svcca()
    x, y, c = noise(d=60), noise(d=70, seed=1), noise(d=2, seed=2)
    a, b = measure.prepare(x), measure.prepare(y)
    rows = np.arange(5, 35)
    found = measure.compare(a, b, rows_a=rows, rows_b=rows, covariates=c[rows])
    assert found.score == pytest.approx(svcca(x[rows], y[rows], covariates=c[rows]).score)
    again = measure.compare(a, b, rows_a=rows, rows_b=rows, covariates=c[:30])
    assert again.score != found.score
    ready = nuisance(c[rows], 30)
    assert measure.compare(a, b, rows_a=rows, rows_b=rows, covariates=ready).score == found.score
    with pytest.raises(MeasureError, match="30 sentences, 40"):
        measure.compare(a, b, covariates=ready)
