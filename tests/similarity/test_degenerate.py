"""Input at the edge of sense gives a defined result, or one clear message."""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from isogloss.errors import MeasureError
from isogloss.similarity import Svcca, svcca


def noise(n=30, d=12, seed=0, dtype=np.float64):
    return np.random.default_rng(seed).standard_normal((n, d)).astype(dtype)


def undefined(score, reason):
    assert np.isnan(score.score)
    assert reason in score.reason
    assert np.isnan([score.chance, score.p_value, score.null_mean]).all()
    return True


@pytest.mark.parametrize("d", [1, 12, 50])
@pytest.mark.parametrize("value", [0.0, 0.1, 1e30, -7])
def test_constant_view(d, value):
    flat = np.full((30, d), value)
    assert undefined(svcca(flat, noise()), "the first view does not vary between the 30 sentences")
    assert undefined(svcca(noise(), flat, permutations=5), "the second view does not vary")


@pytest.mark.parametrize("shape", [(30, 12), (30, 50), (12, 1000)])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_equal_sentences(shape, dtype):
    same = np.repeat(noise(1, shape[1], dtype=dtype) + 100, shape[0], axis=0)
    assert undefined(svcca(same, noise(shape[0])), "does not vary")


@pytest.mark.parametrize("d", [5, 64, 700])
def test_equal_sentences_in_a_view_that_varies(d):
    x = noise(60, d) * 1e3
    x[20:40] = x[20]
    measure = Svcca()
    a, b = measure.prepare(x), measure.prepare(noise(60))
    rows = np.arange(20, 40)
    assert undefined(measure.compare(a, b, rows_a=rows, rows_b=rows), "does not vary")
    assert measure.compare(a, b).score > 0


def test_rank_one():
    line = np.outer(np.arange(30.0), noise(1, 50)[0])
    other = np.outer(noise(30, 1)[:, 0], np.ones(3))
    found = svcca(line, other)
    assert (found.k_x, found.k_y) == (1, 1)
    expected = abs(np.corrcoef(line[:, 0], other[:, 0])[0, 1])
    assert found.score == pytest.approx(expected, abs=1e-9)


def test_one_feature():
    x, y = noise(30, 1), noise(30, 1, seed=1)
    assert svcca(x, y).score == pytest.approx(abs(np.corrcoef(x[:, 0], y[:, 0])[0, 1]))


@pytest.mark.parametrize("n", [0, 1, 2])
@pytest.mark.parametrize("d", [1, 5])
def test_too_few_sentences(n, d):
    assert undefined(
        svcca(noise(n, d), noise(n, d)), f"at least 3 sentences are needed, there are {n}"
    )


def test_three_sentences():
    found = svcca(noise(3, 8), noise(3, 8, seed=1), share=1.0)
    assert found.score == pytest.approx(1)
    assert "2 of 2 coefficients are one whatever the data" in found.warnings[0]


@pytest.mark.parametrize("d", [12, 50])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite(value, d):
    x = noise(30, d)
    clean = x.copy()
    x[[7, 21], [0, 3]] = value
    found = svcca(x, noise(seed=1), permutations=3)
    assert undefined(found, "the first view has NaN or infinity in 2 sentences, first in row 7")
    assert undefined(svcca(noise(seed=1), x), "the second view has NaN")
    measure = Svcca()
    a, b = measure.prepare(x), measure.prepare(noise(seed=1))
    rows = np.setdiff1d(np.arange(30), [7, 21])
    spared = measure.compare(a, b, rows_a=rows, rows_b=rows)
    expected = svcca(clean[rows], noise(seed=1)[rows])
    assert spared.score == pytest.approx(expected.score, abs=1e-10)
    rows = np.array([3, 21, 5, 6])
    found = measure.compare(a, b, rows_a=rows, rows_b=rows)
    assert undefined(found, "in 1 sentence, first in row 21")


