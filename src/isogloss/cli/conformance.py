"""The command that holds an implementation against what is known of its measure."""

import json
import shutil
import sys
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from isogloss import plain_yaml
from isogloss.errors import StudyError

WIDE = 200
"""Columns of the table where standard output is no terminal."""


def conformance(
    target: Annotated[
        str,
        Parameter(
            name="TARGET",
            help="package.module:function, path/to/file.py:function, or a measure of Isogloss "
            "such as svcca(share=0.95). The function takes two arrays (sentences × features) and "
            "returns a number, an object with .score, a mapping with a score or mean, or a tuple "
            "whose first element is one of these.",
        ),
    ],
    /,
    *,
    measure: Annotated[
        str | None,
        Parameter(
            help="What it claims to compute: svcca, cca, pwcca, cka, procrustes, rsa, mutual_knn, "
            "retrieval or anc, with options in brackets, such as cka(debiased=false). Guessed from "
            "the function's name if not given; svcca if the name says nothing."
        ),
    ] = None,
    share: Annotated[
        float | None, Parameter(help="Share that it keeps of a view. [svcca, pwcca; default: 0.9]")
    ] = None,
    rule: Annotated[
        Literal["squared", "linear"] | None,
        Parameter(
            help="What the share is of: squared singular values, or the values themselves. "
            "[svcca, pwcca; default: squared]"
        ),
    ] = None,
    mean: Annotated[
        Literal["all", "98"] | None,
        Parameter(
            help="Which coefficients it averages: all, or those that make up 98 % of their sum. "
            "[svcca, cca; default: all]"
        ),
    ] = None,
    transpose: Annotated[
        bool, Parameter(negative="", help="It takes (features × sentences).")
    ] = False,
    distance: Annotated[bool, Parameter(negative="", help="It returns 1 − similarity.")] = False,
    torch: Annotated[bool, Parameter(negative="", help="It takes tensors of PyTorch.")] = False,
    option: Annotated[
        list[str] | None,
        Parameter(
            negative="",
            help="Keyword argument for every call, KEY=VALUE. May be given several times.",
        ),
    ] = None,
    tolerance: Annotated[
        float,
        Parameter(help="Smallest tolerance of all comparisons, such as 1e-5 for float32 code."),
    ] = 0.0,
    group: Annotated[
        list[Literal["closed form", "golden", "invariance", "degenerate", "calibration"]] | None,
        Parameter(negative="", help="Only this group of cases. May be given several times."),
    ] = None,
    as_json: Annotated[
        bool, Parameter(name="--json", negative="", help="Print JSON instead of a table.")
    ] = False,
) -> int:
    """Run the conformance suite on an implementation of a similarity measure, yours or ours.

    It asks for scores that are known in closed form or were recorded from google/svcca, for
    invariances, for defined results on degenerate input, and for the exact mean of unrelated views.
    Known mistakes are named. Exits 0 if all cases that apply are passed, 1 if one fails, 2 if the
    target cannot be imported.
    """
    from isogloss.conformance import check

    report = check(
        target,
        measure,
        share=share,
        rule=rule,
        mean=mean,
        transpose=transpose,
        distance=distance,
        torch=torch,
        options=_read(option or []),
        tolerance=tolerance,
        groups=group or (),
    )
    if as_json:
        print(json.dumps(report.as_dict(), indent=1, ensure_ascii=False, allow_nan=False))
    else:
        wide = shutil.get_terminal_size().columns if sys.stdout.isatty() else WIDE
        print(report.as_text(wide))
    return 0 if report.passed else 1


def _read(pairs: list[str]) -> dict[str, Any]:
    found = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key.isidentifier():
            raise StudyError(f'--option "{pair}" is not written as key=value')
        try:
            found[key] = plain_yaml.parse(value)
        except ValueError:
            raise StudyError(f"--option {key}: the value cannot be read") from None
    return found
