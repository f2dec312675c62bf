"""What a figure shows, as plain data, before anything is drawn.

An analysis describes its figures with these classes; ``figures`` draws them with matplotlib and
``report`` with plotly, so the printed figure and the interactive one cannot disagree.
A value that could not be computed is NaN, and is drawn as a gap, never as 0.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from isogloss.errors import IsoglossError

Role = Literal["data", "chance", "baseline"]
"""What a mark is: the data, the matched null, or the Gaussian vectors of the study."""


@dataclass(frozen=True)
class Line:
    """A curve over the x-axis, with an optional band around it."""

    name: str
    """What is drawn; also its legend entry, unless ``legend`` gives another. Marks of all panels
    with one entry and colour share it, and so do chances, and baselines, of any colour."""
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
    legend: str | None = None
    """Legend entry, if it is not the name; empty for none."""


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
    legend: str | None = None
    """Legend entry, if it is not the name; empty for none."""


@dataclass(frozen=True)
class Points:
    """A cloud of points over two numeric axes, such as one language on a map."""

    name: str
    x: tuple[float, ...]
    y: tuple[float, ...]
    hover: tuple[str, ...] | None = None
    """One text per point, plain. Clouds and steps with equal texts share them in the report."""
    role: Role = "data"
    colour: int = 0
    """Index into the palette, unless the chart has colourings."""
    label: str = ""
    """Written at the median of the points, such as the code of a language."""
    ids: tuple[str, ...] | None = None
    """What each point stands for, such as a sentence id; a column of the table of values."""


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
    range: tuple[float, float] | None = None
    """Values at the ends of the colour scale; if left out, those of all grids of this name."""
    centre: float | None = None
    """Value at the middle of a two-sided colour scale; a one-sided scale if left out."""


Mark = Line | Marks | Points | Grid


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
    marks: tuple[Mark, ...]
    square: bool = False
    """Whether a unit is as long on x as on y, as on a map; both axes are numeric then."""


@dataclass(frozen=True)
class Step:
    """One of several states of a figure, such as a tap."""

    label: str
    panels: tuple[Panel, ...]


@dataclass(frozen=True)
class Colouring:
    """What the colours of all clouds of points stand for, such as language families."""

    name: str
    groups: Mapping[str, str]
    """Name of a cloud -> its group, in the order of the legend. A group has one colour and one
    entry; the first groups get the colours that differ most."""


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
    emphasis: str = ""
    """What the crosses of ``Line.emphasis`` mean, for the legend; no entry if empty."""
    steps: tuple[Step, ...] = ()
    """States that a slider in the report moves through; ``panels`` are those of one of them, which
    is what print shows."""
    step_name: str = "tap"
    """What the steps are, in one word."""
    colourings: tuple[Colouring, ...] = ()
    """Ways to colour the clouds of points, for the reader of the report to choose from. Print
    shows the first."""

    @property
    def shown(self) -> int:
        """Which of the steps ``panels`` are; -1 without steps."""
        found = [i for i, step in enumerate(self.steps) if step.panels is self.panels]
        found += [i for i, step in enumerate(self.steps) if step.panels == self.panels]
        return found[0] if found else -1

    @property
    def states(self) -> tuple[tuple[Panel, ...], ...]:
        """The panels of every step, or the only ones."""
        return tuple(step.panels for step in self.steps) or (self.panels,)


def check(chart: Chart) -> None:
    """Refuse a chart that cannot be drawn as it is meant.

    Raises:
        IsoglossError: Lengths differ, a category is unknown or repeated, an axis has no name,
            steps do not go together, a cloud has no group, or the chart's name cannot be a file
            name. The message names chart, step, panel and mark.
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", chart.name):
        raise IsoglossError(
            f'the chart name "{chart.name}" cannot be a file name: '
            "use letters, digits, dot, hyphen and underscore"
        )
    if not chart.panels or chart.columns < 1:
        raise IsoglossError(f'chart "{chart.name}" needs at least one panel and one column')
    for problem in (*_step_problems(chart), *_colouring_problems(chart)):
        raise IsoglossError(f'chart "{chart.name}": {problem}')
    for i, panels in enumerate(chart.states):
        step = f', {chart.step_name} "{chart.steps[i].label}"' if chart.steps else ""
        for panel in panels:
            for problem in _problems(panel):
                raise IsoglossError(f'chart "{chart.name}"{step}, panel "{panel.title}": {problem}')


