"""Speech against text of the same language, over the taps (section 3.1, Figure 2)."""

from collections.abc import Iterable
from dataclasses import replace
from math import isnan
from typing import ClassVar, Literal

import polars as pl

from isogloss.analyses import _claims_modal
from isogloss.analyses._claims import POOLED, tables
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
from isogloss.analyses._tests import of_languages, of_mean
from isogloss.analyses.base import Analysis, Claim, Comparison, Contents, Summary, ViewKey
from isogloss.charts import Axis, Chart, Grid, Line, Panel
from isogloss.languages import RESOURCE_LEVELS, languages
from isogloss.results import NULL, calibrate
from isogloss.settings import setting

_MATCHED, GRID = _claims_modal.GROUP, "all pairs"
_LEAST_SPAN = 0.1
"""Difference of scores that the colours of a map cover at least."""


class CrossModal(Analysis):
    """How alike speech and text of one language are at each tap."""

    title: ClassVar[str] = "Speech against text"
    question: ClassVar[str] = "How alike are a sentence's speech and text inside the model?"

    pairs: Literal["matched", "all"] = setting(
        "matched",
        role="analysis",
        help="Compare each text tap with the speech tap set beside it, or with all speech taps.",
    )
    sentences: SentenceRule = setting("smallest", role="analysis", help=SENTENCES_HELP)

    def comparisons(self, contents: Contents) -> Iterable[Comparison]:
        """One per language and pair of taps."""
        spoken = contents.languages("text", "speech")
        own = [contents.common((x, "text"), (x, "speech")) for x in spoken]
        places = [(_MATCHED, p.label, p.text, p.speech, p.depth) for p in contents.pairs]
        if self.pairs == "all":
            places += [
                (GRID, f"{text} × {speech}", text, speech, depth)
                for text, depth in contents.taps["text"]
                for speech, _ in contents.taps["speech"]
            ]
        for language, sentences in zip(spoken, subsets(own, self.sentences), strict=True):
            for position, (group, label, text, speech, depth) in enumerate(places):
                yield Comparison(
                    ViewKey(language, "text", text),
                    ViewKey(language, "speech", speech),
                    sentences,
                    group,
                    label,
                    position,
                    depth,
                    plain=group == GRID,
                )

    def summarise(self, frame: pl.DataFrame, means: pl.DataFrame) -> Summary:
        """Figure 2, raw and calibrated, and the map of all pairs of taps if there is one."""
        plain, controlled = split(frame.filter(group=_MATCHED))
        grid, _ = split(frame.filter(group=GRID))
        charts = [] if grid.is_empty() else [_map(grid)]
        if plain.is_empty():
            finding = "The taps that were read form no matched pair; only the map of all pairs is."
            return Summary((finding,), tuple(charts))
        charts = [*(_figure(plain, controlled, c) for c in scales(plain)), *charts]
        # The map's scores are corrected together with those of the curves.
        findings = _findings(plain, split(frame)[0])
        findings = (*findings, *_of_means(means.filter(group=_MATCHED)))
        return Summary(findings, tuple(charts), (("By language", _table(plain, controlled)),))

    def claims(self, frame: pl.DataFrame, means: pl.DataFrame) -> tuple[Claim, ...]:
        """What section 3.1 says, tested over languages."""
        found = tables(frame.filter(group=_MATCHED))
        return tuple(claim for table in found for claim in _claims_modal.claims(table))


