"""What must not change the score, and what must give a known one."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isogloss.similarity import Svcca, svcca

shapes = st.tuples(st.integers(6, 50), st.integers(2, 70), st.integers(2, 70))
seeds = st.integers(0, 2**32 - 1)
rules = st.sampled_from(["squared", "linear"])
means = st.sampled_from(["all", "98"])


def views(shape, rng, decay=0.7):
    n, d_x, d_y = shape
    common = rng.standard_normal((n, 2))
    return tuple(
        rng.standard_normal((n, d)) * (1 + np.arange(d)) ** -decay
        + common @ rng.standard_normal((2, d))
        for d in (d_x, d_y)
    )


def rotation(d, rng):
    return np.linalg.qr(rng.standard_normal((d, d)))[0]


@settings(max_examples=60, deadline=None)
@given(shape=shapes, seed=seeds, rule=rules, mean=means, scale=st.floats(1e-6, 1e6))
def test_rotation_scaling_and_translation(shape, seed, rule, mean, scale):
    rng = np.random.default_rng(seed)
    x, y = views(shape, rng)
    before = svcca(x, y, rule=rule, mean=mean)
    moved = -scale * x @ rotation(x.shape[1], rng) + scale * rng.standard_normal(x.shape[1])
    after = svcca(moved, y, rule=rule, mean=mean)
    assert (after.k_x, after.k_y) == (before.k_x, before.k_y)
    assert after.score == pytest.approx(before.score, abs=1e-9)


def test_an_invertible_linear_map_does_change_the_score():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((80, 20))
    y = x @ rotation(20, rng) + rng.standard_normal((80, 20))
    stretched = x * np.geomspace(1, 100, 20)
    assert abs(svcca(stretched, y).score - svcca(x, y).score) > 0.01
    assert "invertible linear" not in Svcca.info.invariances


@settings(max_examples=40, deadline=None)
@given(shape=shapes, seed=seeds, rule=rules, mean=means)
def test_order_of_the_sentences(shape, seed, rule, mean):
    rng = np.random.default_rng(seed)
    x, y = views(shape, rng)
    order = rng.permutation(shape[0])
    before, after = (svcca(a, b, rule=rule, mean=mean) for a, b in ((x, y), (x[order], y[order])))
    assert after.score == pytest.approx(before.score, abs=1e-9)


@settings(max_examples=40, deadline=None)
@given(shape=shapes, seed=seeds, rule=rules, mean=means)
def test_symmetry_to_the_last_digit(shape, seed, rule, mean):
    x, y = views(shape, np.random.default_rng(seed))
    one = svcca(x, y, rule=rule, mean=mean)
    two = svcca(y, x, rule=rule, mean=mean)
    assert one.score == two.score
    assert (one.k_x, one.k_y, one.chance) == (two.k_y, two.k_x, two.chance)


@settings(max_examples=40, deadline=None)
@given(shape=shapes, seed=seeds, rule=rules, mean=means)
def test_a_view_is_like_itself(shape, seed, rule, mean):
    rng = np.random.default_rng(seed)
    x, _ = views(shape, rng)
    turned = 3 * x @ rotation(x.shape[1], rng)
    for other in (x, turned):
        assert svcca(x, other, rule=rule, mean=mean).score == pytest.approx(1, abs=1e-6)
        exact = svcca(x, other, rule=rule, mean=mean, epsilon=0).score
        assert exact == pytest.approx(1, abs=1e-10)


@settings(max_examples=40, deadline=None)
@given(
    seed=seeds,
    n=st.integers(12, 60),
    k=st.integers(1, 5),
    width=st.integers(5, 90),
    rhos=st.lists(st.floats(0, 1), min_size=5, max_size=5),
)
def test_planted_correlations_are_found(seed, n, k, width, rhos):
    rng = np.random.default_rng(seed)
    raw = rng.standard_normal((n, 2 * k))
    basis = np.linalg.qr(raw - raw.mean(axis=0))[0]
    rho = np.sort(rhos[:k])[::-1]
    right = basis[:, :k] * rho + basis[:, k:] * np.sqrt(1 - rho**2)
    x = (basis[:, :k] * rng.uniform(1, 3, k)) @ rotation(width, rng)[:k] + 7
    y = (right @ rotation(k, rng) * rng.uniform(1, 3, k)) @ rotation(width, rng)[:k] - 2
    found = svcca(x, y, share=1.0, epsilon=0)
    assert (found.k_x, found.k_y) == (k, k)
    assert found.coefficients == pytest.approx(rho, abs=1e-7)
    assert found.score == pytest.approx(rho.mean(), abs=1e-7)


@settings(max_examples=60, deadline=None)
@given(seed=seeds, n=st.integers(5, 40), d=st.integers(2, 39), rule=rules)
def test_gram_and_svd_give_the_same(seed, n, d, rule):
    """Columns of zeros change nothing but which of the two is used."""
    rng = np.random.default_rng(seed)
    n = max(n, d + 1)
    x, y = views((n, d, d), rng)
    padded = [np.hstack([v, np.zeros((n, n))]) for v in (x, y)]
    tall, wide = svcca(x, y, rule=rule), svcca(*padded, rule=rule)
    assert (tall.k_x, tall.k_y) == (wide.k_x, wide.k_y)
    assert wide.coefficients == pytest.approx(tall.coefficients, abs=1e-9)


@settings(max_examples=60, deadline=None)
@given(shape=shapes, seed=seeds, rule=rules)
def test_rows_are_the_same_as_slicing_first(shape, seed, rule):
    rng = np.random.default_rng(seed)
    x, y = views(shape, rng)
    n = shape[0]
    size = int(rng.integers(4, n))
    rows_a, rows_b = (rng.permutation(n)[:size] for _ in "xy")
    measure = Svcca(rule=rule)
    a, b = measure.prepare(x), measure.prepare(y)
    found = measure.compare(a, b, rows_a=rows_a, rows_b=rows_b)
    expected = svcca(x[rows_a], y[rows_b], rule=rule)
    assert (found.k_x, found.k_y, found.n) == (expected.k_x, expected.k_y, size)
    assert found.score == pytest.approx(expected.score, abs=1e-9)


def test_cut_on_a_flat_spectrum_is_not_left_to_rounding():
    x = np.linalg.qr(np.random.default_rng(1).standard_normal((50, 11)))[0]
    x = np.linalg.qr(x - x.mean(axis=0))[0][:, :10]
    for scale in np.linspace(0.1, 9, 20):
        assert svcca(scale * x, x, share=0.9).k_x == 9
        assert svcca(scale * x, x, share=0.3, rule="linear").k_x == 3


def test_epsilon_damps_and_drops():
    raw = np.random.default_rng(2).standard_normal((30, 3))
    x = np.linalg.qr(raw - raw.mean(axis=0))[0] * [1, 1e-2, 1e-4]
    damped = svcca(x, x, share=1.0, epsilon=1e-4)
    # Variances 1, 1e-4 and 1e-8 of the largest: kept, halved, dropped.
    assert damped.k_x == 2
    assert damped.coefficients == pytest.approx([1 / 1.0001, 0.5], rel=1e-6)
    assert svcca(x, x, share=1.0).k_x == 3
