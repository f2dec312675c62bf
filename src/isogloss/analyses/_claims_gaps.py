"""What the study says of the two gaps (its section 3.3), as contrasts of scores at the last tap."""

from collections.abc import Iterator

import numpy as np
import polars as pl
from numpy.typing import NDArray

from isogloss.analyses._claims import Table, claim, why
from isogloss.analyses._curves import shown
from isogloss.analyses._gap_table import MODAL, TEXT, by_language
from isogloss.analyses.base import Claim
from isogloss.findings import statistics
from isogloss.findings.statistics import Estimate, Halves

Floats = NDArray[np.float64]
SOURCE = "abstract, finding 4; section 3.3"
RULE, AVERAGE = "gap by the rule", "gap average"


def by_rule(table: Table, frame: pl.DataFrame) -> Claim:
    """The count of the study: one score against the best of all partners, which is no test.

    Args:
        table: One kind of scores.
        frame: The rows that they are in, as ``by_language`` takes them.
    """
    column = "larger gap" if table.scores == "raw" else "larger gap (calibrated)"
    given = by_language(frame)[column].drop_nulls()
    count, partners = len(given), max(len(table.first()), 1)
    modality, language = (int((given == gap).sum()) for gap in ("modality", "language"))
    names = {x for pair in table.rows for x in pair}
    partners = len(names) - 1
    found = Estimate(float("nan"), count=count, reason=table.reason or "no gap is defined")
    if count:
        found = Estimate(
            (modality - language) / count,
            count=count,
            reason=f"the rule sets one score against the best of {partners}, so it favours the "
            f"statement: where nothing differs it holds for {partners / (partners + 1):.0%} of "
            "languages",
        )
    return claim(
        table,
        RULE,
        "For most languages some other language's text is more like their text than their own "
        "speech is",
        SOURCE,
        found,
        unit="share of languages for it less share against it",
        detail=f"it holds for {modality} of {count} languages, and not for {language}",
    )


def average(table: Table) -> Claim:
    """The average partner against own speech: V = T(a, b) − (C(a) + C(b)) / 2 over pairs.

    With all pairs there, the mean of V is that of T less that of C. A language is in C and in T,
    and the jackknife over pairs leaves it out of both.
    """
    pairs, values = _pair_values(table, table.values)
    halves = None
    if table.halves is not None:
        halves = Halves(_pair_values(table, table.halves)[1], table.share)
    found = Estimate(float("nan"), reason="there are no pairs of languages")
    if pairs:
        first, second = (list(side) for side in zip(*pairs, strict=True))
        found = why(table, statistics.mean(values, first, second, halves))
    own = table.values[..., table.of(MODAL)]
    other = table.values[..., table.of(TEXT)]
    return claim(
        table,
        AVERAGE,
        "Two languages' texts are on average more alike than a language's text and speech",
        "",
        found,
        detail=f"text of two languages: {_mean(table.sign * other)}; text and speech of one: "
        f"{_mean(table.sign * own)}",
    )


def claims(table: Table, frame: pl.DataFrame) -> Iterator[Claim]:
    """All claims about one kind of scores."""
    yield by_rule(table, frame)
    yield average(table)


def _pair_values(table: Table, values: Floats) -> tuple[list[tuple[str, str]], Floats]:
    """V of each pair of two languages, along the axis of the rows."""
    text, own = table.of(TEXT), table.of(MODAL)
    at = {row: i for i, row in enumerate(table.rows)}
    pairs = [p for p in table.rows if p[0] != p[1] and all((x, x) in at for x in p)]
    if not (text and own and pairs):
        return [], np.empty((*values.shape[:-2], 0))
    i, a, b = (
        [at[pick(p)] for p in pairs]
        for pick in (lambda p: p, lambda p: (p[0], p[0]), lambda p: (p[1], p[1]))
    )
    speech = (values[..., a, own[0]] + values[..., b, own[0]]) / 2
    return pairs, values[..., i, text[0]] - speech


def closest(table: Table, found: Estimate, detail: str) -> Claim:
    """The claim of the study, with the partner chosen on other sentences."""
    return claim(
        table,
        "gap closest",
        "The closest other language's text, chosen on other sentences, is more like a language's "
        "text than its own speech is",
        SOURCE,
        why(table, found),
        detail=detail,
    )


def _mean(values: Floats) -> str:
    known = values[~np.isnan(values)]
    return shown(float(known.mean()) if known.size else None)
