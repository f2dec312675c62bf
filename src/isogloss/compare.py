"""Score comparisons, and put the scores together into tables."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import polars as pl

from isogloss.analyses.base import Comparison
from isogloss.chunks import Chunks, Units
from isogloss.events import Events
from isogloss.families import Family
from isogloss.interrupts import Stop
from isogloss.leases import Leases
from isogloss.results import MEANS, SCHEMA
from isogloss.sharing import Options
from isogloss.similarity.base import Measure
from isogloss.storage import atomic
from isogloss.storage.parts import Parts
from isogloss.storage.store import Store


def compare(
    comparisons: Iterable[Comparison],
    measures: Sequence[Measure],
    *,
    analysis: str,
    store: Store,
    units: Units,
    options: Options,
    events: Events,
    stop: Stop | None = None,
) -> tuple[pl.DataFrame, pl.DataFrame, list[Path]]:
    """Score all comparisons by all measures.

    Args:
        comparisons: What to compare.
        measures: With what.
        analysis: Name of the analysis, for the table and the progress.
        store: Where the activations are.
        units: The committed unit of each language and modality.
        options: What all comparisons share. A score depends on them and on its own two views
            only, not on what else is computed, nor in which order or by whom.
        events: Receives progress.
        stop: Asked after each chunk.

    Returns:
        The table of scores (see ``results.SCHEMA``), that of their means (``results.MEANS``), and
        the files of the chunks they were made from.

    Raises:
        Interrupted: ``stop`` asked for it.
    """
    chunks = Chunks(
        comparisons, measures, analysis=analysis, store=store, units=units, options=options
    )
    leases = Leases(store.root / "leases")
    try:
        unkept = chunks.fill(events, leases, stop or Stop(), patient=True)
    finally:
        leases.close()
    rows, means = [pl.DataFrame(schema=SCHEMA)], [pl.DataFrame(schema=MEANS)]
    for i, measure in enumerate(measures):
        family = Family(measure.info)
        for chunk in (c for c in chunks.all if c.measure == i):
            found = unkept.get(chunk.key)
            family.add(chunks.read(chunk) if found is None else found)
        rows.append(family.rows())
        means.append(family.means())
    named = pl.lit(analysis).alias("analysis")
    return (
        pl.concat(rows).with_columns(named).select(list(SCHEMA)),
        pl.concat(means).with_columns(named).select(list(MEANS)),
        [chunks.parts.path(c.key) for c in chunks.all],
    )


def prune(folder: Path, keep: Iterable[Path]) -> None:
    """Delete chunks of earlier settings."""
    kept = set(keep)
    for path in Parts(folder).files():
        if path not in kept:
            atomic.remove(path)
