"""What the study leaves open: the choice made here, and what another one gives."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, get_args, get_origin

import polars as pl

from isogloss import specs
from isogloss.analyses._curves import SentenceRule, nan_free, shown, subsets
from isogloss.analyses._gap_table import KINDS, MODAL, SPEECH, TEXT, by_language
from isogloss.analyses.base import Comparison, Contents, Material, Reading, Summary
from isogloss.analyses.gaps import Gaps
from isogloss.settings import Settings, role_of, setting
from isogloss.similarity.base import Measure
from isogloss.similarity.measures import MEASURES
from isogloss.similarity.measures.svcca import Svcca

SCHEMA: dict[str, Any] = {
    "choice": pl.String(),
    "value": pl.String(),
    "here": pl.Boolean(),
    "n": pl.Int64(),
    **{f"{kind}{what}": pl.Float64() for kind in KINDS for what in ("", " calibrated")},
    "languages": pl.Int64(),
    "modality gap larger": pl.Int64(),
    "modality gap larger (calibrated)": pl.Int64(),
    "reason": pl.String(),
    "note": pl.String(),
}
"""Columns of the table: one row per value of a choice. ``here`` says whether it is that of the run,
``reason`` why there is no score, ``note`` what another one costs where it was not tried."""


@dataclass(frozen=True)
class _Variant:
    choice: str
    value: str
    here: bool
    measure: Measure
    comparisons: Sequence[Comparison]


class Choices(Reading):
    """Scores at the last tap under each choice that the study leaves open.

    Only those that need no other activations are tried; the others are listed.
    """

    title: ClassVar[str] = "Choices that the study leaves open"
    question: ClassVar[str] = "What was chosen here, and what would another choice have given?"

    sentences: SentenceRule = setting(
        "smallest", role="analysis", help="The rule of the run, beside which the others are set."
    )

    def read(self, material: Material) -> pl.DataFrame | None:
        """Score text against speech, and language against language, under each choice."""
        base = specs.parse(MEASURES, material.study["measures"][0])
        rows = [
            _row(v, material.score(v.comparisons, [v.measure]))
            for v in _variants(base, material.contents, self.sentences)
        ]
        if not rows:
            return None
        return pl.DataFrame([*rows, *_untried(material.source())], schema=SCHEMA)

    def describe(self, frame: pl.DataFrame) -> Summary:
        """The table, and which choice moves the conclusion most."""
        tried = frame.filter(pl.col("note") == "")
        return Summary(
            tuple(_findings(tried)),
            (),
            (
                ("Choices that could be tried", _shown(tried)),
                (
                    "Choices that need another extraction",
                    frame.filter(pl.col("note") != "").select("choice", "value", "note"),
                ),
            ),
        )


def _variants(base: Measure, contents: Contents, rule: SentenceRule) -> Iterator[_Variant]:
    """The run's own choice first, within each choice."""
    own = list(Gaps(sentences=rule).comparisons(contents))
    if not own:
        return
    if isinstance(base, Svcca):
        for name, choice, others in (
            ("rule", "the share of variance is one of", ("squared", "linear")),
            ("mean", "the mean is over the coefficients that make up", ("all", "98")),
            ("epsilon", "directions are dropped below a share of", (1e-10, 0.0)),
            ("zscore", "features are divided by their standard deviation", (False, True)),
        ):
            mine = getattr(base, name)
            for value in dict.fromkeys((mine, *others)):
                part = Svcca(**{**base.model_dump(), name: value})
                yield _Variant(choice, _value(name, value), value == mine, part, own)
    rules: tuple[SentenceRule, ...] = ("smallest", "shared", "all")
    for other in dict.fromkeys((rule, *rules)):
        found = list(Gaps(sentences=other).comparisons(contents))
        yield _Variant("sentences of a comparison", _RULES[other], other == rule, base, found)
    if rule == "smallest":
        choice = "which of its sentences, where it has more than that"
        yield _Variant(choice, "the first by id", True, base, own)
        last = list(Gaps(sentences=rule).comparisons(_turned(contents)))
        yield _Variant(choice, "the last by id", False, base, last)
        choice = "number of sentences in the comparison of the gaps"
        yield _Variant(choice, "one for all three kinds", True, base, own)
        apart = _apart(Gaps(sentences="all").comparisons(contents), rule)
        yield _Variant(choice, "one for each kind, as in its own figure", False, base, apart)
    other_takes = list(_second(own, contents))
    if any(c.takes_a or c.takes_b for c in other_takes):
        choice = "recording of a sentence that has several"
        yield _Variant(choice, "that chosen by the seed", True, base, own)
        yield _Variant(choice, "the next one", False, base, other_takes)


_RULES = {
    "smallest": "as many of its own as the comparison with the fewest has",
    "shared": "those that all comparisons share",
    "all": "all of its own",
}


def _value(name: str, value: Any) -> str:
    named = {
        ("rule", "squared"): "squared singular values",
        ("rule", "linear"): "singular values",
        ("mean", "all"): "all of their sum",
        ("mean", "98"): "98 % of their sum",
    }
    if isinstance(value, bool):
        return "yes" if value else "no"
    return named.get((name, value), f"{value:g}" if isinstance(value, float) else str(value))


