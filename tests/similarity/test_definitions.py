"""Each measure against its definition, written out with nothing done for speed."""

from itertools import permutations

import numpy as np
import pytest
from scipy.linalg import orthogonal_procrustes
from scipy.spatial.distance import pdist, squareform
from scipy.stats import spearmanr

from isogloss.errors import StudyError
from isogloss.similarity import MEASURES, Svcca, wachter
from measure_variants import VARIANTS, compare, views

SHAPES = [(40, 6, 9), (40, 12, 60), (25, 60, 60), (12, 80, 30)]


def score(name, x, y, **options):
    return compare(MEASURES.get(name)(**options), x, y).score


def centred(x):
    return x - x.mean(axis=0)


@pytest.mark.parametrize("shape", [(40, 6, 9), (60, 12, 12)])
def test_cca(shape):
    x, y = views(shape[0], shape[1], other=shape[2])
    q, r = (np.linalg.qr(centred(v))[0] for v in (x, y))
    expected = np.linalg.svd(q.T @ r, compute_uv=False)
    assert score("cca", x, y, epsilon=0) == pytest.approx(expected.mean(), abs=1e-10)
    assert score("cca", x, y, mean="98") == pytest.approx(
        compare(Svcca(share=1.0, mean="98"), x, y).score, abs=1e-12
    )


def test_cca_says_that_it_is_forced():
    x, y = views(20, 30)
    found = compare(MEASURES.get("cca")(), x, y)
    assert found.score == pytest.approx(1, abs=1e-4)
    assert found.chance == 1
    assert np.isnan(found.calibrated)
    assert "19 of 19 coefficients are one whatever the data" in found.warnings[0]


def pwcca(x, y, k_x, k_y):
    """Equations 4 and 5, from covariances: canonical directions h = X w with unit norm."""
    a, b = (
        centred(v) @ np.linalg.svd(centred(v))[2][:k].T for v, k in ((x, k_x), (y, k_y))
    )  # the cut, without whitening
    half = []
    for v in (a, b):
        values, vectors = np.linalg.eigh(v.T @ v)
        half.append(vectors @ np.diag(values**-0.5) @ vectors.T)
    u, rho, _ = np.linalg.svd(half[0] @ a.T @ b @ half[1], full_matrices=False)
    total = weights = 0.0
    for i, r in enumerate(rho):
        h = a @ half[0] @ u[:, i]
        assert np.linalg.norm(h) == pytest.approx(1)
        alpha = sum(abs(h @ neuron) for neuron in centred(x).T)
        total, weights = total + alpha * r, weights + alpha
    return total / weights


@pytest.mark.parametrize("share", [0.9, 1.0])
@pytest.mark.parametrize("shape", [(60, 6, 9), (60, 9, 6), (60, 20, 12), (70, 20, 90)])
def test_pwcca(shape, share):
    x, y = views(shape[0], shape[1], other=shape[2])
    if share == 1:
        y = y[:, :20]
    cut = compare(Svcca(share=share), x, y)
    assert cut.k_x + cut.k_y < shape[0]
    expected = pwcca(x, y, cut.k_x, cut.k_y)
    found = compare(MEASURES.get("pwcca")(share=share), x, y)
    assert found.score == pytest.approx(expected, abs=1e-8)
    assert (found.k_x, found.k_y) == (cut.k_x, cut.k_y)
    other = pwcca(y, x, cut.k_y, cut.k_x)
    assert abs(other - expected) > 1e-4
    assert score("pwcca", x, y, share=share, weights="second") == pytest.approx(other, abs=1e-8)
    both = score("pwcca", x, y, share=share, weights="both")
    assert both == pytest.approx((expected + other) / 2, abs=1e-8)


def test_pwcca_with_forced_ones_does_not_depend_on_the_order_of_the_sentences():
    x, y = views(30, 60, strength=0.1)
    found = compare(MEASURES.get("pwcca")(epsilon=0), x, y)
    assert np.count_nonzero(found.coefficients > 1 - 1e-9) > 5
    assert found.score < 0.99
    for seed in range(5):
        order = np.random.default_rng(seed).permutation(30)
        again = compare(MEASURES.get("pwcca")(epsilon=0), x[order], y[order]).score
        assert again == pytest.approx(found.score, abs=1e-9)


def gram(x, kernel, bandwidth=1.0):
    if kernel == "linear":
        return x @ x.T
    distance = pdist(x)
    return np.exp(-(squareform(distance) ** 2) / (2 * (bandwidth * np.median(distance)) ** 2))


def hsic_biased(k, m):
    centre = np.eye(len(k)) - 1 / len(k)
    return np.trace(k @ centre @ m @ centre)


def hsic_debiased(k, m):
    n = len(k)
    k, m = k - np.diag(np.diag(k)), m - np.diag(np.diag(m))
    return np.trace(k @ m) + k.sum() * m.sum() / ((n - 1) * (n - 2)) - 2 * (k @ m).sum() / (n - 2)


