"""Which places of a curve of text against speech come right behind a length adaptor."""

from collections.abc import Sequence

import polars as pl

POOLED = "pool"
"""Tap behind which both modalities are one vector for a sentence."""


def adapted(places: Sequence[tuple[str, str]]) -> tuple[bool, ...]:
    """Which places lie right behind a length adaptor, pooling or Q-Former.

    There the text tap is that of the place before, since speech alone went on; or both were
    pooled. The first place has none before it.

    >>> adapted([("in", "in"), ("1", "1"), ("1", "len")])
    (False, False, True)

    Args:
        places: The taps of text and of speech at each place, in order.
    """
    found = [False] * len(places)
    for i, ((text, speech), before) in enumerate(zip(places[1:], places, strict=False), start=1):
        alone = before[0] == text and before[1] != speech
        found[i] = alone or text == speech == POOLED
    return tuple(found)


def adapted_of(rows: pl.DataFrame) -> tuple[bool, ...]:
    """The same for the places of some scores, in order of depth and position.

    Args:
        rows: With the columns of ``results.SCHEMA``, text as ``a`` and speech as ``b``.
    """
    places = rows.select("label", "depth", "position", "tap_a", "tap_b").unique()
    taps = places.sort("depth", "position").select("tap_a", "tap_b")
    return adapted(list(taps.iter_rows()))
