"""Where the time of a pair goes, and how far each step is from what the machine can do.

The steps are those of ``similarity/decomposition.py`` and ``similarity/cca.py``, called one by one
on the same data. A step's floor is the sum of its parts, each at the ceiling that bounds it:
arithmetic at the rate of a large matrix product, passes over matrices at the rate of summing an
array of that size, and chains of divisions at the time of one dependent division.
"""

import cProfile
import pstats

import data
import numpy as np
from harness import Table, duration, quick_median
from scipy.linalg import lapack

from isogloss.similarity import Shuffles, Svcca, cca
from isogloss.similarity.chance import wachter
from isogloss.similarity.lapack import Tridiagonal

MB = 1e6


def run(quick):
    rounds = 31 if quick else 201
    rates, table = ceilings(rounds)
    return [table, *(steps(*size, rates, rounds) for size in ((194, 1024, 350), (251, 4096, 251))),
            profile(quick)]  # fmt: skip


def ceilings(rounds):
    """Floating-point operations and bytes per second, and seconds per dependent division."""
    rng = np.random.default_rng(0)
    square = rng.standard_normal((768, 768))
    small = rng.standard_normal((194, 194))
    vector = rng.standard_normal(194)
    large = rng.standard_normal(2**24)
    chain = rng.uniform(0.9, 1.1, 100_000)
    gemm = quick_median(lambda: square @ square, rounds=rounds // 3)
    symv = quick_median(lambda: small @ vector, rounds=rounds * 5)
    stream = quick_median(lambda: large.sum(), rounds=rounds // 3)
    cached = quick_median(lambda: small.sum(), rounds=rounds * 5)
    divide = quick_median(lambda: np.divide.accumulate(chain), rounds=rounds // 3)
    rates = {
        "flops": 2 * 768**3 / float(gemm.min()),
        "bytes": max(small.nbytes / float(symv.min()), small.nbytes / float(cached.min())),
        "division": float(divide.min()) / chain.size,
    }
    rows = [
        ["matrix product, 768 × 768", f"{rates['flops'] / 1e9:.1f} GFLOP/s"],
        ["matrix × vector, 194 × 194 (second-level cache)",
         f"{small.nbytes / float(symv.min()) / 1e9:.1f} GB/s"],
        ["sum of 194 × 194 numbers (second-level cache)",
         f"{small.nbytes / float(cached.min()) / 1e9:.1f} GB/s"],
        ["sum of 128 MiB (main memory)", f"{large.nbytes / float(stream.min()) / 1e9:.1f} GB/s"],
        ["dependent division", f"{rates['division'] * 1e9:.1f} ns"],
    ]  # fmt: skip
    notes = ["Fastest of the rounds: a ceiling is what the machine does undisturbed."]
    return rates, Table("Ceilings of one core", ["what", "rate"], rows, notes)


def steps(n, width, of, rates, rounds):
    """Time and floor of each step of scoring one pair."""
    x, y, rows = data.pair(n, width, of=of)
    measure = Svcca()
    a, b = measure.prepare(x), measure.prepare(y)
    gram = a.gram(rows)
    whole = np.zeros((of, of))
    whole[np.ix_(rows, rows)] = gram
    one, two = measure.form(a, rows, None), measure.form(b, rows, None)
    k = one.k
    order = np.asfortranarray(gram)
    _, diagonal, beside, _, _ = lapack.dsytrd(order, lower=1, lwork=64 * n)
    reduced = Tridiagonal(gram)
    vectors = np.asfortranarray(one.columns)
    factors, _, _, tau, _ = lapack.dsytrd(order, lower=1, lwork=64 * n)
    chain = ql_steps(diagonal, beside)
    product = one.columns.T @ two.columns
    shuffled = two.columns[Shuffles(64).orders(n)]
    f, w, c = rates["flops"], rates["bytes"], rates["division"]
    triangle = 8 * n**3 / 6
    # name, per pair, call, flops, bytes, floor
    parts = [
        ("Gram of a view, once", 0, lambda: measure.prepare(x), of**2 * width, 12 * of * width,
         of**2 * width / f + 8 * of * width / w),
        ("gather rows and columns, centre", 2, lambda: a.gram(rows), 4 * n * n, 48 * n * n,
         48 * n * n / w),
        ("to tridiagonal (dsytrd)", 2, lambda: lapack.dsytrd(order, lower=1, lwork=64 * n),
         4 / 3 * n**3, triangle, 2 / 3 * n**3 / f + triangle / w),
        ("eigenvalues (dsterf)", 2, lambda: lapack.dsterf(diagonal, beside), 12 * chain, 0,
         2 * chain * c),
        ("vectors (dlar1v)", 2, lambda: reduced._twisted(k),
         k * n * 40 + 2 * n * k * k, 8 * n * k, 3 * k * n * c + 2 * n * k * k / f),
        ("turn back (dormtr)", 2,
         lambda: lapack.dormqr("L", "N", factors[1:, :-1], tau, vectors[1:], lwork=64 * k),
         2 * n * n * k, 8 * n * n, 2 * n * n * k / f),
        ("product of the bases", 1, lambda: one.columns.T @ two.columns, 2 * n * k * two.k,
         16 * n * k, 2 * n * k * two.k / f),
        ("its singular values", 1, lambda: cca._values(product[None]),
         8 / 3 * k**3, 8 * k**3 / 3, 4 / 3 * k**3 / f + 8 * k**3 / 3 / w + 4 * k * k * c),
        ("expected by chance (kept)", 1, lambda: wachter(k, two.k, n), 0, 0, 0.0),
    ]  # fmt: skip
    table = Table(
        f"Steps of a pair, {n} of {of} sentences × {width}, k = {k} and {two.k}",
        [
            "step",
            "times per pair",
            "time",
            "best",
            "MFLOP",
            "MB",
            "GFLOP/s",
            "floor",
            "floor / best",
        ],
    )
    total = least = bound = 0.0
    for name, times, call, flops, size, floor in parts:
        took = quick_median(call, rounds=rounds)
        mid, best = float(np.median(took)), float(took.min())
        total, least, bound = total + times * mid, least + times * best, bound + times * floor
        table.rows.append([
            name, str(times), duration(took), duration(best), f"{flops / 1e6:.2f}",
            f"{size / MB:.2f}", f"{flops / best / 1e9:.1f}", f"{floor * 1e3:.3f} ms",
            f"{floor / best:.0%}",
        ])  # fmt: skip
    rng = np.random.default_rng(0)

    def pair():
        mixed = rng.permutation(rows)
        return measure.compare(a, b, rows_a=mixed, rows_b=mixed)

    took = quick_median(pair, rounds=rounds)
    for name, mid, best in (
        ("sum of the steps", total, least),
        ("Svcca.compare, measured", np.median(took), took.min()),
    ):
        table.rows.append([name, "", duration(mid), duration(best), "", "", "",
                           f"{bound * 1e3:.3f} ms", f"{bound / best:.0%}"])  # fmt: skip
    null = quick_median(lambda: one.columns.T @ shuffled, rounds=rounds // 10) / 64
    roots = quick_median(lambda: cca.permuted(one, two, mean="all", orders=Shuffles(64).orders(n)),
                         rounds=rounds // 10) / 64  # fmt: skip
    table.notes = [
        f"A shuffle of the null: {duration(roots)}, of which the product {duration(null)}.",
        f"dsterf makes {chain} steps of two dependent divisions each, counted.",
    ]
    return table


def ql_steps(diagonal, beside):
    """How often the inner loop of QL without square roots (Pal, Walker, Kahan) is run."""
    d, e = list(diagonal), [v * v for v in beside] + [0.0]
    n, eps, count = len(d), np.finfo(float).eps ** 2, 0
    if abs(d[-1]) < abs(d[0]):
        d, e = d[::-1], [*e[-2::-1], 0.0]
    at = 0
    while at < n - 1:
        m = at
        while m < n - 1 and e[m] > eps * abs(d[m] * d[m + 1]):
            m += 1
        if m == at:
            at += 1
            continue
        root = e[at] ** 0.5
        sigma = (d[at + 1] - d[at]) / (2 * root)
        shift = d[at] - root / (sigma + np.copysign(np.hypot(sigma, 1), sigma))
        c, s, gamma = 1.0, 0.0, d[m] - shift
        p = gamma * gamma
        for i in range(m - 1, at - 1, -1):
            count += 1
            r = p + e[i]
            if i < m - 1:
                e[i + 1] = s * r
            old_c, old = c, gamma
            c, s = p / r, e[i] / r
            gamma = c * (d[i] - shift) - s * old
            d[i + 1] = old + (d[i] - gamma)
            p = gamma * gamma / c if c else old_c * e[i]
        e[at], d[at] = s * p, shift + gamma
    return count


def profile(quick):
    """Which functions the time of pairs is spent in, by cProfile."""
    x, y, rows = data.pair(194, 1024, of=350)
    measure = Svcca()
    a, b = measure.prepare(x), measure.prepare(y)
    rng = np.random.default_rng(0)
    measure.compare(a, b, rows_a=rows, rows_b=rows)
    repeats = 30 if quick else 300
    profiler = cProfile.Profile()
    profiler.enable()
    for _ in range(repeats):
        mixed = rng.permutation(rows)
        measure.compare(a, b, rows_a=mixed, rows_b=mixed)
    profiler.disable()
    found = pstats.Stats(profiler).stats
    whole = sum(own for _, _, own, _, _ in found.values())
    table = Table(
        "Svcca.compare, 194 of 350 × 1024, by cProfile: own time",
        ["function", "calls per pair", "own time per pair", "share"],
    )
    for (file, _, name), (_, calls, own, _, _) in sorted(
        found.items(), key=lambda item: -item[1][2]
    )[:14]:
        where = file.rpartition("/")[2]
        table.rows.append([
            f"{where}: {name}" if where != "~" else name, f"{calls / repeats:.0f}",
            f"{own / repeats * 1e6:.0f} µs", f"{own / whole:.0%}",
        ])  # fmt: skip
    return table
