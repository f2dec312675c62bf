"""Clouds of points: where their names are written, for both renderers, and how print draws them."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from isogloss.charts import Panel, Points
from isogloss.figures import style
from isogloss.figures.plan import Limits
from isogloss.figures.style import Theme
from isogloss.figures.text import SMALL, Ruler

if TYPE_CHECKING:
    from matplotlib.axes import Axes

CROWD = 1000
"""From so many points on a map, they are drawn smaller."""

_ROUNDS = 300
_ABOVE = 0.9
"""How far above its cloud's centre a name starts, as a share of its height."""
_GOLDEN = np.pi * (3 - np.sqrt(5))
_CLEAR = 1.02
"""How far apart two names end up, as a share of their size."""

Floats = NDArray[np.float64]


def names(
    panel: Panel, limits: tuple[Limits, Limits], size: tuple[float, float]
) -> list[tuple[Points, float, float]]:
    """Place the labels of clouds so that none covers another.

    A label stands just above the point of its cloud with the least mean distance to the others (a
    median that is one of the points, so it lies inside the larger part of a cloud in two parts).
    Labels that would overlap move apart, as little as needed.

    Args:
        panel: A map.
        limits: Of the x-axis and the y-axis.
        size: Width and height of a label, as shares of the box.

    Returns:
        Cloud, x and y of the middle of its label. Clouds without a label or points are left out.
    """
    marks = [m for m in panel.marks if isinstance(m, Points) and m.label]
    found = [(mark, place) for mark in marks if (place := centre(mark)) is not None]
    if not found:
        return []
    low = np.array([limits[0][0], limits[1][0]])
    span = np.array([limits[0][1], limits[1][1]]) - low
    unit = span * np.array(size)
    # On the point itself it would hide a small cloud.
    start = (np.array([place for _, place in found]) - low) / unit + [0.0, _ABOVE]
    places = _apart(start, span / unit) * unit
    return [
        (mark, float(x), float(y)) for (mark, _), (x, y) in zip(found, places + low, strict=True)
    ]


def centre(points: Points) -> tuple[float, float] | None:
    """The point of a cloud with the least mean distance to the others; None if there is none."""
    at = np.column_stack([np.asarray(points.x, float), np.asarray(points.y, float)])
    at = at[np.isfinite(at).all(axis=1)]
    if not len(at):
        return None
    total = np.zeros(len(at))
    for point in at:
        total += np.hypot(*(at - point).T)
    x, y = at[int(np.argmin(total))]
    return float(x), float(y)


def _apart(places: Floats, box: Floats) -> Floats:
    """Move unit squares apart until none overlaps, inside a box as far as that has room."""
    order = np.arange(len(places))
    # Names that start at one place would all leave it the same way.
    turn = order * _GOLDEN
    spiral = np.sqrt(order)[:, None] * np.column_stack([np.cos(turn), np.sin(turn)])
    at: Floats = places + 0.02 * spiral
    for _ in range(_ROUNDS):
        apart = at[:, None] - at
        overlap = _CLEAR - np.abs(apart)
        clash = np.logical_and(*np.moveaxis(overlap > 1e-9, 2, 0)) & (order[:, None] != order)
        if not clash.any():
            break
        # Along the side on which they overlap less; labels at one place part by their order.
        side = (overlap[..., 0] < overlap[..., 1])[..., None] == np.array([True, False])
        sign = np.where(apart == 0, np.sign(order[:, None] - order)[..., None], np.sign(apart))
        step = np.where(clash[..., None] & side, 0.5 * overlap * sign, 0.0)
        # A label between two others moves by the mean: the sum would throw it back and forth.
        count = np.maximum((step != 0).sum(axis=1), 1)
        at = np.clip(at + step.sum(axis=1) / np.sqrt(count), 0.5, np.maximum(box - 0.5, 0.5))
    return at


def crowded(panel: Panel) -> bool:
    """Whether a map has so many points that they must be small."""
    return sum(len(m.x) for m in panel.marks if isinstance(m, Points)) >= CROWD


def draw_points(ax: "Axes", points: Points, panel: Panel, paint: str) -> None:
    """Draw a cloud on matplotlib axes."""
    many = crowded(panel)
    ax.plot(
        points.x,
        points.y,
        linestyle="none",
        marker=style.marker(points.colour)[0],
        markersize=(2.6 if many else 3.8) * style.even(points.colour),
        alpha=style.POINT_OPACITY,
        color=paint,
        markeredgewidth=0,
        # Thousands of vector marks make a PDF slow to turn pages.
        rasterized=many,
        zorder=3,
    )


def draw_names(ax: "Axes", panel: Panel, theme: Theme, limits: tuple[Limits, Limits]) -> None:
    """Write the names of clouds over them, with a halo that parts them from the points."""
    from matplotlib.patheffects import withStroke

    labelled = [m.label for m in panel.marks if isinstance(m, Points) and m.label]
    figure = ax.get_figure(root=True)
    if not labelled or figure is None:
        return
    width, height = figure.get_size_inches() * ax.get_position().size
    size = Ruler().widest(labelled, SMALL, bold=True) + 0.03, 1.05 * SMALL / 72
    for mark, x, y in names(panel, limits, (size[0] / width, size[1] / height)):
        ax.text(
            x,
            y,
            mark.label,
            size=SMALL,
            weight="bold",
            color=theme.ink,
            ha="center",
            va="center",
            gid="cloud",
            zorder=5,
            path_effects=[withStroke(linewidth=2.2, foreground=theme.background)],
        )
