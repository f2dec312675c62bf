"""Scores as one tidy table per analysis: a row is one comparison by one measure."""

import io
from pathlib import Path

import polars as pl

from isogloss import atomic
from isogloss.errors import IsoglossError

SCHEMA: dict[str, pl.DataType] = {
    "analysis": pl.String(),
    "measure": pl.String(),
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
    "score": pl.Float64(),
    "k_a": pl.Int64(),
    "k_b": pl.Int64(),
    "chance": pl.Float64(),
    "null_mean": pl.Float64(),
    "null_sd": pl.Float64(),
    "p_value": pl.Float64(),
    "permutations": pl.Int64(),
    "calibrated": pl.Float64(),
    "baseline": pl.Float64(),
    "reason": pl.String(),
    "warnings": pl.String(),
}
"""Columns of every results table.

``chance`` is the matched null in closed form and ``null_mean`` by permutation; ``calibrated`` is
(score − null) / (1 − null) with the permutation null where there is one; ``baseline`` is the
study's: Gaussian vectors of the same shapes. What could not be computed is NaN, with a ``reason``.
"""

MEANING: dict[str, str] = {
    "analysis": "name of the analysis",
    "measure": "the measure with all its options",
    "group": "curve or bar that the row belongs to: `matched` or `all pairs` (cross_modal), `text` "
    "or `speech` (cross_lingual), the kind of comparison (gaps)",
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
    "score": "the similarity",
    "k_a": "dimensions kept of the first view (`k_x` in Python)",
    "k_b": "dimensions kept of the second view (`k_y` in Python)",
    "chance": "matched null in closed form, NaN for measures without one",
    "null_mean": "matched null by permutation: mean",
    "null_sd": "its standard deviation",
    "p_value": "share of permutations, the identity counted in, that score at least as high",
    "permutations": "their number",
    "calibrated": "(score − null) / (1 − null), null by permutation where there is one",
    "baseline": "Gaussian vectors of the same shapes, the baseline of the study",
    "reason": "why the score is NaN, else empty",
    "warnings": "what to know before trusting the score",
}
"""What each column holds, for the documentation."""

NULL = pl.when(pl.col("permutations") > 0).then("null_mean").otherwise("chance")
"""The chance level to show: by permutation where there is one, else in closed form."""


FULL = 1 - 1e-9
"""A chance level from which on nothing can be above chance."""


def calibrate(value: pl.Expr, null: pl.Expr) -> pl.Expr:
    """(value − null) / (1 − null), NaN where chance leaves no room above it."""
    return pl.when(null <= FULL).then((value - null) / (1 - null)).otherwise(float("nan"))


def write(frame: pl.DataFrame, folder: Path, name: str) -> list[Path]:
    """Write a table as Parquet and as CSV, each whole or not at all."""
    paths = [folder / f"{name}.parquet", folder / f"{name}.csv"]
    atomic.write_bytes(paths[0], parquet(frame))
    atomic.write_bytes(paths[1], safe_csv(frame))
    return paths


def parquet(frame: pl.DataFrame) -> bytes:
    """A table as the content of a Parquet file."""
    buffer = io.BytesIO()
    frame.write_parquet(buffer)
    return buffer.getvalue()


def read(folder: Path, name: str) -> pl.DataFrame:
    """Read a table that :func:`write` wrote.

    Raises:
        IsoglossError: There is none yet.
    """
    path = folder / f"{name}.parquet"
    if not path.exists():
        raise IsoglossError(f"{path} does not exist yet; `isogloss run` makes it")
    return pl.read_parquet(path)


def safe_csv(frame: pl.DataFrame) -> bytes:
    """A table as CSV in which no cell is taken for a formula by a spreadsheet."""
    text = pl.col(pl.String)
    guarded = pl.when(text.str.contains(r"^[=+\-@\t\r]")).then("'" + text).otherwise(text)
    return frame.with_columns(guarded.name.keep()).write_csv().encode()
