"""Retrieval: points on an arc, where every rank is known."""

from collections.abc import Iterator
from fractions import Fraction
from typing import ClassVar, Literal

import numpy as np

from isogloss.conformance.case import Array, Case, Value
from isogloss.conformance.suite import Mistake, Suite
from isogloss.conformance.suites._arc import arc, unlike
from isogloss.conformance.suites._planted import noise
from isogloss.settings import setting

Kind = Literal["top1", "mrr"]


class RetrievalSuite(Suite):
    """Finding each sentence's partner in the other view by cosine; mean of both directions."""

    equal_width: ClassVar[bool] = True
    ties: ClassVar[bool] = True
    discrete: ClassVar[bool] = True
    keeps: ClassVar[tuple[str, ...]] = ("same orthogonal", "scaling", "same features permuted")
    changes: ClassVar[tuple[str, ...]] = ("orthogonal", "features permuted", "shuffled")

    score: Kind = setting(
        "top1", role="analysis", help="Share of partners found first, or mean reciprocal rank."
    )

    centre: bool = setting(
        False, role="analysis", help="The mean of each view over its sentences is taken out first."
    )

    @property
    def raw(self) -> bool:  # type: ignore[override]
        """Unless the views are centred a mean is part of them."""
        return not self.centre

    @property
    def kept(self) -> tuple[str, ...]:
        """Centred views may be moved."""
        return (*self.keeps, *(("translation",) if self.centre else ()))

    @property
    def few(self) -> int:
        """One sentence finds itself."""
        return 1

    @property
    def chance(self) -> tuple[float, ...]:
        """Partners drawn by lot, or ranked in the middle of those that tie."""
        if self.score == "top1":
            return (1 / 40,)
        return (sum(1 / i for i in range(1, 41)) / 40, 2 / 41)

    def definition(self, x: Array, y: Array) -> float:
        """The score by the definition."""
        return self._score(x, y)

    def _score(
        self, x: Array, y: Array, *, score: str = "", how: str = "", ways: tuple[int, ...] = (0, 1)
    ) -> float:
        x, y = (np.asarray(v, np.float64) for v in (x, y))
        if self.centre != (how == "centre"):
            x, y = x - x.mean(axis=0), y - y.mean(axis=0)
        if how == "euclidean":
            near = -((x[:, None] - y[None]) ** 2).sum(axis=2)
        else:
            if how != "dot":
                with np.errstate(all="ignore"):
                    x, y = (v / np.sqrt((v**2).sum(axis=1, keepdims=True)) for v in (x, y))
            near = x @ y.T
        found = []
        for way in ways:
            table = near if way == 0 else near.T
            ranks = 1 + (table > np.diag(table)[:, None]).sum(axis=1)
            kind = score or self.score
            found.append(np.mean(ranks == 1) if kind == "top1" else np.mean(1 / ranks))
        return float(np.mean(found))

    def mistakes(self) -> Iterator[Mistake]:
        """One direction only, other similarities, and the other score."""
        other = "mrr" if self.score == "top1" else "top1"
        what = {"mrr": "the mean reciprocal rank", "top1": "the share found first"}
        yield Mistake(f"this is {what[other]}; if that is meant, say score={other}",
                      lambda x, y: self._score(x, y, score=other))  # fmt: skip
        for ways, way in (((0,), "first to the second"), ((1,), "second to the first")):
            yield Mistake(f"only the direction from the {way} view is scored",
                          lambda x, y, ways=ways: self._score(x, y, ways=ways))  # type: ignore[misc]  # fmt: skip
        for how, says in (
            ("euclidean", "neighbours are by Euclidean distance, not by cosine"),
            ("dot", "neighbours are by inner product; divide each sentence by its norm"),
            (
                "centre",
                "features are not centred; if that is meant, say centre=false"
                if self.centre
                else "features are centred before the cosine; if that is meant, say centre=true",
            ),
        ):
            yield Mistake(says, lambda x, y, how=how: self._score(x, y, how=how))  # type: ignore[misc]

    def closed_forms(self) -> Iterator[Case]:
        """The rank of a partner on an arc is the number of points with nearer angles, plus one."""
        rng = np.random.default_rng(7)
        n = 12
        x = rng.standard_normal((30, 6))

        def case(name: str, matters: str, views: tuple[Array, Array], score: float) -> Case:
            if self.centre:
                views = _mirrored(views[0], 3.0), _mirrored(views[1], -50.0)
            return Value(name=name, matters=matters, views=views, expected=score, tolerance=1e-10)

        yield case("identical views", "every sentence finds itself", (x, x), 1.0)
        first = unlike(n, 3)
        # All angles of the second view lie 0.3 off, so that no two points are equally near.
        for name, matters, order in (
            ("partners exchanged", "only those who kept their place are found",
             [1, 0, 3, 2, *range(4, n)]),
            ("partners moved round", "ranks differ between the two directions",
             [*range(1, n), 0]),
        ):  # fmt: skip
            second = [first[i] for i in order]
            yield case(name, matters, (arc(first), _beside(first, second)),
                       self._by_hand(first, second))  # fmt: skip
        second = [first[i] for i in rng.permutation(n)]
        views = (arc(first, spread=(1, 9, 0.2)), 20 * _beside(first, second, (0.1, 4, 1, 7, 2)))
        yield case("points of unequal length", "a cosine does not see the length of a sentence",
                   views, self._by_hand(first, second))  # fmt: skip
        lopsided = [first[0]] * (n // 2) + first[n // 2 :]
        lopsided = [a + i for i, a in enumerate(lopsided)]
        yield case("many sentences near one", "the two directions differ; both count",
                   (arc(first), _beside(first, lopsided)),
                   self._by_hand(first, lopsided))  # fmt: skip

    def expectation(self, rng: np.random.Generator) -> tuple[Array, Array, float]:
        """Noise: every rank of a partner is equally likely."""
        n = 20
        mean = 1 / n if self.score == "top1" else sum(1 / i for i in range(1, n + 1)) / n
        return *noise(n, 7, 7, rng), mean

    def _by_hand(self, first: list[int], second: list[int]) -> float:
        n = len(first)
        shifted = [10 * b + 3 for b in second]
        whole = [10 * a for a in first]
        total = Fraction(0)
        for one, two in ((whole, shifted), (shifted, whole)):
            for i in range(n):
                own = abs(one[i] - two[i])
                rank = 1 + sum(abs(one[i] - b) < own for b in two)
                total += Fraction(1, rank) if self.score == "mrr" else Fraction(rank == 1)
        return float(total / (2 * n))


def _mirrored(view: Array, offset: float) -> Array:
    """The sentences and their opposites, which cancel in the mean, with an offset to be taken out.

    Points on an arc of less than 90 degrees are nearer to each other than to any opposite one, so
    that all ranks stay.
    """
    return np.asarray(np.vstack([view, -view]) + offset * (1 + np.arange(view.shape[1])))


def _beside(first: list[int], second: list[int], spread: tuple[float, ...] = (1.0,)) -> Array:
    """The points of the second view in the units of the first, 0.3 of a unit further on."""
    turn = (np.array(second) + 0.3) * (np.deg2rad(80) / max(first))
    points = np.column_stack([np.cos(turn), np.sin(turn)])
    return np.asarray(points * np.resize(spread, len(second))[:, None])
