"""Where the parts of a still figure go, in inches, known before anything is drawn.

All boxes (the area between the axes) have one size, and so have the margins around them in a row
and in a column, so that panels line up. The size follows from the number of categories: labels are
never squeezed.
"""

import itertools
import math
from dataclasses import dataclass

from isogloss.charts import Axis, Chart, Grid, Marks, Panel, Points
from isogloss.figures import plan, ticks
from isogloss.figures.text import HEAD, LABEL_LIMIT, SMALL, TEXT, Ruler, line_height

MARGIN = 0.12
TICK = 0.09
"""Room for a tick and the space between it and its label."""
BAR = 0.13
"""Width of the colour bar of a grid."""
TICK_STEPS = (1, 2, 2.5, 5, 10)
TICK_BINS = 8

_WIDEST = 10.8
"""Panels go below each other rather than make the figure wider than this."""
_LARGEST_BOX = 14.0
_MANY_NAMES = 10


@dataclass(frozen=True)
class Frame:
    """One panel: its texts, broken into lines, and its category labels."""

    title: list[str]
    x_label: list[str]
    y_label: list[str]
    x_ticks: ticks.Ticks | None
    y_ticks: ticks.Ticks | None


@dataclass(frozen=True)
class Layout:
    """Sizes and places in inches; the origin is the lower left corner."""

    width: float
    panels_height: float
    box: tuple[float, float]
    corners: list[tuple[float, float]]
    """Lower left corner of each box, measured from the lower left of the panels' area."""
    frames: list[Frame]


def labels(axis: Axis) -> list[str]:
    """The category labels of an axis as they are written."""
    return [plan.one_line(name, LABEL_LIMIT) for name in axis.categories or ()]


def arrange(chart: Chart, ruler: Ruler, limits: list[tuple[plan.Limits, plan.Limits]]) -> Layout:
    """Place the panels of a chart.

    Args:
        chart: What is to be drawn.
        ruler: Measures text.
        limits: The (x, y) limits of each panel.
    """
    box = (
        min(_LARGEST_BOX, max(_box_width(p) for p in chart.panels)),
        min(_LARGEST_BOX, max(_box_height(p) for p in chart.panels)),
    )
    frames = [
        _frame(panel, box, ruler, (x[1] - x[0], y[1] - y[0]))
        for panel, (x, y) in zip(chart.panels, limits, strict=True)
    ]
    sides = [
        _margins(panel, frame, ruler, plan.colour_limits(chart), y)
        for panel, frame, (_, y) in zip(chart.panels, frames, limits, strict=True)
    ]
    left, right = (max(side[i] for side in sides) for i in range(2))
    each = left + box[0] + right
    columns = max(1, min(chart.columns, len(chart.panels), int(_WIDEST / each)))
    corners: list[tuple[float, float]] = []
    height = 0.0
    # Rows from below, each with the room that its own texts need above and below its boxes.
    for start in reversed(range(0, len(sides), columns)):
        row = sides[start : start + columns]
        top, bottom = (max(side[i] for side in row) for i in (2, 3))
        corners = [(i * each + left, height + bottom) for i in range(len(row))] + corners
        height += top + box[1] + bottom
    return Layout(columns * each, height, box, corners, frames)


def _box_width(panel: Panel) -> float:
    if panel.x.categories is None:
        return _map_size(panel)
    names = labels(panel.x)
    beside = sum(isinstance(m, Marks) and m.role == "data" for m in panel.marks)
    grids = any(isinstance(m, Grid) for m in panel.marks)
    # Numbered layers can do with a label at every other one; neighbouring names cannot.
    thin = not beside and not grids
    thin &= all(a.isdecimal() or b.isdecimal() for a, b in itertools.pairwise(names))
    return max(2.75, len(names) * max(0.105 if thin else 0.16, 0.085 * beside))


def _box_height(panel: Panel) -> float:
    if panel.y.categories is not None:
        return max(1.9, 0.175 * len(panel.y.categories))
    return _map_size(panel) if plan.is_map(panel) else 2.0


