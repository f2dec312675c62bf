"""Retrieval: whether a sentence of one view finds itself in the other."""

from typing import ClassVar, Literal

import numpy as np
from scipy.stats import rankdata

from isogloss.settings import setting
from isogloss.similarity.base import Floats, MeasureInfo, Rows, Score
from isogloss.similarity.decomposition import EPS
from isogloss.similarity.geometry import DIGITS, points, unit
from isogloss.similarity.paired import Paired
from isogloss.similarity.partial import Nuisance
from isogloss.similarity.view import View


class Retrieval(Paired):
    """Search by cosine for each sentence of one view among all of the other, both ways.

    ``top1`` is the share of sentences whose nearest one is the same sentence, ``mrr`` the mean of
    one over its rank. Sentences that are equally near share their ranks, as if ordered by lot, so
    chance is exactly 1 / n, or the mean of 1, 1/2, … 1/n.
    """

    keeps: ClassVar[bool] = True
    info: ClassVar[MeasureInfo] = MeasureInfo(
        title="Retrieval",
        source="top 1 as in Artetxe and Schwenk 2019, arXiv:1812.10464 (Tatoeba); mean reciprocal "
        "rank: Voorhees 1999, TREC-8 question answering track",
        range=(0.0, 1.0),
        larger_is_more_similar=True,
        invariances=frozenset({"joint orthogonal", "isotropic scaling", "sentence scaling"}),
        equal_width=True,
        cost="N² D",
    )

    score: Literal["top1", "mrr"] = setting(
        "top1",
        role="analysis",
        help='Share of sentences found first ("top1"), or mean reciprocal rank ("mrr").',
    )
    centre: bool = setting(
        False, role="analysis", help="Take the mean of each view out first, such as its language."
    )

    def form(self, view: View, rows: Rows, out: Nuisance | None) -> Floats:
        """Directions of the sentences: (sentences × features), rows of length one."""
        x = points(view, rows, out)
        rounding = 0.0
        if self.centre or out is not None:
            rounding = 64 * EPS * float(np.linalg.norm(view.features(rows), axis=1).max())
            x -= x.mean(axis=0)
        return unit(x, rounding=rounding)

    def relate(self, a: Floats, b: Floats, n: int) -> Score:
        """Both scores, in both directions."""
        near = _cosines(a, b)
        own = near.diagonal()
        found = {}
        for way, table in (("ab", near), ("ba", near.T)):
            nearer = (table > own[:, None]).sum(axis=1)
            level = (table == own[:, None]).sum(axis=1)
            for kind in ("top1", "mrr"):
                found[f"{kind}_{way}"] = float(_credit(nearer, nearer + level, kind).mean())
        mrr = (found.pop("mrr_ab") + found.pop("mrr_ba")) / 2
        top1 = (found["top1_ab"] + found["top1_ba"]) / 2
        ranks = np.arange(1, n + 1)
        return Score(
            mrr if self.score == "mrr" else top1,
            n,
            chance=float((1 / ranks).mean()) if self.score == "mrr" else 1 / n,
            details={**found, "mrr": mrr},
        )

    def shuffled(self, a: Floats, b: Floats, orders: Rows) -> Floats:
        """Scores with the sentences of the second view in other orders.

        The ranks of all sentences are found once; an order says only which of them count.
        """
        near = _cosines(a, b)
        credit = (_credits(near, self.score) + _credits(near.T, self.score).T) / 2
        return np.asarray(credit[np.arange(len(a)), orders].mean(axis=1))


def _cosines(a: Floats, b: Floats) -> Floats:
    return np.round(a @ b.T, DIGITS)


def _credits(near: Floats, kind: str) -> Floats:
    """What each search (row) earns if each of the sentences (columns) is the one it looks for."""
    nearer = rankdata(-near, method="min", axis=1).astype(np.intp) - 1
    upto = rankdata(-near, method="max", axis=1).astype(np.intp)
    return _credit(nearer, upto, kind)


def _credit(nearer: Rows, upto: Rows, kind: str) -> Floats:
    """Expected credit at a rank drawn by lot from those after ``nearer`` up to ``upto``."""
    if kind == "top1":
        return np.where(nearer == 0, 1 / upto, 0.0)
    sums = np.concatenate([[0.0], np.cumsum(1 / np.arange(1, int(upto.max()) + 1))])
    return np.asarray((sums[upto] - sums[nearer]) / (upto - nearer))