def _figure(frame: pl.DataFrame, controlled: pl.DataFrame, calibrated: bool) -> Chart:
    axis, measure = x_axis(frame), frame["measure"][0]
    level = {code: language.resource for code, language in languages().items()}
    frame = frame.with_columns(level=pl.col("language_a").replace_strict(level, default="unknown"))

    def panel(title: str, lines: list[Line]) -> Panel:
        lines += references(frame, axis, calibrated=calibrated)
        return Panel(title, axis, y_axis(measure, calibrated), tuple(lines))

    def draw(rows: pl.DataFrame, name: str, colour: int) -> Line:
        return _cross_adapted(
            curve(rows, axis, name, colour=colour, calibrated=calibrated, count="languages"), rows
        )

    count = frame["language_a"].n_unique()
    # Of so few languages the intervals are wide and cover each other; the pointer shows them.
    by_level = [
        replace(draw(rows, f"{name} ({rows['language_a'].n_unique()})", i + 1), low=None, high=None)
        for i, name in enumerate(RESOURCE_LEVELS)
        if not (rows := frame.filter(level=name)).is_empty()
    ]
    overall = [draw(frame, "mean", 0)]
    # Without confounds chance is another, so that only calibrated scores can be set beside it.
    if calibrated and not controlled.is_empty():
        overall.append(draw(controlled, "mean, confounds taken out", len(RESOURCE_LEVELS) + 1))
    what = "calibrated, " if calibrated else ""
    panels = (
        panel(f"All languages ({count})", overall),
        panel("By resource level", by_level),
    )
    return Chart(
        "cross_modal_calibrated" if calibrated else "cross_modal",
        f"Speech against text over the taps{' (calibrated)' if calibrated else ''}",
        f"Mean similarity ({what}{measure}) between the speech and the text of the same sentences, "
        f"over {count} languages (left) and by resource level (right). {bands(panels)}"
        f"{taken_out(controlled) if calibrated else ''}{reading(panels, calibrated)}",
        panels,
        emphasis="speech after length adaptation",
    )


def _cross_adapted(line: Line, rows: pl.DataFrame) -> Line:
    """Mark places right behind a length adaptor, pooling or Q-Former, as the study does.

    There the text tap is that of the place before and speech alone went on, or both were pooled.
    """
    taps = rows.select("label", "depth", "position", "tap_a", "tap_b").unique()
    taps = taps.sort("depth", "position").with_columns(
        alone=(pl.col("tap_a") == pl.col("tap_a").shift(1))
        & (pl.col("tap_b") != pl.col("tap_b").shift(1)),
        pooled=(pl.col("tap_a") == POOLED) & (pl.col("tap_b") == POOLED),
    )
    found = taps.select((pl.col("alone") | pl.col("pooled")).fill_null(value=False)).to_series()
    if line.x and isinstance(line.x[0], str) and found.any():
        return replace(line, emphasis=tuple(found))
    return line


def _map(frame: pl.DataFrame) -> Chart:
    # Each cell's permutations draw anew, and their noise would look like structure in a map.
    smooth = pl.when(pl.col("chance").is_nan()).then(NULL).otherwise("chance")
    means = frame.group_by("tap_a", "tap_b").agg(
        score=nan_free("score").mean(),
        calibrated=calibrate(pl.col("score"), smooth).fill_nan(None).mean(),
        chance=smooth.fill_nan(None).mean(),
        n=pl.col("n").min(),
    )
    found = {(r["tap_a"], r["tap_b"]): r for r in means.iter_rows(named=True)}
    text = tuple(frame.sort("position")["tap_a"].unique(maintain_order=True))
    speech = tuple(frame.sort("position")["tap_b"].unique(maintain_order=True))
    measure, count = frame["measure"][0], frame["language_a"].n_unique()
    closed = frame.filter(pl.col("score").is_not_nan())["chance"].is_not_nan().all()
    how = "in closed form" if closed else "by permutation"

    def number(t: str, s: str, key: str) -> float:
        value = found[t, s][key]
        return float("nan") if value is None else float(value)

    def panel(title: str, key: str) -> Panel:
        label = y_axis(measure, calibrated=key == "calibrated").label
        values = tuple(tuple(number(t, s, key) for s in speech) for t in text)
        return Panel(
            title,
            Axis("speech tap", speech),
            Axis("text tap", text),
            (Grid(label, speech, text, values, hover, range=_span(values)),),
        )

    hover = tuple(
        tuple(
            f"text {t} and speech {s}\nmean {number(t, s, 'score'):.3f}, "
            f"chance {number(t, s, 'chance'):.3f}, "
            f"calibrated {number(t, s, 'calibrated'):.3f}\nN {found[t, s]['n']}"
            for s in speech
        )
        for t in text
    )
    return Chart(
        "cross_modal_map",
        "All pairs of text and speech taps",
        f"Mean similarity ({measure}) over {count} languages between every text tap and every "
        "speech tap: raw, and calibrated as (score − chance) / (best − chance) with the matched "
        f"null {how} as chance, which differs from cell to cell.",
        (panel("Raw", "score"), panel("Calibrated", "calibrated")),
    )


