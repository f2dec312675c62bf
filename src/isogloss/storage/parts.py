"""Finished pieces of the comparing stage: small tables, kept so that no work is done twice.

    results/parts/
      5f0c1d….part            the scores of one chunk of comparisons
      reading-9a2b….part      what a reading keeps, such as a map

A part is named by the digest of all that it depends on and written once. Its first line is a seal
over its name and all that follows, which is a Parquet file. A part that is damaged is as good as
none: it is made again.
"""

import io
from collections.abc import Iterator
from pathlib import Path

import polars as pl

from isogloss.storage import atomic, sealing

SUFFIX = ".part"
_KIND = "part 1"


class Parts:
    """The parts in a folder.

    Args:
        folder: ``OUT/results/parts``; made when the first part is written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, key: str) -> Path:
        """The file of a part, whether it is there or not."""
        return self.folder / f"{key}{SUFFIX}"

    def has(self, key: str) -> bool:
        """Whether a part is there and as it was written."""
        return self._content(self.path(key)) is not None

    def keys(self) -> set[str]:
        """Keys of all parts that are there, damaged or not."""
        return {path.name.removesuffix(SUFFIX) for path in self.files()}

    def read(self, key: str) -> pl.DataFrame | None:
        """Read a part; None if it is not there, or damaged."""
        data = self._content(self.path(key))
        return None if data is None else pl.read_parquet(io.BytesIO(data))

    def write(self, key: str, frame: pl.DataFrame) -> None:
        """Write a part, whole or not at all.

        Raises:
            OutputError: It cannot be written.
        """
        buffer = io.BytesIO()
        frame.write_parquet(buffer)
        atomic.write_bytes(self.path(key), sealing.seal(_KIND, key, buffer.getvalue()))

    def files(self) -> list[Path]:
        """All parts that are there, damaged or not."""
        return sorted(self.folder.glob(f"*{SUFFIX}"))

    def damaged(self) -> Iterator[Path]:
        """The parts in which a bit has changed."""
        for path in self.files():
            if self._content(path) is None and path.exists():
                yield path

    def _content(self, path: Path) -> memoryview | None:
        try:
            content = path.read_bytes()
        except OSError:
            return None
        return sealing.unseal(_KIND, path.name.removesuffix(SUFFIX), content)
