"""What was measured, in a file that grows line by line, and as a curve."""

import csv
import io
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import polars as pl

from isogloss.charts import Axis, Chart, Line, Panel
from isogloss.errors import IsoglossError, OutputError, StoreError
from isogloss.training.result import COLUMNS, KINDS, Gaps

_TITLES = {
    "cross_modal": "Speech against text",
    "cross_lingual.text": "Language against language, text",
    "cross_lingual.speech": "Language against language, speech",
}


class Journal:
    """A CSV file that gets the rows of each call in one write, so that a killed run keeps them.

    Args:
        path: The file. One that is there is continued; a line that was cut off is removed.

    Raises:
        OutputError: It cannot be written.
        StoreError: It is there and is no history.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            there = path.read_bytes() if path.exists() else b""
            whole = there.rfind(b"\n") + 1
            if not whole:
                if not _lines([list(COLUMNS)]).startswith(there):
                    _check_head(path, there)
                path.write_bytes(_lines([list(COLUMNS)]))
                return
            _check_head(path, there)
            if whole < len(there):
                os.truncate(path, whole)
        except OSError as error:
            raise _refused(path, error) from error

    def append(self, gaps: Gaps) -> None:
        """Write the rows of a call.

        Raises:
            OutputError: It cannot be written.
        """
        rows = [[_cell(value) for value in row.values()] for row in gaps.rows()]
        try:
            with self.path.open("ab", buffering=0) as file:
                file.write(_lines(rows))
        except OSError as error:
            raise _refused(self.path, error) from error


def read_history(path: str | Path) -> pl.DataFrame:
    """Read a history.

    A line that was cut off when a run was killed is left out. Where a run went back to a checkpoint
    and measured a step again, the later rows count.

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
    whole = data[: data.rfind(b"\n") + 1]
    _check_head(path, whole)
    # Read as text first: polars guesses types from the first rows, which may all be NaN.
    rows = list(csv.reader(io.StringIO(whole.decode("utf-8", "replace"), newline="")))[1:]
    found: dict[tuple[str, ...], list[str]] = {}
    for row in rows:
        if len(row) == len(COLUMNS):
            cells = dict(zip(COLUMNS, row, strict=True))
            key = tuple(cells[name] for name in ("step", "kind", "place", "control"))
            found.pop(key, None)
            found[key] = row
    try:
        frame = pl.DataFrame(
            [dict(zip(COLUMNS, row, strict=True)) for row in found.values()],
            schema=dict.fromkeys(COLUMNS, pl.String()),
        ).cast(pl.Schema(COLUMNS))
    except pl.exceptions.PolarsError as error:
        raise StoreError(f"{path} is damaged: {error}") from None
    return frame.sort("step", maintain_order=True)


def frame_of(history: "str | Path | pl.DataFrame | Iterable[Gaps]") -> pl.DataFrame:
    """A history as a table, from its file, its table, or what a watch holds."""
    if isinstance(history, pl.DataFrame):
        return history
    if isinstance(history, str | Path):
        return read_history(history)
    rows = [row for gaps in history for row in gaps.rows()]
    return pl.DataFrame(rows, schema=COLUMNS).sort("step", maintain_order=True)


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
        places = rows.select("place", "position").unique().sort("position")["place"].to_list()
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


def _check_head(path: Path, data: bytes) -> None:
    if not data.startswith(_lines([list(COLUMNS)])):
        raise StoreError(
            f"{path} is no history of gaps, or one of another version; name another file"
        )


def _lines(rows: list[list[Any]]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode()


def _cell(value: Any) -> Any:
    # A line must be a row, or one that was cut off could not be told.
    return " ".join(value.split()) if isinstance(value, str) else repr(value)


def _refused(path: Path, error: OSError) -> OutputError:
    return OutputError(f"cannot write the history {path}: {error.strerror or error}")
