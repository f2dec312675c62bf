"""A comparison kept beside a run, so that its report has it though the other run is gone."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl

from isogloss.beside.data import Beside
from isogloss.beside.run import SPLITS, compare_runs
from isogloss.errors import StoreError
from isogloss.events import Events
from isogloss.results import parquet, parsed
from isogloss.runs import Run
from isogloss.storage import atomic, listed, sealing

FOLDER = "beside"
TABLES = ("curves", "differences", "by_language")
FORMAT = 1


def keep(
    run: Run | str | Path,
    other: str | Path,
    *,
    names: str | Sequence[str] = (),
    taps: str | Sequence[str] = (),
    splits: int = SPLITS,
    events: Events | None = None,
) -> Beside:
    """Compare a run with another one, and keep the comparison in the folder of the first.

    Args:
        run: The run that is looked at, or its output folder; its report shows the comparison from
            now on.
        other: Output folder of the other one; it is not needed any more afterwards.
        names: What to call the two, see :func:`isogloss.beside.compare_runs`.
        taps: Where differences are tested; everywhere if empty, see
            :func:`isogloss.beside.compare_runs`.
        splits: Number of times the sentences are split into halves.
        events: Receives progress.

    Raises:
        IsoglossError: As for :func:`isogloss.beside.compare_runs`. What was kept before stays.
    """
    run = _read_run(run)
    done = compare_runs(run.folder, other, names=names, taps=taps, splits=splits, events=events)
    folder = run.folder / FOLDER
    # Without its record a comparison does not count, so a killed process leaves no wrong pair.
    atomic.remove(folder / "beside.json")
    listed.write(folder, {f"{name}.parquet": parquet(done.tables()[name]) for name in TABLES})
    sealing.write(
        folder / "beside.json",
        {
            "format": FORMAT,
            "names": list(done.names),
            "notes": list(done.notes),
            "marks": list(done.marks),
            "about": done.about,
            "source": _source(run),
        },
    )
    return done


def kept(run: Run | str | Path) -> Beside | None:
    """The comparison that was kept beside a run, or None if there is none that still holds.

    It no longer holds once the run has other activations, see :func:`outdated`.

    Args:
        run: The run, or its output folder.

    Raises:
        IsoglossError: The folder holds no run.
        StoreError: The comparison is damaged.
    """
    run = _read_run(run)
    record = run.folder / FOLDER / "beside.json"
    if not record.exists():
        return None
    there = sealing.read(record)
    if there.get("source") != _source(run):
        return None
    frames = {name: _read(run.folder / FOLDER / f"{name}.parquet") for name in TABLES}
    try:
        first, second = there["names"]
        return Beside(
            names=(str(first), str(second)),
            notes=tuple(map(str, there["notes"])),
            marks=tuple(map(str, there["marks"])),
            about=dict(there["about"]),
            **frames,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise sealing.damaged(record, repr(error)) from None


def outdated(run: Run) -> bool:
    """Whether a comparison was kept that was made from other activations than the run now holds."""
    record = run.folder / FOLDER / "beside.json"
    if not record.exists():
        return False
    try:
        return sealing.read(record).get("source") != _source(run)
    except StoreError:
        return False


def _read_run(run: Run | str | Path) -> Run:
    return run if isinstance(run, Run) else Run.read(Path(run))


def _source(run: Run) -> dict[str, Any]:
    store = run.store()
    return {
        f"{language}.{modality}": str(store.record(unit)["sha256"])
        for (language, modality), unit in sorted(run.committed(store).items())
    }


def _read(path: Path) -> pl.DataFrame:
    if not path.exists():
        raise StoreError(f"{path} is missing; `isogloss report --beside` makes it again")
    return parsed(path)
