"""Names and sizes of the tensors in a file of ``torch.save``, and what lies beside them. No torch.

Planning needs sizes, and must neither wait for torch nor read gigabytes. The pickle in such a file
is read by an unpickler that knows no class and no function: whatever the pickle asks for, it gets
an object that does nothing, so nothing in the file can run.
"""

import pickle
import zipfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from isogloss.errors import ModelError


class Shape(tuple[int, ...]):
    """Stands where a tensor was."""

    __slots__ = ()


class _Dict(dict[str, Any]):
    """Also takes attributes, which the state of a module carries beside its tensors."""


class _Inert:
    """Takes everything and does nothing."""

    def __init__(self, *args: Any) -> None:
        pass

    def __call__(self, *args: Any) -> "_Inert":
        return self

    def __setstate__(self, state: Any) -> None:
        pass

    def __setitem__(self, key: Any, value: Any) -> None:
        pass

    def append(self, value: Any) -> None:
        pass

    def extend(self, values: Any) -> None:
        pass

    add = append


def _tensor(storage: Any, offset: Any, size: Any, *rest: Any) -> Shape:
    return Shape(size)


def _parameter(data: Any, *rest: Any) -> Any:
    return data


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return _Dict
        if module == "torch._utils" and name.startswith("_rebuild_tensor"):
            return _tensor
        if module == "torch._utils" and name.startswith("_rebuild_parameter"):
            return _parameter
        return _Inert

    def persistent_load(self, pid: Any) -> None:
        return None


def read_header(path: Path) -> Any:
    """What a file of ``torch.save`` holds, with a :class:`Shape` in the place of each tensor.

    Raises:
        ModelError: It is no such file.
    """
    found = path.stat()
    return _read(path, found.st_size, found.st_mtime_ns)


@cache
def _read(path: Path, size: int, changed: int) -> Any:
    try:
        with zipfile.ZipFile(path) as archive:
            name = next(n for n in archive.namelist() if n.rpartition("/")[2] == "data.pkl")
            with archive.open(name) as file:
                return _Unpickler(file).load()
    except Exception as error:  # a damaged pickle raises whatever its bytes lead to
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ModelError(
            f"{path} is no file that torch.save wrote, or the download is incomplete: {reason}"
        ) from error


def shapes_in(header: Any, *inside: str) -> dict[str, Shape]:
    """Name -> size of the tensors below the given keys, which are skipped where they are not."""
    for key in inside:
        if isinstance(header, Mapping) and isinstance(header.get(key), Mapping):
            header = header[key]
    if not isinstance(header, Mapping):
        return {}
    return {str(name): value for name, value in header.items() if isinstance(value, Shape)}
