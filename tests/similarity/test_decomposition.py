"""The decomposition of a Gram matrix, with only some of its vectors, against a plain one."""

import numpy as np
import pytest

from isogloss.similarity import lapack
from isogloss.similarity.decomposition import of_gram, of_rows


def gram(n, values, seed=0):
    """A centred Gram matrix with the given eigenvalues."""
    rng = np.random.default_rng(seed)
    ones = np.full((n, 1), n**-0.5)
    free = np.linalg.qr(np.hstack([ones, rng.standard_normal((n, n - 1))]))[0][:, 1:]
    values = np.asarray(values, dtype=np.float64)
    return (free[:, : values.size] * values) @ free[:, : values.size].T


def projector(columns):
    return columns @ columns.T


@pytest.mark.parametrize("n", [5, 33, 60, 194])
@pytest.mark.parametrize("share", [0.05, 0.3, 0.65, 0.9])
@pytest.mark.parametrize("decay", [0.0, 0.6, 2.0])
def test_some_vectors_span_what_all_of_them_span(n, share, decay):
    values = np.arange(1, n, dtype=np.float64) ** (-2 * decay) * np.linspace(1.5, 1, n - 1)
    matrix = gram(n, values)
    k = max(1, int(share * (n - 1)))
    found = of_gram(matrix.copy(), n - 1)
    np.testing.assert_allclose(found.values**2, np.sort(values)[::-1], rtol=0, atol=1e-13)
    left = found.left(k)
    assert left.shape == (n, k)
    np.testing.assert_allclose(left.T @ left, np.eye(k), atol=1e-12)
    np.testing.assert_allclose(matrix @ left, left * found.values[:k] ** 2, atol=1e-13)
    expected = np.linalg.eigh(matrix)[1][:, ::-1][:, :k]
    gap = np.sort(values)[::-1][k - 1] - np.append(np.sort(values)[::-1], 0)[k]
    np.testing.assert_allclose(projector(left), projector(expected), atol=1e-13 / gap + 1e-13)


def test_fewer_vectors_come_from_the_same_decomposition():
    found = of_gram(gram(80, np.arange(1, 80) ** -1.0), 79)
    many, few = found.left(20), found.left(7)
    np.testing.assert_array_equal(few, many[:, :7])
    with pytest.raises(ValueError, match="read-only"):
        many[0, 0] = 1


@pytest.mark.parametrize("values", [[1.0] * 30, [4, 4, 4, 1, 1, 1, 1], [1, 1e-4, 1e-8]])
def test_equal_and_missing_values(values):
    matrix = gram(70, values)
    found = of_gram(matrix, 69)
    assert found.values.size == len(values)
    np.testing.assert_allclose(found.values**2, values, atol=1e-13)
    left = found.left(len(values))
    np.testing.assert_allclose(left.T @ left, np.eye(len(values)), atol=1e-11)
    np.testing.assert_allclose((left * found.values**2) @ left.T, matrix, atol=1e-13)


def test_a_matrix_of_separate_blocks():
    """Its tridiagonal form falls apart, which inverse iteration alone does not handle."""
    blocks = np.zeros((90, 90))
    for start in range(0, 90, 30):
        blocks[start : start + 30, start : start + 30] = gram(30, np.arange(1, 30) ** -1.0, start)
    found = of_gram(blocks, 89)
    left = found.left(12)
    np.testing.assert_allclose(left.T @ left, np.eye(12), atol=1e-11)
    np.testing.assert_allclose(blocks @ left, left * found.values[:12] ** 2, atol=1e-12)


def test_the_way_back_gives_the_same(monkeypatch):
    matrix = gram(100, np.arange(1, 100) ** -1.2)
    quick = of_gram(matrix, 99).left(15)
    monkeypatch.setattr(lapack, "STRAIGHT", 0.0)
    slow = of_gram(matrix, 99).left(15)
    np.testing.assert_allclose(projector(quick), projector(slow), atol=1e-10)


def test_more_sentences_than_features():
    x = np.random.default_rng(0).standard_normal((60, 9))
    x -= x.mean(axis=0)
    found, other = of_rows(x), of_gram(x @ x.T, 9)
    np.testing.assert_allclose(found.values, other.values)
    np.testing.assert_allclose(projector(found.left(4)), projector(other.left(4)), atol=1e-12)