@pytest.mark.parametrize("kernel", ["linear", "rbf"])
@pytest.mark.parametrize("debiased", [True, False])
@pytest.mark.parametrize("shape", SHAPES)
def test_cka(shape, debiased, kernel):
    x, y = views(shape[0], shape[1], other=shape[2])
    hsic = hsic_debiased if debiased else hsic_biased
    for bandwidth in (1.0, 0.4):
        k, m = gram(x, kernel, bandwidth), gram(y, kernel, bandwidth)
        expected = hsic(k, m) / np.sqrt(hsic(k, k) * hsic(m, m))
        found = score("cka", x, y, kernel=kernel, debiased=debiased, bandwidth=bandwidth)
        assert found == pytest.approx(expected, abs=1e-10)


def test_the_debiased_estimate_is_the_mean_over_all_fours_of_sentences():
    x, y = views(7, 3)
    k, m = x @ x.T, y @ y.T

    def mean(k, m):
        found = [
            k[i, j] * m[i, j] + k[i, j] * m[p, q] - 2 * k[i, j] * m[i, p]
            for i, j, p, q in permutations(range(7), 4)
        ]
        return np.mean(found)

    expected = mean(k, m) / np.sqrt(mean(k, k) * mean(m, m))
    assert score("cka", x, y) == pytest.approx(expected, abs=1e-10)


@pytest.mark.parametrize("shape", SHAPES)
def test_procrustes(shape):
    x, y = views(shape[0], shape[1], other=shape[2])
    width = max(shape[1:])
    x, y = (np.pad(centred(v), ((0, 0), (0, width - v.shape[1]))) for v in (x, y))
    x, y = (v / np.linalg.norm(v) for v in (x, y))
    turn, expected = orthogonal_procrustes(x, y)
    found = score("procrustes", x[:, : shape[1]], y[:, : shape[2]])
    assert found == pytest.approx(expected, abs=1e-10)
    assert 2 - 2 * found == pytest.approx(np.linalg.norm(x @ turn - y) ** 2, abs=1e-10)


@pytest.mark.parametrize("distance", ["correlation", "cosine"])
@pytest.mark.parametrize("shape", SHAPES)
def test_rsa(shape, distance):
    x, y = views(shape[0], shape[1], other=shape[2])
    y[5] = y[3]  # equal distances
    expected = spearmanr(pdist(x, distance), pdist(y, distance)).statistic
    assert score("rsa", x, y, distance=distance) == pytest.approx(expected, abs=1e-10)


def neighbours(x, k):
    near = 1 - squareform(pdist(x, "cosine"))
    np.fill_diagonal(near, -np.inf)
    return [set(row) for row in np.argsort(-near, axis=1)[:, :k].tolist()]


@pytest.mark.parametrize("k", [1, 4, 11])
@pytest.mark.parametrize("shape", SHAPES)
def test_mutual_knn(shape, k):
    x, y = views(shape[0], shape[1], other=shape[2])
    common = [len(a & b) for a, b in zip(neighbours(x, k), neighbours(y, k), strict=True)]
    found = compare(MEASURES.get("mutual_knn")(k=k), x, y)
    assert found.score == pytest.approx(np.mean(common) / k, abs=1e-12)
    assert found.chance == k / (shape[0] - 1)


def test_equally_near_neighbours_count_in_part():
    turn = np.deg2rad([0, 10, 10, 10, 90, 200])
    x = np.column_stack([np.cos(turn), np.sin(turn)])
    # For k = 2 those at 0 and at 90 degrees have two of the three at 10 degrees: 2/3 of each. The
    # three have each other, and the last has those at 90 and at 0 degrees.
    shares = 4 * [2.0] + 2 * [3 * (2 / 3) ** 2]
    found = score("mutual_knn", x, x, k=2)
    assert found == pytest.approx(np.sum(shares) / 12, abs=1e-12)


def test_retrieval():
    x, y = views(25, 8, seed=3)
    for centre in (False, True):
        a, b = (centred(v) if centre else v for v in (x, y))
        near = a @ b.T / np.outer(np.linalg.norm(a, axis=1), np.linalg.norm(b, axis=1))
        own = near.diagonal()[:, None]
        ab = 1 + (near > own).sum(axis=1)
        ba = 1 + (own < near.T).sum(axis=1)
        top1 = compare(MEASURES.get("retrieval")(centre=centre), x, y)
        mrr = compare(MEASURES.get("retrieval")(centre=centre, score="mrr"), x, y)
        assert 0.1 < np.mean(ab == 1) < 0.9
        assert (ab != ba).any()
        assert top1.details == mrr.details
        assert top1.details["top1_ab"] == pytest.approx(np.mean(ab == 1), abs=1e-12)
        assert top1.details["top1_ba"] == pytest.approx(np.mean(ba == 1), abs=1e-12)
        assert top1.score == pytest.approx((np.mean(ab == 1) + np.mean(ba == 1)) / 2, abs=1e-12)
        expected = (np.mean(1 / ab) + np.mean(1 / ba)) / 2
        assert mrr.score == pytest.approx(expected, abs=1e-12)
        assert mrr.details["mrr"] == mrr.score


