"""The figures of speech against text: curves over the taps, and the map of all pairs of taps."""

from dataclasses import replace
from math import isnan

import polars as pl

from isogloss.analyses._adapted import adapted_of
from isogloss.analyses._curves import (
    bands,
    curve,
    nan_free,
    reading,
    references,
    resource,
    taken_out,
    x_axis,
    y_axis,
)
from isogloss.charts import Axis, Chart, Grid, Line, Panel
from isogloss.languages import RESOURCE_LEVELS
from isogloss.results import NULL, calibrate

_LEAST_SPAN = 0.1
"""Difference of scores that the colours of a map cover at least."""


def figure(frame: pl.DataFrame, controlled: pl.DataFrame, calibrated: bool) -> Chart:
    """Curves over the taps: of all languages, and by resource level.

    Args:
        frame: Plain scores of matched taps.
        controlled: The same without confounds.
        calibrated: Whether to show calibrated scores, and not raw ones.
    """
    axis, measure = x_axis(frame), frame["measure"][0]
    frame = frame.with_columns(level=resource("language_a"))

    def panel(title: str, lines: list[Line]) -> Panel:
        lines += references(frame, axis, calibrated=calibrated)
        return Panel(title, axis, y_axis(measure, calibrated), tuple(lines))

    def draw(rows: pl.DataFrame, name: str, colour: int) -> Line:
        return _crossed(
            curve(rows, axis, name, colour=colour, calibrated=calibrated, count="languages"), rows
        )

    count = frame["language_a"].n_unique()
    # Of so few languages the intervals are wide and cover each other; the pointer shows them.
    by_level = [
        replace(draw(rows, f"{name} ({rows['language_a'].n_unique()})", i + 1), low=None, high=None)
        for i, name in enumerate(RESOURCE_LEVELS)
        if not (rows := frame.filter(level=name)).is_empty()
    ]
    overall = [draw(frame, "mean", 0)]
    # Without confounds chance is another, so that only calibrated scores can be set beside it.
    if calibrated and not controlled.is_empty():
        overall.append(draw(controlled, "mean, confounds taken out", len(RESOURCE_LEVELS) + 1))
    what = "calibrated, " if calibrated else ""
    panels = (
        panel(f"All languages ({count})", overall),
        panel("By resource level", by_level),
    )
    return Chart(
        "cross_modal_calibrated" if calibrated else "cross_modal",
        f"Speech against text over the taps{' (calibrated)' if calibrated else ''}",
        f"Mean similarity ({what}{measure}) between the speech and the text of the same sentences, "
        f"over {count} languages (left) and by resource level (right). {bands(panels)}"
        f"{taken_out(controlled) if calibrated else ''}{reading(panels, calibrated)}",
        panels,
        emphasis="speech after length adaptation",
    )


def _crossed(line: Line, rows: pl.DataFrame) -> Line:
    """Mark places right behind a length adaptor, pooling or Q-Former, as the study does."""
    found = adapted_of(rows)
    if line.x and isinstance(line.x[0], str) and any(found):
        return replace(line, emphasis=found)
    return line


def map_of(frame: pl.DataFrame) -> Chart:
    """The map of all text taps against all speech taps.

    Args:
        frame: Plain scores of all pairs of taps.
    """
    # Each cell's permutations draw anew, and their noise would look like structure in a map.
    smooth = pl.when(pl.col("chance").is_nan()).then(NULL).otherwise("chance")
    means = frame.group_by("tap_a", "tap_b").agg(
        score=nan_free("score").mean(),
        calibrated=calibrate(pl.col("score"), smooth).fill_nan(None).mean(),
        chance=smooth.fill_nan(None).mean(),
        n=pl.col("n").min(),
    )
    found = {(r["tap_a"], r["tap_b"]): r for r in means.iter_rows(named=True)}
    text = tuple(frame.sort("position")["tap_a"].unique(maintain_order=True))
    speech = tuple(frame.sort("position")["tap_b"].unique(maintain_order=True))
    measure, count = frame["measure"][0], frame["language_a"].n_unique()
    closed = frame.filter(pl.col("score").is_not_nan())["chance"].is_not_nan().all()
    how = "in closed form" if closed else "by permutation"

    def number(t: str, s: str, key: str) -> float:
        value = found[t, s][key]
        return float("nan") if value is None else float(value)

    def panel(title: str, key: str) -> Panel:
        label = y_axis(measure, calibrated=key == "calibrated").label
        values = tuple(tuple(number(t, s, key) for s in speech) for t in text)
        return Panel(
            title,
            Axis("speech tap", speech),
            Axis("text tap", text),
            (Grid(label, speech, text, values, hover, range=_span(values)),),
        )

    hover = tuple(
        tuple(
            f"text {t} and speech {s}\nmean {number(t, s, 'score'):.3f}, "
            f"chance {number(t, s, 'chance'):.3f}, "
            f"calibrated {number(t, s, 'calibrated'):.3f}\nN {found[t, s]['n']}"
            for s in speech
        )
        for t in text
    )
    return Chart(
        "cross_modal_map",
        "All pairs of text and speech taps",
        f"Mean similarity ({measure}) over {count} languages between every text tap and every "
        "speech tap: raw, and calibrated as (score − chance) / (best − chance) with the matched "
        f"null {how} as chance, which differs from cell to cell.",
        (panel("Raw", "score"), panel("Calibrated", "calibrated")),
    )


def _span(values: tuple[tuple[float, ...], ...]) -> tuple[float, float] | None:
    """A range of colours that does not blow up differences of no account."""
    known = [v for row in values for v in row if not isnan(v)]
    if not known:
        return None
    low, high = min(known), max(known)
    more = max(0.0, _LEAST_SPAN - (high - low)) / 2
    return low - more, high + more
