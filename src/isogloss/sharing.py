"""What comparisons share: row numbers, confounds and shuffles, made once for all that need them."""

import hashlib
import os
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isogloss import confounds
from isogloss.analyses.base import Comparison, ViewKey
from isogloss.confounds import Confounds
from isogloss.corpora.base import Modality
from isogloss.similarity.base import KeyedShuffles, Rows, Shuffles
from isogloss.store import Store, Unit
from isogloss.takes import RowIndex


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

    @property
    def identity(self) -> list[Any]:
        """What the numbers depend on."""
        return [self.permutations, self.seed, list(self.confounds), self.interval]

    @property
    def workers(self) -> int:
        """Number of threads."""
        return self.jobs or os.cpu_count() or 1


class Shared:
    """What the comparisons of a run have in common.

    Args:
        store: Where the activations are.
        units: The committed unit of each language and modality.
        options: What all comparisons share.
    """

    def __init__(
        self, store: Store, units: Mapping[tuple[str, Modality], Unit], options: Options
    ) -> None:
        self.store, self.units, self.options = store, units, options
        # Small for each pair of units; what is large is made anew for each comparison.
        self._index: dict[tuple[str, Modality], RowIndex] = {}
        self._row_numbers: dict[Hashable, Rows] = {}
        self._confounds: dict[Hashable, Confounds] = {}
        self._random: dict[tuple[str, str], NDArray[np.float32]] = {}
        self._known = confounds.available(store.record(u) for u in units.values())

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

    def control(self, c: Comparison, rows_a: Rows, rows_b: Rows) -> Confounds:
        """What to take out of a comparison, the same for all taps of two units."""
        units = (c.a.language, c.a.modality), (c.b.language, c.b.modality)
        key = *units, c.sentences, c.takes_a, c.takes_b
        if key not in self._confounds:
            a, b = (self.store.record(self.units[unit]) for unit in units)
            self._confounds[key] = confounds.matrix(
                self.options.confounds, a, rows_a, b, rows_b, known=self._known
            )
        return self._confounds[key]

    def shuffles(self, c: Comparison) -> Shuffles:
        """The shuffles of a comparison, the same for all its taps.

        A view's shuffle depends on what tells it from the other view, its language or modality,
        and on nothing else: all speech is shuffled alike against all text, and a language alike
        against all others.
        """
        options = self.options
        sides: tuple[list[str], list[str]] = ([], [])
        for attribute in ("language", "modality"):
            values = getattr(c.a, attribute), getattr(c.b, attribute)
            if values[0] != values[1]:
                for side, value in zip(sides, values, strict=True):
                    side.append(value)
        if not sides[0]:  # two recordings
            sides[1].append("other")
        keys = [
            np.stack([self._keys(" ".join(side), s) for s in c.sentences], axis=1)
            for side in sides
            if c.sentences and options.permutations
        ]
        return KeyedShuffles(options.permutations, options.seed, *keys) if keys else Shuffles(0)

    def _keys(self, kind: str, sentence: str) -> NDArray[np.float32]:
        """A random number for each shuffle."""
        key = kind, sentence
        if key not in self._random:
            text = f"{self.options.seed}|{kind}|{sentence}"
            seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:16], "big")
            rng = np.random.default_rng(seed)
            self._random[key] = rng.random(self.options.permutations, dtype=np.float32)
        return self._random[key]
