"""PWCCA: canonical correlations weighted by how much of the first view they account for."""

from collections.abc import Iterator
from dataclasses import replace
from typing import ClassVar

import numpy as np

from isogloss.conformance.case import Array, Case, Value
from isogloss.conformance.suite import Mistake, Suite
from isogloss.conformance.suites._canonical import Recipe, Rule, canonical, recipe_mistakes
from isogloss.conformance.suites._planted import COSINES, cut_after, directions, plant, view
from isogloss.settings import setting
from isogloss.similarity.chance import wachter


class PwccaSuite(Suite):
    """Projection weighted CCA (Morcos et al. 2018, equations 4 and 5), after the cut of SVCCA.

    The weight of the canonical direction h is the sum of |<h, x_j>| over the neurons x_j of the
    first view.
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
    epsilon: float = setting(
        1e-10, role="analysis", help="Ridge of the covariances, which tolerances allow for.", ge=0
    )

    @property
    def recipe(self) -> Recipe:
        """What is claimed to be computed."""
        return Recipe(share=self.share, rule=self.rule, weights="neurons")

    def definition(self, x: Array, y: Array) -> float:
        """The score by the definition."""
        return canonical(x, y, self.recipe)

    def slack(self, x: Array, y: Array) -> float:
        """Twice what epsilon takes away."""
        damped = canonical(x, y, replace(self.recipe, epsilon=self.epsilon))
        return 2 * abs(damped - self.definition(x, y))

    def mistakes(self) -> Iterator[Mistake]:
        """Cuts, centring and weights that are known to go wrong."""
        return recipe_mistakes(self.recipe)

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

        def case(name: str, matters: str, views: tuple[Array, Array], score: float) -> Case:
            return Value(
                name=name, matters=matters, views=views, expected=score, tolerance=tolerance
            )

        x = view(directions(60, values.size, rng), values, values.size, rng)
        yield case("identical views", "all correlations are 1, whatever the weights", (x, x), 1.0)
        made = plant(2 * (k + rest) + 20, k, k, COSINES, (rest, rest), rng)
        other = view(made.y, values, values.size + 4, rng)
        # Neuron i is direction i: its weight is its singular value.
        yield case(
            "one neuron per direction",
            "the weight of a direction is how much the neurons vary along it",
            (made.x * values, other),
            float(values[:k] @ COSINES / values[:k].sum()),
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
            float(weights @ COSINES / weights.sum()),
        )
        yield case(
            "features with large means",
            "activations are rarely centred",
            (
                views[0] + 10 * rng.standard_normal(views[0].shape[1]),
                views[1] - 10 * rng.standard_normal(views[1].shape[1]),
            ),
            float(weights @ COSINES / weights.sum()),
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
            float(weights @ COSINES / weights.sum()),
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
