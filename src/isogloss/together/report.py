"""The report on several models."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict
from functools import partial

import polars as pl

from isogloss import specs
from isogloss.analyses._gap_table import MODAL, SPEECH, TEXT
from isogloss.errors import choices
from isogloss.report import Banner, Column, Download, Report, Section, Table, safe_csv
from isogloss.report.sections import called, dropped, marks
from isogloss.report.sections import section as of_question
from isogloss.results import PLAIN
from isogloss.similarity.measures import MEASURES
from isogloss.study import as_yaml
from isogloss.together import about, bars, figures, findings
from isogloss.together.models import joined
from isogloss.together.result import Together
from isogloss.together.tables import summary


def content(done: Together) -> Report:
    """Describe models beside each other as a report."""
    sections = [_models(done)]
    for line in done.measures:
        sections += _of_measure(done, line, several=len(done.measures) > 1)
    names = [m.name for m in done.models]
    options = ", ".join(f"{k} {v}" for k, v in asdict(done.options).items())
    return Report(
        title=f"{choices(names, 8)} on {done.models[0].run.corpus['name']}",
        subtitle="Several models on the same languages and sentences",
        banners=tuple(_banners(done)),
        sections=tuple(sections),
        counts=about.counts(done.models, done.ground, "all runs"),
        dropped=dropped(
            (x.language, x.modality or "both", x.reason, x.sentences) for x in done.ground.left_out
        ),
        study_yaml=as_yaml(done.record()),
        environment=about.environment(done.models, ("options", options)),
        notes=tuple(_notes(done)),
        downloads=tuple(
            Download(f"{name}.csv", "text/csv", safe_csv(frame))
            for name, frame in done.tables().items()
        ),
    )


def _of_measure(done: Together, line: str, *, several: bool) -> list[Section]:
    names = [m.name for m in done.models]
    families = {m.name: str(m.run.model["family"]) for m in done.models}
    results = {n: f.filter(measure=line) for n, f in done.results.items()}
    pairs = done.differences.filter(measure=line)
    plain, counts = pairs.filter(control=PLAIN), done.gaps.filter(measure=line)
    at_last = summary(results, line)
    modal, lingual = results.get("cross_modal"), results.get("cross_lingual")
    untrained = [m.name for m in done.models if m.run.model["untrained"]]
    section = partial(
        of_question,
        measure=specs.short(MEASURES, line) if several else "",
        marks=marks(
            f"untrained, random weights: {', '.join(untrained)}" if untrained else "",
            synthetic=_synthetic(done),
        ),
    )

    def means(*kinds: str) -> list[tuple[str, pl.DataFrame]]:
        own = at_last if at_last.is_empty() else at_last.filter(pl.col("kind").is_in(kinds))
        return [] if own.is_empty() else [("At the last tap", own.rename({"label": "tap"}))]

    made = []
    if modal is not None:
        made.append(
            section(
                "Speech against text",
                "Which model brings the speech and the text of a sentence closest together?",
                findings.of_kind(at_last, plain, MODAL),
                [*figures.cross_modal(modal, names), *bars.last_tap(results, names)],
                [*means(MODAL), *_by_language(modal)],
            )
        )
    if lingual is not None:
        made.append(
            section(
                "Language against language",
                "Which model brings translations closest together, written and spoken?",
                [
                    text
                    for kind in (TEXT, SPEECH)
                    if lingual.filter(group=kind.rpartition(" ")[2]).height
                    for text in findings.of_kind(at_last, plain, kind)
                ],
                figures.cross_lingual(lingual, names),
                means(TEXT, SPEECH),
            )
        )
    if counts.height:
        made.append(
            section(
                "Modality gap against language gap",
                "In which models is a written sentence closer to its translations than to its own "
                "speech?",
                findings.of_gaps(counts, families),
                bars.gaps(counts, names),
                [("By model", findings.gap_table(counts, families))],
            )
        )
    if pairs.height:
        made.append(
            section(
                "Differences between models",
                "Which differences between models are more than chance, over languages?",
                findings.of_differences(pairs),
                bars.differences(plain),
                [("Models in pairs", pairs.drop("measure"))],
            )
        )
    return made


def _by_language(frame: pl.DataFrame) -> list[tuple[str, pl.DataFrame]]:
    """Calibrated scores of every language at the last tap, a column for each model."""
    from isogloss.together.tables import last

    rows = last({"cross_modal": frame}).filter(control=PLAIN)
    if rows.is_empty():
        return []
    wide = rows.sort("language_a").pivot("model", index="language_a", values="calibrated")
    level = [called(code)[1] for code in wide["language_a"]]
    wide = wide.rename({"language_a": "language"})
    wide.insert_column(1, pl.Series("resource", level, dtype=pl.String()))
    return [("Calibrated score at the last tap, by language", wide)]


def _models(done: Together) -> Section:
    names = ("model", "family", "checkpoint", "licence", "weights")
    columns = (
        *(Column(name) for name in names),
        Column("languages", "integer", "Those of the run, before the common ones are chosen"),
        Column("taps"),
        Column("notes"),
        Column("folder"),
    )
    rows = tuple(
        (
            m.name,
            m.run.model["family"],
            about.checkpoint(m),
            "none (random weights)" if m.run.model["untrained"] else m.run.model["licence"],
            "random" if m.run.model["untrained"] else "trained",
            len(m.languages),
            "; ".join(
                f"{len(taps)} of {modality}"
                for modality, taps in m.run.taps.items()
                if modality in m.modalities
            ),
            " ".join(m.run.model["notes"]),
            str(m.run.folder),
        )
        for m in done.models
    )
    codes = done.ground.languages
    found = [
        f"{len(done.models)} models are compared on {len(codes)} "
        f"language{'' if len(codes) == 1 else 's'}: {', '.join(codes)}. {done.ground.rule}",
        *(f"{_SAID[name]}: {text}." for name in _SAID if (text := _n(done, name))),
        "Every comparison has the same sentences in all models: those that every run has, and of "
        "these the first so many as the comparison with the fewest has.",
    ]
    return Section(
        "The models",
        "\n\n".join(["Which models are compared, and on what?", *found]),
        tables=(Table("Models", columns, rows),),
    )


_SAID = {
    "cross_modal": "Speech against text",
    "cross_lingual": "Language against language",
    "gaps": "Modality gap against language gap",
}


def _n(done: Together, name: str) -> str:
    frame = done.results.get(name)
    if frame is None:
        return ""
    low, high = str(frame["n"].min()), str(frame["n"].max())
    names = frame["model"].unique(maintain_order=True).to_list()
    of = "" if len(names) == len(done.models) else f", of {joined(names)} only"
    return f"N {low}{'' if low == high else f' to {high}'}{of}"


def _synthetic(done: Together) -> bool:
    return any(m.run.corpus["synthetic_speech"] for m in done.models)


def _banners(done: Together) -> Iterable[Banner]:
    yield from about.banners(done.models)
    for note in done.notes:
        yield Banner("info", note)
    undefined = sum(int(f["score"].is_nan().sum()) for f in done.results.values())
    if undefined:
        yield Banner("warning", f"{undefined} scores could not be computed; the tables say why.")
    unsaid = [m.name for m in done.models if not m.texts]
    if unsaid:
        yield Banner(
            "warning",
            f"{joined(unsaid)}: the run does not hold its texts, so nobody checked that its "
            "sentences are those of the others.",
        )


def _notes(done: Together) -> Iterable[str]:
    yield (
        "Raw SVCCA grows with the number of dimensions kept, which grows with the width of a "
        "model. So models of different widths compare through calibrated scores only."
    )
    yield (
        "Relative depth is 0 at a model's input and 1 at its last layer. Equal depth in two models "
        "does not mean that they have done the same work by then."
    )
    every = [note for m in done.models for note in dict.fromkeys(m.run.model["notes"])]
    for note, count in Counter(every).items():
        names = [m.name for m in done.models if note in m.run.model["notes"]]
        yield note if count == len(done.models) else f"{joined(names)}: {note}"
    yield from about.corpus_notes(done.models)
