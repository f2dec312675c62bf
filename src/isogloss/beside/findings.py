"""What one run beside another says, in plain sentences."""

from collections.abc import Iterator
from math import isnan
from typing import Any

import polars as pl

from isogloss.analyses._curves import shown
from isogloss.beside.data import (
    APART,
    CLOSER,
    EQUAL,
    KINDS,
    MODAL,
    NOT_SEEN,
    NOT_TESTED,
    SPEECH,
    TEXT,
    Beside,
)
from isogloss.beside.estimates import LANGUAGES, SENTENCES
from isogloss.findings.words import number, probability
from isogloss.together.models import joined

CALLED = {
    MODAL: "Speech and text of one language",
    TEXT: "Languages in text",
    SPEECH: "Languages in speech",
}
_GIVEN = {
    "": "over languages and sentences",
    SENTENCES: "over languages, on these sentences",
    LANGUAGES: "over sentences, in these languages",
}
_SAMPLE = 3
"""Languages that are named."""


def findings(beside: Beside, measure: str) -> tuple[str, ...]:
    """Say what the comparison shows by one measure, the headline first."""
    own = beside.differences.filter(measure=measure)
    scores = best_scores(own)
    rows = own.filter(scores=scores)
    if rows.is_empty():
        return ("Nothing is compared here.",)
    if _equal(own):
        return (
            f"{beside.names[0]} and {beside.names[1]} are equal: all scores agree to rounding.",
        )
    at_last = rows.filter(last=True)
    found = [_headline(beside, at_last)] if at_last.height else []
    for kind in KINDS:
        ends = rows.filter(kind=kind, last=True).iter_rows(named=True)
        found += [_at_last(beside, row) for row in ends]
        found += _elsewhere(beside, rows.filter(kind=kind))
    found += _languages(beside, measure, scores)
    found += _without(beside, own)
    found.append(
        "Intervals are 95 % and of single differences; p is adjusted after Holm. Both runs have "
        "the same sentences, and what they owe to these alike is not counted."
    )
    return tuple(found)


def best_scores(rows: pl.DataFrame) -> str:
    """The kind of scores to go by: calibrated, or raw if there are no others.

    Args:
        rows: Of the table of differences.
    """
    there = set(rows.filter(pl.col("difference").is_not_nan())["scores"])
    if "calibrated" in there:
        return "calibrated"
    return "raw" if "raw" in there or "calibrated" not in set(rows["scores"]) else "calibrated"


def numbers(row: dict[str, Any]) -> str:
    """A difference with its interval and p-value, in brackets' words."""
    if row["reason"]:
        return f"{number(row['difference'])}, no test: {row['reason']}"
    return (
        f"{number(row['difference'])}, 95 % {number(row['low'])} to {number(row['high'])}, "
        f"p {probability(row['p_holm'])}"
    )


def largest(rows: pl.DataFrame) -> list[dict[str, Any]]:
    """The row with the largest difference among the places before the last; none if all are zero.

    Args:
        rows: Of one kind of comparison and of scores.
    """
    others = rows.filter(~pl.col("last"), pl.col("difference").abs() > EQUAL)
    return others.sort(pl.col("difference").abs(), descending=True).head(1).to_dicts()


def _equal(rows: pl.DataFrame) -> bool:
    known = rows.filter(pl.col("difference").is_not_nan())
    return bool(known.height and (known["p_value"] == 1).all()) and bool(
        (known["difference"].abs() <= EQUAL).all()
    )


def _headline(beside: Beside, rows: pl.DataFrame) -> str:
    first, second = beside.names
    words = {r["kind"]: r["verdict"] for r in rows.iter_rows(named=True)}
    parts = []
    for word, text in (
        (CLOSER, f"{{}} are closer in {first} than in {second}"),
        (APART, f"{{}} are further apart in {first} than in {second}"),
        (NOT_SEEN, "for {}, no difference is seen"),
        (NOT_TESTED, "{} could not be tested"),
    ):
        kinds = [CALLED[k] for k in KINDS if words.get(k) == word]
        if kinds:
            parts.append(text.format(joined([k[:1].lower() + k[1:] for k in kinds])))
    return f"At the last taps, {'; '.join(parts)}."


def _at_last(beside: Beside, row: dict[str, Any]) -> str:
    first, second = beside.names
    what = "similarity" if row["scores"] == "raw" else "calibrated similarity"
    given = "" if row["reason"] else f", {_GIVEN[row['given']]}"
    return (
        f"{CALLED[row['kind']]} at the last tap ({row['tap']}): {what} {shown(row['first'])} in "
        f"{first} and {shown(row['second'])} in {second}; {row['verdict']} ({numbers(row)}{given}; "
        f"{row['languages']} language{'' if row['languages'] == 1 else 's'}, N {row['n']})."
    )


def _elsewhere(beside: Beside, rows: pl.DataFrame) -> Iterator[str]:
    """The place with the largest difference, and how many others are clear."""
    others = rows.filter(~pl.col("last"), pl.col("difference").is_not_nan())
    most = largest(rows)
    if not most:
        return
    clear = others.filter(pl.col("verdict").is_in([CLOSER, APART]))
    row = most[0]
    sides = [f"{n} {word}" for word in (CLOSER, APART) if (n := (clear["verdict"] == word).sum())]
    yield (
        f"Of the {others.height} other taps, {' and '.join(sides) or 'none'}"
        f"{' shows a difference' if not sides else ''}; the largest is at {row['tap']} "
        f"({numbers(row)})."
    )


def _languages(beside: Beside, measure: str, scores: str) -> Iterator[str]:
    """What single languages say at the last tap of speech against text."""
    rows = beside.by_language.filter(
        pl.col("difference").is_not_nan(), measure=measure, scores=scores, kind=MODAL, last=True
    ).sort("difference")
    if rows.is_empty():
        return
    ends = [
        f"{r['language_a']} {number(r['difference'])}"
        for r in (rows.row(0, named=True), rows.row(-1, named=True))
    ]
    spread = f"from {ends[0]} to {ends[1]}" if rows.height > 1 else ends[0]
    tested = rows.filter(pl.col("verdict") != NOT_TESTED)
    if tested.is_empty():
        yield f"Single languages differ by {spread}; not tested: {rows['reason'][0]}."
        return
    parts = []
    for word in (CLOSER, APART):
        names = tested.filter(verdict=word)["language_a"].to_list()
        if names:
            some = ", ".join(names[:_SAMPLE]) + (" …" if len(names) > _SAMPLE else "")
            parts.append(f"{len(names)} {word} ({some})")
    yield (
        f"Of {tested.height} single languages, over sentences, {' and '.join(parts) or 'none'}"
        f"{' shows a difference' if not parts else ''} at the last tap of speech against text; "
        f"differences go {spread}."
    )


def _without(beside: Beside, own: pl.DataFrame) -> Iterator[str]:
    rows = own.filter(scores="controlled", last=True)
    known = [r for r in rows.iter_rows(named=True) if not isnan(r["difference"])]
    if known:
        parts = "; ".join(f"{r['kind']} {r['verdict']} ({numbers(r)})" for r in known)
        yield f"With {known[0]['control']} taken out of both views, at the last taps: {parts}."
