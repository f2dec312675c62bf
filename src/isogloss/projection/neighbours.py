"""Who is next to whom in the space that a map was made from, in numbers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from isogloss.projection.space import Floats, Space


@dataclass(frozen=True)
class Neighbourhood:
    """Shares of neighbours per language, each beside what points without order would give.

    All are (languages,) or (languages × languages), NaN where a share is not defined.
    """

    languages: tuple[str, ...]
    language: Floats
    """Share of the k nearest neighbours of a language's points that are of the language."""
    language_chance: Floats
    family: Floats
    """Among neighbours in other languages: share of the k nearest that are of the family. NaN for
    a language that is alone in its family."""
    family_chance: Floats
    retrieval: Floats
    """[a, b]: share of the sentences in a whose nearest sentence in b is their translation; among
    the sentences that both have."""
    retrieval_chance: Floats
    """[a, b]: one over the number of sentences that both have."""


def neighbourhood(
    found: Space,
    languages: Sequence[str],
    sentences: Sequence[str],
    families: Mapping[str, str],
    *,
    k: int = 10,
) -> Neighbourhood:
    """Count neighbours in the original space.

    Ties are shared: if the last places among k neighbours could go to several points that are
    equally far, each of them counts in part. Points that are all alike get chance.

    Args:
        found: The points.
        languages: Language of each row of the input that ``found`` was made from.
        sentences: Sentence of each row.
        families: Language -> family; unknown or empty is a family of its own.
        k: Number of neighbours; at most all of the others.
    """
    names = tuple(sorted(set(languages)))
    rank = {name: i for i, name in enumerate(names)}
    own = np.array([rank[languages[i]] for i in found.kept], dtype=np.intp)
    ids = [sentences[i] for i in found.kept]
    groups = [families.get(name) or f"\0{name}" for name in names]
    family = np.array([sorted(set(groups)).index(g) for g in groups], dtype=np.intp)[own]
    squared = found.squared_distances()
    np.fill_diagonal(squared, np.inf)
    alike = own[:, None] == own
    same = _shares(squared, alike, ~np.eye(len(own), dtype=bool), k)
    kin = _shares(squared, family[:, None] == family, ~alike, k)
    of_language, of_family = (_by_language(x, own, len(names)) for x in (same, kin))
    retrieval, chance = _retrieval(squared, own, ids, len(names))
    return Neighbourhood(
        names, of_language[0], of_language[1], of_family[0], of_family[1], retrieval, chance
    )


def _shares(
    squared: Floats, wanted: NDArray[np.bool_], allowed: NDArray[np.bool_], k: int
) -> tuple[Floats, Floats]:
    """Share of each point's k nearest allowed points that are wanted, and its chance level."""
    distances = np.where(allowed, squared, np.inf)
    available = allowed.sum(axis=1)
    used = np.minimum(k, available)
    share, chance = np.full(len(squared), np.nan), np.full(len(squared), np.nan)
    candidates = (wanted & allowed).sum(axis=1)
    # Without a candidate the share could only be 0, whatever the points do.
    usable = np.flatnonzero((used > 0) & (candidates > 0))
    chance[usable] = candidates[usable] / available[usable]
    ordered = np.partition(distances, min(k, len(squared)) - 1, axis=1) if len(squared) else None
    for i in usable:
        if ordered is None:
            break
        near = np.sort(ordered[i, : min(k, len(squared))])[: used[i]]
        last = near[-1]
        inside = distances[i] < last
        tied = distances[i] == last
        places = used[i] - inside.sum()
        hits = (inside & wanted[i]).sum() + places * (tied & wanted[i]).sum() / tied.sum()
        share[i] = hits / used[i]
    return share, chance


def _by_language(
    values: tuple[Floats, Floats], own: NDArray[np.intp], count: int
) -> tuple[Floats, Floats]:
    """Means over the points of each language."""
    out = np.full((2, count), np.nan)
    for row, points in zip(out, values, strict=True):
        for language in range(count):
            found = points[own == language]
            found = found[np.isfinite(found)]
            if found.size:
                row[language] = found.mean()
    return out[0], out[1]


def _retrieval(
    squared: Floats, own: NDArray[np.intp], ids: Sequence[str], count: int
) -> tuple[Floats, Floats]:
    found, chance = np.full((count, count), np.nan), np.full((count, count), np.nan)
    rows = [
        {ids[i]: i for i in np.flatnonzero(own == language).tolist()} for language in range(count)
    ]
    for a in range(count):
        for b in range(count):
            shared = [s for s in rows[a] if s in rows[b]]
            if a == b or not shared:
                continue
            block = squared[np.ix_([rows[a][s] for s in shared], [rows[b][s] for s in shared])]
            nearest = block.min(axis=1)
            ties = (block == nearest[:, None]).sum(axis=1)
            found[a, b] = float(((np.diagonal(block) == nearest) / ties).mean())
            chance[a, b] = 1 / len(shared)
    return found, chance
