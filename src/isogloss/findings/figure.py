"""All findings in one figure: effects with their intervals, the kinds of scores side by side."""

from collections.abc import Iterator
from math import isfinite
from typing import Any

import polars as pl

from isogloss.charts import Axis, Chart, Line, Marks, Panel
from isogloss.findings.table import KINDS
from isogloss.findings.words import CALLED, number, probability


def figure(frame: pl.DataFrame, measure: str, name: str = "findings") -> Chart | None:
    """Draw the findings of one measure; None if there is no effect to draw.

    Args:
        frame: Rows of one measure, with the columns of ``findings.SCHEMA``.
        measure: Its name, for the caption.
        name: Of the chart.
    """
    panels = tuple(_panels(frame.filter(pl.col("effect").is_not_nan())))
    if not panels:
        return None
    return Chart(
        name,
        "The study's claims on this model",
        f"Effect of each claim ({measure}) with its 95 % interval; above zero speaks for the "
        "claim, below zero against it. Raw scores are those of the study, calibrated ones are "
        "measured from chance, and the third kind has confounds taken out first. Intervals are of "
        "single effects; the table has p-values adjusted for the number of claims. A mark without "
        "a range has no test.",
        panels,
        columns=1,
    )


def _panels(frame: pl.DataFrame) -> Iterator[Panel]:
    groups: dict[str, list[str]] = {}
    for unit in frame["unit"].unique(maintain_order=True):
        key = "difference of scores" if _plain(unit) else unit
        groups.setdefault(key, []).append(unit)
    for label, units in groups.items():
        rows = frame.filter(pl.col("unit").is_in(units))
        if rows["p_value"].is_nan().all():
            continue
        names = tuple(rows["claim"].unique(maintain_order=True))
        axis = Axis("claim", names)
        marks: list[Marks | Line] = []
        for i, kind in enumerate(KINDS):
            own = rows.filter(scores=kind)
            if own.is_empty():
                continue
            marks.append(
                Marks(
                    CALLED[kind],
                    tuple(own["claim"]),
                    tuple(own["effect"]),
                    *_ends(own),
                    tuple(_hover(r) for r in own.iter_rows(named=True)),
                    colour=i,
                )
            )
        zero = Line("no effect", names, tuple(0.0 for _ in names), role="chance")
        yield Panel(label[:1].upper() + label[1:], axis, Axis(label), (*marks, zero))


def _plain(unit: str) -> bool:
    return unit.startswith("difference of")


def _ends(rows: pl.DataFrame) -> tuple[tuple[float, ...] | None, tuple[float, ...] | None]:
    low, high = tuple(rows["low"]), tuple(rows["high"])
    return (low, high) if any(map(isfinite, low)) else (None, None)


def _hover(row: dict[str, Any]) -> str:
    lines = [row["statement"], f"{CALLED[row['scores']]}: {row['verdict']}"]
    if row["reason"]:
        return "\n".join([*lines, f"{number(row['effect'])}, no test: {row['reason']}"])
    return "\n".join(
        [
            *lines,
            f"{number(row['effect'])}, 95 % {number(row['low'])} to {number(row['high'])}",
            f"adjusted p {probability(row['p_adjusted'])}, {row['languages']} languages",
        ]
    )
