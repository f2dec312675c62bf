"""Parts that the analyses of curves over taps share: subsets of sentences, axes, lines."""

from collections.abc import Iterable, Sequence
from math import isnan
from typing import Any, Literal

import numpy as np
import polars as pl

from isogloss import specs
from isogloss.charts import Axis, Line, Panel
from isogloss.families import mean_interval
from isogloss.figures import plan
from isogloss.languages import RESOURCE_LEVELS, UNKNOWN, languages, rank
from isogloss.results import NULL, PLAIN, calibrate
from isogloss.similarity.intervals import Interval
from isogloss.similarity.measures import MEASURES

SentenceRule = Literal["smallest", "shared", "all"]
SENTENCES_HELP = (
    "Which sentences each comparison uses: the first so many of its own, as many as the comparison "
    "with the fewest has (smallest, the rule of the study), those that all comparisons share "
    "(shared), or all of its own (all; scores with different N do not compare)."
)
MIN_SENTENCES = 3
CHANCE, BASELINE = "chance (matched null)", "Gaussian baseline"
_SIDE_BY_SIDE = 16
"""Languages that two panels in one row have room for."""
NO_CHANCE = (
    "There is no chance level to compare with: this measure has none in closed form. Set "
    "`permutations` above 0."
)


def subsets(own: Sequence[tuple[str, ...]], rule: SentenceRule) -> list[tuple[str, ...]]:
    """Cut the common sentences of each comparison by the rule.

    A comparison with fewer than three sentences does not lower the others' N: it keeps what it
    has and is scored NaN.
    """
    usable = [s for s in own if len(s) >= MIN_SENTENCES]
    if rule == "all" or not usable:
        return list(own)
    if rule == "smallest":
        n = min(len(s) for s in usable)
        return [s[:n] for s in own]
    shared = set(usable[0]).intersection(*usable[1:])
    return [tuple(i for i in s if i in shared) for s in own]


def x_axis(frame: pl.DataFrame) -> Axis:
    """Taps as categories, or relative depth where one name stands for different depths."""
    places = frame.select("label", "depth", "position").unique()
    if places.select("label", "depth").unique().height > places["label"].n_unique():
        return Axis("relative depth (0 = input, 1 = last layer)", range=(0.0, 1.0))
    ordered = places.sort("depth", "position")["label"].unique(maintain_order=True)
    two = any("|" in label for label in ordered)
    return Axis(f"tap ({'text | speech' if two else 'encoder'} layer)", tuple(ordered))


def y_axis(measure: str, calibrated: bool) -> Axis:
    """The score of a measure, raw or calibrated."""
    part = specs.parse(MEASURES, measure)
    _, bracket, options = specs.write(MEASURES, part, defaults=False).partition("(")
    name = part.info.title + bracket + options
    if calibrated:
        return Axis(f"calibrated {name} (0 = chance)")
    low, high = part.info.range
    span = (low, high) if (low, high) == (0.0, 1.0) else None
    plain = part.info.larger_is_more_similar and np.isfinite([low, high]).all()
    ends = f"{low:g} to {high:g}".replace("-", "−") if plain else f"{part.info.best:g} = same"
    return Axis(f"{name} ({ends})", range=span)


