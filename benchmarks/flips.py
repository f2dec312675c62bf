"""Flip single bits of a finished study's files, one at a time, and see whether `verify` finds each.

    python benchmarks/flips.py --flips 1000 --seed 0

The study is that of kill.py, with what a store can hold beside it: a sensitivity table, the note of
a failed unit and the rows of one that was interrupted. Half of the flips hit a file in proportion
to its size, the other half any file alike, so that small records are hit as well as large arrays.
Figures, the report and leases are left out: no number is read from them. After each flip the file
is put back.
"""

import argparse
import json
import os
import random
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from kill import corpus, study


def build(work):
    """A finished study in a folder; returns the folder."""
    import numpy as np

    from isogloss import api
    from isogloss.sensitivity import sensitivity
    from isogloss.storage.pieces import Pieces
    from isogloss.storage.store import Store, Unit

    corpus(work / "corpus", ("eng", "deu"), 6)
    folder = work / "out"
    draw, api.write_report = api.write_report, lambda output, events: None
    try:
        api.run(study(folder, work / "corpus" / "table.jsonl"))
    finally:
        api.write_report = draw
    sensitivity(folder, shares=[], fractions=[1], measures=["svcca"])
    unit = Unit("fin", "speech", "ab" * 32, ("1", "2"), ("0", "1"))
    Store(folder).fail(unit, {"type": "ValueError", "message": "made for this", "traceback": ""})
    rows = {tap: np.random.default_rng(0).normal(size=(2, 64)).astype("f4") for tap in unit.taps}
    Pieces(folder / "activations").keep(unit, rows, {"rows": [0, 1]})
    return folder


def kind(name):
    """What a file is, for the summary."""
    folder, _, file = name.rpartition("/")
    if folder == "activations":
        for end in (".failed.json", ".json", ".safetensors", ".piece"):
            if file.endswith(end):
                return f"activations, {end}"
    return f"{folder}, {Path(file).suffix}" if folder else file


def flips(folder, count, seed, tell=print):
    """Flip bits; returns {kind: (flips, found)}, and files that were named although whole."""
    from isogloss.storage.verifying import verify

    chance = random.Random(seed)
    skipped = ("figures/", "leases/", "report.html")
    names = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
    names = [n for n in names if not n.startswith(skipped)]
    sizes = [(folder / n).stat().st_size for n in names]
    before = [p.file for p in verify(folder) if p.damaged]
    if before:
        raise SystemExit(f"damaged from the start: {before}")
    made, found, named = Counter(), Counter(), []
    for i in range(count):
        name = chance.choices(names, sizes)[0] if i % 2 else chance.choice(names)
        path = folder / name
        whole = path.read_bytes()
        bit = chance.randrange(8 * len(whole))
        changed = bytearray(whole)
        changed[bit // 8] ^= 1 << bit % 8
        path.write_bytes(changed)
        damaged = {p.file for p in verify(folder) if p.damaged}
        path.write_bytes(whole)
        made[kind(name)] += 1
        found[kind(name)] += name in damaged
        if name not in damaged:
            tell(f"MISSED: bit {bit} of {name}", flush=True)
        named += sorted(damaged - {name})
    return {k: (made[k], found[k]) for k in sorted(made)}, named


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--flips", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ.setdefault(name, "1")
    with tempfile.TemporaryDirectory() as work:
        os.environ.setdefault("ISOGLOSS_CACHE", str(Path(work) / "cache"))
        folder = build(Path(work))
        begun = time.monotonic()
        kinds, named = flips(folder, asked.flips, asked.seed)
    summary = {
        "flips": sum(made for made, _ in kinds.values()),
        "found": sum(found for _, found in kinds.values()),
        "whole files named": len(named),
        "seconds": round(time.monotonic() - begun),
        "by kind": {k: f"{found} of {made}" for k, (made, found) in kinds.items()},
    }
    print(json.dumps(summary, indent=1))
    return 0 if summary["flips"] == summary["found"] and not named else 1


if __name__ == "__main__":
    sys.exit(main())
