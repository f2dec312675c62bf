"""Turn the panels of a chart into plotly.js figures, as plain dictionaries.

Colours are names (``@ink``, ``@c0``) that the page replaces when its theme changes, so a figure is
stored once. Everything is escaped, because plotly reads tags in labels and hover texts.
"""

from collections.abc import Sequence
from typing import Any

from isogloss.charts import Axis, Chart, Grid, Mark, Marks, Panel, Points, check
from isogloss.figures import clouds, plan, style, ticks
from isogloss.figures.text import LABEL_LIMIT
from isogloss.report.inert import escape, font, wrapped
from isogloss.report.traces import cloud_marker, heatmap, name_of, traces

Json = dict[str, Any]

LETTER = 6.4
"""Width of a letter of a tick label, in pixels, on the safe side."""
_LINE = 12.0
_NAME = (0.085, 0.034)
"""Room of a cloud's name of three letters, as a share of a map on a small screen."""
_HEIGHT_OF_MAP = 520
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


def content(chart: Chart) -> Json:
    """All that the page needs to draw a chart.

    Returns:
        ``panels`` as :func:`figures` gives them. With steps, ``steps`` instead: ``label`` and
        ``panels`` of each; ``shown``, the first to show; and ``texts``, each list of hover texts
        once, however many steps and panels have it: ``hovertext`` of a trace is its place there.

    Raises:
        IsoglossError: The chart contradicts itself.
    """
    check(chart)
    if not chart.steps:
        return {"panels": figures(chart)}
    scales = plan.colour_limits(chart)
    found: dict[str, int] = {}
    texts: list[Any] = []
    steps = []
    for step in chart.steps:
        panels = figures(chart, step.panels, scales=scales)
        for trace in (trace for figure in panels for trace in figure["data"]):
            if "hovertext" in trace:
                key = repr(trace["hovertext"])
                if key not in found:
                    found[key] = len(texts)
                    texts.append(trace["hovertext"])
                trace["hovertext"] = found[key]
        steps.append({"label": step.label, "panels": panels})
    return {"steps": steps, "shown": chart.shown, "texts": texts}


def figures(
    chart: Chart,
    panels: Sequence[Panel] | None = None,
    *,
    scales: dict[str, plan.Limits] | None = None,
) -> list[Json]:
    """One plotly figure per panel.

    Args:
        chart: A chart that has passed :func:`isogloss.charts.check`.
        panels: Those of one of its steps; the printed ones if left out.
        scales: Ends of the colour scales, if they are known already.

    Returns:
        Per panel ``data`` and ``layout`` of plotly.js, ``entries`` (the legend entry that each
        trace belongs to, or -1), ``ticks`` (category labels by room), ``height`` and ``minWidth``
        in pixels. Where the reader can choose between colourings, ``looks`` has ``entries`` and
        ``markers`` for each of them.
    """
    legends = [plan.legend(chart, i) for i in range(max(1, len(chart.colourings)))]
    scales = plan.colour_limits(chart) if scales is None else scales
    shown = chart.panels if panels is None else panels
    out = []
    for panel, limits in zip(shown, plan.limits(chart, shown), strict=True):
        made: list[tuple[Json, Mark]] = []
        for given, shift in zip(panel.marks, plan.dodge(panel), strict=True):
            if isinstance(given, Grid):
                made.append((heatmap(given, panel, scales[given.name]), given))
                continue
            mark = plan.coloured(chart, given)
            made += [(trace, given) for trace in traces(mark, chart, panel, shift=shift)]
        size = (_NAME[0], _NAME[1] * _HEIGHT_OF_MAP / _height(panel))
        made += [(name_of(*found), found[0]) for found in clouds.names(panel, limits, size)]
        # Stable: what lies below comes first, else in the order given.
        made.sort(key=lambda t: t[0].pop("layer", 0))
        grids = any(isinstance(m, Grid) for m in panel.marks)
        looks = [_look(chart, panel, legend, i, made) for i, legend in enumerate(legends)]
        figure = {
            "data": [trace for trace, _ in made],
            "entries": looks[0]["entries"],
            "layout": _layout(panel, limits, grids=grids),
            "ticks": {"x": _ticks(panel.x, upright=True), "y": _ticks(panel.y, upright=False)},
            "height": _height(panel),
            "minWidth": _min_width(panel, grids=grids),
        }
        out.append(figure | ({"looks": looks} if len(looks) > 1 else {}))
    return out


def _look(
    chart: Chart,
    panel: Panel,
    legend: Sequence[plan.Entry],
    colouring: int,
    made: Sequence[tuple[Json, Mark]],
) -> Json:
    """Legend entry and marker of each trace under a colouring."""
    entries: list[int] = []
    markers: list[Json | None] = []
    for trace, given in made:
        mark = plan.coloured(chart, given, colouring)
        entries.append(-1 if isinstance(mark, Grid) else plan.place(legend, mark))
        if isinstance(mark, Points) and trace["mode"] == "markers":
            markers.append(cloud_marker(mark, panel))
        else:
            markers.append(None)
    return {"entries": entries, "markers": markers}


def _layout(panel: Panel, limits: tuple[plan.Limits, plan.Limits], *, grids: bool) -> Json:
    x_rules = panel.x.categories is None or any(isinstance(m, Marks) for m in panel.marks)
    layout: Json = {
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
    if panel.square:
        # The numbers of a map mean nothing.
        for side in ("xaxis", "yaxis"):
            layout[side] |= {"showticklabels": False, "ticks": "", "showgrid": False}
        layout["yaxis"] |= {"scaleanchor": "x", "scaleratio": 1}
    return layout


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
    if not plan.is_map(panel):
        return 340
    return _HEIGHT_OF_MAP if any(isinstance(m, Points) and m.label for m in panel.marks) else 420


def _min_width(panel: Panel, *, grids: bool) -> int:
    """Less than this and the panel scrolls sideways, because names would be dropped."""
    names = panel.x.categories or ()
    beside = sum(isinstance(m, Marks) and m.role == "data" for m in panel.marks)
    numbered = sum(name.isdecimal() for name in names) > len(names) / 2
    slot = max(7 if numbered else 1.1 * _LINE, 7 * beside)
    return max(250, 75 + (75 if grids else 0) + round(len(names) * slot))
