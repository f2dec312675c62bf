"""What a tokeniser does to languages: the tokens that two share, and into how many each is split.

Only numbers leave this module; no token is kept.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import combinations
from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from isogloss.similarity.base import Floats

Ids = Mapping[str, Mapping[str, Sequence[int]]]
"""Language -> sentence -> ids of its tokens."""
Texts = Mapping[str, Mapping[str, str]]
"""Language -> sentence -> its text."""
Share = Literal["jaccard", "overlap", "overlap_min", "overlap_max"]
SHARES: dict[Share, str] = {
    "jaccard": "different tokens in both sentences / different tokens in either",
    "overlap": "tokens in both, repetitions counted / mean length of the two",
    "overlap_min": "tokens in both, repetitions counted / length of the shorter",
    "overlap_max": "tokens in both, repetitions counted / length of the longer",
}
"""What "the proportion of shared tokens" may mean; the study does not say."""
KINDS = ("unknown", "byte", "character")
"""Kinds of tokens that hold one character or less; see :meth:`ModelSource.tokeniser`."""
PAIRS: dict[str, pl.DataType] = {
    "language_a": pl.String(),
    "language_b": pl.String(),
    "sentences": pl.Int64(),
    **{share: pl.Float64() for share in SHARES},
}
LANGUAGES: dict[str, pl.DataType] = {
    "language": pl.String(),
    "sentences": pl.Int64(),
    "tokens": pl.Float64(),
    "per_character": pl.Float64(),
    "per_byte": pl.Float64(),
    **{kind: pl.Float64() for kind in KINDS},
}


def shared_tokens(ids: Ids) -> pl.DataFrame:
    """Share of common tokens of each pair of languages, averaged over their common sentences.

    Of two bags of tokens, those in both are counted as often as they are in the bag that has fewer
    of them. A sentence without tokens is left out.

    Args:
        ids: Tokens of parallel sentences.

    Returns:
        One row per pair of languages in alphabetical order, with ``sentences`` and one column for
        each of :data:`SHARES`; NaN where two languages have no sentence in common.
    """
    names = sorted(ids)
    sums = np.zeros((len(SHARES), len(names), len(names)))
    counts = np.zeros((len(names), len(names)), np.int64)
    for there, bags in _sentences(ids, names):
        at = np.ix_(there, there)
        counts[at] += 1
        for total, share in zip(sums, _shares(bags), strict=True):
            total[at] += share
    means = np.full_like(sums, np.nan)
    np.divide(sums, counts, out=means, where=counts > 0)
    rows = [
        (names[i], names[j], int(counts[i, j]), *means[:, i, j].tolist())
        for i, j in combinations(range(len(names)), 2)
    ]
    return pl.DataFrame(rows, schema=PAIRS, orient="row")


def _sentences(
    ids: Ids, names: Sequence[str]
) -> Iterator[tuple[NDArray[np.intp], NDArray[np.int64]]]:
    """For each sentence the languages that have it, and their (languages × tokens) counts."""
    for sentence in dict.fromkeys(s for name in names for s in ids[name]):
        found = [(i, t) for i, name in enumerate(names) if (t := ids[name].get(sentence, ()))]
        if len(found) < 2:
            continue
        lengths = [len(tokens) for _, tokens in found]
        tokens, place = np.unique(np.concatenate([t for _, t in found]), return_inverse=True)
        rows = np.repeat(np.arange(len(found)), lengths)
        bags = np.bincount(rows * tokens.size + place, minlength=len(found) * tokens.size)
        yield np.array([i for i, _ in found], np.intp), bags.reshape(len(found), -1)


def _shares(bags: NDArray[np.int64]) -> tuple[Floats, ...]:
    """(languages × languages) shares in the order of :data:`SHARES`."""
    there = (bags > 0).astype(np.float64)
    both = there @ there.T
    different = there.sum(axis=1)
    # The smaller of two counts is the number of levels that both reach.
    common, level, rest = both.copy(), 2, bags
    while (rest := rest[:, (rest >= level).sum(axis=0) > 1]).size:
        high = (rest >= level).astype(np.float64)
        common += high @ high.T
        level += 1
    length = bags.sum(axis=1).astype(np.float64)
    a, b = length[:, None], length
    return (
        both / (different[:, None] + different - both),
        common / ((a + b) / 2),
        common / np.minimum(a, b),
        common / np.maximum(a, b),
    )


def fragments(texts: Texts, ids: Ids, kind: Callable[[int], str] | None) -> pl.DataFrame:
    """Into how many tokens a tokeniser splits each language.

    Args:
        texts: The sentences.
        ids: Their tokens.
        kind: Says of a token whether it is unknown, a byte, a character or longer; None if the
            tokeniser cannot tell.

    Returns:
        One row per language: ``sentences`` with tokens, mean ``tokens`` of a sentence, tokens
        ``per_character`` (Unicode code point) and ``per_byte`` (of UTF-8), and the shares of all
        tokens that are ``unknown``, a ``byte`` or a ``character`` alone; NaN without ``kind``.
    """
    rows = []
    for name in sorted(ids):
        used = {s: t for s, t in ids[name].items() if len(t)}
        if not used:
            rows.append((name, 0, *[float("nan")] * (len(LANGUAGES) - 2)))
            continue
        tokens, counts = np.unique(np.concatenate(list(used.values())), return_counts=True)
        total = int(counts.sum())
        own = [texts[name][s] for s in used]
        shares = [float("nan")] * len(KINDS)
        if kind is not None:
            kinds = np.array([kind(int(token)) for token in tokens])
            shares = [float(counts[kinds == k].sum() / total) for k in KINDS]
        rows.append(
            (
                name,
                len(used),
                total / len(used),
                total / sum(map(len, own)),
                total / sum(len(text.encode()) for text in own),
                *shares,
            )
        )
    return pl.DataFrame(rows, schema=LANGUAGES, orient="row")
