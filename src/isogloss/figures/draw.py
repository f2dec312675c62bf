"""Draw a chart with matplotlib: sizes, title, notes, panels and legend.

Nothing goes through pyplot, and the user's own matplotlib settings have no effect.
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from isogloss.charts import Chart, check
from isogloss.errors import MissingExtraError, StudyError, unknown
from isogloss.figures import layout, plan, style
from isogloss.figures.style import THEMES, Theme, ThemeName
from isogloss.figures.text import HEAD, SMALL, TEXT, Ruler, line_height

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from matplotlib.legend import Legend


@contextmanager
def house_style() -> Iterator[None]:
    """Use matplotlib's defaults with our few changes, and give the user's settings back."""
    try:
        from matplotlib import style as mpl_style
    except ImportError:
        raise MissingExtraError("Drawing figures", "report") from None
    ours: dict[str, object] = {
        "font.family": [style.FONT],
        "font.size": TEXT,
        # A dollar sign in a name is a dollar sign.
        "text.parse_math": False,
        "pdf.fonttype": 42,
        "svg.hashsalt": "isogloss",
    }
    with mpl_style.context(["default", ours], after_reset=True), warnings.catch_warnings():
        # Names in scripts that the font lacks are drawn as boxes; the report shows them.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        yield


def draw(chart: Chart, *, theme: ThemeName = "light") -> "Figure":
    """Draw a chart.

    Args:
        chart: What to show.
        theme: ``light`` or ``dark``.

    Returns:
        A matplotlib figure that belongs to no window and needs no closing.

    Raises:
        MissingExtraError: matplotlib is not installed.
        IsoglossError: The chart contradicts itself.
        StudyError: There is no such theme.
    """
    if theme not in THEMES:
        raise StudyError(unknown("theme", theme, THEMES))
    check(chart)
    with house_style():
        return _draw(chart, THEMES[theme])


def _draw(chart: Chart, theme: Theme) -> "Figure":
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    from isogloss.figures.panels import draw_panel

    ruler = Ruler()
    limits = plan.limits(chart)
    scales = plan.colour_limits(chart)
    plot = layout.arrange(chart, ruler, limits)
    # A narrow figure would break the title into too many lines.
    width = max(4.0, plot.width)
    figure = Figure(figsize=(width, 4), facecolor=theme.background, edgecolor="none")
    FigureCanvasAgg(figure)
    legend, foot = _legend(figure, replace(chart, steps=()), theme, ruler)
    head = layout.head_lines(chart, width, ruler)
    above = sum(tall for *_, tall in head) + layout.MARGIN + (0.06 if head else 0)
    height = foot + plot.panels_height + above
    figure.set_size_inches(width, height)
    if legend is not None:
        legend.set_bbox_to_anchor((0.5, 0.05 / height))
    _write_head(figure, head, theme)
    for i, panel in enumerate(chart.panels):
        x, y = plot.corners[i]
        x += (width - plot.width) / 2
        box_w, box_h = plot.box
        ax = figure.add_axes((x / width, (foot + y) / height, box_w / width, box_h / height))
        draw_panel(ax, chart, panel, theme, plot.frames[i], limits=limits[i], scales=scales)
    return figure


def _legend(
    figure: "Figure", chart: Chart, theme: Theme, ruler: Ruler
) -> "tuple[Legend | None, float]":
    """Put the legend below the panels, in as many columns as fit; return it and its height."""
    from isogloss.figures.panels import handle

    entries = plan.legend(chart)
    if not entries:
        return None, 0.05
    room = figure.get_figwidth() - 2 * layout.MARGIN
    # In font sizes, as matplotlib counts: sample, gap to the text, gap between columns.
    sample = 3.4 if any(e.kind == "line" for e in entries) else 1.4
    pad, between = 0.8, 2.0
    extra = (sample + pad) * SMALL / 72
    texts = [ruler.wrap(e.name, SMALL, room - extra) for e in entries]
    wide = [ruler.widest(lines, SMALL) + extra for lines in texts]
    columns = len(entries)
    while columns > 1 and _legend_width(wide, columns, between * SMALL / 72) > room:
        columns -= 1
    legend = figure.legend(
        [handle(e, chart, theme) for e in entries],
        ["\n".join(lines) for lines in texts],
        loc="lower center",
        ncols=columns,
        frameon=False,
        fontsize=SMALL,
        labelcolor=theme.ink,
        handlelength=sample,
        handletextpad=pad,
        columnspacing=between,
        borderpad=0,
        borderaxespad=0,
    )
    return legend, legend.get_window_extent().height / figure.dpi + 0.1


def _legend_width(wide: list[float], columns: int, between: float) -> float:
    """Width of a legend filled column by column, the first columns one longer if need be."""
    rows, longer = divmod(len(wide), columns)
    total, start = between * (columns - 1), 0
    for column in range(columns):
        stop = start + rows + (column < longer)
        total += max(wide[start:stop], default=0.0)
        start = stop
    return total


def _write_head(
    figure: "Figure", lines: list[tuple[str, bool, float, float]], theme: Theme
) -> None:
    width, height = figure.get_size_inches()
    y = height - layout.MARGIN
    for text, is_note, x, tall in lines:
        y -= tall
        box = {"boxstyle": "square,pad=0.25", "facecolor": theme.note_fill, "edgecolor": "none"}
        lifted = 0.5 * (line_height(SMALL if is_note else HEAD) * (1 + text.count("\n")))
        figure.text(
            x / width,
            (y + lifted) / height,
            text,
            size=SMALL if is_note else HEAD,
            weight="normal" if is_note else "bold",
            color=theme.note if is_note else theme.ink,
            va="center",
            bbox=box if is_note else None,
            gid="note" if is_note else "title",
        )
