"""Draw one panel of a chart on matplotlib axes."""

import math
from typing import TYPE_CHECKING, Any

from isogloss.charts import Chart, Grid, Line, Marks, Panel, Points
from isogloss.figures import clouds, plan, style
from isogloss.figures.layout import BAR, TICK_BINS, TICK_STEPS, Frame, labels
from isogloss.figures.style import Theme
from isogloss.figures.text import SMALL, TEXT

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes


def draw_panel(
    ax: "Axes",
    chart: Chart,
    panel: Panel,
    theme: Theme,
    frame: Frame,
    *,
    limits: tuple[plan.Limits, plan.Limits],
    scales: dict[str, plan.Limits],
) -> None:
    """Draw the marks of a panel: bands and grids below, references next, data on top.

    Args:
        ax: Empty axes.
        chart: The chart that the panel belongs to.
        panel: What to draw.
        theme: Colours.
        frame: Its texts and labels.
        limits: Of the x-axis and the y-axis.
        scales: Ends of the colour scale of every grid name.
    """
    _prepare(ax, panel, theme)
    for given, shift in zip(panel.marks, plan.dodge(panel), strict=True):
        mark = plan.coloured(chart, given)
        if isinstance(mark, Line):
            _line(ax, mark, panel, theme, marked=plan.several(chart, mark))
        elif isinstance(mark, Marks):
            _marks(ax, mark, panel, theme, shift, marked=plan.several(chart, mark))
        elif isinstance(mark, Points):
            clouds.draw_points(ax, mark, panel, stroke(mark.role, mark.colour, theme)["color"])
        else:
            _grid(ax, mark, panel, theme, scales[mark.name])
    ax.set_xlim(*limits[0])
    ax.set_ylim(*limits[1])
    clouds.draw_names(ax, panel, theme, limits)
    _name_axes(ax, panel, theme, frame)


def _prepare(ax: "Axes", panel: Panel, theme: Theme) -> None:
    is_grid = any(isinstance(m, Grid) for m in panel.marks)
    ax.set_facecolor(theme.missing if is_grid else theme.background)
    ax.set_axisbelow(True)
    if not is_grid:
        ax.grid(axis="y", color=theme.rule, linewidth=0.8)
    if panel.x.categories is None or any(isinstance(m, Marks) for m in panel.marks):
        ax.grid(axis="x", color=theme.rule, linewidth=0.8)
    for side, spine in ax.spines.items():
        spine.set_visible(side in ("left", "bottom") and not is_grid)
        spine.set_color(theme.muted)
    for which, length in (("major", 3.5), ("minor", 2.0)):
        ax.tick_params(
            which=which,
            color=theme.muted,
            labelcolor=theme.muted,
            labelsize=SMALL,
            length=length,
        )


def stroke(role: str, colour: int, theme: Theme) -> dict[str, Any]:
    """Colour, width and dash of a line, as matplotlib takes them."""
    if role == "data":
        paint, width, dash = style.colour(theme, colour), style.DATA_WIDTH, style.dash(colour)
    elif role == "chance":
        paint, width, dash = theme.chance, style.REFERENCE_WIDTH, style.CHANCE_DASH
    else:
        paint, width, dash = theme.baseline, style.REFERENCE_WIDTH, style.BASELINE_DASH
    # matplotlib multiplies dashes by the line width.
    pattern: Any = (0, tuple(d / width for d in dash)) if dash else "solid"
    return {"color": paint, "linewidth": width, "linestyle": pattern}


def _line(ax: "Axes", line: Line, panel: Panel, theme: Theme, *, marked: bool) -> None:
    from matplotlib.collections import PolyCollection

    paint = stroke(line.role, line.colour, theme)
    polygons = plan.band(line, panel)
    if polygons:
        ax.add_collection(
            PolyCollection(
                polygons,
                facecolors=paint["color"],
                edgecolors="none",
                alpha=style.BAND_OPACITY if line.role == "data" else style.BAND_OPACITY / 2,
                zorder=1,
            )
        )
    curve = plan.curve(line, panel)
    ax.plot(curve.x, curve.y, zorder=3 if line.role == "data" else 2, **paint)
    if marked:
        # Markers apart from the line, so that a dash never breaks one.
        ax.plot(
            curve.x,
            curve.y,
            linestyle="none",
            zorder=3.5 if line.role == "data" else 2,
            **_marker(line.role, line.colour, theme),
        )
    if line.emphasis:
        crossed = [i for i in curve.source if i is not None and line.emphasis[i]]
        xs = plan.positions(line, panel)
        ax.plot(
            [xs[i] for i in crossed],
            [line.y[i] for i in crossed],
            linestyle="none",
            zorder=4,
            **_cross(theme),
        )


def _marker(role: str, colour: int, theme: Theme) -> dict[str, Any]:
    paint = stroke(role, colour, theme)["color"]
    filled = role == "data"
    return {
        "marker": style.marker(colour)[0],
        "markersize": (4.8 if filled else 3.4) * style.even(colour),
        "markerfacecolor": paint if filled else theme.background,
        "markeredgecolor": theme.background if filled else paint,
        "markeredgewidth": 0.5 if filled else 0.9,
    }


def _cross(theme: Theme) -> dict[str, Any]:
    return {
        "marker": "X",
        "markersize": 8.5,
        "markerfacecolor": theme.cross,
        "markeredgecolor": theme.ink,
        "markeredgewidth": 0.9,
    }


