"""The table of a sensitivity analysis on disk, with a record of what it was made from."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl

from isogloss.analyses.base import Comparison, Contents
from isogloss.analyses.gaps import of_run
from isogloss.chunks import FORMAT
from isogloss.errors import StoreError
from isogloss.results import parsed, write
from isogloss.runs import Run
from isogloss.settings import digest
from isogloss.storage import atomic, sealing
from isogloss.storage.store import Store

FOLDER = NAME = "sensitivity"


def gaps_of(run: Run, contents: Contents) -> list[Comparison]:
    """The comparisons behind the conclusion: those of the run's own gaps analysis if it has one."""
    return list(of_run(run.analyses().values()).comparisons(contents))


def origin(run: Run, store: Store, comparisons: Sequence[Comparison]) -> dict[str, Any]:
    """All that a table depends on, beside the options of its own call.

    The content of the activations is part of it, since a unit that is made again keeps its name.
    """
    return {
        "format": FORMAT,
        # All of them, since shuffles are drawn for all sentences of a run.
        "activations": {
            f"{language}.{modality}": str(store.record(unit)["sha256"])
            for (language, modality), unit in run.committed(store).items()
        },
        "comparisons": digest(
            [[c.group, c.label, *map(_view, (c.a, c.b)), c.sentences] for c in comparisons]
        ),
        **{name: run.study[name] for name in ("seed", "permutations")},
        "measure": run.study["measures"][0],
    }


def _view(key: Any) -> list[str]:
    return [key.language, key.modality, key.tap]


def save(frame: pl.DataFrame, folder: Path, source: dict[str, Any]) -> None:
    """Write a table, and beside it what it was made from."""
    record = folder / FOLDER / f"{NAME}.json"
    # Without its record a table does not count, so a killed process cannot leave a wrong pair.
    atomic.remove(record)
    write(frame, folder / FOLDER, NAME)
    sealing.write(record, source)


def read_table(folder: Path) -> pl.DataFrame | None:
    """The table of an earlier call for a run, or None if there is none that still holds.

    It no longer holds once the run has other activations, sentences, first measure, seed or number
    of permutations; see :func:`outdated`.

    Raises:
        IsoglossError: The folder holds no run.
    """
    path = folder / FOLDER / f"{NAME}.parquet"
    return parsed(path) if path.exists() and not outdated(folder) else None


def outdated(folder: Path) -> bool:
    """Whether there is a table for a run that was made from something else than the run now holds.

    Raises:
        IsoglossError: The folder holds no run.
    """
    if not (folder / FOLDER / f"{NAME}.parquet").exists():
        return False
    run = Run.read(folder)
    store = run.store()
    try:
        there = sealing.read(folder / FOLDER / f"{NAME}.json")
    except StoreError:
        return True
    return there != origin(run, store, gaps_of(run, run.contents(store)))
