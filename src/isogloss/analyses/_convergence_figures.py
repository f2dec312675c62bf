"""Figures of convergence: how many pairs have converged by each depth, and each language's."""

import numpy as np
import polars as pl

from isogloss.analyses._convergence_curves import CROSS_MODAL
from isogloss.charts import Axis, Chart, Line, Marks, Panel
from isogloss.corpora.base import MODALITIES

WHAT = (*MODALITIES, CROSS_MODAL)
NAMES = {
    "text": "pairs of languages, text",
    "speech": "pairs of languages, speech",
    CROSS_MODAL: "text with speech of a language",
}
_DEPTHS = tuple(float(x) for x in np.linspace(0, 1, 21))
_AXIS = "relative depth (0 = input, 1 = last layer)"


def charts(frame: pl.DataFrame) -> tuple[Chart, ...]:
    """All figures that there are numbers for."""
    rows = frame.filter(scores="calibrated")
    return () if rows.is_empty() else (_cumulative(rows), *_by_language(rows))


def _cumulative(rows: pl.DataFrame) -> Chart:
    share, level = rows["share"][0], rows["common_level"][0]
    panels = []
    for which, title in (
        ("own", f"{share:g} of the own maximum"),
        ("common", f"Calibrated score {level:.2f}"),
    ):
        lines = []
        for colour, what in enumerate(WHAT):
            own = rows.filter(what=what)
            if own.is_empty():
                continue
            depths = own[f"{which}_depth"].to_numpy()
            counts = [int((depths <= x + 1e-12).sum()) for x in _DEPTHS]
            never = own.filter(pl.col(f"{which}_state") == "never").height
            lines.append(
                Line(
                    NAMES[what],
                    _DEPTHS,
                    tuple(count / own.height for count in counts),
                    hover=tuple(
                        f"by depth {x:.2f}: {count} of {own.height}\n{never} never"
                        for x, count in zip(_DEPTHS, counts, strict=True)
                    ),
                    colour=colour,
                )
            )
        axis = Axis(_AXIS, range=(0.0, 1.0))
        panels.append(
            Panel(title, axis, Axis("share that got there", range=(0.0, 1.0)), tuple(lines))
        )
    return Chart(
        "convergence",
        "Which pairs converge first",
        f"Share of pairs whose calibrated score ({rows['measure_used'][0]}) has reached, by each "
        f"depth, {share:g} of its own maximum over the taps (left), or {level:.2f}, the same for "
        "all (right). Between taps scores are taken to follow a straight line. Pairs that never "
        "get there, and those that are above chance at no tap, count among all pairs.",
        tuple(panels),
        columns=2,
    )


def _by_language(rows: pl.DataFrame) -> tuple[Chart, ...]:
    turned = rows.filter(pl.col("language_a") != pl.col("language_b")).with_columns(
        language_a="language_b", language_b="language_a"
    )
    both = pl.concat([rows, turned])
    names = tuple(sorted(set(both["language_a"])))
    marks = []
    for colour, what in enumerate(WHAT):
        own = (
            both.filter(what=what)
            .group_by("language_a")
            .agg(
                depth=pl.col("own_depth").fill_nan(None).median(),
                low=pl.col("own_depth").fill_nan(None).min(),
                high=pl.col("own_depth").fill_nan(None).max(),
                never=(pl.col("own_state") == "never").sum(),
                count=pl.len(),
            )
            .with_columns(pl.col("depth", "low", "high").fill_null(float("nan")))
            .sort("language_a")
        )
        if own.is_empty():
            continue
        several = what != CROSS_MODAL
        marks.append(
            Marks(
                NAMES[what],
                tuple(own["language_a"]),
                tuple(own["depth"]),
                tuple(own["low"]) if several else None,
                tuple(own["high"]) if several else None,
                tuple(
                    f"{r['language_a']}, {NAMES[what]}: {r['depth']:.2f}"
                    + (f" (median of {r['count'] - r['never']})" if several else "")
                    + (f"\n{r['never']} of {r['count']} never" if r["never"] else "")
                    for r in own.iter_rows(named=True)
                ),
                colour=colour,
            )
        )
    if not marks:
        return ()
    axis = Axis("depth of convergence (0 = input)", range=(0.0, 1.0))
    panel = Panel("", Axis("language", names), axis, tuple(marks))
    return (
        Chart(
            "convergence_languages",
            "How deep each language converges",
            f"Depth at which the calibrated score has reached {rows['share'][0]:g} of its own "
            "maximum over the taps: median over the pairs of a language with its range, and that "
            "of its text with its speech. Pairs that never do are left out, and counted in the "
            "table.",
            (panel,),
            columns=1,
        ),
    )
