"""What the study says of speech against text (its section 3.1), as contrasts of scores."""

from collections.abc import Iterator

import numpy as np

from isogloss.analyses._claims import (
    Table,
    adapted,
    against,
    average,
    claim,
    contrast,
    defined,
    layers,
    mean_of,
    named,
    weights,
    why,
)
from isogloss.analyses.base import Claim
from isogloss.findings import statistics
from isogloss.findings.statistics import Estimate
from isogloss.languages import RESOURCE_LEVELS, rank, studied_level

GROUP = "matched"
INITIAL, THIRD, LATE = 1 / 6, 1 / 3, 5 / 6
"""Relative depths up to which layers are initial, in the first third, and not among the last."""
_ABSENT = "it takes layers of {}, and the taps that were read have none"
_NO_ADAPTOR = "no tap lies right behind a length adaptor, pooling or Q-Former"


def claims(table: Table) -> Iterator[Claim]:
    """All claims about one kind of scores."""
    yield _rises(table)
    yield _dips(table)
    yield _flattens(table)
    yield _drops(table)
    yield from _adaptor(table)
    yield from _resource(table)


def levels(table: Table) -> list[str]:
    """The resource level of each row's language; empty for one that the study does not have."""
    return [studied_level(code) for code in table.first()]


def _thirds(table: Table) -> tuple[list[int], list[int], list[int]]:
    """The layers by thirds of the depth; the first and the last layer where a third has none."""
    every = layers(table, GROUP, 0, 1)
    early, late = layers(table, GROUP, 0, THIRD), layers(table, GROUP, 1 - THIRD, 1)
    early, late = early or every[:1], late or every[-1:]
    if set(early) & set(late):
        return [], [], []
    return early, [i for i in every if i not in early and i not in late], late


def _rises(table: Table) -> Claim:
    early, _, late = _thirds(table)
    found = _absent("the first and the last third of the depth")
    detail = ""
    if early and late:
        found, detail = against(table, late, early)
    return claim(
        table,
        "rises",
        "Speech and text of a language are more alike in the last third of the layers than in the "
        "first",
        "abstract, finding 1; section 3.1",
        found,
        detail=detail,
    )


def _dips(table: Table) -> Claim:
    every = layers(table, GROUP, 0, 1)
    start = [i for i in table.of(GROUP) if table.columns[i].depth == 0][-1:]
    initial = layers(table, GROUP, 0, INITIAL) or every[:1]
    rest = [i for i in every if i not in initial]
    found, detail = _absent("the input, the initial layers and later ones"), ""
    if start and initial and rest:
        parts = [mean_of(table, weights(table, side, initial)) for side in (start, rest)]
        found, worst = statistics.both(parts)
        detail = (
            f"{named(table, start)}: {average(table, start)}; mean over {named(table, initial)}: "
            f"{average(table, initial)}; over {named(table, rest)}: {average(table, rest)}; the "
            f"effect is the {'fall from the input' if not worst else 'rise afterwards'}, the less "
            "certain of the two"
        )
    return claim(
        table,
        "dips",
        "Speech and text of a language are less alike in the initial layers than both at the input "
        "and in the layers after them",
        "abstract, finding 1; section 3.1",
        found,
        detail=detail,
    )


def _flattens(table: Table) -> Claim:
    early, middle, late = _thirds(table)
    found, detail = _absent("all three thirds of the depth"), ""
    if early and middle and late:
        found = mean_of(
            table,
            2 * weights(table, middle) - weights(table, early) - weights(table, late),
        )
        detail = (
            f"mean over {named(table, early)}: {average(table, early)}; over "
            f"{named(table, middle)}: {average(table, middle)}; over {named(table, late)}: "
            f"{average(table, late)}"
        )
    return claim(
        table,
        "flattens",
        "Speech-text similarity rises more from the first to the middle third of the layers than "
        "from the middle to the last third",
        "section 3.1",
        found,
        detail=detail,
    )


