"""The scores of speech against text, and of languages, again on halves of the sentences."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from math import isnan
from typing import ClassVar

import polars as pl

from isogloss import specs
from isogloss.analyses import ANALYSES, _claims_lingual, _claims_modal
from isogloss.analyses._halves import SPLITS_HELP, scored, whole, with_halves
from isogloss.analyses.base import Claim, Comparison, Contents, Material, Reading, Summary
from isogloss.analyses.cross_lingual import CrossLingual
from isogloss.analyses.cross_modal import CrossModal
from isogloss.settings import setting
from isogloss.similarity.measures import MEASURES

MODAL, LINGUAL = "cross_modal", "cross_lingual"


class Halves(Reading):
    """How much the findings owe to the sentences at hand.

    Languages that say the same sentences share what is peculiar to these. Their spread does not
    show it, so a test over languages holds the sentences fixed. Scores of random halves of the
    sentences show it. The claims about speech against text and about languages are tested again
    here, with languages and sentences both taken as samples.
    """

    title: ClassVar[str] = "Other sentences"
    question: ClassVar[str] = "Would other sentences have led to the same findings?"

    splits: int = setting(12, role="analysis", ge=8, help=SPLITS_HELP)

    def read(self, material: Material) -> pl.DataFrame | None:
        """Score halves of what the claims rest on; of pairs of languages a ring is enough."""
        found = []
        for line in material.study["measures"]:
            measure = specs.parse(MEASURES, line)
            for name, comparisons in _wanted(material):
                scores = material.tables[name].filter(measure=specs.write(MEASURES, measure))
                halves = scored(material, measure, comparisons, self.splits)
                halves = halves.with_columns(analysis=pl.lit(name))
                groups = halves["group"].unique().to_list()
                found += [whole(scores.filter(pl.col("group").is_in(groups))), halves]
        return pl.concat(found) if found else None

    def describe(self, frame: pl.DataFrame) -> Summary:
        """What changes in the intervals once sentences are taken as a sample too."""
        rows = []
        for claim, fixed in _pairs(frame):
            width = fixed.high - fixed.low
            rows.append(
                {
                    "measure": claim.measure,
                    "claim": claim.statement,
                    "scores": claim.scores,
                    "effect": claim.effect,
                    "low": claim.low,
                    "high": claim.high,
                    "low, these sentences": fixed.low,
                    "high, these sentences": fixed.high,
                    "wider by": (claim.high - claim.low) / width if width else float("nan"),
                    "reason": claim.reason,
                }
            )
        if not rows:
            return Summary(("No claim can be tested on halves of the sentences.",), ())
        table = pl.DataFrame(rows, infer_schema_length=None)
        return Summary(_findings(table), (), (("Intervals without and with sentences", table),))

    def claims_of(self, frame: pl.DataFrame) -> tuple[Claim, ...]:
        """The claims of both analyses, over languages and sentences."""
        return tuple(claim for claim, _ in _pairs(frame))


def _wanted(material: Material) -> Iterator[tuple[str, list[Comparison]]]:
    for line in material.study["analyses"]:
        analysis = specs.parse(ANALYSES, line)
        listed = list(analysis.comparisons(material.contents))
        if isinstance(analysis, CrossModal):
            name, kept = MODAL, [c for c in listed if c.group == _claims_modal.GROUP]
        elif isinstance(analysis, CrossLingual):
            name, kept = LINGUAL, ring(listed, material.contents)
        else:
            continue
        if kept and name in material.tables:
            yield name, kept


def ring(comparisons: Sequence[Comparison], contents: Contents) -> list[Comparison]:
    """Those pairs of languages that are neighbours when all languages stand in a ring."""
    names = contents.languages("text", "speech")
    neighbours = {frozenset(p) for p in zip(names, (*names[1:], *names[:1]), strict=True)}
    return [c for c in comparisons if frozenset((c.a.language, c.b.language)) in neighbours]


def _pairs(frame: pl.DataFrame) -> Iterator[tuple[Claim, Claim]]:
    """Each claim over languages and sentences, and the same given the sentences."""
    makers = {MODAL: _claims_modal.claims, LINGUAL: _claims_lingual.claims}
    for (name, measure), rows in frame.group_by("analysis", "measure", maintain_order=True):
        for table in with_halves(rows):
            make = makers[str(name)]
            fixed = make(replace(table, halves=None))
            for claim, other in zip(make(table), fixed, strict=True):
                yield replace(claim, measure=str(measure)), other


def _findings(table: pl.DataFrame) -> tuple[str, ...]:
    wider = [w for w in table["wider by"] if w is not None and not isnan(w)]
    if not wider:
        return ("No claim has an interval here.",)
    return (
        "All languages say the same sentences, so what is peculiar to these is in all of them and "
        "cannot be seen in how languages differ. With other sentences taken into account the "
        f"intervals of the claims are {min(wider):.2f} to {max(wider):.2f} times as wide.",
    )
