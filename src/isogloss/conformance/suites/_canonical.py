"""SVCCA, CCA and PWCCA by their definitions, with every known mistake as an option."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any, Literal

import numpy as np

from isogloss.conformance.case import Array
from isogloss.conformance.suite import Mistake, Suite
from isogloss.settings import setting

Rule = Literal["squared", "linear"]
Mean = Literal["all", "98"]
TIE = 1e-12
RESAMPLES = 20
RIDGE = 1e-9
"""A larger epsilon is part of what is computed; up to it tolerances allow for one."""


def as_text(value: Any) -> Any:
    """Let 98 be written without quotes."""
    return "98" if value == 98 and not isinstance(value, str) else value


class RidgedSuite(Suite):
    """A suite of canonical correlations, whose covariances may have a ridge."""

    epsilon: float = setting(
        1e-10,
        role="analysis",
        help="Ridge of the covariances; tolerances allow for a small one.",
        ge=0,
        lt=1,
    )

    @property
    def exact(self) -> bool:
        """A large epsilon takes something from every coefficient."""
        return self.epsilon <= RIDGE

    @property
    def chance_exact(self) -> bool:
        """Damped coefficients have no exact expectation."""
        return self.exact

    @property
    def ridge(self) -> float:
        """Epsilon where it is part of what is computed."""
        return 0.0 if self.exact else self.epsilon


@dataclass(frozen=True)
class Recipe:
    """What is computed. The defaults are right; everything after ``weights`` is a mistake."""

    share: float = 0.9
    rule: Rule = "squared"
    mean: Mean = "all"
    weights: Literal["", "neurons", "components", "other", "squares", "google"] = ""
    centre: Literal["features", "sentences", "none", "late"] = "features"
    standardise: bool = False
    flat: bool = False
    """Whiten before the cut, so that all directions weigh the same."""
    shift: int = 0
    """Directions kept too many."""
    only: int = 0
    """Keep so many, whatever the data."""
    epsilon: float = 0.0
    squares: bool = False
    """Average squared correlations."""
    divide: Literal["", "larger", "width"] = ""
    """Divide by the larger k, or by the number of features, instead of by the smaller k."""


@dataclass(frozen=True)
class _Kept:
    view: Array
    """Centred."""
    basis: Array
    """(sentences × k), orthonormal."""
    values: Array
    damped: Array


def canonical(x: Array, y: Array, recipe: Recipe) -> float:
    """The score of two views (sentences × features) by a recipe."""
    a, b = _kept(x, recipe), _kept(y, recipe)
    left, rho, _ = np.linalg.svd((a.basis * a.damped).T @ (b.basis * b.damped))
    rho = np.minimum(rho, 1.0)
    if recipe.squares:
        rho = rho**2
    if recipe.weights:
        weights = _weights(a, b, left[:, : rho.size], recipe.weights)
        return float(weights @ rho / weights.sum())
    if recipe.divide:
        width = max(a.values.size, b.values.size)
        return float(rho.sum()) / (width if recipe.divide == "larger" else x.shape[1])
    return average(rho, recipe.mean)


def average(rho: Array, mean: Mean) -> float:
    """Mean of falling coefficients: of all, or of the fewest that make up 98 % of the sum."""
    if mean == "98":
        sums = np.cumsum(rho)
        rho = rho[: int(np.argmax(sums >= 0.98 * sums[-1] * (1 - TIE))) + 1]
    return float(rho.mean())


def _kept(view: Array, recipe: Recipe) -> _Kept:
    view = np.asarray(view, dtype=np.float64)
    if recipe.centre == "features":
        view = view - view.mean(axis=0)
    elif recipe.centre == "sentences":
        view = view - view.mean(axis=1, keepdims=True)
    if recipe.standardise:
        view = view / view.std(axis=0)
    basis, values, _ = np.linalg.svd(view, full_matrices=False)
    rank = max(1, int((values > 1e-12 * values[0]).sum()))
    basis, values = basis[:, :rank], values[:rank]
    amounts = np.ones(rank) if recipe.flat else values ** (2 if recipe.rule == "squared" else 1)
    sums = np.cumsum(amounts)
    k = rank
    if recipe.share < 1:
        k = int(np.argmax(sums >= recipe.share * sums[-1] * (1 - TIE))) + 1
    k = min(max(1, recipe.only or k + recipe.shift), rank)
    basis, values = basis[:, :k], values[:k]
    if recipe.centre == "late":
        # The covariance is centred even where the cut was not.
        late = basis * values - (basis * values).mean(axis=0)
        basis, values, _ = np.linalg.svd(late, full_matrices=False)
        good = values > 1e-12 * values[0]
        basis, values = basis[:, good], values[good]
    variance = (values / values[0]) ** 2
    # A view that does not vary has NaN here, which is neither.
    k = int((~(variance < recipe.epsilon)).sum())
    damped = np.sqrt(variance[:k] / (variance[:k] + recipe.epsilon))
    return _Kept(view, basis[:, :k], values[:k], damped)


def _weights(a: _Kept, b: _Kept, left: Array, kind: str) -> Array:
    """Weights of the canonical directions h_i = a.basis @ left: sums of |<h_i, neuron>|."""
    directions = (a.basis * a.damped) @ left
    directions = directions / np.linalg.norm(directions, axis=0)
    if kind == "google":
        # Its directions lack the whitening, so they are no canonical directions.
        reduced = a.basis * a.values
        directions = np.linalg.qr(reduced @ left)[0]
        return np.asarray(np.abs(directions.T @ reduced).sum(axis=1))
    if kind == "components":
        return np.asarray(np.abs(left.T * a.values).sum(axis=1))
    neurons = b.view if kind == "other" else a.view
    found = directions.T @ neurons
    return np.asarray((found**2 if kind == "squares" else np.abs(found)).sum(axis=1))


def recipe_mistakes(right: Recipe) -> Iterator[Mistake]:
    """Mistakes of a canonical measure, alone and two at a time; plain ones first."""
    other: Rule = "linear" if right.rule == "squared" else "squared"
    what = {"squared": "squared singular values", "linear": "singular values themselves"}
    single: list[tuple[dict[str, Any], str]] = [
        ({"centre": "none"}, "not centred: take each feature's mean over the sentences away first"),
        (
            {"centre": "sentences"},
            "centred along the wrong axis: each sentence's mean is taken away, not each feature's",
        ),
        ({"epsilon": 0.98}, "a threshold of 0.98 is passed where epsilon belongs"),
        ({"squares": True}, "squared correlations are averaged"),
    ]
    if right.share < 1:
        single += [
            ({"standardise": True}, "features are scaled to unit variance before the cut"),
            ({"centre": "late"}, "cut before centring: centre first, then decompose"),
            (
                {"rule": other},
                f"the cut is on the wrong quantity: the share is of the {what[other]}, not of the "
                f"{what[right.rule]} (rule={right.rule}); say rule={other} if that is meant",
            ),
            ({"shift": -1}, "k is one too few: the direction that reaches the share is kept too"),
            ({"shift": 1}, "k is one too many: stop at the direction that reaches the share"),
            ({"share": 1.0}, "no cut: all directions are kept"),
            (
                {"only": 1},
                "k is always 1: a share is compared with a threshold that was multiplied by the "
                "total variance",
            ),
        ]
        single += [
            ({"share": s}, f"the cut is at a share of {s:g}, not {right.share:g}")
            for s in (0.5, 0.8, 0.9, 0.95, 0.98, 0.99)
            if s != right.share
        ]
    else:
        single += [
            ({"share": s, "rule": r}, f"a cut is made, at {s:g} of the {what[r]}; CCA has none")
            for s, r in ((0.9, "squared"), (0.95, "squared"), (0.99, "squared"), (0.9, "linear"))
        ]
    if right.weights:
        single += [
            ({"weights": ""}, "the mean is not weighted; or all weights come out equal"),
            ({"weights": "components"}, "weights are over principal components, not over neurons"),
            ({"weights": "other"}, "directions of one view are weighted by neurons of the other"),
            ({"weights": "squares"}, "weights are sums of squares, not of absolute values"),
            (
                {"weights": "google"},
                "the directions lack the inverse root of the covariance, as in google/svcca's "
                "compute_pwcca",
            ),
        ]
    else:
        cut: Mean = "all" if right.mean == "98" else "98"
        names = {
            "98": "the leading coefficients that make up 98 % of the sum are averaged, not all; in "
            "google/svcca take the mean of cca_coef1",
            "all": "all coefficients are averaged, not those that make up 98 % of the sum",
        }
        single += [
            ({"mean": cut}, names[cut]),
            ({"divide": "larger"}, "the sum is divided by the larger number of dimensions"),
            ({"divide": "width"}, "the sum is divided by the number of features, not by k"),
        ]

    def mistake(says: str, recipe: Recipe, loose: float = 0.0, cost: float = 0.0) -> Mistake:
        return Mistake(says, lambda x, y: canonical(x, y, recipe), loose, cost)

    def changed(**changes: Any) -> Recipe:
        return replace(right, **changes)

    yield from (mistake(says, changed(**changes)) for changes, says in single)
    for (first, says), (second, also) in combinations(single, 2):
        if not set(first) & set(second):
            both = f"two things: {says.partition(':')[0]}; and {also}"
            yield mistake(both, changed(**first, **second), cost=1.5)
    if right.share < 1:
        yield mistake(
            "three things, as in anatome: the share is of the singular values themselves; views "
            "are decomposed before they are centred; and k is one too few",
            changed(rule="linear", centre="late", shift=-1),
            cost=2,
        )
        yield mistake(
            "the cut comes after orthonormalisation, where all directions weigh the same",
            changed(flat=True),
            loose=0.05,
            cost=2.5,
        )

    def bootstrapped(x: Array, y: Array) -> float:
        rng = np.random.default_rng(0)
        rows = rng.integers(0, len(x), (RESAMPLES, len(x)))
        return float(np.mean([canonical(x[r], y[r], right) for r in rows]))

    yield Mistake(
        "it looks like a mean over a bootstrap of sentences; repeated ones raise every correlation",
        bootstrapped,
        loose=0.05,
        cost=2.5,
    )
