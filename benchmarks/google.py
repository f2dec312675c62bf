"""SVCCA as google/svcca computes it (commit 1f3fbf1, 2019), written out in our own words.

Views come as (features × sentences). The singular value decomposition is that of its first
tutorial; what follows is ``cca_core.get_cca_similarity``, including the parts that cost time
without changing the result: pseudo-inverses by singular values, symmetric square roots, and both
sets of canonical directions.
"""

import numpy as np


def svcca(x, y, *, share=0.9, epsilon=1e-10):
    """Mean canonical correlation of two (features × sentences) views.

    Returns:
        Score, dimensions kept of each view.
    """
    a, b = reduced(x, share), reduced(y, share)
    return float(np.mean(canonical(a, b, epsilon))), len(a), len(b)


def reduced(x, share):
    """Centre each feature and keep the leading directions that hold ``share`` of the variance."""
    _, values, right = np.linalg.svd(x - x.mean(axis=1, keepdims=True), full_matrices=False)
    held = np.cumsum(values**2)
    k = int(np.searchsorted(held, share * held[-1])) + 1
    return (values[:k] * np.eye(k, dtype=values.dtype)) @ right[:k]


def canonical(a, b, epsilon):
    """Canonical correlations of two reduced views."""
    p = len(a)
    whole = np.cov(a, b)
    own_a, own_b, cross = whole[:p, :p], whole[p:, p:], whole[:p, p:]
    top_a, top_b = np.abs(own_a).max(), np.abs(own_b).max()
    own_a, own_b, cross = own_a / top_a, own_b / top_b, cross / np.sqrt(top_a * top_b)
    stay_a, stay_b = np.abs(own_a.diagonal()) >= epsilon, np.abs(own_b.diagonal()) >= epsilon
    own_a, own_b = own_a[np.ix_(stay_a, stay_a)], own_b[np.ix_(stay_b, stay_b)]
    cross = cross[np.ix_(stay_a, stay_b)]
    own_a = own_a + epsilon * np.eye(len(own_a))
    own_b = own_b + epsilon * np.eye(len(own_b))
    root_a, root_b = _root(np.linalg.pinv(own_a)), _root(np.linalg.pinv(own_b))
    left, values, right = np.linalg.svd(root_a @ cross @ root_b)
    # It returns the canonical directions too; they are what makes its SVD a full one.
    _ = left.T @ root_a, right @ root_b
    return np.abs(values)


def _root(matrix):
    values, vectors = np.linalg.eigh(matrix)
    return (vectors * np.sqrt(values)) @ vectors.T
