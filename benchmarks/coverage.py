"""How often each interval contains what it is for: ``python benchmarks/coverage.py``.

Studies are simulated from a known population. An interval is offered if 92 to 98 % of at least
200 studies lie inside; the plain bootstrap and the jackknife over sentences, which are not offered,
stand beside it. ``--only`` names parts (sentences, utterances, languages), ``--jobs`` processes.

A view has independent factors with standard deviations i^-0.6. Factor i of one view is correlated
with factor i of the other: by 0, .3, .7 or .95, or by .95 in the first ten factors alone.
"""

import argparse
import os
import sys
from concurrent.futures import ProcessPoolExecutor
from itertools import product
from pathlib import Path

for _name in ("OMP", "OPENBLAS", "MKL"):
    os.environ[f"{_name}_NUM_THREADS"] = "1"
sys.path.insert(0, str(Path(__file__).parent))

import numpy as np  # noqa: E402
from harness import Table, show  # noqa: E402
from scipy import stats  # noqa: E402

from isogloss.similarity import MEASURES  # noqa: E402
from isogloss.similarity.intervals import subsampling  # noqa: E402
from isogloss.similarity.over_languages import languages  # noqa: E402
from isogloss.similarity.over_utterances import utterances  # noqa: E402

DECAY = 0.6
BAND = (92.0, 98.0)
SIGNALS = {"none": 0.0, "weak": 0.3, "medium": 0.7, "strong": 0.95, "ten factors": -1.0}
MEASURED = {
    "SVCCA squared": ("svcca", {}),
    "SVCCA linear": ("svcca", {"rule": "linear"}),
    "CKA debiased": ("cka", {"debiased": True}),
    "RSA": ("rsa", {}),
    "mutual k-NN": ("mutual_knn", {}),
    "Procrustes": ("procrustes", {}),
    "retrieval": ("retrieval", {}),
    "ANC": ("anc", {}),
}


def factors(rng, n, d, signal, tails):
    """Correlated factors of two views: two (n × d) matrices of unit variance."""
    one, noise = rng.standard_normal((2, n, d))
    if tails:
        # One factor per sentence, so that some sentences lie far out in both views.
        scale = np.sqrt(tails / rng.chisquare(tails, size=(n, 1)))
        one, noise = one * scale, noise * scale
    shared = np.where(np.arange(d) < 10, 0.95, 0.0) if signal < 0 else np.full(d, signal)
    return one, shared * one + np.sqrt(1 - shared**2) * noise


def views(rng, n, d, signal, tails=0):
    spread = np.arange(1, d + 1) ** -DECAY
    return tuple(f * spread for f in factors(rng, n, d, signal, tails))


def make(name):
    kind, options = MEASURED[name]
    return MEASURES.get(kind)(**options)


def score(measure, x, y):
    return measure.compare(measure.prepare(x), measure.prepare(y)).score


def jackknife(measure, a, b, n, seed, groups=20):
    """Delete a group of sentences at a time: as textbooks have it, and not offered."""
    parts = np.array_split(np.random.default_rng(seed).permutation(n), groups)
    left = [np.setdiff1d(np.arange(n), part) for part in parts]
    found = np.array([measure.compare(a, b, rows_a=r, rows_b=r).score for r in left])
    se = np.sqrt((groups - 1) / groups * ((found - found.mean()) ** 2).sum())
    margin = stats.t.ppf(0.975, groups - 1) * se
    centre = measure.compare(a, b).score
    return centre - margin, centre + margin


def bootstrap(measure, a, b, n, seed, draws=60):
    """Percentiles over sentences drawn with replacement: wrong here, and not offered."""
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(draws):
        rows = rng.integers(n, size=n)
        found.append(measure.compare(a, b, rows_a=rows, rows_b=rows).score)
    return tuple(np.quantile(found, [0.025, 0.975]))


def sentences(cell):
    name, signal, n, d, tails, studies, others = cell
    measure, value = make(name), SIGNALS[signal]
    rng = np.random.default_rng([1, n, d])
    fresh = np.array(
        [score(measure, *views(rng, n, d, value, tails)) for _ in range(1500 if n < 100 else 800)]
    )
    truth = fresh.mean()
    inside = {"subsampling": [], "jackknife": [], "bootstrap": []}
    errors, misses = [], []
    for i in range(studies):
        x, y = views(np.random.default_rng([5, i, n, d]), n, d, value, tails)
        a, b = measure.prepare(x), measure.prepare(y)
        found = subsampling(measure, a, b, seed=i)
        if not found.reason:
            inside["subsampling"].append(found.low <= truth <= found.high)
            errors.append(found.se)
            misses.append([truth < found.low, truth > found.high])
        if i < others:
            for label, method in (("jackknife", jackknife), ("bootstrap", bootstrap)):
                low, high = method(measure, a, b, n, i)
                inside[label].append(low <= truth <= high)
    if len(errors) < studies / 2:
        # What few studies are left were picked by their scores, and show nothing.
        return [name, signal, f"{n} × {d}", f"{truth:.3f}", f"{fresh.std():.4f}", *[""] * 5,
                f"{studies - len(errors)}"]  # fmt: skip
    below, above = 100 * np.mean(misses, axis=0)
    shares = [f"{100 * np.mean(v):.1f}" if v else "" for v in inside.values()]
    tailed = f"{n} × {d}" + (f", t{tails}" if tails else "")
    return [
        name, signal, tailed, f"{truth:.3f}", f"{fresh.std():.4f}",
        f"{np.sqrt(np.mean(np.square(errors))) / fresh.std():.2f}",
        shares[0], f"{below:.1f} / {above:.1f}", *shares[1:], f"{studies - len(errors)}",
    ]  # fmt: skip


