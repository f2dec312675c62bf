"""How many time steps fit in a batch: a rule on a CPU, measured and remembered on a GPU."""

import json
import math
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

from isogloss.corpora.base import Modality
from isogloss.errors import OutputError
from isogloss.models.base import Features, Tower
from isogloss.settings import digest
from isogloss.storage.atomic import write_json

ON_CPU: dict[Modality, int] = {"text": 1000, "speech": 1000}
"""Time steps in a batch on a CPU, where more gains nothing, and costs padding and memory."""
ELSEWHERE = 16_000
"""On a device that is no CPU, and whose memory cannot be read."""
LEAST, MOST = 256, 32_768
"""What a measured budget lies between. Beyond the larger one a GPU gains nothing."""
SHARE = 0.8
"""Of the free memory that a batch may take: allocators leave gaps."""
_FORMAT = 1


class Memory(Protocol):
    """The memory of a device, as far as batches care."""

    def free(self) -> int:
        """Bytes that a batch could still take."""

    def peak(self, call: Callable[[], Any]) -> int:
        """Make a call, and return by how many bytes it filled the memory at its fullest."""


class Budget:
    """How many time steps a batch may hold, padding included.

    Args:
        frames: So many.
    """

    def __init__(self, frames: int) -> None:
        self.frames = frames
        """Time steps, as of now. A single input may always run, however long."""

    def learn(self, encode: Callable[[Sequence[Features]], Any], batch: Sequence[Features]) -> None:
        """Find out what a batch costs, from the first inputs of a unit; does nothing here.

        Args:
            encode: Runs a batch.
            batch: The longest input, or the two longest.
        """

    def halve(self, failed: int) -> None:
        """Batches that follow must be smaller.

        Args:
            failed: Time steps of the batch that did not fit in memory.
        """
        self.frames = max(LEAST, min(self.frames, failed) // 2)


class MeasuredBudget(Budget):
    """Finds out what a time step costs, and fills the memory that is free.

    What a step costs belongs to the model and is remembered; how much is free is looked at anew. A
    batch that did not fit corrects the cost, so that no later run begins too large.

    Args:
        memory: Of the device.
        path: The file that remembers it; None for none.
        key: What the cost depends on: model, device, modality, taps. Another file is ignored.
    """

    def __init__(self, memory: Memory, path: Path | None, key: dict[str, Any]) -> None:
        super().__init__(LEAST)
        self._memory, self._path, self._key = memory, path, key
        self._free = memory.free()
        self._fixed, self._step, self._longest = 0.0, 0.0, 0
        if self._recall():
            self._fill()

    def learn(self, encode: Callable[[Sequence[Features]], Any], batch: Sequence[Features]) -> None:
        """Run the longest input alone and with the next, unless inputs as long are known.

        Memory that grows with the square of the length is thus counted at its largest.
        """
        longest = max((item.length for item in batch), default=0)
        if longest <= 1.1 * self._longest:
            return
        before = self.frames
        try:
            alone = self._memory.peak(lambda: encode(batch[:1]))
            both = self._memory.peak(lambda: encode(batch))
        except Exception as error:
            if not out_of_memory(error):
                raise
            return
        steps = batch[0].length, longest * len(batch)
        # Never below half of the mean: what looks like a fixed cost may be a block that was reused.
        slope = (both - alone) / (steps[1] - steps[0]) if steps[1] > steps[0] else 0.0
        self._step = max(slope, both / steps[1] / 2, self._step, 1.0)
        self._fixed = max(alone - self._step * steps[0], 0.0)
        self._longest = longest
        self._fill()
        if before > LEAST:
            self.frames = min(self.frames, before)
        self._remember()

    def halve(self, failed: int) -> None:
        """Batches that follow are smaller, in later units and runs too."""
        super().halve(failed)
        self._step = max(self._step, (SHARE * self._free - self._fixed) / self.frames)
        self._remember()

    def _fill(self) -> None:
        room = (SHARE * self._free - self._fixed) / self._step
        self.frames = _rounded(min(max(room, LEAST), MOST))

    def _recall(self) -> bool:
        if self._path is None:
            return False
        try:
            found = json.loads(self._path.read_text(encoding="utf-8"))
            if (found["format"], found["key"]) != (_FORMAT, self._key):
                return False
            values = float(found["fixed"]), float(found["step"]), int(found["longest"])
        except (OSError, ValueError, TypeError, KeyError, OverflowError, RecursionError):
            return False
        if not all(map(math.isfinite, values)) or values[0] < 0 or min(values[1:]) < 1:
            return False
        self._fixed, self._step, self._longest = values
        return True

    def _remember(self) -> None:
        if self._path is None or self._longest < 1:
            return
        known = {"fixed": self._fixed, "step": self._step, "longest": self._longest}
        try:
            write_json(self._path, {"format": _FORMAT, "key": self._key, **known})
        except OutputError:
            return  # it is measured again next time


class CudaMemory:
    """The memory of a CUDA device.

    Args:
        device: Such as ``cuda:0``.
    """

    def __init__(self, device: str) -> None:
        self._device = device

    def free(self) -> int:
        """Bytes that the driver has, and those that PyTorch holds without using them."""
        from torch import cuda

        held = cuda.memory_reserved(self._device) - cuda.memory_allocated(self._device)
        return int(cuda.mem_get_info(self._device)[0] + held)

    def peak(self, call: Callable[[], Any]) -> int:
        """Make a call, and return by how many bytes PyTorch's tensors grew at most."""
        from torch import cuda

        cuda.reset_peak_memory_stats(self._device)
        before = cuda.memory_allocated(self._device)
        call()
        cuda.synchronize(self._device)
        return int(cuda.max_memory_allocated(self._device) - before)


def budget_for(asked: int, tower: Tower, *, model: str, device: str) -> Budget:
    """Say how large the batches of an encoder may be.

    Args:
        asked: Time steps that the user wants; 0: find out.
        tower: The loaded encoder.
        model: Digest of the checkpoint and the data type.
        device: A torch device. On a CPU the number is fixed, so that the numbers of a run do not
            depend on the machine.
    """
    if asked > 0:
        return Budget(asked)
    if device.partition(":")[0] != "cuda":
        return Budget(ON_CPU[tower.modality] if device.startswith("cpu") else ELSEWHERE)
    from torch import cuda

    key = {
        "model": model,
        "device": cuda.get_device_name(device),
        "modality": tower.modality,
        "taps": [tap.name for tap in tower.taps],
    }
    return MeasuredBudget(CudaMemory(device), cache_folder() / f"{digest(key)[:32]}.json", key)


def cache_folder() -> Path:
    """Where costs are remembered: ``budgets`` in ``$ISOGLOSS_CACHE`` or the user's cache."""
    import platformdirs

    root = os.environ.get("ISOGLOSS_CACHE")
    found = Path(root).expanduser() if root else platformdirs.user_cache_path("isogloss")
    return found / "budgets"


def out_of_memory(error: BaseException) -> bool:
    """Whether an exception says that memory ran out."""
    # torch.OutOfMemoryError cannot be named here: this module works without torch.
    if type(error).__name__ == "OutOfMemoryError" or isinstance(error, MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in _WORDS)


_WORDS = (
    "not enough memory",
    "can't allocate memory",
    "out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
)
"""What PyTorch says of CPUs (by system), of CUDA, and of the libraries below it."""


def _rounded(frames: float) -> int:
    """The power of two, or three times one, at or below: small changes of memory change nothing."""
    power = 1 << (int(frames).bit_length() - 1)
    return power + power // 2 if frames >= 1.5 * power else power
