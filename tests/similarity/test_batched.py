import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isogloss.errors import MeasureError, MissingExtraError
from isogloss.similarity import Svcca
from isogloss.similarity.batched import svcca_batch, svcca_pairs
from isogloss.similarity.shuffles import Shuffles
from isogloss.similarity.stacks import gram_stack, namespace, sub_grams

SHUFFLES = Shuffles(9, seed=3)


def activations(rng, n, width, slope):
    """A view with singular values i^-slope, off centre, as float32."""
    rank = min(n, width)
    left = np.linalg.qr(rng.standard_normal((n, rank)))[0]
    right = np.linalg.qr(rng.standard_normal((width, rank)))[0]
    x = (left * np.arange(1, rank + 1) ** -slope) @ right.T + rng.standard_normal(width)
    return x.astype(np.float32)


def libraries():
    """Each array library that is installed, as a function from numpy arrays."""
    found = [pytest.param(np.asarray, id="numpy")]
    for name in ("torch", "array_api_strict"):
        skip = pytest.mark.skip(reason=f"{name} and array_api_compat are needed")
        try:
            __import__("array_api_compat")
            found.append(pytest.param(__import__(name).asarray, id=name))
        except ImportError:
            found.append(pytest.param(None, id=name, marks=skip))
    return found


def numbers(array):
    return np.asarray([float(v) for v in np.asarray(array).ravel()]).reshape(array.shape)


@pytest.fixture(params=libraries())
def to_array(request):
    return request.param


@pytest.fixture(scope="module")
def views():
    """Spectra so different that the numbers of kept dimensions are ragged."""
    rng = np.random.default_rng(0)
    return [activations(rng, 60, 90, slope) for slope in (0.1, 0.5, 0.8, 1.0, 2.0)]


PAIRS = [(i, j) for i in range(5) for j in range(5) if i != j]


def scalar(measure, views, rows, shuffles=SHUFFLES):
    ready = [measure.prepare(v) for v in views]
    return [
        measure.compare(ready[i], ready[j], rows_a=r, rows_b=r, shuffles=shuffles)
        for (i, j), r in zip(PAIRS, rows, strict=True)
    ]


def subsets(rng, size=60, n=40):
    return np.stack([rng.permutation(size)[:n] for _ in PAIRS])


@pytest.mark.parametrize("mean", ["all", "98"])
@pytest.mark.parametrize("rule", ["squared", "linear"])
@pytest.mark.parametrize(("share", "epsilon"), [(0.9, 1e-10), (0.9, 1e-2), (0.75, 0.0), (1.0, 0.0)])
def test_equals_scalar(views, to_array, mean, rule, share, epsilon):
    rows = subsets(np.random.default_rng(1))
    options = {"share": share, "rule": rule, "mean": mean, "epsilon": epsilon}
    want = scalar(Svcca(**options), views, rows)
    stack = gram_stack([to_array(v) for v in views])
    a, b = zip(*PAIRS, strict=True)
    got = svcca_pairs(stack, stack, a, b, rows_a=rows, orders=SHUFFLES.orders(40), **options)
    assert [int(k) for k in got.k_a] == [w.k_x for w in want]
    assert [int(k) for k in got.k_b] == [w.k_y for w in want]
    assert len({w.k_x for w in want}) > (2 if share < 1 else 0)
    np.testing.assert_allclose(numbers(got.scores), [w.score for w in want], atol=1e-10)
    np.testing.assert_allclose(numbers(got.null), [w.null for w in want], atol=1e-10)
    for row, one in zip(numbers(got.coefficients), want, strict=True):
        many = one.coefficients.size
        np.testing.assert_allclose(row[:many], one.coefficients, atol=1e-10)
        assert np.isnan(row[many:]).all()
    assert set(got.reasons) == {""}


def test_keeps_library_device_and_type(views, to_array):
    stack = gram_stack([to_array(v) for v in views[:2]])
    got = svcca_pairs(stack, stack, [0], [1], rows_a=np.arange(60), orders=SHUFFLES.orders(60))
    for array in (got.scores, got.k_a, got.k_b, got.coefficients, got.null):
        assert type(array) is type(stack)
        assert array.device == stack.device
    assert "float64" in str(got.scores.dtype)


