"""Read files of strangers within bounds: regular files only, and never more than was allowed for.

A path that a table names may be a device without an end, a pipe that nobody writes to, or a few
kilobytes that unpack to terabytes. What is refused here is an :class:`OSError` whose ``strerror``
says why, so that whoever reads a file needs to expect nothing else.
"""

import errno
import gzip
import json
import os
import zlib
from collections import Counter
from collections.abc import Iterator
from io import BufferedReader
from pathlib import Path
from stat import S_ISDIR, S_ISREG
from typing import Any

SMALL = 2**26
"""Bytes of the largest JSON file that is read whole: 64 MiB, five times the largest tokeniser."""
_BLOCK = 2**20
NO_FILE = "is a device, a pipe or a socket, not a file"


def open_regular(path: Path) -> BufferedReader:
    """Open a file for reading.

    Raises:
        OSError: It cannot be opened, or is a folder, device, pipe or socket.
    """
    # Looked at before, since opening a device can do something, and after, since it may have been
    # another file then. Without O_NONBLOCK opening a pipe waits for somebody to write to it.
    _refuse_special(os.stat(path).st_mode, path)  # noqa: PTH116 - a str is taken too
    file = open(path, "rb", opener=_opener)  # noqa: SIM115
    try:
        _refuse_special(os.fstat(file.fileno()).st_mode, path)
    except OSError:
        file.close()
        raise
    return file


def _opener(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _refuse_special(mode: int, path: Path) -> None:
    if S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, "is a folder, not a file", os.fspath(path))
    if not S_ISREG(mode):
        raise OSError(errno.EINVAL, NO_FILE, os.fspath(path))


def read_bytes(path: Path, most: int) -> bytes:
    """Read a whole file.

    Args:
        path: The file.
        most: Largest number of bytes that it may have.

    Raises:
        OSError: It cannot be read, is no regular file, or is larger.
    """
    blocks, left = [], most
    with open_regular(path) as file:
        # Not read(most): that takes the memory before it knows how much there is.
        while block := file.read(_BLOCK):
            blocks.append(block)
            left -= len(block)
            if left < 0:
                raise too_large(path, most)
    return b"".join(blocks)


def too_large(path: Path, most: int, what: str = "is larger than") -> OSError:
    """The error for a file that goes beyond its bound."""
    return OSError(errno.EFBIG, f"{what} {size(most)}, the most that is read", os.fspath(path))


def size(number: int) -> str:
    """A bound in words.

    >>> size(2**20), size(5 * 2**30), size(300)
    ('1 MiB', '5 GiB', '300 bytes')
    """
    for power, unit in ((30, "GiB"), (20, "MiB"), (10, "KiB")):
        if number >= 2**power:
            return f"{number / 2**power:g} {unit}"
    return f"{number} bytes"


def lines(path: Path, *, most: int, longest: int) -> Iterator[tuple[int, bytes]]:
    r"""The lines of a file, packed with gzip or not, one at a time.

    Args:
        path: The file; one whose name ends in ``.gz`` is unpacked on the way.
        most: Bytes that all lines may have together, unpacked.
        longest: Bytes of the longest line.

    Yields:
        The number of each line, from 1, and its bytes with the ``\n`` at its end.

    Raises:
        OSError: The file cannot be read or is no regular file, a line or the file is too long, or
            the file is no whole gzip file.
    """
    with open_regular(path) as raw:
        packed = path.name.lower().endswith(".gz")
        file = gzip.GzipFile(fileobj=raw) if packed else raw
        total = number = 0
        while True:
            try:
                line = file.readline(longest + 1)
            except (EOFError, zlib.error, gzip.BadGzipFile) as error:
                raise OSError(errno.EINVAL, f"is no whole gzip file: {error}") from error
            if not line:
                return
            number += 1
            total += len(line)
            if len(line) > longest:
                raise too_large(path, longest, f"line {number} is longer than")
            if total > most:
                raise too_large(path, most, "unpacks to more than" if packed else "is larger than")
            yield number, line


def parse_json(text: str | bytes, *, once: bool = False) -> Any:
    """Read JSON.

    Args:
        text: The JSON; bytes are UTF-8.
        once: Refuse a key that stands twice in one object, of which readers take different ones.

    Raises:
        ValueError: It is no JSON or not UTF-8, is nested too deeply, or has a number of more than
            4300 digits.
    """
    try:
        return json.loads(text, object_pairs_hook=_once if once else None)
    except RecursionError:
        raise ValueError("lists and objects are nested too deeply") from None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = Counter(name for name, _ in pairs)
        raise ValueError(f'the key "{names.most_common(1)[0][0][:60]}" stands twice in one object')
    return found
