"""CKA: planted bases, and small examples worked out with fractions."""

from collections.abc import Iterator
from fractions import Fraction
from itertools import combinations
from math import dist, exp, sqrt
from statistics import median
from typing import ClassVar, Literal

import numpy as np

from isogloss.conformance.case import Array, Case, Value
from isogloss.conformance.suite import Mistake, Suite
from isogloss.conformance.suites._planted import COSINES, noise, plant, view
from isogloss.settings import setting

Kernel = Literal["linear", "rbf"]
_FIRST = ((0, 0), (1, 2), (3, 1), (2, 5), (7, 3), (4, 8))
_SECOND = ((2, 1, 0), (0, 3, 1), (5, 2, 2), (1, 1, 7), (6, 0, 3), (3, 9, 4))


class CkaSuite(Suite):
    """Centred kernel alignment (Kornblith et al. 2019), debiased as in Song et al. 2012."""

    keeps: ClassVar[tuple[str, ...]] = ("orthogonal", "scaling", "translation", "features permuted")
    changes: ClassVar[tuple[str, ...]] = ("invertible linear", "shuffled")
    range: ClassVar[tuple[float, float]] = (-1.0, 1.0)

    kernel: Kernel = setting("linear", role="analysis", help="Kernel.")
    debiased: bool = setting(True, role="analysis", help="Use the unbiased estimator of HSIC.")
    bandwidth: float = setting(
        1.0, role="analysis", help="Of the rbf kernel, in median distances.", gt=0
    )

    @property
    def few(self) -> int:
        """The unbiased estimator divides by N − 3."""
        return 3 if self.debiased else 2

    def definition(self, x: Array, y: Array) -> float:
        """The score by the definition."""
        return self._score(x, y)

    def slack(self, x: Array, y: Array) -> float:
        """Of an even number of pairs the median may be taken before or after the square."""
        if self.kernel == "linear":
            return 0.0
        return 2 * abs(self._score(x, y, middle="squares") - self._score(x, y))

    def _score(
        self,
        x: Array,
        y: Array,
        *,
        debiased: bool | None = None,
        centre: bool = True,
        bandwidth: float = 1.0,
        middle: str = "",
    ) -> float:
        grams = [self._gram(np.asarray(v, np.float64), bandwidth, middle) for v in (x, y)]
        debiased = self.debiased if debiased is None else debiased
        estimate = _unbiased if debiased else (_biased if centre else _plain)
        (k, m) = grams
        with np.errstate(all="ignore"):
            return float(estimate(k, m) / np.sqrt(estimate(k, k) * estimate(m, m)))

    def _gram(self, x: Array, factor: float = 1.0, middle: str = "") -> Array:
        if self.kernel == "linear":
            return np.asarray(x @ x.T)
        far = ((x[:, None] - x[None]) ** 2).sum(axis=2)
        pairs = far[np.triu_indices(len(x), 1)]
        median = float(np.median(np.sqrt(pairs)))
        square = {"": median**2, "root": median, "squares": float(np.median(pairs))}[middle]
        return np.asarray(np.exp(-far / (2 * (self.bandwidth * factor) ** 2 * square)))

    def mistakes(self) -> Iterator[Mistake]:
        """The other estimator, no centring, and other bandwidths."""
        other = not self.debiased
        yield Mistake(
            f"this is the {'unbiased' if other else 'biased'} estimator; if that is meant, say "
            f"debiased={str(other).lower()}",
            lambda x, y: self._score(x, y, debiased=other),
        )
        yield Mistake(
            "the Gram matrices are not centred",
            lambda x, y: self._score(x, y, debiased=False, centre=False),
        )
        yield Mistake(
            "the square root in the denominator is missing, or the score is squared",
            lambda x, y: self._score(x, y) ** 2,
        )
        if self.debiased:
            yield Mistake("negative scores are set to 0", lambda x, y: max(0.0, self._score(x, y)))
        if self.kernel == "rbf":
            yield Mistake(
                "the median distance stands where its square belongs",
                lambda x, y: self._score(x, y, middle="root"),
            )
            yield Mistake(
                "the factor 2 before the squared bandwidth is missing",
                lambda x, y: self._score(x, y, bandwidth=sqrt(0.5)),
            )

    def closed_forms(self) -> Iterator[Case]:
        """Identity, planted bases, and a small example by exact arithmetic."""
        rng = np.random.default_rng(7)
        x = rng.standard_normal((40, 6))

        def case(
            name: str, matters: str, views: tuple[Array, Array], score: float, known: str
        ) -> Case:
            return Value(
                name=name, matters=matters, views=views, expected=score, tolerance=1e-10,
                known=known,
            )  # fmt: skip

        yield case("identical views", "a view is as similar as can be to itself", (x, x), 1.0,
                   "definition")  # fmt: skip
        first, second = np.array(_FIRST, float), np.array(_SECOND, float)
        yield case(
            "six sentences by hand",
            "small enough for exact arithmetic",
            (first, second),
            self._by_hand(),
            "fractions",
        )
        yield case(
            "six sentences with large means",
            "kernels must be centred",
            (first + 50, second - 70),
            self._by_hand(),
            "fractions",
        )
        if self.kernel == "linear" and not self.debiased:
            k, s, t = COSINES.size, np.linspace(3, 1, COSINES.size), np.geomspace(5, 1, 9)
            made = plant(50, k, 9, COSINES, (0, 0), rng)
            for name, matters, width, offset in (
                ("planted bases, N > D", "Σ (s c t)² / √(Σ s⁴ Σ t⁴)", 12, 0.0),
                ("planted bases, N < D", "real views have more features than sentences", 90, 5.0),
            ):
                views = (
                    view(made.x, s, width, rng, offset=offset),
                    view(made.y, t, width + 3, rng, offset=offset),
                )
                score = ((s * COSINES * t[:k]) ** 2).sum() / sqrt((s**4).sum() * (t**4).sum())
                yield case(name, matters, views, float(score), "closed form")

    def expectation(self, rng: np.random.Generator) -> tuple[Array, Array, float]:
        """Noise: the mean over all orders of the sentences is known for every pair of views."""
        x, y = noise(20, 30, 25, rng)
        if self.debiased:
            return x, y, 0.0
        k, m = (_centred(self._gram(v)) for v in (x, y))
        expected = np.trace(k) * np.trace(m) / 19 / np.sqrt((k**2).sum() * (m**2).sum())
        return x, y, float(expected)

    def _by_hand(self) -> float:
        """The score of the six sentences, from the definition in scalars."""
        k, m = (self._scalars(points) for points in (_FIRST, _SECOND))
        pick = _song if self.debiased else _gretton
        return float(pick(k, m)) / sqrt(float(pick(k, k)) * float(pick(m, m)))

    def _scalars(self, points: tuple[tuple[int, ...], ...]) -> list[list[Fraction]]:
        if self.kernel == "linear":
            return [
                [Fraction(sum(a * b for a, b in zip(p, q, strict=True))) for q in points]
                for p in points
            ]
        width = self.bandwidth * median(dist(p, q) for p, q in combinations(points, 2))
        return [
            [Fraction(exp(-(dist(p, q) ** 2) / (2 * width**2))) for q in points] for p in points
        ]


