"""Which pairs of languages converge first, in text and in speech, and the two modalities."""

from typing import ClassVar

import polars as pl

from isogloss import specs
from isogloss.analyses._convergence_curves import CROSS_MODAL, arrivals
from isogloss.analyses._convergence_figures import charts
from isogloss.analyses._convergence_words import claims, findings, tables
from isogloss.analyses._pair_scores import KINDS, chosen_measure, pair_scores, scores_of
from isogloss.analyses.base import Claim, Material, Reading, Summary
from isogloss.settings import setting
from isogloss.similarity.measures import MEASURES

_MATCHED = "matched"
_TEXT, _REAL = pl.String(), pl.Float64()
ROWS: dict[str, pl.DataType] = {
    **dict.fromkeys(("what", "language_a", "language_b", "scores"), _TEXT),
    **dict.fromkeys(("top", "p_value", "own_level", "own_depth"), _REAL),
    "own_state": _TEXT,
    **dict.fromkeys(("common_level", "common_depth"), _REAL),
    **dict.fromkeys(("common_state", "kin", "resource", "reason"), _TEXT),
}


class Convergence(Reading):
    """The depth at which the scores of each pair have risen to a level."""

    title: ClassVar[str] = "Which pairs converge first"
    question: ClassVar[str] = (
        "How deep in the model do two languages, or the two modalities of one, become alike, and "
        "is that earlier in text than in speech?"
    )

    share: float = setting(
        0.5,
        role="analysis",
        gt=0,
        le=1,
        help="A pair has converged where its calibrated score reaches this share of its own "
        "maximum over the taps.",
    )
    level: float | None = setting(
        None,
        role="analysis",
        gt=0,
        help="A calibrated score that is the same for all pairs, at which they are compared as "
        "well; that share of the largest score of all pairs if left out.",
    )
    measure: str | None = setting(
        None, role="analysis", help="Which measure of the study; its first if left out."
    )

    def read(self, material: Material) -> pl.DataFrame | None:
        """Find where every curve of ``cross_lingual``, and of ``cross_modal``, reaches its levels.

        Returns:
            One row per curve (``what``: text, speech or cross-modal) and kind of scores. A level
            that is not reached has no depth (NaN) and the state ``never``. None without scores
            that are calibrated.

        Raises:
            IsoglossError: There is no table of ``cross_lingual``, or no such measure.
        """
        scores = [pair_scores(material, self.measure)]
        modal = material.tables.get("cross_modal")
        if modal is not None:
            own = modal.filter(group=_MATCHED)
            measure = chosen_measure(material, self.measure)
            made = scores_of(own, measure, specs.write(MEASURES, measure))
            scores.append(made.with_columns(group=pl.lit(CROSS_MODAL)))
        together = pl.concat(scores)
        rows = [
            row
            # Raw scores have no zero, so a share of them says nothing.
            for kind in KINDS[1:]
            for row in arrivals(together, kind, share=self.share, level=self.level)
        ]
        if not rows:
            return None
        return pl.DataFrame(rows, schema=ROWS).with_columns(
            share=pl.lit(self.share), measure_used=pl.lit(together["measure"][0])
        )

    def describe(self, frame: pl.DataFrame) -> Summary:
        """How many pairs have converged by each depth, and which do first."""
        return Summary(findings(frame), charts(frame), tables(frame))

    def claims_of(self, frame: pl.DataFrame) -> tuple[Claim, ...]:
        """That the language gap is reduced earlier in text than in speech."""
        return claims(frame)
