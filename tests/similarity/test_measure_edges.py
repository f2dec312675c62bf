"""Input at the edge of sense gives a defined result for every measure, or one clear message."""

import numpy as np
import pytest

from isogloss.errors import MeasureError
from isogloss.similarity import MEASURES, Shuffles
from measure_variants import VARIANTS, compare, views

BOTH = pytest.mark.parametrize("shape", [(30, 12), (30, 50)], ids=["tall", "wide"])
every = pytest.mark.parametrize("measure", VARIANTS.values(), ids=VARIANTS)


def undefined(score, reason):
    assert np.isnan(score.score)
    assert reason in score.reason
    assert score.null.size == 0
    return True


@every
@pytest.mark.parametrize("d", [1, 12, 50])
@pytest.mark.parametrize("value", [0.0, 0.1, 1e30, -7])
def test_constant_view(measure, value, d):
    flat = np.full((30, d), value)
    x, _ = views(30, d)
    reason = "does not vary between the 30 sentences"
    if d == 1 and getattr(measure, "distance", "") == "correlation":
        reason = "1 feature"
    assert undefined(compare(measure, flat, x), reason)
    assert undefined(compare(measure, x, flat, shuffles=Shuffles(3)), reason)


@every
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_equal_sentences_in_a_view_that_varies(measure, dtype):
    x, y = views(60, 64)
    x = (x * 100).astype(dtype)
    x[20:40] = x[20]
    a, b = measure.prepare(x), measure.prepare(y)
    rows = np.arange(20, 40)
    found = measure.compare(a, b, rows_a=rows, rows_b=rows)
    assert undefined(found, "the first view does not vary between the 20 sentences")
    assert measure.compare(a, b).score > measure.info.range[0]


@every
@pytest.mark.parametrize("d", [2, 50])
def test_rank_one(measure, d):
    """A number for every measure; angles are 0 or 180 degrees, so half of all pairs are equal."""
    rng = np.random.default_rng(3)
    line = np.outer(rng.standard_normal(30), rng.standard_normal(d))
    _, y = views(30, d)
    for pair in ((line, y), (y, line), (line, line)):
        found = compare(measure, *pair, shuffles=Shuffles(5))
        assert measure.info.range[0] <= found.score <= measure.info.range[1]
        assert np.isfinite(found.null).all()


@every
def test_sentences_that_all_point_the_same_way(measure):
    rng = np.random.default_rng(3)
    line = np.outer(rng.uniform(1, 2, 30), rng.standard_normal(50))
    found = compare(measure, line, views(30, 50)[1])
    name = MEASURES.name_of(type(measure))
    if name in {"rsa", "mutual_knn"}:
        assert undefined(found, "the first view has all 30 sentences in the same direction")
    else:
        assert np.isfinite(found.score)


@every
@pytest.mark.parametrize("n", [0, 1, 2])
def test_too_few_sentences(measure, n):
    x, y = views(5, 9)
    score = compare(measure, x[:n], y[:n])
    assert undefined(score, f"at least 3 sentences are needed, there are {n}")


def test_fewest_sentences_of_each_measure():
    x, y = views(3, 9)
    wrong = {
        "cka": "debiased CKA needs at least 4 sentences beyond the confounds, there are 3",
        "cka kernel=rbf": "debiased CKA needs at least 4",
        "mutual_knn k=3": "has 3 sentences beyond its confounds, too few for 3 neighbours",
    }
    for name, measure in VARIANTS.items():
        found = compare(measure, x, y)
        if name in wrong:
            assert undefined(found, wrong[name])
        else:
            assert np.isfinite(found.score), name
    x, y = views(12, 9)
    knn = MEASURES.get("mutual_knn")
    assert undefined(compare(knn(k=12), x, y), "choose a smaller k")
    last = compare(knn(k=11), x, y)
    assert (last.score, last.chance) == (1, 1)
    assert np.isnan(last.calibrated)


@every
@BOTH
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite(measure, value, shape):
    x, y = views(*shape)
    clean = x.copy()
    x[[7, 21], [0, 3]] = value
    found = compare(measure, x, y, shuffles=Shuffles(3))
    assert undefined(found, "the first view has NaN or infinity in 2 sentences, first in row 7")
    a, b = measure.prepare(x), measure.prepare(y)
    rows = np.setdiff1d(np.arange(30), [7, 21])
    spared = measure.compare(a, b, rows_a=rows, rows_b=rows)
    expected = compare(measure, clean[rows], y[rows])
    assert spared.score == pytest.approx(expected.score, abs=1e-9)


@every
def test_different_sizes(measure):
    x, y = views(30, 12)
    with pytest.raises(MeasureError, match=r"\(30, 12\).*\(29, 12\).*rows_a"):
        compare(measure, x, y[:29])
    found = compare(measure, x, views(30, 12, other=13)[1])
    if measure.info.equal_width:
        assert undefined(found, "the same number of features, but they have 12 and 13")
    else:
        assert np.isfinite(found.score)


