"""Figures of the matrices: all taps of each modality in two orders, and groups over the taps."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import polars as pl

from isogloss import specs
from isogloss.analyses._curves import ends
from isogloss.analyses._matrices_groups import FACTORS
from isogloss.analyses._matrices_order import square
from isogloss.charts import Axis, Chart, Grid, Line, Panel, Step
from isogloss.corpora.base import MODALITIES
from isogloss.languages import language
from isogloss.similarity.measures import MEASURES

ORDERS = {"family_rank": "by family", "cluster_rank": "clustered"}


def charts(frame: pl.DataFrame) -> tuple[Chart, ...]:
    """All figures that there are numbers for."""
    made = (*(_matrices(frame, m) for m in MODALITIES), _groups(frame))
    return tuple(chart for chart in made if chart is not None)


def shown_scores(frame: pl.DataFrame) -> str:
    """Calibrated scores, or raw ones where there is no level of chance."""
    cells = frame.filter(kind="cell")
    return "calibrated" if cells["calibrated"].is_not_nan().any() else "raw"


def _matrices(frame: pl.DataFrame, modality: str) -> Chart | None:
    scores = shown_scores(frame)
    cells = frame.filter(kind="cell").filter(pl.col(scores).is_not_nan())
    own = cells.filter(modality=modality)
    if own.is_empty():
        return None
    title = specs.parse(MEASURES, frame["measure_used"][0]).info.title
    name = f"calibrated {title} (0 = chance)" if scores == "calibrated" else title
    # One scale for all taps; one for both modalities too would hide the pattern of the lower one.
    ends: tuple[Any, Any] = (own[scores].min(), own[scores].max())
    if ends[0] == ends[1]:
        return None
    span = (min(0.0, ends[0]) if scores == "calibrated" else ends[0], ends[1])
    known = frame.filter(kind="language")["language"].unique()
    short = short_names(language(code).family for code in known)
    families = ", ".join(f"{mark} {name}" for name, mark in sorted(short.items()) if mark != name)
    taps = own.sort("position")["tap"].unique(maintain_order=True)
    steps = tuple(
        Step(tap, tuple(_pair(frame, scores, modality, tap, name, span, short))) for tap in taps
    )
    return Chart(
        f"language_matrices_{modality}",
        f"Language by language in {modality}",
        f"How alike the same sentences are in two languages ({scores} {frame['measure_used'][0]}). "
        f"The report has a slider through the taps; print shows tap {steps[-1].label}. By family: "
        "large families first, each named at its first language. Clustered: ordered by "
        "hierarchical clustering of these numbers (average linkage, best order of the leaves), "
        "anew at each tap. A language is not compared with itself."
        + (f" Families: {families}." if families else ""),
        steps[-1].panels,
        columns=2,
        steps=steps,
    )


def _pair(
    frame: pl.DataFrame,
    scores: str,
    modality: str,
    tap: str,
    name: str,
    span: tuple[float, float],
    short: Mapping[str, str],
) -> list[Panel]:
    """One matrix in both orders."""
    own = frame.filter(modality=modality, tap=tap)
    cells = {
        (r["language_a"], r["language_b"]): r[scores]
        for r in own.filter(kind="cell").iter_rows(named=True)
    }
    panels = []
    for column, order in ORDERS.items():
        names = own.filter(kind="language").sort(column)["language"].to_list()
        rows = _labels(names, short, every=column == "cluster_rank")
        table = square(names, cells)
        hover = tuple(
            tuple(_cell(a, b, float(table[i, j]), f"{modality} {tap}") for j, b in enumerate(names))
            for i, a in enumerate(names)
        )
        grid = Grid(
            name,
            tuple(names),
            tuple(rows),
            tuple(tuple(float(v) for v in row) for row in table),
            hover,
            range=span,
        )
        # Rows are drawn upwards, and a matrix is read downwards.
        panels.append(
            Panel(
                f"{modality.capitalize()}, {order}",
                Axis("language", tuple(names)),
                Axis("language", tuple(reversed(rows))),
                (grid,),
            )
        )
    return panels


def _labels(names: Sequence[str], short: Mapping[str, str], *, every: bool) -> list[str]:
    """Codes with their family: of all, or of the first in a row of one family."""
    families = [language(name).family for name in names]
    return [
        f"{short[family]} {name}"
        if family and (every or i == 0 or families[i - 1] != family)
        else name
        for i, (name, family) in enumerate(zip(names, families, strict=True))
    ]


def short_names(families: Iterable[str]) -> dict[str, str]:
    """Initials of names in two parts, the first letters of others, as many as tell them apart.

    >>> short_names(["Indo-European", "Austronesian", "Austroasiatic"])
    {'Indo-European': 'IE', 'Austronesian': 'Austron', 'Austroasiatic': 'Austroa'}
    """
    names = sorted({name for name in families if name}, reverse=True)
    found = {}
    for name in names:
        size = next(
            (n for n in range(4, len(name)) if sum(o.startswith(name[:n]) for o in names) == 1),
            len(name),
        )
        initials = "".join(part[:1] for part in name.split("-"))
        unique = sum("".join(p[:1] for p in o.split("-")) == initials for o in names) == 1
        found[name] = initials if "-" in name and unique else name[:size]
    return found


def _cell(a: str, b: str, value: float, where: str) -> str:
    first, second = language(a), language(b)
    if a == b:
        return f"{first.name}: not compared with itself"
    return (
        f"{first.name} ({first.family}) and {second.name} ({second.family})\n{where}: {value:.3f}"
    )


def _groups(frame: pl.DataFrame) -> Chart | None:
    scores = shown_scores(frame)
    rows = frame.filter(kind="test", scores=scores).filter(pl.col("effect").is_not_nan())
    panels = []
    for modality in MODALITIES:
        own = rows.filter(modality=modality).sort("position")
        if own.is_empty():
            continue
        taps = tuple(own["tap"].unique(maintain_order=True))
        lines = [Line("no difference", taps, (0.0,) * len(taps), role="chance", hover=None)]
        for colour, factor in enumerate(FACTORS):
            line = own.filter(factor=factor)
            if not line.is_empty():
                lines.append(_line(line, factor, colour))
        y = Axis(f"{scores} score within − between groups")
        panels.append(Panel(modality.capitalize(), Axis("tap", taps), y, tuple(lines)))
    if not panels:
        return None
    known = rows["low"].is_not_nan().any()
    return Chart(
        "kin_languages",
        "Are languages of one group more alike?",
        f"Mean {scores} score of pairs of one family, script or resource level, minus that of all "
        "other pairs, at each tap."
        + (" Bands are 95 % intervals by a jackknife over languages." if known else ""),
        tuple(panels),
        columns=len(panels),
    )


def _line(rows: pl.DataFrame, factor: str, colour: int) -> Line:
    return Line(
        f"same {factor}",
        tuple(rows["tap"]),
        tuple(rows["effect"]),
        *ends(rows),
        tuple(
            f"{r['tap']}: {r['within']:.3f} within a {factor} ({r['pairs_within']} pairs), "
            f"{r['between']:.3f} between ({r['pairs'] - r['pairs_within']})\np {r['p_value']:.4f}, "
            f"corrected for all taps {r['p_all']:.4f}"
            for r in rows.iter_rows(named=True)
        ),
        colour=colour,
    )
