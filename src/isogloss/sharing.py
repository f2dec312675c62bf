"""What comparisons share: row numbers, confounds and shuffles, made once for all that need them."""

import hashlib
import os
from collections import OrderedDict
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, fields
from threading import Lock
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from isogloss import confounds
from isogloss.analyses.base import Comparison, ViewKey
from isogloss.corpora.base import Modality
from isogloss.similarity.base import Rows
from isogloss.similarity.partial import Nuisance, nuisance
from isogloss.similarity.shuffles import InducedShuffles, Shuffles
from isogloss.storage.store import Unit
from isogloss.takes import RowIndex

ORDERS = 2**26
"""Bytes of random orders that are held; others are drawn again."""


class Activations(Protocol):
    """Where views come from: :class:`isogloss.storage.store.Store`, or memory."""

    def record(self, unit: Unit) -> dict[str, Any]:
        """What is known of a unit's rows: sentences, takes, shapes and covariates."""

    def view(self, unit: Unit, tap: str) -> NDArray[np.float32]:
        """The activations of one tap: (rows × features)."""


@dataclass(frozen=True)
class Options:
    """What all comparisons of a run share."""

    permutations: int
    seed: int
    confounds: tuple[str, ...]
    interval: str
    jobs: int = 0
    """Threads; 0: one per core. Does not change any number."""
    memory: float = 1.0
    """GiB for prepared views. Does not change any number."""

    @classmethod
    def of(cls, study: Mapping[str, Any], **changes: Any) -> Self:
        """Those of a study, as ``run.json`` holds it, with some of them changed."""
        asked = {f.name: changes.get(f.name, study[f.name]) for f in fields(cls)}
        return cls(**asked | {"confounds": tuple(asked["confounds"])})

    @property
    def identity(self) -> list[Any]:
        """What the numbers depend on."""
        return [self.permutations, self.seed, list(self.confounds), self.interval]

    @property
    def workers(self) -> int:
        """Number of threads."""
        return self.jobs or os.cpu_count() or 1


def sentences(units: Mapping[tuple[str, Modality], Unit]) -> list[str]:
    """All sentences of units, in alphabetical order: what is shuffled as a whole."""
    return sorted({s for unit in units.values() for s in unit.sentences})


@dataclass(frozen=True)
class Control:
    """What is taken out of a comparison."""

    name: str
    """The names of the confounds."""
    basis: NDArray[np.float64]
    """(sentences × directions), as :class:`isogloss.similarity.partial.Nuisance` has it."""
    missing: str
    """What could not be used, with the reason."""

    @property
    def count(self) -> int:
        """How many directions are taken out."""
        return int(self.basis.shape[1])

    def nuisance(self) -> Nuisance | None:
        """Make what a measure takes; None if there is nothing to take out.

        Anew for each comparison, since it keeps tables much larger than itself once it is used.
        """
        return Nuisance(self.basis) if self.count else None


class Shared:
    """What the comparisons of a run have in common.

    Args:
        store: Where the activations are.
        units: The committed unit of each language and modality.
        options: What all comparisons share.
    """

    def __init__(
        self, store: Activations, units: Mapping[tuple[str, Modality], Unit], options: Options
    ) -> None:
        self.store, self.units, self.options = store, units, options
        # Small for each pair of units; what is large is made anew for each comparison.
        self._index: dict[tuple[str, Modality], RowIndex] = {}
        self._row_numbers: dict[Hashable, Rows] = {}
        self._controls: dict[Hashable, Control] = {}
        self._place = {s: i for i, s in enumerate(sentences(units))}
        self._places: dict[tuple[str, ...], Rows] = {}
        self._orders: OrderedDict[str, NDArray[np.int32]] = OrderedDict()
        self._lock = Lock()

    def rows_of(self, c: Comparison) -> tuple[Rows, Rows]:
        """Row numbers of the two views of a comparison."""
        return self._rows(c.a, c.sentences, c.takes_a), self._rows(c.b, c.sentences, c.takes_b)

    def _rows(
        self, view: ViewKey, sentences: tuple[str, ...], takes: tuple[int, ...] | None
    ) -> Rows:
        key = view.language, view.modality, sentences, takes
        if key not in self._row_numbers:
            self._row_numbers[key] = self.index(view).rows(sentences, takes)
        return self._row_numbers[key]

    def index(self, key: ViewKey) -> RowIndex:
        """Where the sentences of a view are."""
        unit = key.language, key.modality
        if unit not in self._index:
            self._index[unit] = RowIndex(self.store.record(self.units[unit]))
        return self._index[unit]

    def control(self, c: Comparison, rows_a: Rows, rows_b: Rows) -> Control:
        """What to take out of a comparison, the same for all taps of two units."""
        units = (c.a.language, c.a.modality), (c.b.language, c.b.modality)
        key = *units, c.sentences, c.takes_a, c.takes_b
        if key not in self._controls:
            names = self.options.confounds
            a, b = (self.store.record(self.units[unit]) for unit in units)
            found = confounds.matrix(names, a, rows_a, b, rows_b, known=names)
            out = nuisance(found.values, len(rows_a))
            basis = out.basis if out else np.empty((len(rows_a), 0))
            self._controls[key] = Control(", ".join(names), basis, found.missing)
        return self._controls[key]

    def shuffles(self, c: Comparison) -> Shuffles:
        """The shuffles of a comparison, the same for all its taps.

        They follow from orders of all sentences of the run, one for each view, that depend on what
        tells the view from the other one, its language or modality, and on nothing else: all
        speech is shuffled alike against all text, and a language alike against all others.
        """
        options = self.options
        if not c.sentences or not options.permutations:
            return Shuffles(0)
        sides: tuple[list[str], list[str]] = ([], [])
        for attribute in ("language", "modality"):
            values = getattr(c.a, attribute), getattr(c.b, attribute)
            if values[0] != values[1]:
                for side, value in zip(sides, values, strict=True):
                    side.append(value)
        if not sides[0]:  # two recordings
            sides[1].append("other")
        first, second = (self._order(" ".join(side)) for side in sides)
        whole = np.empty(first.shape, dtype=np.intp)
        np.put_along_axis(whole, first, second, axis=1)
        return InducedShuffles(options.permutations, options.seed, whole, self._members(c))

    def _members(self, c: Comparison) -> Rows:
        """Which sentences of the run are compared."""
        if c.sentences not in self._places:
            places = [self._place[s] for s in c.sentences]
            self._places[c.sentences] = np.array(places, dtype=np.intp)
        return self._places[c.sentences]

    def _order(self, kind: str) -> NDArray[np.int32]:
        """Random orders of all sentences for one kind of view: (permutations × sentences)."""
        with self._lock:
            found = self._orders.get(kind)
            if found is None:
                size = len(self._place)
                key = hashlib.sha256(f"{self.options.seed}|{kind}".encode()).digest()
                rng = np.random.default_rng(int.from_bytes(key[:16], "big"))
                ordered = np.broadcast_to(
                    np.arange(size, dtype=np.int32), (self.options.permutations, size)
                )
                found = rng.permuted(ordered, axis=1)
                while self._orders and (len(self._orders) + 1) * found.nbytes > ORDERS:
                    self._orders.popitem(last=False)
                self._orders[kind] = found
            self._orders.move_to_end(kind)
            return found
