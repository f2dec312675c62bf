"""How often tests and intervals of language × language matrices are right, where that is known.

    python benchmarks/mantel.py [studies]

Prints the rates of docs/tokens.md (the Mantel test and the jackknife of r) and of docs/matrices.md
(groups of languages). 1000 studies of the first and 600 of the second take a quarter of an hour.
"""

import sys
from itertools import combinations

import numpy as np

from isogloss.analyses._matrices_groups import contrasts
from isogloss.similarity.mantel import mantel

FAMILIES = ((6, 3, 1, 1, 1), (4, 4, 4), (14, 3, 3, 2, *[1] * 8))


def pairs(count):
    names = [f"l{i:02d}" for i in range(count)]
    return zip(*combinations(names, 2), strict=True)


def matrices(rng, count, kind, rho):
    """Two matrices as (pairs × 2), whose sources go together by rho."""
    first, second = np.triu_indices(count, 1)
    mix = np.linalg.cholesky([[1, rho], [rho, 1]]).T
    if kind == "distances":
        p = rng.normal(size=(count, 3))
        q = rho * p + np.sqrt(1 - rho**2) * rng.normal(size=(count, 3))
        return np.column_stack([np.linalg.norm(x[first] - x[second], axis=1) for x in (p, q)])
    made = rng.normal(size=(len(first), 2)) @ mix
    if kind == "languages and pairs":
        effect = rng.normal(size=(count, 2)) @ mix
        made += effect[first] + effect[second]
    return made


def truth(rng, kind, rho):
    """r over endless languages."""
    if kind != "distances" or rho == 0:
        return rho
    p = rng.normal(size=(1_000_000, 2, 3))
    q = rho * p + np.sqrt(1 - rho**2) * rng.normal(size=p.shape)
    return np.corrcoef(*(np.linalg.norm(x[:, 0] - x[:, 1], axis=1) for x in (p, q)))[0, 1]


def correlations(studies):
    rng = np.random.default_rng(7)
    for count in (6, 8, 12, 30):
        a, b = pairs(count)
        for kind in ("pairs only", "languages and pairs", "distances"):
            for rho in (0.0, 0.8 if kind == "distances" else 0.5):
                true = truth(rng, kind, rho)
                found, plain = [], 0
                for seed in range(studies):
                    x, y = matrices(rng, count, kind, rho).T
                    one = mantel(a, b, x, y, permutations=1 if rho else 199, seed=seed)
                    off = abs(np.arctanh(one.r) - np.arctanh(true))
                    plain += off <= 1.96 / np.sqrt(len(a) - 3)
                    found.append(one)
                covered = np.mean([one.low <= true <= one.high for one in found])
                said = f"{count} languages, {kind}, r {true:.3f}: jackknife covers {covered:.3f}, "
                said += f"Fisher {plain / studies:.3f}"
                if rho == 0:
                    ordinary = np.mean([one.p_ordinary <= 0.05 for one in found])
                    permuted = np.mean([one.p_mantel <= 0.05 for one in found])
                    said += f"; p ≤ .05: ordinary {ordinary:.3f}, Mantel {permuted:.3f}"
                print(said, flush=True)


def groups(studies):
    rng = np.random.default_rng(3)
    for sizes in FAMILIES:
        family = np.repeat(np.arange(len(sizes)), sizes)
        a, b = pairs(len(family))
        first, second = np.triu_indices(len(family), 1)
        same = (family[first] == family[second]).astype(float)
        for effect in (0.0, 0.5):
            for strength in (0, 1):
                found = []
                for seed in range(studies):
                    own = strength * rng.normal(size=len(family))
                    y = own[first] + own[second] + rng.normal(size=len(first)) + effect * same
                    found += contrasts(a, b, same, y[:, None], permutations=199, seed=seed)
                covered = np.mean([one.low <= effect <= one.high for one in found])
                rejected = np.mean([one.p_value <= 0.05 for one in found])
                print(
                    f"families {sizes}, effect {effect}, effects of languages {strength}: "
                    f"interval covers {covered:.3f}, p ≤ .05 {rejected:.3f}",
                    flush=True,
                )


if __name__ == "__main__":
    asked = int(sys.argv[1]) if len(sys.argv) > 1 else 0
    correlations(asked or 1000)
    groups(asked or 600)
