"""Figures of one run beside another."""

from collections.abc import Iterator, Sequence
from math import isnan

import polars as pl

from isogloss.analyses._curves import beside as in_one_row
from isogloss.analyses._curves import ends, shown, x_axis, y_axis
from isogloss.beside.data import KINDS, MODAL, Beside
from isogloss.beside.findings import CALLED, numbers
from isogloss.charts import Axis, Chart, Line, Marks, Panel
from isogloss.languages import level, name_of, rank
from isogloss.results import PLAIN
from isogloss.settings import digest

DEPTH = Axis("relative depth (0 = input, 1 = last layer)", range=(-0.02, 1.02))
_CALIBRATED = (
    "Calibrated: (score − chance) / (best − chance), with the matched null (the same views with "
    "the sentences shuffled) as chance, dashed at 0. "
)
_BANDS = "Bands are 95 % intervals of the mean, by a jackknife over languages. "
_NAMES = {"raw": "raw", "calibrated": "calibrated", "controlled": "calibrated, confounds taken out"}
_PANELS = 3


def charts(beside: Beside, measure: str) -> Iterator[Chart]:
    """All figures of one measure: curves of both runs, differences, and single languages.

    Args:
        beside: The comparison.
        measure: One of its measures.
    """
    several = len(beside.measures) > 1
    suffix = f"-{digest(measure)[:6]}" if several else ""
    for name, title in (
        ("cross_modal", "Speech against text"),
        ("cross_lingual", "Language against language"),
    ):
        yield from _curves(beside, measure, name, title, suffix)
    yield from _differences(beside, measure, suffix)
    yield from _languages(beside, measure, suffix)


def _curves(
    beside: Beside, measure: str, analysis: str, title: str, suffix: str
) -> Iterator[Chart]:
    groups = [group for name, group in KINDS.values() if name == analysis]
    rows = beside.curves.filter(
        pl.col("group").is_in(groups), analysis=analysis, measure=measure, control=PLAIN
    )
    if rows.is_empty():
        return
    calibrated = not rows["calibrated"].is_nan().all()
    value, low, high = (
        ("calibrated", "calibrated_low", "calibrated_high")
        if calibrated
        else ("score", "low", "high")
    )
    panels = []
    for kind, (_, group) in KINDS.items():
        own = rows.filter(group=group)
        if group not in groups or own.is_empty():
            continue
        axis = _axis(own)
        lines: list[Line] = []
        for i, name in enumerate(beside.names):
            curve = own.filter(run=name).sort("depth", "position")
            if curve.is_empty():
                continue
            lines.append(
                Line(
                    name,
                    tuple(curve["label" if axis.categories else "depth"]),
                    tuple(curve[value]),
                    *ends(curve, low, high),
                    tuple(
                        f"{name}, {r['label']}\n{value} {shown(r[value])}, score "
                        f"{shown(r['score'])}, chance {shown(r['null'])}\n"
                        f"{r['languages']} languages, N {r['n']}"
                        for r in curve.iter_rows(named=True)
                    ),
                    colour=i,
                )
            )
        if calibrated:
            lines.append(_zero("chance", axis))
        panels.append(Panel(CALLED[kind], axis, y_axis(measure, calibrated), tuple(lines)))
    banded = any(line.low is not None for p in panels for line in p.marks)  # type: ignore[union-attr]
    yield Chart(
        f"beside_{analysis}{suffix}",
        f"{title}, {beside.names[0]} and {beside.names[1]}",
        f"Mean similarity ({'calibrated, ' if calibrated else ''}{measure}) on the sentences that "
        f"both runs have. {_CALIBRATED if calibrated else ''}"
        f"{_BANDS if banded else ''}",
        tuple(panels),
        columns=max(1, len(panels)),
        notes=beside.marks,
    )


def _axis(rows: pl.DataFrame) -> Axis:
    """Taps by name if both runs have the same ones, else relative depth."""
    places = rows.select("run", "label", "depth", "position").unique()
    found = [
        tuple(own.sort("depth", "position").select("label", "depth").iter_rows())
        for _, own in places.group_by("run", maintain_order=True)
    ]
    return x_axis(rows) if all(own == found[0] for own in found) else DEPTH


