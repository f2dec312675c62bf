"""The measure as the rest of the program meets it: options, cache, threads, registry."""

from concurrent.futures import ThreadPoolExecutor
from threading import Event

import numpy as np
import pytest
from pydantic import ValidationError
from threadpoolctl import threadpool_info, threadpool_limits

from isogloss.errors import StudyError
from isogloss.settings import role_of
from isogloss.similarity import MEASURES, Measure, Shuffles, Svcca, gaussian_baseline, svcca
from isogloss.similarity import view as view_module
from isogloss.similarity.threads import one_thread


def noise(n, d, seed):
    return np.random.default_rng(seed).standard_normal((n, d)).astype(np.float32)


def test_registry():
    assert "svcca" in MEASURES.names()
    assert MEASURES.get("svcca") is Svcca
    assert issubclass(Svcca, Measure)
    with pytest.raises(StudyError, match='did you mean "svcca"'):
        MEASURES.get("svca")


def test_options():
    assert Svcca().model_dump() == {
        "zscore": False, "mean": "all", "epsilon": 1e-10, "share": 0.9, "rule": "squared",
    }  # fmt: skip
    assert Svcca(mean=98) == Svcca(mean="98")
    assert {role_of(Svcca, name) for name in Svcca.model_fields} == {"analysis"}
    assert Svcca.info.range == (0.0, 1.0)
    assert "1706.05806" in Svcca.info.source


@pytest.mark.parametrize(
    "wrong",
    [
        {"share": 0}, {"share": 1.01}, {"share": float("nan")}, {"rule": "cubed"}, {"mean": "97"},
        {"mean": 97}, {"mean": True}, {"epsilon": -1e-12}, {"epsilon": 1.0},
    ],
)  # fmt: skip
def test_wrong_options(wrong):
    with pytest.raises(StudyError, match=f"^{next(iter(wrong))}: "):
        svcca(noise(9, 3, 0), noise(9, 3, 1), **wrong)


def test_unknown_option_and_frozen():
    with pytest.raises(StudyError, match='did you mean "share"'):
        Svcca(shares=0.9)
    with pytest.raises(ValidationError):
        Svcca().share = 0.5


def test_baseline_follows_the_options():
    measure = Svcca(share=0.7, rule="linear", mean="98", epsilon=1e-3)
    assert measure.baseline(30, 40, 50, seed=3) == gaussian_baseline(
        30, 40, 50, share=0.7, rule="linear", mean="98", epsilon=1e-3, seed=3
    )


@pytest.mark.parametrize("d", [20, 300])
def test_a_view_is_decomposed_once_per_set_of_rows(d, monkeypatch):
    made = []
    compute = view_module.View._decompose
    monkeypatch.setattr(
        view_module.View,
        "_decompose",
        lambda self, rows, out: made.append(self) or compute(self, rows, out),
    )
    measure = Svcca()
    hub = measure.prepare(noise(60, d, 0))
    rows = np.arange(5, 55)
    partners = [measure.prepare(noise(60, 30, s)) for s in range(1, 9)]
    for partner in partners:
        measure.compare(hub, partner, rows_a=rows, rows_b=rows)
        Svcca(share=0.5).compare(hub, partner, rows_a=rows, rows_b=rows)
    assert sum(v is hub for v in made) == 1
    assert len(made) == 9
    for start in range(20):
        rows = np.arange(start, start + 30)
        measure.compare(hub, partners[0], rows_a=rows, rows_b=rows)
    assert max(map(len, hub._cells.values())) <= view_module.REMEMBERED


@pytest.mark.parametrize("d", [20, 300])
def test_threads_and_order_change_no_digit(d):
    measure = Svcca()
    rng = np.random.default_rng(0)
    jobs = [
        (int(i), int(j), rng.permutation(50)[: rng.choice([30, 40])])
        for i, j in rng.integers(0, 6, (80, 2))
    ]

    def run(order, workers, blas):
        views = [measure.prepare(noise(50, d + s, s)) for s in range(6)]

        def job(k):
            i, j, rows = jobs[k]
            found = measure.compare(
                views[i], views[j], rows_a=rows, rows_b=rows, shuffles=Shuffles(7, seed=k)
            )
            return k, (found.score, found.null_mean, found.chance, found.coefficients.tobytes())

        with threadpool_limits(blas), ThreadPoolExecutor(workers) as pool:
            return dict(pool.map(job, order))

    expected = run(range(80), 1, 1)
    assert run(reversed(range(80)), 8, 4) == expected
    assert run(np.random.default_rng(1).permutation(80).tolist(), 3, 2) == expected


def blas_threads():
    return {lib["num_threads"] for lib in threadpool_info() if lib["user_api"] == "blas"}


def test_blas_threads_are_restored():
    before = blas_threads()
    with threadpool_limits(3, user_api="blas"):
        with one_thread():
            assert blas_threads() == {1}
            with one_thread():
                assert blas_threads() == {1}
            assert blas_threads() == {1}
        assert blas_threads() == {3}
        with pytest.raises(RuntimeError), one_thread():
            raise RuntimeError
        assert blas_threads() == {3}
    assert blas_threads() == before


def test_blas_threads_are_limited_and_restored_from_any_thread():
    first_in, second_in, first_out = (Event() for _ in range(3))
    seen = []

    def first():
        with one_thread():
            seen.append(blas_threads())
            first_in.set()
            second_in.wait(10)
        seen.append(blas_threads())
        first_out.set()

    def second():
        first_in.wait(10)
        with one_thread():
            second_in.set()
            first_out.wait(10)
            seen.append(blas_threads())
        seen.append(blas_threads())

    before = blas_threads()
    with threadpool_limits(3, user_api="blas"):
        with ThreadPoolExecutor(2) as pool:
            for job in [pool.submit(first), pool.submit(second)]:
                job.result()
        assert seen == [{1}, {1}, {1}, {3}]
        assert blas_threads() == {3}
    assert blas_threads() == before


def test_what_is_kept_of_a_wide_view_does_not_grow_with_its_features():
    view = Svcca().prepare(noise(30, 5000, 0))
    arrays = [v for v in vars(view).values() if isinstance(v, np.ndarray)]
    assert sum(a.nbytes for a in arrays) <= 30 * 30 * 8
