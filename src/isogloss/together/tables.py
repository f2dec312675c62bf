"""Models beside each other at their last tap: scores, differences, and which gap is the larger."""

from collections.abc import Mapping
from itertools import combinations

import polars as pl

from isogloss.analyses._curves import nan_free, split
from isogloss.analyses._gap_table import MODAL as MODAL
from isogloss.analyses._gap_table import SPEECH as SPEECH
from isogloss.analyses._gap_table import TEXT as TEXT
from isogloss.analyses._gap_table import by_language
from isogloss.findings.statistics import holm, mean
from isogloss.results import NULL, PLAIN

KINDS = {
    MODAL: ("cross_modal", "matched"),
    TEXT: ("cross_lingual", "text"),
    SPEECH: ("cross_lingual", "speech"),
}
"""Kind of comparison -> the analysis and group that it is read from."""

DIFFERENCES: dict[str, pl.DataType] = {
    "measure": pl.String(),
    "control": pl.String(),
    "kind": pl.String(),
    "model_a": pl.String(),
    "tap_a": pl.String(),
    "model_b": pl.String(),
    "tap_b": pl.String(),
    "calibrated_a": pl.Float64(),
    "calibrated_b": pl.Float64(),
    "difference": pl.Float64(),
    "low": pl.Float64(),
    "high": pl.Float64(),
    "p_value": pl.Float64(),
    "p_holm": pl.Float64(),
    "languages": pl.Int64(),
    "n": pl.Int64(),
    "reason": pl.String(),
}
"""Columns of the table of differences: ``a`` less ``b``, over the languages or pairs of languages
that have a calibrated score in both models; ``low`` and ``high`` are a 95 % interval."""

GAPS: dict[str, pl.DataType] = {
    "measure": pl.String(),
    "model": pl.String(),
    "scores": pl.String(),
    "modality": pl.Int64(),
    "language": pl.Int64(),
    "neither": pl.Int64(),
    "decided": pl.Int64(),
    "share": pl.Float64(),
}
"""Columns of the table of gaps: for how many languages which gap is the larger; ``share`` is that
of ``modality`` among the ``decided``, NaN if there are none."""

RAW, CALIBRATED, CONTROLLED = "raw", "calibrated", "calibrated, confounds taken out"


def last(results: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
    """The rows of every model at its last tap, with a column ``kind``.

    Args:
        results: Analysis -> scores with a column ``model``.
    """
    found = []
    for kind, (analysis, group) in KINDS.items():
        frame = results.get(analysis)
        if frame is None:
            continue
        rows = frame.filter(group=group)
        for _, own in rows.group_by("model", "measure", maintain_order=True):
            place = own.sort("depth", "position").row(-1, named=True)
            at = own.filter(depth=place["depth"], position=place["position"])
            found.append(at.select(pl.lit(kind).alias("kind"), pl.all()))
    return pl.concat(found) if found else pl.DataFrame()


def differences(results: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
    """Compare models in pairs at their last taps, over languages.

    What is compared is the calibrated score. A raw one grows with the dimensions that a view
    keeps, and these with the width of the model, so raw scores of two models do not compare.

    The interval of a mean over languages is Student's, that of one over pairs of languages the
    language jackknife (:func:`isogloss.findings.statistics.mean`); both hold the sentences fixed.
    ``p_holm`` is adjusted for all rows of one measure and control.

    Args:
        results: Analysis -> scores with a column ``model``.

    Returns:
        One row for each measure, control, kind and pair of models; columns are ``DIFFERENCES``.
    """
    rows = last(results)
    if rows.is_empty():
        return pl.DataFrame(schema=DIFFERENCES)
    found = []
    for (measure, control), own in rows.group_by("measure", "control", maintain_order=True):
        family = [
            {"measure": measure, "control": control, "kind": kind, **_difference(own, kind, a, b)}
            for kind in KINDS
            for a, b in combinations(own["model"].unique(maintain_order=True), 2)
            if {a, b} <= set(own.filter(kind=kind)["model"])
        ]
        adjusted = holm([row["p_value"] for row in family])
        found += [row | {"p_holm": p} for row, p in zip(family, adjusted, strict=True)]
    return pl.DataFrame(found, schema=DIFFERENCES)


def _difference(rows: pl.DataFrame, kind: str, a: str, b: str) -> dict[str, object]:
    pair = ["language_a", "language_b"]
    first, second = (rows.filter(kind=kind, model=m) for m in (a, b))
    both = first.join(second, on=pair, suffix="_other", maintain_order="left")
    known = both.filter(pl.col("calibrated").is_not_nan(), pl.col("calibrated_other").is_not_nan())
    second_of_pair = None if kind == MODAL else known["language_b"].to_list()
    values = (known["calibrated"] - known["calibrated_other"]).to_numpy()
    found = mean(values, known["language_a"].to_list(), second_of_pair)
    return {
        "model_a": a,
        "tap_a": first["label"][0],
        "model_b": b,
        "tap_b": second["label"][0],
        "calibrated_a": _mean(known["calibrated"]),
        "calibrated_b": _mean(known["calibrated_other"]),
        "difference": found.effect,
        "low": found.low,
        "high": found.high,
        "p_value": found.p_value,
        "languages": found.count,
        "n": known["n"].min(),
        "reason": found.reason,
    }


def _mean(values: pl.Series) -> float:
    return float(values.to_numpy().mean()) if len(values) else float("nan")


def gap_counts(frame: pl.DataFrame) -> pl.DataFrame:
    """Count the languages by which of their gaps is the larger, see ``GAPS``.

    Args:
        frame: Scores of the gaps analysis with a column ``model``.
    """
    found = []
    for (measure, model), own in frame.group_by("measure", "model", maintain_order=True):
        plain, controlled = split(own.drop("model"))
        kinds = [(RAW, plain, "larger gap"), (CALIBRATED, plain, "larger gap (calibrated)")]
        if not controlled.is_empty():
            kinds.append((CONTROLLED, controlled, "larger gap (calibrated)"))
        for scores, rows, column in kinds:
            verdicts = by_language(rows)[column].drop_nulls()
            counts = {v: int((verdicts == v).sum()) for v in ("modality", "language", "neither")}
            share = counts["modality"] / len(verdicts) if len(verdicts) else float("nan")
            found.append(
                {"measure": measure, "model": model, "scores": scores, **counts}
                | {"decided": len(verdicts), "share": share}
            )
    return pl.DataFrame(found, schema=GAPS)


def summary(results: Mapping[str, pl.DataFrame], measure: str) -> pl.DataFrame:
    """Means at the last tap by kind and model, for the report."""
    rows = last(results)
    if rows.is_empty():
        return rows
    plain = rows.filter(measure=measure, control=PLAIN).with_columns(null=NULL)
    return plain.group_by("kind", "model", "label", maintain_order=True).agg(
        languages=pl.concat_list("language_a", "language_b").explode().n_unique(),
        N=pl.col("n").min(),
        score=nan_free("score").mean(),
        chance=nan_free("null").mean(),
        calibrated=nan_free("calibrated").mean(),
        **{
            "k of the first view": pl.col("k_a").mean(),
            "k of the second": pl.col("k_b").mean(),
        },
    )


def fewest(frame: pl.DataFrame) -> str:
    """The number of sentences of the comparison with the fewest."""
    return str(frame["n"].min())
