"""RSA: five points whose distances are ranked by hand."""

from collections.abc import Iterator
from fractions import Fraction
from itertools import combinations
from typing import ClassVar, Literal

import numpy as np

from isogloss.conformance.case import Array, Case, Value
from isogloss.conformance.suite import Mistake, Suite
from isogloss.conformance.suites._arc import arc
from isogloss.conformance.suites._planted import noise
from isogloss.settings import setting

Distance = Literal["correlation", "cosine"]
_PLANE = np.array([[1.0, -1.0, 0.0], [1.0, 1.0, -2.0]]) / np.sqrt([[2.0], [6.0]])
"""Two directions of equal length whose coordinates sum to zero: cosines are correlations there."""
_TILTED = np.array([[0.8, 0.6, 0.0], [0.0, 0.0, 1.0]])
"""Two more whose coordinates do not: cosines are no correlations there."""
_FIRST, _SECOND = [0, 7, 19, 43, 80], [50, 0, 11, 80, 13]


class RsaSuite(Suite):
    """Representational similarity analysis: Spearman's correlation of two distance matrices."""

    ties: ClassVar[bool] = True
    raw: ClassVar[bool] = True
    range: ClassVar[tuple[float, float]] = (-1.0, 1.0)
    keeps: ClassVar[tuple[str, ...]] = ("scaling", "features permuted")
    changes: ClassVar[tuple[str, ...]] = ("invertible linear", "shuffled")

    distance: Distance = setting(
        "correlation", role="analysis", help="Distance between two sentences."
    )

    def definition(self, x: Array, y: Array) -> float:
        """The score by the definition."""
        return self._score(x, y)

    def _score(
        self, x: Array, y: Array, *, distance: str = "", ranks: bool = True, whole: bool = False,
        centre: bool = False,
    ) -> float:  # fmt: skip
        found = []
        for view in (x, y):
            view = np.asarray(view, np.float64) - centre * view.mean(axis=0)
            far = _distances(view, distance or self.distance)
            flat = far.ravel() if whole else far[np.triu_indices(len(view), 1)]
            found.append(_ranks(flat) if ranks else flat)
        with np.errstate(all="ignore"):
            return float(np.corrcoef(found[0], found[1])[0, 1])

    def mistakes(self) -> Iterator[Mistake]:
        """Other distances and correlations, and the diagonal."""
        for other in ("correlation", "cosine", "euclidean"):
            if other != self.distance:
                yield Mistake(
                    f"the distance is {other}, not {self.distance}",
                    lambda x, y, other=other: self._score(x, y, distance=other),  # type: ignore[misc]
                )
        yield Mistake("Pearson's correlation stands where Spearman's belongs",
                      lambda x, y: self._score(x, y, ranks=False))  # fmt: skip
        yield Mistake("the diagonal of zeros is ranked too; take the upper triangle",
                      lambda x, y: self._score(x, y, whole=True))  # fmt: skip
        yield Mistake("features are centred first", lambda x, y: self._score(x, y, centre=True))
        yield Mistake("this is Kendall's tau", self._kendall)

    def _kendall(self, x: Array, y: Array) -> float:
        from scipy.stats import kendalltau

        upper = np.triu_indices(len(x), 1)
        a, b = (_distances(np.asarray(v, np.float64), self.distance)[upper] for v in (x, y))
        return float(kendalltau(a, b).statistic)

    def closed_forms(self) -> Iterator[Case]:
        """Points at whole angles: a distance grows with the difference of two angles."""
        rng = np.random.default_rng(7)
        x = rng.standard_normal((20, 6))

        def case(name: str, matters: str, views: tuple[Array, Array], score: float) -> Case:
            return Value(name=name, matters=matters, views=views, expected=score, tolerance=1e-10)

        yield case("identical views", "a view is as similar as can be to itself", (x, x), 1.0)
        first, second = (arc(a, spread=(1, 5, 0.3)) for a in (_FIRST, _SECOND))
        plane = _PLANE if self.distance == "correlation" else _TILTED
        first, second = first @ plane, second @ plane
        score = _by_hand(_FIRST, _SECOND)
        yield case("five points by hand", "1 − 6 Σ d² / (m (m² − 1)) over the m = 10 pairs",
                   (first, second), score)  # fmt: skip
        yield case("five points, other view widened", "widths may differ",
                   (first, np.hstack([second, second, second])), score)  # fmt: skip
        if self.distance == "correlation":
            moved = first + np.array([[3.0], [-2.0], [0.5], [40.0], [0.0]])
            yield case("sentences moved along all features",
                       "a correlation distance takes each sentence's mean away",
                       (moved, second), score)  # fmt: skip

    def expectation(self, rng: np.random.Generator) -> tuple[Array, Array, float]:
        """Noise: over all orders of the sentences the mean is exactly 0."""
        return *noise(20, 12, 9, rng), 0.0


def _by_hand(first: list[int], second: list[int]) -> float:
    """Spearman's formula on the ranks of the differences of angles, none of them equal."""
    ranks = []
    for angles in (first, second):
        gaps = [abs(a - b) for a, b in combinations(angles, 2)]
        order = sorted(gaps)
        ranks.append([order.index(g) for g in gaps])
    m = len(ranks[0])
    off = sum((a - b) ** 2 for a, b in zip(*ranks, strict=True))
    return float(1 - Fraction(6 * off, m * (m * m - 1)))


def _distances(x: Array, distance: str) -> Array:
    if distance == "euclidean":
        return np.asarray(np.sqrt(((x[:, None] - x[None]) ** 2).sum(axis=2)))
    if distance == "correlation":
        x = x - x.mean(axis=1, keepdims=True)
    with np.errstate(all="ignore"):
        x = x / np.sqrt((x**2).sum(axis=1, keepdims=True))
    return np.asarray(1 - x @ x.T)


def _ranks(values: Array) -> Array:
    from scipy.stats import rankdata

    return np.asarray(rankdata(np.round(values, 12)))
