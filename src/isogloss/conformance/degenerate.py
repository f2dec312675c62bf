"""Input at the edge of sense: a score where there is one, NaN or a clear error where not."""

from collections.abc import Iterator

import numpy as np

from isogloss.conformance import claim
from isogloss.conformance.case import (
    DEGENERATE,
    Array,
    Case,
    Same,
    Skipped,
    Value,
    Views,
)
from isogloss.conformance.edge import Sane, Undefined, Untouched
from isogloss.conformance.suite import Suite, related

N = 40


def cases(suite: Suite) -> Iterator[Case]:
    """What data and arrays can do to an implementation."""
    yield from _without_score(suite)
    yield from _with_score(suite)
    yield from _arrays(suite)


def _without_score(suite: Suite) -> Iterator[Case]:
    n = max(N, 2 * suite.few)
    x, y = related(suite, n, 12, 9, seed=21)
    width = y.shape[1]
    chance = suite.chance if n == N else ()
    rng = np.random.default_rng(22)
    same = np.repeat(rng.standard_normal((1, 12)), n, axis=0)
    yield Undefined(
        name="all values 0",
        matters="a dead layer has no variance and no direction",
        pairs=((np.zeros_like(x), y), (x, np.zeros((n, width)))),
        accepted=chance,
    )
    yield Undefined(
        name="constant view",
        matters="a view that does not vary shares nothing with any other",
        pairs=((np.full_like(x, 0.1), y), (x, np.full((n, width), -7.0))),
        accepted=chance,
    )
    yield Undefined(
        name="all sentences equal",
        matters="rounding must not be taken for variance",
        pairs=((same, y), (x, np.repeat(y[:1] + 100, n, axis=0))),
        accepted=chance,
    )
    yield Undefined(
        name=f"fewer than {suite.few + 1} sentences",
        matters="so few sentences correlate whatever they are",
        pairs=tuple(
            (x[:i], y[:i]) for i in sorted({0, 1, 2, 3, suite.few}) if i <= min(suite.few, n)
        ),
    )
    for name, value in (("NaN", np.nan), ("infinity", np.inf)):
        spoilt = [v.copy() for v in (x, y)]
        for view in spoilt:
            view[7, 3] = value
        yield Undefined(
            name=f"one {name}",
            matters="one overflow in half precision must not pass as a score",
            pairs=((spoilt[0], y), (x, spoilt[1])),
        )
    yield Undefined(
        name="different numbers of sentences",
        matters="rows that do not belong together must not be compared",
        pairs=((x, y[:-1]), (x[:-3], y)),
        refused=True,
    )


def _with_score(suite: Suite) -> Iterator[Case]:
    n = max(N, 2 * suite.few)
    x, y = related(suite, n, 12, 9, seed=23)
    rng = np.random.default_rng(24)
    low, high = suite.range

    def case(name: str, matters: str, views: Views, *, tied: bool, tolerance: float) -> Case:
        if suite.ties and tied:
            return Sane(name=name, matters=matters, pairs=(views,), range=(low, high))
        return Value(
            group=DEGENERATE,
            name=name,
            matters=matters,
            known="definition",
            views=views,
            expected=claim.definition(suite, *views),
            tolerance=tolerance + claim.slack(suite, *views),
        )

    line = np.outer(x[:, 0], rng.standard_normal(12))
    yield case(
        "rank one", "a collapsed layer still has one direction", (line, y), tied=True,
        tolerance=1e-7,
    )  # fmt: skip
    yield case(
        "one feature", "D = 1", (x[:, :1], y[:, :1]), tied=True, tolerance=1e-7
    )  # fmt: skip
    twice = [np.vstack([v[: n - 10], v[:10]]) for v in (x, y)]
    yield case(
        "duplicate sentences",
        "corpora repeat sentences",
        (twice[0], twice[1]),
        tied=True,
        tolerance=1e-7,
    )
    outlier = x.copy()
    outlier[:, 4] = 100 * x.std() * rng.standard_normal(n)
    yield case(
        "one feature of 100 standard deviations",
        "language models have such features; the score is what the definition says, not an error",
        (outlier, y),
        tied=False,
        tolerance=1e-6,
    )


def _arrays(suite: Suite) -> Iterator[Case]:
    n = max(N, 2 * suite.few)
    x, y = related(suite, n, 12, 9, seed=25)

    def case(
        name: str, matters: str, pairs: list[tuple[Views, Views]], wrong: str, tolerance: float,
        *, as_is: bool = True,
    ) -> Case:  # fmt: skip
        return Same(
            group=DEGENERATE, name=name, matters=matters, pairs=tuple(pairs), wrong=wrong,
            tolerance=tolerance, as_is=as_is, known="own score of float64, contiguous",
        )  # fmt: skip

    for kind in (np.float16, np.float32):
        views: Views = (x.astype(kind), y.astype(kind))
        yield case(
            np.dtype(kind).name,
            "stored activations are rarely float64",
            [((views[0].astype(np.float64), views[1].astype(np.float64)), views)],
            "convert to float64 first",
            1e-5,
        )
    name = "large mean, small differences"
    if claim.raw(suite):
        reason = "the views are compared as they are, so a mean is part of them"
        yield Skipped(group=DEGENERATE, name=name, matters="", reason=reason)
    else:
        fine = tuple(np.round(v * 1024) / 1024 for v in (x, y))
        yield case(
            name,
            "squares of uncentred values lose all digits, and float32 loses most of them",
            [((fine[0], fine[1]), (fine[0] + 2.0**20, fine[1] - 2.0**20))],
            "digits are lost: centre in float64 before anything is squared or made float32",
            1e-5,
        )
    whole = np.round(x * 8), np.round(y * 8)
    yield case(
        "whole numbers (int64)",
        "counts are features too",
        [(whole, (whole[0].astype(np.int64), whole[1].astype(np.int64)))],
        "convert to float64 first",
        1e-9,
    )
    yield case(
        "memory order",
        "slices, transposes and reversed views are ordinary arrays",
        [((x, y), (layout(x), layout(y))) for layout in (np.asfortranarray, _strided, _reversed)],
        "the memory layout is read past numpy's strides",
        1e-9,
    )
    yield case(
        "scales 1e-30 and 1e+30",
        "no threshold may be absolute, and no square may leave the range of numbers",
        [
            ((x, y), (x * a, y * b))
            for a, b in ((1e-30, 1e-30), (1e30, 1e30), (1e-30, 1e30), (1e30, 1e-30))
        ],
        "scale each view by its largest value first, and compare with relative thresholds",
        1e-8,
    )
    yield Untouched(
        name="input left alone",
        matters="centring in place spoils the caller's activations for the next pair",
        views=(x.copy(), y.copy()),
    )


def _strided(x: Array) -> Array:
    """The same values as every second row and third column of a larger array."""
    large = np.full((2 * x.shape[0], 3 * x.shape[1]), 1e9)
    large[::2, ::3] = x
    return large[::2, ::3]


def _reversed(x: Array) -> Array:
    """The same values through negative strides."""
    return np.ascontiguousarray(x[::-1, ::-1])[::-1, ::-1]
