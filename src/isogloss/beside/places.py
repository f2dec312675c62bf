"""Which places of two runs go together: the taps of one name and depth, and the last of each."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from isogloss.analyses.base import Comparison
from isogloss.errors import StudyError, unknown

LAST = "last"
"""Stands for the last place of each kind, whatever it is called."""
_DIGITS = 6
"""Of a relative depth, to which two are equal."""


@dataclass(frozen=True, order=True)
class Spot:
    """A place of one run."""

    depth: float
    position: int
    label: str
    tap_a: str
    tap_b: str

    @classmethod
    def of(cls, c: Comparison) -> "Spot":
        """Where a comparison belongs."""
        return cls(c.depth, c.position, c.label, c.a.tap, c.b.tap)

    @property
    def key(self) -> tuple[str, float, str, str]:
        """What it has in common with the same place of another run."""
        return self.label, round(self.depth, _DIGITS), self.tap_a, self.tap_b


@dataclass(frozen=True)
class Place:
    """A place of both runs."""

    label: str
    """Its name; both names where they differ."""
    first: Spot
    second: Spot
    last: bool
    """Whether it is the last of its kind in both runs."""

    def named(self, taps: Sequence[str]) -> bool:
        """Whether it is among some names; it is if there are none."""
        return not taps or self.label in taps or (self.last and LAST in taps)


def pair(first: Iterable[Spot], second: Iterable[Spot]) -> tuple[Place, ...]:
    """Put the places of two runs together.

    Taps go together if name and relative depth are equal in both runs, as for two checkpoints of
    one model. The last places go together in any case. Between other taps nothing is paired: that
    two models are equally deep somewhere does not mean that they have done the same work by then.

    Args:
        first: Places of the first run in one kind of comparison.
        second: Those of the second run.

    Returns:
        In order of depth; empty if one of the runs has none.
    """
    mine, its = sorted(set(first)), sorted(set(second))
    if not mine or not its:
        return ()
    by_key = {spot.key: spot for spot in its}
    found = [
        Place(spot.label, spot, by_key[spot.key], last=False)
        for spot in mine
        if spot.key in by_key and spot != mine[-1] and by_key[spot.key] != its[-1]
    ]
    ends = mine[-1], its[-1]
    labels = dict.fromkeys(spot.label for spot in ends)
    return (*found, Place(" / ".join(labels), *ends, last=True))


def check(taps: Sequence[str], places: Iterable[Place]) -> None:
    """Refuse names of places that neither kind of comparison has in both runs.

    Raises:
        StudyError: One is unknown; the nearest is named.
    """
    valid = list(dict.fromkeys((*(place.label for place in places), LAST)))
    for tap in taps:
        if tap not in valid:
            raise StudyError(unknown("tap", tap, valid))
