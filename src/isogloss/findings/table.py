"""The claims of all analyses of a run as one table, with adjusted p-values and verdicts."""

from collections.abc import Iterable, Iterator, Mapping
from math import isnan
from typing import Any, get_args

import polars as pl

from isogloss.analyses.base import Analysis, Claim, Reading, Scores
from isogloss.findings.paper import said
from isogloss.findings.statistics import LEVEL, holm

SUPPORTED, CONTRADICTED = "supported", "contradicted"
NO_EVIDENCE, NOT_TESTABLE = "no evidence", "not testable"

SCHEMA: dict[str, Any] = {
    "analysis": pl.String(),
    "measure": pl.String(),
    "claim": pl.String(),
    "statement": pl.String(),
    "source": pl.String(),
    "scores": pl.String(),
    "effect": pl.Float64(),
    "low": pl.Float64(),
    "high": pl.Float64(),
    "unit": pl.String(),
    "languages": pl.Int64(),
    "p_value": pl.Float64(),
    "p_adjusted": pl.Float64(),
    "verdict": pl.String(),
    "in the study": pl.String(),
    "given": pl.String(),
    "detail": pl.String(),
    "reason": pl.String(),
}
"""Columns of the table of findings: one row for each claim, measure and kind of scores.

``p_adjusted`` is Holm's over all claims of one measure and kind of scores; ``in the study`` what
the study says of its own model of this family; ``given`` what the test holds fixed."""


def table(
    family: str, claims: Mapping[str, Iterable[Claim]] | Mapping[tuple[str, str], Iterable[Claim]]
) -> pl.DataFrame:
    """Gather claims, adjust their p-values and give verdicts.

    Args:
        family: Model family of the run, such as ``seamless``.
        claims: Analysis, or (analysis, measure) -> its claims. A claim's own measure goes before.

    Returns:
        Columns of :data:`SCHEMA`. Where a claim comes twice, once given the sentences and once
        over sentences too, the latter is kept.
    """
    found: dict[tuple[str, str, str], dict[str, Any]] = {}
    for key, several in claims.items():
        analysis, measure = key if isinstance(key, tuple) else (key, "")
        for claim in several:
            row = _row(analysis, claim.measure or measure, claim, family)
            own = row["measure"], row["claim"], row["scores"]
            # A claim keeps its place, and the analysis that it is about.
            if own not in found:
                found[own] = row
            elif _better(row, found[own]):
                found[own] = {**row, "analysis": found[own]["analysis"]}
    frame = pl.DataFrame(list(found.values()), schema=SCHEMA)
    parts = []
    for part in frame.with_row_index("_order").partition_by("measure", "scores"):
        adjusted = pl.Series(holm(part["p_value"].to_numpy()), dtype=pl.Float64)
        parts.append(part.with_columns(p_adjusted=adjusted))
    if not parts:
        return frame
    return (
        pl.concat(parts)
        .sort("_order")
        .drop("_order")
        .with_columns(verdict=_verdict())
        .select(list(SCHEMA))
    )


def gather(
    family: str,
    analyses: Mapping[str, Analysis],
    tables: Mapping[str, pl.DataFrame],
    means: Mapping[str, pl.DataFrame],
) -> pl.DataFrame:
    """Make the table of findings of a run from its tables.

    Args:
        family: Model family of the run.
        analyses: Name -> analysis, as the study asks for it.
        tables: Analysis -> its scores, or what a reading made.
        means: Analysis -> means over languages; none for readings.
    """
    return table(family, dict(_claims(analyses, tables, means)))


def _claims(
    analyses: Mapping[str, Analysis],
    tables: Mapping[str, pl.DataFrame],
    means: Mapping[str, pl.DataFrame],
) -> Iterator[tuple[tuple[str, str], tuple[Claim, ...]]]:
    for name, analysis in analyses.items():
        if name not in tables:
            continue
        if isinstance(analysis, Reading):
            yield (name, ""), analysis.claims_of(tables[name])
            continue
        for (measure,), frame in tables[name].group_by("measure", maintain_order=True):
            own = means[name].filter(measure=measure)
            yield (name, str(measure)), analysis.claims(frame, own)


def _row(analysis: str, measure: str, claim: Claim, family: str) -> dict[str, Any]:
    return {
        "analysis": analysis,
        "measure": measure,
        "claim": claim.name,
        "statement": claim.statement,
        "source": claim.source,
        "scores": claim.scores,
        "effect": claim.effect,
        "low": claim.low,
        "high": claim.high,
        "unit": claim.unit,
        "languages": claim.count,
        "p_value": float("nan") if claim.reason else claim.p_value,
        "p_adjusted": float("nan"),
        "verdict": "",
        "in the study": said(claim.name, family),
        "given": claim.given,
        "detail": claim.detail,
        "reason": claim.reason or ("" if not isnan(claim.p_value) else "there is no p-value"),
    }


def _better(row: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether a row says more than another one of the same claim."""
    if bool(row["reason"]) != bool(other["reason"]):
        return not row["reason"]
    return bool(other["given"]) and not row["given"]


def _verdict() -> pl.Expr:
    known = pl.col("p_adjusted").is_not_nan() & pl.col("effect").is_not_nan()
    clear = pl.col("p_adjusted") <= LEVEL + 1e-12
    return (
        pl.when(~known)
        .then(pl.lit(NOT_TESTABLE))
        .when(clear & (pl.col("effect") > 0))
        .then(pl.lit(SUPPORTED))
        .when(clear & (pl.col("effect") < 0))
        .then(pl.lit(CONTRADICTED))
        .otherwise(pl.lit(NO_EVIDENCE))
    )


KINDS: tuple[str, ...] = get_args(Scores)
"""The kinds of scores, in the order in which they are shown."""
