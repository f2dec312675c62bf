"""Score comparisons in chunks that are kept, so that a run that is killed goes on where it was.

A chunk is one measure, group and place on the x-axis. A finished one is a small Parquet file named
by the digest of all it depends on, so a changed option makes only what it touches anew.
"""

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from itertools import groupby
from pathlib import Path

import polars as pl
from threadpoolctl import threadpool_limits

from isogloss import atomic, specs
from isogloss.analyses.base import Comparison, ViewKey
from isogloss.corpora.base import Modality
from isogloss.events import Events, task
from isogloss.families import Family
from isogloss.results import MEANS, SCHEMA, parquet
from isogloss.scoring import Scorer
from isogloss.settings import digest
from isogloss.sharing import Options, sentences
from isogloss.similarity.base import Measure
from isogloss.similarity.measures import MEASURES
from isogloss.store import Store, Unit

FORMAT = 6

Units = Mapping[tuple[str, Modality], Unit]


def compare(
    comparisons: Iterable[Comparison],
    measures: Sequence[Measure],
    *,
    analysis: str,
    store: Store,
    units: Units,
    options: Options,
    events: Events,
) -> tuple[pl.DataFrame, pl.DataFrame, list[Path]]:
    """Score all comparisons by all measures.

    Args:
        comparisons: What to compare.
        measures: With what.
        analysis: Name of the analysis, for the table and the progress.
        store: Where the activations are.
        units: The committed unit of each language and modality.
        options: What all comparisons share. A score depends on them and on its own two views
            only, not on what else is computed, nor in which order.
        events: Receives progress.

    Returns:
        The table of scores (see ``results.SCHEMA``), that of their means (``results.MEANS``), and
        the files of the chunks they were made from.
    """
    ordered = sorted(comparisons, key=lambda c: (c.group, c.position, c.label))
    chunks = [list(g) for _, g in groupby(ordered, key=lambda c: (c.group, c.position, c.label))]
    name = f"compare {analysis}"
    # A shuffle of some sentences follows from one of all sentences of the run.
    shuffled = digest(sentences(units)) if options.permutations else ""
    covariates: dict[tuple[str, Modality], str] = {}
    if options.confounds:
        covariates = {key: digest(store.record(u)["covariates"]) for key, u in units.items()}
    rows, means, files = [pl.DataFrame(schema=SCHEMA)], [pl.DataFrame(schema=MEANS)], []
    # Two BLAS threads per comparison are slower than one: they wait for each other.
    with (
        task(events, name, len(ordered) * len(measures), "pair"),
        threadpool_limits(1),
        ThreadPoolExecutor(options.workers) as pool,
    ):
        for measure in measures:
            line = specs.write(MEASURES, measure)
            made_by = [line, MEASURES.version(MEASURES.name_of(type(measure)))]
            scorer = Scorer(measure, store, units, options, pool)
            family = Family(measure.info)
            for chunk in chunks:
                path = _chunk_path(store, units, chunk, [*made_by, shuffled], options, covariates)
                scored = _read(path)
                if scored is None:
                    scored, failed = scorer.score(chunk)
                    # What failed is tried again by the next run, as a mended plug-in may do it.
                    if not failed:
                        atomic.write_bytes(path, parquet(scored))
                family.add(scored)
                files.append(path)
                events.advance(name, len(chunk), f"{chunk[0].group} {chunk[0].label}")
            rows.append(family.rows())
            means.append(family.means())
    named = pl.lit(analysis).alias("analysis")
    return (
        pl.concat(rows).with_columns(named).select(list(SCHEMA)),
        pl.concat(means).with_columns(named).select(list(MEANS)),
        files,
    )


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


@lru_cache(maxsize=2**14)
def _ids(sentences: tuple[str, ...]) -> str:
    return digest(sentences)


def _chunk_path(
    store: Store,
    units: Units,
    chunk: list[Comparison],
    measure: list[str],
    options: Options,
    covariates: Mapping[tuple[str, Modality], str],
) -> Path:
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
    key = digest([FORMAT, measure, options.identity, known, identity, asked])
    return store.root / "results" / "parts" / f"{key[:24]}.parquet"
