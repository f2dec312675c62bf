"""Figures and sentences that set a run beside its control."""

from collections.abc import Iterator
from math import isnan

import polars as pl

from isogloss import specs
from isogloss.analyses import ANALYSES
from isogloss.analyses._curves import ends, shown, x_axis, y_axis
from isogloss.analyses.cross_modal import GRID
from isogloss.charts import Chart, Line, Panel
from isogloss.results import PLAIN
from isogloss.settings import digest
from isogloss.similarity.measures import MEASURES

OWN, CONTROL = "with the sentence's own recording", "control: with another sentence's recording"

QUESTION = "How much of it did the texts take from the speech before them?"


def charts(means: pl.DataFrame, control: pl.DataFrame) -> Iterator[Chart]:
    """One figure for each analysis and measure that both have over several taps.

    Args:
        means: Means of the run, as in ``results.MEANS``.
        control: Those of its control.
    """
    several = means["measure"].n_unique() > 1
    for analysis, measure, mine, its in _shared(means, control):
        calibrated = not mine["calibrated"].is_nan().all()
        panels = []
        for (group,), rows in mine.group_by("group", maintain_order=True):
            beside = its.filter(group=group)
            if rows["position"].n_unique() > 1 and beside.height:
                panels.append(_panel(str(group), measure, rows, beside, calibrated))
        if panels:
            yield Chart(
                f"control_{analysis}" + (f"-{digest(measure)[:6]}" if several else ""),
                f"{_title(analysis)}: own and other recordings"
                + (f" ({specs.short(MEASURES, measure)})" if several else ""),
                f"Mean {'calibrated similarity' if calibrated else 'similarity'} ({measure}) where "
                "each text was encoded after the recording of its own sentence, and in the control "
                "after that of another one. Bands, where there are any, are 95 % intervals of the "
                "mean by a jackknife over languages. What lies between the two curves came from "
                "the speech that the text could see.",
                tuple(panels),
            )


def findings(means: pl.DataFrame, control: pl.DataFrame) -> list[str]:
    """What the control says at the last tap, one sentence for each kind of comparison.

    Where some go over several taps, those at the last one alone would only repeat them.
    """
    found = []
    several = means["measure"].n_unique() > 1
    places = means.group_by("analysis", "group").agg(pl.col("position").n_unique())
    over_taps = bool((places["position"] > 1).any())
    for analysis, measure, mine, its in _shared(means, control):
        by = f" ({specs.short(MEASURES, measure)})" if several else ""
        for (group,), rows in mine.group_by("group", maintain_order=True):
            if rows["position"].n_unique() == 1 and over_taps:
                continue
            last = rows.sort("depth", "position").row(-1, named=True)
            beside = its.filter(group=group, position=last["position"], label=last["label"])
            if beside.is_empty():
                continue
            value = "score" if isnan(last["calibrated"]) else "calibrated"
            what = "similarity" if value == "score" else "calibrated similarity"
            found.append(
                f"{_title(analysis)} ({group}) at the last tap ({last['label']}){by}: {what} "
                f"{shown(last[value])} with the sentence's own recording, "
                f"{shown(beside[value][0])} with another one's."
            )
    return found


def _title(analysis: str) -> str:
    return ANALYSES.get(analysis).title


def _shared(
    means: pl.DataFrame, control: pl.DataFrame
) -> Iterator[tuple[str, str, pl.DataFrame, pl.DataFrame]]:
    kept = (pl.col("control") == PLAIN) & (pl.col("group") != GRID)
    plain, other = means.filter(kept), control.filter(kept)
    for (analysis, measure), mine in plain.group_by("analysis", "measure", maintain_order=True):
        its = other.filter(analysis=analysis, measure=measure)
        if its.height:
            yield str(analysis), str(measure), mine, its


def _panel(
    group: str, measure: str, mine: pl.DataFrame, its: pl.DataFrame, calibrated: bool
) -> Panel:
    axis = x_axis(mine)
    lines = []
    for i, (name, rows) in enumerate(((OWN, mine), (CONTROL, its))):
        ordered = rows.sort("depth", "position")
        value, low, high = (
            ("calibrated", "calibrated_low", "calibrated_high")
            if calibrated
            else ("score", "low", "high")
        )
        lines.append(
            Line(
                name,
                tuple(ordered["label" if axis.categories else "depth"]),
                tuple(ordered[value]),
                *ends(ordered, low, high),
                tuple(
                    f"{r['label']}, {name}\n{value} {shown(r[value])}, chance {shown(r['null'])}\n"
                    f"{r['languages']} languages, N {r['n']}"
                    for r in ordered.iter_rows(named=True)
                ),
                colour=i,
            )
        )
    return Panel(group, axis, y_axis(measure, calibrated), tuple(lines))
