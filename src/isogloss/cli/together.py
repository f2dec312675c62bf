"""The command that sets several models side by side."""

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from isogloss import specs
from isogloss.cli.display import display, show_table
from isogloss.settings import split_names


def together(
    *runs: Annotated[Path, Parameter(name="RUN", help="Output folders of two or more runs.")],
    output: Annotated[Path, Parameter(help="Folder for tables, figures and report.")] = Path(
        "isogloss-together"
    ),
    languages: Annotated[
        str,
        Parameter(
            help="Languages or sets, comma-separated; if left out, paper-common if every run has "
            "it whole, else all that every run has."
        ),
    ] = "",
    measures: Annotated[
        str, Parameter(help="Similarity measures; if left out, those of the first run.")
    ] = "",
    permutations: Annotated[
        int | None,
        Parameter(help="Shuffles behind the level of chance; if left out, as in the first run."),
    ] = None,
    interval: Annotated[
        Literal["none", "subsampling", "utterances"] | None,
        Parameter(help="How intervals of scores are found; if left out, as in the first run."),
    ] = None,
    jobs: Annotated[
        int | None, Parameter(help="Threads; 0: one a core; if left out, as in the first run.")
    ] = None,
) -> int:
    """Compare several models in one report, on the languages and sentences that all have.

    Give the output folders of finished runs on one corpus. They are only read; all scores are
    computed anew, so that N and the sentences are equal for every model. Running the same command
    again goes on where it was.
    """
    from isogloss.analyses._curves import shown
    from isogloss.together import together as compare_models
    from isogloss.together.tables import summary

    with display() as events:
        done = compare_models(
            runs,
            output,
            languages=split_names(languages),
            measures=specs.split(measures),
            permutations=permutations,
            interval=interval,
            jobs=jobs,
            events=events,
        )
    for line in done.measures:
        table = summary(done.results, line)
        if table.is_empty():
            continue
        show_table(
            f"At the last tap, {line}",
            ["kind", "model", "tap", "languages", "N", "score", "chance", "calibrated"],
            [
                [
                    r["kind"], r["model"], r["label"], str(r["languages"]), str(r["N"]),
                    *(shown(r[c]) for c in ("score", "chance", "calibrated")),
                ]
                for r in table.iter_rows(named=True)
            ],
        )  # fmt: skip
    print(f"results: {done.folder / 'results'} ({', '.join(done.results)}, differences)")
    if done.report:
        print(f"figures: {done.folder / 'figures'}")
        print(f"report:  {done.report}")
    return 0