def _zero(name: str, axis: Axis) -> Line:
    x = axis.categories or (0.0, 1.0)
    return Line(name, x, tuple(0.0 for _ in x), role="chance")


def _differences(beside: Beside, measure: str, suffix: str) -> Iterator[Chart]:
    own = beside.differences.filter(measure=measure)
    kinds = [k for k in KINDS if own.filter(kind=k)["tap"].n_unique() > 1]
    drawn = [s for s in ("calibrated", "controlled") if s in set(own["scores"])] or ["raw"]
    panels = []
    for kind in kinds:
        rows = own.filter(kind=kind)
        labels = tuple(rows.sort("position")["tap"].unique(maintain_order=True))
        axis = Axis("tap", labels)
        lines = []
        for i, scores in enumerate(drawn):
            curve = rows.filter(scores=scores).sort("position")
            if curve["difference"].is_nan().all():
                continue
            lines.append(
                Line(
                    _NAMES[scores],
                    tuple(curve["tap"]),
                    tuple(curve["difference"]),
                    *ends(curve),
                    tuple(_hover(beside, r) for r in curve.iter_rows(named=True)),
                    colour=i,
                )
            )
        if lines:
            y = Axis("difference of similarity")
            panels.append(Panel(CALLED[kind], axis, y, (*lines, _zero("no difference", axis))))
    if panels:
        yield Chart(
            f"beside_differences{suffix}",
            f"{beside.names[0]} less {beside.names[1]}, over the taps",
            f"Paired differences of mean similarity ({measure}); above 0, {beside.names[0]} is "
            "closer. Bands are 95 % intervals of single differences for other languages and other "
            "sentences, as far as there are enough of either; the table says what each holds "
            "fixed.",
            tuple(panels),
            columns=min(_PANELS, len(panels)),
            notes=beside.marks,
        )


def _hover(beside: Beside, row: dict[str, object]) -> str:
    first, second = beside.names
    return (
        f"{row['tap']}: {row['verdict']}\n{first} {shown(row['first'])}, {second} "  # type: ignore[arg-type]
        f"{shown(row['second'])}\n{numbers(row)}"  # type: ignore[arg-type]
    )


def _languages(beside: Beside, measure: str, suffix: str) -> Iterator[Chart]:
    own = beside.by_language.filter(measure=measure, kind=MODAL, last=True)
    if own.is_empty():
        return
    drawn = [s for s in ("calibrated", "controlled") if s in set(own["scores"])] or ["raw"]
    names = _ordered(own["language_a"].unique().to_list())
    axis = Axis("language, from high to low resource", names)
    marks: list[Marks | Line] = []
    for i, scores in enumerate(drawn):
        rows = {r["language_a"]: r for r in own.filter(scores=scores).iter_rows(named=True)}
        values = {
            c: tuple(rows[n][c] if n in rows else float("nan") for n in names)
            for c in ("difference", "low", "high")
        }
        if all(map(isnan, values["difference"])):
            continue
        known = not all(map(isnan, values["low"]))
        marks.append(
            Marks(
                _NAMES[scores],
                names,
                values["difference"],
                values["low"] if known else None,
                values["high"] if known else None,
                tuple(
                    f"{name_of(n)}\n{_hover(beside, rows[n])}" if n in rows else f"{n}\nnot scored"
                    for n in names
                ),
                colour=i,
            )
        )
    if marks:
        place = own["tap"][0]
        yield Chart(
            f"beside_languages{suffix}",
            f"{beside.names[0]} less {beside.names[1]}, by language",
            f"Difference of similarity ({measure}) between the speech and the text of a language "
            f"at the last tap ({place}); above 0, {beside.names[0]} is closer. Bars are 95 % "
            "intervals of single differences over sentences.",
            (Panel("", axis, Axis("difference of similarity"),
                   (*marks, _zero("no difference", axis))),),
            columns=in_one_row(names),
            notes=beside.marks,
        )  # fmt: skip


def _ordered(codes: Sequence[str]) -> tuple[str, ...]:
    return tuple(sorted(codes, key=lambda c: (rank(level(c)), c)))
