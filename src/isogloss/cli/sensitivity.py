"""The command that varies the choices behind a conclusion."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from isogloss import specs
from isogloss.cli.commands import Folder
from isogloss.cli.display import display, show_table
from isogloss.errors import IsoglossError, MissingExtraError, StudyError
from isogloss.events import Events

_DEFAULT = Path("isogloss-run")


def sensitivity(
    folder: Folder = _DEFAULT,
    /,
    *,
    shares: Annotated[
        str, Parameter(help="Shares of variance at which SVCCA cuts, by both rules.")
    ] = "0.8,0.85,0.9,0.95,0.99",
    sentences: Annotated[
        str, Parameter(help="Shares of the sentences to try.")
    ] = "0.25,0.5,0.75,1",
    measures: Annotated[
        str, Parameter(help="Measures to try; if left out, all that need no option.")
    ] = "",
) -> int:
    """Vary rule, share, number of sentences and measure, and see whether the conclusion stands.

    Works on the stored activations at the last tap: which gap is the larger for each language, and
    how alike text and speech, and languages, are. Writes a table and one figure, and adds both to
    the report.
    """
    from isogloss.sensitivity import findings
    from isogloss.sensitivity import sensitivity as vary

    with display() as events:
        frame = vary(
            folder,
            shares=_numbers("shares", shares),
            fractions=_numbers("sentences", sentences),
            measures=specs.split(measures),
            events=events,
        )
        path = _report(folder, events)
    show_table(
        "",
        ["choice", "value", "kind", "N", "score", "chance", "calibrated", "gap (calibrated)"],
        [
            [
                r["choice"],
                r["value"],
                r["kind"],
                str(r["n"] or ""),
                *("–" if (v := r[c]) is None or v != v else f"{v:.3f}" for c in _SCORES),
                f"modality {r['modality gap larger (calibrated)']} of {r['decided (calibrated)']}",
            ]
            for r in frame.iter_rows(named=True)
        ],
    )
    for line in findings(frame):
        print(line)
    print(f"table:  {folder / 'sensitivity' / 'sensitivity.csv'}")
    if path:
        print(f"figure: {folder / 'figures' / 'sensitivity.png'}")
        print(f"report: {path}")
    return 0


_SCORES = ("score", "chance", "calibrated")


def _report(folder: Path, events: Events) -> Path | None:
    """Write the report if it can be written; the table stands without it."""
    from isogloss import api

    try:
        for means in (False, True):
            api.load_results(folder, means=means)
    except IsoglossError:
        events.note(
            "this run has no results yet, so there is no report; it will have the figure after "
            "`isogloss run`"
        )
        return None
    try:
        return api.write_report(folder, events)
    except MissingExtraError as error:
        events.warn(f"no figure: {error}")
        return None


def _numbers(name: str, text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",") if part.strip()]
    except ValueError:
        raise StudyError(f'--{name} "{text}" is no list of numbers such as 0.8,0.9') from None