@every
def test_one_feature(measure):
    x, y = views(30, 1)
    found = compare(measure, x, y, shuffles=Shuffles(3))
    name = MEASURES.name_of(type(measure))
    if name == "rsa" and measure.distance == "correlation":
        assert undefined(found, "the first view has 1 feature, over which no correlation")
    elif name in {"svcca", "cca", "pwcca", "procrustes", "anc"}:
        r = np.corrcoef(x[:, 0], y[:, 0])[0, 1]
        assert abs(found.score) == pytest.approx(abs(r), abs=1e-9)
    else:
        assert np.isfinite([found.score, *found.null]).all()


def test_sentences_without_a_direction():
    x, y = views(20, 6)
    x[3], x[5] = 0, 2.5
    wrong = {"rsa": 2, "rsa distance=cosine": 1, "mutual_knn k=3": 1, "retrieval": 1,
             "retrieval score=mrr": 1}  # fmt: skip
    for name, measure in VARIANTS.items():
        found = compare(measure, x, y)
        if name in wrong:
            reason = f"the first view has sentences without a direction ({wrong[name]} of 20)"
            assert undefined(found, reason)
        else:
            assert np.isfinite(found.score), name
    y = y - y.mean(axis=0)
    y[7] = y.mean(axis=0)
    assert np.isfinite(compare(VARIANTS["retrieval"], y, y).score)


def test_views_with_nothing_to_compare():
    simplex = 100 * np.eye(12) + 3
    for name in ("cka", "cka kernel=rbf"):
        found = compare(VARIANTS[name], simplex, views(12, 9)[1])
        assert undefined(found, "the first view has all 12 sentences equally far apart")
    for name in ("rsa", "rsa distance=cosine"):
        found = compare(VARIANTS[name], simplex, views(12, 9)[1])
        assert undefined(found, "the first view has all 12 sentences equally far apart")
    twice = np.repeat(np.eye(3)[:2], [25, 5], axis=0)
    found = compare(VARIANTS["cka kernel=rbf"], twice, views(30, 9)[1])
    assert undefined(found, "the first view has equal sentences in most pairs")
    left, right = np.pad(np.ones((9, 1)), ((0, 0), (0, 1))), np.eye(2)[[1]].repeat(9, axis=0)
    noise = np.random.default_rng(0).standard_normal((9, 1))
    left, right = left + noise * [1, 0], right + noise * [0, 1]
    assert undefined(compare(VARIANTS["anc"], left, right), "no feature varies in both views")


@every
@BOTH
@pytest.mark.parametrize("exponent", [-300, -30, 30, 300])
def test_tiny_and_huge_values(measure, exponent, shape):
    x, y = views(*shape)
    expected = compare(measure, x, y, shuffles=Shuffles(3))
    found = compare(measure, x * 10.0**exponent, y, shuffles=Shuffles(3))
    assert found.score == pytest.approx(expected.score, abs=1e-9)
    np.testing.assert_allclose(found.null, expected.null, atol=1e-9)
    if abs(exponent) == 30:
        single = compare(measure, (x * 10.0**exponent).astype(np.float32), y)
        # A rank may turn over.
        assert single.score == pytest.approx(expected.score, abs=0.03)


@every
@BOTH
def test_types_and_layouts(measure, shape):
    x, y = views(*shape)
    x = np.round(x * 20)
    expected = compare(measure, x, y).score
    wide = np.zeros((60, shape[1] * 3))
    wide[::2, ::3] = x
    for variant in (
        x.astype(np.float16), x.astype(np.float32), x.astype(np.int16), np.asfortranarray(x),
        wide[::2, ::3], x.tolist(), x[::-1][::-1],
    ):  # fmt: skip
        assert compare(measure, variant, y).score == pytest.approx(expected, abs=1e-12)


@every
@BOTH
def test_large_offset(measure, shape):
    """Nothing is lost to rounding where the mean does not matter, and no crash where it does."""
    x, y = views(*shape)
    found, near = compare(measure, x + 1e6, y + 1e6), compare(measure, x, y).score
    if "translation" in measure.info.invariances or getattr(measure, "centre", False):
        assert found.score == pytest.approx(near, abs=1e-7)
    else:
        assert measure.info.range[0] <= found.score <= measure.info.range[1]


@every
def test_duplicate_sentences(measure):
    x, y = views(15, 40)
    twice = compare(measure, np.vstack([x, x]), np.vstack([y, y]), shuffles=Shuffles(5))
    assert measure.info.range[0] < twice.score <= 1
    assert np.isfinite(twice.null).all()


@every
def test_one_dominant_feature(measure):
    x, y = views(40, 30)
    x[:, 17] *= 100
    found = compare(measure, x, y)
    assert np.isfinite(found.score)
    assert any("the first view: feature 17 carries" in w for w in found.warnings)
    spread = measure.model_copy(update={"zscore": True})
    clean, outlier = compare(spread, views(40, 30)[0], y), compare(spread, x, y)
    assert not any("carries" in w for w in outlier.warnings)
    assert outlier.score == pytest.approx(clean.score, abs=1e-9)


@every
def test_input_is_left_alone(measure):
    x, y = views()
    x[3, 3] = np.nan
    before = x.copy()
    compare(measure, x, y)
    np.testing.assert_array_equal(x, before)
