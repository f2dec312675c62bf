"""Peak memory of the study, each case in a process of its own."""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from harness import Table, target

CASES = ((30, 1.0), (30, 0.125), (60, 0.125))
"""Languages, and GiB that prepared views may take."""


def run(quick):
    table = Table(
        "Peak memory of one worker: 194 of 350 sentences, 1024 features, a subset per pair",
        ["languages", "taps × modalities", "comparisons", "memory setting", "peak", "time"],
    )
    whole = (2, 1) if quick else (16, 2)
    few = (1, 1) if quick else (2, 1)
    peaks = {}
    for languages, gib in CASES:
        taps, modalities = whole if gib == 1.0 else few
        with tempfile.TemporaryDirectory(prefix="isogloss-bench-") as folder:
            found = _child("fill", folder, languages, taps, modalities, gib)
            found = _child("score", folder, languages, taps, modalities, gib)
        peaks[languages, gib] = found["peak"]
        table.rows.append(
            [
                str(languages), f"{taps} × {modalities}", str(found["comparisons"]),
                f"{gib * 1024:.0f} MiB", f"{found['peak']:.0f} MiB",
                f"{found['seconds']:.0f} s",
            ]
        )  # fmt: skip
    first, more = peaks[30, 1.0], peaks[60, 0.125] / peaks[30, 0.125]
    table.notes = [
        f"{found['empty']:.0f} MiB of it are Python and the packages, before any view is read.",
        f"Target: under 2 GB (1907 MiB). Reached: {target(first, 1907, at_most=True)}.",
        f"Twice the languages, four times the pairs: {more:.2f} times the memory.",
    ]
    return [table]


def _child(*arguments):
    code = [sys.executable, str(Path(__file__)), *map(str, arguments)]
    done = subprocess.run(code, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def _main(step, folder, languages, taps, modalities, gib):
    import resource

    import library

    def peak():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

    languages, taps, modalities = int(languages), int(taps), int(modalities)
    kinds = library.MODALITIES[:modalities]
    if step == "fill":
        library.fill(Path(folder), languages, taps, kinds)
        return {}
    from isogloss.settings import digest
    from isogloss.storage.store import Store, Unit

    ids = tuple(f"s{i:03d}" for i in range(library.SENTENCES))
    names = tuple(f"t{i:02d}" for i in range(taps))
    units = {
        (lang, kind): Unit(lang, kind, digest([lang, kind, 0]), names, ids, 0)
        for lang in library.languages(languages)
        for kind in kinds
    }
    empty = peak()
    sentences = library.subsets(languages)
    asked = [
        c for kind in kinds for tap in names for c in library.comparisons(sentences, kind, tap)
    ]
    start = time.perf_counter()
    frame = library.score(Store(Path(folder)), units, asked, memory=float(gib))
    return {
        "peak": peak(),
        "empty": empty,
        "comparisons": frame.height,
        "seconds": time.perf_counter() - start,
    }


if __name__ == "__main__":
    print(json.dumps(_main(*sys.argv[1:])))
