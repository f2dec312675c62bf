"""PWCCA: canonical correlations weighted by how much of the first view they account for."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import ClassVar, Literal, get_args

import numpy as np

from isogloss.conformance.case import Array, Case, Skipped, Value
from isogloss.conformance.suite import Mistake
from isogloss.conformance.suites._canonical import (
    Recipe,
    RidgedSuite,
    Rule,
    canonical,
    recipe_mistakes,
)
from isogloss.conformance.suites._planted import COSINES, cut_after, directions, plant, view
from isogloss.settings import setting
from isogloss.similarity.chance import wachter

Weights = Literal["first", "second", "both"]
WEIGHTS: tuple[Weights, ...] = get_args(Weights)
NAMES = {"first": "the first view", "second": "the second view", "both": "both views"}


class PwccaSuite(RidgedSuite):
    """Projection weighted CCA (Morcos et al. 2018, equations 4 and 5), after the cut of SVCCA.

    The weight of the canonical direction h is the sum of |<h, x_j>| over the neurons x_j of the
    first view, or of the second, or the two scores are averaged.
    """

    symmetric: ClassVar[bool] = False
    keeps: ClassVar[tuple[str, ...]] = ("scaling", "translation", "features permuted")
    changes: ClassVar[tuple[str, ...]] = ("shuffled", "exchanged")

    share: float = setting(
        0.9, role="analysis", help="Share of each view's variance that is kept.", gt=0, le=1
    )
    rule: Rule = setting(
        "squared", role="analysis", help="What the share is of: squared singular values, or values."
    )
    weights: Weights = setting(
        "first", role="analysis", help="The view whose neurons give the weights, or both."
    )

    @property
    def recipe(self) -> Recipe:
        """What is claimed to be computed."""
        return Recipe(share=self.share, rule=self.rule, weights="neurons", epsilon=self.ridge)

    @property
    def kept(self) -> tuple[str, ...]:
        """With the weights of both views it does not matter which comes first."""
        return (*self.keeps, *(("exchanged",) if self.weights == "both" else ()))

    @property
    def changed(self) -> tuple[str, ...]:
        """With the weights of both views it does not matter which comes first."""
        return tuple(c for c in self.changes if c not in self.kept)

    def _score(self, x: Array, y: Array, recipe: Recipe) -> float:
        return _by(self.weights, partial(canonical, recipe=recipe))(x, y)

    def definition(self, x: Array, y: Array) -> float:
        """The score by the definition."""
        return self._score(x, y, self.recipe)

    def slack(self, x: Array, y: Array) -> float:
        """Twice what a small epsilon takes away."""
        damped = self._score(x, y, replace(self.recipe, epsilon=self.epsilon))
        return 2 * abs(damped - self.definition(x, y))

    def mistakes(self) -> Iterator[Mistake]:
        """Cuts, centring and weights that are known to go wrong."""
        for other in WEIGHTS:
            if other != self.weights:
                yield Mistake(
                    f"the weights are those of {NAMES[other]}, not of {NAMES[self.weights]}; if "
                    f"that is meant, say weights={other}",
                    _by(other, partial(canonical, recipe=self.recipe)),
                )
        for mistake in recipe_mistakes(self.recipe):
            yield replace(mistake, score=_by(self.weights, mistake.score))

    def closed_forms(self) -> Iterator[Case]:
        """Planted correlations whose weights follow from the loadings of the neurons."""
        rng = np.random.default_rng(7)
        k = COSINES.size
        # With weak directions a cut that should not be shows; with a cut they would make it close.
        strong = np.geomspace(10.0, 0.1, k) if self.share == 1 else np.linspace(2.5, 1.0, k)
        amounts = cut_after(strong, self.share)
        values = np.sqrt(amounts) if self.rule == "squared" else amounts
        rest = values.size - k
        tolerance = 1e-10 + 2 * self.epsilon * float((values[0] / values[k - 1]) ** 2)

        def case(
            name: str, matters: str, views: tuple[Array, Array], first: Array, second: Array
        ) -> Case:
            found = {"first": [first], "second": [second], "both": [first, second]}[self.weights]
            score = float(np.mean([w @ COSINES / w.sum() for w in found]))
            return Value(
                name=name, matters=matters, views=views, expected=score, tolerance=tolerance
            )

        x = view(directions(60, values.size, rng), values, values.size, rng)
        yield Value(
            name="identical views", matters="all correlations are 1, whatever the weights",
            views=(x, x), expected=1.0, tolerance=tolerance,
        )  # fmt: skip
        made = plant(2 * (k + rest) + 20, k, k, COSINES, (rest, rest), rng)
        loadings = np.linalg.qr(rng.standard_normal((values.size + 4, values.size)))[0]
        other = (made.y * values) @ loadings.T
        beside = values[:k] * np.abs(loadings[:, :k]).sum(axis=0)
        # Neuron i is direction i: its weight is its singular value.
        name = "one neuron per direction"
        if self.zscore:
            reason = "neurons of equal variance leave no direction that comes before another"
            yield Skipped(name=name, matters="", reason=reason)
        else:
            yield case(
                name,
                "the weight of a direction is how much the neurons vary along it",
                (made.x * values, other),
                values[:k],
                beside,
            )
        right = np.linalg.qr(rng.standard_normal((values.size + 8, values.size)))[0]
        right[np.abs(right) < 0.05] = 0
        right = np.linalg.qr(right)[0]
        weights = values[:k] * np.abs(right[:, :k]).sum(axis=0)
        views = ((made.x * values) @ right.T, other)
        yield case(
            "neurons that mix directions",
            "the sum is over neurons, not over principal components",
            views,
            weights,
            beside,
        )
        yield case(
            "features with large means",
            "activations are rarely centred",
            (
                views[0] + 10 * rng.standard_normal(views[0].shape[1]),
                views[1] - 10 * rng.standard_normal(views[1].shape[1]),
            ),
            weights,
            beside,
        )
        # Canonical directions that are not principal ones: the second view turns them.
        turn = np.linalg.qr(rng.standard_normal((k, k)))[0]
        turned = made.x.copy()
        turned[:, :k] = made.x[:, :k] @ turn.T
        loadings = (turn.T * values[:k]) @ right[:, :k].T
        weights = np.abs(loadings).sum(axis=1)
        yield case(
            "directions that are no principal ones",
            "the weight belongs to the canonical direction, whitening undone",
            ((turned * values) @ right.T, other),
            weights,
            beside,
        )

    def expectation(self, rng: np.random.Generator) -> tuple[Array, Array, float]:
        """Views that keep 8 and 10 dimensions of 60 sentences, in random directions.

        The directions within the first view are in any rotation equally likely, so that weights
        and correlations are independent, and the weighted mean is expected where the plain one is.
        """
        n, made = 60, []
        for k in (8, 10):
            amounts = cut_after(np.linspace(3.0, 1.0, k), self.share)
            values = np.sqrt(amounts) if self.rule == "squared" else amounts
            made.append(view(directions(n, values.size, rng), values, values.size + 2, rng))
        return made[0], made[1], wachter(8, 10, n)


def _by(
    weights: Weights, score: Callable[[Array, Array], float]
) -> Callable[[Array, Array], float]:
    """A score whose weights come from the first view, with those of another view instead."""
    return {
        "first": score,
        "second": lambda x, y: score(y, x),
        "both": lambda x, y: (score(x, y) + score(y, x)) / 2,
    }[weights]
