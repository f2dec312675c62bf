"""What a unit is on disk: the fields of its record, and how its data file is laid out."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isogloss.errors import StoreError
from isogloss.storage import sealing

FORMAT = 3
"""Version of all that is in an output folder."""
FAILED = ".failed.json"
"""How the names of notes end that say why a unit could not be made."""


def read_record(path: Path) -> dict[str, Any]:
    """Read the record of a unit.

    Raises:
        StoreError: It is damaged, was written by another version, or names a file that is not
            beside it.
    """
    record = sealing.read(path)
    if record.get("format") != FORMAT:
        raise StoreError(
            f"{path} has format {record.get('format')}, this version of Isogloss reads and writes "
            f"{FORMAT}; choose another output folder, or use the version that wrote this one"
        )
    if why := _unsound(record):
        raise StoreError(
            f"{path} was not written by Isogloss: {why}. Delete it, or choose another folder"
        )
    return record


def _unsound(record: dict[str, Any]) -> str:
    """Why a record cannot be used although its seal is whole; empty if it can."""
    kinds = {
        "digest": str, "file": str, "bytes": int, "sha256": str, "shapes": dict, "offsets": dict,
        "digests": dict, "sentences": list, "takes": list, "language": str, "modality": str,
    }  # fmt: skip
    for name, kind in kinds.items():
        if not isinstance(record.get(name), kind):
            return f'it has no "{name}"'
    file, rows = record["file"], len(record["sentences"])
    # A name with a folder in it would read, or let `verify` remove, what belongs to others.
    if Path(file).name != file or set(file) & set("/\\:\0") or not file.endswith(".safetensors"):
        return f'"{file}" is no name of a data file in its folder'
    if len(record["takes"]) != rows:
        return "it does not name its rows"
    for tap, shape in record["shapes"].items():
        start = record["offsets"].get(tap)
        numbers = [*shape, start] if isinstance(shape, list) else []
        if not (len(numbers) == 3 and all(type(n) is int and n >= 0 for n in numbers)):
            return f'it does not say where tap "{tap}" is'
        if shape[0] != rows or start + 4 * rows * shape[1] > record["bytes"]:
            return f'tap "{tap}" does not fit'
        if not isinstance(record["digests"].get(tap), str):
            return f'tap "{tap}" has no digest'
    return _odd(record)


def _odd(record: dict[str, Any]) -> str:
    """Which of the fields that say more of the rows has another form than it should."""
    rows, missing = len(record["sentences"]), type(None)
    texts = {"sentence", "reason", "origin"}
    sound = {
        "sentences": all(isinstance(s, str) for s in record["sentences"]),
        "takes": all(type(t) is int and t >= 0 for t in record["takes"]),
        "speakers": _listed(record.get("speakers", [None] * rows), str | missing, rows),
        "failed": _listed(record.get("failed", []), dict)
        and all(isinstance(f.get(k), str) for f in record.get("failed", []) for k in texts),
        "notes": isinstance(record.get("notes", {}), dict)
        and _listed(list(record.get("notes", {}).values()), int),
    }
    return next(
        (f'its field "{name}" has another form' for name, ok in sound.items() if not ok), ""
    )


def _listed(value: Any, kind: Any, length: int | None = None) -> bool:
    right = isinstance(value, list) and length in (None, len(value))
    return right and all(isinstance(v, kind) for v in value)


def safetensors(
    arrays: Mapping[str, NDArray[np.float32]],
) -> tuple[bytes, dict[str, memoryview]]:
    """The header of a safetensors file, and the bytes of each array, which are not copied.

    Source: the format's description in the README of github.com/huggingface/safetensors.
    """
    header, blocks, end = {}, {}, 0
    for tap, array in arrays.items():
        flat = np.ascontiguousarray(array, dtype="<f4")
        blocks[tap] = flat.reshape(-1).view(np.uint8).data
        start, end = end, end + flat.nbytes
        header[tap] = {"dtype": "F32", "shape": list(flat.shape), "data_offsets": [start, end]}
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text, blocks


def offsets(head: bytes, blocks: Mapping[str, memoryview]) -> dict[str, int]:
    """Where in the file each array begins."""
    found, start = {}, len(head)
    for tap, block in blocks.items():
        found[tap] = start
        start += block.nbytes
    return found
