"""Shuffles of sentences: the orders behind every permutation null."""

import hashlib
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from isogloss.errors import MeasureError

Order = NDArray[np.intp]

_NONE = np.empty(0, dtype=np.intp)


@dataclass(frozen=True)
class Shuffles:
    """Permutations of the sentences, the same for every comparison of as many sentences.

    All taps of a pair of views are given the same shuffles, so that a curve over taps, and its
    maximum, can be tested as a whole (Westfall and Young 1993).
    """

    count: int
    seed: int = 0

    def __post_init__(self) -> None:
        if self.count < 0:
            raise MeasureError(f"permutations must be 0 or more, not {self.count}")

    def orders(self, n: int, kept: Order | None = None) -> Order:
        """Return ``count`` random orders.

        Args:
            n: Number of compared sentences.
            kept: Which of them still have a row once confounds are taken out, as in
                :attr:`isogloss.similarity.partial.Nuisance.kept`; all if None.

        Returns:
            (count × rows) row numbers of the second view, counted among those kept.
        """
        size = n if kept is None else len(kept)
        key = hashlib.sha256(f"{self.seed}|{size}".encode()).digest()
        rng = np.random.default_rng(int.from_bytes(key[:16], "big"))
        ordered = np.broadcast_to(np.arange(size, dtype=np.intp), (self.count, size))
        return rng.permuted(ordered, axis=1)


@dataclass(frozen=True)
class InducedShuffles(Shuffles):
    """Shuffles of a subset of sentences that follow from shuffles of all of them.

    Comparisons of the same two kinds of view (all text and all speech, or two languages in text
    and in speech) are given the same shuffles of all sentences, so that a shuffle does the same to
    all of them at once, and what views of one kind have in common survives: only then has the mean
    of their scores the spread that it would have if the kinds had nothing to do with each other.

    Where a comparison lacks some sentences, each shuffle is followed from a sentence that it has
    until one comes that it has too. That is a permutation of the subset, a random one if the whole
    is random, and it moves two sentences as the whole does unless one of them is lacking. Drawing
    or sorting each subset anew would move almost every sentence in another way, and call noise in
    the mean of several languages a finding.
    """

    whole: Order = field(default_factory=lambda: np.empty((0, 0), dtype=np.intp), repr=False)
    """(count × all sentences) orders of all sentences."""
    members: Order = field(default_factory=_NONE.copy, repr=False)
    """(compared sentences,) which of all they are."""

    def orders(self, n: int, kept: Order | None = None) -> Order:
        """Return the orders that follow for the compared sentences, or those of them kept.

        Args:
            n: Number of compared sentences, that of ``members``.
            kept: Which of them still have a row once confounds are taken out; all if None.

        Returns:
            (count × rows) row numbers of the second view, counted among those kept.

        Raises:
            MeasureError: ``n`` is another number, such as that of the rows left.
        """
        if n != self.members.size:
            raise MeasureError(
                f"these shuffles are of {self.members.size} sentences, and orders of {n} were "
                "asked for; pass the rows that confounds leave as `kept`"
            )
        own = self.members if kept is None else self.members[kept]
        place = np.full(self.whole.shape[1], -1, dtype=np.intp)
        place[own] = np.arange(own.size)
        found = self.whole[:, own]
        row, column = np.nonzero(place[found] < 0)
        while row.size:
            moved = self.whole[row, found[row, column]]
            found[row, column] = moved
            lost = place[moved] < 0
            row, column = row[lost], column[lost]
        return place[found]
