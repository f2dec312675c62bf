"""SVCCA: planted canonical correlations, and spectra whose cut is known."""

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from typing import Annotated, ClassVar

import numpy as np
from pydantic import BeforeValidator

from isogloss.conformance.case import Array, Case, Skipped, Value
from isogloss.conformance.suite import Mistake
from isogloss.conformance.suites._canonical import (
    Mean,
    Recipe,
    RidgedSuite,
    Rule,
    as_text,
    average,
    canonical,
    recipe_mistakes,
)
from isogloss.conformance.suites._planted import COSINES, cut_after, directions, plant, view
from isogloss.settings import setting
from isogloss.similarity.chance import wachter


class SvccaSuite(RidgedSuite):
    """Singular vector canonical correlation analysis (Raghu et al. 2017)."""

    keeps: ClassVar[tuple[str, ...]] = ("orthogonal", "scaling", "translation", "features permuted")
    changes: ClassVar[tuple[str, ...]] = ("invertible linear", "shuffled")

    share: float = setting(
        0.9, role="analysis", help="Share of each view's variance that is kept.", gt=0, le=1
    )
    rule: Rule = setting(
        "squared", role="analysis", help="What the share is of: squared singular values, or values."
    )
    mean: Annotated[Mean, BeforeValidator(as_text)] = setting(
        "all", role="analysis", help="Mean of all coefficients, or of those that make up 98 %."
    )

    @property
    def recipe(self) -> Recipe:
        """What is claimed to be computed."""
        return Recipe(share=self.share, rule=self.rule, mean=self.mean, epsilon=self.ridge)

    def definition(self, x: Array, y: Array) -> float:
        """The score by the definition."""
        return canonical(x, y, self.recipe)

    @property
    def kept(self) -> tuple[str, ...]:
        """Without a cut this is CCA."""
        return (*self.keeps, *(("invertible linear",) if self.share == 1 and self.exact else ()))

    @property
    def changed(self) -> tuple[str, ...]:
        """Without a cut this is CCA."""
        return tuple(c for c in self.changes if c not in self.kept)

    @property
    def chance_exact(self) -> bool:
        """The mean of the leading coefficients has no exact expectation."""
        return self.mean == "all" and self.exact

    def slack(self, x: Array, y: Array) -> float:
        """Twice what a small epsilon takes away."""
        damped = canonical(x, y, replace(self.recipe, epsilon=self.epsilon))
        return 2 * abs(damped - self.definition(x, y))

    def mistakes(self) -> Iterator[Mistake]:
        """Cuts, centring and means that are known to go wrong."""
        return recipe_mistakes(self.recipe)

    def closed_forms(self) -> Iterator[Case]:
        """Planted subspaces; their principal cosines are the canonical correlations."""
        rng = np.random.default_rng(7)
        values = self._values(np.linspace(3.0, 1.0, 6))
        x = view(directions(60, values.size, rng), values, values.size, rng)
        turned = x @ np.linalg.qr(rng.standard_normal((values.size, values.size)))[0]
        tolerance = self._tolerance(values, 6)
        yield self._value(
            "identical views", "a view is as similar as can be to itself", (x, x), 1, tolerance
        )
        yield self._value(
            "turned, scaled and moved copy",
            "the subspace is the same whatever its coordinates",
            (x, 7 * turned + 3),
            1,
            tolerance,
        )
        yield self._shared(rng)
        for name, matters, settings in (
            (
                "planted correlations, N > D",
                "the canonical correlations are cosines between subspaces",
                {},
            ),
            (
                "planted correlations, N < D",
                "real views have more features than sentences",
                {"width": 150},
            ),
            (
                "features with large means",
                "activations are rarely centred; without centring the mean is the first direction",
                {"offset": 10.0},
            ),
            (
                "different widths and k",
                "the mean is over the smaller number of dimensions",
                {"k_y": 9, "width": (20, 45)},
            ),
        ):
            yield self._planted(name, matters, rng, **settings)
        yield self._forced(rng)
        yield from self._cuts(rng)
        if self.share < 1:
            yield self._noisy(rng)

    def expectation(self, rng: np.random.Generator) -> tuple[Array, Array, float]:
        """Views that keep 8 and 10 dimensions of 60 sentences, in random directions."""
        n = 60
        values = [self._values(np.linspace(3.0, 1.0, k)) for k in (8, 10)]
        x, y = (view(directions(n, v.size, rng), v, v.size + 2, rng) for v in values)
        return x, y, wachter(8, 10, n)

    def _values(self, amounts: Array, *, weak: int = 3) -> Array:
        """Singular values whose cut falls after these amounts."""
        found = cut_after(amounts, self.share, weak=weak)
        return np.sqrt(found) if self.rule == "squared" else found

    def _tolerance(self, values: Array, k: int) -> float:
        """Rounding, and what epsilon takes from the weakest direction that is kept."""
        return 1e-10 + 2 * self.epsilon * float((values[0] / values[k - 1]) ** 2)

    def _value(
        self,
        name: str,
        matters: str,
        views: tuple[Array, Array],
        expected: float,
        tolerance: float,
        hints: tuple[tuple[float, str], ...] = (),
        *,
        tie: bool = False,
    ) -> Case:
        return Value(
            name=name,
            matters=matters,
            views=views,
            expected=float(expected),
            tolerance=tolerance,
            hints=hints,
            tie=tie,
        )

    def _shared(self, rng: np.random.Generator) -> Case:
        k, m = 8, 3
        values = self._values(np.ones(k))
        rest = values.size - k
        made = plant(2 * (k + rest) + 20, k, k, (np.arange(k) < m) * 1.0, (rest, rest), rng)
        views = tuple(view(q, values, values.size + 4, rng) for q in (made.x, made.y))
        return self._value(
            f"{m} of {k} directions shared",
            "directions of equal variance count the same, shared or not",
            (views[0], views[1]),
            average((np.arange(k) < m) * 1.0, self.mean),
            self._tolerance(values, k),
        )

    def _planted(
        self,
        name: str,
        matters: str,
        rng: np.random.Generator,
        *,
        k_y: int = 6,
        width: int | tuple[int, int] = 0,
        offset: float = 0.0,
    ) -> Case:
        k_x = COSINES.size
        values = [self._values(np.linspace(2.0, 1.0, k)) for k in (k_x, k_y)]
        rest = (values[0].size - k_x, values[1].size - k_y)
        made = plant(k_x + k_y + sum(rest) + 20, k_x, k_y, COSINES, rest, rng)
        widths = width if isinstance(width, tuple) else (width, width)
        views = tuple(
            view(q, v, max(w, v.size + 3), rng, offset=offset)
            for q, v, w in zip((made.x, made.y), values, widths, strict=True)
        )
        tolerance = max(self._tolerance(v, k) for v, k in zip(values, (k_x, k_y), strict=True))
        expected = average(COSINES, self.mean)
        return self._value(name, matters, (views[0], views[1]), expected, tolerance)

    def _forced(self, rng: np.random.Generator) -> Case:
        """Two subspaces too large to stand side by side: they must share some directions."""
        k = 14
        values = self._values(np.linspace(1.1, 1.0, k))
        # What is cut from a view must fit beside what is kept of it.
        shared = max(6, values.size - k)
        if shared >= k:
            return Skipped(
                name="forced ones",
                matters="",
                reason=f"a share of {self.share:g} leaves no spectrum short enough",
            )
        n = k + shared + 1
        free = directions(n, n - 1, rng)
        cosines = np.linspace(0.9, 0.3, shared)
        first, complement = free[:, :k], free[:, k:]
        turned = first[:, -shared:] * cosines + complement * np.sqrt(1 - cosines**2)
        across = complement * cosines - first[:, -shared:] * np.sqrt(1 - cosines**2)
        x_all = np.hstack([first, complement])[:, : values.size]
        y_all = np.hstack([first[:, :-shared], turned, across])[:, : values.size]
        return self._value(
            "forced ones",
            "when k_x + k_y > N − 1 some correlations are 1 whatever the data",
            (view(x_all, values, 80, rng), view(y_all, values, 80, rng)),
            average(np.concatenate([np.ones(k - shared), cosines]), self.mean),
            self._tolerance(values, k),
        )

    def _cuts(self, rng: np.random.Generator) -> Iterator[Case]:
        """Spectra whose cut is known."""
        yield self._cut(
            "cut of a steep spectrum",
            "90 % of the variance and 90 % of the singular values are not the same cut",
            cut_after(np.array([16.0, 6.0, 3.0, 2.0, 1.6, 1.3]), self.share),
            6,
            rng,
        )
        whole = range(50, 0, -1)
        reached = (sum(whole[: i + 1]) >= Fraction(str(self.share)) * sum(whole) for i in range(50))
        yield self._cut(
            "cut of a long spectrum",
            "a share that is off by 0.01 moves this cut",
            np.array(whole, dtype=np.float64),
            1 + next(i for i, enough in enumerate(reached) if enough),
            rng,
        )
        if self.share < 1:
            strong = np.array([5.0, 3.5, 2.5, 2.0])
            yield self._cut(
                "share reached exactly",
                "rounding must not decide: a share that is reached exactly is reached",
                cut_after(strong, self.share, exact=True),
                strong.size,
                rng,
                tie=True,
            )

    def _cut(
        self, name: str, matters: str, amounts: Array, k: int, rng: np.random.Generator, *,
        tie: bool = False,
    ) -> Case:  # fmt: skip
        """Views whose score tells how many directions of the first were kept."""
        values = np.sqrt(amounts) if self.rule == "squared" else amounts
        r = values.size
        cosines = np.linspace(0.95, 0.15, r)
        # The second view keeps a direction for each of the first, by variances much alike.
        flat = self._values(np.linspace(1.1, 1.0, r))
        made = plant(r + flat.size + 20, r, r, cosines, (0, flat.size - r), rng)
        return self._value(
            name,
            matters,
            (view(made.x, values, r + 5, rng), view(made.y, flat, flat.size + 5, rng)),
            average(cosines[:k], self.mean),
            self._tolerance(values, k),
            tuple(
                (average(cosines[:i], self.mean), f"{i} directions are kept where it is {k}")
                for i in range(1, r + 1)
                if i != k
            ),
            tie=tie,
        )

    def _noisy(self, rng: np.random.Generator) -> Case:
        k, weak = 5, 25
        values = self._values(np.linspace(1.1, 1.0, k), weak=weak)
        free = directions(90, k + 2 * weak, rng)
        views = tuple(
            view(np.hstack([free[:, :k], own]), values, 40, rng)
            for own in (free[:, k : k + weak], free[:, k + weak :])
        )
        return self._value(
            f"{k} strong shared and {weak} weak own directions",
            "the cut is there to leave such noise out; after whitening it cuts at random",
            (views[0], views[1]),
            1,
            self._tolerance(values, k),
        )
