"""Where a number came from: versions, machine and time."""

import os
import platform
import sys
from datetime import UTC, datetime
from importlib import metadata
from typing import Any

_PACKAGES = (
    "isogloss", "numpy", "scipy", "polars", "safetensors", "torch", "transformers", "tokenizers",
    "sentencepiece", "soundfile", "soxr", "espeakng-loader",
)  # fmt: skip


def now() -> str:
    """The time in UTC, to the second, in ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def environment() -> dict[str, str]:
    """Versions of Python, the platform and the packages that touch the numbers."""
    found = {
        "python": sys.version.split()[0],
        "platform": platform.platform(terse=True),
        "processor": platform.machine(),
        "cores": str(os.cpu_count()),
    }
    for name in _PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def error_record(error: BaseException, trace: str) -> dict[str, Any]:
    """What is kept of a failure."""
    return {"type": type(error).__name__, "message": str(error), "traceback": trace, "time": now()}
