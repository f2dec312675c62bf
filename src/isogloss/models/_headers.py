"""Names and sizes of the tensors in a file of ``torch.save``, and what lies beside them. No torch.

Planning needs sizes, and must neither wait for torch nor read gigabytes. The pickle in such a file
is read by an unpickler that knows no class and no function: whatever the pickle asks for, it gets
an object that does nothing, so nothing in the file can run.
"""

import io
import math
import pickle
import zipfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, ClassVar

from isogloss.errors import ModelError
from isogloss.guarded import open_regular
from isogloss.guarded import size as in_words

LARGEST = 2**23
"""Bytes of the largest pickle that is read; that of a checkpoint has a few hundred thousand."""
MOST_REPEATED = 2**28
"""Numbers of the largest tensor that repeats those of a smaller storage: 1 GiB in float32."""
_NUMBERS = 4
"""Place of their count in what a file says of a storage."""
_LEGACY = 5
"""Pickles before the weights in the format before PyTorch 1.6."""
_MAGIC = 0x1950A86A20F9469CFC6C
"""What the first of them holds."""


class Shape(tuple[int, ...]):
    """Stands where a tensor was."""

    __slots__ = ()


class _Inert:
    """Takes everything and does nothing."""

    def __init__(self, *args: Any) -> None:
        pass

    def __call__(self, *args: Any) -> "_Inert":
        return self

    def __setitem__(self, key: Any, value: Any) -> None:
        pass

    def append(self, value: Any) -> None:
        pass

    def extend(self, values: Any) -> None:
        pass

    add = append


def _tensor(storage: Any, offset: Any, size: Any, *rest: Any) -> Shape:
    if not isinstance(size, tuple | list) or not all(type(n) is int for n in size):
        raise pickle.UnpicklingError("the size of a tensor is no list of numbers")
    # A step of 0 from one row to the next makes a tensor of any size out of one number.
    if isinstance(storage, int) and math.prod(size) > max(storage, MOST_REPEATED):
        raise pickle.UnpicklingError(f"a tensor of {list(size)} is made of {storage} numbers")
    return Shape(size)


def _parameter(data: Any, *rest: Any) -> Any:
    return data


def _mapping(pairs: Any = (), *rest: Any) -> dict[Any, Any]:
    return {_flat(key): value for key, value in pairs}


def _flat(key: Any) -> Any:
    """A key that can be hashed at once: tuples inside each other take twice as long each time."""
    parts = key if isinstance(key, tuple) else (key,)
    if len(parts) > 16 or not all(isinstance(p, _SCALARS) for p in parts):
        raise pickle.UnpicklingError("a key is neither text nor number")
    return key


_SCALARS = (str, int, float, bytes, type(None))


class _Steps(dict[int, Any]):
    """What is done for each instruction of a pickle."""

    def __missing__(self, step: int) -> Any:
        raise pickle.UnpicklingError(f"its instruction {step:#x} is none that weights need")


