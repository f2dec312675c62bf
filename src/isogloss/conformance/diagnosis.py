"""Name the known mistake that returns what an implementation returned."""

from dataclasses import dataclass

import numpy as np

from isogloss.conformance import claim
from isogloss.conformance.case import CALIBRATION, Array, Case, Evidence, Outcome, Value
from isogloss.conformance.suite import Mistake, Suite
from isogloss.conformance.target import Target

CLOSE = 1e-6
"""How closely a mistake must foretell what was returned."""
LARGE = 50_000
"""Views with more values than this are computed again for the best mistakes only."""
PRECISE = 1e-3
"""Differences below this are a matter of digits, not of method."""
PROBES = 6
"""Failed cases on which a mistake must show itself before it is tried on all."""

Judged = list[tuple[Case, Outcome]]


@dataclass(frozen=True)
class Finding:
    """What is likely wrong."""

    says: str
    rows: frozenset[int]
    """The failed cases that it explains, by position."""


def diagnose(suite: Suite, target: Target, judged: Judged) -> Finding | None:
    """Find the one mistake that best explains the failed cases.

    A mistake must foretell what was returned, in at least half of the failed cases and half of all
    cases; the one that foretells most is named, the plainest of those that foretell as many.
    """
    failed = [i for i, (_, o) in enumerate(judged) if o.result == "fail" and o.evidence]
    found = _calling(target, judged) or _digits(judged, failed)
    if found:
        return found
    usual = [i for i, (_, o) in enumerate(judged) if o.evidence and not _large(o)]
    probes = [i for i in failed if i in usual][:PROBES]
    best, most = None, 0.0
    for mistake in claim.mistakes(suite) if probes else ():
        if not any(_foretells(mistake, judged[i]) for i in probes):
            continue
        agrees = sum(_foretells(mistake, judged[i]) for i in usual)
        if 2 * agrees >= len(usual) and agrees - mistake.cost > most:
            best, most = mistake, agrees - mistake.cost
        if agrees == len(usual):
            # The mistakes come in the order of their cost.
            break
    rows = frozenset(i for i in failed if best and _foretells(best, judged[i]))
    return Finding(best.says, rows) if best and 2 * len(rows) >= len(failed) else None


def _calling(target: Target, judged: Judged) -> Finding | None:
    """A mistake in how the function is called, which shows nearly everywhere."""
    wrong = [i for i, (_, o) in enumerate(judged) if o.result == "fail"]
    # A score of one half is as near to one as to the other.
    known = {
        i: case
        for i in wrong
        if isinstance(case := judged[i][0], Value) and abs(case.expected - 0.5) > 1e-3
    }
    if len(known) < PROBES:
        return None
    if not target.distance:
        rows = [
            i
            for i, case in known.items()
            for e in judged[i][1].evidence
            if _near(e.got, 1 - case.expected, 1e-4)
        ]
        if 2 * len(rows) > len(known):
            says = "it returns 1 − similarity: pass --distance (distance=True)"
            return Finding(says, frozenset(rows))
    if not target.transpose:
        tried = list(known.values())[:PROBES]
        turned = [
            _near(target(*(v.T for v in case.views)).value, case.expected, 1e-4) for case in tried
        ]
        if 2 * sum(turned) > len(tried):
            says = "it expects (features × sentences): pass --transpose (transpose=True)"
            return Finding(says, frozenset(wrong))
    return None


def _digits(judged: Judged, failed: list[int]) -> Finding | None:
    """Small differences everywhere are a matter of precision."""
    exact = [i for i in failed if judged[i][0].group != CALIBRATION]
    small = [i for i in exact if judged[i][1].difference < PRECISE]
    if not small or len(small) < 0.8 * len(exact):
        return None
    worst = max(judged[i][1].difference for i in small)
    return Finding(
        f"right to {worst:.0e} only: float32 inside (a float32 Gram matrix loses twice as many "
        "digits), an iterative solver or a large ridge; compute in float64, or allow for it with "
        "--tolerance",
        frozenset(small),
    )


def _large(outcome: Outcome) -> bool:
    return any(e.x.size + e.y.size > LARGE for e in outcome.evidence)


def _foretells(mistake: Mistake, pair: tuple[Case, Outcome]) -> bool:
    case, outcome = pair
    if case.group == CALIBRATION and mistake.loose:
        told = [_score(mistake, e) for e in outcome.evidence]
        got = [e.got for e in outcome.evidence]
        return bool(abs(np.mean(told) - np.mean(got)) <= mistake.loose)
    tolerance = mistake.loose or CLOSE
    if outcome.result == "fail" and case.group != CALIBRATION:
        # Else a mistake that hardly matters here would be foretold by the right score.
        tolerance = min(tolerance, outcome.difference / (2 if mistake.loose else 10))
    return all(_near(_score(mistake, e), e.got, tolerance) for e in outcome.evidence)


def _score(mistake: Mistake, evidence: Evidence) -> float:
    try:
        with np.errstate(all="ignore"):
            return mistake.score(_plain(evidence.x), _plain(evidence.y))
    except (ValueError, IndexError, ZeroDivisionError, FloatingPointError):
        return float("nan")


def _plain(view: Array) -> Array:
    return np.asarray(view, dtype=np.float64)


def _near(a: float, b: float, tolerance: float = CLOSE) -> bool:
    return bool(abs(a - b) <= tolerance) or bool(np.isnan(a) and np.isnan(b))
