"""Chance in closed form, against simulation and against what is known exactly."""

from math import exp, lgamma

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isogloss.errors import MeasureError
from isogloss.similarity import gaussian_baseline, svcca, wachter
from isogloss.similarity.baseline import baseline
from isogloss.similarity.chance import _law_mean


def simulate(k_x, k_y, n, draws, seed=0):
    """Coefficients of random subspaces: (draws × min(k)), falling, of as many draws."""
    rng = np.random.default_rng(seed)
    subspaces = np.linalg.qr(rng.standard_normal((draws, n - 1, k_x)))[0]
    return np.linalg.svd(subspaces[:, :k_y], compute_uv=False)


def cut_98(coefs):
    sums = coefs.cumsum(axis=1)
    count = (sums < 0.98 * sums[:, -1:]).sum(axis=1)
    return sums[np.arange(len(sums)), count] / (count + 1)


CASES = [
    (2, 2, 21, 4000), (3, 7, 30, 4000), (5, 5, 194, 2000), (10, 10, 194, 1000),
    (10, 60, 194, 300), (31, 45, 194, 300), (40, 40, 194, 200), (60, 63, 194, 200),
    (100, 92, 194, 100), (96, 97, 194, 100), (100, 100, 194, 100), (152, 152, 194, 100),
    (150, 30, 194, 100), (15, 18, 25, 1000), (191, 40, 194, 60), (20, 30, 1000, 60),
]  # fmt: skip


@pytest.mark.parametrize(("k_x", "k_y", "n", "draws"), CASES)
def test_simulation(k_x, k_y, n, draws):
    means = simulate(k_x, k_y, n, draws).mean(axis=1)
    error = abs(wachter(k_x, k_y, n) - means.mean())
    assert error < 4 * means.std() / draws**0.5 + 2e-4
    assert error < 0.005


@pytest.mark.parametrize(("k_x", "k_y", "n", "draws"), CASES)
def test_simulation_of_the_98_mean(k_x, k_y, n, draws):
    means = cut_98(simulate(k_x, k_y, n, draws))
    error = abs(wachter(k_x, k_y, n, mean="98") - means.mean())
    assert error < (0.005 if min(k_x, k_y) >= 10 else 0.015)


@given(k=st.integers(1, 400), n=st.integers(3, 3000))
@settings(deadline=None)
def test_one_coefficient_has_a_beta_law(k, n):
    """The square of the multiple correlation is Beta(k / 2, (n - 1 - k) / 2)."""
    k = min(k, n - 2)
    log = lgamma((k + 1) / 2) - lgamma(k / 2) + lgamma((n - 1) / 2) - lgamma(n / 2)
    for mean in ("all", "98"):
        assert wachter(1, k, n, mean=mean) == pytest.approx(exp(log), abs=1e-9)


@given(st.integers(1, 200), st.integers(1, 200), st.integers(3, 300))
@settings(deadline=None)
def test_bounds_symmetry_and_growth(k_x, k_y, n):
    k_x, k_y = min(k_x, n - 1), min(k_y, n - 1)
    value = wachter(k_x, k_y, n)
    assert 0 < value <= 1 + 1e-12
    assert wachter(k_y, k_x, n) == value
    # The mean square is max(k) / (n - 1) exactly, and the mean is below its root.
    square = max(k_x, k_y) / (n - 1)
    assert square - 1e-9 <= value <= square**0.5 + 1e-9
    assert wachter(k_x, k_y, n, mean="98") >= value - 0.01


@pytest.mark.parametrize("n", [100, 194, 1000])
@pytest.mark.parametrize("ratio", [1, 1.1, 2])
def test_exact_and_asymptotic_values_meet(n, ratio):
    p = 25
    assert wachter(p, int(p * ratio), n) == pytest.approx(
        _law_mean(p, int(p * ratio), n - 1), abs=7e-4
    )
    p, q = 32, min(int(33 * ratio), n - 34)
    step = wachter(p + 1, q, n) - wachter(p, q, n), wachter(p, q, n) - wachter(p - 1, q, n)
    assert step[0] == pytest.approx(step[1], abs=6e-4)


def test_everything_forced():
    assert wachter(9, 4, 10) == 1
    assert wachter(9, 4, 10, mean="98") == 1
    # Four forced ones and one free coefficient with one degree of freedom each way.
    free = wachter(1, 1, 10)
    assert wachter(5 + 3, 5 + 3, 10) == pytest.approx((7 + free) / 8)


@pytest.mark.parametrize(("k_x", "k_y", "n"), [(0, 3, 10), (3, 10, 10), (1, 1, 1)])
def test_impossible_dimensions(k_x, k_y, n):
    with pytest.raises(MeasureError, match=r"\d sentences"):
        wachter(k_x, k_y, n)


def test_unknown_mean():
    with pytest.raises(MeasureError, match='unknown mean "al"; did you mean "all"'):
        wachter(3, 3, 10, mean="al")
    assert wachter(12, 13, 40, mean=98) == wachter(12, 13, 40, mean="98")


@pytest.mark.parametrize(
    ("shape", "rule", "mean", "expected"),
    [
        ((194, 1024, 1024), "squared", "all", 0.836),
        ((194, 1024, 1024), "squared", "98", 0.917),
        ((194, 1024, 1024), "linear", "all", 0.886),
        ((194, 4096, 4096), "squared", "all", 0.891),
        ((251, 1024, 1024), "squared", "all", 0.819),
        ((251, 2048, 4096), "linear", "all", 0.906),
    ],
)
def test_baseline_of_the_study(shape, rule, mean, expected):
    assert gaussian_baseline(*shape, rule=rule, mean=mean) == pytest.approx(expected, abs=0.006)


def test_baseline_is_what_gaussian_vectors_score():
    rng = np.random.default_rng(5)
    scores = [
        svcca(rng.standard_normal((40, 90)), rng.standard_normal((40, 25))).score
        for _ in range(150)
    ]
    baseline = gaussian_baseline(40, 90, 25, draws=150)
    assert baseline == pytest.approx(np.mean(scores), abs=5 * np.std(scores) * (2 / 150) ** 0.5)
    assert np.std(scores) < 0.02


def test_baseline_repeats_itself_and_follows_its_options():
    first = gaussian_baseline(30, 50, 50)
    baseline.cache_clear()
    assert gaussian_baseline(30, 50, 50) == first
    others = {"share": 0.5, "rule": "linear", "mean": "98", "seed": 1, "epsilon": 0.1, "draws": 2}
    values = [gaussian_baseline(30, 50, 50, **{k: v}) for k, v in others.items()]
    assert len({first, *values}) == len(others) + 1
    assert np.isnan(gaussian_baseline(2, 50, 50))


def test_score_of_unrelated_views_is_chance():
    rng = np.random.default_rng(11)
    gaps = []
    for _ in range(200):
        x = rng.standard_normal((40, 30)) * (1 + np.arange(30)) ** -0.6
        y = rng.standard_normal((40, 90)) * (1 + np.arange(90)) ** -0.8
        found = svcca(x, y)
        gaps.append(found.score - found.chance)
    assert abs(np.mean(gaps)) < 4 * np.std(gaps) / 200**0.5
    assert np.std(gaps) < 0.05
