"""What has to be drawn where, decided without drawing, so that both renderers draw the same."""

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeVar

from isogloss.charts import Chart, Grid, Line, Mark, Marks, Panel, Points, Role

Limits = tuple[float, float]
AnyMark = TypeVar("AnyMark", bound=Mark)
NAN = float("nan")


@dataclass(frozen=True)
class Entry:
    """One line of the legend."""

    name: str
    kind: Literal["line", "marks", "points", "cross", "missing"]
    role: Role = "data"
    colour: int = 0


MISSING = Entry("not computed", "missing")


def entry(mark: Line | Marks | Points) -> Entry:
    """The legend entry of a mark as it would be without any other."""
    kind: Literal["line", "marks", "points"] = (
        "line" if isinstance(mark, Line) else "marks" if isinstance(mark, Marks) else "points"
    )
    other = None if isinstance(mark, Points) else mark.legend
    return Entry(mark.name if other is None else other, kind, mark.role, mark.colour)


def place(entries: Sequence[Entry], mark: Line | Marks | Points) -> int:
    """Which of the legend entries is that of a mark; -1 for none."""
    keys = [_key(e) for e in entries]
    own = _key(entry(mark))
    return keys.index(own) if own in keys else -1


def _key(listed: Entry) -> tuple[object, ...]:
    """What entries are told apart by: not whether something is drawn as a line or as marks."""
    shape = "drawn" if listed.kind in ("line", "marks") else listed.kind
    return listed.name, shape, listed.role, listed.colour if listed.role == "data" else 0


def coloured(chart: Chart, mark: AnyMark, colouring: int = 0) -> AnyMark:
    """The mark as one of the chart's colourings shows it: named and coloured by its group."""
    if not isinstance(mark, Points) or mark.role != "data" or not chart.colourings:
        return mark
    groups = chart.colourings[colouring].groups
    ranks = {name: i for i, name in enumerate(dict.fromkeys(groups.values()))}
    group = groups[mark.name]
    return replace(mark, name=group, colour=ranks[group])


def legend(chart: Chart, colouring: int = 0) -> tuple[Entry, ...]:
    """All legend entries: data first, then crosses, chance, baseline and grey cells.

    Those of all steps, so that an entry keeps its place when the step changes.
    """
    found: dict[tuple[object, ...], Entry] = {}
    crosses = missing = False
    for given in marks(chart):
        mark = coloured(chart, given, colouring)
        if isinstance(mark, Grid):
            missing |= any(not math.isfinite(v) for row in mark.z for v in row)
        else:
            own = entry(mark)
            # The sample of a line shows its marker too.
            if own.name and (_key(own) not in found or own.kind == "line"):
                found[_key(own)] = own
            crosses |= isinstance(mark, Line) and any(mark.emphasis or ())
    order: dict[Role, int] = {"data": 0, "chance": 1, "baseline": 2}
    # Groups have an order of their own, whichever cloud comes first.
    listed = sorted(
        found.values(),
        key=lambda e: (order[e.role], e.colour if e.kind == "points" and chart.colourings else 0),
    )
    if crosses and chart.emphasis:
        last = sum(e.role == "data" for e in listed)
        listed.insert(last, Entry(chart.emphasis, "cross"))
    return (*listed, MISSING) if missing else tuple(listed)


def marks(chart: Chart) -> Iterable[Mark]:
    """All marks of all panels of all steps."""
    return (mark for panels in chart.states for panel in panels for mark in panel.marks)


def several(chart: Chart, mark: Line | Marks | Points | Entry) -> bool:
    """Whether references of a role have different names, so that markers must tell them apart."""
    if mark.role == "data":
        return True
    return len({e.name for e in legend(chart) if e.role == mark.role and e.kind != "points"}) > 1


def title(chart: Chart) -> str:
    """The title as it stands in print, where a chart with steps shows one of them."""
    if not chart.steps:
        return chart.title
    return f"{chart.title} ({chart.step_name} {chart.steps[chart.shown].label})"


def one_line(text: str, limit: int = 0) -> str:
    """A label without line breaks or control characters, cut to ``limit`` characters if given."""
    clean = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return clean if not limit or len(clean) <= limit else clean[: limit - 1].rstrip() + "…"


def positions(mark: Line | Marks | Points, panel: Panel) -> list[float]:
    """Where on the x-axis the points of a mark are: the category's number, or x itself."""
    if panel.x.categories is None:
        return [float(x) for x in mark.x]
    index = {name: float(i) for i, name in enumerate(panel.x.categories)}
    return [index[str(x)] for x in mark.x]


def dodge(panel: Panel) -> list[float]:
    """Shift of each mark along x, so that the ranges of one category stand side by side.

    Chance and baseline stand with the data of their colour.
    """
    beside = [m for m in panel.marks if isinstance(m, Marks) and m.role == "data"]
    step = min(0.26, 0.6 / max(1, len(beside) - 1))
    place = {id(m): (rank - (len(beside) - 1) / 2) * step for rank, m in enumerate(beside)}
    references = [m for m in panel.marks if isinstance(m, Marks) and m.role != "data"]
    for mark in references:
        # One reference for all stands in the middle.
        if sum(m.role == mark.role for m in references) > 1:
            own = [m for m in beside if m.colour == mark.colour]
            place[id(mark)] = place[id(own[0])] if own else 0.0
    return [place.get(id(mark), 0.0) for mark in panel.marks]