def _step_problems(chart: Chart) -> Iterator[str]:
    if not chart.steps:
        return
    if not chart.step_name.strip():
        yield 'the steps have no name; say what they are, such as "tap"'
    for label, count in Counter(step.label for step in chart.steps).items():
        if not label.strip():
            yield f"a {chart.step_name} has no label"
        if count > 1:
            yield f'{chart.step_name} "{label}" is given {count} times'
    titles = [panel.title for panel in chart.panels]
    for step in chart.steps:
        found = [panel.title for panel in step.panels]
        if found != titles:
            yield (
                f'{chart.step_name} "{step.label}" has the panels {found}, but the chart has '
                f"{titles}; all steps need the same, in the same order"
            )
    if chart.shown < 0:
        yield f"its panels are those of no {chart.step_name}; they must be those of one step"


def _colouring_problems(chart: Chart) -> Iterator[str]:
    for name, count in Counter(c.name for c in chart.colourings).items():
        if not name.strip():
            yield "a colouring has no name"
        if count > 1:
            yield f'the colouring "{name}" is given {count} times'
    marks = [m for panels in chart.states for panel in panels for m in panel.marks]
    clouds = dict.fromkeys(m.name for m in marks if isinstance(m, Points) and m.role == "data")
    for colouring in chart.colourings:
        for cloud in clouds:
            if not colouring.groups.get(cloud):
                yield f'the colouring "{colouring.name}" has no group for the points "{cloud}"'


def _problems(panel: Panel) -> Iterator[str]:
    for side, axis in (("x", panel.x), ("y", panel.y)):
        if not axis.label.strip():
            yield f"the {side} axis has no name; name it with its unit"
        if axis.categories is not None and len(set(axis.categories)) < len(axis.categories):
            yield f"the {side} axis has a category twice"
    if panel.square and (panel.x.categories is not None or panel.y.categories is not None):
        yield "both axes must be numeric for a unit to be as long on x as on y"
    for mark in panel.marks:
        where = f'{type(mark).__name__} "{mark.name}"'
        if isinstance(mark, Grid):
            yield from (f"{where}: {p}" for p in _grid_problems(mark, panel))
            continue
        yield from (f"{where}: {p}" for p in _mark_problems(mark, panel))


def _mark_problems(mark: Line | Marks | Points, panel: Panel) -> Iterator[str]:
    parts: dict[str, Sequence[object] | None] = {"y": mark.y, "hover": mark.hover}
    if isinstance(mark, Points):
        parts["ids"] = mark.ids
    else:
        parts |= {"low": mark.low, "high": mark.high}
        if (mark.low is None) != (mark.high is None):
            yield "a range needs both low and high"
    if isinstance(mark, Line):
        parts["emphasis"] = mark.emphasis
    for name, values in parts.items():
        if values is not None and len(values) != len(mark.x):
            yield f"{name} has {len(values)} entries for {len(mark.x)} of x"
    if panel.y.categories is not None:
        yield "the y axis must be numeric"
    yield from _unknown("x", mark.x, panel.x, may_be_numeric=not isinstance(mark, Marks))


def _grid_problems(grid: Grid, panel: Panel) -> Iterator[str]:
    rows, columns = len(grid.y), len(grid.x)
    for name, values in (("z", grid.z), ("hover", grid.hover)):
        if values is not None and (
            len(values) != rows or any(len(row) != columns for row in values)
        ):
            yield f"{name} must have {rows} rows (y) of {columns} entries (x)"
    yield from _unknown("x", grid.x, panel.x, may_be_numeric=False)
    yield from _unknown("y", grid.y, panel.y, may_be_numeric=False)


def _unknown(
    side: str, values: Sequence[object], axis: Axis, *, may_be_numeric: bool
) -> Iterator[str]:
    if axis.categories is None:
        if not may_be_numeric:
            yield f"the {side} axis needs categories"
        elif any(isinstance(v, str) for v in values):
            yield f"{side} holds labels, but the axis has no categories"
        return
    for value in values:
        if value not in axis.categories:
            yield f'"{value}" is not a category of the {side} axis'
            return
