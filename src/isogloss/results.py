"""Scores as one tidy table per analysis: a row is one comparison by one measure."""

import io
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from isogloss.analyses.base import Comparison
from isogloss.errors import IsoglossError
from isogloss.similarity.base import FULL, Score
from isogloss.storage import listed, sealing

SCHEMA: dict[str, pl.DataType] = {
    "analysis": pl.String(),
    "measure": pl.String(),
    "control": pl.String(),
    "group": pl.String(),
    "label": pl.String(),
    "position": pl.Int64(),
    "depth": pl.Float64(),
    "language_a": pl.String(),
    "modality_a": pl.String(),
    "tap_a": pl.String(),
    "language_b": pl.String(),
    "modality_b": pl.String(),
    "tap_b": pl.String(),
    "n": pl.Int64(),
    "covariates": pl.Int64(),
    "score": pl.Float64(),
    "low": pl.Float64(),
    "high": pl.Float64(),
    "interval": pl.String(),
    "k_a": pl.Int64(),
    "k_b": pl.Int64(),
    "chance": pl.Float64(),
    "null_mean": pl.Float64(),
    "null_sd": pl.Float64(),
    "p_value": pl.Float64(),
    "p_curve": pl.Float64(),
    "q_value": pl.Float64(),
    "permutations": pl.Int64(),
    "best": pl.Float64(),
    "calibrated": pl.Float64(),
    "baseline": pl.Float64(),
    "details": pl.String(),
    "reason": pl.String(),
    "warnings": pl.String(),
}
"""Columns of every results table.

``chance`` is the matched null in closed form and ``null_mean`` by permutation; ``calibrated`` is
(score − null) / (best − null) with the permutation null where there is one; ``baseline`` is the
study's: Gaussian vectors of the same shapes. What could not be computed is NaN, with a ``reason``.
"""

MEANS: dict[str, pl.DataType] = {
    "analysis": pl.String(),
    "measure": pl.String(),
    "control": pl.String(),
    "group": pl.String(),
    "label": pl.String(),
    "position": pl.Int64(),
    "depth": pl.Float64(),
    "languages": pl.Int64(),
    "rows": pl.Int64(),
    "n": pl.Int64(),
    "score": pl.Float64(),
    "low": pl.Float64(),
    "high": pl.Float64(),
    "null": pl.Float64(),
    "p_value": pl.Float64(),
    "p_curve": pl.Float64(),
    "permutations": pl.Int64(),
    "calibrated": pl.Float64(),
    "calibrated_low": pl.Float64(),
    "calibrated_high": pl.Float64(),
    "baseline": pl.Float64(),
    "reason": pl.String(),
}
"""Columns of the tables of means over languages, or pairs of languages."""

FORMULA = "^\\s*[=+\\-@\t\r\n\uff1d\uff0b\uff0d\uff20]"
"""How a text begins that a spreadsheet may run: with a sign of a formula, also of full width, or
behind white space."""

PLAIN = ""
"""The ``control`` of scores from which nothing was taken out."""

MEANING: dict[str, str] = {
    "analysis": "name of the analysis",
    "measure": "the measure with all its options",
    "control": "what was taken out of both views first: empty for the plain score, else the names "
    "of the confounds",
    "group": "curve or bar that the row belongs to: `matched` or `all pairs` (cross_modal), `text` "
    "or `speech` (cross_lingual, noise_ceiling), the kind of comparison (gaps)",
    "label": "place on the x-axis: a tap, or two where text and speech taps differ",
    "position": "order of the places",
    "depth": "relative depth of the place, 0 at the input and 1 at the last layer; that of the "
    "text tap where two differ",
    "language_a": "language of the first view, ISO 639-3",
    "modality_a": "its modality",
    "tap_a": "its tap",
    "language_b": "language of the second view",
    "modality_b": "its modality",
    "tap_b": "its tap",
    "n": "number of sentences compared",
    "covariates": "confounds taken out; they cost as many sentences of freedom",
    "score": "the similarity",
    "low": "lower end of the 95 % interval of the score",
    "high": "its upper end",
    "interval": "how the interval was found",
    "k_a": "dimensions kept of the first view (`k_x` in Python)",
    "k_b": "dimensions kept of the second view (`k_y` in Python)",
    "chance": "matched null in closed form, NaN for measures without one",
    "null_mean": "matched null by permutation: mean",
    "null_sd": "its standard deviation",
    "p_value": "share of permutations, the identity counted in, that are at least as similar",
    "p_curve": "the same, corrected for the most similar of all places of the curve (Westfall and "
    "Young's maximum)",
    "q_value": "p_value after Benjamini and Hochberg, over all rows of the analysis with the same "
    "measure and control",
    "permutations": "their number",
    "best": "score of a view with itself",
    "calibrated": "(score − null) / (best − null), null by permutation where there is one",
    "baseline": "Gaussian vectors of the same shapes, the baseline of the study",
    "details": "further numbers of the measure",
    "reason": "why the score is NaN, or a mean has no interval or no p-value, else empty",
    "warnings": "what to know before trusting the score",
    "languages": "number of languages behind the mean",
    "rows": "number of scores behind it",
    "null": "mean of the matched nulls",
    "calibrated_low": "lower end of the 95 % interval of the mean of the calibrated scores",
    "calibrated_high": "its upper end",
}
"""What each column holds, for the documentation. In the tables of means ``score``, ``calibrated``
and ``baseline`` are means, ``low`` and ``high`` the ends of a jackknife interval over languages,
and the p-values those of the mean."""

