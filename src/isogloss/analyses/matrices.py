"""Language × language matrices at every tap, and whether kin languages stand together."""

from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np
import polars as pl

from isogloss.analyses._matrices_figures import charts
from isogloss.analyses._matrices_groups import FACTORS, contrasts, same_group
from isogloss.analyses._matrices_order import by_clusters, by_family, square
from isogloss.analyses._matrices_words import findings, tables
from isogloss.analyses._pair_scores import KINDS, pair_scores
from isogloss.analyses.base import Material, Reading, Summary
from isogloss.corpora.base import MODALITIES
from isogloss.settings import setting

_TEXT, _REAL, _WHOLE = pl.String(), pl.Float64(), pl.Int64()
ROWS: dict[str, pl.DataType] = {
    **dict.fromkeys(("kind", "modality", "tap", "language_a", "language_b"), _TEXT),
    **dict.fromkeys(("scores", "factor", "language", "nearest"), _TEXT),
    **dict.fromkeys(("measure_used", "reason"), _TEXT),
    **dict.fromkeys(("position", "family_rank", "cluster_rank"), _WHOLE),
    **dict.fromkeys(("pairs", "pairs_within", "languages", "permutations"), _WHOLE),
    **dict.fromkeys(("depth", *KINDS, "likeness", "cophenetic"), _REAL),
    **dict.fromkeys(("within", "between", "effect", "low", "high", "p_value", "p_all"), _REAL),
}


class Matrices(Reading):
    """How alike each language is to each other one, ordered by family and by clustering."""

    title: ClassVar[str] = "Language by language"
    question: ClassVar[str] = (
        "Which languages stand together inside the model, and is it those of one family, script or "
        "resource level?"
    )

    permutations: int = setting(
        9999,
        role="analysis",
        ge=19,
        help="Orders of the languages for the test of families, scripts and resource levels.",
    )
    measure: str | None = setting(
        None, role="analysis", help="Which measure of the study; its first if left out."
    )

    def read(self, material: Material) -> pl.DataFrame | None:
        """Order the matrices of ``cross_lingual`` and compare pairs within and between groups.

        Returns:
            Rows of kind ``cell`` (a pair at a tap), ``language`` (its place in both orders at a
            tap, and its nearest neighbour), ``clustering`` (one for each tap) and ``test`` (one
            for each tap, kind of scores and factor). None without two languages.

        Raises:
            IsoglossError: There is no table of ``cross_lingual``, or no such measure.
        """
        scores = pair_scores(material, self.measure)
        if scores.is_empty():
            return None
        rows: list[dict[str, Any]] = []
        for modality in MODALITIES:
            own = scores.filter(group=modality)
            for place in _places(own):
                rows += _matrix(own.filter(label=place["label"]), modality, place)
            if not own.is_empty():
                rows += self._tests(own, modality, material.study["seed"])
        frame = pl.DataFrame(rows, schema=ROWS)
        return frame.with_columns(measure_used=pl.lit(scores["measure"][0]))

    def describe(self, frame: pl.DataFrame) -> Summary:
        """The matrices, what groups explain over the taps, and nearest neighbours."""
        return Summary(findings(frame), charts(frame), tables(frame))

    def _tests(self, own: pl.DataFrame, modality: str, seed: int) -> Iterator[dict[str, Any]]:
        pairs = own.select("language_a", "language_b").unique(maintain_order=True)
        a, b = pairs["language_a"].to_list(), pairs["language_b"].to_list()
        places = list(_places(own))
        for kind in KINDS:
            if own[kind].fill_nan(None).is_null().all():
                continue
            columns = [
                pairs.join(
                    own.filter(label=place["label"]),
                    on=["language_a", "language_b"],
                    how="left",
                    maintain_order="left",
                )[kind].fill_null(float("nan"))
                for place in places
            ]
            table = np.column_stack([c.to_numpy() for c in columns])
            for factor in FACTORS:
                found = contrasts(
                    a,
                    b,
                    same_group(a, b, factor),
                    table,
                    permutations=self.permutations,
                    seed=seed,
                )
                for place, one in zip(places, found, strict=True):
                    yield {
                        "kind": "test",
                        "modality": modality,
                        "tap": place["label"],
                        "position": place["position"],
                        "depth": place["depth"],
                        "scores": kind,
                        "factor": factor,
                        **{
                            name: getattr(one, name)
                            for name in ("within", "between", "effect", "low", "high", "p_value",
                                         "p_all", "pairs", "pairs_within", "languages", "reason")
                        },
                    }  # fmt: skip


def _places(own: pl.DataFrame) -> Iterator[dict[str, Any]]:
    places = own.select("label", "position", "depth").unique(maintain_order=True)
    return places.sort("position").iter_rows(named=True)


def _matrix(cells: pl.DataFrame, modality: str, place: dict[str, Any]) -> Iterator[dict[str, Any]]:
    at = {
        "modality": modality,
        "tap": place["label"],
        "position": place["position"],
        "depth": place["depth"],
    }
    for cell in cells.iter_rows(named=True):
        pair = {"language_a": cell["language_a"], "language_b": cell["language_b"]}
        yield {"kind": "cell", **at, **pair, **{kind: cell[kind] for kind in KINDS}}
    names = by_family(sorted({*cells["language_a"], *cells["language_b"]}))
    # Without a level of chance, the scores as they are.
    shown = "calibrated" if cells["calibrated"].is_not_nan().any() else "raw"
    likeness = {(r["language_a"], r["language_b"]): r[shown] for r in cells.to_dicts()}
    table = square(names, likeness)
    clustered, cophenetic = by_clusters(names, table)
    reason = "" if len(names) > 2 else "it takes three languages to cluster"
    if not reason and np.isnan(cophenetic):
        reason = "a pair has no score, or all are equally alike"
    yield {"kind": "clustering", **at, "cophenetic": cophenetic, "reason": reason}
    for i, name in enumerate(names):
        known = ~np.isnan(table[i])
        nearest = int(np.nanargmax(table[i])) if known.any() else None
        yield {
            "kind": "language",
            **at,
            "language": name,
            "family_rank": i,
            "cluster_rank": clustered.index(name),
            "nearest": None if nearest is None else names[nearest],
            "likeness": float("nan") if nearest is None else float(table[i, nearest]),
        }
