"""Memory that a tower takes, as numbers."""

import sys
from pathlib import Path

from isogloss.modelcheck.bench import Bench
from isogloss.modelcheck.result import Result, guarded

GROUP = "cost"
_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


class Memory:
    """The peak of memory between its making and :meth:`read`."""

    def __init__(self, device: str) -> None:
        self._cuda = device.startswith("cuda")
        self._device = device
        self.exact = True  # the peak is that of this measurement alone
        if self._cuda:
            import torch

            torch.cuda.synchronize(device)
            torch.cuda.reset_peak_memory_stats(device)
            self.before = torch.cuda.memory_allocated(device)
            return
        try:
            _CLEAR.write_text("5")  # Linux: the peak of this process starts again
            self.before = _kept("VmRSS")
        except OSError:
            self.exact = False
            self.before = _highest()

    def read(self) -> int:
        """Bytes at the peak, those from before included."""
        if self._cuda:
            import torch

            torch.cuda.synchronize(self._device)
            return int(torch.cuda.max_memory_allocated(self._device))
        return _kept("VmHWM") if self.exact else _highest()


def _kept(field: str) -> int:
    for line in _STATUS.read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024
    raise OSError(f"{_STATUS} has no {field}")


def _highest() -> int:
    try:
        import resource
    except ImportError:  # Windows
        return 0
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def memory(bench: Bench, measured: Memory) -> Result:
    """Peak of loading the tower and encoding sentences, and the size of its parameters."""
    name = "memory"

    def ask() -> Result:
        from isogloss.modelcheck.poison import parameters

        for start in range(0, len(bench.first), bench.largest()):
            bench.encode(bench.first[start : start + bench.largest()])
        peak = measured.read()
        count, size = parameters(bench.tower())
        kind = "allocated" if bench.device.startswith("cuda") else "resident"
        said = [f"peak {_size(peak)} {kind}"] if peak else []
        if measured.exact:
            said.append(f"{_size(peak - measured.before)} more than before loading")
        if count:
            said.append(f"{_count(count)} parameters take {_size(size)}")
        found = ", ".join(said)
        return Result(GROUP, name, bench.modality, "note", found, value=float(peak))

    return guarded(GROUP, name, bench.modality, ask)


def _size(number: float) -> str:
    """A number of bytes for people.

    >>> _size(1536), _size(2.0 * 2**20), _size(12.6 * 2**30)
    ('1.5 KiB', '2.0 MiB', '12.6 GiB')
    """
    for power, unit in ((30, "GiB"), (20, "MiB")):
        if number >= 2**power:
            return f"{number / 2**power:.1f} {unit}"
    return f"{number / 2**10:.1f} KiB"


def _count(number: int) -> str:
    """A number of parameters for people.

    >>> _count(635_000_000), _count(1_234)
    ('635 million', '1,234')
    """
    return f"{number / 1e6:,.0f} million" if number >= 10**7 else f"{number:,}"