NULL = pl.when(pl.col("permutations") > 0).then("null_mean").otherwise("chance")
"""The chance level to show: by permutation where there is one, else in closed form."""


def calibrate(value: pl.Expr, null: pl.Expr) -> pl.Expr:
    """(value − null) / (best − null), NaN where chance leaves no room, as for the score."""
    room = pl.col("best") - null
    least = FULL * pl.max_horizontal(pl.col("best").abs(), null.abs())
    there = pl.col("calibrated").is_not_nan() & (room.abs() > least)
    return pl.when(there).then((value - null) / room).otherwise(float("nan"))


def describe(
    c: Comparison,
    measure: str,
    control: str,
    score: Score,
    baseline: float,
    warnings: Iterable[str] = (),
) -> dict[str, Any]:
    """Make the row of a score, with its null, and without interval.

    Args:
        c: What was compared.
        measure: By what, with all options.
        control: What was taken out.
        score: What came of it.
        baseline: Score of Gaussian vectors of the same shapes.
        warnings: Further ones; empty ones do not count.
    """
    warnings = [*score.warnings, *filter(None, warnings)]
    if not np.isnan(score.score) and np.isnan(score.calibrated) and not np.isnan(score.expected):
        warnings.append("chance is the best score there is: nothing can be above it")
    if lost := int(np.isnan(score.null).sum()):
        warnings.append(
            f"{lost} of {score.permutations} shuffles have no score, so there is no p-value and no "
            "chance level by permutation"
        )
    return {
        "analysis": "",
        "measure": measure,
        "control": control,
        "group": c.group,
        "label": c.label,
        "position": c.position,
        "depth": c.depth,
        "language_a": c.a.language,
        "modality_a": c.a.modality,
        "tap_a": c.a.tap,
        "language_b": c.b.language,
        "modality_b": c.b.modality,
        "tap_b": c.b.tap,
        "n": score.n,
        "covariates": score.covariates,
        "score": score.score,
        "k_a": score.k_x,
        "k_b": score.k_y,
        "chance": score.chance,
        "null_mean": score.null_mean,
        "null_sd": score.null_sd,
        "p_value": score.p_value,
        "p_curve": float("nan"),
        "q_value": float("nan"),
        "permutations": score.permutations,
        "best": score.best,
        "calibrated": score.calibrated,
        "baseline": baseline,
        "details": ", ".join(f"{k} {v:.4g}" for k, v in score.details.items()),
        "reason": score.reason,
        # One cell, from which each can be told again.
        "warnings": "; ".join(w.replace("; ", ", ") for w in warnings),
        "null": score.null.tolist(),
    }


def write(frame: pl.DataFrame, folder: Path, name: str) -> list[Path]:
    """Write a table as Parquet and as CSV, each whole or not at all.

    Returns:
        The files, with that of their digests.
    """
    files = {f"{name}.parquet": parquet(frame), f"{name}.csv": safe_csv(frame)}
    return listed.write(folder, files)


def parquet(frame: pl.DataFrame) -> bytes:
    """A table as the content of a Parquet file."""
    buffer = io.BytesIO()
    frame.write_parquet(buffer)
    return buffer.getvalue()


def read(folder: Path, name: str) -> pl.DataFrame:
    """Read a table that :func:`write` wrote.

    Raises:
        IsoglossError: There is none yet, or it is damaged.
    """
    path = folder / f"{name}.parquet"
    if not path.exists():
        raise IsoglossError(f"{path} does not exist yet; `isogloss run` makes it")
    return parsed(path)


def parsed(path: Path) -> pl.DataFrame:
    """Read a Parquet file that :mod:`isogloss.storage.listed` wrote.

    Raises:
        StoreError: It is damaged.
    """
    try:
        return pl.read_parquet(io.BytesIO(listed.read(path)))
    except (pl.exceptions.PolarsError, OSError) as error:
        raise sealing.damaged(path, str(error)) from None


def safe_csv(frame: pl.DataFrame) -> bytes:
    """A table as CSV in which no text is taken for a formula by a spreadsheet.

    Texts that begin like one get an apostrophe, which spreadsheets take for "this is text". All
    texts are quoted, since where a decimal is written with a comma a semicolon ends a cell.
    """
    text = pl.col(pl.String)
    guarded = pl.when(text.str.contains(FORMULA)).then("'" + text).otherwise(text)
    return frame.with_columns(guarded.name.keep()).write_csv(quote_style="non_numeric").encode()
