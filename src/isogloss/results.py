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

NULL = pl.when(pl.col("permutations") > 0).then("null_mean").otherwise("chance")
"""The chance level to show: by permutation where there is one, else in closed form."""


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
