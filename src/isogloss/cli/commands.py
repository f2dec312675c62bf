"""Commands that do work on a study or on an output folder."""

import json
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from isogloss import api
from isogloss.cli.display import display, show_table, size, span
from isogloss.cli.options import with_settings
from isogloss.coordinate import job
from isogloss.corpora.base import grouped
from isogloss.errors import IsoglossError, StudyError, choices
from isogloss.estimate import estimate
from isogloss.findings import summary
from isogloss.planning import plan as make_plan
from isogloss.settings import split_names
from isogloss.storage.store import Store
from isogloss.study import Study
from isogloss.template import template

Folder = Annotated[Path, Parameter(name="FOLDER", help="Output folder of a run.")]
_DEFAULT = Path("isogloss-run")


def do(study: Study) -> int:
    """Run a study and say where its results are; 1 if something failed."""
    with display() as events:
        outcome = api.run(study, events)
    return told(outcome)


def told(outcome: api.Outcome) -> int:
    """Say where the results of a run are; 1 if something failed."""
    if outcome.submitted:
        print(f"handed over: {outcome.submitted}")
        print(f"`isogloss status {outcome.folder}` shows how far it is")
        return 0
    for name in outcome.skipped:
        print(f"{name}: nothing to compare, left out")
    for unit, reason in outcome.failed:
        print(f"failed: {unit.language} {unit.modality}: {reason}")
    found = api.load_findings(outcome.folder)
    if found is not None and found.height:
        print(f"findings: {summary(found).findings[0]}")
    print(f"results: {outcome.folder / 'results'} ({', '.join(outcome.results)})")
    if outcome.report:
        print(f"figures: {outcome.folder / 'figures'}")
        print(f"report:  {outcome.report}")
    return 1 if outcome.failed else 0


@with_settings
def run(study: Study) -> int:
    """Do a study: activations, similarity, results, figures and report.

    Running the same command again does only what is missing. Settings come from the study file,
    and options given here replace them.
    """
    return do(study)


def demo(
    *,
    output: Annotated[Path, Parameter(help="Output folder.")] = Path("isogloss-demo"),
    languages: Annotated[
        str | None, Parameter(help="Fewer than the ten languages of the demo, comma-separated.")
    ] = None,
    sentences: Annotated[
        int | None, Parameter(help="Use only the first so many sentences.")
    ] = None,
) -> int:
    """Show the phenomenon: a small model that has learned, beside the same one untrained.

    It needs nothing but this package: lists of words in ten languages, spoken by espeak-ng, through
    a small SeamlessM4T v2 that was trained on other such lists. Similarity rises over its layers,
    speech and text stay apart in part, and languages of which it has seen little stay behind. The
    model knows 96 words: it is for demonstration only.
    """
    from isogloss.demo import run_demo

    with display() as events:
        outcome = run_demo(output, languages=languages, sentences=sentences, events=events)
    return told(outcome)


@with_settings
def plan(
    study: Study, *, as_json: Annotated[bool, Parameter(name="--json", negative="")] = False
) -> int:
    """Say what a study would do, how large it is and how long it may take. Nothing is run.

    Parameters
    ----------
    as_json
        Print JSON instead of tables.
    """
    with display() as events:
        planned = make_plan(study, events)
    store = Store(study.output)
    found = estimate(planned, store)
    pending = set(planned.pending(store))
    if as_json:
        units = [
            {
                "language": u.language,
                "modality": u.modality,
                "sentences": len(u.sentences),
                "further_recordings": u.further,
                "taps": list(u.taps),
                "bytes": planned.bytes(u),
                "done": u not in pending,
            }
            for u in planned.units
        ]
        print(json.dumps({"estimate": found.__dict__, "units": units}, indent=1))
        return 0
    show_table(
        f"{study.model.title()} on {planned.selection.corpus.name}",
        ["language", "modality", "sentences", "further recordings", "taps", "size", "state"],
        [
            [
                u.language,
                u.modality,
                str(len(u.sentences)),
                str(u.further),
                str(len(u.taps)),
                size(planned.bytes(u)),
                "pending" if u in pending else "done",
            ]
            for u in planned.units
        ],
    )
    for modality, taps in planned.taps.items():
        print(f"{modality} taps: {' '.join(t.name for t in taps)}")
    for note in planned.selection.corpus.notes:
        print(f"note: {note}")
    for group in grouped(planned.selection.dropped):
        ids = choices(group.sentences, 6)
        print(f"left out: {group.language} {group.modality}, sentence {ids}: {group.reason}")
    more = f" and {found.further} further recordings" if found.further else ""
    print(
        f"{found.pending} of {found.units} units to make; {found.sentences} sentences{more}, "
        f"{found.hours:.1f} h of speech, {size(found.bytes)} of activations"
    )
    told = study.executor.describe(job(study.output, "extract", "plan"))
    if told:
        print(f"\n{told}\n")
    if found.pending:
        print(f"extraction: about {span(found.seconds)} (from {found.basis})")
    return 0


