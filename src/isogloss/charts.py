"""What a figure shows, as plain data, before anything is drawn.

An analysis describes its figures with these classes; ``figures`` draws them with matplotlib and
``report`` with plotly, so the printed figure and the interactive one cannot disagree.
A value that could not be computed is NaN, and is drawn as a gap, never as 0.
"""

from dataclasses import dataclass
from typing import Literal

Role = Literal["data", "chance", "baseline"]
"""What a mark is: the data, the matched null, or the Gaussian vectors of the study."""


@dataclass(frozen=True)
class Line:
    """A curve over the x-axis, with an optional band around it."""

    name: str
    """Legend entry. Lines of several panels with one name and colour share one entry."""
    x: tuple[str, ...] | tuple[float, ...]
    """Category labels (strings, all among the axis' categories) or numbers."""
    y: tuple[float, ...]
    low: tuple[float, ...] | None = None
    high: tuple[float, ...] | None = None
    hover: tuple[str, ...] | None = None
    """One text per point, plain (it is escaped); lines are separated by newlines."""
    role: Role = "data"
    colour: int = 0
    """Index into the colour-blind-safe palette; also picks marker and dash."""
    emphasis: tuple[bool, ...] | None = None
    """Points to mark with a cross, such as the tap after a length adaptor."""
    break_before: tuple[int, ...] = ()
    """Indices of points that are not joined to the one before."""


@dataclass(frozen=True)
class Marks:
    """One point per category, with an optional range, such as a mean and its extremes."""

    name: str
    x: tuple[str, ...]
    y: tuple[float, ...]
    low: tuple[float, ...] | None = None
    high: tuple[float, ...] | None = None
    hover: tuple[str, ...] | None = None
    role: Role = "data"
    colour: int = 0


@dataclass(frozen=True)
class Grid:
    """A heat map of values over two category axes, such as all pairs of layers."""

    name: str
    """What the colour means, with its unit."""
    x: tuple[str, ...]
    y: tuple[str, ...]
    z: tuple[tuple[float, ...], ...]
    """One row per entry of ``y``."""
    hover: tuple[tuple[str, ...], ...] | None = None


@dataclass(frozen=True)
class Axis:
    """An axis: its name with the unit, and its categories in order if it is not numeric."""

    label: str
    categories: tuple[str, ...] | None = None
    range: tuple[float, float] | None = None


@dataclass(frozen=True)
class Panel:
    """One pair of axes."""

    title: str
    x: Axis
    y: Axis
    marks: tuple[Line | Marks | Grid, ...]


@dataclass(frozen=True)
class Chart:
    """A figure: panels side by side (wrapped to ``columns``), with a caption."""

    name: str
    """File name without suffix, such as ``cross_modal``."""
    title: str
    caption: str
    """What is shown, how it was computed, what the bands and baselines are."""
    panels: tuple[Panel, ...]
    columns: int = 2
    notes: tuple[str, ...] = ()
    """Marks that must be visible in the figure itself, such as "untrained model"."""