class _Unpickler(pickle._Unpickler):
    if TYPE_CHECKING:
        stack: list[Any]
        append: Any
        pop_mark: Any

    # Not the one in C, which takes memory for any place in its memo that a pickle names, hashes
    # any key, and cannot be told to leave instructions out.
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return _mapping
        if module == "torch._utils" and name.startswith("_rebuild_tensor"):
            return _tensor
        if module == "torch._utils" and name.startswith("_rebuild_parameter"):
            return _parameter
        return _Inert

    def persistent_load(self, pid: Any) -> int | None:
        """How many numbers a storage has."""
        known = isinstance(pid, tuple) and len(pid) > _NUMBERS and isinstance(pid[_NUMBERS], int)
        return pid[_NUMBERS] if known else None

    def _dict(self) -> None:
        items = self.pop_mark()
        self.append(_mapping(zip(items[::2], items[1::2], strict=True)))

    def _setitem(self) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self.stack[-1][_flat(key)] = value

    def _setitems(self) -> None:
        items = self.pop_mark()
        for key, value in zip(items[::2], items[1::2], strict=True):
            self.stack[-1][_flat(key)] = value

    def _additems(self) -> None:
        items = self.pop_mark()
        for item in items:
            self.stack[-1].add(_flat(item))

    def _build(self) -> None:
        # The state of an object that is none: attributes beside the tensors of a module.
        self.stack.pop()

    dispatch: ClassVar[_Steps] = _Steps(pickle._Unpickler.dispatch)
    for _step in (
        pickle.EXT1, pickle.EXT2, pickle.EXT4, pickle.FROZENSET, pickle.BYTEARRAY8,
        pickle.NEXT_BUFFER, pickle.READONLY_BUFFER,
    ):  # fmt: skip
        del dispatch[_step[0]]
    dispatch[pickle.DICT[0]] = _dict
    dispatch[pickle.SETITEM[0]] = _setitem
    dispatch[pickle.SETITEMS[0]] = _setitems
    dispatch[pickle.ADDITEMS[0]] = _additems
    dispatch[pickle.BUILD[0]] = _build


def read_header(path: Path) -> Any:
    """What a file of ``torch.save`` holds, with a :class:`Shape` in the place of each tensor.

    Nothing is run, and time and memory are bounded whatever the file holds.

    Raises:
        ModelError: It is no such file, is packed or damaged, or its pickle is larger than 8 MiB or
            does what no weights need.
    """
    try:
        found = path.stat()
        return _read(path, found.st_size, found.st_mtime_ns)
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror or error}") from error


@cache
def _read(path: Path, size: int, changed: int) -> Any:
    try:
        with open_regular(path) as file:
            if file.read(2) == b"PK":
                return _of_zip(file, size)
            file.seek(0)
            return _of_legacy(io.BytesIO(file.read(LARGEST)))
    except OSError:
        raise
    except Exception as error:  # a damaged pickle raises whatever its bytes lead to
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ModelError(
            f"{path} is no file that torch.save wrote, or the download is incomplete: {reason}"
        ) from error


def _of_zip(file: IO[bytes], size: int) -> Any:
    with zipfile.ZipFile(file) as archive:
        members = archive.infolist()
        if any(m.compress_type != zipfile.ZIP_STORED for m in members):
            raise zipfile.BadZipFile("it is compressed, which torch.save never does")
        if sum(m.file_size for m in members) > size:
            raise zipfile.BadZipFile("its members claim more than the file holds")
        names = [m.filename for m in members]
        if len(set(names)) != len(names):
            raise zipfile.BadZipFile("two of its members have the same name")
        pickles = [m for m in members if m.filename.rpartition("/")[2] == "data.pkl"]
        if len(pickles) != 1:
            raise zipfile.BadZipFile(f"it has {len(pickles)} files data.pkl instead of one")
        if pickles[0].file_size > LARGEST:
            raise zipfile.BadZipFile(f"its data.pkl is larger than {in_words(LARGEST)}")
        return _Unpickler(io.BytesIO(archive.read(pickles[0]))).load()


def _of_legacy(file: IO[bytes]) -> Any:
    """Read the format before PyTorch 1.6: a number, two pickles of no interest, the weights."""
    if _Unpickler(file).load() != _MAGIC:
        raise pickle.UnpicklingError("it is neither a zip archive nor a pickle of torch")
    found = [_Unpickler(file).load() for _ in range(1, _LEGACY)]
    return found[2]


def shapes_in(header: Any, *inside: str) -> dict[str, Shape]:
    """Name -> size of the tensors below the given keys, which are skipped where they are not."""
    for key in inside:
        if isinstance(header, Mapping) and isinstance(header.get(key), Mapping):
            header = header[key]
    if not isinstance(header, Mapping):
        return {}
    return {str(name): value for name, value in header.items() if isinstance(value, Shape)}
