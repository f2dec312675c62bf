"""Files whose digests are kept beside them, for files that must stay readable by other programs.

    results/
      gaps.parquet  gaps.csv
      digests.json            sealed; file name -> the SHA-256 of what it may hold

The list is written before the files. A process that is killed in between leaves a file of before,
so its digest stays in the list until the new file is there.
"""

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path

from isogloss.errors import StoreError
from isogloss.storage import atomic, sealing

NAME = "digests.json"


def write(folder: Path, files: Mapping[str, bytes]) -> list[Path]:
    """Write files and the list of their digests; each file whole or not at all.

    Args:
        folder: Where to.
        files: Name -> content.

    Returns:
        The paths of the files and that of the list.

    Raises:
        OutputError: One cannot be written.
    """
    new = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
    _list(folder, new)
    paths = [folder / name for name in files]
    for path, data in zip(paths, files.values(), strict=True):
        atomic.write_bytes(path, data)
    # Another process may have written its own list in the meantime, from one without ours.
    if any(content not in _known(folder).get(name, []) for name, content in new.items()):
        _list(folder, new)
    return [*paths, folder / NAME]


def _list(folder: Path, new: Mapping[str, str]) -> None:
    before = _known(folder)
    listed = {name: may for name, may in before.items() if (folder / name).exists()}
    for name, content in new.items():
        there = _digest(folder / name)
        was = [there] if there in before.get(name, []) and there != content else []
        listed[name] = [content, *(digest for digest in was if digest)]
    if listed != before:
        sealing.write(folder / NAME, {"files": listed})


def read(path: Path) -> bytes:
    """Read a file that :func:`write` wrote. One that no list names is taken as it is.

    Raises:
        StoreError: It cannot be read, or it or the list is damaged.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise StoreError(f"{path} cannot be read: {error.strerror or error}") from None
    if (path.parent / NAME).exists():
        may = _parsed(path.parent / NAME).get(path.name)
        if may is not None and hashlib.sha256(data).hexdigest() not in may:
            raise sealing.damaged(path, "its content has changed since it was written")
    return data


def check(folder: Path, patterns: tuple[str, ...]) -> Iterator[tuple[Path, str, bool]]:
    """Look for damage.

    Args:
        folder: One that may have a list.
        patterns: Of the names of files that ought to be in the list.

    Yields:
        A file, what is wrong with it, and whether it is known to be damaged; a file that no list
        names is not.
    """
    path = folder / NAME
    known: dict[str, list[str]] = {}
    if path.exists():
        try:
            known = _parsed(path)
        except StoreError:
            yield path, "the list of digests is damaged", True
    there = {p.name for pattern in patterns for p in folder.glob(pattern)}
    for name in sorted(there | {name for name in known if (folder / name).exists()}):
        if name not in known:
            yield folder / name, "nothing says what it should hold", False
        elif _digest(folder / name) not in known[name]:
            yield folder / name, "its content has changed since it was written", True


def _known(folder: Path) -> dict[str, list[str]]:
    try:
        return _parsed(folder / NAME)
    except StoreError:
        return {}


def _parsed(path: Path) -> dict[str, list[str]]:
    files = sealing.read(path).get("files")
    if not isinstance(files, dict) or not all(isinstance(may, list) for may in files.values()):
        raise sealing.damaged(path, "it is no list of digests")
    return {name: may for name, may in files.items() if Path(name).name == name}


def _digest(path: Path) -> str | None:
    try:
        return sealing.sha256(path)
    except StoreError:
        return None