def test_nothing_finite():
    assert undefined(svcca(np.full((9, 4), np.nan), noise(9)), "9 sentences, first in row 0")


def test_masked_values_count_as_missing():
    x = np.ma.masked_array(noise(), mask=np.zeros((30, 12), dtype=bool))
    assert svcca(x, noise(seed=1)).score == svcca(noise(), noise(seed=1)).score
    x.mask[4, 4] = True
    assert undefined(svcca(x, noise(seed=1)), "first in row 4")


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.zeros(5), r"matrix \(sentences × features\).*\(5,\)"),
        (np.zeros((5, 4, 3)), r"\(5, 4, 3\); pool over time"),
        (np.zeros((5, 0)), r"must have features.*\(5, 0\)"),
        (np.zeros((5, 3), dtype=complex), "real numbers.*complex"),
        (np.array([["a"], ["b"]]), "real numbers"),
        ([[1, 2], [3]], "could not be read"),
    ],
)
def test_no_matrix(x, message):
    with pytest.raises(MeasureError, match=message):
        svcca(x, noise(5))
    with pytest.raises(MeasureError, match=message):
        svcca(noise(5), x)


def test_different_numbers_of_sentences():
    with pytest.raises(MeasureError, match=r"\(30, 12\).*\(29, 4\).*rows_a"):
        svcca(noise(), noise(29, 4))


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([0, 1, 30], "row 30 does not exist"),
        ([0, -1, 3], "row -1 does not exist"),
        ([0.0, 1.0, 2.0], "row numbers, not float"),
        (np.ones(30, dtype=bool), "row numbers, not bool"),
        ([[0, 1, 2]], "row numbers"),
        ([0, 1, 2, 3], "4 rows.*30 rows"),
    ],
)
def test_wrong_rows(rows, message):
    measure = Svcca()
    a, b = measure.prepare(noise()), measure.prepare(noise(seed=1))
    with pytest.raises(MeasureError, match=message):
        measure.compare(a, b, rows_a=rows)


def test_no_rows():
    measure = Svcca()
    a = measure.prepare(noise())
    assert undefined(measure.compare(a, a, rows_a=[], rows_b=[]), "there are 0")


@pytest.mark.parametrize("shape", [(30, 12), (12, 30)])
@pytest.mark.parametrize("exponent", [-300, -30, 30, 300])
def test_tiny_and_huge_values(exponent, shape):
    x, y = noise(*shape), noise(*shape, seed=1)
    expected = svcca(x, y)
    scaled = x * 10.0**exponent
    found = svcca(scaled, y)
    assert found.score == pytest.approx(expected.score, abs=1e-9)
    assert svcca(x * 2.0**exponent, y).score == expected.score
    if abs(exponent) == 30:
        single = svcca(scaled.astype(np.float32), y)
        assert single.score == pytest.approx(expected.score, abs=1e-5)


@pytest.mark.parametrize("shape", [(30, 12), (12, 30)])
def test_types_and_layouts(shape):
    x, y = np.round(noise(*shape) * 20), noise(*shape, seed=1)
    expected = svcca(x, y).score
    wide = np.zeros((shape[0] * 2, shape[1] * 3))
    wide[::2, ::3] = x
    same = [
        x.astype(np.float16), x.astype(np.float32), x.astype(np.int8), x.astype(np.int64),
        x.astype(">f4"), np.asfortranarray(x), wide[::2, ::3], x.tolist(),
        np.asarray(x, dtype=np.longdouble), x[::-1][::-1],
    ]  # fmt: skip
    for variant in same:
        assert svcca(variant, y).score == pytest.approx(expected, abs=1e-12)


def test_input_is_left_alone():
    x = noise()
    x[3, 3] = np.nan
    before = x.copy()
    svcca(x, noise(seed=1))
    np.testing.assert_array_equal(x, before)


