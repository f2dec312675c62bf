"""Mutual nearest neighbours: points on an arc, whose neighbours follow from whole numbers."""

from collections.abc import Iterator
from fractions import Fraction
from typing import ClassVar

import numpy as np

from isogloss.conformance.case import Array, Case, Value
from isogloss.conformance.suite import Mistake, Suite
from isogloss.conformance.suites._arc import arc, unlike
from isogloss.conformance.suites._planted import noise
from isogloss.settings import setting


class MutualKnnSuite(Suite):
    """Mean share of common k nearest neighbours (Huh et al. 2024), by cosine."""

    ties: ClassVar[bool] = True
    raw: ClassVar[bool] = True
    discrete: ClassVar[bool] = True
    keeps: ClassVar[tuple[str, ...]] = ("orthogonal", "scaling", "features permuted")
    changes: ClassVar[tuple[str, ...]] = ("invertible linear", "shuffled")

    k: int = setting(10, role="analysis", help="Number of neighbours of each sentence.", ge=1)

    @property
    def few(self) -> int:
        """A sentence needs k others."""
        return max(2, self.k)

    @property
    def chance(self) -> tuple[float, ...]:
        """Neighbours drawn by lot."""
        return (self.k / 39,) if self.k < 40 else ()

    def definition(self, x: Array, y: Array) -> float:
        """The score by the definition."""
        return self._score(x, y)

    def _score(self, x: Array, y: Array, *, k: int = 0, kind: str = "") -> float:
        k = min(k or self.k, len(x) - 1)
        first, second = (_neighbours(np.asarray(v, np.float64), k, kind) for v in (x, y))
        common = [len(a & b) for a, b in zip(first, second, strict=True)]
        if kind == "jaccard":
            return float(np.mean([c / (2 * k - c) for c in common]))
        return float(np.mean(common)) / k

    def mistakes(self) -> Iterator[Mistake]:
        """Neighbours counted or measured otherwise."""
        for kind, says in (
            ("self", "each sentence counts as its own nearest neighbour"),
            ("euclidean", "neighbours are by Euclidean distance, not by cosine"),
            ("dot", "neighbours are by inner product; divide each sentence by its norm"),
            ("centred", "features are centred before the cosine"),
            ("jaccard", "common neighbours are divided by the union, not by k"),
        ):
            if kind == "jaccard" and self.k == 1:
                continue
            yield Mistake(says, lambda x, y, kind=kind: self._score(x, y, kind=kind))  # type: ignore[misc]
        for k in sorted({5, 10, 20, self.k - 1, self.k + 1} - {self.k, 0}):
            yield Mistake(f"it has {k} neighbours, not {self.k}",
                          lambda x, y, k=k: self._score(x, y, k=k))  # type: ignore[misc]  # fmt: skip

    def closed_forms(self) -> Iterator[Case]:
        """Neighbours among points on an arc are those with the nearest angles."""
        rng = np.random.default_rng(7)
        n = 2 * self.k + 8
        x = rng.standard_normal((n, 6))

        def case(name: str, matters: str, views: tuple[Array, Array], score: float) -> Case:
            return Value(name=name, matters=matters, views=views, expected=score, tolerance=1e-10)

        yield case("identical views", "a view is as similar as can be to itself", (x, x), 1.0)
        first = unlike(n, 1)
        second = unlike(n, 2)
        score = self._by_hand(first, second)
        yield case("points on an arc", "the neighbours are those with the nearest angles",
                   (arc(first), arc(second)), score)  # fmt: skip
        lengths = (arc(first, spread=(1, 9, 0.2)), arc(second, stretch=50, spread=(0.1, 4)))
        yield case("points of unequal length", "a cosine does not see the length of a sentence",
                   lengths, score)  # fmt: skip
        partly = [*first[: n // 2], *(first[i] for i in rng.permutation(np.arange(n // 2, n)))]
        yield case("half of the sentences exchanged", "common neighbours are counted sentence by "
                   "sentence", (arc(first), arc(partly)), self._by_hand(first, partly))  # fmt: skip

    def expectation(self, rng: np.random.Generator) -> tuple[Array, Array, float]:
        """Noise: each of the k neighbours is common with probability k / (N − 1)."""
        n = 2 * self.k + 8
        return *noise(n, 7, 6, rng), self.k / (n - 1)

    def _by_hand(self, first: list[int], second: list[int]) -> float:
        total = 0
        for i in range(len(first)):
            near = []
            for angles in (first, second):
                others = [j for j in range(len(angles)) if j != i]
                others.sort(key=lambda j: abs(angles[j] - angles[i]))
                near.append(set(others[: self.k]))
            total += len(near[0] & near[1])
        return float(Fraction(total, self.k * len(first)))


def _neighbours(x: Array, k: int, kind: str) -> list[set[int]]:
    if kind == "centred":
        x = x - x.mean(axis=0)
    if kind == "euclidean":
        near = -((x[:, None] - x[None]) ** 2).sum(axis=2)
    else:
        with np.errstate(all="ignore"):
            near = x if kind == "dot" else x / np.sqrt((x**2).sum(axis=1, keepdims=True))
        near = near @ near.T
    if kind != "self":
        np.fill_diagonal(near, -np.inf)
    return [set(row.tolist()) for row in np.argsort(-near, axis=1, kind="stable")[:, :k]]
