"""CCA: all canonical correlations, without a cut."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Annotated, ClassVar

import numpy as np
from pydantic import BeforeValidator

from isogloss.conformance.case import Array, Case, Value
from isogloss.conformance.suite import Mistake
from isogloss.conformance.suites._canonical import (
    Mean,
    Recipe,
    RidgedSuite,
    as_text,
    average,
    canonical,
    recipe_mistakes,
)
from isogloss.conformance.suites._planted import COSINES, noise, plant, view
from isogloss.settings import setting
from isogloss.similarity.chance import wachter


class CcaSuite(RidgedSuite):
    """Canonical correlation analysis (Hotelling 1936)."""

    keeps: ClassVar[tuple[str, ...]] = (
        "orthogonal", "scaling", "translation", "features permuted", "invertible linear",
    )  # fmt: skip
    changes: ClassVar[tuple[str, ...]] = ("shuffled",)

    mean: Annotated[Mean, BeforeValidator(as_text)] = setting(
        "all", role="analysis", help="Mean of all coefficients, or of those that make up 98 %."
    )

    @property
    def recipe(self) -> Recipe:
        """What is claimed to be computed."""
        return Recipe(share=1.0, mean=self.mean, epsilon=self.ridge)

    def definition(self, x: Array, y: Array) -> float:
        """The score by the definition."""
        return canonical(x, y, self.recipe)

    @property
    def chance_exact(self) -> bool:
        """The mean of the leading coefficients has no exact expectation."""
        return self.mean == "all" and self.exact

    @property
    def kept(self) -> tuple[str, ...]:
        """A large epsilon tells strong directions from weak ones."""
        return self.keeps if self.exact else self.keeps[:-1]

    @property
    def changed(self) -> tuple[str, ...]:
        """A large epsilon tells strong directions from weak ones."""
        return self.changes if self.exact else (*self.changes, "invertible linear")

    def slack(self, x: Array, y: Array) -> float:
        """Twice what a small epsilon takes away."""
        damped = canonical(x, y, replace(self.recipe, epsilon=self.epsilon))
        return 2 * abs(damped - self.definition(x, y))

    def mistakes(self) -> Iterator[Mistake]:
        """Cuts that should not be, centring and means."""
        return recipe_mistakes(self.recipe)

    def closed_forms(self) -> Iterator[Case]:
        """Planted canonical correlations; the variances of the directions must not matter."""
        rng = np.random.default_rng(7)
        k = COSINES.size
        spread = np.geomspace(1, 0.1, k)
        tolerance = 1e-10 + 2 * self.epsilon / 0.01
        expected = average(COSINES, self.mean)
        x = rng.standard_normal((60, k)) * spread

        def case(name: str, matters: str, views: tuple[Array, Array], score: float) -> Case:
            return Value(
                name=name, matters=matters, views=views, expected=score, tolerance=tolerance
            )

        yield case("identical views", "a view is as similar as can be to itself", (x, x), 1.0)
        m = 2
        made = plant(50, k, k, (np.arange(k) < m) * 1.0, (0, 0), rng)
        yield case(
            f"{m} of {k} directions shared",
            "every direction counts the same, however little it varies",
            (view(made.x, spread, k, rng), view(made.y, spread[::-1], k, rng)),
            average((np.arange(k) < m) * 1.0, self.mean),
        )
        made = plant(60, k, k, COSINES, (0, 0), rng)
        views = (view(made.x, spread, k, rng), view(made.y, spread, k, rng))
        yield case(
            "planted correlations", "nothing is cut, however little it varies", views, expected
        )
        yield case(
            "features with large means",
            "activations are rarely centred",
            (views[0] + 10 * rng.standard_normal(k), views[1] - 10 * rng.standard_normal(k)),
            expected,
        )
        made = plant(60, k, 11, COSINES, (0, 0), rng)
        wide = np.geomspace(1, 0.1, 11)
        yield case(
            "different widths",
            "the mean is over the smaller width",
            (view(made.x, spread, k, rng), view(made.y, wide, 11, rng)),
            expected,
        )
        yield Value(
            name="fewer sentences than features",
            matters="two views that both fill the space of the sentences share all of it",
            views=noise(20, 30, 40, rng),
            expected=1.0,
            tolerance=1e-6 + 1e4 * self.epsilon,
            refusable=True,
        )

    def expectation(self, rng: np.random.Generator) -> tuple[Array, Array, float]:
        """Noise of 6 and 9 features for 50 sentences."""
        x, y = noise(50, 6, 9, rng)
        return x, y, wachter(6, 9, 50)
