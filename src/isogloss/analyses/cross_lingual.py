"""One language against another in the same modality, over the taps (section 3.2, Figure 3)."""

from collections.abc import Iterable
from itertools import combinations
from typing import Any, ClassVar

import polars as pl

from isogloss.analyses import _claims_lingual
from isogloss.analyses._claims import tables
from isogloss.analyses._curves import (
    NO_CHANCE,
    SENTENCES_HELP,
    SentenceRule,
    bands,
    curve,
    lacks_chance,
    nan_free,
    reading,
    references,
    scales,
    shown,
    split,
    subsets,
    taken_out,
    x_axis,
    y_axis,
)
from isogloss.analyses.base import Analysis, Claim, Comparison, Contents, Summary, ViewKey
from isogloss.charts import Chart, Panel
from isogloss.corpora.base import MODALITIES, Modality
from isogloss.results import NULL
from isogloss.settings import setting


class CrossLingual(Analysis):
    """How alike two languages are at each tap, in text and in speech."""

    title: ClassVar[str] = "Language against language"
    question: ClassVar[str] = "How alike are translations inside the model, written and spoken?"

    sentences: SentenceRule = setting("smallest", role="analysis", help=SENTENCES_HELP)
    intervals: bool = setting(
        False,
        role="analysis",
        help="Find the interval of every pair too, some twenty times the work; that of their mean "
        "is always found.",
    )

    def comparisons(self, contents: Contents) -> Iterable[Comparison]:
        """One per pair of languages, modality and tap; one N for both modalities."""
        pairs = [
            (modality, a, b)
            for modality in MODALITIES
            for a, b in combinations(contents.languages(modality), 2)
        ]
        own = [contents.common((a, m), (b, m)) for m, a, b in pairs]
        for (modality, a, b), sentences in zip(pairs, subsets(own, self.sentences), strict=True):
            for position, (tap, depth) in enumerate(contents.taps[modality]):
                yield Comparison(
                    ViewKey(a, modality, tap),
                    ViewKey(b, modality, tap),
                    sentences,
                    modality,
                    tap,
                    position,
                    depth,
                    interval=self.intervals,
                )

    def summarise(self, frame: pl.DataFrame, means: pl.DataFrame) -> Summary:
        """Figure 3, raw and calibrated."""
        plain, controlled = split(frame)
        charts = tuple(_figure(plain, controlled, calibrated) for calibrated in scales(plain))
        findings = (*_findings(plain), *_controlled(means))
        return Summary(findings, charts, (("By language and modality", _table(plain)),))

    def claims(self, frame: pl.DataFrame, means: pl.DataFrame) -> tuple[Claim, ...]:
        """What section 3.2 says, tested over pairs of languages, which share languages."""
        return tuple(claim for table in tables(frame) for claim in _claims_lingual.claims(table))


def _figure(frame: pl.DataFrame, controlled: pl.DataFrame, calibrated: bool) -> Chart:
    joint, y = x_axis(frame), y_axis(frame["measure"][0], calibrated)

    def panel(modality: Modality) -> Panel | None:
        rows = frame.filter(group=modality)
        if rows.is_empty():
            return None
        # Positions are counted in each modality by itself, so that the order of names is its own.
        axis = joint if joint.categories is None else x_axis(rows)
        colour = MODALITIES.index(modality)
        drawn = curve(
            rows, axis, modality, colour=colour, calibrated=calibrated, count="language pairs"
        )
        lines = [drawn, *references(rows, axis, calibrated=calibrated)]
        without = controlled.filter(group=modality)
        if calibrated and not without.is_empty():
            lines.insert(
                1,
                curve(
                    without,
                    axis,
                    f"{modality}, confounds taken out",
                    colour=colour + 2,
                    calibrated=calibrated,
                    count="language pairs",
                ),
            )
        return Panel(_heading(frame, modality), axis, y, tuple(lines))

    panels = [found for modality in MODALITIES if (found := panel(modality)) is not None]
    what = "calibrated, " if calibrated else ""
    left = taken_out(controlled) if calibrated else ""
    return Chart(
        "cross_lingual_calibrated" if calibrated else "cross_lingual",
        f"Language against language over the taps{' (calibrated)' if calibrated else ''}",
        f"Mean similarity ({what}{frame['measure'][0]}) between the same sentences in two "
        f"languages, over all pairs of languages. {bands(panels)}{left}"
        + reading(panels, calibrated),
        tuple(panels),
        columns=len(panels),
    )


def _heading(frame: pl.DataFrame, modality: str) -> str:
    pairs = frame.filter(group=modality).select("language_a", "language_b").n_unique()
    return f"{modality.capitalize()} ({pairs} pair{'' if pairs == 1 else 's'} of languages)"


def _findings(frame: pl.DataFrame) -> tuple[str, ...]:
    places = (
        frame.group_by("group", "label", "depth", "position")
        .agg(
            score=nan_free("score").mean(),
            null=NULL.fill_nan(None).mean(),
            calibrated=nan_free("calibrated").mean(),
        )
        .drop_nulls("score")
        .sort("depth", "position")
    )
    found, last = [], {}
    for modality in MODALITIES:
        rows = places.filter(group=modality)
        if rows.is_empty():
            continue
        a, b = rows.row(0, named=True), rows.row(-1, named=True)
        last[modality] = b
        found.append(
            f"In {modality}, similarity between languages goes from {_place(a)} to {_place(b)}."
        )
    calibrated = [last[m]["calibrated"] for m in MODALITIES if m in last]
    if len(calibrated) == len(MODALITIES) and None not in calibrated:
        text, speech = calibrated
        word = "more" if text > speech else "less"
        found.insert(
            0,
            f"At the last tap languages are {word} alike in text than in speech: calibrated "
            f"similarity {text:.2f} against {speech:.2f}, where 0 is chance.",
        )
    if lacks_chance(frame):
        found.append(NO_CHANCE)
    return tuple(found) or ("No cross-lingual score is defined.",)


def _place(row: dict[str, Any]) -> str:
    chance = "" if row["null"] is None else f" (chance {shown(row['null'])})"
    return f"{shown(row['score'])}{chance} at {row['label']}"


def _controlled(means: pl.DataFrame) -> list[str]:
    """What is left at the last tap of each modality without confounds."""
    found = []
    for modality in MODALITIES:
        rows = means.filter(group=modality).sort("depth", "position")
        plain, without = split(rows)
        if plain.is_empty() or not without["calibrated"].is_not_nan().any():
            continue
        before, after = plain.row(-1, named=True), without.row(-1, named=True)
        found.append(
            f"Without {after['control']}, calibrated similarity in {modality} at {after['label']} "
            f"is {shown(after['calibrated'])} instead of {shown(before['calibrated'])}."
        )
    return found


def _table(frame: pl.DataFrame) -> pl.DataFrame:
    """Means over a language's partners at each tap; the pairs themselves are in the download."""
    turned = frame.with_columns(
        language_a=pl.col("language_b"), language_b=pl.col("language_a")
    ).select(frame.columns)
    return (
        pl.concat([frame, turned])
        .with_columns(null=NULL)
        .group_by("language_a", "group", "label", "depth", "position")
        .agg(
            partners=nan_free("score").count(),
            N=pl.col("n").min(),
            mean=nan_free("score").mean(),
            lowest=nan_free("score").min(),
            highest=nan_free("score").max(),
            chance=nan_free("null").mean(),
            calibrated=nan_free("calibrated").mean(),
        )
        .sort("language_a", "group", "depth", "position")
        .rename({"language_a": "language", "group": "modality", "label": "tap"})
        .drop("depth", "position")
    )
