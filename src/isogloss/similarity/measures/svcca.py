"""SVCCA: how far the leading directions of two views span the same space."""

from typing import Annotated, Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike
from pydantic import BeforeValidator

from isogloss.errors import MeasureError
from isogloss.settings import setting
from isogloss.similarity import cca
from isogloss.similarity.base import Measure, MeasureInfo, Rows, Score
from isogloss.similarity.baseline import gaussian_baseline
from isogloss.similarity.chance import Mean, wachter
from isogloss.similarity.threads import one_thread
from isogloss.similarity.view import View

FEW = 10
"""A view that keeps fewer dimensions than this is warned about."""


def _as_text(value: Any) -> Any:
    return "98" if value == 98 and not isinstance(value, str) else value


class Svcca(Measure):
    """Singular vector canonical correlation analysis.

    Each view is centred and cut to its leading principal directions; the score is the mean of the
    canonical correlations of what is left. With Q the kept left singular vectors of a view and D
    the diagonal matrix of epsilon's weights they are the singular values of D_x Q_x' Q_y D_y.
    """

    info: ClassVar[MeasureInfo] = MeasureInfo(
        title="SVCCA",
        source="Raghu et al. 2017, arXiv:1706.05806, section 2; epsilon and the 98 % mean as in "
        "google/svcca, cca_core.py (2019)",
        range=(0.0, 1.0),
        larger_is_more_similar=True,
        invariances=frozenset({"orthogonal", "isotropic scaling", "translation"}),
    )

    share: float = setting(
        0.9, role="analysis", help="Share of each view's variance to keep.", gt=0, le=1
    )
    rule: cca.Rule = setting(
        "squared",
        role="analysis",
        help='What the share is of: the sum of "squared" singular values, or of the values '
        'themselves ("linear").',
    )
    mean: Annotated[Mean, BeforeValidator(_as_text)] = setting(
        "all",
        role="analysis",
        help='Average "all" coefficients, or the leading ones that make up "98" % of their sum.',
    )
    epsilon: float = setting(
        1e-10,
        role="analysis",
        help="Drop directions below this share of the largest variance, and damp those near it.",
        ge=0,
        lt=1,
    )

    def prepare(self, x: ArrayLike) -> View:
        """Check a view and form what its comparisons share; none of the options matter yet.

        Args:
            x: (sentences × features), any real type.

        Raises:
            MeasureError: It is no matrix of real numbers, or has no features.
        """
        return View(x)

    @one_thread()
    def compare(
        self,
        a: View,
        b: View,
        *,
        rows_a: Rows | None = None,
        rows_b: Rows | None = None,
        permutations: int = 0,
        rng: np.random.Generator | None = None,
    ) -> Score:
        """Compare two prepared views, on a subset of their sentences if rows are given.

        The score is NaN, with a reason, if there are fewer than three sentences, if one of those
        compared holds a value that is not finite, or if a view does not vary between them.

        Args:
            a: First view, from :meth:`prepare`.
            b: Second view.
            rows_a: Row numbers into the first view, in the order of the common sentences.
            rows_b: Row numbers into the second view, aligned with ``rows_a``.
            permutations: Number of shuffles of the sentences for the null; 0 for none.
            rng: Source of the shuffles; required if ``permutations`` > 0.

        Raises:
            MeasureError: The numbers of sentences differ, a row does not exist, or shuffles are
                asked for without ``rng``.
        """
        rows_a, rows_b = _rows(a, rows_a), _rows(b, rows_b)
        n = rows_a.size
        if n != rows_b.size:
            raise MeasureError(
                f"the views must have the same sentences, but {_size(a, n)} are compared with "
                f"{_size(b, rows_b.size)}; pass rows_a and rows_b to say which belong together"
            )
        if permutations < 0 or (permutations and rng is None):
            raise MeasureError("permutations must be 0, or more than 0 with rng given")
        if n < 3:
            return _undefined(n, f"at least 3 sentences are needed, there are {n}")
        sides = (("first", a, rows_a), ("second", b, rows_b))
        for name, view, rows in sides:
            bad = rows[np.isin(rows, view.bad)]
            if bad.size:
                many = "1 sentence" if bad.size == 1 else f"{bad.size} sentences"
                return _undefined(
                    n, f"the {name} view has NaN or infinity in {many}, first in row {bad.min()}"
                )
        bases = []
        for name, view, rows in sides:
            whole = view.decompose(rows)
            if not whole.values.size:
                return _undefined(n, f"the {name} view does not vary between the {n} sentences")
            bases.append(
                cca.truncate(whole, share=self.share, rule=self.rule, epsilon=self.epsilon)
            )
        x, y = bases
        first, second = cca.in_order(x, y)
        coefs = cca.coefficients(first, second)
        score = cca.average(coefs, self.mean).item()
        null = np.empty(0)
        if rng is not None and permutations:
            null = cca.permuted(first, second, mean=self.mean, permutations=permutations, rng=rng)
        nan = float("nan")
        return Score(
            score=score,
            n=n,
            k_x=x.k,
            k_y=y.k,
            coefficients=coefs,
            chance=wachter(x.k, y.k, n, mean=self.mean),
            null_mean=float(null.mean()) if null.size else nan,
            null_sd=float(null.std(ddof=1)) if null.size > 1 else nan,
            p_value=cca.p_value(score, null) if null.size else nan,
            permutations=permutations,
            warnings=_warnings(a, b, x.k, y.k, n),
        )

    def baseline(self, n: int, d_x: int, d_y: int, *, seed: int = 0) -> float:
        """The study's baseline: the score of Gaussian vectors of the same shapes.

        See :func:`isogloss.similarity.gaussian_baseline`.
        """
        return gaussian_baseline(
            n,
            d_x,
            d_y,
            share=self.share,
            rule=self.rule,
            mean=self.mean,
            epsilon=self.epsilon,
            seed=seed,
        )


