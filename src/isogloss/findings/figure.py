"""All findings in one figure: effects with their intervals, the kinds of scores side by side."""

from collections.abc import Iterator
from typing import Any

import polars as pl

from isogloss.analyses._curves import ends
from isogloss.charts import Axis, Chart, Line, Marks, Panel
from isogloss.findings.table import KINDS
from isogloss.findings.words import CALLED, number, probability

_SCORES = "difference of scores"


def figures(frame: pl.DataFrame, measure: str, name: str = "findings") -> list[Chart]:
    """Draw the findings of one measure: differences of scores, and effects in other units.

    Args:
        frame: Rows of one measure, with the columns of ``findings.SCHEMA``.
        measure: Its name, for the caption.
        name: Of the first chart; the second one's has ``_other`` behind it.

    Returns:
        None, one or two charts.
    """
    panels = dict(_panels(frame.filter(pl.col("effect").is_not_nan())))
    scores = panels.pop(_SCORES, None)
    found = []
    for drawn, end, title in (
        ((scores,) if scores else (), "", "The study's claims on this model"),
        (tuple(panels.values()), "_other", "The study's claims on this model, in other units"),
    ):
        if drawn:
            found.append(
                Chart(
                    name + (end if scores else ""),
                    title,
                    f"Effect of each claim ({measure}) with its 95 % interval; above zero speaks "
                    "for the claim, below zero against it. Raw scores are those of the study, "
                    "calibrated ones are measured from chance, and the third kind has confounds "
                    "taken out first. Intervals are of single effects; the table has p-values "
                    "adjusted for the number of claims. A mark without a range has no test.",
                    drawn,
                    columns=1 if len(drawn) == 1 else 3,
                )
            )
    return found


def _panels(frame: pl.DataFrame) -> Iterator[tuple[str, Panel]]:
    groups: dict[str, list[str]] = {}
    for unit in frame["unit"].unique(maintain_order=True):
        key = _SCORES if _plain(unit) else unit
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
                    *ends(own),
                    tuple(_hover(r) for r in own.iter_rows(named=True)),
                    colour=i,
                )
            )
        zeros = tuple(0.0 for _ in names)
        # A line through one place would not show.
        shape = Line if len(names) > 1 else Marks
        zero = shape("no effect", names, zeros, role="chance")
        title = label[:1].upper() + label[1:] if len(label) > 1 and label[1] != " " else label
        yield label, Panel(title, axis, Axis(label), (*marks, zero))


def _plain(unit: str) -> bool:
    return unit.startswith("difference of")


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
