"""Other implementations, and formulas of others written out in our own words.

Each entry of ``PEERS`` makes a function of two (sentences × features) arrays, or raises
ImportError where the package is not installed.
"""

import google
import numpy as np


def _google():
    return lambda x, y: google.svcca(np.ascontiguousarray(x.T), np.ascontiguousarray(y.T))[0]


def _anatome():
    """anatome: cut by the sum of singular values before centring, one direction fewer."""

    def reduced(x, share=0.9):
        _, values, right = np.linalg.svd(x, full_matrices=False)
        k = int((np.cumsum(values) / values.sum() < share).sum())
        return x @ right[:k].T

    def svcca(x, y):
        a, b = (z - z.mean(axis=0) for z in (reduced(x), reduced(y)))
        (left_a, s_a, right_a), (left_b, s_b, right_b) = (
            np.linalg.svd(z, full_matrices=False) for z in (a, b)
        )
        u, rho, v = np.linalg.svd(left_a.T @ left_b)
        # The canonical directions are returned as well.
        _ = right_a.T / s_a @ u[:, : rho.size], right_b.T / s_b @ v.T[:, : rho.size]
        return float(rho.sum()) / min(a.shape[1], b.shape[1])

    return svcca


def _netrep():
    """netrep: CCA as a shape distance with alpha = 0, on principal components."""

    def whitened(x, share=0.9):
        x = x - x.mean(axis=0)
        left, values, _ = np.linalg.svd(x, full_matrices=False)
        held = np.cumsum(values**2)
        k = int(np.searchsorted(held, share * held[-1])) + 1
        scores = left[:, :k] * values[:k]
        variances, turn = np.linalg.eigh(scores.T @ scores)
        return scores @ (turn / np.sqrt(variances)) @ turn.T

    def svcca(x, y):
        a, b = whitened(x), whitened(y)
        u, _, v = np.linalg.svd(a.T @ b, full_matrices=False)
        one, two = a @ u, b @ v.T
        inner = np.sum(one * two) / (np.linalg.norm(one) * np.linalg.norm(two))
        return float(np.arccos(np.clip(inner, -1, 1)))

    return svcca


def _cca_zoo():
    from cca_zoo.linear import CCA
    from sklearn.decomposition import PCA

    def svcca(x, y):
        a, b = (PCA(0.9, svd_solver="full").fit_transform(z) for z in (x, y))
        k = min(a.shape[1], b.shape[1])
        one, two = CCA(n_components=k).fit_transform([a, b])
        return float(np.mean([np.corrcoef(one[:, i], two[:, i])[0, 1] for i in range(k)]))

    return svcca


def _repsim():
    import repsim

    return lambda x, y: float(
        repsim.svcca([x.astype(np.float64), y.astype(np.float64)], "pillai")[0, 1]
    )


PEERS = {
    "google/svcca, its algorithm": _google,
    "anatome, its formula (other cut)": _anatome,
    "netrep, its formula (an angle)": _netrep,
    "scikit-learn PCA + cca-zoo": _cca_zoo,
    "repsim (99 %, other definition)": _repsim,
}


def installed():
    """Peers that run here, and the names of those that do not."""
    found, missing = {}, []
    for name, make in PEERS.items():
        try:
            found[name] = make()
        except ImportError:
            missing.append(name)
    return found, missing
