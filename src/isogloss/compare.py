"""Score comparisons: prepare the views of a chunk once, compare its pairs, keep what is done.

Comparisons are scored in chunks (one measure, group and place on the x-axis). A finished chunk is
a small Parquet file named by the digest of all it depends on, so a run that is killed goes on
where it was, and a changed option makes only what it touches anew.
"""

import hashlib
import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from threadpoolctl import threadpool_limits

from isogloss import atomic, specs
from isogloss.analyses.base import Comparison, ViewKey
from isogloss.corpora.base import Modality
from isogloss.events import Events, task
from isogloss.results import FULL, SCHEMA, parquet
from isogloss.settings import digest
from isogloss.similarity.base import Measure, Rows, Score
from isogloss.similarity.measures import MEASURES
from isogloss.store import Store, Unit

FORMAT = 2


def compare(
    comparisons: Iterable[Comparison],
    measures: Sequence[Measure],
    *,
    analysis: str,
    store: Store,
    units: dict[tuple[str, Modality], Unit],
    permutations: int,
    seed: int,
    jobs: int,
    events: Events,
) -> tuple[pl.DataFrame, list[Path]]:
    """Score all comparisons by all measures.

    Args:
        comparisons: What to compare.
        measures: With what.
        analysis: Name of the analysis, for the table and the progress.
        store: Where the activations are.
        units: The committed unit of each language and modality.
        permutations: Shuffles behind each p-value.
        seed: Seed of the shuffles. Each comparison draws its own from it, so a score does not
            depend on what else is computed, nor in which order.
        jobs: Threads; 0: one per core.
        events: Receives progress.

    Returns:
        The table (see ``results.SCHEMA``), and the files of the chunks it was made from.
    """
    ordered = sorted(comparisons, key=lambda c: (c.group, c.position, c.label))
    chunks = [list(g) for _, g in groupby(ordered, key=lambda c: (c.group, c.position, c.label))]
    name = f"compare {analysis}"
    frames, files = [], []
    workers = jobs or os.cpu_count() or 1
    # Two BLAS threads per comparison are slower than one: they wait for each other.
    with (
        task(events, name, len(ordered) * len(measures), "pair"),
        threadpool_limits(1),
        ThreadPoolExecutor(workers) as pool,
    ):
        for measure in measures:
            line = specs.write(MEASURES, measure)
            for chunk in chunks:
                path = _chunk_path(store, units, chunk, line, permutations, seed)
                scored = _read(path)
                if scored is None:
                    scored = _score(chunk, measure, line, store, units, permutations, seed, pool)
                    atomic.write_bytes(path, parquet(scored))
                frames.append(scored)
                files.append(path)
                events.advance(name, len(chunk), f"{chunk[0].group} {chunk[0].label}")
    table = pl.concat([pl.DataFrame(schema=SCHEMA), *frames])
    return table.with_columns(analysis=pl.lit(analysis)), files


def _read(path: Path) -> pl.DataFrame | None:
    """A finished chunk, or None if it is not there or another run has just removed it."""
    try:
        return pl.read_parquet(path)
    except (FileNotFoundError, pl.exceptions.ComputeError):
        return None


def prune(folder: Path, keep: Iterable[Path]) -> None:
    """Delete chunks of earlier settings."""
    kept = set(keep)
    for path in folder.glob("*.parquet"):
        if path not in kept:
            path.unlink(missing_ok=True)


def _chunk_path(
    store: Store,
    units: dict[tuple[str, Modality], Unit],
    chunk: list[Comparison],
    measure: str,
    permutations: int,
    seed: int,
) -> Path:
    def view(key: ViewKey) -> list[str]:
        # The content alone is not enough: the row names the language, and draws its shuffles by it.
        data = str(store.record(units[key.language, key.modality])["sha256"])
        return [key.language, key.modality, key.tap, data]

    identity = [
        [c.group, c.label, c.position, c.depth, view(c.a), view(c.b), c.sentences] for c in chunk
    ]
    key = digest([FORMAT, measure, permutations, seed, identity])
    return store.root / "results" / "parts" / f"{key[:24]}.parquet"


def _score(
    chunk: list[Comparison],
    measure: Measure,
    line: str,
    store: Store,
    units: dict[tuple[str, Modality], Unit],
    permutations: int,
    seed: int,
    pool: ThreadPoolExecutor,
) -> pl.DataFrame:
    keys = sorted({k for c in chunk for k in (c.a, c.b)})

    def load(key: ViewKey) -> tuple[Any, int, Callable[[tuple[str, ...]], Rows]]:
        unit = units[key.language, key.modality]
        array = store.view(unit, key.tap)
        place = {s: i for i, s in enumerate(store.record(unit)["sentences"])}
        return (
            measure.prepare(array),
            array.shape[1],
            lambda ids: np.array([place[s] for s in ids], dtype=np.intp),
        )

    views = dict(zip(keys, pool.map(load, keys), strict=True))

    def row(c: Comparison) -> dict[str, Any]:
        (a, width_a, rows_a), (b, width_b, rows_b) = views[c.a], views[c.b]
        rng = np.random.default_rng(_seed(seed, line, c))
        try:
            score = measure.compare(
                a,
                b,
                rows_a=rows_a(c.sentences),
                rows_b=rows_b(c.sentences),
                permutations=permutations,
                rng=rng,
            )
            baseline = measure.baseline(score.n, width_a, width_b, seed=seed)
        except Exception as error:
            # A measure that fails on one pair, ours or a plug-in's, must not cost the others.
            reason = f"{type(error).__name__}: {error}"
            score = Score(float("nan"), len(c.sentences), reason=reason)
            baseline = float("nan")
        return _row(c, line, score, baseline)

    return pl.DataFrame(list(pool.map(row, chunk)), schema=SCHEMA)


def _seed(seed: int, measure: str, c: Comparison) -> int:
    text = f"{seed}|{measure}|{c.a}|{c.b}|{len(c.sentences)}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")


def _row(c: Comparison, measure: str, score: Score, baseline: float) -> dict[str, Any]:
    null = score.null_mean if score.permutations else score.chance
    warnings = list(score.warnings)
    if saturated := null > FULL:
        warnings.append("chance is 1: the kept dimensions fill the space, nothing can be above it")
    return {
        "analysis": "",
        "measure": measure,
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
        "score": score.score,
        "k_a": score.k_x,
        "k_b": score.k_y,
        "chance": score.chance,
        "null_mean": score.null_mean,
        "null_sd": score.null_sd,
        "p_value": score.p_value,
        "permutations": score.permutations,
        "calibrated": float("nan") if saturated else (score.score - null) / (1 - null),
        "baseline": baseline,
        "reason": score.reason,
        "warnings": "; ".join(warnings),
    }
