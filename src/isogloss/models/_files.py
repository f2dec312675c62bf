"""Which files of a folder make a checkpoint, and a digest of them. No torch here."""

import hashlib
from collections.abc import Iterable
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, TypeGuard

from isogloss import guarded
from isogloss.digests import file_digest
from isogloss.errors import ModelError, choices

CONFIG = "config.json"
MARKER = "isogloss.json"
"""Written by Isogloss beside weights that it made; ``{"untrained": true}`` says they are random."""

MOST_LAYERS = 1000
MOST = 2**31
"""Largest number of layers, and of anything else, that a configuration may give."""
SAFETENSORS = ("model.safetensors", "model-*-of-*.safetensors", "model.safetensors.index.json")
PICKLES = ("pytorch_model.bin", "pytorch_model-*-of-*.bin", "pytorch_model.bin.index.json")
SMALL_FILES = (
    CONFIG,
    MARKER,
    "preprocessor_config.json",
    "processor_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "vocab.txt",
    "merges.txt",
    "sentencepiece.bpe.model",
    "sentencepiece.model",
    "spiece.model",
    "tokenizer.model",
    "spm.model",
    "tekken.json",
)


def weight_files(folder: Path) -> list[Path]:
    """The files with weights that loading reads: safetensors if there are any, else pickles.

    Raises:
        ModelError: There are none, or an index names a file that is not there.
    """
    for patterns in (SAFETENSORS, PICKLES):
        single = folder / patterns[0]
        index = folder / patterns[2]
        if single.is_file():
            return [single]
        if index.is_file():
            names = _shards(index)
            missing = [name for name in names if not (folder / name).is_file()]
            if missing or not names:
                raise ModelError(
                    f"{folder} is incomplete: {index.name} names {choices(missing)}, "
                    "which is not there; download the checkpoint again"
                )
            return [folder / name for name in names]
    present = choices(sorted(path.name for path in folder.iterdir()))
    raise ModelError(
        f"{folder} has no weights (model.safetensors or pytorch_model.bin, whole or sharded with "
        f"its index). It holds: {present}"
    )


def _shards(index: Path) -> list[str]:
    """The files that an index names; they lie beside it."""
    named = read_json(index).get("weight_map")
    names = set(named.values()) if isinstance(named, dict) and _flat(named.values()) else {""}
    for name in sorted(names):
        # Also the notation of other systems: what is a name here is a path there.
        if name in ("", ".", "..") or set(name) & set("/\\:\0"):
            raise ModelError(
                f'{index} names "{name[:60]}" as a file with weights; it must map each weight to '
                "the name of a file beside it"
            )
    return sorted(names)


def _flat(values: Iterable[Any]) -> bool:
    return all(isinstance(value, str) for value in values)


def checkpoint_files(folder: Path) -> list[Path]:
    """Every file of a folder that can change what the model does, sorted."""
    named = {folder / name for name in wanted(p.name for p in folder.iterdir() if p.is_file())}
    return sorted(named | set(weight_files(folder)))


def wanted(names: Iterable[str]) -> list[str]:
    """Those of a checkpoint's files that loading reads, sorted: no pickle beside safetensors."""
    present = sorted(names)
    safe = any(fnmatch(name, pattern) for name in present for pattern in SAFETENSORS)
    patterns = [*SMALL_FILES, *(SAFETENSORS if safe else PICKLES)]
    return [name for name in present if any(fnmatch(name, pattern) for pattern in patterns)]


def content_digest(folder: Path) -> str:
    """SHA-256 over the names and contents of weights, configuration and tokeniser.

    Every byte is read, since a few layers that were trained further change a few blocks of a
    large file only. A file that stays as it is, is read once; see :mod:`isogloss.digests`.
    """
    total = hashlib.sha256()
    for path in checkpoint_files(folder):
        total.update(f"{path.name}\0{file_digest(path)}\n".encode())
    return total.hexdigest()


def whole(value: object, key: str) -> TypeGuard[int]:
    """Whether a value of a configuration can be the size of something that there is.

    Taps, modules and masks are made as many as it says, long before a weight is looked at.
    """
    counted = any(word in key for word in ("layer", "block"))
    most = MOST_LAYERS if counted else MOST
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= most


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object of a checkpoint.

    Raises:
        ModelError: It is no such file, is larger than 64 MiB, or cannot be read.
    """
    try:
        value = guarded.parse_json(guarded.read_bytes(path, guarded.SMALL))
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror or error}") from error
    except ValueError as error:
        raise ModelError(f"{path} cannot be read as JSON: {error}") from error
    if not isinstance(value, dict):
        raise ModelError(f"{path} must hold a JSON object")
    return value
