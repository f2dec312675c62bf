"""Files that carry a digest of their own content, so that a single changed bit is noticed.

A sealed JSON file is an object whose first field is ``seal``: the SHA-256 of the file's bytes
without that line. Another order of the keys, or another space, is damage too. A sealed binary file
starts with a line that names its kind and holds the SHA-256 of its name and of all that follows.

A seal finds accidents. It does not keep out a person who knows how it is made.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from isogloss.errors import StoreError
from isogloss.storage import atomic

_LINE = re.compile(rb'\A\{\n "seal": "([0-9a-f]{64})",\n')
_BROKEN = "its content has changed since it was written"


def write(path: Path, value: Mapping[str, Any]) -> None:
    """Write a JSON-able object with a seal; see :func:`isogloss.storage.atomic.write_bytes`.

    Args:
        path: Where to.
        value: Anything but nothing; must not have a key ``seal``.

    Raises:
        OutputError: It cannot be written; what was there before stays.
    """
    body = json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False).encode() + b"\n"
    seal = hashlib.sha256(body).hexdigest()
    atomic.write_bytes(path, b'{\n "seal": "%s",\n%s' % (seal.encode(), body.removeprefix(b"{\n")))


def read(path: Path) -> dict[str, Any]:
    """Read an object that :func:`write` wrote.

    Raises:
        StoreError: It cannot be read, or a bit of it has changed.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise StoreError(f"{path} cannot be read: {error.strerror or error}") from None
    found = _LINE.match(content)
    body = b"{\n" + content[found.end() :] if found else content
    if found is None or hashlib.sha256(body).hexdigest().encode() != found[1]:
        raise damaged(path, _BROKEN if found else "its seal is missing or broken")
    try:
        value = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise damaged(path, str(error)) from None
    if not isinstance(value, dict):
        raise damaged(path, "it holds no object")
    return value


def unsealed(path: Path) -> dict[str, Any] | None:
    """The object of a JSON file that an earlier version wrote without a seal, or None."""
    try:
        value = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) and "seal" not in value else None


def damaged(path: Path, why: str) -> StoreError:
    """The error for a file that is not what was written."""
    return StoreError(
        f"{path} is damaged ({why}). `isogloss verify --repair` removes what is damaged, and the "
        "next `isogloss run` makes just that again"
    )


def seal(kind: str, name: str, data: bytes) -> bytes:
    """Put the line with the digest before the content of a file.

    Args:
        kind: What the file is and in which version of its format; no line break.
        name: What it is found by. A file under another's name does not pass for it.
        data: Its content.
    """
    return f"isogloss {kind} {_digest(name, data)}\n".encode() + data


def unseal(kind: str, name: str, content: bytes) -> memoryview | None:
    """The content of a file that :func:`seal` gave, or None if a bit of it has changed."""
    head = f"isogloss {kind} ".encode()
    end = len(head) + 64
    data = memoryview(content)[end + 1 :]
    expected = head + _digest(name, data).encode() + b"\n"
    return data if content[: end + 1] == expected else None


def _digest(name: str, data: bytes | memoryview) -> str:
    found = hashlib.sha256(name.encode() + b"\n")
    found.update(data)
    return found.hexdigest()


def sha256(path: Path) -> str:
    """Digest of a whole file.

    Raises:
        StoreError: It cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise StoreError(f"{path} cannot be read: {error.strerror or error}") from None
