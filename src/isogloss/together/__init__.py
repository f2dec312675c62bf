"""Several models on the same languages and sentences, in one report.

OUT/
  together.json   which runs, languages and settings
  results/        one table per analysis with a column ``model``, their means, and differences
  figures/        PDF and PNG; drawn.json says what they were drawn from
  report.html
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl

from isogloss import specs
from isogloss.analyses import ANALYSES
from isogloss.analyses.base import Analysis
from isogloss.analyses.cross_lingual import CrossLingual
from isogloss.analyses.cross_modal import CrossModal
from isogloss.analyses.gaps import Gaps
from isogloss.compare import compare, prune
from isogloss.errors import MissingExtraError, StudyError, choices
from isogloss.events import Events, Silent
from isogloss.results import SCHEMA, write
from isogloss.sharing import Options
from isogloss.similarity.base import Measure
from isogloss.similarity.measures import MEASURES
from isogloss.storage import atomic, sealing
from isogloss.together.ground import Ground, ground
from isogloss.together.models import Model, claim, load
from isogloss.together.result import Together, record
from isogloss.together.tables import differences, gap_counts

__all__ = ["Together", "together"]

RECORD = "together.json"
QUESTIONS: tuple[type[Analysis], ...] = (CrossModal, CrossLingual, Gaps)
"""The analyses, with their defaults."""
INTERVALS = ("none", "subsampling", "utterances")

Tables = dict[str, list[pl.DataFrame]]


def together(
    folders: Sequence[str | Path],
    output: str | Path,
    *,
    languages: Sequence[str] = (),
    measures: Sequence[str | Measure] = (),
    permutations: int | None = None,
    interval: str | None = None,
    jobs: int | None = None,
    report: bool = True,
    events: Events | None = None,
) -> Together:
    """Set finished runs of several models side by side, on what all of them have.

    Scores are computed anew from the activations, since the runs' own may rest on other sentences
    and another N: each comparison takes the sentences that every run has, and of those the first
    so many as the comparison with the fewest has. The runs' folders are only read.

    Args:
        folders: Output folders of two or more runs on one corpus.
        output: Folder for the tables, figures and the report. It may hold an earlier comparison,
            also an unfinished one, whose finished chunks are used.
        languages: Codes or sets of languages; if empty, ``paper-common`` if every run has all of
            it, else all languages that every run has.
        measures: Similarity measures; if empty, those of the first run.
        permutations: Shuffles behind the level of chance; if left out, as in the first run.
        interval: How intervals of single scores are found; if left out, as in the first run.
        jobs: Threads; if left out, as in the first run.
        report: Draw the figures and write the report too.
        events: Receives progress.

    Raises:
        IsoglossError: The runs cannot be compared, or the output folder holds something else.
            Nothing is written then.
        StudyError: A language, measure or setting is wrong.
    """
    events, output = events or Silent(), Path(output)
    models = load(folders, output)
    shared = ground(models, languages)
    study = dict(models[0].run.study)
    given = {"permutations": permutations, "interval": interval, "jobs": jobs}
    study |= {name: value for name, value in given.items() if value is not None}
    parts = [specs.parse(MEASURES, m) for m in (measures or study["measures"])]
    options = _options(study)
    claim(output, models, RECORD)
    lines = tuple(specs.write(MEASURES, part) for part in parts)
    sealing.write(output / RECORD, record(models, shared, lines, options))
    results, means, files = _scored(models, shared, parts, options, events)
    found = {name: pl.concat(frames) for name, frames in results.items()}
    done = Together(
        folder=output,
        models=models,
        ground=shared,
        measures=lines,
        options=options,
        notes=tuple(_notes(models, study, given)),
        results=found,
        means={name: pl.concat(frames) for name, frames in means.items()},
        differences=differences(found),
        gaps=gap_counts(found.get("gaps", _EMPTY)),
    )
    _write(done)
    prune(output / "results" / "parts", files)
    return _with_report(done, events) if report else done


_EMPTY = pl.DataFrame(schema={"model": pl.String(), **SCHEMA})


def _options(study: dict[str, Any]) -> Options:
    if study["permutations"] < 0 or study["jobs"] < 0:
        raise StudyError("permutations and jobs must be 0 or more")
    if study["interval"] not in INTERVALS:
        raise StudyError(f"interval must be one of {choices(INTERVALS)}, not {study['interval']!r}")
    return Options.of(study)


def _scored(
    models: Sequence[Model],
    shared: Ground,
    measures: Sequence[Measure],
    options: Options,
    events: Events,
) -> tuple[Tables, Tables, list[Path]]:
    """Scores and means of every analysis, model by model, and the chunks that they were made of."""
    results: Tables = {}
    means: Tables = {}
    files: list[Path] = []
    for kind in QUESTIONS:
        name = ANALYSES.name_of(kind)
        for model in models:
            wanted = list(kind().comparisons(shared.contents(model)))
            if not wanted:
                continue
            events.note(f"{name}: {model.name}")
            rows, mean, used = compare(
                wanted,
                measures,
                analysis=name,
                store=model.store,
                units=shared.units(model),
                options=options,
                events=events,
            )
            files += used
            own = pl.lit(model.name).alias("model")
            results.setdefault(name, []).append(rows.select(own, pl.all()))
            means.setdefault(name, []).append(mean.select(own, pl.all()))
    return results, means, files


def _notes(models: Sequence[Model], study: dict[str, Any], given: dict[str, Any]) -> Iterator[str]:
    """Settings in which the runs differ, and what was used."""
    for key in ("permutations", "interval", "confounds"):
        if given.get(key) is None and len({str(m.run.study[key]) for m in models}) > 1:
            yield (
                f"The runs differ in {key}; here it is {study[key]} for all, as in "
                f"{models[0].name}."
            )
    if len({m.run.study["seed"] for m in models}) > 1:
        yield (
            "The runs differ in their seed, so where a sentence has several recordings they may "
            "have used different ones."
        )


def _write(done: Together) -> None:
    folder = done.folder / "results"
    kept = {folder / "parts"}
    for name, frame in done.results.items():
        kept.update(write(frame, folder, name))
    for name, frame in done.means.items():
        kept.update(write(frame, folder / "means", name))
    kept.update(write(done.differences, folder, "differences"))
    kept.update(write(done.gaps, folder, "gap_counts"))
    for path in {*folder.glob("*.*"), *folder.glob("means/*.*")} - kept:
        atomic.remove(path)


def _with_report(done: Together, events: Events) -> Together:
    """Draw the figures and write the report, if the extra is there."""
    try:
        from isogloss.report import publish
        from isogloss.together.report import content

        path = publish(content(done), done.folder, events)
    except MissingExtraError as error:
        events.warn(f"no figures and no report: {error}")
        return done
    return replace(done, report=path)