def _span(values: tuple[tuple[float, ...], ...]) -> tuple[float, float] | None:
    """A range of colours that does not blow up differences of no account."""
    known = [v for row in values for v in row if not isnan(v)]
    if not known:
        return None
    low, high = min(known), max(known)
    more = max(0.0, _LEAST_SPAN - (high - low)) / 2
    return low - more, high + more


def _findings(frame: pl.DataFrame, family: pl.DataFrame) -> tuple[str, ...]:
    places = (
        frame.group_by("label", "depth", "position")
        .agg(
            score=nan_free("score").mean(),
            null=NULL.fill_nan(None).mean(),
            calibrated=nan_free("calibrated").mean(),
            languages=nan_free("score").count(),
        )
        .sort("depth", "position")
    )
    usable = places.filter(pl.col("languages") > 0)
    if usable.is_empty():
        return (f"No cross-modal score is defined: {frame['reason'][0]}.",)
    first, last = usable.row(0, named=True), usable.row(-1, named=True)
    text = (
        f"From the first tap ({first['label']}) to the last ({last['label']}), speech-text "
        f"similarity goes from {shown(first['score'])} to {shown(last['score'])}"
    )
    over = f"(means over {last['languages']} languages)"
    if lacks_chance(frame):
        return f"{text} {over}.", NO_CHANCE
    found = [f"{text}, and chance from {shown(first['null'])} to {shown(last['null'])} {over}."]
    rows = frame.filter(position=last["position"])
    tests = of_languages(rows, family, "At the last tap")
    if tests:
        found.append(tests)
    if last["calibrated"] is None:
        found.append(
            "Nothing can be above chance here: chance gives the best score there is, as with too "
            "few sentences for the dimensions kept."
        )
        return tuple(found)
    found.append(
        f"Calibrated, that is {shown(first['calibrated'])} at the first and "
        f"{shown(last['calibrated'])} at the last tap, where 0 is chance and 1 the same space."
    )
    return tuple(found)


def _of_means(means: pl.DataFrame) -> list[str]:
    """What can be said of the mean over languages: where it is above chance, and what is left."""
    plain, without = (m.sort("depth", "position") for m in split(means))
    tests = of_mean(plain)
    found = [tests] if tests else []
    if plain.height and without["calibrated"].is_not_nan().any():
        first, last = without.row(0, named=True), without.row(-1, named=True)
        before = plain.row(-1, named=True)
        found.append(
            f"Without {last['control']}, calibrated similarity is {shown(first['calibrated'])} at "
            f"the first and {shown(last['calibrated'])} at the last tap (with them "
            f"{shown(before['calibrated'])} there)."
        )
    return found


def _table(frame: pl.DataFrame, controlled: pl.DataFrame) -> pl.DataFrame:
    names = {code: language.name for code, language in languages().items()}
    levels = {code: language.resource for code, language in languages().items()}
    place = ["language_a", "tap_a", "tap_b", "position"]
    left = controlled.select(*place, controlled="calibrated", controlled_q="q_value")
    return (
        frame.sort("language_a", "depth", "position")
        .join(left, on=place, how="left", maintain_order="left")
        .select(
            language=pl.col("language_a"),
            name=pl.col("language_a").replace_strict(names, default=None),
            resource=pl.col("language_a").replace_strict(levels, default=None),
            text="tap_a",
            speech="tap_b",
            N="n",
            score="score",
            low="low",
            high="high",
            chance=NULL,
            calibrated="calibrated",
            p="p_value",
            q="q_value",
            **{"without confounds": "controlled", "its q": "controlled_q"},
            k_text="k_a",
            k_speech="k_b",
            baseline="baseline",
            reason="reason",
            warnings="warnings",
        )
    )
