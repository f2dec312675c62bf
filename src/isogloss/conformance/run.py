"""Hold an implementation against the cases of its measure."""

import re
from collections.abc import Iterator, Sequence
from typing import Any

from isogloss.conformance import calibration, claim, degenerate, golden, invariance
from isogloss.conformance.case import GROUPS, Case, Outcome
from isogloss.conformance.diagnosis import diagnose
from isogloss.conformance.report import Report, Row
from isogloss.conformance.suite import Suite
from isogloss.conformance.suites import SUITES
from isogloss.conformance.target import Target, find, quiet
from isogloss.errors import StudyError, unknown
from isogloss.similarity.threads import one_thread
from isogloss.specs import parse, write

DEFAULT = "svcca"
_INSIDE = ("pwcca", "svcca", "mutual_knn", "procrustes", "retrieval")
_WORDS = {"cka": "cka", "rsa": "rsa", "anc": "anc", "cca": "cca", "knn": "mutual_knn"}


def check(
    target: Any,
    measure: str | None = None,
    *,
    share: float | None = None,
    rule: str | None = None,
    mean: str | None = None,
    transpose: bool = False,
    distance: bool = False,
    torch: bool = False,
    options: dict[str, Any] | None = None,
    tolerance: float = 0.0,
    groups: Sequence[str] = (),
) -> Report:
    """Run the conformance suite on an implementation of a similarity measure.

    Args:
        target: A function of two arrays (sentences × features); or where to import one,
            ``"package.module:function"`` or ``"path/to/file.py:function"``; or a measure of
            Isogloss or its line, such as ``"svcca(share=0.95)"``.
        measure: What it claims to compute: ``svcca``, ``cca``, ``pwcca``, ``cka``, ``procrustes``,
            ``rsa``, ``mutual_knn``, ``retrieval`` or ``anc``, with options in brackets, such as
            ``"cka(debiased=false)"``. Guessed from the name of the function if left out.
        share: Share of the variance that it keeps; short for ``measure="svcca(share=…)"``.
        rule: ``"squared"`` or ``"linear"``, what the share is of.
        mean: ``"all"`` or ``"98"``, which coefficients are averaged.
        transpose: It takes (features × sentences).
        distance: It returns 1 − similarity.
        torch: It takes tensors of PyTorch.
        options: Keyword arguments for every call.
        tolerance: Smallest tolerance of all comparisons, for implementations in single precision.
        groups: Only these of ``"closed form"``, ``"golden"``, ``"invariance"``, ``"degenerate"``
            and ``"calibration"``; all if empty.

    Returns:
        The report. Whatever the implementation raises, prints or warns of stays inside it.

    Raises:
        StudyError: The target cannot be imported, or the measure or an option is unknown.
        MissingExtraError: Tensors are asked for without PyTorch.
    """
    found = find(target, transpose=transpose, distance=distance, torch=torch, options=options)
    claims = {"share": share, "rule": rule, "mean": mean}
    suite = claimed(found, measure, {k: v for k, v in claims.items() if v is not None})
    if not 0 <= tolerance < 1:
        raise StudyError(f"tolerance must be at least 0 and below 1, not {tolerance:g}")
    for group in groups:
        if group not in GROUPS:
            raise StudyError(unknown("group", group, GROUPS))
    with quiet(), one_thread():
        chosen = [case for case in cases(suite) if not groups or case.group in groups]
        judged = [(case, case.judge(found, tolerance)) for case in chosen]
        finding = diagnose(suite, found, judged)
    explained = finding.rows if finding else frozenset()
    rows = tuple(
        _row(case, outcome, finding.says if finding and i in explained else "")
        for i, (case, outcome) in enumerate(judged)
    )
    wrong = sum(outcome.result == "fail" for _, outcome in judged)
    likely = f"{finding.says} (explains {len(explained)} of {wrong} failures)" if finding else ""
    return Report(found.name, write(SUITES, suite), rows, likely)


def cases(suite: Suite) -> Iterator[Case]:
    """All cases of a suite, group by group."""
    yield from claim.closed_forms(suite)
    for group in (golden, invariance, degenerate, calibration):
        yield from group.cases(suite)


def claimed(target: Target, measure: str | None, options: dict[str, Any]) -> Suite:
    """The suite for what a target claims to compute.

    Raises:
        StudyError: The measure is unknown, or does not have one of the options.
    """
    inside: dict[str, Any] = {}
    if target.measure is not None:
        inside = target.measure.model_dump()
    suite = parse(SUITES, measure or guess(target.name))
    if target.measure is not None and measure is None and SUITES.name_of(type(suite)) == DEFAULT:
        named = target.name.partition("(")[0].rpartition(":")[2].lower()
        if named not in SUITES.names():
            raise StudyError(
                f"{unknown('suite', named, SUITES.names())}; say with measure what it computes"
            )
    fields = type(suite).model_fields
    for key in options:
        if key not in fields:
            name = SUITES.name_of(type(suite))
            raise StudyError(f"{name}: {unknown('option', key, fields)}")
    given = {k: v for k, v in suite.model_dump().items() if k in suite.model_fields_set}
    known = {k: v for k, v in inside.items() if k in fields}
    return type(suite)(**{**known, **given, **options})


def guess(name: str) -> str:
    """The measure that a function's name speaks of; ``svcca`` if it speaks of none.

    >>> guess("compute_PWCCA"), guess("linear_cka"), guess("distance")
    ('pwcca', 'cka', 'svcca')
    """
    low = name.rpartition(":")[2].partition("(")[0].lower()
    for measure in _INSIDE:
        if measure in low:
            return measure
    for word in re.findall(r"[a-z]+", low):
        for short, measure in _WORDS.items():
            if word == short:
                return measure
    return DEFAULT


def _row(case: Case, outcome: Outcome, cause: str) -> Row:
    hint = ""
    if outcome.result == "fail" and outcome.evidence:
        got = outcome.evidence[0].got
        hint = next((says for score, says in outcome.hints if abs(score - got) < 1e-6), "")
    why = {
        "pass": case.matters,
        "fail": "; ".join(p for p in (outcome.remark, hint, cause) if p) or case.matters,
    }.get(outcome.result, outcome.remark)
    return Row(
        group=case.group,
        case=case.name,
        result=outcome.result,
        expected=outcome.expected,
        got=outcome.got,
        remark=why,
        known="" if outcome.result == "n/a" else case.known,
        difference=outcome.difference,
        tolerance=outcome.tolerance,
    )
