"""Samples of legend entries as small SVG drawings, coloured by the page's theme."""

import math
from typing import TYPE_CHECKING

from isogloss.charts import Chart
from isogloss.figures import plan, style

if TYPE_CHECKING:
    from markupsafe import Markup

_WIDE, _NARROW, _TALL = 38, 16, 14


def swatch(entry: plan.Entry, chart: Chart) -> "Markup":
    """The sample of a legend entry: its line, dash and marker."""
    from markupsafe import Markup

    wide = _WIDE if entry.kind == "line" else _NARROW
    # The drawing is centred on 0; a line needs more room to show its dash than a marker does.
    # Every part is made of numbers and names of this package, none of it of data.
    return Markup(  # noqa: S704
        f'<svg class="swatch" width="{wide}" height="{_TALL}" '
        f'viewBox="{-wide / 2:g} {-_TALL / 2:g} {wide} {_TALL}" '
        f'aria-hidden="true">{_body(entry, chart)}</svg>'
    )


def _body(entry: plan.Entry, chart: Chart) -> str:
    if entry.kind == "missing":
        return (
            '<rect x="-7" y="-5" width="14" height="10" '
            'style="fill:var(--missing);stroke:var(--muted)"/>'
        )
    if entry.kind == "cross":
        return _shape("x", 6, "fill:var(--cross);stroke:var(--ink)")
    paint = f"var(--c{entry.colour % len(style.MARKERS)})"
    paint = paint if entry.role == "data" else f"var(--{entry.role})"
    data, marked = entry.role == "data", plan.several(chart, entry)
    marker = ""
    if marked:
        fill = f"fill:{paint}" if data else f"fill:var(--background);stroke:{paint}"
        marker = _shape(style.marker(entry.colour)[1], 4.5 if data else 3.4, fill)
    elif entry.role == "baseline":
        marker = _shape("circle", 2, f"fill:{paint}")
    else:
        marker = f'<path d="M-6 0h12" style="stroke:{paint};stroke-width:2"/>'
    if entry.kind != "line":
        return marker
    width = style.DATA_WIDTH if data else style.REFERENCE_WIDTH
    reference = style.CHANCE_DASH if entry.role == "chance" else style.BASELINE_DASH
    dash = " ".join(f"{1.3 * d:g}" for d in (style.dash(entry.colour) if data else reference))
    stroke = f"stroke:{paint};stroke-width:{1.3 * width:g};stroke-dasharray:{dash or 'none'}"
    line = f'<path d="M{1 - _WIDE / 2:g} 0h{_WIDE - 2}" style="{stroke}"/>'
    return line + marker if marked else line


def _shape(name: str, radius: float, look: str) -> str:
    if name == "circle":
        return f'<circle r="{radius:g}" style="{look}"/>'
    points = " ".join(f"{radius * u:.2f},{radius * v:.2f}" for u, v in _corners(name))
    return f'<polygon points="{points}" style="{look}"/>'


def _corners(name: str) -> list[tuple[float, float]]:
    if name == "square":
        return [(-0.9, -0.9), (0.9, -0.9), (0.9, 0.9), (-0.9, 0.9)]
    if name == "diamond":
        return [(0, -1.2), (1.2, 0), (0, 1.2), (-1.2, 0)]
    if name in ("triangle-up", "triangle-down"):
        sign = 1 if name == "triangle-up" else -1
        return [(0, -1.1 * sign), (1.1, 0.9 * sign), (-1.1, 0.9 * sign)]
    if name in ("cross", "x"):
        w = 0.4
        plus = [(-w, -1.2), (w, -1.2), (w, -w), (1.2, -w), (1.2, w), (w, w)]
        plus += [(w, 1.2), (-w, 1.2), (-w, w), (-1.2, w), (-1.2, -w), (-w, -w)]
        if name == "cross":
            return plus
        turn = math.sqrt(0.5)
        return [((u - v) * turn, (u + v) * turn) for u, v in plus]
    tips, inner = (5, 0.5) if name == "star" else (5, None)
    corners = []
    for i in range(tips):
        angle = 2 * math.pi * i / tips
        corners.append((1.25 * math.sin(angle), -1.25 * math.cos(angle)))
        if inner:
            angle += math.pi / tips
            corners.append((1.25 * inner * math.sin(angle), -1.25 * inner * math.cos(angle)))
    return corners
