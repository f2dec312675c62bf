"""All measures of the registry, with the options that change what they compute."""

import numpy as np

from isogloss.similarity import MEASURES

OPTIONS = {
    "svcca": [{}],
    "cca": [{"epsilon": 0}],
    "pwcca": [{}, {"weights": "both"}, {"weights": "second", "share": 0.99, "epsilon": 0}],
    "cka": [{}, {"debiased": False}, {"kernel": "rbf"}, {"kernel": "rbf", "debiased": False}],
    "procrustes": [{}],
    "rsa": [{}, {"distance": "cosine"}],
    "mutual_knn": [{"k": 3}],
    "retrieval": [{}, {"score": "mrr"}, {"score": "mrr", "centre": True}],
    "anc": [{}, {"signed": True}],
}
VARIANTS = {
    " ".join([name, *(f"{k}={v}" for k, v in options.items())]): MEASURES.get(name)(**options)
    for name in MEASURES.names()
    for options in OPTIONS.get(name, [{}])
}


def views(n=30, d=12, seed=0, *, other=None, strength=0.7):
    """Two related views with falling spectra and means that are not zero."""
    rng = np.random.default_rng(seed)
    common = rng.standard_normal((n, 4))

    def view(width):
        noise = rng.standard_normal((n, width)) * (1 + np.arange(width)) ** -0.3
        return noise + rng.standard_normal(width)

    x, y = view(d), view(other or d)
    load = rng.standard_normal((4, max(d, other or d))) * strength
    return x + common @ load[:, :d], y + common @ load[:, : other or d]


def compare(measure, x, y, **options):
    return measure.compare(measure.prepare(x), measure.prepare(y), **options)
