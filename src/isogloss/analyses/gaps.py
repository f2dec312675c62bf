"""Modality gap against language gap for each language at the last tap (section 3.3, Figure 5)."""

from collections.abc import Iterable, Sequence
from itertools import combinations
from typing import Any, ClassVar

import numpy as np
import polars as pl

from isogloss import specs
from isogloss.analyses._curves import (
    SENTENCES_HELP,
    SentenceRule,
    nan_free,
    shown,
    split,
    subsets,
    y_axis,
)
from isogloss.analyses.base import Analysis, Comparison, Contents, Summary, ViewKey
from isogloss.charts import Axis, Chart, Line, Marks, Panel
from isogloss.languages import RESOURCE_LEVELS, languages
from isogloss.results import NULL, calibrate
from isogloss.settings import setting
from isogloss.similarity.measures import MEASURES

MODAL, TEXT, SPEECH = "cross-modal", "cross-lingual text", "cross-lingual speech"
_KINDS = (MODAL, TEXT, SPEECH)
_CONTROLLED = "larger gap (confounds taken out)"
_TIE = 1e-9
_SIDE_BY_SIDE = 16
"""Languages that two panels in one row have room for."""


class Gaps(Analysis):
    """Which gap is the larger for each language: that to its speech, or that to other languages."""

    title: ClassVar[str] = "Modality gap against language gap"
    question: ClassVar[str] = (
        "Is a written sentence closer to its own speech, or to its translations?"
    )

    sentences: SentenceRule = setting("smallest", role="analysis", help=SENTENCES_HELP)

    def comparisons(self, contents: Contents) -> Iterable[Comparison]:
        """At the last pair of taps: each language to itself, and to all others in each modality."""
        if not contents.pairs:
            return
        last = contents.pairs[-1]
        names = contents.languages("text", "speech")
        text = {x: ViewKey(x, "text", last.text) for x in names}
        speech = {x: ViewKey(x, "speech", last.speech) for x in names}
        wanted = [(text[x], speech[x], MODAL) for x in names]
        for x, y in combinations(names, 2):
            wanted += [(text[x], text[y], TEXT), (speech[x], speech[y], SPEECH)]
        own = [
            contents.common((a.language, a.modality), (b.language, b.modality))
            for a, b, _ in wanted
        ]
        for (a, b, kind), sentences in zip(wanted, subsets(own, self.sentences), strict=True):
            # What a pair of languages shows is the range over all of them.
            interval = kind == MODAL
            yield Comparison(a, b, sentences, kind, last.label, 0, last.depth, interval=interval)

    def summarise(self, frame: pl.DataFrame, means: pl.DataFrame) -> Summary:
        """Figure 5, raw and calibrated, and which gap is the larger for each language."""
        plain, controlled = split(frame)
        table = by_language(plain)
        verdicts = ["larger gap (calibrated)", "larger gap"]
        if not controlled.is_empty():
            left = by_language(controlled).select(
                "language", pl.col("larger gap (calibrated)").alias(_CONTROLLED)
            )
            table = table.join(left, on="language", how="left", maintain_order="left")
            verdicts.append(_CONTROLLED)
        compact = table.select(
            "language",
            "resource",
            *verdicts,
            N=f"{MODAL} N",
            **{
                "cross-modal": MODAL,
                "low": f"{MODAL} low",
                "high": f"{MODAL} high",
                "chance": f"{MODAL} chance",
            },
            **{
                f"{short} {what or 'mean'}": f"{kind} {what}".strip()
                for short, kind in (("text", TEXT), ("speech", SPEECH))
                for what in ("", "lowest", "highest", "chance")
            },
        )
        chart = _figure(plain, table)
        return Summary(_findings(table, verdicts), (chart,), (("By language", compact),))


