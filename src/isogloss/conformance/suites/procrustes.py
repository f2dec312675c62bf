"""Procrustes: planted singular values."""

from collections.abc import Iterator
from typing import ClassVar, Literal

import numpy as np

from isogloss.conformance.case import Array, Case, Value
from isogloss.conformance.suite import Mistake, Suite
from isogloss.conformance.suites._planted import COSINES, directions, plant, view
from isogloss.similarity.chance import wachter


class ProcrustesSuite(Suite):
    """Cosine of the angular Procrustes distance (Williams et al. 2021).

    The nuclear norm of X'Y over the product of the Frobenius norms of the centred views.
    """

    keeps: ClassVar[tuple[str, ...]] = ("orthogonal", "scaling", "translation", "features permuted")
    changes: ClassVar[tuple[str, ...]] = ("invertible linear", "shuffled")

    def definition(self, x: Array, y: Array) -> float:
        """The score by the definition."""
        return _cosine(x, y)

    def mistakes(self) -> Iterator[Mistake]:
        """Other norms, no centring, and distances."""
        yield Mistake("not centred: take each feature's mean away first",
                      lambda x, y: _cosine(x, y, centre=False))  # fmt: skip
        yield Mistake("the Frobenius norm of X'Y stands where the nuclear norm belongs",
                      lambda x, y: _cosine(x, y, order="fro"))  # fmt: skip
        yield Mistake("this is the angular distance, the arc cosine of the score",
                      lambda x, y: float(np.arccos(min(1.0, _cosine(x, y)))))  # fmt: skip
        yield Mistake("this is 1 − the angular distance",
                      lambda x, y: 1 - float(np.arccos(min(1.0, _cosine(x, y)))))  # fmt: skip
        yield Mistake("this is the squared distance 2 − 2 · score of views of unit norm",
                      lambda x, y: 2 - 2 * _cosine(x, y))  # fmt: skip
        yield Mistake("this is the squared score, as for scaled Procrustes",
                      lambda x, y: _cosine(x, y) ** 2)  # fmt: skip
        yield Mistake("the views are not divided by their norms",
                      lambda x, y: _cosine(x, y, divide=False))  # fmt: skip

    def closed_forms(self) -> Iterator[Case]:
        """Σ s c t / √(Σ s² Σ t²) for planted cosines c and singular values s and t."""
        rng = np.random.default_rng(7)
        k = COSINES.size
        x = rng.standard_normal((40, 6))

        def case(name: str, matters: str, views: tuple[Array, Array], score: float) -> Case:
            return Value(name=name, matters=matters, views=views, expected=score, tolerance=1e-10)

        yield case("identical views", "a view is as similar as can be to itself", (x, x), 1.0)
        turn = np.linalg.qr(rng.standard_normal((6, 6)))[0]
        yield case("turned, scaled and moved copy", "a rotation is what is fitted",
                   (x, 7 * x @ turn + 3), 1.0)  # fmt: skip
        s, t = np.linspace(3, 1, k), np.geomspace(5, 1, 9)
        made = plant(50, k, 9, COSINES, (0, 0), rng)
        score = float(s * COSINES @ t[:k] / np.sqrt((s**2).sum() * (t**2).sum()))
        for name, matters, widths, offset in (
            ("planted bases, N > D", "singular values of the product add up", (12, 12), 0.0),
            ("planted bases, N < D", "real views have more features than sentences", (90, 90), 0.0),
            ("different widths", "the narrower view is padded with zeros", (12, 30), 0.0),
            ("features with large means", "activations are rarely centred", (12, 12), 10.0),
        ):
            views = tuple(
                view(q, v, w, rng, offset=offset)
                for q, v, w in zip((made.x, made.y), (s, t), widths, strict=True)
            )
            yield case(name, matters, (views[0], views[1]), score)

    def expectation(self, rng: np.random.Generator) -> tuple[Array, Array, float]:
        """Orthonormal views in random directions: the score is their mean correlation."""
        n, k = 50, 8
        x, y = (view(directions(n, k, rng), np.ones(k), k + 3, rng) for _ in range(2))
        return x, y, wachter(k, k, n)


def _cosine(
    x: Array,
    y: Array,
    *,
    centre: bool = True,
    order: Literal["nuc", "fro"] = "nuc",
    divide: bool = True,
) -> float:
    x, y = (np.asarray(v, np.float64) - centre * v.mean(axis=0) for v in (x, y))
    size = np.linalg.norm(x) * np.linalg.norm(y) if divide else 1.0
    return float(np.linalg.norm(x.T @ y, order) / size)
