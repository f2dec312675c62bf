"""Turn the marks of a panel into plotly.js traces, as plain dictionaries."""

import base64
import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from isogloss.charts import Chart, Grid, Line, Marks, Panel, Points
from isogloss.figures import clouds, plan, style
from isogloss.report.inert import escape, folded, font, wrapped

Json = dict[str, Any]


def traces(mark: Line | Marks | Points, chart: Chart, panel: Panel, *, shift: float) -> list[Json]:
    """The traces of a mark, with a ``layer`` that says what lies above what."""
    if isinstance(mark, Line):
        return _line(mark, panel, marked=plan.several(chart, mark))
    if isinstance(mark, Marks):
        return _marks(mark, panel, shift, marked=plan.several(chart, mark))
    return [_points(mark, panel)]


def _paint(role: str, colour: int) -> str:
    return f"@c{colour % len(style.MARKERS)}" if role == "data" else f"@{role}"


def _stroke(role: str, colour: int) -> Json:
    if role == "data":
        width, dash = style.DATA_WIDTH, style.dash(colour)
    else:
        width = style.REFERENCE_WIDTH
        dash = style.CHANCE_DASH if role == "chance" else style.BASELINE_DASH
    pattern = ",".join(f"{1.3 * d:g}px" for d in dash) if dash else "solid"
    return {"color": _paint(role, colour), "width": 1.3 * width, "dash": pattern}


def _trace(**rest: Any) -> Json:
    return {"type": "scatter", "showlegend": False, "cliponaxis": False} | rest


def _line(line: Line, panel: Panel, *, marked: bool) -> list[Json]:
    traces = []
    xs: list[float | None] = []
    ys: list[float | None] = []
    for polygon in plan.band(line, panel):
        closed = [*polygon, polygon[0]]
        xs += [*(_json(x) for x, _ in closed), None]
        ys += [*(_json(y) for _, y in closed), None]
    if xs:
        fill = _paint(line.role, line.colour) + "-band"
        look = {"fill": "toself", "fillcolor": fill, "line": {"width": 0}}
        band = _trace(x=xs, y=ys, mode="lines", hoverinfo="skip", layer=-2, **look)
        traces.append(band)
    curve = plan.curve(line, panel)
    texts = [hover(line, panel, i) if i is not None else "" for i in curve.source]
    traces.append(
        _trace(
            x=[_json(x) for x in curve.x],
            y=[_json(y) for y in curve.y],
            mode="lines+markers" if marked else "lines",
            line=_stroke(line.role, line.colour),
            marker=_marker(line.role, line.colour),
            hovertext=texts,
            hoverinfo="text",
            connectgaps=False,
            layer=0 if line.role == "data" else -1,
        )
    )
    if line.emphasis and any(line.emphasis):
        at = [i for i, crossed in enumerate(line.emphasis) if crossed]
        places = plan.positions(line, panel)
        edge = {"color": "@ink", "width": 1.2}
        traces.append(
            _trace(
                x=[places[i] for i in at],
                y=[_json(line.y[i]) for i in at],
                mode="markers",
                marker={"symbol": "x", "size": 11, "color": "@cross", "line": edge},
                hoverinfo="skip",
                layer=1,
            )
        )
    return traces


def _marker(role: str, colour: int) -> Json:
    paint = _paint(role, colour)
    shape = style.marker(colour)[1]
    if role == "data":
        return {
            "symbol": shape,
            "size": 8.5 * style.even(colour),
            "color": paint,
            "line": {"color": "@background", "width": 1},
        }
    return {
        "symbol": shape,
        "size": 6 * style.even(colour),
        "color": "@background",
        "line": {"color": paint, "width": 1.2},
    }


def _marks(marks: Marks, panel: Panel, shift: float, *, marked: bool) -> list[Json]:
    xs = [x + shift for x in plan.positions(marks, panel)]
    texts = [hover(marks, panel, i) for i in range(len(xs))]
    traces = []
    if marks.low is not None and marks.high is not None:
        spans: Json = {"x": [], "y": [], "hovertext": []}
        for x, low, high, text in zip(xs, marks.low, marks.high, texts, strict=True):
            if math.isfinite(low) and math.isfinite(high):
                spans["x"] += [_json(x), _json(x), None]
                spans["y"] += [_json(low), _json(high), None]
                spans["hovertext"] += [text, text, ""]
        line = {"color": _paint(marks.role, marks.colour) + "-range", "width": 5}
        traces.append(_trace(**spans, mode="lines", line=line, hoverinfo="text", layer=-1))
    marker = _marker(marks.role, marks.colour)
    if not marked:
        paint = _paint(marks.role, marks.colour)
        marker = {"symbol": "circle", "size": 4, "color": paint}
        if marks.role == "chance":
            line = {"color": paint, "width": 1.6}
            marker = {"symbol": "line-ew-open", "size": 6, "color": paint, "line": line}
    points = {"x": [_json(x) for x in xs], "y": [_json(y) for y in marks.y]}
    traces.append(
        _trace(**points, mode="markers", marker=marker, hovertext=texts, hoverinfo="text")
    )
    return traces


