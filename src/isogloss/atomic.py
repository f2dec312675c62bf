"""Write files so that a reader, or the next run, sees the whole file or none of it."""

import json
import os
import tempfile
from pathlib import Path
from typing import Any

from isogloss.errors import OutputError

TEMPORARY = ".tmp"


def _mode() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask


# mkstemp makes files that only their owner can read, which is wrong for a shared store. The mask
# can only be read by setting it, so this is done once, before there are threads.
_MODE = _mode()


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file through a temporary one in the same folder, flushed to disk before the rename.

    A killed process leaves at most one file that ends in ``.tmp``.

    Raises:
        OutputError: It cannot be written; what was there before stays.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _replace(path, data)
    except OSError as error:
        raise OutputError(
            f"cannot write {path}: {error.strerror or error}. What is finished stays; the same "
            "command goes on from there"
        ) from error


def _replace(path: Path, data: bytes) -> None:
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=TEMPORARY, dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(_MODE)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    _flush_folder(path.parent)


def write_json(path: Path, value: Any) -> None:
    """Write a JSON-able value, indented; see :func:`write_bytes`."""
    text = json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False)
    write_bytes(path, text.encode() + b"\n")


def _flush_folder(folder: Path) -> None:
    # Without this a power cut can lose the rename although the file's bytes are on disk.
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
