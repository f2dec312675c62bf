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
from isogloss.results import PLAIN, SCHEMA
from isogloss.sharing import Options, Shared
from isogloss.similarity.base import Measure, Score, undefined
from isogloss.similarity.intervals import subsampling
from isogloss.similarity.measures import MEASURES
from isogloss.similarity.over_utterances import utterances
from isogloss.similarity.partial import Nuisance, nuisance
from isogloss.store import Store, Unit

PARTS: dict[str, pl.DataType] = {**SCHEMA, "null": pl.List(pl.Float64)}
"""Columns of a chunk: those of the results, and every score of the null."""
GIB = 2**30

A = TypeVar("A")
B = TypeVar("B")


@dataclass(frozen=True)
class _View:
    prepared: Any
    width: int


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
        store: Store,
        units: Mapping[tuple[str, Modality], Unit],
        options: Options,
        pool: ThreadPoolExecutor,
    ) -> None:
        self.measure, self.store, self.units = measure, store, units
        self.options, self.pool = options, pool
        self.line = specs.write(MEASURES, measure)
        self._views: OrderedDict[ViewKey, _View] = OrderedDict()
        self.shared = Shared(store, units, options)

    def score(self, chunk: Sequence[Comparison]) -> pl.DataFrame:
        """One row per comparison, and one more if confounds are to be taken out."""
        rows: dict[int, list[dict[str, Any]]] = {}
        for wave in waves(chunk, self._room(chunk)):
            self._load({key for i in wave for key in (chunk[i].a, chunk[i].b)})
            jobs = self._spread(self._job, [chunk[i] for i in wave])
            shapes = sorted({shape for job in jobs for shape in job.shapes()})
            levels = dict(zip(shapes, self._spread(self._baseline, shapes), strict=True))
            found = self._spread(partial(_Job.rows, baselines=levels), jobs)
            rows.update(zip(wave, found, strict=True))
        return pl.DataFrame([row for i in sorted(rows) for row in rows[i]], schema=PARTS)

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
            return _View(self.measure.prepare(array), array.shape[1])

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
    """One comparison, plain and with confounds taken out."""

    def __init__(self, scorer: Scorer, c: Comparison, a: _View, b: _View) -> None:
        self.scorer, self.c, self.a, self.b = scorer, c, a, b
        self.rows_a, self.rows_b = scorer.shared.rows_of(c)
        self.variants: list[tuple[str, Nuisance | None, str]] = [(PLAIN, None, "")]
        if scorer.options.confounds and len(c.sentences) >= 3:
            found = scorer.shared.control(c, self.rows_a, self.rows_b)
            out = nuisance(found.values, len(c.sentences))
            names = ", ".join(scorer.options.confounds)
            self.variants.append((names, out, found.missing))

    def shapes(self) -> Iterator[tuple[int, int, int]]:
        """(sentences less confounds, features, features) of each variant."""
        for _, out, _ in self.variants:
            spent = out.count if out else 0
            yield len(self.c.sentences) - spent, self.a.width, self.b.width

    def rows(self, baselines: Mapping[tuple[int, int, int], float]) -> list[dict[str, Any]]:
        """The rows of the results."""
        found = []
        for (control, out, missing), shape in zip(self.variants, self.shapes(), strict=True):
            score, interval = self._score(control, out)
            row = _row(self.c, self.scorer.line, control, score, baselines[shape])
            said = (row["warnings"], missing, interval["warnings"])
            found.append(row | interval | {"warnings": "; ".join(filter(None, said))})
        return found

    def _score(self, control: str, out: Nuisance | None) -> tuple[Score, dict[str, Any]]:
        measure, n = self.scorer.measure, len(self.c.sentences)
        if control and out is None:
            return undefined(n, "no confound varies between the sentences"), _NO_INTERVAL
        try:
            score = measure.compare(
                self.a.prepared,
                self.b.prepared,
                rows_a=self.rows_a,
                rows_b=self.rows_b,
                covariates=out,
                shuffles=self.scorer.shared.shuffles(self.c),
            )
            score = replace(score, best=measure.info.best)
            return score, self._interval(score, out)
        except Exception as error:
            # A measure that fails on one pair, ours or a plug-in's, must not cost the others.
            return undefined(n, f"{type(error).__name__}: {error}"), _NO_INTERVAL

    def _interval(self, score: Score, out: Nuisance | None) -> dict[str, Any]:
        """The ends of the interval, and why there is none if one was asked for."""
        method, c, scorer = self.scorer.options.interval, self.c, self.scorer
        if method == "none" or not c.interval or np.isnan(score.score):
            return _NO_INTERVAL
        if np.isnan(score.calibrated) and not np.isnan(score.expected):
            return {**_NO_INTERVAL, "warnings": "no interval: the score is saturated"}
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
            reason = "no interval: the comparison is of given recordings"
            return {**_NO_INTERVAL, "warnings": reason}
        return {
            "low": found.low,
            "high": found.high,
            "interval": found.method if not found.reason else "",
            "warnings": f"no interval: {found.reason}" if found.reason else "",
        }


_NO_INTERVAL = {"low": float("nan"), "high": float("nan"), "interval": "", "warnings": ""}


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


def _row(
    c: Comparison, measure: str, control: str, score: Score, baseline: float
) -> dict[str, Any]:
    warnings = list(score.warnings)
    if not np.isnan(score.score) and np.isnan(score.calibrated) and not np.isnan(score.expected):
        warnings.append("chance is the best score there is: nothing can be above it")
    return {
        "analysis": "",
        "measure": measure,
        "control": control,
        "group": c.group,
        "label": c.label,
        "position": c.position,
        "depth": c.depth,
        "language_a": c.a.language,
        "modality_a": c.a.modality,
        "tap_a": c.a.tap,
        "language_b": c.b.language,
        "modality_b": c.b.modality,
        "tap_b": c.b.tap,
        "n": score.n,
        "covariates": score.covariates,
        "score": score.score,
        "k_a": score.k_x,
        "k_b": score.k_y,
        "chance": score.chance,
        "null_mean": score.null_mean,
        "null_sd": score.null_sd,
        "p_value": score.p_value,
        "p_curve": float("nan"),
        "q_value": float("nan"),
        "permutations": score.permutations,
        "best": score.best,
        "calibrated": score.calibrated,
        "baseline": baseline,
        "details": ", ".join(f"{k} {v:.4g}" for k, v in score.details.items()),
        "reason": score.reason,
        "warnings": "; ".join(warnings),
        "null": score.null.tolist(),
    }