def _map_size(panel: Panel) -> float:
    """Side of a box with numeric axes; many names on it need room."""
    names = sum(isinstance(m, Points) and bool(m.label) for m in panel.marks)
    return 2.75 if names < _MANY_NAMES else 4.2


def _frame(
    panel: Panel, box: tuple[float, float], ruler: Ruler, spans: tuple[float, float]
) -> Frame:
    line = line_height(SMALL)
    x_ticks = y_ticks = None
    if panel.x.categories is not None:
        widths = [ruler.width(t, SMALL) for t in labels(panel.x)]
        slot = box[0] / spans[0]
        x_ticks = ticks.choose(labels(panel.x), widths=widths, slot=slot, line=line)
    if panel.y.categories is not None:
        names = labels(panel.y)
        slot = box[1] / spans[1]
        # 0.75: lines of text carry some of the gap between labels in their own height.
        y_ticks = ticks.choose(names, widths=[0.75 * line] * len(names), slot=slot, line=line)
    return Frame(
        title=ruler.wrap(panel.title, TEXT, box[0], bold=True),
        x_label=ruler.balance(panel.x.label, TEXT, box[0]),
        y_label=ruler.balance(panel.y.label, TEXT, box[1] + 0.3),
        x_ticks=x_ticks,
        y_ticks=y_ticks,
    )


def _margins(
    panel: Panel,
    frame: Frame,
    ruler: Ruler,
    scales: dict[str, plan.Limits],
    y_limits: plan.Limits,
) -> tuple[float, float, float, float]:
    """Room needed left, right, above and below a box."""
    y_names = labels(panel.y) if panel.y.categories is not None else tick_texts(y_limits)
    y_names = [] if panel.square else y_names
    left = MARGIN + len(frame.y_label) * line_height(TEXT) + 0.05
    left += ruler.widest(y_names, SMALL) + TICK
    below = 0.0 if panel.square else line_height(SMALL)
    if frame.x_ticks is not None and frame.x_ticks.upright:
        below = ruler.widest([labels(panel.x)[i] for i in frame.x_ticks.shown], SMALL)
    bottom = TICK + below + 0.06 + len(frame.x_label) * line_height(TEXT) + MARGIN
    top = 0.1 + len(frame.title) * line_height(TEXT)
    right = MARGIN + 0.04
    for grid in panel.marks:
        if isinstance(grid, Grid):
            texts = tick_texts(scales[grid.name])
            bar = 0.08 + BAR + TICK + ruler.widest(texts, SMALL)
            right = max(right, bar + 0.05 + line_height(TEXT) + MARGIN)
    return left, right, top, bottom


def tick_texts(limits: plan.Limits) -> list[str]:
    """The labels of a numeric axis."""
    from matplotlib.ticker import MaxNLocator, ScalarFormatter

    places = MaxNLocator(nbins=TICK_BINS, steps=list(TICK_STEPS)).tick_values(*limits)
    formatter = ScalarFormatter(useOffset=False)
    formatter.create_dummy_axis()
    formatter.axis.set_view_interval(*limits)  # type: ignore[union-attr]
    return list(formatter.format_ticks([v for v in places if limits[0] <= v <= limits[1]]))


def head_lines(chart: Chart, width: float, ruler: Ruler) -> list[tuple[str, bool, float, float]]:
    """Title and notes from the top down: (text, whether a note, x, height).

    Notes stand side by side as long as they fit; a new row has a height, the rest of it 0.
    """
    room = width - 2 * MARGIN
    title = ruler.wrap(plan.title(chart), HEAD, room, bold=True)
    lines = [(text, False, MARGIN, line_height(HEAD)) for text in title]
    x = math.inf
    for note in chart.notes:
        wrapped = ruler.wrap("⚠ " + note, SMALL, room - 0.2)
        wide = ruler.widest(wrapped, SMALL) + 0.22
        same_row = len(wrapped) == 1 and x + wide <= width - MARGIN
        x = x if same_row else MARGIN + 0.04
        tall = 0.0 if same_row else len(wrapped) * line_height(SMALL) + 0.11
        lines.append(("\n".join(wrapped), True, x, tall))
        x = x + wide if len(wrapped) == 1 else math.inf
    return lines