def _song(k: list[list[Fraction]], m: list[list[Fraction]]) -> Fraction:
    """HSIC by equation 4 of Song et al. 2012, sum by sum."""
    n = len(k)
    others = [(i, j) for i in range(n) for j in range(n) if i != j]
    product = sum((k[i][j] * m[i][j] for i, j in others), Fraction(0))
    sums = sum((k[i][j] for i, j in others), Fraction(0)) * sum(
        (m[i][j] for i, j in others), Fraction(0)
    )
    chains = Fraction(0)
    for j in range(n):
        a = sum((k[i][j] for i in range(n) if i != j), Fraction(0))
        chains += a * sum((m[j][q] for q in range(n) if q != j), Fraction(0))
    return (product + sums / ((n - 1) * (n - 2)) - 2 * chains / (n - 2)) / (n * (n - 3))


def _gretton(k: list[list[Fraction]], m: list[list[Fraction]]) -> Fraction:
    """The sum over all entries of the product of two centred matrices."""

    def centred(a: list[list[Fraction]]) -> list[list[Fraction]]:
        n = len(a)
        rows = [sum(row, Fraction(0)) / n for row in a]
        whole = sum(rows, Fraction(0)) / n
        return [[a[i][j] - rows[i] - rows[j] + whole for j in range(n)] for i in range(n)]

    p, q = centred(k), centred(m)
    return sum((a * b for r, s in zip(p, q, strict=True) for a, b in zip(r, s, strict=True)),
               Fraction(0))  # fmt: skip


def _centred(k: Array) -> Array:
    return np.asarray(k - k.mean(axis=0) - k.mean(axis=1, keepdims=True) + k.mean())


def _biased(k: Array, m: Array) -> float:
    return float((_centred(k) * _centred(m)).sum())


def _plain(k: Array, m: Array) -> float:
    return float((k * m).sum())


def _unbiased(k: Array, m: Array) -> float:
    k, m = (_centred(a) for a in (k, m))
    n = len(k)
    k, m = k - np.diag(np.diag(k)), m - np.diag(np.diag(m))
    ones = k.sum() * m.sum() / ((n - 1) * (n - 2))
    return float(
        ((k * m).sum() + ones - 2 * (k.sum(axis=0) @ m.sum(axis=0)) / (n - 2)) / (n * (n - 3))
    )
