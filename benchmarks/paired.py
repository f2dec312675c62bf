"""How often paired intervals of two runs are right: ``python benchmarks/paired.py``.

Studies of two runs on the same languages and sentences are simulated from a known population, and
tested as ``isogloss compare`` tests them. A view of a language, modality and run is, factor by
factor, a share of the meaning that all have, and a rest; of the rest a part is that of the language
and modality in both runs, as in two checkpoints of one model, and the remainder of this run alone.
Factors have standard deviations i^-0.6. The truth is the mean difference over all studies.
``--only`` names cases, ``--studies`` sets their number, ``--jobs`` processes.
"""

import argparse
import os
import sys
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

for _name in ("OMP", "OPENBLAS", "MKL"):
    os.environ[f"{_name}_NUM_THREADS"] = "1"
sys.path.insert(0, str(Path(__file__).parent))

import numpy as np  # noqa: E402
from harness import Table, show  # noqa: E402

from isogloss.beside.estimates import of_mean, of_one  # noqa: E402
from isogloss.findings.statistics import Halves  # noqa: E402
from isogloss.similarity import MEASURES  # noqa: E402

DECAY, SPLITS, LEVEL = 0.6, 12, 0.05
SVCCA, CKA = ("svcca", {}), ("cka", {"debiased": True})
CASES = {
    # name: measure, languages, N, D, shares of meaning in both runs, kept rest, spread of languages
    "unrelated, no signal": (SVCCA, 9, 63, 200, (0.0, 0.0), 0.0, 0.0),
    "unrelated": (SVCCA, 9, 63, 200, (0.5, 0.5), 0.0, 0.0),
    "checkpoints": (SVCCA, 9, 63, 200, (0.5, 0.5), 0.9, 0.0),
    "checkpoints, D 32": (SVCCA, 9, 63, 32, (0.5, 0.5), 0.9, 0.0),
    "checkpoints, strong": (SVCCA, 9, 63, 32, (0.9, 0.9), 0.9, 0.0),
    "checkpoints, N 200": (SVCCA, 9, 200, 64, (0.5, 0.5), 0.9, 0.0),
    "languages differ": (SVCCA, 9, 63, 64, (0.5, 0.5), 0.9, 0.1),
    "3 languages differ": (SVCCA, 3, 63, 64, (0.5, 0.5), 0.9, 0.1),
    "2 languages": (SVCCA, 2, 63, 64, (0.5, 0.5), 0.9, 0.0),
    "CKA, checkpoints": (CKA, 9, 63, 64, (0.5, 0.5), 0.9, 0.0),
    "CKA, no signal": (CKA, 9, 63, 64, (0.0, 0.0), 0.5, 0.0),
    "better checkpoint": (SVCCA, 9, 63, 64, (0.6, 0.5), 0.9, 0.0),
    "better, languages differ": (SVCCA, 9, 63, 64, (0.6, 0.5), 0.9, 0.1),
    "trained, untrained": (SVCCA, 9, 63, 64, (0.8, 0.05), 0.0, 0.0),
}


def study(case, seed):
    """Calibrated differences on all sentences (languages,), and on halves of them."""
    (name, options), languages, n, d, shares, kept, spread = CASES[case]
    rng = np.random.default_rng([seed, sum(map(ord, case))])
    measure = MEASURES.get(name)(**options)
    scale = np.arange(1, d + 1) ** -DECAY
    meaning = rng.standard_normal((n, d))
    orders = [rng.permutation(n) for _ in range(SPLITS)]
    whole, halves = np.empty(languages), np.empty((SPLITS, 2, languages))
    for i in range(languages):
        own = rng.standard_normal((2, n, d))
        scores = []
        for share in shares:
            size = np.clip(share + spread * rng.standard_normal(), 0, 0.98)
            views = []
            for lasting in own:
                rest = np.sqrt(kept) * lasting + np.sqrt(1 - kept) * rng.standard_normal((n, d))
                mixed = np.sqrt(size) * meaning + np.sqrt(1 - size) * rest
                views.append(measure.prepare(mixed * scale))
            scores.append([value(measure, *views)])
            for order in orders:
                for rows in (order[: n // 2], order[n // 2 : 2 * (n // 2)]):
                    scores[-1].append(value(measure, *views, rows_a=rows, rows_b=rows))
        apart = np.array(scores[0]) - np.array(scores[1])
        whole[i], halves[:, :, i] = apart[0], apart[1:].reshape(SPLITS, 2)
    return whole, halves


def value(measure, a, b, **rows):
    return measure.compare(a, b, **rows).calibrated


def row(case, studies, jobs):
    count, n = CASES[case][1:3]
    names, share = [f"l{i}" for i in range(count)], 2 * (n // 2) / n
    if jobs > 1:
        with ProcessPoolExecutor(jobs) as pool:
            found = list(pool.map(partial(study, case), range(studies)))
    else:
        found = [study(case, seed) for seed in range(studies)]
    means = np.array([whole.mean() for whole, _ in found])
    truth = means.mean()
    tests = [of_mean(w, names, None, Halves(h, share)) for w, h in found]
    fixed = [of_mean(w, names, None, None) for w, _ in found]
    single = [of_one(float(w[i]), h[:, :, i], share) for w, h in found for i in range(count)]
    truths = np.array([w for w, _ in found]).mean()

    def inside(estimates, target):
        known = [e for e in estimates if e.low == e.low]
        if not known:
            return ""
        return f"{100 * np.mean([e.low <= target <= e.high for e in known]):.1f}"

    def found_share(estimates):
        known = [e.p_value for e in estimates if e.p_value == e.p_value]
        return f"{100 * np.mean(np.array(known) <= LEVEL):.1f}" if known else ""

    if CASES[case][-1]:
        single = []  # every language has a truth of its own here
    width = np.mean([(t.high - t.low) / 2 for t in tests])
    return [
        case, str(count), f"{n} × {CASES[case][3]}", f"{truth:+.4f}", f"{means.std(ddof=1):.4f}",
        f"{width:.4f}", inside(tests, truth), found_share(tests), inside(fixed, truth),
        inside(single, truths), found_share(single),
    ]  # fmt: skip


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="*", default=list(CASES))
    parser.add_argument("--studies", type=int, default=300)
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    given = parser.parse_args()
    columns = [
        "case", "languages", "N × D", "difference", "its sd", "half width", "inside, %",
        "p ≤ .05, %", "inside, sentences fixed, %", "single: inside, %", "single: p ≤ .05, %",
    ]  # fmt: skip
    table = Table("Paired differences of two runs", columns)
    for case in given.only:
        table.rows.append(row(case, given.studies, given.jobs))
        print(" | ".join(map(str, table.rows[-1])), file=sys.stderr, flush=True)
    show([table])


if __name__ == "__main__":
    main()
