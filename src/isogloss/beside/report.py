"""The report on one run beside another, and the section that it is in the report of a run."""

from collections.abc import Iterable, Iterator

import polars as pl

from isogloss import specs
from isogloss.beside.data import KINDS, Beside
from isogloss.beside.findings import CALLED
from isogloss.beside.run import Compared
from isogloss.languages import name_of
from isogloss.report import Banner, Column, Download, Report, Section, Table, safe_csv
from isogloss.report.sections import dropped
from isogloss.report.sections import section as of_question
from isogloss.similarity.measures import MEASURES
from isogloss.study import as_yaml
from isogloss.together import about


def sections(beside: Beside) -> Iterator[Section]:
    """One section for each measure: curves, differences, and both in words.

    Args:
        beside: The comparison; also one that was kept beside a run.
    """
    first, second = beside.names
    several = len(beside.measures) > 1
    for measure in beside.measures:
        own = beside.differences.filter(measure=measure).drop("measure")
        # Raw scores come last: a difference of theirs may be one of kept dimensions.
        own = pl.concat([own.filter(pl.col("scores") != "raw"), own.filter(scores="raw")])
        single = beside.by_language.filter(measure=measure, last=True)
        yield of_question(
            f"Beside {second}",
            f"What differs between {first} and {second}, on the same sentences?",
            (*beside.findings(measure), *beside.notes),
            beside.charts(measure),
            [
                *_shown(f"Mean differences, {first} less {second}", own, ("control", "position")),
                *_shown(
                    "By language, or pair of languages, at the last taps",
                    _named(single.drop("measure")),
                    ("control", "position", "last", "depth", "given"),
                ),
            ],
            measure=specs.short(MEASURES, measure) if several else "",
        )


def _shown(
    title: str, frame: pl.DataFrame, without: Iterable[str]
) -> list[tuple[str, pl.DataFrame]]:
    return [] if frame.is_empty() else [(title, frame.drop(*without))]


def _named(frame: pl.DataFrame) -> pl.DataFrame:
    """Languages with their names, and pairs as one."""
    pairs = [
        name_of(a) if a == b else f"{name_of(a)} and {name_of(b)}"
        for a, b in frame.select("language_a", "language_b").iter_rows()
    ]
    found = frame.with_columns(languages=pl.Series(pairs, dtype=pl.String()))
    first = ("scores", "kind", "tap", "languages")
    rest = [c for c in found.columns if c not in (*first, "language_a", "language_b")]
    return found.select(*first, *rest)


def content(done: Compared) -> Report:
    """Describe a comparison as a report of its own."""
    first, second = done.names
    return Report(
        title=f"{first} beside {second}",
        subtitle=f"Two runs on the same languages and sentences of "
        f"{done.models[0].run.corpus['name']}",
        banners=tuple(_banners(done)),
        sections=(_runs(done), *sections(done)),
        counts=about.counts(done.models, done.ground, "both runs"),
        dropped=dropped(
            (x.language, x.modality or "both", x.reason, x.sentences) for x in done.ground.left_out
        ),
        study_yaml=as_yaml(done.about),
        environment=about.environment(done.models),
        notes=tuple(_notes(done)),
        downloads=tuple(
            Download(f"{name}.csv", "text/csv", safe_csv(frame))
            for name, frame in done.tables().items()
        ),
    )


def _runs(done: Compared) -> Section:
    names = ("run", "model", "family", "checkpoint", "weights", "made", "folder")
    columns = (*(Column(name) for name in names), Column("languages", "integer"))
    rows = tuple(
        (
            m.name,
            m.run.model["title"],
            m.run.model["family"],
            about.checkpoint(m),
            "random" if m.run.model["untrained"] else "trained",
            m.run.made,
            str(m.run.folder),
            len(m.languages),
        )
        for m in done.models
    )
    codes = done.ground.languages
    last = done.differences.filter(last=True).unique("kind", keep="first", maintain_order=True)
    found = [
        f"{done.names[0]} is set beside {done.names[1]} on {len(codes)} "
        f"language{'' if len(codes) == 1 else 's'}: {', '.join(codes)}. {done.ground.rule}",
        *(
            f"{CALLED[k]}: N {own['n'][0]}, last tap {own['tap'][0]}."
            for k in KINDS
            if (own := last.filter(kind=k)).height
        ),
        "A difference is the score of the first less that of the second, of the same languages "
        "and sentences. It is positive where the first is closer.",
    ]
    return Section(
        "The two runs",
        "\n\n".join(["Which runs are compared, and on what?", *found]),
        tables=(Table("Runs", columns, rows),),
    )


def _banners(done: Compared) -> Iterator[Banner]:
    yield from about.banners(done.models)
    for note in done.notes:
        yield Banner("info", note)


def _notes(done: Compared) -> Iterator[str]:
    yield (
        "Intervals over sentences come from random halves of them, the same for both runs: two "
        "halves share no sentence, so half their difference shows how far a score moves with them."
    )
    yield from dict.fromkeys(note for m in done.models for note in m.run.model["notes"])
    yield from about.corpus_notes(done.models)
