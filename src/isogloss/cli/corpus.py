"""The command that looks into a corpus."""

from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from isogloss import specs
from isogloss.cli.display import show_table
from isogloss.corpora import CORPORA
from isogloss.corpora.base import CorpusSource, grouped
from isogloss.selection import Summary, select, summary
from isogloss.study import Study


def show(
    where: Annotated[
        str,
        Parameter(
            name="CORPUS",
            help="A manifest file, a study file (.yaml), or the name of a corpus, with settings as "
            "in `fleurs(split=dev)`.",
        ),
    ],
    /,
    *,
    path: Annotated[
        str | None, Parameter(help="Where the corpus is, for those that lie in a folder or file.")
    ] = None,
    languages: Annotated[str, Parameter(help="Only these languages, comma-separated.")] = "",
    recordings: Annotated[
        int | None, Parameter(help="Use up to so many recordings of a sentence. [default: 1]")
    ] = None,
    seed: Annotated[int, Parameter(help="Seed of the choice among several recordings.")] = 0,
) -> None:
    """Count sentences, hours, duplicates and common sentences of a corpus."""
    given = {"path": path, "languages": languages or None, "recordings": recordings}
    source = _source(where, {name: value for name, value in given.items() if value is not None})
    corpus = source.load()
    selection = select(
        corpus,
        languages=source.languages,
        modalities=source.modalities,
        sentences=source.sentences,
        recordings=source.recordings,
        seed=seed,
    )
    found = summary(selection)
    print(f"{corpus.name}: {corpus.description}\nLicence: {corpus.licence}")
    for note in selection.corpus.notes:
        print(f"Note: {note}")
    _summary(found)
    if selection.dropped:
        show_table(
            "Left out",
            ["language", "modality", "sentences", "reason"],
            [
                [g.language, g.modality, str(len(g.sentences)), g.reason]
                for g in grouped(selection.dropped)
            ],
        )


def _source(where: str, given: dict[str, Any]) -> CorpusSource:
    """The corpus that is named by a manifest, a study, or its own name, with other settings."""
    file = Path(where)
    if file.suffix in (".yaml", ".yml"):
        part: CorpusSource = Study.read(file).corpus
    elif where not in CORPORA.names() and file.suffix and "(" not in where:
        return CORPORA.get("manifest")(**{"path": where, **given})
    elif where in CORPORA.names():
        return CORPORA.get(where)(**given)
    else:
        part = specs.parse(CORPORA, where)
    return type(part)(**{**part.model_dump(), **given})


def _summary(found: Summary) -> None:
    show_table(
        "",
        ["language", "text", "speech", "both", "hours", "duplicates", "further recordings",
         "not chosen", "unreadable"],
        [
            [x.language, str(x.text), str(x.speech), str(x.both), f"{x.hours:.2f}",
             str(x.duplicates), str(x.further), str(x.extra), str(x.unreadable)]
            for x in found.languages
        ],
    )  # fmt: skip
    for modality, overlap in found.overlaps.items():
        show_table(
            f"Sentences that two languages share, {modality}",
            ["", *overlap.languages],
            [
                [name, *map(str, row)]
                for name, row in zip(overlap.languages, overlap.shared, strict=True)
            ],
        )
        print(f"{overlap.common} sentences are in all {len(overlap.languages)} ({modality})")
    print(f"{found.common} sentences are in all languages and modalities")
