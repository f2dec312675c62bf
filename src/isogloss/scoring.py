"""Score the comparisons of one place: load the views, compare in threads, describe each score."""

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeVar

import numpy as np
import polars as pl

from isogloss import specs
from isogloss.analyses.base import Comparison, ViewKey
from isogloss.corpora.base import Modality
from isogloss.results import PLAIN, SCHEMA, describe
from isogloss.sharing import Activations, Control, Options, Shared
from isogloss.similarity.base import Measure, Score, undefined
from isogloss.similarity.intervals import subsampling
from isogloss.similarity.measures import MEASURES
from isogloss.similarity.over_utterances import utterances
from isogloss.similarity.paired import MIN_SENTENCES
from isogloss.similarity.partial import Nuisance
from isogloss.similarity.shuffles import Shuffles
from isogloss.storage.store import Unit

PARTS: dict[str, pl.DataType] = {**SCHEMA, "null": pl.List(pl.Float64)}
"""Columns of a chunk: those of the results, and every score of the null."""
GIB = 2**30

A = TypeVar("A")
B = TypeVar("B")


@dataclass(frozen=True)
class _View:
    prepared: Any
    width: int
    failure: str = ""
    """Why it could not be prepared."""


class Scorer:
    """Scores comparisons of stored views by one measure.

    Args:
        measure: With what.
        store: Where the activations are.
        units: The committed unit of each language and modality.
        options: What all comparisons share.
        pool: Threads to work in.
    """

    def __init__(
        self,
        measure: Measure,
        store: Activations,
        units: Mapping[tuple[str, Modality], Unit],
        options: Options,
        pool: ThreadPoolExecutor,
    ) -> None:
        self.measure, self.store, self.units = measure, store, units
        self.options, self.pool = options, pool
        self.line = specs.write(MEASURES, measure)
        self._views: OrderedDict[ViewKey, _View] = OrderedDict()
        self.shared = Shared(store, units, options)

    def score(self, chunk: Sequence[Comparison]) -> tuple[pl.DataFrame, int]:
        """Score comparisons.

        Returns:
            One row per comparison, and one more if confounds are to be taken out; and the number of
            rows that have no score because the measure raised an error.
        """
        rows: dict[int, list[dict[str, Any]]] = {}
        failed = 0
        for wave in waves(chunk, self._room(chunk)):
            self._load({key for i in wave for key in (chunk[i].a, chunk[i].b)})
            jobs = self._spread(self._job, [chunk[i] for i in wave])
            shapes = sorted({shape for job in jobs for shape in job.shapes()})
            levels = dict(zip(shapes, self._spread(self._baseline, shapes), strict=True))
            found = self._spread(partial(_Job.rows, baselines=levels), jobs)
            rows.update(zip(wave, found, strict=True))
            failed += sum(job.failed for job in jobs)
        return pl.DataFrame([row for i in sorted(rows) for row in rows[i]], schema=PARTS), failed

    def _spread(self, function: Callable[[A], B], items: Sequence[A]) -> list[B]:
        """Map in threads, several items at a time, since handing one over costs as much as some."""
        workers = self.options.workers
        if workers == 1 or len(items) < 2:
            return [function(item) for item in items]
        size = max(1, min(16, len(items) // (4 * workers)))
        parts = [items[i : i + size] for i in range(0, len(items), size)]
        done = self.pool.map(lambda part: [function(item) for item in part], parts)
        return [result for part in done for result in part]

    def _room(self, chunk: Sequence[Comparison]) -> int:
        """How many views fit into the memory that they may take."""
        sizes = []
        for key in {key for c in chunk for key in (c.a, c.b)}:
            n, d = self.store.record(self.units[key.language, key.modality])["shapes"][key.tap]
            # The features, their inner products, and what is remembered of two sets of sentences.
            sizes.append(4 * n * d + 8 * n * n + 2 * 3 * 8 * n * min(n, d))
        return max(2, int(self.options.memory * GIB / max(sizes)))

    def _load(self, keys: set[ViewKey]) -> None:
        for key in [k for k in self._views if k not in keys]:
            del self._views[key]

        def load(key: ViewKey) -> _View:
            array = self.store.view(self.units[key.language, key.modality], key.tap)
            try:
                return _View(self.measure.prepare(array), array.shape[1])
            except Exception as error:
                return _View(None, array.shape[1], _failure(error))

        missing = sorted(keys - set(self._views))
        self._views.update(zip(missing, self._spread(load, missing), strict=True))

    def _baseline(self, shape: tuple[int, int, int]) -> float:
        try:
            return self.measure.baseline(*shape, seed=self.options.seed)
        except Exception:  # the comparisons of this shape say what is wrong
            return float("nan")

    def _job(self, c: Comparison) -> "_Job":
        return _Job(self, c, self._views[c.a], self._views[c.b])


class _Job:
    """One comparison, plain and with confounds taken out.

    All jobs of a wave are there at once, so that nothing large is kept in one.
    """

    def __init__(self, scorer: Scorer, c: Comparison, a: _View, b: _View) -> None:
        self.scorer, self.c, self.a, self.b = scorer, c, a, b
        self.rows_a, self.rows_b = scorer.shared.rows_of(c)
        self.failed = 0
        self.controls: list[Control] = []
        if scorer.options.confounds and not c.plain and len(c.sentences) >= MIN_SENTENCES:
            self.controls.append(scorer.shared.control(c, self.rows_a, self.rows_b))

    def shapes(self) -> Iterator[tuple[int, int, int]]:
        """(sentences less confounds, features, features) of each variant."""
        for spent in (0, *(control.count for control in self.controls)):
            yield len(self.c.sentences) - spent, self.a.width, self.b.width

    def rows(self, baselines: Mapping[tuple[int, int, int], float]) -> list[dict[str, Any]]:
        """The rows of the results."""
        found = []
        for shape, control in zip(self.shapes(), (None, *self.controls), strict=True):
            score, interval, *warnings = self._scored(control)
            warnings.append(control.missing if control else "")
            name = control.name if control else PLAIN
            line = self.scorer.line
            try:
                row = describe(self.c, line, name, score, baselines[shape], warnings)
            except Exception as error:  # a plug-in's score may hold anything
                self.failed += 1
                score = undefined(len(self.c.sentences), _failure(error))
                row = describe(self.c, line, name, score, baselines[shape], warnings)
                interval = _NO_INTERVAL
            found.append(row | interval)
        return found

    def _scored(self, control: Control | None) -> tuple[Score, dict[str, Any], str]:
        """A score, its interval, and why it has none if one was asked for."""
        n, out = len(self.c.sentences), control.nuisance() if control else None
        if control and out is None:
            score = undefined(n, "no confound varies between the sentences")
            return score, _NO_INTERVAL, ""
        try:
            score = self._score(out)
        except Exception as error:
            # A measure that fails on one pair, ours or a plug-in's, must not cost the others.
            self.failed += 1
            spent = out.count if out else 0
            return undefined(n, _failure(error), covariates=spent), _NO_INTERVAL, ""
        try:
            return score, *self._interval(score, out)
        except Exception as error:
            self.failed += 1
            return score, _NO_INTERVAL, f"no interval: {_failure(error)}"

    def _score(self, out: Nuisance | None) -> Score:
        measure, n = self.scorer.measure, len(self.c.sentences)
        for view in (self.a, self.b):
            if view.failure:
                self.failed += 1
                return undefined(n, view.failure)
        score = self._compared(out, shuffled=not self.c.plain)
        if self.c.plain and np.isnan(score.chance):
            score = self._compared(out, shuffled=True)
        if out and score.covariates != out.count and not np.isnan(score.score):
            return undefined(n, "the measure takes no confounds out", covariates=out.count)
        info = measure.info
        return replace(score, range=info.range, larger_is_more_similar=info.larger_is_more_similar)

    def _compared(self, out: Nuisance | None, *, shuffled: bool) -> Score:
        score = self.scorer.measure.compare(
            self.a.prepared,
            self.b.prepared,
            rows_a=self.rows_a,
            rows_b=self.rows_b,
            covariates=out,
            shuffles=self.scorer.shared.shuffles(self.c) if shuffled else Shuffles(0),
        )
        if not isinstance(score, Score):
            raise TypeError(f"compare returned {type(score).__name__}, not a Score")
        return score

    def _interval(self, score: Score, out: Nuisance | None) -> tuple[dict[str, Any], str]:
        """The ends of the interval, and why there is none if one was asked for."""
        method, c, scorer = self.scorer.options.interval, self.c, self.scorer
        if method == "none" or not c.interval or c.plain or np.isnan(score.score):
            return _NO_INTERVAL, ""
        if np.isnan(score.calibrated) and not np.isnan(score.expected):
            return _NO_INTERVAL, "no interval: the score is saturated"
        seed = scorer.options.seed
        if method == "subsampling":
            found = subsampling(
                scorer.measure,
                self.a.prepared,
                self.b.prepared,
                rows_a=self.rows_a,
                rows_b=self.rows_b,
                covariates=out,
                whole=score if score.permutations else None,
                seed=seed,
            )
        elif c.takes_a is None and c.takes_b is None:
            found = utterances(
                scorer.measure,
                self.a.prepared,
                self.b.prepared,
                takes_a=scorer.shared.index(c.a).all_takes(c.sentences),
                takes_b=scorer.shared.index(c.b).all_takes(c.sentences),
                covariates=out,
                seed=seed,
            )
        else:
            return _NO_INTERVAL, "no interval: the comparison is of given recordings"
        if found.reason:
            return _NO_INTERVAL, f"no interval: {found.reason}"
        return {"low": found.low, "high": found.high, "interval": found.method}, ""


def _failure(error: Exception) -> str:
    """What an error of a measure says, as the reason of an undefined score."""
    if isinstance(error, MemoryError):
        raise error
    return f"{type(error).__name__}: {error}"


_NO_INTERVAL: dict[str, Any] = {"low": float("nan"), "high": float("nan"), "interval": ""}


def waves(chunk: Sequence[Comparison], fits: int) -> Iterator[list[int]]:
    """Split comparisons so that each part needs no more views than fit, and few are read twice.

    Args:
        chunk: The comparisons.
        fits: Number of views that may be held at a time, at least 2.

    Yields:
        Numbers of the comparisons of each part.
    """
    first = {k: i for i, k in enumerate(sorted({c.a for c in chunk}))}
    second = {k: i for i, k in enumerate(sorted({c.b for c in chunk}))}
    if len(first.keys() | second.keys()) <= fits:
        yield list(range(len(chunk)))
        return
    size = max(1, fits // 2)
    tiles: dict[tuple[int, int], list[int]] = {}
    for i, c in enumerate(chunk):
        tiles.setdefault((first[c.a] // size, second[c.b] // size), []).append(i)
    for _, wave in sorted(tiles.items()):
        yield wave
