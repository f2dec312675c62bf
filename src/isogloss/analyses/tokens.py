"""Whether languages that share tokens have more alike texts (section 3.2 and footnote 3)."""

from typing import ClassVar

import polars as pl

from isogloss.analyses._pair_scores import KINDS, pair_scores
from isogloss.analyses._tokens_counts import STUDY, statistics
from isogloss.analyses._tokens_figures import charts
from isogloss.analyses._tokens_table import ROWS, Table, chosen, correlations
from isogloss.analyses._tokens_words import claims, findings, tables
from isogloss.analyses.base import Claim, Material, Reading, Summary
from isogloss.fragmentation import SHARES, Share
from isogloss.settings import setting


class Tokens(Reading):
    """How many tokens two languages share, and how alike their texts are.

    The study correlates the share of common tokens of parallel sentences with the similarity of
    two languages after the word embeddings, over all pairs of languages.
    """

    title: ClassVar[str] = "Shared tokens"
    question: ClassVar[str] = (
        "Are the texts of two languages alike because the tokeniser splits them into the same "
        "tokens?"
    )

    corpus: str = setting(
        STUDY,
        role="analysis",
        help="Sentences that tokens are counted in: those of the run (study), or a folder with "
        "FLORES, as in the study.",
    )
    split: str = setting("devtest", role="analysis", help="Which part of FLORES.")
    tokenizer: str | None = setting(
        None,
        role="analysis",
        help="Tokeniser: tokenizer.json, a SentencePiece model, a folder or a hub id; the model's "
        "own if left out.",
    )
    share: Share = setting(
        "jaccard",
        role="analysis",
        help="What the share of common tokens is: different tokens in both sentences by those in "
        "either (jaccard), or tokens in both with their repetitions by the mean length (overlap), "
        "that of the shorter (overlap_min) or of the longer (overlap_max). The study does not "
        "say; the others are listed too.",
    )
    tap: str | None = setting(
        None,
        role="analysis",
        help="Tap of the text whose scores are set beside the share; in, just after the word "
        "embeddings, if left out. All taps are in the curve.",
    )
    permutations: int = setting(
        9999,
        role="analysis",
        ge=19,
        help="Orders of the languages for the Mantel test.",
    )
    measure: str | None = setting(
        None, role="analysis", help="Which measure of the study; its first if left out."
    )

    def read(self, material: Material) -> pl.DataFrame | None:
        """Count tokens and correlate them with the scores of ``cross_lingual``.

        Returns:
            Rows of kind ``language`` and ``pair`` (token statistics; a pair has its scores at the
            tap), ``correlation`` (one for each kind of scores, control and tap) and ``difference``
            (of two correlations). None without text in two languages.

        Raises:
            IsoglossError: There is no table of ``cross_lingual``, or no tap or measure of that
                name, or sentences or tokeniser cannot be read.
        """
        scores = pair_scores(material, self.measure).filter(group="text")
        if scores.is_empty():
            return None
        names = sorted({*scores["language_a"], *scores["language_b"]})
        counted = statistics(
            material, names, corpus=self.corpus, split=self.split, tokenizer=self.tokenizer
        )
        tap = chosen(scores, self.tap)
        pairs = counted.filter(kind="pair").select("language_a", "language_b", "sentences", *SHARES)
        spoken = counted.filter(kind="language").drop("language_a", "language_b", *SHARES)
        table = Table(pairs, scores, {r["language"]: r["tokens"] for r in spoken.to_dicts()})
        rows = list(correlations(table, self.share, tap, self.permutations, material.study["seed"]))
        at_tap = scores.filter(label=tap).select("language_a", "language_b", *KINDS)
        described = pairs.join(at_tap, on=["language_a", "language_b"], how="left").with_columns(
            kind=pl.lit("pair"), same_script=pl.Series(table.same_script == 1)
        )
        parts = [spoken, described, pl.DataFrame(rows, schema=ROWS)]
        return pl.concat(parts, how="diagonal").with_columns(
            variant=pl.when(kind="correlation").then("variant").otherwise(pl.lit(self.share)),
            place=pl.lit(tap),
            measure_used=pl.lit(scores["measure"][0]),
            source=pl.lit("the run" if self.corpus == STUDY else f"FLORES {self.split}"),
            tokeniser=pl.lit(self.tokenizer or material.model["title"]),
        )

    def describe(self, frame: pl.DataFrame) -> Summary:
        """Share against score, the correlation over the taps, and fragmentation by language."""
        return Summary(findings(frame), charts(frame), tables(frame))

    def claims_of(self, frame: pl.DataFrame) -> tuple[Claim, ...]:
        """What the study says about shared tokens."""
        return claims(frame)
