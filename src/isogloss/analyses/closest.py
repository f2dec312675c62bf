"""Is a language's text closer to its own speech, or to its closest translation (section 3.3)?"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, ClassVar

import polars as pl

from isogloss import specs
from isogloss.analyses import ANALYSES, _claims_gaps
from isogloss.analyses._claims import UNITS, Table
from isogloss.analyses._closest_figure import figure, findings
from isogloss.analyses._crossfit import Crossfit
from isogloss.analyses._gap_table import MODAL, TEXT
from isogloss.analyses._halves import SPLITS_HELP, scored, whole, with_halves
from isogloss.analyses.base import Claim, Comparison, Material, Reading, Summary
from isogloss.analyses.gaps import of_run
from isogloss.charts import Chart
from isogloss.findings.statistics import LEVEL, holm
from isogloss.languages import level
from isogloss.settings import setting
from isogloss.similarity.inference import benjamini_hochberg
from isogloss.similarity.measures import MEASURES

NAME = "gaps"


class Closest(Reading):
    """Own speech against the closest partner's text, chosen and judged on different sentences.

    The study sets a language's own speech against the most similar of 29 partners. The best of 29
    is high by chance alone. Here the partner is chosen on one half of the sentences, and both are
    scored on the other half, in turn and for several random splits.
    """

    title: ClassVar[str] = "Modality gap against the closest language"
    question: ClassVar[str] = (
        "Is another language's text closer to a text than its own speech is, if the other language "
        "is chosen on other sentences?"
    )

    splits: int = setting(12, role="analysis", ge=8, help=SPLITS_HELP)

    def read(self, material: Material) -> pl.DataFrame | None:
        """Score text against speech, and texts of two languages, on halves of the sentences."""
        found = []
        comparisons = _wanted(material)
        for line in material.study["measures"] if comparisons else ():
            measure = specs.parse(MEASURES, line)
            if NAME in material.tables:
                scores = material.tables[NAME].filter(measure=specs.write(MEASURES, measure))
            else:
                scores = material.score(comparisons, [measure])
            found.append(
                whole(scores.filter(pl.col("group").is_in([MODAL, TEXT]))).with_columns(
                    analysis=pl.lit(NAME)
                )
            )
            halves = scored(material, measure, comparisons, self.splits)
            found.append(halves.with_columns(analysis=pl.lit(NAME)))
        return pl.concat(found) if found else None

    def describe(self, frame: pl.DataFrame) -> Summary:
        """One row and one mark per language, raw, calibrated and without confounds."""
        said: list[str] = []
        charts: list[Chart] = []
        shown: list[tuple[str, pl.DataFrame]] = []
        for (measure,), rows in frame.group_by("measure", maintain_order=True):
            table = by_language(rows)
            if table.is_empty():
                continue
            several = frame["measure"].n_unique() > 1
            said += findings(table, str(measure) if several else "")
            charts.append(figure(table, str(measure), len(charts) if several else None))
            shown.append((f"By language: {measure}" if several else "By language", table))
        none = ("No language has both its own speech and another language's text.",)
        return Summary(tuple(said) or none, tuple(charts), tuple(shown))

    def claims_of(self, frame: pl.DataFrame) -> tuple[Claim, ...]:
        """The closest and the average partner, over languages and sentences."""
        return tuple(_claims(frame))


def _wanted(material: Material) -> list[Comparison]:
    own = [specs.parse(ANALYSES, line) for line in material.study["analyses"]]
    every = of_run(own).comparisons(material.contents)
    return [c for c in every if c.group in (MODAL, TEXT)]


def _claims(frame: pl.DataFrame) -> Iterator[Claim]:
    for (measure,), rows in frame.group_by("measure", maintain_order=True):
        for fitted, table in zip(with_halves(rows), with_halves(rows, fitted=False), strict=True):
            made = [_claims_gaps.average(fitted)] if len(table.values) else []
            if table.halves is not None:
                found = Crossfit.of(table)
                singles = [found.single(i)[0] for i in range(len(found.names))]
                p = holm([s.p_value for s in singles])
                above = sum(q <= LEVEL and s.effect > 0 for q, s in zip(p, singles, strict=True))
                below = sum(q <= LEVEL and s.effect < 0 for q, s in zip(p, singles, strict=True))
                detail = (
                    f"mean over languages; taken by itself (adjusted p ≤ .05), the partner is "
                    f"closer for {above} of {len(singles)} languages, own speech for {below}"
                )
                made.insert(0, _claims_gaps.closest(table, found.overall(), detail))
            yield from (replace(claim, measure=str(measure)) for claim in made)


def by_language(frame: pl.DataFrame) -> pl.DataFrame:
    """One row for each language and kind of scores.

    Args:
        frame: Rows of one measure.

    Returns:
        ``language``, ``resource``, ``scores``, ``closest`` (the partner chosen most often),
        ``difference`` (its text less own speech, on sentences that did not choose it), ``low`` and
        ``high`` (95 %, over sentences), ``p``, ``p adjusted`` (Holm, over the languages), ``q``
        (Benjamini and Hochberg), ``closer`` and ``reason``.
    """
    rows: list[dict[str, Any]] = []
    for table in with_halves(frame, fitted=False):
        if table.halves is not None:
            rows += _rows(table)
    return pl.DataFrame(rows, schema=_COLUMNS)


def _rows(table: Table) -> Iterator[dict[str, Any]]:
    fit = Crossfit.of(table)
    found = [fit.single(i) for i in range(len(fit.names))]
    p = [estimate.p_value for estimate, _ in found]
    for name, (e, partner), adjusted, q in zip(
        fit.names, found, holm(p), benjamini_hochberg(p), strict=True
    ):
        clear = adjusted <= LEVEL
        own = "neither is clearly closer" if not e.reason else ""
        yield {
            "language": name,
            "resource": level(name),
            "scores": table.scores,
            "closest": partner,
            "difference": e.effect,
            "low": e.low,
            "high": e.high,
            "p": e.p_value,
            "p adjusted": adjusted,
            "q": q,
            "closer": (f"text of {partner}" if e.effect > 0 else "own speech") if clear else own,
            "unit": UNITS[table.scores],
            "reason": e.reason,
        }


_COLUMNS: dict[str, Any] = {
    "language": pl.String(),
    "resource": pl.String(),
    "scores": pl.String(),
    "closest": pl.String(),
    "difference": pl.Float64(),
    "low": pl.Float64(),
    "high": pl.Float64(),
    "p": pl.Float64(),
    "p adjusted": pl.Float64(),
    "q": pl.Float64(),
    "closer": pl.String(),
    "unit": pl.String(),
    "reason": pl.String(),
}
