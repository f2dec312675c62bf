"""Keep what terminals obey out of what is printed: ids and file names may come from anywhere."""

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

_OBEYED = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f"  # escape sequences, returns, bells
    "\u202a-\u202e\u2066-\u2069"  # other directions of writing, which put words elsewhere
    "\ud800-\udfff]"  # what file names have in the place of bytes that are no text
)


def harmless(text: str) -> str:
    r"""A text with everything that a terminal obeys written out, line breaks and tabs left.

    It is written as in JSON, which therefore stays JSON.

    >>> harmless("a\x1b[2Jb")
    'a\\u001b[2Jb'
    """
    return _OBEYED.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


class _Harmless:
    """Standard output as :func:`print` sees it."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream
        # Rich writes sequences of its own, and looks for the stream behind a proxy by this name.
        self.rich_proxied_file = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        self._stream.write(harmless(text))
        return len(text)


@contextmanager
def harmless_output() -> Iterator[None]:
    """Let nothing that is printed to standard output reach a terminal as a command."""
    stream = sys.stdout
    sys.stdout = _Harmless(stream)
    try:
        yield
    finally:
        sys.stdout = stream
