"""The exact permutation null of one pair."""

import data
import google
import numpy as np
from harness import Table, alternate, duration, target, times_faster

from isogloss.similarity import Shuffles, Svcca

COUNT = 1000
SAMPLE = 5
"""Shuffles that google's algorithm is run on per round; the time is scaled up."""


def run(quick):
    x, y, rows = data.pair(194, 1024, of=350)
    xs, ys = x[rows], y[rows]
    measure = Svcca()
    a, b = measure.prepare(x), measure.prepare(y)
    rng = np.random.default_rng(0)
    xt = np.ascontiguousarray(xs.T)

    def ours():
        mixed = rng.permutation(rows)
        return measure.compare(a, b, rows_a=mixed, rows_b=mixed, shuffles=Shuffles(COUNT))

    def recomputed():
        for _ in range(SAMPLE):
            google.svcca(xt, np.ascontiguousarray(ys[rng.permutation(194)].T))

    contestants = {"ours": ours, "google": recomputed}
    scale = {"ours": 1.0, "google": COUNT / SAMPLE}
    try:
        contestants["calibrated"] = _calibrated(xs, ys)
        scale["calibrated"] = COUNT / SAMPLE
    except ImportError:
        pass
    times = alternate(contestants, rounds=5 if quick else 21, seconds=20 if quick else 120)
    times = {name: t * scale[name] for name, t in times.items()}
    score = ours()
    table = Table(
        f"Exact null, {COUNT} permutations of one pair, 194 × 1024, "
        f"k = {score.k_x} and {score.k_y}",
        ["contestant", "time", "times faster than recomputing (quartiles)"],
        [
            ["Isogloss, with the score itself", duration(times["ours"]),
             times_faster(times["google"], times["ours"])],
            [f"google's algorithm recomputed, from {SAMPLE} per round",
             duration(times["google"]), "1"],
            [f"calibrated-similarity around Isogloss, from {SAMPLE} per round",
             *([duration(times["calibrated"]), times_faster(times["google"], times["calibrated"])]
               if "calibrated" in times else ["not installed", ""])],
        ],
    )  # fmt: skip
    own, ratio = np.median(times["ours"]), np.median(times["google"] / times["ours"])
    table.notes.append(
        f"Targets: at most 0.3 s ({own:.3f} s: {target(own, 0.3, at_most=True)}) and at least 30 "
        f"times faster than recomputing ({ratio:.0f}: {target(ratio, 30)})."
    )
    return [table]


def _calibrated(xs, ys):
    import torch
    from calibrated_similarity import calibrate

    measure = Svcca()

    def score(x, y):
        return measure.compare(measure.prepare(x.numpy()), measure.prepare(y.numpy())).score

    one, two = torch.from_numpy(xs), torch.from_numpy(ys)
    # It scores the pair as it is, too.
    return lambda: calibrate(one, two, score, K=SAMPLE - 1)
