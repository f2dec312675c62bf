"""The command that sets one run beside another."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from isogloss import specs
from isogloss.cli.display import display, show_table
from isogloss.settings import split_names

if TYPE_CHECKING:
    from isogloss.beside import Compared


def compare(
    first: Annotated[
        Path, Parameter(name="RUN1", help="Output folder of the run that is looked at.")
    ],
    second: Annotated[
        Path, Parameter(name="RUN2", help="Output folder of the run that it is compared with.")
    ],
    /,
    *,
    output: Annotated[Path, Parameter(help="Folder for tables, figures and report.")] = Path(
        "isogloss-compare"
    ),
    names: Annotated[
        str,
        Parameter(
            help="What to call the two, comma-separated, such as step-2000,step-1000; if left "
            "out, their models' titles, or their folders' names where these are equal."
        ),
    ] = "",
    languages: Annotated[
        str, Parameter(help="Languages or sets, comma-separated; if left out, all that both have.")
    ] = "",
    measures: Annotated[
        str, Parameter(help="Similarity measures; if left out, those that both runs have.")
    ] = "",
    taps: Annotated[
        str,
        Parameter(
            help="Where differences are tested: labels of places, or last; if left out, all."
        ),
    ] = "",
    splits: Annotated[
        int,
        Parameter(
            help="How often the sentences are split into halves, for intervals over sentences; at "
            "least 8, or 0 for none."
        ),
    ] = 12,
    permutations: Annotated[
        int | None,
        Parameter(help="Shuffles behind the level of chance; if left out, as in the first run."),
    ] = None,
    jobs: Annotated[
        int | None, Parameter(help="Threads; 0: one a core; if left out, as in the first run.")
    ] = None,
    as_json: Annotated[
        bool, Parameter(name="--json", negative="", help="Print JSON instead of a table.")
    ] = False,
) -> int:
    """Compare two runs, or two checkpoints of one model, on the same languages and sentences.

    Differences are those of the first run less the second, paired, with 95 % intervals for other
    languages and other sentences. Both runs are only read. Running the same command again goes on
    where it was.
    """
    from isogloss.beside import compare_runs

    with display() as events:
        done = compare_runs(
            first,
            second,
            output,
            names=split_names(names),
            languages=split_names(languages),
            measures=specs.split(measures),
            taps=split_names(taps),
            splits=splits,
            permutations=permutations,
            jobs=jobs,
            events=events,
        )
    if as_json:
        print(json.dumps(summary(done), indent=1, ensure_ascii=False, allow_nan=False))
        return 0
    _show(done)
    return 0


def summary(done: "Compared") -> dict[str, Any]:
    """The differences of all measures, scores and places, JSON-able; NaN is null."""
    return {
        "names": list(done.names),
        "runs": done.about["runs"],
        "languages": done.about["languages"],
        "findings": {measure: list(done.findings(measure)) for measure in done.measures},
        "notes": list(done.notes),
        "differences": done.differences.fill_nan(None).to_dicts(),
        "folder": str(done.folder),
        "report": str(done.report) if done.report else None,
    }


def _show(done: "Compared") -> None:
    from isogloss.analyses._curves import shown
    from isogloss.beside.findings import best_scores, largest
    from isogloss.findings.words import number, probability

    for measure in done.measures:
        rows = done.differences.filter(measure=measure)
        rows = rows.filter(scores=best_scores(rows))
        shown_rows = [
            row
            for kind in rows["kind"].unique(maintain_order=True)
            for row in (
                *rows.filter(kind=kind, last=True).iter_rows(named=True),
                *largest(rows.filter(kind=kind)),
            )
        ]
        show_table(
            f"{done.names[0]} less {done.names[1]}, {measure}",
            ["kind", "tap", *done.names, "difference", "95 %", "p (Holm)", "verdict"],
            [
                [
                    r["kind"],
                    r["tap"] + (" (last)" if r["last"] else " (largest)"),
                    shown(r["first"]),
                    shown(r["second"]),
                    number(r["difference"]),
                    "–" if r["reason"] else f"{number(r['low'])} to {number(r['high'])}",
                    r["reason"] or probability(r["p_holm"]).removeprefix("= "),
                    r["verdict"],
                ]
                for r in shown_rows
            ],
        )
        print(done.findings(measure)[0])
    for note in done.notes:
        print(f"note: {note}")
    print(f"results: {done.folder}/results (differences, by_language, curves)")
    if done.report:
        print(f"figures: {done.folder}/figures")
        print(f"report:  {done.report}")