def status(
    folder: Folder = _DEFAULT,
    /,
    *,
    as_json: Annotated[bool, Parameter(name="--json", negative="")] = False,
) -> int:
    """Show which units are done, running, failed and pending. Exits 1 if any failed.

    Parameters
    ----------
    as_json
        Print JSON instead of a table.
    """
    found = api.progress(folder)
    failed = found.counts.get("failed", 0)
    if as_json:
        rows = [
            {
                "language": s.unit.language,
                "modality": s.unit.modality,
                "state": s.state,
                "sentences": len(s.unit.sentences),
                "further_recordings": s.unit.further,
                "inputs_done": s.made,
                "detail": s.detail,
            }
            for s in found.units
        ]
        whole: dict[str, Any] = {
            "inputs_per_second": found.rates,
            "seconds_left": found.left,
            "units": rows,
        }
        whole["left_out"] = [group._asdict() for group in found.left_out]
        print(json.dumps(whole, indent=1, ensure_ascii=False))
        return 1 if failed else 0
    show_table(
        "",
        ["language", "modality", "sentences", "further recordings", "state", "detail"],
        [
            [
                s.unit.language,
                s.unit.modality,
                str(len(s.unit.sentences)),
                str(s.unit.further),
                s.state,
                s.detail,
            ]
            for s in found.units
        ],
    )
    for group in found.left_out:
        ids = choices(group.sentences, 6)
        print(f"left out: {group.language} {group.modality}, sentence {ids}: {group.reason}")
    states = [f"{found.counts.get(s, 0)} {s}" for s in ("done", "running", "failed", "pending")]
    print(f"{len(found.units)} units: {', '.join(states)}")
    for modality, rate in found.rates.items():
        print(f"{modality}: {rate:.3g} inputs/s of one worker")
    if found.left:
        print(f"about {span(found.left)} left with {max(found.workers, 1)} at work")
    if not found.left and not (folder / "report.html").exists():
        print("the report is not written yet: views are being compared, or the run has ended early")
    if found.comparing:
        print(f"{found.comparing} chunks of comparisons are being scored")
    return 1 if failed else 0


def report(
    folder: Folder = _DEFAULT,
    /,
    *,
    control: Annotated[
        Path | None,
        Parameter(help="Output folder of a run of the same model with mismatched recordings."),
    ] = None,
    beside: Annotated[
        Path | None,
        Parameter(
            help="Output folder of another run to set this one beside, such as an earlier "
            "checkpoint."
        ),
    ] = None,
    names: Annotated[
        str,
        Parameter(
            help="With --beside: what to call this run and that one, such as trained,untrained."
        ),
    ] = "",
) -> int:
    """Draw the figures and write the report anew from the scores that are stored."""
    if names and beside is None:
        raise StudyError("--names is for --beside, which says which run to set this one beside")
    with display() as events:
        path = api.write_report(
            folder, events, control=control, beside=beside, names=split_names(names)
        )
    print(f"report: {path}")
    return 0


def verify(
    folder: Folder = _DEFAULT,
    /,
    *,
    repair: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Check every stored file against its digest. Exits 1 if something is damaged.

    Figures and the report are not checked; `isogloss report` draws them anew.

    Parameters
    ----------
    repair
        Remove what is damaged or was left by a killed run. The next `isogloss run` makes it again.
    """
    damaged = left = 0
    for problem in api.verify(folder, repair=repair):
        print(f"{problem.file}: {problem.what}{problem.done and f' ({problem.done})'}", flush=True)
        damaged, left = damaged + problem.damaged, left + (not problem.damaged)
    print(f"{damaged} damaged, {left} left over")
    if damaged and not repair:
        print(
            f"`isogloss verify --repair {folder}` removes them, and `isogloss run` makes them again"
        )
    return 1 if damaged else 0


def init(
    path: Annotated[Path, Parameter(name="STUDY", help="File to write.")] = Path("study.yaml"),
    /,
    *,
    corpus: Annotated[str, Parameter(help="Kind of corpus; see `isogloss corpora`.")] = "manifest",
    model: Annotated[str, Parameter(help="Kind of model; see `isogloss models`.")] = "seamless",
) -> int:
    """Write a study file with every setting and what it means. Never replaces a file."""
    _create(path, template(corpus, model))
    print(f"{path} written; fill in what is empty, then `isogloss plan {path}`")
    return 0


def keep_study(study: Study, path: Path) -> int:
    """Write a study to a file that does not exist yet."""
    _create(path, study.write())
    print(f"{path} written; `isogloss plan {path}` says what it would do")
    return 0


def _create(path: Path, text: str) -> None:
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise IsoglossError(f"{path} exists already; choose another name") from None
    except OSError as error:
        raise IsoglossError(f"cannot write {path}: {error.strerror}") from None
