"""What is promised of every measure of the registry: range, direction, null, subsets, memory."""

import tracemalloc

import numpy as np
import pytest

from isogloss import specs
from isogloss.settings import role_of
from isogloss.similarity import MEASURES, Shuffles, geometry
from isogloss.similarity.canonical import Canonical
from isogloss.similarity.measures import anc, mutual_knn
from measure_variants import OPTIONS, VARIANTS, compare, views

NAMES = MEASURES.names()
BOTH = pytest.mark.parametrize("shape", [(30, 12), (30, 50)], ids=["tall", "wide"])
every = pytest.mark.parametrize("measure", VARIANTS.values(), ids=VARIANTS)


def test_all_measures_of_the_issue_are_here():
    assert set(OPTIONS) <= set(NAMES)
    assert all(name in {v.split()[0] for v in VARIANTS} for name in NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_what_is_declared(name):
    part = MEASURES.get(name)
    info = part.info
    assert all([info.title, info.source, info.cost, part.__doc__])
    assert {role_of(part, field) for field in part.model_fields} == {"analysis"}
    assert all(field.description.endswith(".") for field in part.model_fields.values())
    assert part.model_fields["zscore"].default is False
    measure = VARIANTS[next(v for v in VARIANTS if v.split()[0] == name)]
    assert specs.parse(MEASURES, specs.write(MEASURES, measure)) == measure


@every
@BOTH
def test_a_view_is_most_like_itself(measure, shape):
    x, y = views(*shape)
    own, found = compare(measure, x, x), compare(measure, x, y)
    low, high = measure.info.range
    assert own.score == pytest.approx(own.best, abs=1e-6)
    assert own.best == measure.info.best
    assert low <= found.score <= high
    assert found.score < high or found.chance == 1
    assert found.best == high
    assert found.n == 30


@every
@BOTH
def test_exchanging_the_views(measure, shape):
    x, y = views(*shape)
    one, two = compare(measure, x, y), compare(measure, y, x)
    same = abs(one.score - two.score) < 1e-10
    if measure.info.symmetric:
        assert same
    assert (one.k_x, one.k_y) == (two.k_y, two.k_x)


def test_pwcca_is_not_symmetric_as_declared():
    x, y = views()
    one, two = (compare(VARIANTS["pwcca"], *pair).score for pair in ((x, y), (y, x)))
    assert abs(one - two) > 1e-4
    assert not MEASURES.get("pwcca").info.symmetric


@every
@pytest.mark.parametrize("shape", [(14, 9, 9), (14, 40, 40), (14, 40, 9), (40, 3, 5)])
def test_null_is_exact(measure, shape):
    n, d, other = shape
    if measure.info.equal_width:
        other = d
    x, y = views(n, d, other=other, strength=0.3)
    y[3] = y[4]
    found = compare(measure, x, y, shuffles=Shuffles(8, seed=2))
    orders = Shuffles(8, seed=2).orders(n)
    expected = [compare(measure, x, y[order]).score for order in orders]
    if isinstance(measure, Canonical) and not np.allclose(found.null, expected, atol=1e-10):
        expected = [compare(measure, x[order], y).score for order in orders]
    np.testing.assert_allclose(found.null, expected, atol=1e-10)
    assert found.null.std() > 0 or found.chance == 1


@pytest.mark.parametrize("block", [1, 5, 14, 96])
def test_blocks_do_not_change_the_null(block, monkeypatch):
    x, y = views(14, 30)
    orders = Shuffles(8, seed=2).orders(14)
    monkeypatch.setattr(geometry, "BLOCK", block)
    monkeypatch.setattr(anc, "FEATURES", block)
    monkeypatch.setattr(mutual_knn, "BLOCK", 50 * block)
    for name in ("cka", "rsa", "anc", "mutual_knn k=3"):
        found = compare(VARIANTS[name], x, y, shuffles=Shuffles(8, seed=2))
        expected = [compare(VARIANTS[name], x, y[order]).score for order in orders]
        np.testing.assert_allclose(found.null, expected, atol=1e-10)


@every
def test_null_lies_where_chance_says_and_a_relation_above_it(measure):
    x, y = views(50, 14, strength=0.6)
    found = compare(measure, x, y, shuffles=Shuffles(200))
    assert found.p_value == 1 / 201
    assert found.score > found.null_mean + 4 * found.null_sd
    if not np.isnan(found.chance):
        assert found.null_mean == pytest.approx(found.chance, abs=0.01 + 0.3 * found.null_sd)
    assert 0.02 < found.calibrated < 1


@every
@BOTH
def test_rows_are_the_same_as_slicing_first(measure, shape):
    x, y = views(*shape)
    rng = np.random.default_rng(1)
    rows_a, rows_b = (rng.permutation(30)[:21] for _ in "xy")
    a, b = measure.prepare(x), measure.prepare(y)
    found = measure.compare(a, b, rows_a=rows_a, rows_b=rows_b, shuffles=Shuffles(3))
    expected = compare(measure, x[rows_a], y[rows_b], shuffles=Shuffles(3))
    assert found.score == pytest.approx(expected.score, abs=1e-9)
    np.testing.assert_allclose(found.null, expected.null, atol=1e-9)
    again = measure.compare(a, b, rows_a=rows_a, rows_b=rows_b)
    assert again.score == found.score


@every
@BOTH
def test_order_of_the_sentences(measure, shape):
    x, y = views(*shape)
    x[4], y[9] = x[5], y[8]
    order = np.random.default_rng(2).permutation(30)
    before, after = compare(measure, x, y), compare(measure, x[order], y[order])
    assert after.score == pytest.approx(before.score, abs=1e-9)


@every
def test_baseline(measure):
    found = measure.baseline(30, 20, 20, seed=1)
    assert measure.info.range[0] < found < measure.info.range[1]
    assert found == measure.baseline(30, 20, 20, seed=1)
    wide = measure.baseline(30, 20, 40)
    assert np.isnan(wide) == measure.info.equal_width
    assert np.isnan(measure.baseline(2, 20, 20))


def test_memory_of_a_null_does_not_grow_with_the_permutations():
    x, y = views(100, 30)
    for name, measure in VARIANTS.items():
        if isinstance(measure, Canonical):  # of blocks that hold more than these
            continue
        a, b = measure.prepare(x), measure.prepare(y)
        peaks = []
        for count in (100, 700):
            tracemalloc.start()
            measure.compare(a, b, shuffles=Shuffles(count))
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
        # 600 orders take 0.5 MB, 600 matrices of 100 × 100 numbers 48 MB.
        assert peaks[1] - peaks[0] < 12e6, name
