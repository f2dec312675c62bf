"""What unrelated views score: the expected mean canonical correlation of random subspaces.

Let p <= q be the kept dimensions and n the degrees of freedom (the sentences less one, which
centring takes). If p + q > n the two subspaces must share p + q - n directions, whose correlations
are one, and the others are those of the orthogonal complements; so p + q <= n is enough. Then the
squared correlations have the density (James 1964, Annals of Mathematical Statistics 35:475)

    const * prod_i x_i^((q-p-1)/2) (1-x_i)^((n-q-p-1)/2) * prod_{i<j} |x_i - x_j|

which is the Jacobi ensemble with beta = 1. It holds exactly if one of the views is Gaussian noise.
"""

from functools import cache, lru_cache
from typing import Literal, NamedTuple

import numpy as np
from numpy.polynomial import legendre
from numpy.typing import NDArray

from isogloss.errors import MeasureError, unknown
from isogloss.similarity.threads import one_thread

Mean = Literal["all", "98"]
Floats = NDArray[np.float64]

CUT = 0.98
"""Share of the sum of the coefficients that ``mean="98"`` averages, as in google/svcca."""
EXACT = 32
"""Up to this many coefficients the expectation is computed exactly."""
NODES = 160


def wachter(k_x: int, k_y: int, n: int, *, mean: Mean = "all") -> float:
    """Expected score of two unrelated views, in closed form.

    For ``mean="all"`` the value is exact (1e-9) up to 32 coefficients that are not forced, and
    beyond that the law of Wachter (1980, Annals of Statistics 8:937) with its first correction
    for finite size, within 2e-4. For ``mean="98"`` the law is cut where its running sum reaches
    98 %: within 0.005 from 10 coefficients on, within 0.015 below; exact for one.

    Epsilon is taken as negligible, as it is unless nearly all variance is kept.

    Args:
        k_x: Kept dimensions of the first view.
        k_y: Kept dimensions of the second view.
        n: Number of sentences.
        mean: Which mean of the coefficients, see :class:`Svcca`.

    Raises:
        MeasureError: A number of dimensions is below 1 or above n - 1, or ``mean`` is unknown.
    """
    mean = "98" if str(mean) == "98" else mean
    if mean not in ("all", "98"):
        raise MeasureError(unknown("mean", mean, ["all", "98"]))
    for k in (k_x, k_y):
        if not 1 <= k <= n - 1:
            raise MeasureError(
                f"{n} sentences leave between 1 and {n - 1} dimensions, but {k} are said to be kept"
            )
    return _expected(min(k_x, k_y), max(k_x, k_y), n - 1, mean)


@lru_cache(maxsize=2**16)
@one_thread()
def _expected(p: int, q: int, n: int, mean: Mean) -> float:
    forced = max(0, p + q - n)
    if forced:
        p, q = n - q, n - p
    if p == 0:
        return 1.0
    if mean == "98" and p + forced > 1:
        return _law_cut(p, q, n, forced)
    inner = _exact(p, q, n) if p <= EXACT else _law_mean(p, q, n)
    return (forced + p * inner) / (p + forced)


class _Law(NamedTuple):
    """The limiting law of one coefficient on a grid, from the largest to the smallest."""

    values: Floats
    mass: Floats
    edges: tuple[float, float]


def _law(p: int, q: int, n: int, angles: Floats, weights: Floats) -> _Law:
    """Wachter's density of x, with x = middle + half * cos(angle), which takes out its roots."""
    a, b = p / n, q / n
    cross, straight = np.sqrt(b * (1 - a)), np.sqrt(a * (1 - b))
    low, high = float(cross - straight), float(cross + straight)
    middle, half = (high**2 + low**2) / 2, (high**2 - low**2) / 2
    x = middle + half * np.cos(angles)
    mass = (half * np.sin(angles)) ** 2 / (2 * np.pi * a * x * (1 - x)) * weights
    return _Law(np.sqrt(x), mass, (low, high))


@cache
def _angles(count: int) -> tuple[Floats, Floats]:
    nodes, weights = legendre.leggauss(count)
    return (nodes + 1) * (np.pi / 2), weights * (np.pi / 2)


def _law_mean(p: int, q: int, n: int) -> float:
    """The law's mean, plus the 1/p term common to all ensembles with beta = 1.

    The term puts a quarter of one coefficient at each edge and takes half of one away, spread by
    the arcsine law (Bai and Silverstein 2004, Annals of Probability 32:553, equation 5.13).
    """
    angles, weights = _angles(256)
    law = _law(p, q, n, angles, weights)
    arcsine = float(law.values @ weights) / np.pi
    return (
        float(law.values @ law.mass) / float(law.mass.sum())
        + (sum(law.edges) / 4 - arcsine / 2) / p
    )


