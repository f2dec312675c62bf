"""Read Parquet files of strangers: any damage is one message, and what is large is refused."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from isogloss.errors import CorpusError, IsoglossError, choices
from isogloss.guarded import open_regular, size

if TYPE_CHECKING:
    import polars as pl

MOST_CELLS = 100_000_000
"""Rows times columns of the largest table. Packed, so many equal cells take a few hundred bytes."""
LARGEST = 2**30
"""Bytes of all texts of a table together."""


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Turn whatever damage leads to into one message.

    Raises:
        CorpusError: Reading the file failed within the block.
    """
    from polars.exceptions import PanicException

    try:
        yield
    except IsoglossError:
        raise
    except (Exception, PanicException) as error:  # a panic of polars derives from BaseException
        reason = " ".join((getattr(error, "strerror", None) or str(error)).split())[:200]
        raise CorpusError(
            f"{path}: is no readable Parquet file: {reason or type(error).__name__}"
        ) from error


def read_frame(path: Path, wanted: "Callable[[pl.Schema], list[str]]") -> "pl.DataFrame":
    """Read some columns of a Parquet file.

    Args:
        path: The file.
        wanted: Chooses columns of the file's schema.

    Raises:
        CorpusError: The file is damaged, is no regular file, or too large; or what ``wanted``
            raises.
    """
    import polars as pl

    with readable(path):
        survive(path)
        columns = wanted(pl.Schema(pl.read_parquet_schema(path)))
        rows = int(pl.scan_parquet(path).select(pl.len()).collect().item())
        if rows * max(len(columns), 1) > MOST_CELLS:
            raise CorpusError(
                f"{path}: has {rows:,} rows of {len(columns)} columns; a table has at most "
                f"{MOST_CELLS:,} cells"
            )
        frame = pl.read_parquet(path, columns=columns)
        texts = [c for c, kind in frame.schema.items() if kind == pl.String]
        lengths = frame.select(pl.col(c).str.len_bytes().cast(pl.Float64).sum() for c in texts)
        if texts and sum(lengths.row(0)) > LARGEST:
            raise CorpusError(f"{path}: holds more than {size(LARGEST)} of text")
        return frame


_READ = """
import sys
try:
    import resource
    resource.setrlimit(resource.RLIMIT_AS, (2**33, 2**33))
except (ImportError, ValueError, OSError):
    pass
import polars as pl
column, cells, *paths = sys.argv[1:]
for path in paths:
    try:
        if column:
            content = pl.col(column).struct.field("bytes").bin.size().sum()
            pl.scan_parquet(path).select(content).collect()
            continue
        kinds = pl.read_parquet_schema(path).items()
        plain = [c for c, kind in kinds if not kind.is_nested() and kind != pl.Binary]
        rows = pl.scan_parquet(path).select(pl.len()).collect().item()
        if rows * max(len(plain), 1) <= int(cells):
            pl.read_parquet(path, columns=plain).rows()
    except BaseException:
        pass
"""


def survive(*paths: Path, column: str = "") -> None:
    """Let another process read files first, in 8 GiB of memory.

    Some damage raises no exception in polars but ends the process, and all its work with it.

    Args:
        paths: The files.
        column: Read the bytes in this column rather than all columns that hold plain values.

    Raises:
        CorpusError: It did not outlive that.
        OSError: One is no regular file.
    """
    for path in paths:
        open_regular(path).close()
    # -P: a file polars.py in the working folder must not be taken for the library.
    command = [sys.executable, "-P", "-c", _READ, column, str(MOST_CELLS), *map(os.fspath, paths)]
    done = subprocess.run(command, capture_output=True, check=False)  # noqa: S603
    if done.returncode:
        told = done.stderr.decode("utf-8", "replace").strip().splitlines() or ["no reason given"]
        raise CorpusError(
            f"{choices(map(str, paths), 3)}: is no readable Parquet file: reading it ended the "
            f"process ({told[0][:120]})"
        )


def plain_columns(schema: "pl.Schema") -> list[str]:
    """The columns that hold one value a row, without lists, objects and bytes."""
    import polars as pl

    return [c for c, kind in schema.items() if not kind.is_nested() and kind != pl.Binary]


def require(path: Path, present: Iterable[str], *columns: str) -> None:
    """Make sure that columns are there.

    Raises:
        CorpusError: One is not.
    """
    there = list(present)
    for column in columns:
        if column not in there:
            raise CorpusError(f'{path}: has no column "{column}"; it has {choices(there, 16)}')