def _points(points: Points, panel: Panel) -> Json:
    texts: Json
    if points.hover is not None:
        texts = {"hovertext": _inert(points.hover), "hoverinfo": "text"}
    else:
        # One template for all: a map has thousands of points.
        place = f"{escape(panel.x.label)}: %{{x:.4g}}<br>{escape(panel.y.label)}: %{{y:.4g}}"
        texts = {"hovertemplate": f"{escape(points.name)}<br>{place}<extra></extra>"}
    return _trace(
        x=_packed(plan.positions(points, panel)),
        y=_packed(points.y),
        mode="markers",
        marker=cloud_marker(points, panel),
        # Points are inside the axes, and asking each of thousands takes as long as drawing it.
        cliponaxis=True,
        **texts,
    )


@lru_cache(maxsize=1024)
def _inert(texts: tuple[str, ...]) -> list[str]:
    """Hover texts, broken into lines; those of a cloud are the same at every step."""
    return [escape(folded(text)) for text in texts]


def cloud_marker(points: Points, panel: Panel) -> Json:
    """The marker of a cloud of points."""
    return {
        "symbol": style.marker(points.colour)[1],
        "size": (4.2 if clouds.crowded(panel) else 5.5) * style.even(points.colour),
        "color": _paint(points.role, points.colour),
        "opacity": style.POINT_OPACITY,
    }


def name_of(points: Points, x: float, y: float) -> Json:
    """The trace of a cloud's name; the page's style gives it a halo."""
    return _trace(
        x=[_json(x)],
        y=[_json(y)],
        mode="text",
        text=[escape(points.label)],
        textfont=font("ink", 13) | {"weight": 700},
        hoverinfo="skip",
        layer=2,
    )


def _packed(values: Sequence[float]) -> Json:
    """Coordinates as plotly.js reads them from base64: a quarter of the room of digits.

    They are rounded to a power of two below a pixel, which leaves zeros for gzip to take.
    """
    found = np.asarray(values, dtype=np.float64)
    known = found[np.isfinite(found)]
    span = float(np.ptp(known)) if known.size else 0.0
    if span > 0:
        step = 2.0 ** math.floor(math.log2(span / 8192))
        found = np.round(found / step) * step
    raw = found.astype("<f4").tobytes()
    return {"dtype": "f4", "bdata": base64.b64encode(raw).decode()}


def heatmap(grid: Grid, panel: Panel, scale: plan.Limits) -> Json:
    """The trace of a grid, with the ends of its colour scale."""
    columns, rows = panel.x.categories or (), panel.y.categories or ()
    z: list[list[float | None]] = [[None] * len(columns) for _ in rows]
    texts = [[""] * len(columns) for _ in rows]
    for i, y in enumerate(grid.y):
        for j, x in enumerate(grid.x):
            at = rows.index(y), columns.index(x)
            z[at[0]][at[1]] = _json(grid.z[i][j])
            value = number(grid.z[i][j])
            plain = (
                grid.hover[i][j]
                if grid.hover
                else f"{panel.x.label}: {x}\n{panel.y.label}: {y}\n{value}"
            )
            texts[at[0]][at[1]] = escape(plain)
    return {
        "type": "heatmap",
        "x": list(range(len(columns))),
        "y": list(range(len(rows))),
        "z": z,
        "zmin": scale[0],
        "zmax": scale[1],
        "colorscale": "@sequential" if grid.centre is None else "@diverging",
        "hovertext": texts,
        "hoverinfo": "text",
        "colorbar": {
            "title": {"text": wrapped(grid.name, 34), "side": "right", "font": font("ink", 12)},
            "thickness": 12,
            "outlinewidth": 0,
            "tickfont": font("muted", 11),
        },
    }


def hover(mark: Line | Marks, panel: Panel, i: int) -> str:
    """The escaped hover text of a point: its own, or its series, place and value."""
    if mark.hover is not None:
        return escape(mark.hover[i])
    x = mark.x[i]
    lines = [mark.name, f"{panel.x.label}: {x if isinstance(x, str) else number(x)}"]
    lines.append(f"{panel.y.label}: {number(mark.y[i])}")
    if mark.low is not None and mark.high is not None:
        lines.append(f"{number(mark.low[i])} to {number(mark.high[i])}")
    return escape("\n".join(lines))


def number(value: float) -> str:
    """A value in a hover text."""
    return f"{value:.4g}" if math.isfinite(value) else "not computed"


def _json(value: float) -> float | None:
    # Six digits are more than a screen can show, and half the size.
    return float(f"{value:.6g}") if math.isfinite(value) else None
