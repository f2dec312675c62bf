"""What the study says of languages against each other (its section 3.2), as contrasts of scores."""

from collections.abc import Iterator

from isogloss.analyses._claims import (
    Table,
    average,
    claim,
    defined,
    layers,
    mean_of,
    named,
    weights,
)
from isogloss.analyses._claims_modal import INITIAL
from isogloss.analyses.base import Claim
from isogloss.findings.statistics import Estimate

TEXT, SPEECH = "text", "speech"
_SOURCE = "abstract, finding 3; section 3.2"
_NEITHER = "there are no scores of both text and speech"


def claims(table: Table) -> Iterator[Claim]:
    """All claims about one kind of scores."""
    pairs = beside(table)
    first = [(t, s) for t, s in pairs if table.columns[t].depth <= INITIAL + 1e-9]
    last = [(table.of(g) or [-1])[-1] for g in (TEXT, SPEECH)]
    yield _above(table, "text above speech", "", _defined(table, pairs))
    yield _above(
        table,
        "text above speech last",
        " at the last tap",
        [] if -1 in last else [(last[0], last[1])],
    )
    yield _above(
        table,
        "text above speech first",
        " at the input and in the initial layers",
        _defined(table, first or pairs[:1]),
    )
    yield _falls(table)


def beside(table: Table) -> list[tuple[int, int]]:
    """For each text tap the speech tap of its name, or else of the nearest relative depth."""
    speech = table.of(SPEECH)
    found = []
    for t in table.of(TEXT) if speech else []:
        here = table.columns[t]
        same = [s for s in speech if table.columns[s].tap_a == here.tap_a]
        # The input stands beside the input only.
        near = [s for s in speech if (table.columns[s].depth == 0) == (here.depth == 0)] or speech
        found.append(
            (t, (same or sorted(near, key=lambda s: abs(table.columns[s].depth - here.depth)))[0])
        )
    return found


def _defined(table: Table, pairs: list[tuple[int, int]]) -> list[tuple[int, int]]:
    known = set(defined(table, [i for pair in pairs for i in pair])) if pairs else set()
    return [pair for pair in pairs if known.issuperset(pair)] or pairs


def _above(table: Table, name: str, where: str, pairs: list[tuple[int, int]]) -> Claim:
    found, detail = Estimate(float("nan"), reason=_NEITHER), ""
    if pairs:
        text, speech = [t for t, _ in pairs], [s for _, s in pairs]
        found = mean_of(table, weights(table, text, speech))
        detail = (
            f"text, {named(table, text)}: {average(table, text)}; speech, "
            f"{named(table, list(dict.fromkeys(speech)))}: {average(table, speech)} (means over "
            "pairs of languages)"
        )
    return claim(
        table,
        name,
        f"Two languages are more alike in text than in speech{where}",
        _SOURCE,
        found,
        detail=detail,
    )


def _falls(table: Table) -> Claim:
    start = [i for i in table.of(TEXT) if table.columns[i].depth == 0][-1:]
    initial = layers(table, TEXT, 0, INITIAL) or layers(table, TEXT, 0, 1)[:1]
    reason = "it takes the input and a layer of text, and the taps that were read lack one"
    found, detail = Estimate(float("nan"), reason=reason), ""
    if start and initial:
        found = mean_of(table, weights(table, start, initial))
        detail = (
            f"{named(table, start)}: {average(table, start)}; mean over "
            f"{named(table, initial)}: {average(table, initial)}"
        )
    return claim(
        table,
        "text drops first",
        "Two languages are less alike in text in the initial layers than at the input",
        "section 3.2",
        found,
        detail=detail,
    )