def _law_cut(p: int, q: int, n: int, forced: int) -> float:
    """Mean of the leading coefficients that make up 98 % of their sum, from the law."""
    size = 4000
    angles = (np.arange(size, dtype=np.float64) + 0.5) * (np.pi / size)
    law = _law(p, q, n, angles, np.full_like(angles, np.pi / size))
    mass = law.mass * (p / law.mass.sum())
    counts, sums = forced + mass.cumsum(), forced + (mass * law.values).cumsum()
    target = CUT * float(sums[-1])
    if forced >= target:
        return 1.0
    at = int(np.searchsorted(sums, target))
    # The coefficient that crosses the target is averaged too; on average half of it lies beyond.
    beyond = min(0.5, p + forced - float(counts[at]))
    return float((sums[at] + beyond * law.values[at]) / (counts[at] + beyond))


@cache
def _quadrature() -> tuple[Floats, Floats, Floats]:
    """Nodes and weights on [-1, 1], and the matrix that integrates from -1 to each node."""
    nodes, weights = legendre.leggauss(NODES)
    basis = legendre.legvander(nodes, NODES)
    degrees = np.arange(NODES)
    integrals = np.empty((NODES, NODES))
    integrals[:, 0] = nodes + 1
    integrals[:, 1:] = (basis[:, 2:] - basis[:, :-2]) / (2 * degrees[1:] + 1)
    to_coefficients = (2 * degrees[:, None] + 1) / 2 * basis[:, :NODES].T * weights
    return nodes, weights, integrals @ to_coefficients


def _exact(p: int, q: int, n: int) -> float:
    """Mean of sqrt(x) over the ensemble, exactly, for p <= q and p + q <= n.

    By de Bruijn's integration formula the normalising constant is a Pfaffian: with a basis f_j of
    polynomials times the weight, that of A_jk = double integral of sign(y - x) f_j(x) f_k(y), with
    a border of single integrals if p is odd. Replacing the weight by weight * (1 + t sqrt(x)) and
    deriving by t at 0 gives half the trace of A^-1 A'. With x = sin(u)^2 nothing is singular.
    """
    nodes, weights, integrate = _quadrature()
    start, stop = _support(p, q, n)
    half = (stop - start) / 2
    u, weights = start + half * (nodes + 1), weights * half
    root, x = np.sin(u), np.sin(u) ** 2
    log_weight = (q - p) * np.log(root) + (n - q - p) * np.log(np.cos(u))
    scale = np.sqrt(weights)
    basis = np.empty((NODES, p))
    basis[:, 0] = np.exp(log_weight - log_weight.max()) * scale
    for j in range(p):
        column = basis[:, 0] if j == 0 else x * basis[:, j - 1]
        for _ in range(2):
            column = column - basis[:, :j] @ (basis[:, :j].T @ column)
        basis[:, j] = column / np.sqrt(column @ column)
    basis /= scale[:, None]
    weighted, risen = basis * weights[:, None], basis * root[:, None]
    signed = weights @ basis - 2 * half * (integrate @ basis)
    signed_risen = weights @ risen - 2 * half * (integrate @ risen)
    matrix = np.zeros((p + p % 2, p + p % 2))
    slope = np.zeros_like(matrix)
    matrix[:p, :p] = weighted.T @ signed
    slope[:p, :p] = (weighted * root[:, None]).T @ signed + weighted.T @ signed_risen
    if p % 2:
        matrix[:p, p], slope[:p, p] = weights @ basis, weights @ risen
        matrix[p, :p], slope[p, :p] = -matrix[:p, p], -slope[:p, p]
    return float(np.trace(np.linalg.solve(matrix, slope))) / (2 * p)


@cache
def _logs() -> tuple[Floats, Floats, Floats]:
    u = np.linspace(0, np.pi / 2, 2002)[1:-1]
    return u, np.log(np.sin(u)), np.log(np.cos(u))


def _support(p: int, q: int, n: int) -> tuple[float, float]:
    """The interval of u outside of which all functions of the basis vanish in double precision."""
    u, log_sin, log_cos = _logs()
    reached = np.zeros(u.size, dtype=bool)
    for left in (q - p, q + p - 2):
        for right in (n - q - p, n - q + p - 2):
            size = left * log_sin + right * log_cos
            reached |= size > size.max() - 60
    start, stop = u[reached][[0, -1]]
    return (0.0 if reached[0] else float(start)), (np.pi / 2 if reached[-1] else float(stop))