def _drops(table: Table) -> Claim:
    end = layers(table, GROUP, LATE + 1e-6, 1)
    before = layers(table, GROUP, 1 - THIRD, LATE)
    every = layers(table, GROUP, 0, 1)
    end = end or every[-1:]
    before = before or [i for i in every if i not in end][-1:]
    found, detail = _absent("the end and some before it"), ""
    if end and before and not set(end) & set(before):
        found, detail = against(table, before, end)
    return claim(
        table,
        "drops",
        "Speech and text of a language are less alike in the last layers than in those just before "
        "them",
        "section 3.1",
        found,
        detail=detail,
    )


def _adaptor(table: Table) -> Iterator[Claim]:
    after = [i for i in table.of(GROUP) if adapted(table, i)][:1]
    before = [i - 1 for i in after]
    of, w = levels(table), weights(table, after, before)

    def one(name: str, who: str, rows: list[int] | None) -> Claim:
        found, detail = Estimate(float("nan"), reason=_NO_ADAPTOR), ""
        if rows == []:
            found = Estimate(float("nan"), reason=f"there are no {name.split()[-1]} languages")
        elif after:
            found = mean_of(table, w, rows)
            detail = (
                f"{named(table, after)}: {average(table, after, rows)}; {named(table, before)}, "
                f"right before it: {average(table, before, rows)}"
            )
        return claim(
            table,
            name,
            f"The length adaptor, pooling or Q-Former makes speech more like text{who}",
            "abstract, finding 2; section 3.1",
            found,
            detail=detail,
        )

    yield one("adaptor", "", None)
    for level in RESOURCE_LEVELS:
        rows = [i for i, own in enumerate(of) if own == level]
        yield one(f"adaptor {level}", f" in {level}-resource languages", rows)
    found = Estimate(float("nan"), reason=_NO_ADAPTOR)
    if after:
        chosen = [i for i, own in enumerate(of) if own in ("high", "low")]
        gains = contrast(table, w)[chosen]
        found = why(table, statistics.trend(gains, [float(of[i] == "high") for i in chosen]))
    yield claim(
        table,
        "adaptor high over low",
        "The length adaptor, pooling or Q-Former brings speech and text together more in "
        "high-resource than in low-resource languages",
        "abstract, finding 2; section 3.1",
        found,
        detail=_by_level(contrast(table, w), of) if after else "",
    )


def _resource(table: Table) -> Iterator[Claim]:
    every = table.of(GROUP)
    usable = defined(table, every)
    of = levels(table)
    chosen, steps = [i for i, own in enumerate(of) if own], len(RESOURCE_LEVELS)
    for name, columns, where in (
        ("resource", usable, ""),
        ("resource last", every[-1:], " at the last tap"),
    ):
        found, detail = _absent("any depth with scores"), ""
        if columns:
            values = contrast(table, weights(table, columns))
            found = statistics.trend(values[chosen], [float(steps - rank(of[i])) for i in chosen])
            found, detail = why(table, found), _by_level(table.sign * values, of)
            if columns is usable and len(usable) < len(every):
                detail += f"; over {len(usable)} of {len(every)} taps, the others lack scores"
        yield claim(
            table,
            name,
            f"Speech and text of a language are less alike{where}, the lower the resource level "
            "of the language",
            "section 3.1",
            found,
            unit="difference per resource level",
            detail=detail,
        )


def _by_level(values: np.ndarray, of: list[str]) -> str:
    parts = []
    for level in RESOURCE_LEVELS:
        own = values[[i for i, name in enumerate(of) if name == level]]
        own = own[~np.isnan(own)]
        if own.size:
            parts.append(f"{level} {own.mean():+.2f} ({own.size})".replace("-", "−"))
    return f"means by level, with the number of languages: {', '.join(parts)}" if parts else ""


def _absent(what: str) -> Estimate:
    return Estimate(float("nan"), reason=_ABSENT.format(what))
