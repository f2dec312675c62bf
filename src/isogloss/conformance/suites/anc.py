"""ANC: planted correlations of single neurons."""

from collections.abc import Iterator
from math import lgamma
from typing import ClassVar

import numpy as np

from isogloss.conformance.case import Array, Case, Value
from isogloss.conformance.suite import Mistake, Suite
from isogloss.conformance.suites._planted import COSINES, noise, plant
from isogloss.settings import setting


class AncSuite(Suite):
    """Average neuron-wise correlation (Del and Fishel 2022): mean |Pearson| over the neurons."""

    equal_width: ClassVar[bool] = True
    range: ClassVar[tuple[float, float]] = (-1.0, 1.0)
    keeps: ClassVar[tuple[str, ...]] = (
        "scaling", "translation", "same features permuted", "scaling of single features",
    )  # fmt: skip
    changes: ClassVar[tuple[str, ...]] = ("orthogonal", "features permuted", "shuffled")

    signed: bool = setting(
        False, role="analysis", help="Correlations are averaged with their signs."
    )

    def definition(self, x: Array, y: Array) -> float:
        """The score by the definition."""
        return self._mean(_correlations(x, y))

    def _mean(self, found: Array) -> float:
        return float((found if self.signed else np.abs(found)).mean())

    def mistakes(self) -> Iterator[Mistake]:
        """Signs, squares, axes and other matches of neurons."""
        if self.signed:
            yield Mistake("absolute values are averaged; if that is meant, say signed=false",
                          lambda x, y: float(np.abs(_correlations(x, y)).mean()))  # fmt: skip
        else:
            yield Mistake("signs are kept: average absolute correlations, or say signed=true",
                          lambda x, y: float(_correlations(x, y).mean()))  # fmt: skip
        yield Mistake("squared correlations are averaged",
                      lambda x, y: float((_correlations(x, y) ** 2).mean()))  # fmt: skip
        yield Mistake("sentences are correlated over neurons, not neurons over sentences",
                      lambda x, y: self._mean(_correlations(x.T, y.T)))  # fmt: skip
        yield Mistake("not centred: these are cosines of neurons",
                      lambda x, y: self._mean(_correlations(x, y, centre=0)))  # fmt: skip
        yield Mistake("each neuron is matched with its best partner, not with its namesake",
                      _best)  # fmt: skip

    def closed_forms(self) -> Iterator[Case]:
        """Neurons with planted correlations, some of them negative."""
        rng = np.random.default_rng(7)
        k = COSINES.size
        x = rng.standard_normal((40, 6))

        def case(name: str, matters: str, views: tuple[Array, Array], score: float) -> Case:
            return Value(name=name, matters=matters, views=views, expected=score, tolerance=1e-10)

        yield case("identical views", "a view is as similar as can be to itself", (x, x), 1.0)
        turned = (
            "the sign of a neuron counts" if self.signed else "the sign of a neuron means nothing"
        )
        yield case("every neuron turned over", turned, (x, -x), -1.0 if self.signed else 1.0)
        made = plant(50, k, k, COSINES, (0, 0), rng)
        signs = np.where(np.arange(k) % 2, -1.0, 1.0)
        views = (made.x * np.linspace(1, 9, k), made.y * signs)
        score = self._mean(COSINES * signs)
        yield case("planted correlations", "the correlations are averaged, one for each neuron",
                   views, score)  # fmt: skip
        yield case("features with large means", "a correlation is centred",
                   (views[0] + 20, views[1] - 5), score)  # fmt: skip
        wide = plant(60, 20, 20, np.linspace(0.95, 0.05, 20), (0, 0), rng)
        first, second = wide.x[:15], wide.y[:15]
        by_hand = self._mean(np.array([_pearson(first[:, j], second[:, j]) for j in range(20)]))
        yield case("fewer sentences than neurons", "each neuron stands for itself",
                   (first, second), by_hand)  # fmt: skip

    def expectation(self, rng: np.random.Generator) -> tuple[Array, Array, float]:
        """Noise: r² of n sentences has the law Beta(1/2, (n − 2)/2), and r either sign."""
        n = 30
        if self.signed:
            return *noise(n, 6, 6, rng), 0.0
        mean = np.exp(lgamma((n - 1) / 2) - lgamma(n / 2) - lgamma(0.5))
        return *noise(n, 6, 6, rng), float(mean)


def _pearson(a: Array, b: Array) -> float:
    a, b = a - a.mean(), b - b.mean()
    return float((a * b).sum() / np.sqrt((a * a).sum() * (b * b).sum()))


def _correlations(x: Array, y: Array, *, centre: int = 1) -> Array:
    x, y = (np.asarray(v, np.float64) - centre * v.mean(axis=0) for v in (x, y))
    with np.errstate(all="ignore"):
        return np.asarray((x * y).sum(axis=0) / np.sqrt((x**2).sum(axis=0) * (y**2).sum(axis=0)))


def _best(x: Array, y: Array) -> float:
    return float(np.abs(np.corrcoef(x.T, y.T)[: x.shape[1], x.shape[1] :]).max(axis=1).mean())
