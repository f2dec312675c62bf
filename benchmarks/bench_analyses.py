"""Everything after extraction, on the whole study: time and peak memory, each case by itself."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import data
import numpy as np
from harness import Table

SENTENCES, WIDTH, TAPS = 350, 4096, 27
MODALITIES = ("text", "speech")
MAP = "cross_modal(pairs=all)"
CASES = {
    "speech against text": (["cross_modal"], {}, "taps"),
    "the same, no intervals": (["cross_modal"], {"interval": "none"}, "taps"),
    "language against language": (["cross_lingual"], {}, "taps"),
    "the same, no confounds": (["cross_lingual"], {"confounds": []}, "taps"),
    "the same, no permutations": (["cross_lingual"], {"permutations": 0}, "taps"),
    "gaps": (["gaps"], {}, "once"),
    "layer × layer map": ([MAP], {"interval": "none", "confounds": [], "permutations": 0}, "cells"),
    "noise ceiling": (["noise_ceiling"], {}, "taps"),
}
"""What is measured: name -> analyses, settings that are not the defaults, what time grows with. Of
a map, cells need no interval, confounds or permutations, so that only they are measured."""
DEFAULT = ("speech against text", "language against language", "gaps", "layer × layer map")


def run(quick):
    """Measure at some of the taps, which all cost the same, and scale up."""
    taken = 1 if quick else 3
    tables = []
    for title, counts, recordings in (
        (f"all {SENTENCES} sentences in every language", None, 1),
        ("as many sentences as Table 1 of the study has", languages(), 2),
    ):
        with tempfile.TemporaryDirectory(prefix="isogloss-bench-") as place:
            store = Path(place) / "store"
            fill(store, languages(), taken + 2, counts=counts, recordings=recordings)
            found = {}
            for name, (analyses, settings, _) in CASES.items():
                if recordings == 1 and analyses == ["noise_ceiling"]:
                    continue
                folder = Path(place) / f"case{len(found)}"
                found[name] = case(store, folder, analyses, settings, taps=taken)
            tables.append(table(title, found, taken))
    return tables


def table(title, found, taken):
    """Scale what was measured at some taps to all."""
    rows, total = [], 0.0
    for name, values in found.items():
        grows = CASES[name][2]
        # A map is measured with the matched pairs of its taps, which are places like its cells.
        units = {"taps": (taken, TAPS), "once": (1, 1), "cells": (taken**2 + taken, TAPS**2)}
        measured, whole = units[grows]
        seconds = values["cpu"] / measured * whole
        total += seconds if name in DEFAULT else 0
        rows.append(
            [name, f"{values['cpu'] / measured:.3g} s", str(whole), f"{seconds / 60:.1f} min",
             f"{values['peak']:.0f} MiB"]
        )  # fmt: skip
    empty = max(values["empty"] for values in found.values())
    return Table(
        f"Analysis stage: 30 languages, {title}, {TAPS} taps, {WIDTH} features, 2 modalities",
        ["what", "processor time of one place", "places", "of all", "peak memory"],
        rows,
        [
            f"Measured at {taken} tap{'' if taken == 1 else 's'} of {TAPS} and scaled up. A place "
            "is a tap, a cell of the map, or the whole of the gaps.",
            f"The study's analyses with the default settings: {total / 60:.0f} min of processor "
            f"time, so {total / 120:.0f} min on two idle cores.",
            f"{empty:.0f} MiB of the memory are Python and the packages.",
        ],
    )


def fill(folder, languages, taps, *, counts=None, recordings=1, width=WIDTH, seed=0):
    """Write a run whose views share a meaning, the more the deeper, and the sentences' length.

    Args:
        folder: Output folder of the run.
        languages: ISO 639-3 codes.
        taps: Number of taps in each modality.
        counts: Language -> how many of the 350 sentences it has; all of them if left out.
        recordings: Recordings of every sentence.
        width: Features.
        seed: Of everything.
    """
    from isogloss.models.base import TapPair
    from isogloss.runs import Run
    from isogloss.settings import digest
    from isogloss.storage.store import Unit
    from isogloss.study import Study

    rng = np.random.default_rng(seed)
    names = ["in", *(str(i) for i in range(1, taps))]
    depths = [(name, i / max(1, taps - 1)) for i, name in enumerate(names)]
    meaning, length = _normal(rng), rng.integers(40, 260, SENTENCES)
    units, run = {}, None
    for language in languages:
        count = (counts or {}).get(language, SENTENCES)
        rows = np.sort(rng.permutation(SENTENCES)[:count])
        characters = length[rows] * rng.normal(1, 0.1, count)
        for modality in MODALITIES:
            takes = recordings if modality == "speech" else 1
            ids = tuple(str(i) for i in rows)
            name = digest([language, modality, seed, taps, recordings])
            unit = Unit(language, modality, name, tuple(names), ids, (takes - 1) * count)
            pace = rng.normal(12 if modality == "speech" else 4, 1, takes * count)
            units[unit] = (np.tile(rows, takes), np.tile(characters, takes), pace)
    study = Study(
        corpus={"source": "udhr"},
        model={"family": "seamless", "checkpoint": "tiny"},
        output=folder,
    )
    run = Run(
        folder=folder,
        study=study.model_dump(mode="json"),
        model={"title": "synthetic", "family": "seamless", "licence": "none",
               "checkpoint": {"weights": "0" * 64}, "untrained": True, "notes": []},
        corpus={"name": "synthetic", "licence": "none", "description": "", "notes": [],
                "synthetic_speech": False},
        units=tuple(units),
        taps={m: tuple(depths) for m in MODALITIES},
        pairs=tuple(TapPair(n, n, n, d) for n, d in depths),
        dropped=(),
        environment={},
        made="2026-01-01T00:00:00+00:00",
    )  # fmt: skip
    store = run.store()
    store.claim(study.identity())
    for unit, (rows, characters, pace) in units.items():
        arrays = {tap: _view(rng, meaning, length, rows, depth, unit.modality, width)
                  for tap, depth in depths}  # fmt: skip
        measured = "seconds" if unit.modality == "speech" else "tokens"
        count = len(unit.sentences)
        takes = [i // count for i in range(len(rows))]
        record = {
            "sentences": [str(i) for i in rows],
            "takes": takes,
            "planned": list(range(len(rows))),
            "lengths": [10] * len(rows),
            "speakers": [f"{unit.language}{(i % count + t) % 3}" for i, t in enumerate(takes)],
            "covariates": {"characters": characters.round().tolist(),
                           measured: (characters / pace).round(2).tolist()},
            "failed": [],
            "notes": {},
            "device": "none",
            "seconds": 0.0,
        }  # fmt: skip
        store.put(unit, arrays, record)
    run.write()
    return run


def _normal(rng):
    return rng.standard_normal((SENTENCES, SENTENCES), dtype=np.float32)


def _view(rng, meaning, length, rows, depth, modality, width):
    """A view with a decaying spectrum whose directions are in part those of the meaning."""
    amount = (0.1 + 0.6 * depth) * (1.0 if modality == "text" else 0.7)
    left = np.sqrt(amount, dtype=np.float32) * meaning[rows]
    left += np.sqrt(1 - amount, dtype=np.float32) * rng.standard_normal(
        (len(rows), SENTENCES), dtype=np.float32
    )
    left[:, 0] = ((length - length.mean()) / length.std())[rows]
    left *= np.arange(1, SENTENCES + 1, dtype=np.float32) ** np.float32(-data.SLOPE)
    right = rng.standard_normal((SENTENCES, width), dtype=np.float32) / np.float32(np.sqrt(width))
    return left @ right + rng.standard_normal(width, dtype=np.float32)


def languages(count=30):
    """The study's languages for SeamlessM4T and SALMONN, and Table 1's numbers of sentences."""
    import csv
    from importlib.resources import files

    with (files("isogloss") / "data" / "languages.csv").open(encoding="utf-8") as file:
        rows = [r for r in csv.DictReader(file) if r["in_seamless_salmonn"] == "1"][:count]
    return {r["paper_code"]: int(r["n_test_dedup"]) for r in rows}


def case(store, folder, analyses, settings, *, taps=None, jobs=2):
    """Make a run of another study from the activations of one, and analyse it in a process."""
    from isogloss.storage import sealing

    folder.mkdir(parents=True)
    (folder / "activations").symlink_to(store / "activations")
    for path in store.glob("*.*"):
        if path.is_file() and path.name != "run.json":
            shutil.copy(path, folder)
    values = sealing.read(store / "run.json")
    values["study"] |= {"analyses": analyses, "jobs": jobs, "output": str(folder), **settings}
    if taps:
        names = [name for name, _ in values["taps"]["text"]]
        kept = {
            names[i] for i in np.linspace(0, len(names) - 1, taps + 2).round().astype(int)[1:-1]
        }
        values["pairs"] = [p for p in values["pairs"] if p["text"] in kept]
        values["taps"] = {
            m: [t for t in found if t[0] in kept] for m, found in values["taps"].items()
        }
    sealing.write(folder / "run.json", values)
    code = [sys.executable, str(Path(__file__)), str(folder)]
    done = subprocess.run(code, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def _child(folder):
    import resource

    import isogloss.api as api

    empty = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    wall, cpu = time.perf_counter(), time.process_time()
    tables, _ = api.analyse(folder)
    return {
        "wall": time.perf_counter() - wall,
        "cpu": time.process_time() - cpu,
        "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "empty": empty,
        "rows": sum(t.height for t in tables.values()),
        "load": os.getloadavg()[0],
    }


if __name__ == "__main__":
    print(json.dumps(_child(Path(sys.argv[1]))))