def _apart(comparisons: Iterable[Comparison], rule: SentenceRule) -> list[Comparison]:
    """Cut speech against text by itself, and both kinds of language against language together."""
    kinds: dict[bool, list[Comparison]] = {True: [], False: []}
    for c in comparisons:
        kinds[c.group == MODAL].append(c)
    return [
        replace(c, sentences=cut)
        for found in kinds.values()
        for c, cut in zip(found, subsets([c.sentences for c in found], rule), strict=True)
    ]


def _turned(contents: Contents) -> Contents:
    """The same contents with the sentences in the opposite order."""
    return replace(
        contents, sentences={unit: ids[::-1] for unit, ids in contents.sentences.items()}
    )


def _second(comparisons: Iterable[Comparison], contents: Contents) -> Iterator[Comparison]:
    """The same comparisons with the second recording of every sentence that has one."""

    def takes(language: str, modality: Any, sentences: Sequence[str]) -> tuple[int, ...] | None:
        if modality != "speech":
            return None
        speakers = contents.speakers.get((language, modality), {})
        found = tuple(int(len(speakers.get(s, ())) > 1) for s in sentences)
        return found if any(found) else None

    for c in comparisons:
        yield replace(
            c,
            takes_a=takes(c.a.language, c.a.modality, c.sentences),
            takes_b=takes(c.b.language, c.b.modality, c.sentences),
        )


def _row(variant: _Variant, frame: pl.DataFrame) -> dict[str, Any]:
    table = by_language(frame)
    row: dict[str, Any] = {
        "choice": variant.choice,
        "value": variant.value,
        "here": variant.here,
        "n": frame.filter(pl.col("score").is_not_nan())["n"].min(),
        "reason": next(iter(frame.filter(pl.col("score").is_nan())["reason"]), ""),
        "note": "",
    }
    for kind in KINDS:
        rows = frame.filter(group=kind)
        for column, name in (("score", kind), ("calibrated", f"{kind} calibrated")):
            mean = rows.select(nan_free(column).mean()).item()
            row[name] = float("nan") if mean is None else mean
    for name, column in (
        ("modality gap larger", "larger gap"),
        ("modality gap larger (calibrated)", "larger gap (calibrated)"),
    ):
        decided = table[column].drop_nulls()
        row[name] = int((decided == "modality").sum()) if len(decided) else None
    row["languages"] = table.height
    return row


def _untried(source: Settings) -> Iterator[dict[str, Any]]:
    """Settings of the model that change activations, with their other values."""
    kind = type(source)
    for name, info in kind.model_fields.items():
        if role_of(kind, name) != "identity" or name in ("family", "dtype"):
            continue
        options: tuple[Any, ...] = ()
        if info.annotation is bool:
            options = (True, False)
        elif get_origin(info.annotation) is not None:
            options = get_args(info.annotation)
        mine = getattr(source, name)
        if not options or mine not in options or type(None) in options:
            continue
        for value in (mine, *(o for o in options if o != mine)):
            text = str(value).lower() if isinstance(value, bool) else str(value)
            yield {
                "reason": "",
                "choice": f"model.{name}",
                "value": text,
                "here": value == mine,
                "note": (info.description or "")
                if value == mine
                else f"run again with {_option(name, value)} and another output",
            }


def _option(name: str, value: Any) -> str:
    """The option of the command line that sets a field of the model."""
    option = name.replace("_", "-")
    if isinstance(value, bool):
        return f"--model.{option}" if value else f"--model.no-{option}"
    return f"--model.{option} {value}"


def _findings(frame: pl.DataFrame) -> Iterator[str]:
    mine = frame.filter("here")
    own = mine.row(0, named=True)
    yield (
        f"With the choices made here, on {own['n']} sentences, similarity at the last tap is "
        f"{shown(own[MODAL])} between speech and text, {shown(own[TEXT])} between the texts and "
        f"{shown(own[SPEECH])} between the recordings of two languages; calibrated "
        f"{shown(own[f'{MODAL} calibrated'])}, "
        f"{shown(own[f'{TEXT} calibrated'])} and {shown(own[f'{SPEECH} calibrated'])}."
    )
    others = frame.filter(~pl.col("here"))
    for kind, what in ((MODAL, "speech and text"), (TEXT, "texts"), (SPEECH, "recordings")):
        moved = others.with_columns(by=(nan_free(kind) - own[kind]).abs()).drop_nulls("by")
        calibrated = f"{kind} calibrated"
        steady = others.with_columns(by=(nan_free(calibrated) - own[calibrated]).abs())
        steady = steady.drop_nulls("by")
        if moved.is_empty():
            continue
        most = moved.sort("by").row(-1, named=True)
        text = (
            f"Between {what} the raw score moves most, to {shown(most[kind])}, if "
            f"{most['choice']}: {most['value']}"
        )
        if not steady.is_empty():
            then = steady.sort("by").row(-1, named=True)
            text += (
                f"; the calibrated one, to {shown(then[calibrated])}, if {then['choice']}: "
                f"{then['value']}"
            )
        yield f"{text}."


def _shown(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.drop("note").with_columns(
        here=pl.when("here").then(pl.lit("yes")).otherwise(pl.lit(""))
    )
