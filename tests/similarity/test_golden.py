"""SVCCA against google/svcca: its recorded numbers, and its algorithm written out again."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file

import isogloss
from isogloss.similarity import svcca

DATA = Path(isogloss.__file__).parent / "data"
ARRAYS = load_file(DATA / "svcca.safetensors")
NUMBERS = json.loads((DATA / "svcca.json").read_text())


@pytest.mark.parametrize("mean", ["all", "98"])
@pytest.mark.parametrize("case", sorted(NUMBERS))
def test_recorded_numbers(case, mean):
    name, rule = case.split("/")
    expected = NUMBERS[case]
    x, y = ARRAYS[f"{name}/x"], ARRAYS[f"{name}/y"]
    found = svcca(x, y, rule=rule, mean=mean)
    assert (found.k_x, found.k_y) == (expected["k_x"], expected["k_y"])
    assert found.score == pytest.approx(expected[f"mean_{mean}"], abs=1e-9)
    assert found.coefficients == pytest.approx(ARRAYS[f"{case}/coef"], abs=1e-9)
    assert found.n == len(x)


def test_all_five_cases_are_there():
    assert len(NUMBERS) == 10


def google(x, y, *, share, rule, epsilon):
    """Cut by a singular value decomposition, then CCA from covariances and inverse square roots."""

    def cut(view):
        features = view.T - view.T.mean(axis=1, keepdims=True)
        _, s, right = np.linalg.svd(features, full_matrices=False)
        amounts = s**2 if rule == "squared" else s
        k = next(k for k in range(1, s.size + 1) if amounts[:k].sum() >= share * amounts.sum())
        return s[:k, None] * right[:k]

    def inverse_root(matrix):
        values, vectors = np.linalg.eigh(np.linalg.inv(matrix))
        return vectors @ np.diag(np.sqrt(values)) @ vectors.T

    a, b = cut(x), cut(y)
    covariance = np.cov(a, b)
    p = len(a)
    aa, ab, bb = covariance[:p, :p], covariance[:p, p:], covariance[p:, p:]
    top_a, top_b = np.abs(aa).max(), np.abs(bb).max()
    aa, bb, ab = aa / top_a, bb / top_b, ab / np.sqrt(top_a * top_b)
    in_a, in_b = np.diag(aa) >= epsilon, np.diag(bb) >= epsilon
    aa, bb, ab = aa[np.ix_(in_a, in_a)], bb[np.ix_(in_b, in_b)], ab[np.ix_(in_a, in_b)]
    aa, bb = aa + epsilon * np.eye(len(aa)), bb + epsilon * np.eye(len(bb))
    coefs = np.linalg.svd(inverse_root(aa) @ ab @ inverse_root(bb), compute_uv=False)
    cut_at = None
    for i in range(coefs.size):
        if coefs[:i].sum() / coefs.sum() >= 0.98:
            cut_at = i
            break
    return len(aa), len(bb), coefs, coefs.mean(), coefs[:cut_at].mean()


@settings(max_examples=120, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.integers(5, 60),
    d_x=st.integers(1, 80),
    d_y=st.integers(1, 80),
    decay=st.floats(0, 2),
    share=st.floats(0.3, 0.97),
    rule=st.sampled_from(["squared", "linear"]),
    epsilon=st.sampled_from([1e-10, 1e-6, 1e-2]),
)
def test_algorithm_of_google(seed, n, d_x, d_y, decay, share, rule, epsilon):
    rng = np.random.default_rng(seed)
    common = rng.standard_normal((n, 3))

    def view(d):
        mixed = rng.standard_normal((n, d)) * (1 + np.arange(d)) ** -decay
        return mixed @ rng.standard_normal((d, d)) + common @ rng.standard_normal((3, d)) + 5

    x, y = view(d_x), view(d_y)
    k_x, k_y, coefs, mean_all, mean_98 = google(x, y, share=share, rule=rule, epsilon=epsilon)
    for mean, expected in (("all", mean_all), ("98", mean_98)):
        found = svcca(x, y, share=share, rule=rule, mean=mean, epsilon=epsilon)
        assert (found.k_x, found.k_y) == (k_x, k_y)
        assert found.coefficients == pytest.approx(coefs, abs=1e-6)
        assert found.score == pytest.approx(expected, abs=1e-6)


def test_mean_98_stops_at_the_coefficient_that_reaches_98_percent():
    # Coefficients .99, .01, 0: the first is 99 % of the sum; of two equal ones neither suffices.
    basis = np.linalg.qr(np.random.default_rng(0).standard_normal((40, 7)))[0]
    basis = np.linalg.qr(basis - basis.mean(axis=0))[0]
    x = basis[:, :3]
    for rho, expected in (([0.99, 0.01, 0.0], 0.99), ([0.5, 0.5, 0.0], 0.5)):
        r = np.array(rho)
        y = x * r + basis[:, 3:6] * np.sqrt(1 - r**2)
        found = svcca(x, y, share=1.0, mean="98")
        assert found.coefficients == pytest.approx(rho, abs=1e-7)
        assert found.score == pytest.approx(expected, abs=1e-7)


def test_mean_98_of_orthogonal_views_is_zero():
    x = np.array([[1.0], [-1], [0], [0]])
    y = np.array([[0.0], [0], [1], [-1]])
    assert svcca(x, y, mean="98").score == 0
