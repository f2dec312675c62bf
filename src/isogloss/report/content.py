"""Turn a run and its tables into the content of a report."""

import re
from collections.abc import Iterable, Sequence

import polars as pl

from isogloss import __version__, findings, specs
from isogloss.analyses.base import Analysis, Reading, Summary
from isogloss.beside.report import sections as beside_sections
from isogloss.beside.stored import kept as kept_beside
from isogloss.control import Control, kept
from isogloss.control.figure import QUESTION
from isogloss.control.figure import charts as control_charts
from isogloss.control.figure import findings as control_findings
from isogloss.corpora.base import grouped
from isogloss.report import Banner, Column, Download, Report, Section, Table
from isogloss.report.sections import COUNTED, SYNTHETIC, called, dropped, marks, section
from isogloss.results import SCHEMA, safe_csv
from isogloss.runs import Run
from isogloss.sensitivity import findings as moved
from isogloss.sensitivity import outdated, read_table
from isogloss.sensitivity.figure import chart
from isogloss.similarity.measures import MEASURES
from isogloss.storage.store import Store
from isogloss.study import as_yaml

_NUMBER = re.compile(r"\b\d+\b")


def content(
    run: Run,
    tables: dict[str, pl.DataFrame],
    means: dict[str, pl.DataFrame],
    found: pl.DataFrame | None = None,
) -> Report:
    """Describe a run as a report.

    Args:
        run: What was done.
        tables: Analysis -> its scores.
        means: Analysis -> their means over languages.
        found: The table of findings; none if left out.
    """
    store, several = run.store(), len(run.study["measures"]) > 1
    untrained = "untrained model: random weights" if run.model["untrained"] else ""
    marked = marks(untrained, synthetic=run.corpus["synthetic_speech"])
    sections = []
    if found is not None and found.height:
        sections.append(_found(found, marked))
    for name, analysis in run.analyses().items():
        if name not in tables:
            continue
        if isinstance(analysis, Reading):
            sections.append(_of(analysis, analysis.describe(tables[name]), "", marked))
            continue
        for (measure,), frame in tables[name].group_by("measure", maintain_order=True):
            summary = analysis.summarise(frame, means[name].filter(measure=measure))
            sections.append(_of(analysis, summary, str(measure) if several else "", marked))
    beside = kept(run)
    if beside is not None:
        sections.append(_beside(pl.concat(list(means.values())), beside, marked))
    other = kept_beside(run)
    if other is not None:
        sections += beside_sections(other)
    varied = read_table(run.folder)
    if varied is not None:
        sections.append(_varied(varied, marked))
    return Report(
        title=run.study["title"] or f"{run.model['title']} on {run.corpus['name']}",
        subtitle="Where languages and modalities meet inside a speech-text model",
        banners=tuple(_banners(run, store, tables)),
        sections=tuple(sections),
        counts=_counts(run, store),
        dropped=dropped(
            (x.language, x.modality, x.reason, x.sentences)
            for x in grouped((*run.left_out(store), *run.not_made(store)))
        ),
        study_yaml=as_yaml(run.study),
        environment=tuple(_environment(run)),
        notes=tuple(_notes(run, store)),
        downloads=tuple(
            Download(f"{name}{what}.csv", "text/csv", safe_csv(frame))
            for what, frames in (("", tables), ("-means", means))
            for name, frame in frames.items()
        ),
    )


def _found(frame: pl.DataFrame, marked: Sequence[str]) -> Section:
    summary = findings.summary(frame)
    return section(
        findings.TITLE,
        findings.QUESTION,
        summary.findings,
        summary.charts,
        summary.tables,
        marks=marked,
    )


def _of(analysis: Analysis, summary: Summary, measure: str, marked: Sequence[str]) -> Section:
    """What an analysis says; by which measure, if there are several."""
    return section(
        analysis.title,
        analysis.question,
        summary.findings,
        summary.charts,
        summary.tables,
        measure=specs.short(MEASURES, measure) if measure else "",
        marks=marked,
    )


def _beside(means: pl.DataFrame, control: Control, marked: Sequence[str]) -> Section:
    said = control_findings(means, control.means)
    return section("Control", QUESTION, said, control_charts(means, control.means), marks=marked)


def _varied(frame: pl.DataFrame, marked: Sequence[str]) -> Section:
    question = "How far does the conclusion depend on the choices behind it?"
    all_of = [("All variants", frame)]
    return section("Sensitivity", question, moved(frame), [chart(frame)], all_of, marks=marked)