def recorded(measure, rng, one, many):
    """A view with several recordings of each sentence, which differ by a third of what they have
    in common: the standard deviation is 0.6 of that between sentences."""
    rows = np.repeat(one, many, axis=0)
    rows = rows + 0.6 * rng.standard_normal(rows.shape)
    return measure.prepare(rows * np.arange(1, one.shape[1] + 1) ** -DECAY)


def recordings(cell):
    name, signal, n, d, takes, studies, _ = cell
    measure = make(name)
    inside, ratios, truths = [], [], []
    for i in range(studies):
        rng = np.random.default_rng([3, i, n, d])
        one, other = factors(rng, n, d, SIGNALS[signal], 0)
        b = measure.prepare(other * np.arange(1, d + 1) ** -DECAY)
        many = rng.choice(takes, size=n)
        starts = np.cumsum(many) - many
        rows = [np.arange(s, s + c) for s, c in zip(starts, many, strict=True)]
        found = utterances(measure, recorded(measure, rng, one, many), b, takes_a=rows, seed=i)
        ones = np.ones(n, dtype=int)
        fresh = np.array(
            [measure.compare(recorded(measure, rng, one, ones), b).score for _ in range(60)]
        )
        inside.append(found.low <= fresh.mean() <= found.high)
        ratios.append(found.se / fresh.std(ddof=1))
        truths.append(fresh.mean())
    return [
        name, signal, f"{n} × {d}", "/".join(map(str, takes)), f"{np.mean(truths):.3f}",
        f"{np.sqrt(np.mean(np.square(ratios))):.2f}", f"{100 * np.mean(inside):.1f}",
    ]  # fmt: skip


def means(cell):
    count, effect, missing, pairs, studies = cell
    rng = np.random.default_rng([4, count, int(10 * effect), int(10 * missing)])
    names = np.array([f"l{i}" for i in range(count)])
    first, second = np.triu_indices(count, 1) if pairs else (np.arange(count),) * 2
    inside = []
    for _ in range(studies):
        of = rng.standard_normal(count)
        values = effect * (of[first] + (of[second] if pairs else 0))
        if pairs:
            values += rng.standard_normal(values.size)
        values[rng.random(values.size) < missing] = np.nan
        found = languages(names[first], names[second] if pairs else None, values)
        inside.append(found.low <= 0 <= found.high)
    kind = "pairs" if pairs else "languages"
    return [kind, str(count), f"{effect:g}", f"{missing:.0%}", f"{100 * np.mean(inside):.1f}"]


def tables(only, studies, pool):
    def fill(title, columns, work, cells, at):
        table = Table(title, columns)
        for row in pool.map(work, cells):
            table.rows.append(row)
            print("  ".join(row), file=sys.stderr, flush=True)
        shares = [float(row[at]) for row in table.rows if row[at]]
        table.notes.append(f"From {min(shares)} to {max(shares)} %; the band is {BAND} %.")
        return table

    if "sentences" in only:
        shapes = [(63, 32), (63, 200)]
        first, near, rest = list(MEASURED)[:3], list(MEASURED)[3:5], list(MEASURED)[5:]
        cells = [
            (m, s, n, d, 0, studies, studies // 3 if m == first[0] else 0)
            for m, s, (n, d) in product(first, SIGNALS, shapes)
        ]
        cells += [
            (m, s, 63, 200, 0, studies, 0) for m in near for s in ("none", "medium", "strong")
        ]
        cells += [(m, s, 63, 200, 0, studies, 0) for m in rest for s in ("none", "medium")]
        cells += [(m, "medium", 63, 200, 5, studies, 0) for m in first]
        cells += [
            (m, s, 194, d, 0, studies, 0)
            for d, m, s in product((512, 96), first, ("none", "medium", "strong"))
        ]
        yield fill(
            "Over sentences",
            ["measure", "signal", "N × D", "expected", "its sd", "se / sd", "subsampling %",
             "below / above", "jackknife %", "bootstrap %", "refused"],
            sentences, cells, 6,
        )  # fmt: skip
    if "utterances" in only:
        cells = [
            (m, s, 63, d, takes, min(studies, 240), 0)
            for m, s, d, takes in product(
                list(MEASURED)[:3], ("none", "medium", "strong"), (32, 200), ((1, 2, 2, 3),)
            )
        ]
        columns = ["measure", "signal", "N × D", "takes", "expected", "se / sd", "inside %"]
        yield fill("Over recordings", columns, recordings, cells, 6)
    if "languages" in only:
        cells = [(c, e, m, True, 1000)
                 for c, e, m in product((8, 12, 30), (0.0, 0.3, 1.0), (0.0, 0.1))]  # fmt: skip
        cells += [(c, 1.0, 0.0, False, 1000) for c in (3, 8, 30)]
        columns = ["mean over", "languages", "effect of a language", "missing", "inside %"]
        yield fill("Over languages", columns, means, cells, 4)


def main():
    parts = ("sentences", "utterances", "languages")
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=parts, default=parts)
    parser.add_argument("--studies", type=int, default=200)
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--markdown", type=Path, help="write the tables to this file too")
    options = parser.parse_args()
    with ProcessPoolExecutor(options.jobs) as pool:
        show(tables(options.only, options.studies, pool), options.markdown)


if __name__ == "__main__":
    main()
