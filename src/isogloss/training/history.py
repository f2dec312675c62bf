"""What was measured, as a table and as a curve."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import polars as pl

from isogloss.charts import Axis, Chart, Line, Panel
from isogloss.errors import IsoglossError, StoreError
from isogloss.training.journal import Row, rows_of, standing
from isogloss.training.result import COLUMNS, KINDS, Gaps

_TITLES = {
    "cross_modal": "Speech against text",
    "cross_lingual.text": "Language against language, text",
    "cross_lingual.speech": "Language against language, speech",
}


def read_history(path: str | Path) -> pl.DataFrame:
    """Read a history.

    A line that was cut off when a run was killed is left out. Where training went back, to a
    checkpoint or to the beginning, what had been measured at that step and after it is left out:
    a call at a step takes the place of all calls before it at the same step or a later one.

    Args:
        path: The CSV file that a watch has written.

    Returns:
        Columns as in :data:`isogloss.training.result.COLUMNS`, sorted by step.

    Raises:
        IsoglossError: There is no such file.
        StoreError: It is no history.
    """
    path = Path(path)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise IsoglossError(f"cannot read the history {path} ({error.strerror})") from None
    # Read as text first: polars guesses types from the first rows, which may all be NaN.
    found = rows_of(path, data)
    schema = pl.Schema({**COLUMNS, "call": pl.String()})
    try:
        frame = pl.DataFrame(found, schema=dict.fromkeys(schema, pl.String())).cast(schema)
    except pl.exceptions.PolarsError as error:
        raise StoreError(f"{path} is damaged: {error}") from None
    return _table(frame.iter_rows(named=True))


def frame_of(history: "str | Path | pl.DataFrame | Iterable[Gaps]") -> pl.DataFrame:
    """A history as a table, from its file, its table, or what a watch holds."""
    if isinstance(history, pl.DataFrame):
        return history
    if isinstance(history, str | Path):
        return read_history(history)
    return _table({**row, "call": i} for i, gaps in enumerate(history) for row in gaps.rows())


def _table(rows: Iterable[Row]) -> pl.DataFrame:
    return pl.DataFrame(standing(rows), schema=COLUMNS)


def curve(
    history: "str | Path | pl.DataFrame | Iterable[Gaps]",
    *,
    controlled: bool = False,
    name: str = "training",
) -> Chart:
    """Draw calibrated similarity against the step, a line for each tap, with interval bands.

    Args:
        history: A file, a table, or the ``history`` of a watch.
        controlled: The scores from which confounds were taken out.
        name: Name of the chart, and so of its files.

    Raises:
        IsoglossError: The history has no such scores.
    """
    frame = frame_of(history)
    wanted = frame.filter((pl.col("control") != "") == controlled)
    if wanted.is_empty():
        what = "scores without confounds" if controlled else "scores"
        raise IsoglossError(f"the history holds no {what}")
    x = Axis("optimiser step")
    panels = []
    for kind in KINDS:
        rows = wanted.filter(kind=kind)
        if rows.is_empty():
            continue
        # Positions are among the taps that were asked for, which may change; depths may be equal.
        order = rows.group_by("place").agg(pl.col("depth", "position").last())
        places = order.sort("depth", "position")["place"].to_list()
        lines = [_line(rows.filter(place=place), place, i) for i, place in enumerate(places)]
        y = Axis("calibrated similarity (0 = chance)")
        panels.append(Panel(_TITLES[kind], x, y, tuple(lines)))
    control = wanted["control"][0]
    without = f", with {control} taken out of both views" if control else ""
    banded = any(isinstance(m, Line) and m.low for p in panels for m in p.marks)
    bands = "Bands are 95 % intervals of the mean, by a jackknife over languages. "
    return Chart(
        name,
        "Gaps while the model trains",
        f"Mean calibrated similarity of the same sentences{without}, at each tap that was read, "
        f"against the optimiser step. {bands if banded else ''}"
        "Calibrated: (score − chance) / (best − chance), with the matched null as chance.",
        tuple(panels),
        columns=min(2, len(panels)),
    )


def write_curve(
    history: "str | Path | pl.DataFrame | Iterable[Gaps]",
    folder: str | Path,
    *,
    controlled: bool = False,
    name: str = "training",
    formats: Iterable[str] = ("pdf", "png"),
) -> list[Path]:
    """Draw the curve and write it as PDF and PNG, the PNG on a dark background as well.

    Args:
        history: As for :func:`curve`.
        folder: Where to.
        controlled: As for :func:`curve`.
        name: Name of the files.
        formats: Among ``pdf`` and ``png``.

    Raises:
        MissingExtraError: matplotlib is not installed.
        IsoglossError: There is nothing to draw, or a file cannot be written.
    """
    from isogloss.figures.files import save

    return save(curve(history, controlled=controlled, name=name), folder, formats=formats)


def _line(rows: pl.DataFrame, place: str, colour: int) -> Line:
    known = rows["low"].is_not_nan().any()
    hover = [_hover(row) for row in rows.iter_rows(named=True)]
    return Line(
        place,
        tuple(float(s) for s in rows["step"]),
        tuple(rows["calibrated"]),
        tuple(rows["low"]) if known else None,
        tuple(rows["high"]) if known else None,
        tuple(hover),
        colour=colour,
    )


def _hover(row: dict[str, Any]) -> str:
    lines = [
        f"step {row['step']}, {row['place']}",
        f"calibrated {row['calibrated']:.3f} over {row['languages']} languages",
        f"score {row['score']:.3f}, chance {row['chance']:.3f}, N {row['n']}",
    ]
    return "\n".join([*lines, *([row["reason"]] if row["reason"] else [])])
