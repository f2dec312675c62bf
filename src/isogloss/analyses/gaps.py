"""Modality gap against language gap for each language at the last tap (section 3.3, Figure 5)."""

from collections.abc import Iterable, Sequence
from itertools import combinations
from typing import ClassVar

import polars as pl

from isogloss.analyses import _claims_gaps
from isogloss.analyses._claims import tables
from isogloss.analyses._curves import (
    NO_CHANCE,
    SENTENCES_HELP,
    SentenceRule,
    lacks_chance,
    split,
    subsets,
)
from isogloss.analyses._gap_figure import figure
from isogloss.analyses._gap_table import MODAL, SPEECH, TEXT, by_language
from isogloss.analyses.base import Analysis, Claim, Comparison, Contents, Summary, ViewKey
from isogloss.settings import setting

_CONTROLLED = "larger gap (confounds taken out)"


class Gaps(Analysis):
    """Which gap is the larger for each language: that to its speech, or that to other languages."""

    title: ClassVar[str] = "Modality gap against language gap"
    question: ClassVar[str] = (
        "Is a written sentence closer to its own speech, or to its translations?"
    )

    sentences: SentenceRule = setting("smallest", role="analysis", help=SENTENCES_HELP)

    def comparisons(self, contents: Contents) -> Iterable[Comparison]:
        """At the last pair of taps: each language to itself, and to all others in each modality."""
        if not contents.pairs:
            return
        last = contents.pairs[-1]
        names = contents.languages("text", "speech")
        text = {x: ViewKey(x, "text", last.text) for x in names}
        speech = {x: ViewKey(x, "speech", last.speech) for x in names}
        wanted = [(text[x], speech[x], MODAL) for x in names]
        for x, y in combinations(names, 2):
            wanted += [(text[x], text[y], TEXT), (speech[x], speech[y], SPEECH)]
        own = [
            contents.common((a.language, a.modality), (b.language, b.modality))
            for a, b, _ in wanted
        ]
        for (a, b, kind), sentences in zip(wanted, subsets(own, self.sentences), strict=True):
            # What a pair of languages shows is the range over all of them.
            interval = kind == MODAL
            yield Comparison(a, b, sentences, kind, last.label, 0, last.depth, interval=interval)

    def summarise(self, frame: pl.DataFrame, means: pl.DataFrame) -> Summary:
        """Figure 5, raw and calibrated, and which gap is the larger for each language."""
        plain, controlled = split(frame)
        table = by_language(plain)
        verdicts = ["larger gap (calibrated)", "larger gap"]
        if not controlled.is_empty():
            left = by_language(controlled).select(
                "language", pl.col("larger gap (calibrated)").alias(_CONTROLLED)
            )
            table = table.join(left, on="language", how="left", maintain_order="left")
            verdicts.append(_CONTROLLED)
        compact = table.select(
            "language",
            "resource",
            *verdicts,
            N=f"{MODAL} N",
            **{
                "cross-modal": MODAL,
                "low": f"{MODAL} low",
                "high": f"{MODAL} high",
                "chance": f"{MODAL} chance",
            },
            **{
                f"{short} {what or 'mean'}": f"{kind} {what}".strip()
                for short, kind in (("text", TEXT), ("speech", SPEECH))
                for what in ("", "lowest", "highest", "chance")
            },
        )
        chart = figure(plain, table)
        findings = _findings(table, verdicts)
        if lacks_chance(plain):
            findings = (*findings, NO_CHANCE)
        return Summary(findings, (chart,), (("By language", compact),))

    def claims(self, frame: pl.DataFrame, means: pl.DataFrame) -> tuple[Claim, ...]:
        """The count of section 3.3, and own speech against the average partner.

        The closest partner is tested by the analysis ``closest``.
        """
        plain, controlled = split(frame)
        return tuple(
            claim
            for table in tables(frame)
            for claim in _claims_gaps.claims(
                table, controlled if table.scores == "controlled" else plain
            )
        )


def of_run(analyses: Iterable[Analysis]) -> Gaps:
    """The analysis of gaps among those of a run, or one with the defaults if it has none."""
    return next((part for part in analyses if isinstance(part, Gaps)), Gaps())


def _findings(table: pl.DataFrame, verdicts: Sequence[str]) -> tuple[str, ...]:
    names = {"larger gap": "raw scores", "larger gap (calibrated)": "calibrated scores"}
    found = []
    for column in verdicts:
        given = table[column].drop_nulls()
        if given.is_empty():
            continue
        name = names.get(column, "calibrated scores without confounds")
        count = {v: int((given == v).sum()) for v in ("modality", "language", "neither")}
        text = (
            f"By {name} the modality gap is the larger one for {count['modality']} of "
            f"{len(given)} languages (some other language's text is more similar to their text "
            f"than their own speech is), and the language gap for {count['language']}"
        )
        found.append(f"{text}; {count['neither']} tie." if count["neither"] else f"{text}.")
    closest = pl.col(f"{TEXT} closest")
    known = table.drop_nulls([f"{MODAL} low", f"{TEXT} closest", "larger gap"])
    if known.height:
        apart = known.filter(
            (pl.col(f"{MODAL} high") < closest) | (pl.col(f"{MODAL} low") > closest)
        ).height
        found.append(
            f"For {apart} of {known.height} languages the raw comparison is clear: the interval of "
            "their cross-modal score leaves out that of the most similar language's text."
        )
    return tuple(found) or ("No comparison of the two gaps is defined.",)