def by_language(frame: pl.DataFrame) -> pl.DataFrame:
    """One row per language: its cross-modal score, and the range over its partners.

    ``larger gap`` follows the study: the modality gap is the larger one when some other language's
    text is more similar to a language's text than its own speech is. It is read off the raw
    scores; ``larger gap (calibrated)`` off the calibrated ones, which have comparable chance.
    """
    turned = frame.filter(pl.col("group") != MODAL).with_columns(
        language_a=pl.col("language_b"), language_b=pl.col("language_a")
    )
    both = pl.concat([frame, turned.select(frame.columns)]).with_columns(
        NULL.alias("null"), calibrate(pl.col("baseline"), NULL).alias("baseline calibrated")
    )
    larger = specs.parse(MEASURES, frame["measure"][0]).info.larger_is_more_similar
    level = {code: x.resource for code, x in languages().items()}
    rank = {name: i for i, name in enumerate(RESOURCE_LEVELS)}
    table = both.select(
        pl.col("language_a").alias("language"),
        pl.col("language_a").replace_strict(level, default="unknown").alias("resource"),
    ).unique()
    for kind in _KINDS:
        rows = both.filter(group=kind).group_by(language="language_a")
        table = table.join(
            rows.agg(
                nan_free("score").mean().alias(kind),
                nan_free("score").min().alias(f"{kind} lowest"),
                nan_free("score").max().alias(f"{kind} highest"),
                nan_free("null").mean().alias(f"{kind} chance"),
                nan_free("baseline").mean().alias(f"{kind} baseline"),
                nan_free("baseline calibrated").mean().alias(f"{kind} baseline calibrated"),
                nan_free("calibrated").mean().alias(f"{kind} calibrated"),
                nan_free("calibrated").min().alias(f"{kind} calibrated lowest"),
                nan_free("calibrated").max().alias(f"{kind} calibrated highest"),
                pl.col("n").min().alias(f"{kind} N"),
                nan_free("low").mean().alias(f"{kind} low"),
                nan_free("high").mean().alias(f"{kind} high"),
                nan_free("score").count().alias(f"{kind} partners"),
            ),
            on="language",
            how="left",
        )

    def verdict(suffix: str) -> pl.Expr:
        # A calibrated score is larger for what is more similar, whatever the measure.
        rising = larger or suffix
        own = pl.col(f"{MODAL}{suffix}") * (1 if rising else -1)
        best = pl.col(f"{TEXT}{suffix} highest") if rising else -pl.col(f"{TEXT} lowest")
        full = pl.any_horizontal(
            pl.col(f"{MODAL} calibrated").is_null(), pl.col(f"{TEXT} calibrated highest").is_null()
        )
        return (
            # Where chance is as high as a score can be, differences are rounding.
            pl.when(own.is_null() | best.is_null() | full)
            .then(None)
            .when((own - best).abs() < _TIE)
            .then(pl.lit("neither"))
            .when(own < best)
            .then(pl.lit("modality"))
            .otherwise(pl.lit("language"))
        )

    return (
        table.with_columns(
            verdict("").alias("larger gap"),
            verdict(" calibrated").alias("larger gap (calibrated)"),
        )
        .sort(pl.col("resource").replace_strict(rank, default=len(rank)), "language")
        .select(
            "language",
            "resource",
            "larger gap",
            "larger gap (calibrated)",
            pl.exclude("language", "resource", "larger gap", "larger gap (calibrated)"),
        )
    )


