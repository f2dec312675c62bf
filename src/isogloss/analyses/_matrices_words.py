"""What the matrices say: findings and tables."""

from collections import Counter
from collections.abc import Iterator
from math import isnan
from typing import Any

import polars as pl

from isogloss.analyses._matrices_figures import shown_scores
from isogloss.analyses._matrices_groups import FACTORS, group
from isogloss.corpora.base import MODALITIES
from isogloss.findings.statistics import LEVEL


def findings(frame: pl.DataFrame) -> tuple[str, ...]:
    """Plain sentences, the headline first."""
    found = [text for m in MODALITIES for text in _of_modality(frame, m)]
    first = _headline(frame)
    return (*first, *found) or ("No score between two languages is defined.",)


def _headline(frame: pl.DataFrame) -> tuple[str, ...]:
    """Families at the last tap of each modality."""
    rows = frame.filter(kind="test", scores=shown_scores(frame), factor="family")
    rows = rows.filter(pl.col("p_value").is_not_nan())
    parts = []
    for modality in MODALITIES:
        own = rows.filter(modality=modality).sort("position")
        if not own.is_empty():
            parts.append(f"in {modality} {_word(own.row(-1, named=True))}")
    return (f"At the last tap, languages of one family {', and '.join(parts)}.",) if parts else ()


def _word(row: dict[str, Any]) -> str:
    if isnan(row["p_value"]):
        return "are set beside others without a test"
    # An interval that holds 0 beside a small p, as with few languages, says nothing.
    if row["p_value"] > LEVEL or row["low"] <= 0 <= row["high"]:
        return "are not shown to be more, or less, alike than others"
    return "are more alike than others" if row["effect"] > 0 else "are less alike than others"


def _of_modality(frame: pl.DataFrame, modality: str) -> Iterator[str]:
    scores = shown_scores(frame)
    tests = frame.filter(kind="test", scores=scores, modality=modality).sort("position")
    for factor in FACTORS:
        rows = tests.filter(factor=factor).filter(pl.col("effect").is_not_nan())
        if rows.is_empty():
            continue
        last = rows.row(-1, named=True)
        most = rows.filter(pl.col("effect") == rows["effect"].max()).row(0, named=True)
        yield _test(last, modality, factor, scores)
        if rows.height > 1:
            yield _over_taps(rows, most, modality, factor)
    yield from _neighbours(frame, modality)
    kept = frame.filter(kind="clustering", modality=modality).sort("position")
    kept = kept.filter(pl.col("cophenetic").is_not_nan())
    if not kept.is_empty():
        low, high = float(kept["cophenetic"].min()), float(kept["cophenetic"].max())  # type: ignore[arg-type]
        span = f"{low:.2f}" if kept.height == 1 else f"{low:.2f} to {high:.2f} over the taps"
        yield (
            f"A tree of the languages keeps their distances in {modality} with a cophenetic "
            f"correlation of {span}."
        )


def _test(row: dict[str, Any], modality: str, factor: str, scores: str) -> str:
    interval = "" if isnan(row["low"]) else f", 95 % {row['low']:.3f} to {row['high']:.3f}"
    p = "" if isnan(row["p_value"]) else f", p = {row['p_value']:.3g}"
    return (
        f"In {modality} at tap {row['tap']}, languages of one {factor} {_word(row)}: {scores} "
        f"similarity {row['within']:.3f} over {row['pairs_within']} pairs within against "
        f"{row['between']:.3f} between (difference {row['effect']:.3f}{interval}{p})."
    )


def _over_taps(rows: pl.DataFrame, most: dict[str, Any], modality: str, factor: str) -> str:
    tested = rows.filter(pl.col("p_all").is_not_nan())
    above = tested.filter((pl.col("p_all") <= LEVEL) & (pl.col("effect") > 0)).height
    return (
        f"In {modality}, the difference by {factor} is largest at tap {most['tap']} "
        f"({most['effect']:.3f}), and above 0 at {above} of {tested.height} taps (p ≤ .05, "
        "corrected for having looked at all)."
    )


def _neighbours(frame: pl.DataFrame, modality: str) -> Iterator[str]:
    rows = frame.filter(kind="language", modality=modality)
    if rows.is_empty():
        return
    last = rows.filter(pl.col("position") == rows["position"].max()).drop_nulls("nearest")
    names = last["language"].to_list()
    families = {name: group(name, "family") for name in names}
    sizes = Counter(family for family in families.values() if family)
    kin = [name for name in names if sizes.get(families[name], 0) > 1]
    if not kin:
        return
    near = dict(zip(names, last["nearest"], strict=True))
    hits = sum(families[name] == families.get(near[name]) for name in kin)
    chance = sum((sizes[families[name]] - 1) / (len(names) - 1) for name in kin)
    yield (
        f"In {modality} at tap {last['tap'][0]}, the nearest neighbour of {hits} of the {len(kin)} "
        f"languages with kin is of their own family; by chance it would be {chance:.1f}."
    )


def tables(frame: pl.DataFrame) -> tuple[tuple[str, pl.DataFrame], ...]:
    """Nearest neighbours at each tap, tests and clusterings."""
    near = frame.filter(kind="language").select(
        "modality",
        "tap",
        "position",
        "language",
        family=pl.col("language").map_elements(lambda c: group(c, "family"), pl.String),
        nearest="nearest",
        nearest_family=pl.col("nearest").map_elements(lambda c: group(c, "family"), pl.String),
        likeness="likeness",
    )
    tests = frame.filter(kind="test").select(
        "modality", "tap", "scores", "factor", "within", "between", "effect", "low", "high",
        "p_value", "p_all", "pairs_within", "pairs", "languages", "reason",
    )  # fmt: skip
    clusterings = frame.filter(kind="clustering").select("modality", "tap", "cophenetic", "reason")
    return (
        ("Nearest neighbours", near.sort("modality", "position", "language").drop("position")),
        ("Within and between groups", tests),
        ("Hierarchical clustering", clusterings),
    )
