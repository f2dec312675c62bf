"""One pair of views on sentences of its own."""

import data
import numpy as np
from harness import Table, alternate, duration, spread, target, times_faster
from peers import installed

from isogloss.similarity import Svcca

SIZES = ((194, 1024, 350, 10, 0.58), (251, 4096, 251, 20, 0.60))
"""Sentences, features, sentences of the view, target, slope of the spectrum."""
GOOGLE, SLOW = "google/svcca, its algorithm", "repsim"


def run(quick):
    return [_pair(quick, *size) for size in SIZES]


def forgetful(measure, x, y):
    """Compare prepared views on a subset that was not seen before, at every call."""
    a, b = measure.prepare(x), measure.prepare(y)
    rng = np.random.default_rng(1)

    def call(rows):
        # Another order is another set to the cache, and the same work.
        mixed = rng.permutation(rows)
        return measure.compare(a, b, rows_a=mixed, rows_b=mixed)

    return call


def _pair(quick, n, width, of, goal, slope):
    x, y, rows = data.pair(n, width, of=of, slope=slope)
    xs, ys = x[rows], y[rows]
    measure = Svcca()
    prepared = forgetful(measure, x, y)
    peers, missing = installed()
    contestants = {
        "Isogloss, views prepared": lambda: prepared(rows),
        "Isogloss, from raw arrays": lambda: measure.compare(
            measure.prepare(xs), measure.prepare(ys)
        ),
        **{name: (lambda f=peer: f(xs, ys)) for name, peer in peers.items()},
    }
    slow = {name: contestants.pop(name) for name in list(contestants) if SLOW in name}
    times = alternate(contestants, rounds=7 if quick else 41, seconds=15 if quick else 90)
    base = times[GOOGLE]
    ratios = {name: times_faster(base, t) for name, t in times.items()}
    for name, call in slow.items():
        # Seconds per call, so only a few, with one of google's beside each.
        found = alternate({GOOGLE: contestants[GOOGLE], name: call}, rounds=3)
        times[name], ratios[name] = found[name], times_faster(found[GOOGLE], found[name])
    score = prepared(rows)
    table = Table(
        f"One pair, {n} × {width}, float32, k = {score.k_x} and {score.k_y}",
        ["contestant", "value", "time", "times faster than google's (quartiles)"],
    )
    for name, call in (contestants | slow).items():
        value = call()
        value = value.score if hasattr(value, "score") else value
        table.rows.append([name, f"{value:.6f}", duration(times[name]), ratios[name]])
    table.rows += [[name, "not installed", "", ""] for name in missing]
    ratio = float(np.median(base / times["Isogloss, views prepared"]))
    table.notes = [
        f"Target: at least {goal} times with views prepared. Reached: {target(ratio, goal)} "
        f"({ratio:.1f}). {base.size} rounds.",
        f"Quartiles of google's time: {spread(base * 1e3)} ms.",
    ]
    return table
