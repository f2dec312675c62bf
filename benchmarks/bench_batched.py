"""Batches of pairs on array libraries and devices."""

import data
import numpy as np
from harness import Table, alternate, duration, times_faster

from isogloss.similarity import Shuffles, Svcca
from isogloss.similarity.batched import svcca_batch, svcca_pairs
from isogloss.similarity.stacks import gram_stack, sub_grams

N, OF, WIDTH, VIEWS = 194, 350, 1024, 8


def run(quick):
    rng = np.random.default_rng(0)
    shared = rng.standard_normal((OF, OF), dtype=np.float32)
    views = [data.activations(rng, OF, WIDTH, shared=shared) for _ in range(VIEWS)]
    which = np.array([(i, j) for i in range(VIEWS) for j in range(i + 1, VIEWS)]).T
    rows = np.stack([np.sort(rng.permutation(OF)[:N]) for _ in which[0]])
    count = 20 if quick else 100
    places = list(_places(views))
    tables = [_whole(quick, views, which, rows, count, places), _routes(quick, places)]
    return [*tables, _errors(quick)]


def _places(views):
    """(name, function to arrays, function that waits); None for what is not here."""
    yield "numpy", np.asarray, lambda: None
    try:
        import array_api_compat  # noqa: F401
        import torch
    except ImportError:
        yield "torch, CPU", None, "not installed"
        yield "torch, CUDA", None, "not installed"
        return
    torch.set_num_threads(1)
    yield "torch, CPU", torch.from_numpy, lambda: None
    if torch.cuda.is_available():
        name = f"torch, {torch.cuda.get_device_name()}"
        yield name, lambda x: torch.from_numpy(x).cuda(), torch.cuda.synchronize
    else:
        yield "torch, CUDA", None, "not run: no GPU at hand"


def _whole(quick, views, which, rows, count, places):
    measure, pairs = Svcca(), len(which[0])
    shuffles = Shuffles(count)
    orders = shuffles.orders(N)

    def scalar(asked):
        ready = [measure.prepare(v) for v in views]
        for i, j, r in zip(*which, rows, strict=True):
            measure.compare(ready[i], ready[j], rows_a=r, rows_b=r, shuffles=asked)

    contestants = {
        ("Svcca, pair by pair", "float64", "score"): lambda: scalar(None),
        ("Svcca, pair by pair", "float64", "null"): lambda: scalar(shuffles),
    }
    absent = []
    for name, convert, wait in places:
        if convert is None:
            absent.append([name, "", wait, "", ""])
            continue
        arrays = [convert(v) for v in views]
        for precision in ("float64", "float32"):
            for what, asked in (("score", None), ("null", orders)):

                def call(arrays=arrays, precision=precision, asked=asked, wait=wait):
                    stack = gram_stack(arrays)
                    svcca_pairs(
                        stack, stack, *which, rows_a=rows, orders=asked, precision=precision
                    )
                    wait()

                contestants[name, precision, what] = call
    times = alternate(contestants, rounds=3 if quick else 11, seconds=30 if quick else 150)
    table = Table(
        f"Batch of {pairs} pairs of {VIEWS} views, {N} of {OF} sentences × {WIDTH}, Grams included",
        ["where", "decomposed in", "per pair", f"per pair with {count} permutations",
         "as fast as pair by pair (quartiles)"],
    )  # fmt: skip
    base = times["Svcca, pair by pair", "float64", "score"]
    for name, precision, what in contestants:
        if what == "score":
            one, null = times[name, precision, "score"], times[name, precision, "null"]
            table.rows.append([name, precision, duration(one / pairs), duration(null / pairs),
                               times_faster(base, one)])  # fmt: skip
    table.rows += absent
    return table


