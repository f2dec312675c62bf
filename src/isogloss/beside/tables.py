"""Paired differences between two runs as tables, with adjusted p-values and verdicts."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from isogloss.analyses._claims import Table
from isogloss.analyses._halves import WHOLE, with_halves
from isogloss.beside.data import BY_LANGUAGE, DIFFERENCES, KINDS, MODAL, verdict
from isogloss.beside.estimates import of_mean, of_one
from isogloss.beside.places import Place, Spot
from isogloss.beside.scores import Scores
from isogloss.findings.statistics import LEVEL, Estimate, Halves, holm

Floats = NDArray[np.float64]
Row = dict[str, Any]
Sizes = dict[tuple[str, str, str], int]
"""Group and languages -> number of sentences."""


def tables(scores: Scores, *, raw: bool = True) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Make the tables of differences.

    p-values are adjusted after Holm over what was asked at once: the last places of all kinds of
    comparison; all other places of all kinds; and the languages, or pairs, of one kind and place.

    Args:
        scores: Of both runs.
        raw: Whether raw scores of the two compare, which takes views of equal widths.

    Returns:
        Mean differences, with the columns of ``DIFFERENCES``, and those of single languages or
        pairs, with the columns of ``BY_LANGUAGE``.
    """
    means: list[Row] = []
    singles: list[Row] = []
    for name, (first, second) in scores.halves.items():
        for one, other, where in _matched(first, second):
            if one.scores == "raw" and not raw:
                continue
            whole = first.filter(split=WHOLE, measure=where["measure"])
            n = {
                (group, a, b): int(count)
                for group, a, b, count in whole.select(
                    "group", "language_a", "language_b", "n"
                ).iter_rows()
            }
            for kind, (analysis, group) in KINDS.items():
                if analysis == name:
                    places = scores.places[name].get(group, ())
                    found = _of_kind(one, other, group, places, where | {"kind": kind}, n)
                    for mean, rows in found:
                        means.append(mean)
                        singles += rows
    by = ("measure", "scores")
    return (
        _judged(pl.DataFrame(means, schema=DIFFERENCES), (*by, "last")),
        _judged(pl.DataFrame(singles, schema=BY_LANGUAGE), (*by, "kind", "tap", "position")),
    )


def _matched(first: pl.DataFrame, second: pl.DataFrame) -> Iterator[tuple[Table, Table, Row]]:
    """The scores of both runs by measure and kind of scores, and what they are."""
    for (measure,), rows in first.group_by("measure", maintain_order=True):
        others = {t.scores: t for t in with_halves(second.filter(measure=measure))}
        controls = [c for c in rows["control"].unique(maintain_order=True) if c]
        for one in with_halves(rows):
            if one.scores in others:
                control = controls[0] if one.scores == "controlled" else ""
                yield (
                    one,
                    others[one.scores],
                    {"measure": measure, "scores": one.scores, "control": control},
                )


def _of_kind(
    one: Table, other: Table, group: str, places: Sequence[Place], where: Row, n: Sizes
) -> Iterator[tuple[Row, list[Row]]]:
    """The mean difference of each place, and those of its languages."""
    pairs = None if where["kind"] == MODAL else 1
    for position, place in enumerate(places):
        mine, its = _column(one, group, place.first), _column(other, group, place.second)
        if mine is None or its is None:
            continue
        rows = [r for r in one.rows if r in other.rows]
        at = [one.rows.index(r) for r in rows], [other.rows.index(r) for r in rows]
        # Rows of other groups are in the tables of cross-lingual scores too.
        first, second = one.values[at[0], mine], other.values[at[1], its]
        halves = None
        if one.halves is not None and other.halves is not None:
            halves = one.halves[:, :, at[0], mine] - other.halves[:, :, at[1], its]
            halves = halves if not np.isnan(halves).all() else None
        spot = {"tap": place.label, "depth": place.first.depth, "position": position,
                "last": place.last}  # fmt: skip
        values = first - second
        known = ~np.isnan(values)
        paired = None if halves is None else Halves(halves, one.share)
        mean = of_mean(
            values,
            [a for a, _ in rows],
            None if pairs is None else [b for _, b in rows],
            paired,
        )
        sizes = [n[group, a, b] for (a, b), k in zip(rows, known, strict=True) if k]
        both = one.sign * _mean(first[known]), one.sign * _mean(second[known])
        yield (
            where
            | spot
            | _told(mean, *both)
            | {"n": min(sizes, default=None), "languages": mean.count},
            [
                where | spot | {"language_a": a, "language_b": b}
                | _told(
                    of_one(values[i], None if halves is None else halves[:, :, i], one.share),
                    one.sign * first[i],
                    one.sign * second[i],
                )
                | {"n": n[group, a, b]}
                for i, (a, b) in enumerate(rows)
                if (group, a, b) in n
            ],
        )  # fmt: skip


def _column(table: Table, group: str, spot: Spot) -> int | None:
    wanted = group, spot.label, spot.position, spot.tap_a, spot.tap_b
    for i, c in enumerate(table.columns):
        if (c.group, c.label, c.position, c.tap_a, c.tap_b) == wanted:
            return i
    return None


def _told(found: Estimate, first: float, second: float) -> Row:
    return {
        "first": first,
        "second": second,
        "difference": found.effect,
        "low": found.low,
        "high": found.high,
        "p_value": found.p_value,
        "given": "" if found.reason else found.given,
        "reason": found.reason,
    }


def _mean(values: Floats) -> float:
    return float(values.mean()) if values.size else float("nan")


def _judged(frame: pl.DataFrame, family: Sequence[str]) -> pl.DataFrame:
    """Adjust p-values within each family, and give verdicts."""
    if frame.is_empty():
        return frame
    order = frame.with_row_index("_order")
    parts = []
    for part in order.partition_by(*family):
        adjusted = holm(part["p_value"].to_numpy())
        words = [verdict(p, d, LEVEL) for p, d in zip(adjusted, part["difference"], strict=True)]
        parts.append(
            part.with_columns(
                p_holm=pl.Series(adjusted, dtype=pl.Float64), verdict=pl.Series(words)
            )
        )
    return pl.concat(parts).sort("_order").drop("_order").select(frame.columns)
