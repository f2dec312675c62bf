"""The figure of a sensitivity analysis."""

from math import isfinite
from typing import Any

import polars as pl

from isogloss.analyses._curves import shown
from isogloss.analyses._gap_table import KINDS, MODAL
from isogloss.charts import Axis, Chart, Line, Marks, Panel
from isogloss.sensitivity.table import CHOICES


def chart(frame: pl.DataFrame) -> Chart:
    """One figure: on the left how alike, on the right the conclusion, a row for each choice."""
    panels = []
    for choice in CHOICES:
        rows = frame.filter(choice=choice)
        if choice == "sentences":
            # Without a score there is no place on an axis of numbers of sentences.
            placed = rows.filter(pl.col("kind") == MODAL, pl.col("n").is_not_null())
            rows = rows.filter(pl.col("value").is_in(placed["value"].to_list()))
        if rows.height:
            panels += [_similarity(rows, choice), _conclusion(rows, choice)]
    some = any(m.low is not None for p in panels for m in p.marks if isinstance(m, Line | Marks))
    measured = frame.filter(choice="sentences")["measure"].unique().to_list()
    return Chart(
        "sensitivity",
        "How the conclusion moves with the choices behind it",
        "Left: mean calibrated similarity at the last tap, (score − chance) / (best − chance), of "
        "text to its own speech (cross-modal) and of languages to each other"
        f"{', with 95 % intervals by a jackknife over languages' if some else ''}. Right: the "
        "share of languages whose modality gap is the larger one, that is, some other language's "
        "text is more similar to their text than their own speech is. From top to bottom one "
        "choice is varied at a time: the share kept by SVCCA by the squared and by the linear "
        f"rule, the number of sentences{f' ({measured[0]})' if measured else ''}, the measure. "
        "What is not defined is left out; the table says why.",
        tuple(panels),
        columns=2,
    )


def _x(rows: pl.DataFrame, choice: str) -> tuple[Axis, tuple[Any, ...]]:
    once = rows.filter(kind=MODAL)
    if choice == "measure":
        names = tuple(once["value"])
        return Axis("measure", names), names
    if choice == "sentences":
        return Axis("sentences"), tuple(float(v) for v in once["n"])
    return Axis(f"{CHOICES[choice]} kept"), tuple(float(v) for v in once["value"])


def _floats(values: pl.Series) -> tuple[float, ...]:
    return tuple(float("nan") if v is None else float(v) for v in values)


def _similarity(rows: pl.DataFrame, choice: str) -> Panel:
    axis, x = _x(rows, choice)
    marks: list[Line | Marks] = []
    for i, kind in enumerate(KINDS):
        own = rows.filter(kind=kind)
        low, high = _floats(own["low"]), _floats(own["high"])
        known = any(isfinite(a) and isfinite(b) for a, b in zip(low, high, strict=True))
        part: dict[str, Any] = {
            "name": kind,
            "x": x,
            "y": _floats(own["calibrated"]),
            "low": low if known else None,
            "high": high if known else None,
            "colour": i,
            "hover": tuple(
                f"{kind}, {r['measure']}\ncalibrated {shown(r['calibrated'])}, score "
                f"{shown(r['score'])}, chance {shown(r['chance'])}\nN {r['n']}"
                for r in own.iter_rows(named=True)
            ),
        }
        marks.append(Marks(**part) if axis.categories else Line(**part))
    return Panel(_TITLES[choice], axis, Axis("calibrated (0 = chance)"), tuple(marks))


def _conclusion(rows: pl.DataFrame, choice: str) -> Panel:
    axis, x = _x(rows, choice)
    once = rows.filter(kind=MODAL)
    marks: list[Line | Marks] = []
    for i, (suffix, name) in enumerate(((" (calibrated)", "calibrated"), ("", "raw"))):
        shares = once[f"modality gap larger{suffix}"] / once[f"decided{suffix}"]
        part: dict[str, Any] = {
            "name": f"modality gap larger, {name} scores",
            "x": x,
            "y": _floats(shares),
            "colour": len(KINDS) + i,
            "hover": tuple(
                f"{r['measure']}, {name}\nmodality gap larger for "
                f"{r[f'modality gap larger{suffix}']} of {r[f'decided{suffix}']} languages"
                for r in once.iter_rows(named=True)
            ),
        }
        marks.append(Marks(**part) if axis.categories else Line(**part))
    y = Axis("share of languages", range=(0.0, 1.0))
    return Panel(f"{_TITLES[choice]}: the conclusion", axis, y, tuple(marks))


_TITLES = {
    "squared": "SVCCA, squared rule",
    "linear": "SVCCA, linear rule",
    "sentences": "Number of sentences",
    "measure": "Measure",
}
