"""Benchmarks of Isogloss: ``python benchmarks/run.py [--quick] [--only NAME …] [--markdown FILE]``.

One process, one BLAS thread, contestants in alternating order, medians of ratios.
"""

import argparse
import importlib
import os
import platform
import sys
import time
from pathlib import Path

NAMES = (
    "pair", "null", "measures", "batched", "roofline", "memory", "study", "extraction", "precision",
    "analyses", "throughput",
)  # fmt: skip


def main():
    # Before numpy is imported, and inherited by the processes that measure memory.
    for name in ("OMP", "OPENBLAS", "MKL", "POLARS"):
        os.environ[f"{name}_{'MAX' if name == 'POLARS' else 'NUM'}_THREADS"] = "1"
    sys.path.insert(0, str(Path(__file__).parent))
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer rounds and smaller studies")
    parser.add_argument("--only", nargs="+", choices=NAMES, default=NAMES, metavar="NAME",
                        help=", ".join(NAMES))  # fmt: skip
    parser.add_argument("--markdown", type=Path, help="write the tables to this file too")
    options = parser.parse_args()
    pages = [machine()]
    print(pages[0], "\n", flush=True)
    for name in options.only:
        start = time.perf_counter()
        for table in importlib.import_module(f"bench_{name}").run(options.quick):
            print(table.plain(), flush=True)
            pages.append(table.markdown())
        print(f"[{name}: {time.perf_counter() - start:.0f} s]\n", flush=True)
    if options.markdown:
        options.markdown.write_text("\n".join(pages), encoding="utf-8")


def machine():
    import numpy as np
    import scipy
    from threadpoolctl import threadpool_info

    names = [line.split(":")[1].strip() for line in _lines("/proc/cpuinfo") if "model name" in line]
    blas = sorted({f"{i['internal_api']} {i['version']} ({i.get('architecture')}, "
                   f"{i['num_threads']} thread)" for i in threadpool_info()})  # fmt: skip
    return (
        f"{names[0] if names else platform.processor()}, {os.cpu_count()} cores; "
        f"Python {platform.python_version()}, numpy {np.__version__}, scipy {scipy.__version__}, "
        f"{'; '.join(blas)}"
    )


def _lines(path):
    try:
        return Path(path).read_text(encoding="utf-8").splitlines()
    except OSError:
        return []


if __name__ == "__main__":
    main()
