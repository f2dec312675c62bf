"""What an option that all measures share makes of the cases of a suite."""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import numpy as np

from isogloss.conformance.case import Array, Case, Skipped, Value
from isogloss.conformance.suite import Mistake, Suite

CONSTANT = 1e-12
"""A feature that deviates by less than this share of its largest value does not vary."""
EVEN = 1e-13
"""Relative difference of variances that is not worth another rotation."""
SHUFFLES = 20


def scaled(x: Array) -> Array:
    """Each feature centred and divided by its standard deviation; zero if it does not vary."""
    x = np.asarray(x, dtype=np.float64)
    top = np.abs(x).max(axis=0, initial=0)
    centred = x - x.mean(axis=0)
    spread = centred.std(axis=0)
    varies = spread > CONSTANT * top
    return np.where(varies, centred / np.where(varies, spread, 1), 0.0)


def evened(x: Array) -> Array:
    """The view turned so that all its features have the same variance.

    Whatever orthogonal maps do not change, scaling the features of such a view changes as little,
    so its score is still known. The features are turned two at a time, one of more and one of less
    than the mean variance, until one of them has it.
    """
    x = np.array(x, dtype=np.float64)
    middle = x.mean(axis=0)
    x -= middle
    aim = float((x * x).sum()) / x.shape[1]
    for _ in range(x.shape[1] - 1):
        squares = (x * x).sum(axis=0)
        low, high = int(squares.argmin()), int(squares.argmax())
        if squares[high] - squares[low] <= EVEN * aim:
            break
        a, b, c = squares[low] - aim, squares[high] - aim, float(x[:, low] @ x[:, high])
        # Of a t² b + 2 t c + a = 0 the root that does not cancel.
        root = np.sqrt(max(0.0, c * c - a * b))
        t = a / (-c - root) if c >= 0 else a / (-c + root)
        cosine = 1 / np.hypot(1, t)
        turned = cosine * (x[:, low] + t * x[:, high]), cosine * (x[:, high] - t * x[:, low])
        x[:, low], x[:, high] = turned
    return np.asarray(x + middle)


def definition(suite: Suite, x: Array, y: Array) -> float:
    """The score by the definition, with all options."""
    if suite.zscore:
        x, y = scaled(x), scaled(y)
    return suite.definition(x, y)


def slack(suite: Suite, x: Array, y: Array) -> float:
    """How far implementations may be from the definition, beside rounding."""
    if suite.zscore:
        x, y = scaled(x), scaled(y)
    return suite.slack(x, y)


def kept(suite: Suite) -> tuple[str, ...]:
    """Transformations that change nothing, given all options."""
    found = [*suite.kept, *(("exchanged",) if suite.symmetric else ())]
    if suite.zscore and not _blind(suite):
        found = [k for k in found if k not in ("orthogonal", "same orthogonal")]
        found += ["translation", "scaling of single features"]
    return (*dict.fromkeys(found), "jointly", "again")


def raw(suite: Suite) -> bool:
    """Whether a mean is part of a view, given all options."""
    return suite.raw and not suite.zscore


def closed_forms(suite: Suite) -> Iterator[Case]:
    """Views whose score is known exactly, made for the options."""
    rng = np.random.default_rng(17)
    for case in suite.closed_forms():
        if not isinstance(case, Value) or not (suite.zscore or not suite.exact):
            yield case
        elif suite.zscore and case.tie and not _blind(suite):
            reason = "after each feature is divided by its standard deviation, rounding decides"
            yield Skipped(group=case.group, name=case.name, matters="", reason=reason)
        else:
            views, known = _disguised(suite, case, rng), case.known
            expected, tolerance, hints = case.expected, case.tolerance, case.hints
            if not suite.exact or not (_blind(suite) or _turns(suite)):
                expected, known, hints = definition(suite, *views), "definition", ()
                tolerance += slack(suite, *views)
            yield replace(
                case,
                views=views,
                expected=expected,
                tolerance=tolerance * (10 if suite.zscore else 1),
                known=known,
                hints=hints,
            )


def _disguised(suite: Suite, case: Value, rng: np.random.Generator) -> tuple[Array, Array]:
    x, y = case.views
    if not suite.zscore or _blind(suite):
        return x, y
    if _turns(suite):
        x, y = evened(x), evened(y)
    factors = [np.exp(rng.uniform(-2, 2, v.shape[1])) for v in (x, y)]
    if suite.equal_width or (x.shape == y.shape and (x == y).all()):
        factors[1] = factors[0]
    return x * factors[0], y * factors[1]


def unrelated(suite: Suite, rng: np.random.Generator) -> tuple[Array, Array, float]:
    """Two unrelated views and the expectation of their score, given all options."""
    x, y, expected = suite.expectation(rng)
    if suite.zscore and not _blind(suite):
        # The rotation follows from the features' inner products alone, so that the directions of
        # the sentences are as random as before.
        x, y = (evened(v) * np.exp(rng.uniform(-2, 2, v.shape[1])) for v in (x, y))
    if not suite.chance_exact:
        orders = [rng.permutation(len(y)) for _ in range(SHUFFLES)]
        expected = float(np.mean([definition(suite, x, y[order]) for order in orders]))
    return x, y, expected


def mistakes(suite: Suite) -> Iterator[Mistake]:
    """Known ways to get the measure wrong, and to get its options wrong."""
    if not suite.zscore:
        yield from suite.mistakes()
        if not _blind(suite):
            yield Mistake(
                "features are divided by their standard deviations first; if that is meant, say "
                "zscore=true",
                lambda x, y: suite.definition(scaled(x), scaled(y)),
            )
        return
    if not _blind(suite):
        yield Mistake("the features are not divided by their standard deviations", suite.definition)
    for mistake in suite.mistakes():
        yield replace(mistake, score=partial(_after_scaling, mistake))


def _after_scaling(mistake: Mistake, x: Array, y: Array) -> float:
    return mistake.score(scaled(x), scaled(y))


def _blind(suite: Suite) -> bool:
    """Whether it does not matter how the features are scaled."""
    return bool({"invertible linear", "scaling of single features"} & {*suite.kept})


def _turns(suite: Suite) -> bool:
    """Whether a view may be turned and moved."""
    return {"orthogonal", "translation"} <= {*suite.kept}
