"""What the table of findings says, in plain sentences."""

from collections.abc import Iterator, Sequence
from math import isnan
from typing import Any

import polars as pl

from isogloss.findings.table import CONTRADICTED, KINDS, NO_EVIDENCE, NOT_TESTABLE, SUPPORTED

CALLED = {
    "raw": "raw scores",
    "calibrated": "calibrated scores",
    "controlled": "calibrated scores without confounds",
}
_SAYS = {
    SUPPORTED: "support it",
    CONTRADICTED: "speak against it",
    NO_EVIDENCE: "give no evidence either way",
    NOT_TESTABLE: "cannot test it",
}


def sentence(rows: Sequence[dict[str, Any]]) -> str:
    """One claim in words: its statement, and what each kind of scores says of it.

    Args:
        rows: Its rows of the table, one for each kind of scores.
    """
    ordered = sorted(rows, key=lambda r: KINDS.index(r["scores"]))
    first = ordered[0]
    verdicts = [r["verdict"] for r in ordered]
    if len(set(verdicts)) == 1 and len(ordered) > 1:
        if first["verdict"] == NOT_TESTABLE and len({r["reason"] for r in ordered}) == 1:
            said = f"this cannot be tested: {first['reason']}"
        else:
            who = "both kinds of scores" if len(ordered) == 2 else "all kinds of scores"
            said = f"{who} {_SAYS[first['verdict']]} ({'; '.join(map(_named, ordered))})"
    else:
        parts = [f"{CALLED[r['scores']]} {_SAYS[r['verdict']]} ({_numbers(r)})" for r in ordered]
        differ = len(verdicts) > 1 and verdicts[-1] != verdicts[-2]
        differ &= NOT_TESTABLE not in verdicts[-2:]
        said = (" but " if differ else ", and ").join(_joined(parts, differ))
    study = {
        "yes": " The study says so of its model of this family.",
        "no": " The study says it does not hold for its model of this family.",
    }.get(first["in the study"], "")
    return f"{first['statement']}: {said}.{study}"


def _joined(parts: list[str], differ: bool) -> list[str]:
    """All but the last with commas between, and the last."""
    if len(parts) < 2:
        return parts
    head = ", ".join(parts[:-1])
    return [head + ("," if differ else ""), parts[-1]]


def _named(row: dict[str, Any]) -> str:
    return f"{row['scores']} {_numbers(row)}"


def _numbers(row: dict[str, Any]) -> str:
    effect = number(row["effect"])
    if row["verdict"] == NOT_TESTABLE:
        return row["reason"] if isnan(row["effect"]) else f"{effect}, no test: {row['reason']}"
    return (
        f"{effect}, 95 % {number(row['low'])} to {number(row['high'])}, "
        f"p {probability(row['p_adjusted'])}"
    )


def number(value: float) -> str:
    """An effect with its sign, to two places, or three where it is small.

    >>> number(0.123), number(-0.00312), number(0.0)
    ('+0.12', '−0.003', '0.000')
    """
    if isnan(value):
        return "undefined"
    text = f"{value:+.2f}" if abs(value) >= 0.0995 else f"{value:+.3f}"
    return text.replace("-", "−") if float(text) else "0.000"


def probability(p: float) -> str:
    """A p-value with its sign of relation.

    >>> probability(0.0004), probability(0.0312), probability(0.5)
    ('< .001', '= .031', '= .50')
    """
    if p < 0.001:
        return "< .001"
    return f"= {p:.3f}".replace("0.", ".") if p < 0.1 else f"= {p:.2f}".replace("0.", ".")


def headline(frame: pl.DataFrame) -> str:
    """How many claims which kind of scores supports, and how many change with the kind."""
    if frame.filter(pl.col("verdict") != NOT_TESTABLE).is_empty():
        return (
            "None of the study's claims can be tested on this run; the table says why. Most of "
            "them need three languages."
        )
    counted = []
    for kind in KINDS:
        rows = frame.filter(scores=kind)
        tested = rows.filter(pl.col("verdict") != NOT_TESTABLE).height
        if not rows.height:
            continue
        yes, no = (rows.filter(verdict=v).height for v in (SUPPORTED, CONTRADICTED))
        counted.append(f"{CALLED[kind]} support {yes} and contradict {no} of {tested}")
    text = f"Of the claims that could be tested, {'; '.join(counted)}"
    changed = sum(_differ(rows) for rows in grouped(frame))
    if changed and len(counted) > 1:
        text += f". For {changed} of {sum(1 for _ in grouped(frame))} claims the kinds disagree"
    return f"{text}."


def disagreements(frame: pl.DataFrame) -> Iterator[str]:
    """Claims of which one kind of scores says something else than the raw ones."""
    for rows in grouped(frame):
        by_kind = {r["scores"]: r["verdict"] for r in rows}
        raw = by_kind.get("raw")
        others = [k for k in KINDS[1:] if by_kind.get(k, NOT_TESTABLE) not in (raw, NOT_TESTABLE)]
        if raw in (SUPPORTED, CONTRADICTED) and others:
            who = " and ".join(CALLED[k] for k in others)
            does = "supported" if raw == SUPPORTED else "contradicted"
            yield f"“{rows[0]['statement']}” is {does} by raw scores, but not by {who}."
        elif raw == NO_EVIDENCE and others:
            parts = [f"{by_kind[k]} by {CALLED[k]}" for k in others]
            yield (
                f"“{rows[0]['statement']}”: raw scores show no evidence, and it is "
                f"{' and '.join(parts)}."
            )


def grouped(frame: pl.DataFrame) -> Iterator[list[dict[str, Any]]]:
    """The rows of each claim and measure."""
    for _, rows in frame.group_by("measure", "claim", maintain_order=True):
        yield rows.to_dicts()


def _differ(rows: Sequence[dict[str, Any]]) -> bool:
    return len({r["verdict"] for r in rows} - {NOT_TESTABLE}) > 1