def _banners(run: Run, store: Store, tables: dict[str, pl.DataFrame]) -> list[Banner]:
    found = []
    if run.model["untrained"]:
        found.append(
            Banner(
                "warning",
                "The weights of this model are random: nothing was ever learned. The figures show "
                "what the method gives for a model that knows nothing, not a finding. Scores above "
                "chance are what any network passes on of its input: letters, sounds, length.",
            )
        )
    if run.corpus["synthetic_speech"]:
        found.append(SYNTHETIC)
    missing = [u for u in run.units if not store.has(u)]
    if missing:
        names = ", ".join(f"{u.language} {u.modality}" for u in missing)
        found.append(Banner("warning", f"Not extracted, so not in any figure: {names}."))
    scored = [t for t in tables.values() if set(SCHEMA) <= set(t.columns)]
    undefined = sum(int(t["score"].is_nan().sum()) for t in scored)
    if undefined:
        found.append(
            Banner("warning", f"{undefined} scores could not be computed; see the tables for why.")
        )
    total = sum(t.height for t in scored)
    for what, count in _grouped(cell for frame in scored for cell in frame["warnings"]):
        found.append(Banner("info", f"{count} of {total} scores: {what}."))
    if outdated(run.folder):
        found.append(
            Banner(
                "warning",
                "The sensitivity analysis was made before this run was changed, so it is left out; "
                "`isogloss sensitivity` makes it again.",
            )
        )
    return found


def _grouped(cells: Iterable[str]) -> list[tuple[str, int]]:
    """Warnings that differ only in a number or in which view they speak of, counted together."""
    groups: dict[str, list[list[int]]] = {}
    counts: dict[str, int] = {}
    for cell in cells:
        kinds = set()
        for warning in filter(None, cell.split("; ")):
            text = re.sub(r"\bthe (first|second) view\b", "a view", warning)
            kind = _NUMBER.sub("#", text)
            groups.setdefault(kind, []).append([int(n) for n in _NUMBER.findall(text)])
            kinds.add(kind)
        for kind in kinds:
            counts[kind] = counts.get(kind, 0) + 1
    texts = []
    for kind, found in sorted(groups.items(), key=lambda g: (-counts[g[0]], g[0])):
        text = kind
        for column in zip(*found, strict=True):
            low, high = min(column), max(column)
            text = text.replace("#", str(low) if low == high else f"{low} to {high}", 1)
        texts.append((text, counts[kind]))
    return texts


def _counts(run: Run, store: Store) -> Table:
    columns = (
        *COUNTED,
        Column("planned", "integer", "Sentences chosen from the corpus"),
        Column("used", "integer", "Sentences with activations"),
        Column("mean length", "integer", "Time steps at the encoder's input"),
    )
    rows = []
    for unit in sorted(run.units, key=lambda u: (u.language, u.modality)):
        used, length = 0, None
        if store.has(unit):
            record = store.record(unit)
            used = record["takes"].count(0)
            length = round(sum(record["lengths"]) / max(len(record["lengths"]), 1))
        rows.append(
            (
                unit.language,
                *called(unit.language),
                unit.modality,
                len(unit.sentences),
                used,
                length,
            )
        )
    return Table("What was compared", columns, tuple(rows))


def _notes(run: Run, store: Store) -> list[str]:
    found = [*run.model["notes"], *run.corpus["notes"]]
    found += [
        f"{count} input{'' if count == 1 else 's'}: {note}"
        for note, count in run.done_to_inputs(store)
    ]
    found.append(f"The corpus: {run.corpus['description']}")
    found.append(f"Licence of the corpus: {run.corpus['licence']}")
    if run.model["untrained"]:
        found.append("The weights are random numbers, made on this machine")
    else:
        found.append(f"Licence of the model: {run.model['licence']}")
    return [f"{note[:1].upper()}{note[1:].rstrip('.')}." for note in found]


def _environment(run: Run) -> list[tuple[str, str]]:
    store = run.store()
    devices = {store.record(u)["device"] for u in run.units if store.has(u)}
    return [
        ("made", run.made),
        ("device", ", ".join(sorted(devices))),
        *((f"checkpoint: {k}", v) for k, v in run.model["checkpoint"].items()),
        *_versions(run, store),
        ("report by", f"isogloss {__version__}"),
    ]


def _versions(run: Run, store: Store) -> list[tuple[str, str]]:
    """Versions under which the activations were made; more than one where a run was resumed."""
    found: dict[str, list[str]] = {name: [] for name in run.environment}
    for unit in run.units:
        if store.has(unit):
            for name, value in store.record(unit).get("environment", {}).items():
                if value not in found.setdefault(name, []):
                    found[name].append(value)
    return [(k, ", ".join(v) or run.environment[k]) for k, v in found.items()]
