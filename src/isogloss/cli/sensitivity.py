"""The command that varies the choices behind a conclusion."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from isogloss import specs
from isogloss.cli.commands import Folder
from isogloss.cli.display import display, show_table
from isogloss.errors import MissingExtraError, StudyError

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
        str, Parameter(help="Measures to try; all with their defaults if left out.")
    ] = "",
) -> int:
    """Vary rule, share, number of sentences and measure, and see whether the conclusion stands.

    Works on the stored activations at the last tap: which gap is the larger for each language, and
    how alike text and speech, and languages, are. Writes a table and one figure, and adds both to
    the report.
    """
    from isogloss import api
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
        try:
            path = api.write_report(folder, events)
        except MissingExtraError as error:
            events.warn(f"no figure: {error}")
            path = None
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


def _numbers(name: str, text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",") if part.strip()]
    except ValueError:
        raise StudyError(f'--{name} "{text}" is no list of numbers such as 0.8,0.9') from None
