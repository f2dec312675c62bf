"""One modality of a loaded model, with the sentences that are put to it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isogloss.corpora.base import SAMPLING_RATE, Modality
from isogloss.errors import choices
from isogloss.languages import Language
from isogloss.modelcheck.result import Result
from isogloss.models.base import Adapter, Features, Heard, ModelSource, Tap, Tower

Row = dict[str, NDArray[np.float32]]
"""Tap -> the pooled activations of one sentence."""

TOLERANCE = {"float32": 1e-5, "float16": 1e-2, "bfloat16": 5e-2}
"""Largest relative L2 difference of two ways to compute the same. In half precision a batch is
computed by other kernels, so that every layer rounds otherwise; a leak of padding is larger."""
REPEATS = 0.1
"""Share of the tolerance within which the same computation must repeat itself."""
MAX_BATCH = 8
"""Largest batch that is tried where a tower says that any will do."""


@dataclass(frozen=True, eq=False)
class Sample:
    """One sentence as the tower takes it; equal to nothing but itself."""

    language: Language
    item: Any
    """A text, samples, or :class:`Heard`."""
    name: str
    """What messages call it."""

    @property
    def seconds(self) -> float:
        """Duration of what is heard; 0 for a text alone."""
        heard = self.item.samples if isinstance(self.item, Heard) else self.item
        return 0.0 if isinstance(heard, str) else len(heard) / SAMPLING_RATE

    def half(self) -> "Sample":
        """The first half of its text or of its samples."""
        if isinstance(self.item, Heard):
            item: Any = Heard(
                *(part[: max(1, len(part) // 2)] for part in vars(self.item).values())
            )
        else:
            item = self.item[: max(1, len(self.item) // 2)]
        return Sample(self.language, item, f"half of {self.name}")


@dataclass
class Bench:
    """What all checks of one modality share. Nothing is computed twice."""

    source: ModelSource
    modality: Modality
    taps: tuple[Tap, ...]
    """The taps that were asked for."""
    samples: list[Sample]
    """By language; within a language the longest first."""
    tolerance: float
    device: str
    adapter: Adapter | None = None
    _features: dict[Sample, Features] = field(default_factory=dict)
    _alone: dict[Sample, Row] = field(default_factory=dict)

    @property
    def languages(self) -> list[Language]:
        """Languages of the samples."""
        return list(dict.fromkeys(sample.language for sample in self.samples))

    @property
    def first(self) -> list[Sample]:
        """The samples of the first language, which batches are made of."""
        return [s for s in self.samples if s.language == self.samples[0].language]

    def tower(self, language: Language | None = None) -> Tower:
        """The tower of a language, the first one if none is named."""
        assert self.adapter is not None  # noqa: S101
        return self.adapter.tower(self.modality, language or self.samples[0].language)

    def features(self, sample: Sample) -> Features:
        """A sample made ready, once."""
        if sample not in self._features:
            tower = self.tower(sample.language)
            self._features[sample] = tower.features(sample.item, sample.language)
        return self._features[sample]

    def encode(self, batch: Sequence[Sample]) -> list[Row]:
        """Encode samples of one language together; one row for each."""
        features = [self.features(sample) for sample in batch]
        return rows(self.tower(batch[0].language).encode(features), len(batch))

    def alone(self, sample: Sample) -> Row:
        """Encode a sample by itself, once."""
        if sample not in self._alone:
            (self._alone[sample],) = self.encode([sample])
        return self._alone[sample]

    def anew(self, adapter: Adapter, source: ModelSource | None = None) -> "Bench":
        """The same samples for another adapter; nothing that was computed is kept."""
        return Bench(
            source or self.source, self.modality, self.taps, self.samples, self.tolerance,
            self.device, adapter,
        )  # fmt: skip

    def largest(self) -> int:
        """Largest batch that is tried."""
        limit = self.tower().max_batch
        return MAX_BATCH if limit is None else min(limit, 2 * MAX_BATCH)


class UnevenError(ValueError):
    """What came out of a tower is not one row of features for each item and tap."""


def rows(found: Any, count: int) -> list[Row]:
    """Split what a tower returned by items.

    Raises:
        UnevenError: A tap has another number of rows.
    """
    for tap, values in found.items():
        if np.ndim(values) != 2 or len(values) != count:
            shape = tuple(np.shape(values))
            raise UnevenError(f'tap "{tap}" gives {shape} for a batch of {count} items')
    return [{tap: values[i] for tap, values in found.items()} for i in range(count)]


def gaps(found: Row, wanted: Row) -> dict[str, float]:
    """Relative L2 difference at each tap; infinite where only one is NaN or a tap is lacking."""
    return {tap: _gap(found.get(tap), values) for tap, values in wanted.items()}


def _gap(found: NDArray[np.float32] | None, wanted: NDArray[np.float32]) -> float:
    if found is None or found.shape != wanted.shape:
        return float("inf")
    a, b = found.astype(np.float64), wanted.astype(np.float64)
    finite = np.isfinite(a)
    if not np.array_equal(finite, np.isfinite(b)):
        return float("inf")
    # That both are NaN at one place is told by the check of finite values alone.
    a, b = a[finite], b[finite]
    off, size = float(np.linalg.norm(a - b)), float(np.linalg.norm(b))
    if off == 0.0:
        return 0.0
    ratio = off / size if size else float("inf")
    return ratio if np.isfinite(ratio) else float("inf")


@dataclass
class Worst:
    """The largest gap at each tap, and where the largest of all was met."""

    by_tap: dict[str, float] = field(default_factory=dict)
    value: float = 0.0
    tap: str = ""
    where: str = ""

    def meet(self, found: Row, wanted: Row, where: str) -> None:
        """Compare two rows."""
        for tap, gap in gaps(found, wanted).items():
            self.by_tap[tap] = max(gap, self.by_tap.get(tap, 0.0))
            if gap > self.value:
                self.value, self.tap, self.where = gap, tap, where


def number(value: float) -> str:
    """A difference for people.

    >>> number(0.0), number(3.14159e-7)
    ('equal bit by bit', '3.1e-07')
    """
    if value == 0.0:
        return "equal bit by bit"
    return f"{value:.1e}" if np.isfinite(value) else "NaN or infinity"


def verdict(
    group: str,
    name: str,
    bench: Bench,
    worst: Worst,
    what: str,
    wrong: str,
    *,
    limit: float | None = None,
) -> Result:
    """Hold the largest gap against a limit.

    Args:
        group: Group of the check.
        name: The check.
        bench: Where it was made; its tolerance is the limit if none is given.
        worst: The gaps.
        what: What was compared.
        wrong: What it means if they are too large.
        limit: The largest gap that passes.
    """
    limit = bench.tolerance if limit is None else limit
    at = f" at tap {worst.tap}" if worst.tap else ""
    remark = ""
    if worst.value > limit:
        bad = [tap for tap, gap in worst.by_tap.items() if gap > limit]
        taps = "every tap" if len(bad) == len(worst.by_tap) > 1 else f"tap {choices(bad, 6)}"
        remark = f"{wrong} at {taps}; most for {worst.where}"
    return Result(
        group,
        name,
        bench.modality,
        "fail" if remark else "pass",
        f"{number(worst.value)}{at}, {what}",
        remark,
        worst.value,
        limit,
        worst.by_tap,
    )