def test_torch_tensors():
    torch = pytest.importorskip("torch")
    x, y = noise(dtype=np.float32), noise(seed=1, dtype=np.float32)
    assert svcca(torch.tensor(x), torch.tensor(y)).score == svcca(x, y).score
    with pytest.raises(MeasureError, match="could not be read"):
        svcca(torch.tensor(x, requires_grad=True), y)
    with pytest.raises(MeasureError, match="could not be read"):
        svcca(torch.tensor(x).bfloat16(), y)


@pytest.mark.parametrize("d", [8, 80])
def test_duplicate_sentences(d):
    x, y = noise(20, d), noise(20, d, seed=1)
    twice = svcca(np.vstack([x, x]), np.vstack([y, y]))
    once = svcca(x, y)
    assert twice.score == pytest.approx(once.score, abs=1e-9)
    assert (twice.k_x, twice.k_y) == (once.k_x, once.k_y)


def test_large_offset():
    x, y = noise(40, 100), noise(40, 100, seed=1)
    assert svcca(x + 1e6, y).score == pytest.approx(svcca(x, y).score, abs=1e-7)


def test_one_dominant_feature_is_named():
    x = noise(40, 60)
    x[:, 17] *= 100
    found = svcca(x, noise(40, 60, seed=1))
    assert found.k_x == 1
    assert any("view: feature 17 carries 99% of the variance" in w for w in found.warnings)
    spread = svcca(x, noise(40, 60, seed=1), zscore=True)
    assert spread.k_x > 20
    assert not any("carries" in w for w in spread.warnings)
    assert "the first view keeps only 1 dimension" in found.warnings
    assert not any("second" in w for w in found.warnings)


def test_one_odd_first_sentence_makes_no_feature_dominant():
    x = noise(40, 60)
    x[0, 17] = 30
    assert svcca(x, noise(40, 60, seed=1)).warnings[1:] == ()
    x[0, 17] = 100
    assert "feature 17 carries" in svcca(x, noise(40, 60, seed=1)).warnings[1]


def test_noise_of_rounding_is_named():
    x = (noise(40, 60) * 1e-7 + 3).astype(np.float32)
    found = svcca(noise(40, 60), x)
    assert "the second view: varies only at the level of rounding of float32" in found.warnings
    # A huge constant feature beside ordinary ones is no such thing.
    y = noise(40, 60).astype(np.float32)
    y[:, 0] = 1e12
    assert not any("rounding" in w for w in svcca(y, y).warnings)


def test_forced_ones_are_counted():
    x, y = noise(40, 100), noise(40, 100, seed=1)
    found = svcca(x, y)
    forced = found.k_x + found.k_y - 39
    assert forced > 0
    assert np.count_nonzero(found.coefficients > 1 - 1e-9) == forced
    assert found.warnings[0].startswith(f"{forced} of {min(found.k_x, found.k_y)} coefficients")
    assert svcca(noise(200, 12), noise(200, 15, seed=1)).warnings == ()


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_any_matrix_gives_a_score_or_a_reason(data):
    n = data.draw(st.integers(0, 7))
    views = [
        data.draw(hnp.arrays(np.float64, (n, data.draw(st.integers(1, 9))), elements=st.floats()))
        for _ in "xy"
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = svcca(*views, share=data.draw(st.sampled_from([0.5, 0.9, 1.0])), permutations=2)
    assert np.isnan(found.score) == bool(found.reason)
    if not found.reason:
        assert 0 <= found.score <= 1
        assert np.isfinite([found.chance, found.null_mean, found.p_value]).all()


def test_repeated_sentences_are_named():
    x, y = noise(20, 8), noise(20, 8, seed=1)
    found = svcca(np.vstack([x, x[:3]]), np.vstack([y, y[:3]]))
    assert any("3 sentences repeat others in both views" in w for w in found.warnings)
    once = svcca(np.vstack([x, x[:3]]), noise(23, 8, seed=1))
    assert not any("repeat" in w for w in once.warnings)
