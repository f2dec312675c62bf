"""Comparisons on halves of the sentences: what other sentences would have given."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

import numpy as np
import polars as pl

from isogloss.analyses._claims import Table, tables
from isogloss.analyses.base import Comparison, Scoring
from isogloss.errors import IsoglossError
from isogloss.results import NULL
from isogloss.similarity.base import Measure
from isogloss.similarity.intervals import FEWEST

SPLITS_HELP = "Number of times the sentences are split at random into two halves."
WHOLE = -1
"""The split of scores of all sentences."""
SHUFFLES = 20
"""Shuffles of a half, for measures without chance in closed form."""
KEPT = (
    "analysis", "measure", "control", "group", "label", "position", "depth", "language_a",
    "language_b", "tap_a", "tap_b", "n", "score", "calibrated", "chance", "null_mean",
    "permutations", "best", "reason",
)  # fmt: skip
"""Columns of a table of results that a table of halves has too."""


def halved(
    comparisons: Iterable[Comparison], splits: int, seed: int
) -> list[tuple[Comparison, int, int]]:
    """Make of each comparison one for each half of each split.

    The sentences of all comparisons together are split, so that no sentence is in the first half
    of one comparison and in the second half of another. All halves have one number of sentences:
    that of the smallest.

    Returns:
        Comparison, number of the split, and 0 or 1 for the half. Comparisons of fewer than 40
        sentences are left out.

    Raises:
        IsoglossError: No comparison has so many, or a half of some has fewer than half as many.
    """
    usable = [c for c in comparisons if len(c.sentences) >= FEWEST]
    if not usable:
        raise IsoglossError(
            f"it takes comparisons of {FEWEST} sentences or more to score halves of them; "
            "take more sentences"
        )
    every = sorted({s for c in usable for s in c.sentences})
    rng = np.random.default_rng([seed, len(every)])
    sides = []
    for _ in range(splits):
        order = rng.permutation(len(every))
        sides.append({every[i]: place for place, i in enumerate(order)})
    middle = len(every) / 2
    found = []
    for split, rank in enumerate(sides):
        for c in usable:
            # In random order, so that those beyond the common number are left out at random.
            ordered = sorted(c.sentences, key=rank.__getitem__)
            first = tuple(s for s in ordered if rank[s] < middle)
            found.append((replace(c, sentences=first, interval=False), split, 0))
            rest = ordered[len(first) :]
            found.append((replace(c, sentences=tuple(rest), interval=False), split, 1))
    n = min(len(c.sentences) for c, _, _ in found)
    if n < FEWEST / 4:
        raise IsoglossError(
            f"a half of the sentences of some comparison has only {n}; the languages have too few "
            "sentences in common"
        )
    return [(replace(c, sentences=c.sentences[:n]), split, half) for c, split, half in found]


class Source(Protocol):
    """What scores come from, such as the material of a run."""

    @property
    def study(self) -> Mapping[str, Any]:
        """The seed and the confounds, as the study has them."""

    @property
    def score(self) -> Scoring:
        """Scores comparisons."""


def scored(
    material: Source, measure: Measure, comparisons: Sequence[Comparison], splits: int
) -> pl.DataFrame:
    """Score comparisons on halves of their sentences.

    Returns:
        The columns of :data:`KEPT`, with ``split`` and ``half``.

    Raises:
        IsoglossError: As :func:`halved`.
    """
    parts = halved(comparisons, splits, material.study["seed"])
    # As compare puts them, so that rows can be told apart by their place.
    parts.sort(key=lambda p: (p[0].group, p[0].position, p[0].label))
    trial = material.score([parts[0][0]], [measure])
    closed = bool(trial["chance"].is_not_nan().all())
    frame = material.score(
        [c for c, _, _ in parts],
        [measure],
        permutations=0 if closed else SHUFFLES,
        confounds=bool(material.study["confounds"]),
    )
    numbers = pl.DataFrame(
        [(c.a.language, c.b.language, c.a.tap, c.b.tap, s, h) for c, s, h in parts],
        schema=["a", "b", "t", "u", "split", "half"],
        orient="row",
    )
    found = []
    for _, rows in frame.group_by("control", maintain_order=True):
        beside = pl.concat([rows, numbers], how="horizontal")
        same = beside.select(
            (pl.col("language_a") == pl.col("a"))
            & (pl.col("language_b") == pl.col("b"))
            & (pl.col("tap_a") == pl.col("t"))
            & (pl.col("tap_b") == pl.col("u"))
        ).to_series()
        if rows.height != numbers.height or not same.all():
            raise AssertionError("scores came in another order than the comparisons")
        found.append(beside.select(*KEPT, "split", "half"))
    return pl.concat(found)


def whole(frame: pl.DataFrame) -> pl.DataFrame:
    """The scores of all sentences, with the columns of a table of halves."""
    number = pl.lit(WHOLE, dtype=pl.Int64)
    return frame.select(*KEPT, number.alias("split"), number.alias("half"))


def with_halves(frame: pl.DataFrame, *, fitted: bool = True) -> Iterator[Table]:
    """The scores of one measure in each kind, with those of halves beside them.

    Args:
        frame: Rows of :func:`whole` and of :func:`scored`.
        fitted: Stretch raw scores of halves to the room that all sentences leave above chance, so
            that differences between halves are on the scale of the scores of all sentences. With
            half the sentences chance is higher, and everything above it closer together.
    """
    parts = frame.filter(pl.col("split") != WHOLE)
    if fitted:
        parts = _fitted(parts, frame.filter(split=WHOLE))
    each = dict(parts.group_by("split", "half"))
    counted = {key: {t.scores: t for t in tables(part)} for key, part in each.items()}
    for table in tables(frame.filter(split=WHOLE)):
        own = {key: found[table.scores] for key, found in counted.items() if table.scores in found}
        if len(own) < len(counted) or not own:
            yield table
            continue
        yield replace(table, halves=_stack(table, own), share=_share(frame))


def _fitted(halves: pl.DataFrame, all_: pl.DataFrame) -> pl.DataFrame:
    room = (pl.col("best") - NULL).fill_nan(None).mean()
    cell = ["control", "group", "position", "label", "language_a", "language_b", "tap_a", "tap_b"]
    rooms = (
        all_.group_by(cell).agg(_whole=room).join(halves.group_by(cell).agg(_half=room), on=cell)
    )
    ratio = pl.when(pl.col("_whole") / pl.col("_half") > 0).then(pl.col("_whole") / pl.col("_half"))
    return (
        halves.join(rooms, on=cell, how="left", maintain_order="left")
        .with_columns(score=pl.col("score") * ratio.otherwise(1.0).fill_null(1.0))
        .drop("_whole", "_half")
    )


def _share(frame: pl.DataFrame) -> float:
    n = {
        name: frame.filter((pl.col("split") == WHOLE) == (name == "whole"))["n"].median()
        for name in ("whole", "half")
    }
    return min(1.0, 2 * float(n["half"]) / float(n["whole"]))  # type: ignore[arg-type]


def _stack(table: Table, own: dict[tuple[object, ...], Table]) -> np.ndarray:
    """(splits × 2 × rows × columns), NaN for rows that halves do not have."""
    rows = table.rows
    columns = {c: i for i, c in enumerate(table.columns)}
    splits = 1 + max(int(str(split)) for split, _ in own)
    values = np.full((splits, 2, len(rows), len(columns)), np.nan)
    for (split, half), part in own.items():
        at = {r: i for i, r in enumerate(part.rows)}
        to = [columns[c] for c in part.columns if c in columns]
        kept = [i for i, c in enumerate(part.columns) if c in columns]
        for i, r in enumerate(rows):
            if r in at:
                values[int(str(split)), int(str(half)), i, to] = part.values[at[r], kept]
    return values