def split(frame: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The plain scores, and those without confounds."""
    return frame.filter(control=PLAIN), frame.filter(pl.col("control") != PLAIN)


def curve(
    frame: pl.DataFrame, axis: Axis, name: str, *, colour: int, calibrated: bool, count: str
) -> Line:
    """The mean over rows at each place, with its 95 % interval over languages."""
    value = "calibrated" if calibrated else "score"
    table = _by_place(frame, pl.col(value))
    hover, low, high = [], [], []
    for r in table.iter_rows(named=True):
        rows = frame.filter(label=r["label"], depth=r["depth"])
        interval = mean_interval(rows, value)
        low.append(interval.low)
        high.append(interval.high)
        hover.append(_hover(rows, r, value, count, interval))
    known = not np.isnan(low).all()
    return Line(
        name,
        _x(table, axis),
        tuple(table["mean"]),
        tuple(low) if known else None,
        tuple(high) if known else None,
        tuple(hover),
        colour=colour,
    )


def bands(panels: Iterable[Panel]) -> str:
    """What the bands are, for captions; nothing where none is drawn."""
    for panel in panels:
        for mark in panel.marks:
            if isinstance(mark, Line) and plan.band(mark, panel):
                return "Bands are 95 % intervals of the mean, by a jackknife over languages. "
    return ""


def references(frame: pl.DataFrame, axis: Axis, *, calibrated: bool) -> list[Line]:
    """What chance would give at each place: the matched null, and the study's Gaussian vectors."""
    null, baseline = NULL, pl.col("baseline")
    if calibrated:
        baseline = calibrate(baseline, null)
        null = 0 * null
    kinds: list[tuple[Literal["chance", "baseline"], str, str, pl.Expr]] = [
        ("chance", CHANCE, "matched null", null),
        ("baseline", BASELINE, "Gaussian vectors of the same shape", baseline),
    ]
    lines = []
    for kind, name, what, value in kinds:
        table = _by_place(frame, value)
        if table["mean"].is_nan().all():
            continue
        hover = tuple(f"{r['label']}: {what} {r['mean']:.3f}" for r in table.iter_rows(named=True))
        lines.append(Line(name, _x(table, axis), tuple(table["mean"]), hover=hover, role=kind))
    return lines


def scales(frame: pl.DataFrame) -> tuple[bool, ...]:
    """Which figures there are: raw, and calibrated if there is a level of chance."""
    return (False,) if lacks_chance(frame) else (False, True)


def reading(panels: Iterable[Panel], calibrated: bool) -> str:
    """What the reference lines and the scale mean, for captions."""
    roles = {m.role for p in panels for m in p.marks if isinstance(m, Line)}
    if calibrated:
        return (
            "Calibrated: (score − chance) / (best − chance), with the matched null (the same views "
            "with the sentences shuffled) as chance, dashed at 0. Dotted: the study's baseline, "
            "Gaussian vectors of the same shape, on the same scale."
        )
    said = {
        "chance": "Dashed: the matched null, the same views with the sentences shuffled. ",
        "baseline": "Dotted: the study's baseline, Gaussian vectors of the same shape.",
    }
    return "".join(text for role, text in said.items() if role in roles)


def taken_out(controlled: pl.DataFrame) -> str:
    """What the curves without confounds are, for captions."""
    if controlled.is_empty():
        return ""
    return (
        f"A second curve has {controlled['control'][0]} taken out of both views by linear "
        "regression before the cut. "
    )


def lacks_chance(frame: pl.DataFrame) -> bool:
    """Whether there are scores, but no level of chance for any of them."""
    scored = frame.filter(pl.col("score").is_not_nan())
    return scored.height > 0 and scored.select(NULL.fill_nan(None).is_null().all()).item()


def shown(value: float | None) -> str:
    """A score in a sentence.

    >>> shown(0.5), shown(None)
    ('0.50', 'undefined')
    """
    return "undefined" if value is None or isnan(value) else f"{round(value, 2) + 0.0:.2f}"


def beside(names: Sequence[str]) -> int:
    """How many panels with so many languages stand in one row."""
    return 2 if len(names) <= _SIDE_BY_SIDE else 1


def resource(column: str) -> pl.Expr:
    """The resource level of the languages of a column."""
    known = {code: x.resource for code, x in languages().items()}
    return pl.col(column).replace_strict(known, default=UNKNOWN)


def high_to_low(column: str) -> pl.Expr:
    """What sorts resource levels from high to low, with unknown ones last."""
    order = {name: rank(name) for name in RESOURCE_LEVELS}
    return pl.col(column).replace_strict(order, default=rank(UNKNOWN))


def ends(
    rows: pl.DataFrame, low: str = "low", high: str = "high"
) -> tuple[tuple[float, ...] | None, tuple[float, ...] | None]:
    """The ends of the intervals of some rows; None twice if there is no interval at all."""
    known = rows[low].is_not_nan().any()
    return (tuple(rows[low]), tuple(rows[high])) if known else (None, None)


def nan_free(column: str) -> pl.Expr:
    """A float column in which NaN is null, so that means and extremes skip it."""
    return pl.col(column).fill_nan(None)


def _by_place(frame: pl.DataFrame, value: pl.Expr) -> pl.DataFrame:
    found = value.fill_nan(None)
    return (
        frame.group_by("label", "depth", "position")
        .agg(mean=found.mean(), low=found.min(), high=found.max())
        .with_columns(pl.col("mean", "low", "high").fill_null(float("nan")))
        .sort("depth", "position")
    )


def _x(table: pl.DataFrame, axis: Axis) -> tuple[str, ...] | tuple[float, ...]:
    return tuple(table["label" if axis.categories else "depth"])


def _hover(
    rows: pl.DataFrame, place: dict[str, Any], value: str, count: str, interval: Interval
) -> str:
    usable = rows.filter(pl.col(value).is_not_nan())
    taps = ", ".join(
        f"{a} {ta} and {b} {tb}" if (a, ta) != (b, tb) else f"{a} {ta}"
        for a, ta, b, tb in rows.select("modality_a", "tap_a", "modality_b", "tap_b")
        .unique(maintain_order=True)
        .iter_rows()
    )
    if usable.is_empty():
        return f"{taps}\nnot defined: {rows['reason'][0]}"
    ordered = usable.sort(value)
    low, high = (_pair(r, value) for r in (ordered.row(0, named=True), ordered.row(-1, named=True)))
    null, baseline = usable.select(
        NULL.fill_nan(None).mean().alias("null"), nan_free("baseline").mean()
    ).row(0)
    return "\n".join(
        [
            taps,
            f"mean {place['mean']:.3f} over {usable.height} {count}",
            f"no interval: {interval.reason}"
            if isnan(interval.low)
            else f"95 % {interval.low:.3f} to {interval.high:.3f}",
            f"lowest {low}, highest {high}",
            f"N {_span(usable, 'n')}, kept dimensions {_span(usable, 'k_a')} "
            f"and {_span(usable, 'k_b')}",
            f"chance {shown(null)}, Gaussian baseline {shown(baseline)}",
        ]
    )


def _pair(row: dict[str, Any], value: str) -> str:
    a, b = row["language_a"], row["language_b"]
    return f"{a if a == b else f'{a}–{b}'} {row[value]:.3f}"


def _span(frame: pl.DataFrame, column: str) -> str:
    low, high = frame.select(low=pl.col(column).min(), high=pl.col(column).max()).row(0)
    return str(low) if low == high else f"{low}–{high}"
