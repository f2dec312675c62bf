"""The figure of the gaps analysis."""

from typing import Any

import numpy as np
import polars as pl

from isogloss import specs
from isogloss.analyses._curves import BASELINE, CHANCE, beside, lacks_chance, shown, y_axis
from isogloss.analyses._gap_table import KINDS, MODAL
from isogloss.charts import Axis, Chart, Line, Marks, Panel, Role
from isogloss.languages import name_of
from isogloss.similarity.measures import MEASURES


def figure(frame: pl.DataFrame, table: pl.DataFrame) -> Chart:
    names = tuple(table["language"])
    x = Axis("language, from high to low resource", names)

    def column(name: str) -> tuple[float, ...]:
        return tuple(float("nan") if v is None else float(v) for v in table[name])

    def marks(kind: str, colour: int, suffix: str) -> Marks:
        ends = ("low", "high") if kind == MODAL else (f"{suffix} lowest", f"{suffix} highest")
        low: tuple[float, ...] | None = column(f"{kind} {ends[0].strip()}")
        high: tuple[float, ...] | None = column(f"{kind} {ends[1].strip()}")
        if kind == MODAL and (suffix or np.isnan(low or ()).all()):
            low = high = None
        return Marks(
            kind,
            names,
            column(f"{kind}{suffix}"),
            low,
            high,
            tuple(_hover(r, kind, suffix) for r in table.iter_rows(named=True)),
            colour=colour,
        )

    def reference(kind: str, colour: int, what: str) -> Marks:
        role: Role = "chance" if what == "chance" else "baseline"
        name = CHANCE if role == "chance" else BASELINE
        values = column(f"{kind} {what}")
        return Marks(f"{name}, {kind}", names, values, role=role, colour=colour, legend=name)

    measure = frame["measure"][0]
    raw: list[Marks | Line] = [marks(kind, i, "") for i, kind in enumerate(KINDS)]
    calibrated: list[Marks | Line] = [marks(kind, i, " calibrated") for i, kind in enumerate(KINDS)]
    for i, kind in enumerate(KINDS):
        raw += [
            reference(kind, i, what) for what in ("chance", "baseline") if _any(table, kind, what)
        ]
        calibrated.append(reference(kind, i, "baseline calibrated"))
    zero = tuple(0.0 for _ in names)
    calibrated.append(Line(CHANCE, names, zero, role="chance", legend=""))
    larger = specs.parse(MEASURES, measure).info.larger_is_more_similar
    place = "under the top" if larger else "above the bottom"
    interval = ", raw with its 95 % interval" if raw[0].low is not None else ""
    # Without a level of chance there is nothing to calibrate by.
    chance = not lacks_chance(frame)
    both = ", and under its top when calibrated," if chance and not larger else ""
    how = "; calibrated scores are (score − chance) / (best − chance)" if chance else ""
    signs = "a dash is the matched null of its kind and a dot" if chance else "a dot is"
    panels = [Panel("Raw", x, y_axis(measure, calibrated=False), tuple(raw))]
    if chance:
        panels.append(Panel("Calibrated", x, y_axis(measure, calibrated=True), tuple(calibrated)))
    label = frame["label"][0]
    return Chart(
        "gaps",
        "Modality gap against language gap",
        f"Similarity ({measure}) at the last tap ({label}): a language's text to its own speech "
        f"(cross-modal{interval}), and its text and its speech to those of every other language "
        f"(mean, and range over the partners). Beside each raw score {signs} the study's "
        f"Gaussian baseline{how}. A cross-modal point {place} of the text range{both} means that "
        "the modality gap is the larger one.",
        tuple(panels),
        columns=beside(names),
    )


def _any(table: pl.DataFrame, kind: str, what: str) -> bool:
    return bool(table[f"{kind} {what}"].is_not_null().any())


def _hover(row: dict[str, Any], kind: str, suffix: str) -> str:
    name = name_of(row["language"])
    value = row[f"{kind}{suffix}"]
    if value is None:
        return f"{name}, {kind}\nnot defined"
    lines = [f"{name}, {kind}", f"{'mean ' if kind != MODAL else ''}{value:.3f}"]
    if kind != MODAL:
        low, high = row[f"{kind}{suffix} lowest"], row[f"{kind}{suffix} highest"]
        lines.append(f"{low:.3f} to {high:.3f} over {row[f'{kind} partners']} partners")
    lines.append(f"N {row[f'{kind} N']}, chance {shown(row[f'{kind} chance'])}")
    return "\n".join(lines)