def _figure(frame: pl.DataFrame, table: pl.DataFrame) -> Chart:
    names = tuple(table["language"])
    x = Axis("language, from high to low resource", names)

    def column(name: str) -> tuple[float, ...]:
        return tuple(float("nan") if v is None else float(v) for v in table[name])

    def marks(kind: str, colour: int, suffix: str) -> Marks:
        ends = ("low", "high") if kind == MODAL else (f"{suffix} lowest", f"{suffix} highest")
        low: tuple[float, ...] | None = column(f"{kind} {ends[0].strip()}")
        high: tuple[float, ...] | None = column(f"{kind} {ends[1].strip()}")
        if kind == MODAL and (suffix or np.isnan(low or ()).all()):
            low = high = None
        return Marks(
            kind,
            names,
            column(f"{kind}{suffix}"),
            low,
            high,
            tuple(_hover(r, kind, suffix) for r in table.iter_rows(named=True)),
            colour=colour,
        )

    def chance(kind: str, colour: int) -> Marks:
        return Marks(
            f"chance, {kind}", names, column(f"{kind} chance"), role="chance", colour=colour
        )

    def baselines(suffix: str) -> list[Line]:
        """One line where all kinds have the same baseline, as with encoders of one width."""
        values = {kind: column(f"{kind} baseline{suffix}") for kind in _KINDS}
        same = np.allclose(list(values.values()), values[MODAL], atol=1e-3, equal_nan=True)
        if same:
            return [Line("Gaussian baseline", names, values[MODAL], role="baseline")]
        return [
            Line(f"Gaussian baseline, {kind}", names, values[kind], role="baseline", colour=i)
            for i, kind in enumerate(_KINDS)
        ]

    measure = frame["measure"][0]
    raw: list[Marks | Line] = [marks(kind, i, "") for i, kind in enumerate(_KINDS)]
    raw += [chance(kind, i) for i, kind in enumerate(_KINDS)]
    raw += baselines("")
    calibrated: list[Marks | Line] = [
        marks(kind, i, " calibrated") for i, kind in enumerate(_KINDS)
    ]
    calibrated += baselines(" calibrated")
    zero = tuple(0.0 for _ in names)
    calibrated.append(Line("chance (matched null)", names, zero, role="chance"))
    label = frame["label"][0]
    return Chart(
        "gaps",
        "Modality gap against language gap",
        f"Similarity ({measure}) at the last tap ({label}): a language's text to its own speech "
        "(cross-modal, raw with its 95 % interval), and its text and its speech to those of every "
        "other language (mean, and range over the partners). Raw scores stand beside the matched "
        "null of each kind (hollow); "
        "calibrated ones are (score − chance) / (best − chance). Dotted: the study's Gaussian "
        "baseline of each kind. A cross-modal point under the top of the text range means that the "
        "modality gap is the larger one.",
        (
            Panel("Raw", x, y_axis(measure, calibrated=False), tuple(raw)),
            Panel("Calibrated", x, y_axis(measure, calibrated=True), tuple(calibrated)),
        ),
        columns=2 if len(names) <= _SIDE_BY_SIDE else 1,
    )


def _hover(row: dict[str, Any], kind: str, suffix: str) -> str:
    name = languages()[str(row["language"])].name
    value = row[f"{kind}{suffix}"]
    if value is None:
        return f"{name}, {kind}\nnot defined"
    lines = [f"{name}, {kind}", f"{'mean ' if kind != MODAL else ''}{value:.3f}"]
    if kind != MODAL:
        low, high = row[f"{kind}{suffix} lowest"], row[f"{kind}{suffix} highest"]
        lines.append(f"{low:.3f} to {high:.3f} over {row[f'{kind} partners']} partners")
    lines.append(f"N {row[f'{kind} N']}, chance {shown(row[f'{kind} chance'])}")
    return "\n".join(lines)


def _findings(table: pl.DataFrame, verdicts: Sequence[str]) -> tuple[str, ...]:
    names = {"larger gap": "raw", "larger gap (calibrated)": "calibrated"}
    found = []
    for column in verdicts:
        given = table[column].drop_nulls()
        if given.is_empty():
            continue
        name = names.get(column, "calibrated, without confounds,")
        count = {v: int((given == v).sum()) for v in ("modality", "language", "neither")}
        text = (
            f"By {name} scores the modality gap is the larger one for {count['modality']} of "
            f"{len(given)} languages (some other language's text is more similar to their text "
            f"than their own speech is), and the language gap for {count['language']}"
        )
        found.append(f"{text}; {count['neither']} tie." if count["neither"] else f"{text}.")
    known = table.drop_nulls([f"{MODAL} low", f"{TEXT} highest", "larger gap"])
    if known.height:
        apart = known.filter(
            (pl.col(f"{MODAL} high") < pl.col(f"{TEXT} highest"))
            | (pl.col(f"{MODAL} low") > pl.col(f"{TEXT} highest"))
        ).height
        found.append(
            f"For {apart} of {known.height} languages the raw comparison is clear: the interval of "
            "their cross-modal score leaves out that of the most similar language's text."
        )
    return tuple(found) or ("No comparison of the two gaps is defined.",)
