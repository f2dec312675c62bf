"""The command that fails if a gap is too large, or has grown."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from isogloss.cli.display import display

if TYPE_CHECKING:
    from isogloss.checking import Checked


def check(
    run: Annotated[Path, Parameter(name="RUN", help="Output folder of a finished run.")],
    /,
    *,
    min_cross_modal: Annotated[
        float | None,
        Parameter(help="Smallest mean similarity of speech and text of one language."),
    ] = None,
    max_cross_modal: Annotated[
        float | None, Parameter(help="Largest mean similarity of speech and text of one language.")
    ] = None,
    min_cross_lingual: Annotated[
        float | None,
        Parameter(help="Smallest mean similarity of two languages, in each modality."),
    ] = None,
    max_cross_lingual: Annotated[
        float | None,
        Parameter(help="Largest mean similarity of two languages, in each modality."),
    ] = None,
    baseline: Annotated[
        Path | None,
        Parameter(
            help="Output folder of a run whose similarities must not be lost: fails where the "
            "whole 95 % interval of the paired difference lies below zero."
        ),
    ] = None,
    tolerance: Annotated[float, Parameter(help="How much may be lost against the baseline.")] = 0.0,
    strict: Annotated[
        bool,
        Parameter(
            negative="",
            help="Ask for the whole 95 % interval to be in limits, not only the mean, and to lie "
            "above what may be lost against the baseline.",
        ),
    ] = False,
    tap: Annotated[
        str, Parameter(help="Label of the place, such as 12; last is the last one of each kind.")
    ] = "last",
    measure: Annotated[
        str, Parameter(help="One of the run's measures; if left out, the first.")
    ] = "",
    scores: Annotated[
        Literal["raw", "calibrated", "controlled"] | None,
        Parameter(
            help="Which scores: raw, calibrated, or calibrated with the confounds taken out "
            "(controlled); if left out, controlled if the run has them, else calibrated."
        ),
    ] = None,
    modalities: Annotated[
        str | None,
        Parameter(
            help="In which modalities languages are compared; if left out, limits are asked of "
            "text and speech, and a baseline of what it or the run has."
        ),
    ] = None,
    languages: Annotated[
        str,
        Parameter(
            help="Languages or sets that all is asked about, comma-separated; if left out, all of "
            "the run and of the baseline."
        ),
    ] = "",
    as_json: Annotated[
        bool, Parameter(name="--json", negative="", help="Print JSON instead of lines.")
    ] = False,
    github: Annotated[
        bool,
        Parameter(negative="", help="Print lines that GitHub Actions shows as annotations."),
    ] = False,
) -> int:
    """Fail if a gap of a run is too large, or larger than in another run; for use in CI.

    Prints one line for each condition: what was found, with its interval, and what was asked. Exits
    0 if all hold and 1 if one does not. What could not be computed fulfils no condition.
    """
    from isogloss.checking import check as hold

    with display() as events:
        found = hold(
            run,
            min_cross_modal=min_cross_modal,
            max_cross_modal=max_cross_modal,
            min_cross_lingual=min_cross_lingual,
            max_cross_lingual=max_cross_lingual,
            baseline=baseline,
            tolerance=tolerance,
            strict=strict,
            tap=tap,
            measure=measure,
            scores=scores,
            modalities=modalities,
            languages=languages,
            events=events,
        )
    passed = all(item.passed for item in found)
    if as_json:
        told = {
            "passed": passed,
            "run": str(run),
            "baseline": None if baseline is None else str(baseline),
            "conditions": [item.as_dict() for item in found],
        }
        print(json.dumps(told, indent=1, ensure_ascii=False, allow_nan=False))
    else:
        _lines(found, github=github)
    return 0 if passed else 1


def _lines(found: Sequence["Checked"], *, github: bool) -> None:
    for item in found:
        print(annotation(item) if github else item)
    print(f"held: {sum(item.passed for item in found)} of {len(found)}")


def annotation(item: "Checked") -> str:
    """A condition as a workflow command of GitHub Actions.

    Its format is from the workflow syntax of GitHub Actions: percent signs and ends of lines are
    written as in an address.
    """
    text = str(item).replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
    return f"::{'notice' if item.passed else 'error'} title=isogloss check::{text}"
