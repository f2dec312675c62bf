"""Recordings that may not hold their sentence: silent, cut short, or of an odd length."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

Kind = Literal["silent", "truncated", "longer", "pace"]
KINDS: dict[Kind, str] = {
    "silent": "silent",
    "truncated": "truncated",
    "longer": "longer than the table says",
    "pace": "of a length far off the text",
}
"""Kinds of doubt, in words."""

SPAN = 2e-3
"""A recording whose samples stay within a range this wide is silent (full scale is 2)."""
QUIET_SHARE = 0.95
"""A recording is silent if this share of its windows of 20 ms is below -60 dB of full scale."""
SHORTEST = 1.0
"""Seconds. No sentence of FLEURS can be read in less."""
TOLERANCE = 0.1
"""Seconds by which the length as decoded may miss that of the table."""
Z = 5.0
"""Robust standard deviations by which the pace may differ from the language's median."""
FACTOR = 2.0
"""Factor by which it must differ at least, for languages whose speakers keep the same pace."""
FEWEST = 20
"""Recordings from which a pace is known."""
_TO_SD = 1.4826
"""Standard deviation of a normal distribution over its median absolute deviation."""


@dataclass(frozen=True)
class Take:
    """What is known of a recording."""

    characters: int
    """Of its text, without white space; 0 if it has none."""
    seconds: float
    """As decoded."""
    announced: float | None
    """Seconds, as the table says."""
    span: float
    """Largest minus smallest sample."""
    quiet: float
    """Share of silent windows."""


@dataclass(frozen=True)
class Doubt:
    """Why a recording may not hold its sentence."""

    kind: Kind
    reason: str


def doubts(takes: Sequence[Take]) -> dict[int, Doubt]:
    """Find the doubtful ones among the recordings of one language.

    The pace is the logarithm of seconds per character. It is compared with the language's median
    in units of its median absolute deviation (times 1.48, which makes it a standard deviation for
    a normal distribution), over the recordings that are not in doubt otherwise. A logarithm,
    since half the pace is as odd as twice; medians, since what is looked for must not set the
    scale.

    Args:
        takes: The language's recordings.

    Returns:
        Place in ``takes`` -> doubt.
    """
    found = {i: doubt for i, take in enumerate(takes) if (doubt := _alone(take))}
    rest = [i for i, take in enumerate(takes) if i not in found and take.characters]
    if len(rest) >= FEWEST:
        pace = np.log([takes[i].seconds / takes[i].characters for i in rest])
        middle = float(np.median(pace))
        spread = _TO_SD * float(np.median(np.abs(pace - middle)))
        for i, value in zip(rest, pace - middle, strict=True):
            if abs(value) > max(Z * spread, math.log(FACTOR)):
                found[i] = Doubt("pace", _pace(takes[i], float(value)))
    return found


def _alone(take: Take) -> Doubt | None:
    """What is odd about a recording by itself."""
    if take.span < SPAN:
        return Doubt("silent", f"is silent: its samples span {take.span:.1g} of 2")
    if take.quiet >= QUIET_SHARE:
        return Doubt("silent", f"is silent in {take.quiet:.0%} of its {take.seconds:.2f} s")
    if take.announced is not None and take.seconds < take.announced - TOLERANCE:
        return Doubt(
            "truncated",
            f"is cut short: it lasts {take.seconds:.2f} s, the table says {take.announced:.2f} s",
        )
    if take.seconds < SHORTEST:
        return Doubt("truncated", f"lasts only {take.seconds:.2f} s")
    if take.announced is not None and take.seconds > take.announced + TOLERANCE:
        return Doubt("longer", f"lasts {take.seconds:.2f} s, the table says {take.announced:.2f} s")
    return None


def _pace(take: Take, distance: float) -> str:
    factor, which = math.exp(abs(distance)), "longer" if distance > 0 else "shorter"
    return (
        f"lasts {take.seconds:.2f} s for {take.characters} characters, {factor:.1f} times {which} "
        "than usual in the language"
    )
