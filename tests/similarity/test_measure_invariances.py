"""Each measure is invariant to what it declares, and to nothing else."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isogloss.similarity import MEASURES
from measure_variants import OPTIONS, compare, views

DEFAULT = {name: MEASURES.get(name)(**OPTIONS[name][0]) for name in OPTIONS}


def rotation(d, rng):
    q, r = np.linalg.qr(rng.standard_normal((d, d)))
    return q * np.sign(np.diagonal(r))


def factors(size, rng):
    return np.exp(rng.uniform(-1, 1, size))


MAPS = {
    "orthogonal": lambda x, rng: x @ rotation(x.shape[1], rng),
    "isotropic scaling": lambda x, rng: x * rng.uniform(0.01, 100),
    "translation": lambda x, rng: x + 9 * rng.standard_normal(x.shape[1]),
    "invertible linear": lambda x, rng: (
        (x @ rotation(x.shape[1], rng)) * factors(x.shape[1], rng) @ rotation(x.shape[1], rng)
    ),
    "feature scaling": lambda x, rng: (
        x * factors(x.shape[1], rng) * rng.choice([-1, 1], x.shape[1])
    ),
    "feature permutation": lambda x, rng: x[:, rng.permutation(x.shape[1])],
    "sentence scaling": lambda x, rng: x * factors((len(x), 1), rng),
}
IMPLIED = {
    "invertible linear": {"orthogonal", "feature scaling"},
    "orthogonal": {"feature permutation", "joint orthogonal"},
    "feature scaling": {"isotropic scaling"},
    "feature permutation": {"joint feature permutation"},
    "joint orthogonal": {"joint feature permutation"},
}
ALL = {*MAPS, "joint orthogonal", "joint feature permutation"}


def closure(invariances):
    found = set(invariances)
    while more := set().union(*(IMPLIED.get(i, set()) for i in found)) - found:
        found |= more
    return found


def moved(name, x, y, seed):
    kind = name.removeprefix("joint ")
    x = MAPS[kind](x, np.random.default_rng(seed))
    if kind != name:
        y = MAPS[kind](y, np.random.default_rng(seed))
    return x, y


@pytest.mark.parametrize("name", OPTIONS)
@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 2**31), d=st.integers(3, 40), n=st.integers(12, 30))
def test_declared_invariances_hold(name, seed, d, n):
    measure = DEFAULT[name]
    if name == "cca":
        n = 2 * d + n
    x, y = views(n, d, seed)
    before = compare(measure, x, y)
    for invariance in closure(measure.info.invariances):
        for first, second in (
            moved(invariance, x, y, seed), moved(invariance, y, x, seed)[::-1],
        ):  # fmt: skip
            after = compare(measure, first, second)
            assert after.score == pytest.approx(before.score, abs=1e-7), invariance


@pytest.mark.parametrize("name", OPTIONS)
def test_undeclared_invariances_do_not_hold(name):
    measure = DEFAULT[name]
    assert measure.info.invariances <= ALL
    x, y = views(60, 8, strength=1.0)
    before = compare(measure, x, y).score
    for transformation in ALL - closure(measure.info.invariances):
        changes = [
            abs(compare(measure, *moved(transformation, x, y, seed)).score - before)
            for seed in range(3)
        ]
        assert max(changes) > 1e-3, transformation