def _marks(
    ax: "Axes", marks: Marks, panel: Panel, theme: Theme, shift: float, *, marked: bool
) -> None:
    xs = [x + shift for x in plan.positions(marks, panel)]
    paint = stroke(marks.role, marks.colour, theme)["color"]
    if marks.low is not None and marks.high is not None:
        spans = zip(xs, marks.low, marks.high, strict=True)
        kept = [s for s in spans if math.isfinite(s[1]) and math.isfinite(s[2])]
        ax.vlines(
            [s[0] for s in kept],
            [s[1] for s in kept],
            [s[2] for s in kept],
            colors=paint,
            linewidth=3.2,
            alpha=style.RANGE_OPACITY,
            zorder=2,
        )
    shape = (_marker if marked else _tick)(marks.role, marks.colour, theme)
    ax.plot(
        xs,
        marks.y,
        linestyle="none",
        zorder=3 if marks.role == "data" else 2.5,
        **shape,
    )


def _tick(role: str, colour: int, theme: Theme) -> dict[str, Any]:
    """A dash for chance and a dot for the baseline, after their dashed and dotted lines."""
    look = {"marker": "_", "markersize": 4.4, "markeredgewidth": 1.4}
    if role == "baseline":
        look = {"marker": ".", "markersize": 4}
    return {**look, "color": stroke(role, colour, theme)["color"]}


def _grid(ax: "Axes", grid: Grid, panel: Panel, theme: Theme, scale: plan.Limits) -> None:
    import numpy as np
    from matplotlib.colors import LinearSegmentedColormap

    names_x, names_y = panel.x.categories or (), panel.y.categories or ()
    cells = np.full((len(names_y), len(names_x)), np.nan)
    index_x = [names_x.index(name) for name in grid.x]
    for name, row in zip(grid.y, grid.z, strict=True):
        cells[names_y.index(name), index_x] = row
    ramp = style.SEQUENTIAL if grid.centre is None else style.DIVERGING
    mesh = ax.pcolormesh(
        np.ma.masked_invalid(cells),
        cmap=LinearSegmentedColormap.from_list("isogloss", ramp),
        vmin=scale[0],
        vmax=scale[1],
        # Thousands of vector cells make a PDF slow to turn pages.
        rasterized=cells.size > 4000,
        linewidth=0,
    )
    # Cells are centred on their category's number, as the points of other marks are.
    from matplotlib.transforms import Affine2D

    mesh.set_transform(Affine2D().translate(-0.5, -0.5) + ax.transData)
    _colour_bar(ax, mesh, grid, theme)


def _colour_bar(ax: "Axes", mesh: Any, grid: Grid, theme: Theme) -> None:
    from matplotlib.ticker import MaxNLocator, ScalarFormatter

    figure = ax.get_figure(root=True)
    if figure is None:
        return
    place = ax.get_position()
    inch = 1 / figure.get_figwidth()
    beside = figure.add_axes((place.x1 + 0.08 * inch, place.y0, BAR * inch, place.height))
    bar = figure.colorbar(
        mesh,
        cax=beside,
        ticks=MaxNLocator(nbins=TICK_BINS, steps=list(TICK_STEPS)),
        format=ScalarFormatter(useOffset=False),
    )
    bar.set_label(plan.one_line(grid.name, 48), color=theme.ink, size=TEXT, labelpad=3)
    bar.ax.tick_params(color=theme.muted, labelcolor=theme.muted, labelsize=SMALL)
    bar.outline.set_visible(False)


def _name_axes(ax: "Axes", panel: Panel, theme: Theme, frame: Frame) -> None:
    from matplotlib.ticker import MaxNLocator, ScalarFormatter

    for axis, own, chosen in (
        (ax.xaxis, panel.x, frame.x_ticks),
        (ax.yaxis, panel.y, frame.y_ticks),
    ):
        if panel.square:
            # The numbers of a map mean nothing.
            axis.set_ticks([])
            continue
        if chosen is None:
            axis.set_major_locator(MaxNLocator(nbins=TICK_BINS, steps=list(TICK_STEPS)))
            axis.set_major_formatter(ScalarFormatter(useOffset=False))
            continue
        names = labels(own)
        upright = chosen.upright and axis is ax.xaxis
        axis.set_ticks(
            list(chosen.shown),
            [names[i] for i in chosen.shown],
            rotation=90 if upright else 0,
        )
        axis.set_ticks([i for i in range(len(names)) if i not in chosen.shown], minor=True)
    ax.set_xlabel("\n".join(frame.x_label), color=theme.ink, size=TEXT, labelpad=3)
    ax.set_ylabel("\n".join(frame.y_label), color=theme.ink, size=TEXT, labelpad=3)
    if frame.title:
        ax.set_title("\n".join(frame.title), color=theme.ink, size=TEXT, weight="bold", loc="left")


def handle(entry: plan.Entry, chart: Chart, theme: Theme) -> "Artist":
    """The sample of a legend entry."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    if entry.kind == "missing":
        return Patch(facecolor=theme.missing, edgecolor=theme.muted, linewidth=0.5)
    if entry.kind == "cross":
        return Line2D([], [], linestyle="none", **_cross(theme))
    paint = stroke(entry.role, entry.colour, theme)
    marked = plan.several(chart, entry)
    marker = _marker(entry.role, entry.colour, theme) if marked else {}
    if entry.kind == "line":
        return Line2D([], [], **paint, **marker)
    return Line2D([], [], linestyle="none", **(marker or _tick(entry.role, entry.colour, theme)))
