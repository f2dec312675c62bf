"""A whole cross-lingual study."""

import tempfile
from pathlib import Path

import google
import library
import numpy as np
from harness import CLOCK, Table, duration, spread, target

from isogloss.similarity import Svcca

LANGUAGES, TAPS = 30, 16
SAMPLE = 4
"""Pairs per tap and modality that google's algorithm is run on."""


def run(quick):
    taps = 1 if quick else TAPS
    with tempfile.TemporaryDirectory(prefix="isogloss-bench-") as folder:
        store, units = library.fill(Path(folder), LANGUAGES, taps)
        return [
            _study(store, units, taps, shared=False, goal=15),
            _study(store, units, taps, shared=True, goal=100),
        ]


def _study(store, units, taps, *, shared, goal):
    sentences = library.subsets(LANGUAGES, shared=shared)
    rng = np.random.default_rng(2)
    contestants = {"arrays": _arrays, "files": _files, "google": _google}
    times = {name: [] for name in contestants}
    apart, kept = [], []
    places = [(m, f"t{t:02d}") for t in range(taps) for m in library.MODALITIES]
    # Once, untimed, so that no contestant pays for imports.
    library.score(store, units, library.comparisons(sentences, *places[0])[:3])
    for number, (modality, tap) in enumerate(places):
        asked = library.comparisons(sentences, modality, tap)
        views = {v: store.view(units[v.language, v.modality], v.tap)
                 for c in asked for v in (c.a, c.b)}  # fmt: skip
        scores = {}
        order = list(contestants.items())
        for name, call in order if number % 2 else reversed(order):
            seconds, scores[name] = call(store, units, asked, views, rng)
            times[name].append(seconds)
        for pair, score in scores["google"].items():
            apart += [abs(scores["arrays"][pair][0] - score)]
            assert scores["arrays"][pair][0] == scores["files"][pair]
        kept += [k for _, *ks in scores["arrays"].values() for k in ks]
    times = {name: np.array(t) for name, t in times.items()}
    ratio = float(np.median(times["google"] / times["arrays"]))
    pairs = len(sentences)
    names = {
        "arrays": "Isogloss, arrays in memory",
        "files": "Isogloss, from stored files to a table",
        "google": "google's algorithm looped, arrays in memory",
    }
    return Table(
        f"Study: {LANGUAGES} languages, {pairs} pairs, {TAPS} taps, 2 modalities, 194 of 350 "
        f"sentences, 1024 features, {'one shared subset' if shared else 'a subset per pair'}",
        ["contestant", "whole study", "per pair", "times faster (quartiles over taps)"],
        [
            [names[n], duration(t.sum() * TAPS / taps), duration(t / pairs),
             spread(times["google"] / t)]
            for n, t in times.items()
        ],
        [
            f"Target: at least {goal} times, arrays in memory. Reached: {target(ratio, goal)} "
            f"({ratio:.1f}). k from {min(kept)} to {max(kept)}.",
            f"Isogloss ran on {pairs * len(places)} of {TAPS * 2 * pairs} comparisons, google's "
            f"algorithm on {SAMPLE * len(places)} drawn at random, {SAMPLE} at each tap, in turn.",
            f"Largest difference of the scores: {max(apart):.1e}.",
        ],
    )  # fmt: skip


def _arrays(store, units, asked, views, _):
    """Svcca called in a loop, as one would from Python."""
    start = CLOCK()
    measure, found = Svcca(), {}
    ready = {key: measure.prepare(x) for key, x in views.items()}
    rows = {}
    for c in asked:
        if c.sentences not in rows:
            rows[c.sentences] = np.array([int(s[1:]) for s in c.sentences])
        taken = rows[c.sentences]
        score = measure.compare(ready[c.a], ready[c.b], rows_a=taken, rows_b=taken)
        found[c.a.language, c.b.language] = (score.score, score.k_x, score.k_y)
    return CLOCK() - start, found


def _files(store, units, asked, views, _):
    start = CLOCK()
    frame = library.score(store, units, asked)
    seconds = CLOCK() - start
    columns = frame.select("language_a", "language_b", "score").iter_rows()
    return seconds, {(a, b): score for a, b, score in columns}


def _google(store, units, asked, views, rng):
    seconds, scores = [], {}
    for i in rng.choice(len(asked), SAMPLE, replace=False):
        c = asked[i]
        rows = [int(s[1:]) for s in c.sentences]
        start = CLOCK()
        x, y = (np.ascontiguousarray(views[v][rows].T) for v in (c.a, c.b))
        scores[c.a.language, c.b.language] = google.svcca(x, y)[0]
        seconds.append(CLOCK() - start)
    return float(np.mean(seconds)) * len(asked), scores
