"""Tables that come with the package."""

import gzip
import json
from functools import cache
from importlib.resources import files
from typing import Any


@cache
def packed(name: str) -> bytes:
    """The bytes of a table as it is shipped.

    Args:
        name: Of the corpus.
    """
    return (files("isogloss") / "data" / f"{name}.jsonl.gz").read_bytes()


def rows(name: str) -> list[dict[str, Any]]:
    """The rows of a table.

    Args:
        name: Of the corpus.
    """
    return [json.loads(line) for line in gzip.decompress(packed(name)).decode().splitlines()]
