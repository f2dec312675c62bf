"""CCA: how far two views span the same space, all directions taken alike."""

from typing import ClassVar

from isogloss.similarity.base import MeasureInfo
from isogloss.similarity.canonical import Canonical
from isogloss.similarity.cca import Rule


class Cca(Canonical):
    """Mean canonical correlation of two whole views, with no cut.

    It needs several times more sentences than features: with no more sentences than features in
    both views every coefficient is one, whatever the data, and chance is one too.
    """

    info: ClassVar[MeasureInfo] = MeasureInfo(
        title="CCA",
        source="Hotelling 1936, Biometrika 28:321; the mean coefficient as in Raghu et al. 2017, "
        "arXiv:1706.05806, and Kornblith et al. 2019, arXiv:1905.00414, table 1",
        range=(0.0, 1.0),
        larger_is_more_similar=True,
        invariances=frozenset(
            {"orthogonal", "isotropic scaling", "translation", "invertible linear"}
        ),
        cost="N min(N, D)² + min(N, D)³",
    )

    share: ClassVar[float] = 1.0  # type: ignore[misc]
    rule: ClassVar[Rule] = "squared"  # type: ignore[misc]
