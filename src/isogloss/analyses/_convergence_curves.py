"""At which depth a curve of scores over the taps reaches a level."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from isogloss.findings.statistics import LEVEL
from isogloss.languages import language, rank, studied_level
from isogloss.similarity.base import Floats

CROSS_MODAL = "cross-modal"
STATES = ("reached", "start", "never")
"""Reached between two taps; reached at the first tap already; not reached at any tap."""


@dataclass(frozen=True)
class Arrival:
    """Where a curve reaches a level."""

    level: float
    depth: float
    """Relative depth; NaN if it never does."""
    state: str


def arrival(depths: Floats, values: Floats, level: float) -> Arrival:
    """Find the first place where a curve is at a level or above, between taps by a straight line.

    Args:
        depths: (taps,) relative depths in order; two taps may have the same.
        values: (taps,) scores; NaN is skipped.
        level: The level.
    """
    known = ~np.isnan(values)
    x, y = depths[known], values[known]
    above = np.flatnonzero(y >= level)
    if not above.size:
        return Arrival(level, float("nan"), "never")
    first = int(above[0])
    if first == 0:
        return Arrival(level, float(x[0]), "start")
    x0, x1, y0, y1 = x[first - 1], x[first], y[first - 1], y[first]
    return Arrival(level, float(x0 + (level - y0) / (y1 - y0) * (x1 - x0)), "reached")


def arrivals(
    scores: pl.DataFrame, kind: str, *, share: float, level: float | None
) -> Iterator[dict[str, Any]]:
    """Where each curve reaches a share of its own maximum, and a level that is common to all.

    A curve that is not above chance anywhere has no maximum to speak of: it reaches neither.

    Args:
        scores: As from :func:`scores_of`; ``group`` says which kind of curves they are of.
        kind: Which of its scores.
        share: Of the own maximum.
        level: The common level; that share of the largest score of all if None.
    """
    curves = [
        (key, rows.sort("position"))
        for key, rows in scores.group_by("group", "language_a", "language_b", maintain_order=True)
        if rows[kind].is_not_nan().any()
    ]
    if not curves:
        return
    if level is None:
        level = share * max(float(np.nanmax(rows[kind].to_numpy())) for _, rows in curves)
    for (what, a, b), rows in curves:
        depths, values = rows["depth"].to_numpy(), rows[kind].to_numpy()
        p_values = rows[f"p_{kind}"].drop_nans()
        p_value = float("nan") if p_values.is_empty() else float(p_values.min())  # type: ignore[arg-type]
        top = float(np.nanmax(values))
        reason = _nothing(top, p_value)
        infinite = float("inf")
        own = arrival(depths, values, infinite if reason else share * top)
        common = arrival(depths, values, infinite if reason else level)
        yield {
            "what": what,
            "language_a": a,
            "language_b": b,
            "scores": kind,
            "top": top,
            "p_value": p_value,
            "own_level": float("nan") if reason else own.level,
            "own_depth": own.depth,
            "own_state": own.state,
            "common_level": level,
            "common_depth": common.depth,
            "common_state": common.state,
            "kin": _kin(a, b),
            "resource": _resource([a] if a == b else [a, b]),
            "reason": reason,
        }


def _nothing(top: float, p_value: float) -> str:
    if not top > 0:
        return "above chance at no tap"
    return f"not above chance: p = {p_value:.2g} over all taps" if p_value > LEVEL else ""


def _kin(a: str, b: str) -> str:
    first, second = language(a).family, language(b).family
    if a == b or not first or not second:
        return ""
    return "same family" if first == second else "different families"


def _resource(codes: Sequence[str]) -> str:
    levels = [studied_level(code) for code in codes]
    return "–".join(sorted(levels, key=rank)) if all(levels) else ""
