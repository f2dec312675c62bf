"""Find what is damaged in an output folder, and take it away so that the next run makes it again.

Checked is all that numbers are made of or read from: ``study.json``, ``run.json``, the texts, the
activations with their records and pieces, the parts, the tables. Figures and the report are drawn
from these and are not checked.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from isogloss.errors import IsoglossError, StoreError, choices
from isogloss.leases import Leases
from isogloss.runs import Run
from isogloss.settings import digest
from isogloss.storage import atomic, listed, sealing
from isogloss.storage.parts import Parts
from isogloss.storage.pieces import Pieces, unit_of
from isogloss.storage.records import FAILED, FORMAT, read_record
from isogloss.storage.store import Store
from isogloss.study import Study

_TABLES = ("*.parquet", "*.csv")
_LISTED = {
    ".": ("sentences.parquet",),
    "results": _TABLES,
    "results/means": _TABLES,
    "sensitivity": _TABLES,
    "control": ("means.parquet",),
    "beside": ("*.parquet",),
}
"""Folders with files whose digests are kept in a list, and which files those are."""
_SEALED = (
    "sensitivity/sensitivity.json",
    "control/control.json",
    "beside/beside.json",
    "together.json",
    "compare.json",
)
_OF_RUNS = ("together.json", "compare.json")
"""Records of what is no run but was made of some."""
_CHANGED = "its content has changed since it was written"


@dataclass(frozen=True)
class Problem:
    """Something wrong in an output folder."""

    file: str
    """Its path inside the folder."""
    what: str
    damaged: bool = True
    """False for what a killed run left over: it is in nobody's way, and no number rests on it."""
    unit: str = ""
    """Name of the unit that it belongs to, if it belongs to one."""
    remove: tuple[Path, ...] = ()
    """What :func:`repair` takes away, in this order."""
    done: str = ""
    """What :func:`repair` did about it."""


def verify(folder: Path) -> Iterator[Problem]:
    """Check every file of an output folder against its digest. Nothing is changed.

    Args:
        folder: Output folder of a run, or of ``isogloss together`` or ``compare``.

    Raises:
        IsoglossError: It is none, or was written by a version with another format.
    """
    names = ("study.json", "run.json", "activations", *_OF_RUNS)
    if not any((folder / name).exists() for name in names):
        raise IsoglossError(f"{folder} holds no run; give the output folder of one")
    Store(folder).check_format(damaged=True)
    return _all(folder)


def repair(folder: Path) -> Iterator[Problem]:
    """Check every file, and remove what is damaged or left over.

    What was removed does not exist for the next run, which makes it again and nothing else.
    ``study.json`` is written anew if ``run.json`` and the records agree on what was in it. While a
    worker is at work on the folder, what may be its own is left.

    Raises:
        IsoglossError: As for :func:`verify`.
        OutputError: Something cannot be removed.
    """
    problems = verify(folder)
    return (replace(p, done=_mend(folder, p)) for p in list(problems))


def _all(folder: Path) -> Iterator[Problem]:
    if not any((folder / name).exists() for name in _OF_RUNS):
        yield from _described(folder)
    for name in _SEALED:
        yield from _sealed(folder, folder / name)
    yield from _units(folder)
    pieces, parts = Pieces(folder / "activations"), Parts(folder / "results" / "parts")
    for path in pieces.damaged():
        yield _broken(folder, path, _CHANGED, unit_of(path))
    for path in parts.damaged():
        yield _broken(folder, path, _CHANGED)
    for name, patterns in _LISTED.items():
        for path, what, damaged in listed.check(folder / name, patterns):
            yield replace(_broken(folder, path, what), damaged=damaged)
    for path in sorted(folder.rglob(f".*{atomic.TEMPORARY}")):
        if not atomic.written_by_a_live_process(path):
            yield _left(folder, path, "a temporary file, left by a run that was killed")


