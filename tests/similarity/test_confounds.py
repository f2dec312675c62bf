"""Confounds taken out of both views, for every measure: scores and nulls."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isogloss.similarity import MEASURES, Shuffles
from isogloss.similarity.partial import nuisance
from measure_variants import VARIANTS, compare, views

every = pytest.mark.parametrize("measure", VARIANTS.values(), ids=VARIANTS)
LENGTHS = np.random.default_rng(8).gamma(2.0, size=(60, 4))


def unrelated(rng, n=60, d=12):
    return (rng.standard_normal((n, d)) * (1 + np.arange(d)) ** -0.3 for _ in "xy")


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**31), n=st.integers(4, 40), q=st.integers(1, 12))
def test_rows_that_may_be_shuffled(seed, n, q):
    rng = np.random.default_rng(seed)
    q = min(q, n - 3)
    covariates = rng.standard_normal((n, q)) ** 3
    out = nuisance(covariates, n)
    turn = out.reduction
    left = n - out.count
    assert turn.shape == (left, n)
    assert turn @ turn.T == pytest.approx(np.eye(left) - 1 / left, abs=1e-9)
    assert turn @ np.ones(n) == pytest.approx(0, abs=1e-9)
    assert turn @ out.basis == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("q", [1, 3, 9])
def test_rows_come_as_close_to_residuals_of_sentences_as_can_be(q):
    rng = np.random.default_rng(q)
    n = 30
    covariates = rng.standard_normal((n, q))
    covariates[:q] += 20 * np.eye(q)  # so that it is clear which sentences are dropped
    out = nuisance(covariates, n)
    residual = np.eye(n) - 1 / n - out.basis @ out.basis.T
    kept = residual[q:]
    # Of all maps with these products and this row space the polar factor is the closest one.
    centre = np.eye(n - q) - 1 / (n - q)
    left, _, right = np.linalg.svd(centre @ kept)
    expected = left[:, : n - q - 1] @ right[: n - q - 1]
    np.testing.assert_allclose(out.reduction, expected, atol=1e-8)
    assert np.linalg.norm(out.reduction - kept) < 0.5 * np.linalg.norm(kept)


@every
@pytest.mark.parametrize("shape", [(40, 9), (24, 60)])
def test_score_is_that_of_the_rows_without_confounds(measure, shape):
    x, y = views(*shape)
    rng = np.random.default_rng(3)
    covariates = rng.standard_normal((shape[0], 5))
    load = 5 * rng.standard_normal((5, shape[1]))
    turn = nuisance(covariates, shape[0]).reduction
    found = compare(
        measure, x + covariates @ load, y - covariates @ load,
        covariates=covariates, shuffles=Shuffles(6),
    )  # fmt: skip
    expected = compare(measure, turn @ x, turn @ y, shuffles=Shuffles(6))
    assert found.score == pytest.approx(expected.score, abs=1e-8)
    assert found.chance == pytest.approx(expected.chance, abs=1e-8, nan_ok=True)
    assert (found.n, found.covariates, found.k_x) == (shape[0], 5, expected.k_x)
    if MEASURES.name_of(type(measure)) in {"cka", "rsa", "mutual_knn", "retrieval"}:
        np.testing.assert_allclose(found.null, expected.null, atol=1e-8)


@every
@pytest.mark.parametrize("d", [6, 90])
def test_a_view_of_nothing_but_confounds(measure, d):
    rng = np.random.default_rng(4)
    confounded = LENGTHS @ rng.standard_normal((4, d)) + 3
    x, _ = views(60, d)
    reason = "does not vary between the 60 sentences beyond its confounds"
    for pair, name in (((confounded, x), "first"), ((x, confounded), "second")):
        found = compare(measure, *pair, covariates=LENGTHS, shuffles=Shuffles(3))
        assert np.isnan(found.score)
        assert found.reason == f"the {name} view {reason}"
        assert found.covariates == 4
        assert np.isfinite(compare(measure, *pair).score)


@every
def test_what_two_views_share_by_a_confound_alone_is_removed(measure):
    rng = np.random.default_rng(5)
    load = 3 * rng.standard_normal((4, 12))
    removed = []
    for _ in range(20):
        x, y = (v + LENGTHS @ load for v in unrelated(rng))
        seen = compare(measure, x, y, shuffles=Shuffles(39))
        assert seen.score > seen.null.max()
        left = compare(measure, x, y, covariates=LENGTHS, shuffles=Shuffles(39))
        removed.append((left.score - left.null_mean) / left.null_sd)
    # Standard scores of unrelated views: their mean has a standard error of 0.22.
    assert abs(np.mean(removed)) < 0.8
    assert np.max(removed) < 4


@every
def test_null_with_confounds_has_the_mean_of_unrelated_views(measure):
    """Residuals themselves would not do: they share a pattern of distances, which shuffling loses.

    With these shapes their RSA is 0.3 above its null, and their debiased CKA 0.2.
    """
    rng = np.random.default_rng(6)
    measure = measure.model_copy(update={"k": 3} if hasattr(measure, "k") else {})
    confounds = rng.standard_normal((30, 8)) ** 3
    found = []
    for seed in range(60):
        x, y = (v + confounds @ rng.standard_normal((8, 50)) for v in unrelated(rng, 30, 50))
        score = compare(measure, x, y, covariates=confounds, shuffles=Shuffles(20, seed))
        chance = 0 if np.isnan(score.chance) else score.chance - score.null_mean
        found.append((score.score - score.null_mean, chance))
    excess, closed = np.array(found).T
    assert abs(excess.mean()) < 4 * excess.std() / 60**0.5 + 1e-9
    assert abs(closed.mean()) < 0.01


def test_residuals_that_are_not_turned_share_a_pattern():
    """Why the rows are turned: what plain residuals would score."""
    rng = np.random.default_rng(7)
    confounds = rng.standard_normal((30, 8)) ** 3
    out = nuisance(confounds, 30)
    plain, turned = [], []
    for _ in range(20):
        x, y = rng.standard_normal((2, 30, 500))
        measure = VARIANTS["rsa"]
        plain.append(compare(measure, out.residual(x), out.residual(y)).score)
        turned.append(compare(measure, x, y, covariates=confounds).score)
    assert np.mean(plain) > 0.25
    assert abs(np.mean(turned)) < 0.04


CONTINUOUS = ["pwcca", "cka", "cka debiased=False", "cka kernel=rbf", "procrustes", "rsa", "anc"]


@pytest.mark.parametrize("variant", CONTINUOUS)
def test_p_values_of_unrelated_views_are_uniform(variant):
    rng = np.random.default_rng(9)
    ps = []
    for _ in range(200):
        x, y = rng.standard_normal((2, 24, 10)) * (1 + np.arange(10)) ** -0.5
        confounds = rng.standard_normal((24, 5))
        x, y = x + confounds @ np.ones((5, 10)), y + confounds @ np.ones((5, 10))
        shuffles = Shuffles(19, int(rng.integers(2**32)))
        found = compare(VARIANTS[variant], x, y, covariates=confounds, shuffles=shuffles)
        ps.append(found.p_value)
    counts = np.bincount(np.rint(np.array(ps) * 20).astype(int), minlength=21)
    assert counts[0] == 0
    # Chi-squared with 19 degrees of freedom; 43.8 is its 0.1 % point.
    assert ((counts[1:] - 10) ** 2 / 10).sum() < 43.8