def _routes(quick, places):
    """Which way to canonical correlations is fastest for many small products."""
    table = Table(
        "256 products of bases, 58 × 58: two ways to their canonical correlations",
        ["where", "type", "svdvals, each", "eigvalsh of M M', each", "times faster (quartiles)",
         "largest error of a coefficient", "of their mean"],
    )  # fmt: skip
    rng = np.random.default_rng(0)
    bases = [np.linalg.qr(rng.standard_normal((N, 58)))[0] for _ in range(2)]
    products = np.stack([bases[0].T @ bases[1][rng.permutation(N)] for _ in range(256)])
    exact = np.linalg.svd(products, compute_uv=False)
    for name, convert, wait in places:
        if convert is None:
            table.rows.append([name, "", wait, "", "", "", ""])
            continue
        from isogloss.similarity.stacks import namespace

        for kind in ("float64", "float32"):
            m = convert(products.astype(kind))
            xp = namespace(m)

            def squares(m=m, xp=xp):
                return xp.linalg.eigvalsh(xp.matmul(m, xp.matrix_transpose(m)))

            def singular(m=m, xp=xp):
                return xp.linalg.svdvals(m)

            times = alternate(
                {
                    "svd": lambda s=singular, w=wait: (s(), w()),
                    "eigen": lambda s=squares, w=wait: (s(), w()),
                },
                rounds=5 if quick else 21,
                seconds=10,
            )
            found = squares()
            found = np.asarray(found.cpu() if hasattr(found, "cpu") else found, dtype=np.float64)
            found = np.sqrt(np.maximum(found, 0))[:, ::-1]
            table.rows.append([
                name, kind, duration(times["svd"] / 256), duration(times["eigen"] / 256),
                times_faster(times["svd"], times["eigen"]), f"{np.abs(found - exact).max():.0e}",
                f"{np.abs(found.mean(axis=1) - exact.mean(axis=1)).max():.0e}",
            ])  # fmt: skip
    table.notes.append(
        "The code takes eigvalsh, and svdvals again for the few with a coefficient below 4e-5 "
        "(float32: 1e-3)."
    )
    return table


def _errors(quick):
    """What float32 does to scores, over spectra; the Gram matrix is always float64."""
    table = Table(
        f"Error of decomposing in float32 (numpy, {N} × {WIDTH}, Gram in float64)",
        ["slope of the spectrum", "share", "k", "pairs", "other k", "largest error, same k",
         "largest error, other k", "Gram in float32 too: other k", "largest error"],
    )  # fmt: skip
    pairs = 10 if quick else 60
    rng = np.random.default_rng(1)
    cases = ((0.3, 0.9), (0.58, 0.9), (1.2, 0.9), (2.0, 0.9), (1.2, 0.999), (2.0, 0.99999))
    for slope, share in cases:
        views = [data.activations(rng, N, WIDTH, slope=slope) for _ in range(16)]
        stack = gram_stack(views)
        rough = np.stack([_float32_gram(v) for v in views])
        a, b = rng.integers(0, 16, (2, pairs))
        left, right = (sub_grams(stack, w, np.arange(N)) for w in (a, b))
        exact = svcca_batch(left, right, share=share)
        single = svcca_batch(left, right, share=share, precision="float32")
        worse = svcca_batch(rough[a], rough[b], share=share)
        error, same = _compared(exact, single)
        bad, alike = _compared(exact, worse)
        table.rows.append([
            f"{slope:g}", f"{share:g}", f"{int(exact.k_a.min())}–{int(exact.k_a.max())}",
            str(pairs), str(int((~same).sum())), _largest(error[same]), _largest(error[~same]),
            str(int((~alike).sum())), _largest(bad),
        ])  # fmt: skip
    return table


def _float32_gram(view):
    x = view - view.mean(axis=0)
    return x @ x.T


def _compared(exact, other):
    same = (exact.k_a == other.k_a) & (exact.k_b == other.k_b)
    return np.abs(exact.scores - other.scores), same


def _largest(errors):
    return f"{errors.max():.0e}" if errors.size else "none"