@dataclass(frozen=True)
class Curve:
    """A line with a NaN wherever it is not joined."""

    x: list[float]
    y: list[float]
    source: list[int | None]
    """Index of each point in the line it came from; None for the breaks put in."""


def curve(line: Line, panel: Panel) -> Curve:
    """Put the breaks of a line in as NaN."""
    out = Curve([], [], [])
    for i, (x, y) in enumerate(zip(positions(line, panel), line.y, strict=True)):
        if i and i in line.break_before:
            out.x.append(x)
            out.y.append(NAN)
            out.source.append(None)
        out.x.append(x)
        out.y.append(y if math.isfinite(y) else NAN)
        out.source.append(i)
    return out


def band(line: Line, panel: Panel) -> list[list[tuple[float, float]]]:
    """The band of a line as closed polygons, one per stretch without a gap.

    A stretch of one point becomes a narrow bar: a polygon without area would not show.
    """
    if line.low is None or line.high is None:
        return []
    xs = positions(line, panel)
    half = 0.12 * min((abs(b - a) for a, b in itertools.pairwise(xs) if a != b), default=1)
    polygons = []
    for run in _runs(line, line.low, line.high):
        points = [(xs[i], line.low[i], line.high[i]) for i in run]
        if len(points) == 1:
            x, low, high = points[0]
            points = [(x - half, low, high), (x + half, low, high)]
        upper = [(x, high) for x, _, high in points]
        polygons.append(upper + [(x, low) for x, low, _ in reversed(points)])
    return polygons


def _runs(line: Line, low: Sequence[float], high: Sequence[float]) -> list[list[int]]:
    runs: list[list[int]] = []
    joined = False
    for i in range(len(line.x)):
        if not all(map(math.isfinite, (line.y[i], low[i], high[i]))):
            joined = False
            continue
        if not joined or i in line.break_before:
            runs.append([])
        runs[-1].append(i)
        joined = True
    return runs


def limits(chart: Chart, panels: Sequence[Panel] | None = None) -> list[tuple[Limits, Limits]]:
    """The (x, y) limits of every panel.

    Numeric axes with one name have one range in all panels and steps, so that these can be compared
    by eye. Maps (:class:`Points` alone) are the exception: their units mean nothing across panels.

    Args:
        chart: What is drawn.
        panels: Those of one of its steps; the printed ones if left out.
    """
    every = [panel for state in chart.states for panel in state]
    out = []
    for panel in chart.panels if panels is None else panels:
        alike = [p for p in every if p is panel or (not is_map(panel) and not is_map(p))]
        xs = [p for p in alike if p.x.label == panel.x.label and p.x.categories is None]
        ys = [p for p in alike if p.y.label == panel.y.label and p.y.categories is None]
        found = _limits(panel, xs, "x"), _limits(panel, ys, "y")
        out.append(_squared(*found) if panel.square else found)
    return out


def _squared(x: Limits, y: Limits) -> tuple[Limits, Limits]:
    """Widen the shorter side about its middle, since the boxes of maps are square."""
    half = max(x[1] - x[0], y[1] - y[0]) / 2
    middles = (x[0] + x[1]) / 2, (y[0] + y[1]) / 2
    return (middles[0] - half, middles[0] + half), (middles[1] - half, middles[1] + half)


def is_map(panel: Panel) -> bool:
    """Whether a panel shows points alone."""
    return bool(panel.marks) and all(isinstance(m, Points) for m in panel.marks)


def _limits(panel: Panel, alike: list[Panel], side: Literal["x", "y"]) -> Limits:
    axis = panel.x if side == "x" else panel.y
    if axis.categories is not None:
        edge = 0.5 if any(isinstance(m, Grid) for m in panel.marks) else 0.6
        return -edge, len(axis.categories) - 1 + edge
    if axis.range is not None:
        low, high = axis.range
        pad = 0.02
    else:
        values = [v for p in alike for v in _values(p, side) if math.isfinite(v)]
        low, high = (min(values), max(values)) if values else (0.0, 1.0)
        pad = 0.05
    # One value, or none, still needs an axis with a length.
    span = (high - low) or abs(high) * 0.1 or 1.0
    return low - pad * span, high + pad * span


def _values(panel: Panel, side: Literal["x", "y"]) -> Iterable[float]:
    for mark in panel.marks:
        if isinstance(mark, Grid):
            continue
        if side == "x":
            yield from positions(mark, panel)
            continue
        yield from mark.y
        if not isinstance(mark, Points):
            yield from mark.low or ()
            yield from mark.high or ()


def colour_limits(chart: Chart) -> dict[str, Limits]:
    """The ends of the colour scale of every grid name, shared by all panels and steps."""
    out: dict[str, Limits] = {}
    for name in {g.name for g in marks(chart) if isinstance(g, Grid)}:
        grids = [g for g in marks(chart) if isinstance(g, Grid) and g.name == name]
        values = [v for g in grids for row in g.z for v in row if math.isfinite(v)]
        values += [v for g in grids for v in g.range or ()]
        low, high = (min(values), max(values)) if values else (0.0, 1.0)
        fixed = [g.range for g in grids if g.range]
        if fixed:
            low, high = min(r[0] for r in fixed), max(r[1] for r in fixed)
        centres = [g.centre for g in grids if g.centre is not None]
        if centres:
            reach = max(abs(high - centres[0]), abs(low - centres[0]))
            low, high = centres[0] - reach, centres[0] + reach
        out[name] = (low, high) if high > low else (low - 0.5, high + 0.5)
    return out
