"""What there is to compare, in chunks that any worker can make and that are kept."""

import random
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby
from threading import get_ident

import polars as pl
from threadpoolctl import threadpool_limits

from isogloss import specs
from isogloss.analyses.base import Comparison, ViewKey
from isogloss.corpora.base import Modality
from isogloss.events import Events, task
from isogloss.interrupts import Interrupted, Stop
from isogloss.leases import Leases
from isogloss.scoring import Scorer
from isogloss.settings import digest
from isogloss.sharing import Options, sentences
from isogloss.similarity.base import Measure
from isogloss.similarity.measures import MEASURES
from isogloss.storage.parts import Parts
from isogloss.storage.store import Store, Unit

FORMAT = 6

Units = Mapping[tuple[str, Modality], Unit]

_POLL = 0.2
"""Seconds between two looks at what others do."""


@dataclass(frozen=True)
class Chunk:
    """One measure, group and place on the x-axis: what is kept as one part."""

    key: str
    """Digest of all that its scores depend on."""
    measure: int
    """Which of the measures."""
    comparisons: tuple[Comparison, ...]

    @property
    def what(self) -> str:
        """Its group and place, for people."""
        return f"{self.comparisons[0].group} {self.comparisons[0].label}"


class Chunks:
    """All chunks of an analysis.

    Args:
        comparisons: What to compare.
        measures: With what.
        analysis: Name of the analysis, for the progress.
        store: Where the activations are.
        units: The committed unit of each language and modality.
        options: What all comparisons share.
    """

    def __init__(
        self,
        comparisons: Iterable[Comparison],
        measures: Sequence[Measure],
        *,
        analysis: str,
        store: Store,
        units: Units,
        options: Options,
    ) -> None:
        self.task = f"compare {analysis}"
        self.measures = measures
        self.parts = Parts(store.root / "results" / "parts")
        self._store, self._units, self._options = store, units, options
        ordered = sorted(comparisons, key=lambda c: (c.group, c.position, c.label))
        grouped = groupby(ordered, key=lambda c: (c.group, c.position, c.label))
        places = [tuple(found) for _, found in grouped]
        # A shuffle of some sentences follows from one of all sentences of the run.
        shuffled = digest(sentences(units)) if options.permutations else ""
        covariates: dict[tuple[str, Modality], str] = {}
        if options.confounds:
            covariates = {key: digest(store.record(u)["covariates"]) for key, u in units.items()}
        self.all: list[Chunk] = []
        """By measure, group and place."""
        for i, measure in enumerate(measures):
            line = specs.write(MEASURES, measure)
            made_by = [line, MEASURES.version(MEASURES.name_of(type(measure))), shuffled]
            for place in places:
                key = _key(store, units, place, made_by, options, covariates)
                self.all.append(Chunk(key, i, place))

    def missing(self) -> list[Chunk]:
        """Those that are not there."""
        there = self.parts.keys()
        return [c for c in self.all if c.key not in there]

    def fill(
        self, events: Events, leases: Leases, stop: Stop, *, patient: bool
    ) -> dict[str, pl.DataFrame]:
        """Make the chunks that are missing, together with whoever else does.

        Args:
            events: Receives progress.
            leases: Who makes what.
            stop: Asked after each chunk.
            patient: Wait for those that other workers are making. Then what is missing is made in
                order; without it in any order, so that workers do not run after each other.

        Returns:
            Chunks of which a score could not be computed. They are not kept, so that the next run
            tries them again, as a mended plug-in may do it.

        Raises:
            OutputError: A part cannot be written.
            Interrupted: It was asked to stop.
        """
        left = self.missing()
        unkept: dict[str, pl.DataFrame] = {}
        total = sum(len(c.comparisons) for c in self.all)
        done = total - sum(len(c.comparisons) for c in left)
        if not patient:
            random.Random(f"{time.time_ns()} {get_ident()}").shuffle(left)  # noqa: S311
            left.sort(key=lambda c: c.measure)
        # Two BLAS threads per comparison are slower than one: they wait for each other.
        with (
            task(events, self.task, total, "pair", done),
            threadpool_limits(1),
            ThreadPoolExecutor(self._options.workers) as pool,
        ):
            scorer: Scorer | None = None
            while left:
                waiting = []
                for chunk in left:
                    if stop():
                        raise Interrupted
                    with leases.holding(f"compare-{chunk.key}", what=chunk.what) as lease:
                        if lease is None:
                            waiting.append(chunk)
                            continue
                        if not self.parts.path(chunk.key).exists():
                            measure = self.measures[chunk.measure]
                            if scorer is None or scorer.measure is not measure:
                                scorer = self._scorer(measure, pool)
                            frame, kept = self._make(chunk, scorer)
                            if not kept:
                                unkept[chunk.key] = frame
                    events.advance(self.task, len(chunk.comparisons), chunk.what)
                if not patient:
                    break
                if len(waiting) == len(left):
                    events.advance(self.task, 0, "waiting for other workers")
                    time.sleep(_POLL)
                left = waiting
        return unkept

    def read(self, chunk: Chunk) -> pl.DataFrame:
        """The scores of a chunk; made again if it is damaged or another run has removed it."""
        found = self.parts.read(chunk.key)
        if found is None:
            with threadpool_limits(1), ThreadPoolExecutor(self._options.workers) as pool:
                scorer = self._scorer(self.measures[chunk.measure], pool)
                found, _ = self._make(chunk, scorer)
        return found

    def _scorer(self, measure: Measure, pool: ThreadPoolExecutor) -> Scorer:
        return Scorer(measure, self._store, self._units, self._options, pool)

    def _make(self, chunk: Chunk, scorer: Scorer) -> tuple[pl.DataFrame, bool]:
        """Score a chunk; and whether it was kept."""
        scored, failed = scorer.score(chunk.comparisons)
        if not failed:
            self.parts.write(chunk.key, scored)
        return scored, not failed


@lru_cache(maxsize=2**14)
def _ids(sentences: tuple[str, ...]) -> str:
    return digest(sentences)


def _key(
    store: Store,
    units: Units,
    chunk: Sequence[Comparison],
    measure: list[str],
    options: Options,
    covariates: Mapping[tuple[str, Modality], str],
) -> str:
    """Digest of all that the scores of a chunk depend on."""

    def view(key: ViewKey) -> list[str]:
        # The content alone is not enough: the row names the language, and draws its shuffles by it.
        data = str(store.record(units[key.language, key.modality])["sha256"])
        return [key.language, key.modality, key.tap, data]

    identity = [
        [c.group, c.label, c.position, c.depth, view(c.a), c.takes_a, view(c.b), c.takes_b]
        for c in chunk
    ]
    asked = [[_ids(c.sentences), c.interval, c.plain] for c in chunk]
    used = sorted({(v.language, v.modality) for c in chunk for v in (c.a, c.b)})
    known = [covariates.get(unit, "") for unit in used]
    return digest([FORMAT, measure, options.identity, known, identity, asked])[:24]
