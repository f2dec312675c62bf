"""The rows of a unit: made batch by batch, kept now and then, put in order at the end."""

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isogloss.extraction.inputs import Prepared
from isogloss.models.base import Tower
from isogloss.takes import arranged, explained

Arrays = Mapping[str, NDArray[np.float32]]
"""Tap -> (rows × features)."""
Keep = Callable[[dict[str, NDArray[np.float32]], dict[str, Any]], None]
"""Takes rows, tap -> (rows × features), and JSON-able fields that say which they are."""


@dataclass
class Encoded:
    """The activations of one unit, and what happened on the way."""

    arrays: dict[str, NDArray[np.float32]]
    """Tap -> (rows × features)."""
    rows: list[int]
    """Which of the utterances each row is: ordered by take, then as the sentences were given."""
    lengths: list[int]
    """Time steps of each recording, tokens of each text."""
    seconds: list[float]
    """Duration of each decoded recording; empty for text."""
    failed: dict[int, str] = field(default_factory=dict)
    """Which utterances were left out, and why."""
    unread: frozenset[int] = frozenset()
    """Those of them whose recording could not be read."""
    notes: Counter[str] = field(default_factory=Counter)
    """What was done to the inputs of the rows, with how many it was done to."""


@dataclass
class Batch:
    """Inputs that ran together, and what came of them."""

    items: list[tuple[int, Prepared]]
    found: list[dict[str, NDArray[np.float32]] | str]
    """One row per item, or why it has none."""


@dataclass
class _Row:
    values: dict[str, NDArray[np.float32]]
    """Tap -> (features)."""
    length: int
    seconds: float | None
    notes: list[str]


class Rows:
    """What is made of a unit so far.

    Args:
        tower: The encoder.
        keep: Given the rows since the last time, every five minutes and when asked; None: nobody.
    """

    def __init__(self, tower: Tower, keep: Keep | None) -> None:
        self.made: dict[int, _Row] = {}
        self.failed: dict[int, str] = {}
        self.unread: set[int] = set()
        self._taps = [tap.name for tap in tower.taps]
        self._keep = keep
        self._fresh: list[int] = []
        self._kept_failed: set[int] = set()
        self._kept_at = time.monotonic()

    def __len__(self) -> int:
        return len(self.made) + len(self.failed)

    def knows(self, i: int) -> bool:
        """Whether an utterance is done, well or badly."""
        return i in self.made or i in self.failed

    def recall(self, arrays: Arrays, fields: Mapping[str, Any], count: int) -> None:
        """Take over rows that were kept; none if they are of other taps or utterances.

        Args:
            arrays: Tap -> (rows × features).
            fields: What was kept with them.
            count: Number of utterances.
        """
        rows = fields["rows"]
        failed = {int(i): str(reason) for i, reason in fields["failed"].items()}
        named = [row["utterance"] for row in rows]
        if not all(tap in arrays and len(arrays[tap]) == len(rows) for tap in self._taps):
            return
        if not all(0 <= i < count for i in (*named, *failed)):
            return
        self.failed |= failed
        self._kept_failed |= failed.keys()
        for k, (i, row) in enumerate(zip(named, rows, strict=True)):
            values = {tap: arrays[tap][k] for tap in self._taps}
            self.made[i] = _Row(values, row["length"], row["seconds"], row["notes"])

    def add(self, batch: Batch) -> None:
        """Take what a batch gave."""
        for (i, item), values in zip(batch.items, batch.found, strict=True):
            if isinstance(values, str):
                self.failed[i] = values
                continue
            assert item.features is not None  # noqa: S101
            tokens = item.features.tokens
            length = item.features.length if tokens is None else tokens
            self.made[i] = _Row(values, length, item.seconds, list(item.notes))
            self._fresh.append(i)

    def hand_over(self, every: float = 0.0) -> None:
        """Hand over the rows since the last time.

        Args:
            every: Unless that is fewer seconds ago.
        """
        due = time.monotonic() - self._kept_at >= every
        if self._keep is None or not self._fresh or not due:
            return
        rows = [
            {"utterance": i, "length": r.length, "seconds": r.seconds, "notes": r.notes}
            for i, r in ((i, self.made[i]) for i in self._fresh)
        ]
        # What could not be read is not kept: it is tried again by whoever goes on.
        failed = sorted(self.failed.keys() - self._kept_failed - self.unread)
        fields = {"rows": rows, "failed": {str(i): self.failed[i] for i in failed}}
        self._keep(self._stacked(self._fresh), fields)
        self._kept_failed |= set(failed)
        self._fresh = []
        self._kept_at = time.monotonic()

    def gathered(self, ids: Sequence[str]) -> Encoded:
        """Put everything in order.

        Args:
            ids: The sentence of each utterance.
        """
        order = arranged(ids, self.made)
        rows = [self.made[i] for i in order]
        return Encoded(
            arrays=self._stacked(order) if order else {},
            rows=order,
            lengths=[row.length for row in rows],
            seconds=[row.seconds for row in rows if row.seconds is not None],
            failed=explained(self.failed, ids),
            unread=frozenset(self.unread),
            notes=Counter(note for row in rows for note in row.notes),
        )

    def _stacked(self, order: Sequence[int]) -> dict[str, NDArray[np.float32]]:
        return {tap: np.stack([self.made[i].values[tap] for i in order]) for tap in self._taps}
