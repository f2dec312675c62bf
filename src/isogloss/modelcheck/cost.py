"""What a tower costs: memory and time, as numbers."""

import sys
import time
from pathlib import Path

from isogloss.modelcheck.bench import Bench
from isogloss.modelcheck.result import Result, guarded
from isogloss.models.base import Features

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

        _encode(bench, [bench.features(sample) for sample in bench.first])
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


def speed(bench: Bench) -> Result:
    """Time of features and of the model for the sentences of one language, the better of two."""
    name = "speed"

    def ask() -> Result:
        spent = [_timed(bench), _timed(bench)]
        prepare, encode = (max(1e-9, min(times)) for times in zip(*spent, strict=True))
        if bench.modality == "speech":
            amount, unit = sum(s.seconds for s in bench.first), "s of audio per s"
        else:
            amount, unit = float(len(bench.first)), "sentences per s"
        found = f"{amount / encode:.3g} {unit}, preparing {amount / prepare:.3g}, on {bench.device}"
        return Result(GROUP, name, bench.modality, "note", found, value=amount / encode)

    return guarded(GROUP, name, bench.modality, ask)


def _timed(bench: Bench) -> tuple[float, float]:
    """Seconds that making features took, and encoding them."""
    tower, clock = bench.tower(), time.perf_counter()
    features = [tower.features(s.item, s.language) for s in bench.first]
    made = time.perf_counter()
    _encode(bench, features)
    return made - clock, time.perf_counter() - made


def _encode(bench: Bench, features: list[Features]) -> None:
    """In batches as large as are tried."""
    size = bench.largest()
    for start in range(0, len(features), size):
        bench.tower().encode(features[start : start + size])


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
