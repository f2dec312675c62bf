"""In which order the languages of a matrix stand: by family, or by hierarchical clustering."""

from collections.abc import Mapping, Sequence

import numpy as np

from isogloss.languages import language
from isogloss.similarity.base import Floats

Cells = Mapping[tuple[str, str], float]
"""(language, language), in alphabetical order -> how alike they are."""


def square(names: Sequence[str], cells: Cells) -> Floats:
    """The whole matrix, with NaN on its diagonal and where there is no score."""
    table = np.full((len(names), len(names)), np.nan)
    for i, a in enumerate(names):
        for j, b in enumerate(names):
            if i != j:
                table[i, j] = cells.get((min(a, b), max(a, b)), np.nan)
    return table


def by_family(names: Sequence[str]) -> list[str]:
    """Large families first, then by name, script and code."""
    families = [language(name).family for name in names]

    def key(name: str) -> tuple[int, str, str, str]:
        spoken = language(name)
        return -families.count(spoken.family), spoken.family, spoken.script, name

    return sorted(names, key=key)


def by_clusters(names: Sequence[str], table: Floats) -> tuple[list[str], float]:
    """Order by average linkage on 1 − similarity, with the leaves in their best order.

    Similarities above 1 count as 1. Source: Sokal and Michener 1958, University of Kansas Science
    Bulletin 38:1409 (linkage); Bar-Joseph, Gifford and Jaakkola 2001, Bioinformatics 17:S22
    (leaves); Sokal and Rohlf 1962, Taxon 11:33 (cophenetic correlation).

    Args:
        names: Languages.
        table: (languages × languages) similarities.

    Returns:
        The order, and how well the tree keeps the distances (cophenetic correlation); the given
        order and NaN for fewer than three languages, or where a pair has no score.
    """
    from scipy.cluster.hierarchy import cophenet, leaves_list, linkage

    upper = np.triu_indices(len(names), 1)
    if len(names) < 3 or np.isnan(table[upper]).any():
        return list(names), float("nan")
    distances = np.maximum(1 - table[upper], 0.0)
    tree = linkage(distances, "average", optimal_ordering=True)
    order = [names[i] for i in leaves_list(tree)]
    joined = cophenet(tree)
    if not (np.ptp(distances) and np.ptp(joined)):
        return order, float("nan")
    return order, float(np.corrcoef(distances, joined)[0, 1])
