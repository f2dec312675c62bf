"""Turn the panels of a chart into plotly.js figures, as plain dictionaries.

Colours are names (``@ink``, ``@c0``) that the page replaces when its theme changes, so a figure is
stored once. Everything is escaped, because plotly reads tags in labels and hover texts.
"""

from typing import Any

from isogloss.charts import Axis, Chart, Grid, Marks, Panel, Points, check
from isogloss.figures import plan, style, ticks
from isogloss.figures.text import LABEL_LIMIT
from isogloss.report.inert import escape, font, wrapped
from isogloss.report.traces import heatmap, traces

Json = dict[str, Any]

LETTER = 6.4
"""Width of a letter of a tick label, in pixels, on the safe side."""
_LINE = 12.0
_SLOTS = (3, 5, 7, 9, 11, 12, 13, 14, 15, 16, 18, 20, 23, 26, 30, 35, 40, 50, 60, 80, 110, 150, 250)
"""Distances between two categories, in pixels, for which labels are chosen beforehand."""


def themes() -> dict[str, dict[str, Any]]:
    """The colours behind the names, per theme."""
    return {name: _colours(theme) for name, theme in style.THEMES.items()}


def _colours(theme: style.Theme) -> dict[str, Any]:
    out: dict[str, Any] = {
        name: getattr(theme, name)
        for name in ("background", "ink", "muted", "rule", "chance", "baseline", "cross", "missing")
    }
    out |= {f"c{i}": paint for i, paint in enumerate(theme.palette)}
    for name in [f"c{i}" for i in range(len(theme.palette))] + ["chance", "baseline"]:
        opacity = style.BAND_OPACITY / (2 if name in ("chance", "baseline") else 1)
        out[f"{name}-band"] = _faded(out[name], opacity)
        out[f"{name}-range"] = _faded(out[name], style.RANGE_OPACITY)
    for name, ramp in (("sequential", style.SEQUENTIAL), ("diverging", style.DIVERGING)):
        out[name] = [[i / (len(ramp) - 1), paint] for i, paint in enumerate(ramp)]
    return out


def _faded(paint: str, opacity: float) -> str:
    red, green, blue = (int(paint[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red},{green},{blue},{opacity:g})"


def figures(chart: Chart) -> list[Json]:
    """One plotly figure per panel.

    Returns:
        Per panel ``data`` and ``layout`` of plotly.js, ``entries`` (the legend entry that each
        trace belongs to, or -1), ``ticks`` (category labels by room), ``height`` and ``minWidth``
        in pixels.

    Raises:
        IsoglossError: The chart contradicts itself.
    """
    check(chart)
    legend = plan.legend(chart)
    scales = plan.colour_limits(chart)
    out = []
    for panel, limits in zip(chart.panels, plan.limits(chart), strict=True):
        made: list[tuple[Json, int]] = []
        for mark, shift in zip(panel.marks, plan.dodge(panel), strict=True):
            if isinstance(mark, Grid):
                made.append((heatmap(mark, panel, scales[mark.name]), -1))
                continue
            entry = plan.place(legend, mark)
            made += [(trace, entry) for trace in traces(mark, chart, panel, shift=shift)]
        # Stable: what lies below comes first, else in the order given.
        made.sort(key=lambda t: t[0].pop("layer", 0))
        grids = any(isinstance(m, Grid) for m in panel.marks)
        out.append(
            {
                "data": [t for t, _ in made],
                "entries": [e for _, e in made],
                "layout": _layout(panel, limits, grids=grids),
                "ticks": {"x": _ticks(panel.x, upright=True), "y": _ticks(panel.y, upright=False)},
                "height": _height(panel),
                "minWidth": _min_width(panel, grids=grids),
            }
        )
    return out


def _layout(panel: Panel, limits: tuple[plan.Limits, plan.Limits], *, grids: bool) -> Json:
    x_rules = panel.x.categories is None or any(isinstance(m, Marks) for m in panel.marks)
    return {
        "autosize": True,
        "margin": {"l": 12, "r": 14, "t": 12, "b": 12},
        "showlegend": False,
        "hovermode": "closest",
        "paper_bgcolor": "@background",
        "plot_bgcolor": "@missing" if grids else "@background",
        "hoverlabel": {
            "bgcolor": "@background",
            "bordercolor": "@muted",
            "font": font("ink", 13),
            "align": "left",
        },
        "xaxis": _axis(panel.x, limits[0], wrap=52, rules=x_rules),
        "yaxis": _axis(panel.y, limits[1], wrap=42, rules=not grids),
    }


def _axis(axis: Axis, limits: plan.Limits, *, wrap: int, rules: bool) -> Json:
    out: Json = {
        "title": {"text": wrapped(axis.label, wrap), "standoff": 8, "font": font("ink", 13)},
        "range": list(limits),
        "automargin": True,
        "zeroline": False,
        "showgrid": rules,
        "gridcolor": "@rule",
        "showline": True,
        "linecolor": "@muted",
        "ticks": "outside",
        "ticklen": 4,
        "tickcolor": "@muted",
        "tickfont": font("muted", 12 if axis.categories is None else 11),
    }
    if axis.categories is not None:
        # Numbers, not plotly's categories: those drop labels of their own choice.
        out |= {"type": "linear", "tickmode": "array"}
    return out


def _ticks(axis: Axis, *, upright: bool) -> list[Json] | None:
    """Category labels for more and more room: the page takes the last whose ``room`` it has."""
    if axis.categories is None:
        return None
    labels = [plan.one_line(name, LABEL_LIMIT) for name in axis.categories]
    widths = [LETTER * len(t) if upright else 0.8 * _LINE for t in labels]
    out: list[Json] = []
    for slot in _SLOTS:
        chosen = ticks.choose(labels, widths=widths, slot=slot, line=_LINE)
        step = {
            "tickvals": list(chosen.shown),
            "ticktext": [escape(labels[i]) for i in chosen.shown],
            "tickangle": -90 if chosen.upright and upright else 0,
        }
        if not out or out[-1] | {"room": 0} != step | {"room": 0}:
            out.append({"room": slot if out else 0, **step})
    return out


def _height(panel: Panel) -> int:
    if panel.y.categories is not None:
        return max(260, 110 + 19 * len(panel.y.categories))
    return 420 if panel.marks and all(isinstance(m, Points) for m in panel.marks) else 340


def _min_width(panel: Panel, *, grids: bool) -> int:
    """Less than this and the panel scrolls sideways, because names would be dropped."""
    names = panel.x.categories or ()
    beside = sum(isinstance(m, Marks) and m.role == "data" for m in panel.marks)
    numbered = sum(name.isdecimal() for name in names) > len(names) / 2
    slot = max(7 if numbered else 1.1 * _LINE, 7 * beside)
    return max(250, 75 + (75 if grids else 0) + round(len(names) * slot))