def svcca(
    x: ArrayLike,
    y: ArrayLike,
    *,
    share: float = 0.9,
    rule: cca.Rule = "squared",
    mean: Mean = "all",
    epsilon: float = 1e-10,
    permutations: int = 0,
    seed: int = 0,
) -> Score:
    """SVCCA score of two views of the same sentences, with what chance would give.

    Args:
        x: (sentences × features) of the first view, any real type.
        y: (sentences × features) of the second view; row i of both is the same sentence.
        share: Share of each view's variance to keep, above 0 and at most 1.
        rule: What the share is of: ``"squared"`` singular values, which is variance, or the values
            themselves (``"linear"``).
        mean: ``"all"`` averages all coefficients, ``"98"`` the leading ones that make up 98 % of
            their sum.
        epsilon: Directions below this share of the largest variance are dropped.
        permutations: Number of shuffles of the sentences for the null and p-value; 0 for none.
        seed: Of the shuffles.

    Returns:
        The score. It is NaN with a reason where it is not defined: fewer than three sentences,
        values that are not finite, or a view that does not vary.

    Raises:
        MeasureError: An array is no real matrix, or the numbers of sentences differ.
        StudyError: An option is out of its range.

    >>> rng = np.random.default_rng(0)
    >>> x = rng.standard_normal((100, 8))
    >>> round(svcca(x, 3 * x + 1).score, 6)
    1.0
    """
    measure = Svcca(share=share, rule=rule, mean=mean, epsilon=epsilon)
    rng = np.random.default_rng(seed) if permutations > 0 else None
    a, b = measure.prepare(x), measure.prepare(y)
    return measure.compare(a, b, permutations=permutations, rng=rng)


def _rows(view: View, rows: Rows | None) -> Rows:
    if rows is None:
        return np.arange(view.shape[0], dtype=np.intp)
    found = np.asarray(rows)
    if found.ndim != 1 or (found.size and found.dtype.kind not in "iu"):
        raise MeasureError(
            f"rows must be a list of row numbers, not {found.dtype} of shape {found.shape}"
        )
    outside = found[(found < 0) | (found >= view.shape[0])]
    if outside.size:
        raise MeasureError(f"row {outside[0]} does not exist in a view of shape {view.shape}")
    return np.ascontiguousarray(found, dtype=np.intp)


def _size(view: View, n: int) -> str:
    return f"{n} rows of shape {view.shape}"


def _undefined(n: int, reason: str) -> Score:
    return Score(score=float("nan"), n=n, reason=reason)


def _warnings(a: View, b: View, k_x: int, k_y: int, n: int) -> tuple[str, ...]:
    found = []
    forced = k_x + k_y - (n - 1)
    if forced > 0:
        found.append(
            f"{forced} of {min(k_x, k_y)} coefficients are one whatever the data: {k_x} and {k_y} "
            f"dimensions do not fit side by side into the {n - 1} of {n} sentences"
        )
    for name, view, k in (("first", a, k_x), ("second", b, k_y)):
        if k < FEW:
            what = "1 dimension" if k == 1 else f"{k} dimensions"
            found.append(f"the {name} view keeps only {what}")
        found.extend(f"the {name} view: {warning}" for warning in view.warnings)
    return tuple(found)