def _described(folder: Path) -> Iterator[Problem]:
    """What is wrong with ``study.json`` and ``run.json``."""
    path = folder / "study.json"
    if not path.exists():
        committed = any((folder / "activations").glob("*.json"))
        yield Problem("study.json", "is missing; it says whose folder this is", damaged=committed)
    else:
        yield from _sealed(folder, path)
    path = folder / "run.json"
    if not path.exists():
        yield Problem("run.json", "is not there yet; `isogloss run` writes it", damaged=False)
        return
    before = len(found := list(_sealed(folder, path)))
    yield from found
    if not before and Store(folder).study() is not None:
        try:
            Run.read(folder)
        except StoreError as error:
            yield _broken(folder, path, str(error))


def _sealed(folder: Path, path: Path, unit: str = "") -> Iterator[Problem]:
    if not path.exists():
        return
    try:
        sealing.read(path)
    except StoreError:
        yield _broken(folder, path, _CHANGED if path.stat().st_size else "it is empty", unit)


def _units(folder: Path) -> Iterator[Problem]:
    """What is wrong with records and data files, and which belong to nothing."""
    inside = folder / "activations"
    used, committed = set(), set()
    for path in sorted(inside.glob("*.json")):
        if path.name.endswith(FAILED):
            yield from _sealed(folder, path, path.name.removesuffix(FAILED))
            continue
        name = path.stem
        try:
            record = read_record(path)
        except StoreError as error:
            broken = next(_sealed(folder, path, name), None)
            yield broken or _broken(folder, path, str(error), name)
            continue
        its = f"{record.get('language')}.{record.get('modality')}-{record['digest'][:12]}"
        if its != name:
            yield _broken(folder, path, f"it is the record of {its}", name)
            continue
        data = inside / record["file"]
        used.add(data)
        committed.add(name)
        if what := _data(data, record["bytes"], record["sha256"]):
            # The record goes first: without it the unit does not exist, whatever happens then.
            yield replace(_broken(folder, data, what, name), remove=(path, data))
    for path in sorted(inside.glob("*.safetensors")):
        if path not in used:
            what = "belongs to no record"
            yield _left(folder, path, what, path.stem.rpartition("-")[0])
    for path in Pieces(inside).files():
        if unit_of(path) in committed:
            yield _left(folder, path, "the unit is committed without it", unit_of(path))


def _data(path: Path, size: int, sha256: str) -> str:
    """What is wrong with a data file, empty if nothing is."""
    try:
        found = path.stat().st_size
        if found != size:
            return f"{found} bytes instead of {size}"
        return "" if sealing.sha256(path) == sha256 else _CHANGED
    except FileNotFoundError:
        return "the data file is missing"
    except (OSError, StoreError) as error:
        return f"it cannot be read: {error}"


def _broken(folder: Path, path: Path, what: str, unit: str = "") -> Problem:
    return Problem(path.relative_to(folder).as_posix(), what, unit=unit, remove=(path,))


def _left(folder: Path, path: Path, what: str, unit: str = "") -> Problem:
    return replace(_broken(folder, path, what, unit), damaged=False)


def _mend(folder: Path, problem: Problem) -> str:
    """Put one problem right and say how."""
    # Asked anew each time, since a worker may have begun.
    busy = Leases(folder / "leases").alive()
    if problem.unit in busy or (busy and not problem.damaged):
        return (
            f"left, for a worker is at work on {choices(busy, 3)}; repair again when it has ended"
        )
    if hidden := [p for p in problem.remove if p.exists() and not os.access(p, os.R_OK)]:
        return f"left, since you may not read {hidden[0].name}"
    for path in problem.remove:
        atomic.remove(path)
    if problem.file == "study.json":
        return _restore(folder)
    return "removed" if problem.remove else ""


def _restore(folder: Path) -> str:
    """Write ``study.json`` from ``run.json`` if the records say that it is the same study."""
    later = "the next `isogloss run` of its study writes it"
    try:
        run = Run.read(folder)
        identity = {**Study(**run.study).identity(), "checkpoint": run.model["checkpoint"]}
    except (IsoglossError, KeyError):
        return later
    store = Store(folder)
    if store.owners() - {digest(identity)}:
        return later
    sealing.write(folder / "study.json", {"format": FORMAT, "identity": identity})
    return "written anew from run.json"