def test_float32_error(views, to_array):
    rows = subsets(np.random.default_rng(2))
    want = scalar(Svcca(), views, rows)
    stack = gram_stack([to_array(v) for v in views])
    a, b = zip(*PAIRS, strict=True)
    got = svcca_pairs(
        stack, stack, a, b, rows_a=rows, orders=SHUFFLES.orders(40), precision="float32"
    )
    assert [int(k) for k in got.k_a] == [w.k_x for w in want]
    error = np.abs(numbers(got.scores) - [w.score for w in want])
    assert error.max() < 1e-5
    assert error.max() > 1e-13, "this was not computed in float32"
    assert np.abs(numbers(got.null) - [w.null for w in want]).max() < 1e-5


def test_rank_lower_than_sentences(to_array):
    rng = np.random.default_rng(4)
    views = [activations(rng, 50, width, 0.3) for width in (6, 6, 20)]
    measure = Svcca(share=1.0)
    ready = [measure.prepare(v) for v in views]
    stack = gram_stack([to_array(v) for v in views])
    everything = np.arange(50)
    for j, rank in ((1, 6), (2, 20)):
        want = measure.compare(ready[0], ready[j], shuffles=SHUFFLES)
        a = sub_grams(stack, [0], everything)
        b = sub_grams(stack, [j], everything)
        got = svcca_batch(a, b, share=1.0, rank_a=6, rank_b=rank, orders=SHUFFLES.orders(50))
        assert (int(got.k_a[0]), int(got.k_b[0])) == (6, rank) == (want.k_x, want.k_y)
        np.testing.assert_allclose(numbers(got.scores), [want.score], atol=1e-10)
        np.testing.assert_allclose(numbers(got.null)[0], want.null, atol=1e-10)


def test_degenerate_members_leave_others_alone(views, to_array):
    broken = views[1].copy()
    broken[7, 3] = np.inf
    constant = np.full_like(views[0], 0.1)
    some = [views[0], views[1], constant, broken]
    stack = gram_stack([to_array(v) for v in some])
    rows = np.arange(60)[None].repeat(6, axis=0)
    rows[3] = np.r_[0:7, 8:60, 0]
    rows = rows[:, :59]
    rows[3] = np.r_[0:7, 8:60]
    got = svcca_pairs(
        stack,
        stack,
        [0, 0, 0, 0, 2, 3],
        [1, 2, 3, 3, 3, 1],
        rows_a=rows,
        orders=SHUFFLES.orders(59),
    )
    assert got.reasons == (
        "",
        "the second view does not vary between the 59 sentences",
        "the second view has NaN or infinity",
        "",
        "the first view does not vary between the 59 sentences",
        "the first view has NaN or infinity",
    )
    undefined = np.array([bool(r) for r in got.reasons])
    assert (np.isnan(numbers(got.scores)) == undefined).all()
    assert (np.isnan(numbers(got.null)).all(axis=1) == undefined).all()
    assert (np.isnan(numbers(got.coefficients)).all(axis=1) == undefined).all()
    assert ((numbers(got.k_a) == 0) == undefined).all()
    measure = Svcca()
    for index, other in ((0, views[1]), (3, broken)):
        want = measure.compare(
            measure.prepare(views[0]),
            measure.prepare(other),
            rows_a=rows[index],
            rows_b=rows[index],
            shuffles=SHUFFLES,
        )
        assert math.isclose(numbers(got.scores)[index], want.score, abs_tol=1e-10)
        np.testing.assert_allclose(numbers(got.null)[index], want.null, atol=1e-10)


