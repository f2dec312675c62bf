"""How much memory this process holds, without further packages."""

import sys
from pathlib import Path


def resident() -> int | None:
    """Bytes of this process in main memory; its largest so far where only that is known.

    None where the operating system tells neither.
    """
    try:
        with Path("/proc/self/status").open(encoding="ascii", errors="replace") as file:
            for line in file:
                if line.startswith("VmRSS:"):
                    return int(line.split()[1]) * 1024
    except (OSError, ValueError, IndexError):
        pass
    try:
        import resource
    except ImportError:
        return None
    kept = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return kept if sys.platform == "darwin" else kept * 1024


def on_device() -> int | None:
    """Bytes that torch has taken of all CUDA devices; None if it uses none.

    torch is never imported for it.
    """
    # Another thread may be importing torch right now, so that parts of it are missing yet.
    cuda = getattr(sys.modules.get("torch"), "cuda", None)
    begun = getattr(cuda, "is_initialized", None)
    if cuda is None or begun is None or not begun():
        return None
    return sum(int(cuda.memory_reserved(i)) for i in range(cuda.device_count()))
