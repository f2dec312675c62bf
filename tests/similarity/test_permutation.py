"""The permutation null is what shuffling the sentences and starting over gives."""

import numpy as np
import pytest

from isogloss.errors import MeasureError
from isogloss.similarity import Shuffles, cca, svcca


def related(rng, n=40, d_x=60, d_y=20, strength=1.0):
    common = rng.standard_normal((n, 3))
    x = rng.standard_normal((n, d_x)) * (1 + np.arange(d_x)) ** -0.5
    y = rng.standard_normal((n, d_y)) * (1 + np.arange(d_y)) ** -0.5
    x += strength * common @ rng.standard_normal((3, d_x))
    return x, y + strength * common @ rng.standard_normal((3, d_y))


@pytest.mark.parametrize("epsilon", [1e-10, 1e-2])
@pytest.mark.parametrize("mean", ["all", "98"])
def test_null_is_exact(mean, epsilon):
    x, y = related(np.random.default_rng(3), d_y=6, strength=0.2)
    found = svcca(x, y, mean=mean, epsilon=epsilon, permutations=30, seed=9)
    orders = Shuffles(30, seed=9).orders(40)
    scores = [svcca(x, y[order], mean=mean, epsilon=epsilon).score for order in orders]
    np.testing.assert_allclose(found.null, scores, atol=1e-10)
    assert found.null_mean == pytest.approx(np.mean(scores), abs=1e-10)
    assert found.null_sd == pytest.approx(np.std(scores, ddof=1), abs=1e-10)
    assert found.p_value == (1 + np.sum(np.array(scores) >= found.score)) / 31
    assert found.permutations == 30


def test_blocks_do_not_change_the_null(monkeypatch):
    x, y = related(np.random.default_rng(4))
    whole = svcca(x, y, permutations=50)
    monkeypatch.setattr(cca, "BLOCK", 2000)
    assert svcca(x, y, permutations=50).null_mean == whole.null_mean


def test_relation_is_found_and_shuffling_destroys_it():
    x, y = related(np.random.default_rng(5), strength=3)
    found = svcca(x, y, permutations=99)
    assert found.p_value == 0.01
    assert found.score > found.null_mean + 5 * found.null_sd
    order = np.random.default_rng(1).permutation(40)
    assert svcca(x, y[order], permutations=99).p_value > 0.05


def test_p_values_of_unrelated_views_are_uniform():
    rng = np.random.default_rng(6)
    ps = []
    for _ in range(400):
        x = rng.standard_normal((20, 8)) * (1 + np.arange(8)) ** -0.5
        y = rng.standard_normal((20, 30)) * (1 + np.arange(30)) ** -0.9
        ps.append(svcca(x, y, permutations=19, seed=int(rng.integers(2**32))).p_value)
    counts = np.bincount(np.rint(np.array(ps) * 20).astype(int), minlength=21)
    assert counts[0] == 0
    # Chi-squared with 19 degrees of freedom; 43.8 is its 0.1 % point.
    assert ((counts[1:] - 20) ** 2 / 20).sum() < 43.8


def test_null_mean_is_the_closed_form():
    rng = np.random.default_rng(7)
    for d, decay in ((60, 0.0), (100, 0.5), (300, 0.8), (20, 0.2)):
        x, y = (rng.standard_normal((70, d)) * (1 + np.arange(d)) ** -decay for _ in "xy")
        for mean in ("all", "98"):
            found = svcca(x, y, mean=mean, permutations=100)
            tolerance = 0.003 + 4 * found.null_sd / 10
            assert found.null_mean == pytest.approx(found.chance, abs=tolerance)


def test_saturated_score_is_no_evidence():
    x, y = (np.random.default_rng(i).standard_normal((12, 40)) for i in range(2))
    found = svcca(x, y, share=1.0, permutations=20)
    assert found.score == pytest.approx(1, abs=1e-7)
    assert found.chance == 1
    assert found.p_value == 1
    assert found.null_sd == pytest.approx(0, abs=1e-7)


def test_no_permutations_leave_nan():
    x, y = related(np.random.default_rng(8))
    found = svcca(x, y)
    assert np.isnan([found.null_mean, found.null_sd, found.p_value]).all()
    assert found.permutations == 0
    once = svcca(x, y, permutations=1)
    assert np.isnan(once.null_sd)
    assert once.p_value in (0.5, 1)


def test_negative_permutations():
    with pytest.raises(MeasureError, match="permutations"):
        svcca(np.ones((5, 2)), np.ones((5, 2)), permutations=-1)


def test_all_comparisons_of_as_many_sentences_are_shuffled_alike():
    orders = Shuffles(5, seed=3).orders(12)
    assert orders.shape == (5, 12)
    assert (np.sort(orders, axis=1) == np.arange(12)).all()
    np.testing.assert_array_equal(orders, Shuffles(5, seed=3).orders(12))
    np.testing.assert_array_equal(orders, Shuffles(9, seed=3).orders(12)[:5])
    assert (orders != Shuffles(5, seed=4).orders(12)).any()


def test_p_values_of_unrelated_views_with_confounds_are_uniform():
    """A null that ignores what confounds cost in freedom lies too low, and p with it."""
    rng = np.random.default_rng(11)
    ps = []
    for _ in range(300):
        x, y = rng.standard_normal((24, 6)), rng.standard_normal((24, 40))
        confounds = rng.standard_normal((24, 8))
        x[:, :3] += 2 * confounds[:, :3]
        y[:, :3] += 2 * confounds[:, :3]
        found = svcca(x, y, covariates=confounds, permutations=19, seed=int(rng.integers(2**32)))
        assert found.covariates == 8
        ps.append(found.p_value)
    counts = np.bincount(np.rint(np.array(ps) * 20).astype(int), minlength=21)
    assert ((counts[1:] - 15) ** 2 / 15).sum() < 43.8
