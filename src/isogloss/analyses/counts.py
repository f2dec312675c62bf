"""Utterances and sentences of each language, beside Table 1 of the study, and what N follows."""

from collections.abc import Iterator, Mapping
from math import comb
from typing import Any, ClassVar

import polars as pl

from isogloss.analyses.base import Material, Reading, Summary
from isogloss.corpora.base import MODALITIES
from isogloss.errors import choices
from isogloss.languages import SETS, languages, resolve

SCHEMA: dict[str, Any] = {
    "what": pl.String(),
    "language": pl.String(),
    "name": pl.String(),
    "script": pl.String(),
    "family": pl.String(),
    "resource": pl.String(),
    "utterances": pl.Int64(),
    "published utterances": pl.Int64(),
    "sentences": pl.Int64(),
    "published sentences": pl.Int64(),
    "text": pl.Int64(),
    "speech": pl.Int64(),
    "further recordings": pl.Int64(),
    "value": pl.Int64(),
    "published": pl.Int64(),
}
"""Columns: rows whose ``what`` is ``language`` are those of the table; the others are a number that
follows from all languages, in ``value`` and, where the study gives it, ``published``."""

PUBLISHED = {
    "paper-seamless": {"cross-modal N": 251, "cross-lingual N": 194, "pairs of languages": 435},
    "paper-salmonn": {"cross-modal N": 251, "cross-lingual N": 194, "pairs of languages": 435},
    "paper-sonar": {"cross-modal N": 251, "cross-lingual N": 192, "pairs of languages": 435},
}
"""Numbers of the study for its own sets of languages (appendix C and section 3.2)."""

_ROW, _CORPUS = "language", "fleurs"


class Counts(Reading):
    """How much of each language there is, and how many sentences every comparison rests on."""

    title: ClassVar[str] = "Languages and sentences"
    question: ClassVar[str] = "What was compared, and is it what the study compared?"

    def read(self, material: Material) -> pl.DataFrame | None:
        """Count by language; the number of sentences of each kind of comparison from its scores."""
        contents, counts = material.contents, material.corpus.get("counts", {})
        # The published numbers are those of this corpus and split alone.
        same = material.study["corpus"]["source"] == _CORPUS
        same &= material.study["corpus"].get("split") == "test"
        rows: list[dict[str, Any]] = []
        for code in contents.languages():
            known, own = languages().get(code), counts.get(code, {})
            have = {m: contents.sentences.get((code, m), ()) for m in MODALITIES}
            takes = contents.speakers.get((code, "speech"), {}).values()
            rows.append(
                {
                    "what": _ROW,
                    "language": code,
                    "name": known.name if known else "",
                    "script": known.script if known else "",
                    "family": known.family if known else "",
                    "resource": known.resource if known else "",
                    "utterances": own.get("utterances"),
                    "published utterances": known.published_utterances if known and same else None,
                    "sentences": own.get("sentences"),
                    "published sentences": known.published_sentences if known and same else None,
                    "text": len(have["text"]),
                    "speech": len(have["speech"]),
                    "further recordings": sum(len(found) - 1 for found in takes),
                }
            )
        if not rows:
            return None
        names = [row["language"] for row in rows]
        published = _published(names) if same else {}
        for what, value in _derived(material.tables, len(names)):
            rows.append({"what": what, "value": value, "published": published.get(what)})
        return pl.DataFrame(rows, schema=SCHEMA)

    def describe(self, frame: pl.DataFrame) -> Summary:
        """Table 1, and where it differs."""
        table = frame.filter(what=_ROW)
        derived = frame.filter(pl.col("what") != _ROW)
        shown = table.select(
            "language", "name", "script", "family", "resource",
            *(
                column
                for name in ("utterances", "sentences")
                for column in (
                    pl.col(name),
                    pl.col(f"published {name}"),
                    (pl.col(name) - pl.col(f"published {name}")).alias(f"{name}: difference"),
                )
                if table[name].is_not_null().any()
            ),
            "text", "speech", "further recordings",
        )  # fmt: skip
        if table["published utterances"].is_null().all():
            shown = shown.drop([c for c in shown.columns if "publish" in c or "differ" in c])
        numbers = derived.select(number="what", here="value", **{"in the study": "published"})
        return Summary(
            tuple(_findings(table, derived)),
            (),
            (("By language, beside Table 1 of the study", shown), ("What follows", numbers)),
        )


def _published(names: list[str]) -> Mapping[str, int]:
    """The study's numbers, if the languages are those of one of its sets."""
    for name in SETS:
        if name in PUBLISHED and set(resolve([name])) == set(names):
            return PUBLISHED[name]
    return {}


def _derived(tables: Mapping[str, pl.DataFrame], count: int) -> Iterator[tuple[str, int | None]]:
    for name, what in (("cross_modal", "cross-modal N"), ("cross_lingual", "cross-lingual N")):
        if name in tables:
            scored = tables[name].filter(pl.col("score").is_not_nan(), pl.col("control") == "")
            least = scored["n"].min()
            yield what, int(least) if isinstance(least, int) else None
    if "cross_lingual" in tables:
        pairs = (
            tables["cross_lingual"]
            .group_by("group")
            .agg(pl.struct("language_a", "language_b").n_unique().alias("pairs"))
        )
        most = pairs["pairs"].max()
        yield "pairs of languages", int(most) if isinstance(most, int) else None
    else:
        yield "pairs of languages", comb(count, 2)


def _findings(table: pl.DataFrame, derived: pl.DataFrame) -> Iterator[str]:
    numbers = {row["what"]: row for row in derived.iter_rows(named=True)}
    told = [
        f"{row['what']} {row['value']}"
        + ("" if row["published"] is None else f" (in the study {row['published']})")
        for row in numbers.values()
        if row["value"] is not None
    ]
    yield f"{table.height} languages: {', '.join(told)}." if told else f"{table.height} languages."
    for name in ("utterances", "sentences"):
        beside = table.drop_nulls([name, f"published {name}"])
        if beside.is_empty():
            continue
        other = beside.filter(pl.col(name) != pl.col(f"published {name}"))
        listed = (
            f"{r['language']} {r[name]} instead of {r[f'published {name}']}"
            for r in other.iter_rows(named=True)
        )
        where = f" The others: {choices(listed, 12)}." if other.height else ""
        yield (
            f"{beside.height - other.height} of {beside.height} languages have as many {name} as "
            f"in Table 1 of the study.{where}"
        )
    short = table.filter(pl.col("speech") != pl.col("text"))
    if short.height:
        some = f"{short.height} languages do" if short.height > 1 else f"{short['name'][0]} does"
        yield (
            f"{some} not have as many sentences with speech as with text; what was left out is "
            "listed below."
        )