def test_equal_sentences_do_not_vary(to_array):
    """Their inner products may differ in the last digits, if they were summed differently."""
    rng = np.random.default_rng(5)
    x = rng.standard_normal((61, 333)) + 1
    x[20:] = x[20]
    stack = x @ x.T
    noise = np.triu(rng.integers(-2, 3, stack.shape), 1)
    stack = to_array((stack * (1 + np.finfo(float).eps * (noise + noise.T)))[None])
    rows = [np.arange(20, 61), np.arange(41)]
    got = svcca_batch(sub_grams(stack, [0, 0], rows), sub_grams(stack, [0, 0], rows[1]))
    assert got.reasons == ("the first view does not vary between the 41 sentences", "")


def test_too_few_sentences(views):
    stack = gram_stack(views[:2])
    got = svcca_pairs(stack, stack, [0], [1], rows_a=[1, 2], orders=SHUFFLES.orders(2))
    assert np.isnan(got.scores).all()
    assert np.isnan(got.null).all()
    assert got.null.shape == (1, 9)
    assert got.reasons == ("at least 3 sentences are needed, there are 2",)


def spanned(rng, columns, values):
    """Gram matrix with these eigenvalues in a random rotation of the columns."""
    turned = columns @ np.linalg.qr(rng.standard_normal((columns.shape[1],) * 2))[0]
    return (turned * values) @ turned.T


def centred_columns(rng, n, count):
    return np.linalg.qr(np.c_[np.ones(n), rng.standard_normal((n, count))])[0][:, 1:]


@pytest.mark.parametrize(("start", "shared"), [(6, 0), (3, 3), (0, 6)])
def test_zero_coefficients_are_exact(to_array, start, shared):
    """Roots of eigenvalues alone would leave 1e-9 where a coefficient is zero."""
    rng = np.random.default_rng(6)
    columns, values = centred_columns(rng, 40, 12), np.arange(1.0, 7)
    a = to_array(spanned(rng, columns[:, :6], values)[None])
    b = to_array(spanned(rng, columns[:, start : start + 6], values)[None])
    got = svcca_batch(a, b, share=1.0, epsilon=0.0, rank_a=6, rank_b=6)
    want = [1] * shared + [0] * (6 - shared)
    np.testing.assert_allclose(numbers(got.coefficients)[0], want, atol=1e-13)


@pytest.mark.parametrize("scale", [1e-200, 1e-30, 1e30, 1e200])
@pytest.mark.parametrize("precision", ["float64", "float32"])
def test_scale(views, scale, precision):
    x, y = (v.astype(np.float64) for v in views[:2])
    plain, scaled = gram_stack([x, y]), gram_stack([x * scale, y / scale])
    rows = np.arange(60)
    one, two = (
        svcca_pairs(s, s, [0], [1], rows_a=rows, precision=precision) for s in (plain, scaled)
    )
    np.testing.assert_allclose(one.scores, two.scores, atol=1e-6)
    a, b = (sub_grams(plain, [i], rows) for i in (0, 1))
    small = min(scale, 1 / scale)
    three = svcca_batch(a * small, b / small, precision=precision)
    np.testing.assert_allclose(one.scores, three.scores, atol=1e-6)


@pytest.mark.parametrize("precision", ["float64", "float32"])
def test_rounding_does_not_decide_a_cut(precision):
    """4 + 3 is the share 0.7 of 4 + 3 + 2 + 1, however they are rounded."""
    rng = np.random.default_rng(7)
    grams = np.stack(
        [spanned(rng, centred_columns(rng, 30, 4), np.arange(1.0, 5)) for _ in range(100)]
    )
    assert (svcca_batch(grams, grams, share=0.7, precision=precision).k_a == 2).all()
    assert (svcca_batch(grams, grams, share=0.7001, precision=precision).k_a == 3).all()


