"""Which files of a folder make a checkpoint, and a digest of them. No torch here."""

import hashlib
import json
from collections.abc import Iterable
from fnmatch import fnmatch
from functools import cache
from pathlib import Path
from typing import Any

from isogloss.errors import ModelError, choices

CONFIG = "config.json"
MARKER = "isogloss.json"
"""Written by Isogloss beside weights that it made; ``{"untrained": true}`` says they are random."""

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
            names = sorted(set(read_json(index).get("weight_map", {}).values()))
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
    large file only. A file that stays as it is (place, size and time of change) is read once.
    """
    total = hashlib.sha256()
    for path in checkpoint_files(folder):
        total.update(f"{path.name}\0{file_digest(path)}\n".encode())
    return total.hexdigest()


def file_digest(path: Path) -> str:
    """SHA-256 of a file, read once as long as it stays as it is."""
    found = path.stat()
    return _file_digest(path, found.st_size, found.st_mtime_ns, found.st_ino)


@cache
def _file_digest(path: Path, size: int, changed: int, inode: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ModelError(f"{path} cannot be read as JSON: {error}") from error
    if not isinstance(value, dict):
        raise ModelError(f"{path} must hold a JSON object")
    return value
