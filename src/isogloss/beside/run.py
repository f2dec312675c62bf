"""Set one run beside another: from two folders to tables, figures and a report."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import polars as pl

from isogloss import specs
from isogloss.beside.agreed import (
    common_ground,
    marks_of,
    measures_of,
    named,
    notes_of,
    one_width,
)
from isogloss.beside.data import Beside
from isogloss.beside.recordings import other_recordings
from isogloss.beside.scores import Alike, Scores
from isogloss.beside.tables import tables
from isogloss.compare import prune
from isogloss.errors import MissingExtraError, StoreError, StudyError
from isogloss.events import Events, Silent
from isogloss.results import write
from isogloss.settings import split_names
from isogloss.sharing import Options
from isogloss.similarity.base import Measure
from isogloss.similarity.measures import MEASURES
from isogloss.storage import atomic, sealing
from isogloss.together.ground import Ground
from isogloss.together.models import Model, claim, load

RECORD = "compare.json"
FORMAT = 1
SPLITS = 12
FEWEST_SPLITS = 8


@dataclass(frozen=True)
class Compared(Beside):
    """One run beside another, with where it comes from."""

    models: tuple[Model, ...] = ()
    ground: Ground = field(default_factory=lambda: Ground("", {}, ()))
    """The languages and sentences that both have."""
    recordings: tuple[str, ...] = ()
    """Those of the notes that say that they heard other recordings, or may have."""
    folder: Path | None = None
    """Where the tables are, or None if they were not written."""
    report: Path | None = None
    """The HTML report, or None if there is none."""


def compare_runs(
    first: str | Path,
    second: str | Path,
    output: str | Path | None = None,
    *,
    names: str | Sequence[str] = (),
    languages: str | Sequence[str] = (),
    measures: str | Sequence[str | Measure] = (),
    taps: str | Sequence[str] = (),
    splits: int = SPLITS,
    permutations: int | None = None,
    jobs: int | None = None,
    report: bool = True,
    events: Events | None = None,
) -> Compared:
    """Set two finished runs side by side, with paired differences and intervals.

    Both are scored on the languages and sentences that both have, and on the same random halves of
    them, from their stored activations. The runs' folders are only read; scores that a run has
    computed on the same sentences are taken over. Every list may be written with commas, such as
    ``"deu,eng"``.

    Args:
        first: Output folder of the run that is looked at, such as the later checkpoint.
        second: That of the run it is compared with.
        output: Folder for tables, figures and the report. It may hold an earlier comparison, also
            an unfinished one, whose finished chunks are used. Nothing is kept if None.
        names: What to call the two; if empty, their models' titles, or their folders' names where
            these are equal.
        languages: Codes or sets of languages; if empty, all that both have.
        measures: Similarity measures; if empty, those that both runs have.
        taps: Where differences are tested, by the labels of the places; ``last`` is the last one.
            Everywhere if empty. Curves have all taps if both runs have scores of all, and else
            these.
        splits: Number of times the sentences are split into halves, at least 8. With 0 there are
            no intervals over sentences.
        permutations: Shuffles behind the level of chance; if None, as in the first run.
        jobs: Threads; if None, as in the first run.
        report: Draw the figures and write the report, if there is an output folder.
        events: Receives progress.

    Returns:
        The differences of the first run less the second; see :mod:`isogloss.beside.data`.

    Raises:
        IsoglossError: The runs cannot be compared, or the output folder holds something else.
            Nothing is written then.
        StudyError: A language, measure, tap or setting is wrong.
    """
    events = events or Silent()
    names, languages, taps = (split_names(x) for x in (names, languages, taps))
    measures = specs.split(measures) if isinstance(measures, str) else measures
    if splits and splits < FEWEST_SPLITS:
        raise StudyError(f"splits must be {FEWEST_SPLITS} or more, or 0 for none, not {splits}")
    if output is None:
        with TemporaryDirectory(prefix="isogloss-") as folder:
            return _compare(
                (first, second), Path(folder), names, languages, measures, taps, splits,
                {"permutations": permutations, "jobs": jobs}, events, keep=False,
            )  # fmt: skip
    done = _compare(
        (first, second), Path(output), names, languages, measures, taps, splits,
        {"permutations": permutations, "jobs": jobs}, events, keep=True,
    )  # fmt: skip
    return _with_report(done, Path(output), events) if report else done


def _compare(
    folders: Sequence[str | Path],
    output: Path,
    names: Sequence[str],
    languages: Sequence[str],
    measures: Sequence[str | Measure],
    taps: Sequence[str],
    splits: int,
    given: dict[str, int | None],
    events: Events,
    *,
    keep: bool,
) -> Compared:
    models = named(load(folders, output, equal=True), names)
    shared = common_ground(models, languages)
    study = dict(models[0].run.study)
    study |= {name: value for name, value in given.items() if value is not None}
    for name in given:
        if study[name] < 0:
            raise StudyError(f"{name} must be 0 or more, not {study[name]}")
    parts = measures_of(models, measures)
    options = Options.of(study)
    about = _about(models, shared, [specs.write(MEASURES, m) for m in parts], options, splits)
    alike = Alike(shared, parts, options, splits, taps, events)
    asked = alike.asked(models)
    if keep:
        claim(output, models, RECORD)
        _retire(output, about)
        sealing.write(output / RECORD, about)
    scores = alike.of(models, asked)
    raw = one_width(models)
    recordings = tuple(other_recordings(models, shared))
    found, singles = tables(scores, raw=raw)
    done = Compared(
        names=(models[0].name, models[1].name),
        curves=_curves(scores, models),
        differences=found,
        by_language=singles,
        notes=(*notes_of(models, recordings, study, raw=raw), *scores.notes),
        marks=marks_of(models),
        about=about,
        models=models,
        ground=shared,
        recordings=recordings,
        folder=output if keep else None,
    )
    if keep:
        _write(done, output)
        prune(output / "results" / "parts", scores.files)
    return done


def _retire(output: Path, about: dict[str, Any]) -> None:
    """Remove what an earlier comparison left, if it was another one; finished chunks stay."""
    with suppress(StoreError):
        if sealing.read(output / RECORD) == about:
            return
    old = [*(output / "results").glob("*.*"), *(output / "figures").glob("*.*")]
    for path in [*old, output / "report.html"]:
        atomic.remove(path)


def _curves(scores: Scores, models: Sequence[Model]) -> pl.DataFrame:
    names = {i: m.name for i, m in enumerate(models)}
    found = pl.concat(scores.means)
    return found.with_columns(run=pl.col("run").replace_strict(names, return_dtype=pl.String()))


def _about(
    models: Sequence[Model], shared: Ground, lines: list[str], options: Options, splits: int
) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "runs": [
            {"name": m.name, "folder": str(m.run.folder), "made": m.run.made,
             "checkpoint": m.run.model["checkpoint"]}
            for m in models
        ],
        "languages": list(shared.languages),
        "measures": lines,
        "splits": splits,
        **{k: v for k, v in asdict(options).items() if k not in ("jobs", "memory", "interval")},
    }  # fmt: skip


def _write(done: Compared, output: Path) -> None:
    folder = output / "results"
    kept = {folder / "parts"}
    for name, frame in done.tables().items():
        kept.update(write(frame, folder, name))
    for path in {*folder.glob("*.*")} - kept:
        atomic.remove(path)


def _with_report(done: Compared, folder: Path, events: Events) -> Compared:
    """Draw the figures and write the report, if the extra is there."""
    try:
        from isogloss.beside.report import content
        from isogloss.report import publish

        path = publish(content(done), folder, events)
    except MissingExtraError as error:
        events.warn(f"no figures and no report: {error}")
        return done
    return replace(done, report=path)