def test_rank_is_a_limit():
    """Noise that another library left beyond a view's features is no direction."""
    rng = np.random.default_rng(9)
    noisy = spanned(rng, centred_columns(rng, 30, 10), np.array([1.0] * 6 + [1e-12] * 4))[None]
    options = {"share": 1.0, "epsilon": 0.0}
    assert svcca_batch(noisy, noisy, **options).k_a[0] == 10
    got = svcca_batch(noisy, noisy, rank_a=6, rank_b=7, **options)
    assert (got.k_a[0], got.k_b[0]) == (6, 7)


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    memory=st.sampled_from([1, 50_000, 10**9]),
    n=st.integers(5, 20),
    widths=st.lists(st.integers(1, 30), min_size=3, max_size=3),
)
def test_blocks_and_order_of_pairs_change_nothing(seed, memory, n, widths):
    rng = np.random.default_rng(seed)
    stack = gram_stack([rng.standard_normal((20, width)) for width in widths])
    rows = np.stack([rng.permutation(20)[:n] for _ in range(4)])
    which_a, which_b = rng.integers(0, 3, (2, 4))
    orders = Shuffles(5, seed).orders(n)
    whole = svcca_pairs(stack, stack, which_a, which_b, rows_a=rows, orders=orders)
    mixed = rng.permutation(4)
    part = svcca_pairs(
        stack,
        stack,
        which_a[mixed],
        which_b[mixed],
        rows_a=rows[mixed],
        orders=orders,
        memory=memory,
    )
    np.testing.assert_allclose(part.scores, whole.scores[mixed], atol=1e-10)
    np.testing.assert_allclose(part.null, whole.null[mixed], atol=1e-10)
    assert (part.k_a == whole.k_a[mixed]).all()


def test_views_of_different_sizes(to_array):
    rng = np.random.default_rng(8)
    x, y = rng.standard_normal((12, 30)), rng.standard_normal((20, 7))
    stack = gram_stack([to_array(x), to_array(y)])
    rows_a, rows_b = np.arange(12), np.arange(12)[::-1] + 3
    got = svcca_pairs(stack, stack, [0], [1], rows_a=rows_a, rows_b=rows_b)
    measure = Svcca()
    want = measure.compare(measure.prepare(x), measure.prepare(y), rows_a=rows_a, rows_b=rows_b)
    assert math.isclose(numbers(got.scores)[0], want.score, abs_tol=1e-10)
    beyond = svcca_pairs(stack, stack, [0], [1], rows_a=rows_a + 3, rows_b=rows_b)
    assert beyond.reasons == ("the first view has NaN or infinity",)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"share": 0}, "share must be above 0"),
        ({"epsilon": 1}, "epsilon must be at least 0"),
        ({"rule": "square"}, 'did you mean "squared"'),
        ({"mean": "99"}, "unknown mean"),
        ({"precision": "float16"}, "unknown precision"),
        ({"orders": np.arange(4)[None]}, r"orders must be \(permutations × 5\)"),
        ({"orders": np.zeros((2, 5), dtype=int)}, "every number from 0 to 4 once"),
    ],
)
def test_options_are_checked(change, message):
    grams = np.eye(5)[None] - 0.2
    with pytest.raises(MeasureError, match=message):
        svcca_batch(grams, grams, **change)


def test_shapes_are_checked(views):
    grams = np.eye(5)[None] - 0.2
    for a, b in ((grams[0], grams[0]), (grams, grams[:, :4, :4]), (grams[:, :4], grams[:, :4])):
        with pytest.raises(MeasureError, match="same shape"):
            svcca_batch(a, b)
    with pytest.raises(MeasureError, match="both be float64 or both float32"):
        svcca_batch(grams, grams.astype(np.float32))
    with pytest.raises(MeasureError, match="both be float64"):
        svcca_batch(grams.astype(np.int64), grams.astype(np.int64))
    stack = gram_stack(views)
    with pytest.raises(MeasureError, match="view 5 does not exist, there are 5"):
        sub_grams(stack, [5], np.arange(3))
    with pytest.raises(MeasureError, match="row 60 does not exist, there are 60"):
        sub_grams(stack, [0], [0, 1, 60])
    with pytest.raises(MeasureError, match="no views"):
        gram_stack([])
    with pytest.raises(MeasureError, match=r"view 1 is int64 of shape \(3, 3\)"):
        gram_stack([np.eye(3), np.eye(3, dtype=np.int64)])


def test_no_array():
    with pytest.raises((MeasureError, MissingExtraError), match="arr"):
        namespace("abc")
