"""SVCCA: how far the leading directions of two views span the same space."""

from typing import ClassVar

from numpy.typing import ArrayLike

from isogloss.settings import setting
from isogloss.similarity import cca
from isogloss.similarity.base import MeasureInfo, Score
from isogloss.similarity.canonical import Canonical
from isogloss.similarity.chance import Mean
from isogloss.similarity.shuffles import Shuffles


class Svcca(Canonical):
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
        cost="N³ + k³, or k³ where views share a set of sentences",
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


def svcca(
    x: ArrayLike,
    y: ArrayLike,
    *,
    share: float = 0.9,
    rule: cca.Rule = "squared",
    mean: Mean = "all",
    epsilon: float = 1e-10,
    zscore: bool = False,
    covariates: ArrayLike | None = None,
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
        zscore: Divide each feature by its standard deviation first.
        covariates: (sentences × confounds) to take out of both views, such as lengths.
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
    measure = Svcca(share=share, rule=rule, mean=mean, epsilon=epsilon, zscore=zscore)
    return measure.compare(
        measure.prepare(x),
        measure.prepare(y),
        covariates=covariates,
        shuffles=Shuffles(permutations, seed),
    )
