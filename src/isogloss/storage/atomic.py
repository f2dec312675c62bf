"""Write files so that a reader, or the next run, sees the whole file or none of it."""

import errno
import json
import os
import re
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import uuid4

from isogloss.errors import OutputError
from isogloss.leases import place

TEMPORARY = ".tmp"

_OWNER = re.compile(r"\.(?P<place>[0-9a-f]{8})-(?P<pid>\d+)\.[^.]*\.tmp")

# Some file systems have no permissions, cannot flush, or cannot flush a folder. That is no reason
# to lose the file: it is as safe there as that file system makes it.
_UNSUPPORTED = {errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP}
_NOT_ALLOWED = {errno.EPERM, errno.EACCES, errno.EROFS}


def _mode() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask


# mkstemp makes files that only their owner can read, which is wrong for a shared store. The mask
# can only be read by setting it, so this is done once, before there are threads.
_MODE = _mode()


def check_folder(path: Path) -> None:
    """Refuse an output folder that cannot be one, before anything is written.

    Raises:
        OutputError: It, or a folder that it is to be in, is a file.
    """
    for there in (path, *path.parents):
        try:
            found, folder = there.exists(), there.is_dir()
        except OSError:  # whoever writes says what is wrong with it
            return
        if folder:
            return
        if found:
            raise OutputError(f"{there} is a file; choose another --output")


def write_bytes(path: Path, data: bytes | Iterable[bytes | memoryview]) -> None:
    """Write a file through a temporary one in the same folder, flushed to disk before the rename.

    A killed process leaves at most one file that ends in ``.tmp``.

    Args:
        path: Where to; its folder is made if it is not there.
        data: All of it, or its parts in order.

    Raises:
        OutputError: It cannot be written; what was there before stays.
    """
    parts = [data] if isinstance(data, bytes) else data
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _replace(path, parts)
    except OSError as error:
        raise _refused("write", path, error) from error


def remove(path: Path) -> None:
    """Remove a file if it is there.

    Raises:
        OutputError: It cannot be removed.
    """
    try:
        path.unlink(missing_ok=True)
    except NotADirectoryError:
        return
    except OSError as error:
        raise _refused("remove", path, error) from error


def _refused(what: str, path: Path, error: OSError) -> OutputError:
    return OutputError(
        f"cannot {what} {path}: {error.strerror or error}. What is finished stays; the same "
        "command goes on from there"
    )


def _replace(path: Path, parts: Iterable[bytes | memoryview]) -> None:
    # Who writes it is in the name, so that nobody takes the file of a live process for a stray one.
    prefix = _prefix(path)
    handle, name = tempfile.mkstemp(prefix=prefix, suffix=TEMPORARY, dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            for part in parts:
                file.write(part)
            file.flush()
            _flush(file.fileno())
        try:
            Path(name).chmod(_MODE)
        except OSError as error:
            if error.errno not in _UNSUPPORTED | _NOT_ALLOWED:
                raise
        Path(name).replace(path)
    except BaseException:
        # The first error says why; a folder that has gone has no temporary file either.
        with suppress(OSError):
            Path(name).unlink(missing_ok=True)
        raise
    _flush_folder(path.parent)


def temporary(path: Path) -> Path:
    """A name for a file that will be moved or linked to a path, and that tells whose it is."""
    return path.parent / f"{_prefix(path)}{uuid4().hex}{TEMPORARY}"


def _prefix(path: Path) -> str:
    return f".{path.name}.{_here()}-{os.getpid()}."


def write_json(path: Path, value: Any) -> None:
    """Write a JSON-able value, indented; see :func:`write_bytes`."""
    text = json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False)
    write_bytes(path, text.encode() + b"\n")


def left_over(folder: Path) -> list[Path]:
    """Temporary files below a folder that a killed process of this machine has left."""
    try:
        found = sorted(folder.rglob(f".*{TEMPORARY}"))
    except OSError:  # a folder has gone while it was looked at
        return []
    return [path for path in found if _alive(path) is False]


def written_by_a_live_process(path: Path) -> bool:
    """Whether a temporary file may be written right now by a process of this machine."""
    return _alive(path) is True


def _alive(path: Path) -> bool | None:
    """Whether the process that writes a temporary file lives; None if it was on another machine."""
    found = _OWNER.search(path.name)
    if found is None or found["place"] != _here():
        return None
    try:
        os.kill(int(found["pid"]), 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:  # it is somebody else's
        return True
    return True


@cache
def _here() -> str:
    return sha256(place().encode()).hexdigest()[:8]


def _flush(handle: int) -> None:
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in _UNSUPPORTED:
            raise


def _flush_folder(folder: Path) -> None:
    # Without this a power cut can lose the rename although the file's bytes are on disk.
    if os.name != "posix":
        return
    try:
        handle = os.open(folder, os.O_RDONLY)
    except PermissionError:  # a folder that one may write to but not list
        return
    try:
        _flush(handle)
    finally:
        os.close(handle)