def test_sentences_that_cannot_be_told_apart_are_found_as_often_as_by_chance():
    x = np.repeat(np.eye(4), 5, axis=0)
    found = compare(MEASURES.get("retrieval")(), x, x)
    assert found.score == pytest.approx(1 / 5)
    assert found.details["mrr"] == pytest.approx(np.mean(1 / np.arange(1, 6)))


def test_anc():
    x, y = views(30, 15)
    y[:, 3] *= -1
    x[:, 7] = 0.1
    r = np.array([np.corrcoef(x[:, j], y[:, j])[0, 1] for j in range(15) if j != 7])
    found = compare(MEASURES.get("anc")(), x, y)
    assert found.score == pytest.approx(np.abs(r).mean(), abs=1e-12)
    assert found.details == {"features": 14, "left_out": 1}
    np.testing.assert_allclose(found.coefficients, np.sort(np.abs(r))[::-1], atol=1e-12)
    assert score("anc", x, y, signed=True) == pytest.approx(r.mean(), abs=1e-12)


EXACT = [v for v in VARIANTS if v.split()[0] in {"cka", "rsa", "mutual_knn", "retrieval"}]


@pytest.mark.parametrize("variant", [*EXACT, "anc signed=True"])
@pytest.mark.parametrize("tied", [False, True])
def test_chance_is_the_mean_over_all_orders(variant, tied):
    measure = VARIANTS[variant]
    x, y = views(6, 3)
    if tied:
        x[4], y[1] = x[5], y[0]
    a, b = measure.prepare(x), measure.prepare(y)
    rows = np.arange(6)
    forms = measure.form(a, rows, None), measure.form(b, rows, None)
    every = np.array(list(permutations(range(6))))
    mean = measure.shuffled(*forms, every).mean()
    assert mean == pytest.approx(measure.compare(a, b).chance, abs=1e-10)


@pytest.mark.parametrize("shape", [(194, 1024, 1024), (80, 30, 300), (150, 300, 20)])
def test_chance_of_pwcca_is_that_of_the_mean_coefficient(shape):
    rng = np.random.default_rng(1)
    n, *widths = shape
    x, y = (rng.standard_normal((n, d)) * (1 + np.arange(d)) ** -0.6 for d in widths)
    for weights in ("first", "second"):
        measure = MEASURES.get("pwcca")(weights=weights)
        rows = np.arange(n)
        a, b = (measure.form(measure.prepare(v), rows, None) for v in (x, y))
        assert min(a.basis.k, b.basis.k) >= 10
        orders = rng.permuted(np.broadcast_to(rows, (60, n)), axis=1)
        null = measure.shuffled(a, b, orders)
        expected = wachter(a.basis.k, b.basis.k, n)
        assert null.mean() == pytest.approx(expected, abs=0.003 + 4 * null.std() / 60**0.5)


@pytest.mark.parametrize("n", [20, 40, 194])
@pytest.mark.parametrize("kind", ["normal", "uniform", "skewed", "yes or no", "heavy"])
def test_chance_of_anc(kind, n):
    rng = np.random.default_rng(2)
    draw = {
        "normal": lambda: rng.standard_normal((n, 40)),
        "uniform": lambda: rng.random((n, 40)),
        "skewed": lambda: rng.exponential(size=(n, 40)),
        "yes or no": lambda: (rng.random((n, 40)) < 0.3) + 0.0,
        "heavy": lambda: rng.standard_cauchy((n, 40)),
    }[kind]
    x, y = draw(), draw()
    measure = MEASURES.get("anc")()
    rows = np.arange(n)
    a, b = (measure.form(measure.prepare(v), rows, None) for v in (x, y))
    chance = compare(measure, x, y).chance
    if kind == "heavy":
        assert np.isnan(chance)
        return
    null = measure.shuffled(a, b, rng.permuted(np.broadcast_to(rows, (1000, n)), axis=1))
    assert np.isnan(chance) == (kind == "skewed" and n < 194)
    if not np.isnan(chance):
        assert chance == pytest.approx(null.mean(), abs=0.005)


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("cca", {"share": 0.9}), ("pwcca", {"share": 0}), ("pwcca", {"weights": "third"}),
        ("cka", {"kernel": "poly"}), ("cka", {"bandwidth": 0}), ("rsa", {"distance": "euclid"}),
        ("mutual_knn", {"k": 0}), ("retrieval", {"score": "top5"}), ("anc", {"signed": "some"}),
    ],
)  # fmt: skip
def test_wrong_options(name, wrong):
    with pytest.raises(StudyError, match=next(iter(wrong))):
        MEASURES.get(name)(**wrong)
