"""Rows of the maps: which taps stand together, places of sentences, shares of neighbours."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from isogloss.analyses.base import Contents, Material, ViewKey
from isogloss.corpora.base import Modality
from isogloss.languages import languages
from isogloss.projection import Metric, Neighbourhood, follow, neighbourhood, project, space

SCHEMA: dict[str, Any] = {
    "kind": pl.String,
    "label": pl.String,
    "printed": pl.Boolean,
    "modality": pl.String,
    "tap": pl.String,
    "depth": pl.Float64,
    "position": pl.Int64,
    "language": pl.String,
    "partner": pl.String,
    "sentence": pl.String,
    "text": pl.String,
    "x": pl.Float64,
    "y": pl.Float64,
    "number": pl.String,
    "value": pl.Float64,
    "chance": pl.Float64,
    "neighbours": pl.Int64,
    "metric": pl.String,
    "perplexity": pl.Float64,
    "seed": pl.Int64,
    "divergence": pl.Float64,
    "points": pl.Int64,
    "left_out": pl.Int64,
    "components": pl.Int64,
    "rounds": pl.Int64,
    "made_by": pl.String,
    "reason": pl.String,
}
LANGUAGE, FAMILY, RETRIEVAL = "same language", "same family", "translation"
MODALITIES: tuple[Modality, ...] = ("text", "speech")


@dataclass(frozen=True)
class Stage:
    """One step of the slider: the tap of each modality that is shown."""

    label: str
    taps: Mapping[Modality, tuple[str, float]]
    printed: bool


@dataclass(frozen=True)
class Order:
    """All steps in order."""

    steps: tuple[Stage, ...]

    def places(self) -> list[tuple[Modality, str]]:
        """Each (modality, tap) once, in order within its modality."""
        found = [(m, step.taps[m][0]) for m in MODALITIES for step in self.steps if m in step.taps]
        return list(dict.fromkeys(found))

    def frame(self) -> pl.DataFrame:
        """Rows of kind ``step``."""
        rows = [
            {
                "kind": "step",
                "label": step.label,
                "printed": step.printed,
                "modality": modality,
                "tap": tap,
                "depth": depth,
                "position": i,
            }
            for i, step in enumerate(self.steps)
            for modality, (tap, depth) in step.taps.items()
        ]
        return pl.DataFrame(rows, schema=SCHEMA)


def order(contents: Contents, middle: float) -> Order:
    """Which taps are shown together: the pairs of taps, or the taps of the only modality.

    Args:
        contents: Of the run. A modality with fewer than two languages has no maps.
        middle: Relative depth whose nearest tap is printed; of text where there is text.
    """
    shown = [m for m in MODALITIES if sum(own == m for _, own in contents.sentences) > 1]
    depths = {m: dict(contents.taps.get(m, ())) for m in shown}
    found: list[tuple[str, dict[Modality, tuple[str, float]]]] = []
    if len(shown) > 1:
        for pair in contents.pairs:
            taps = {"text": pair.text, "speech": pair.speech}
            if all(taps[m] in depths[m] for m in shown):
                found.append((pair.label, {m: (taps[m], depths[m][taps[m]]) for m in shown}))
    elif shown:
        only = shown[0]
        found = [(tap, {only: (tap, depth)}) for tap, depth in contents.taps[only]]
    if not found:
        return Order(())
    # Of taps that are equally near the first, so that the one after an adaptor is not taken.
    off = [abs(taps[shown[0]][1] - middle) for _, taps in found]
    best = int(np.argmin(np.round(off, 9)))
    return Order(tuple(Stage(label, taps, i == best) for i, (label, taps) in enumerate(found)))


def chosen(contents: Contents, count: int) -> tuple[str, ...]:
    """The sentences that most languages and modalities have, in the order of the corpus."""
    have = Counter(s for ids in contents.sentences.values() for s in ids)
    place = {s: i for i, s in enumerate(have)}
    best = sorted(have, key=lambda s: (-have[s], place[s]))[:count]
    return tuple(sorted(best, key=place.__getitem__))


def tap_rows(
    material: Material,
    modality: Modality,
    tap: str,
    ids: tuple[str, ...],
    *,
    perplexity: float,
    metric: Metric,
    neighbours: int,
) -> pl.DataFrame:
    """Map and neighbours at one tap: rows of kind ``map``, ``point``, ``share`` and ``pair``."""
    views, spoken, said = [], [], []
    for language in sorted(x for x, m in material.contents.sentences if m == modality):
        own = material.contents.sentences[language, modality]
        rows = {s: i for i, s in enumerate(own)}
        wanted = [s for s in ids if s in rows]
        views.append(material.view(ViewKey(language, modality, tap))[[rows[s] for s in wanted]])
        spoken += [language] * len(wanted)
        said += wanted
    points = np.concatenate(views)
    found = space(points, metric)
    seed = int(material.study["seed"])
    made = project(found, len(points), perplexity=perplexity, seed=seed, jobs=_jobs(material))
    known = languages()
    families = {x: known[x].family for x in spoken if x in known}
    near = neighbourhood(found, spoken, said, families, k=neighbours)
    common = in_both(material.contents)
    shared = [i for i, key in enumerate(zip(spoken, said, strict=True)) if key in common]
    beside = near
    if 0 < len(shared) < len(points):
        beside = neighbourhood(
            space(points[shared], metric),
            [spoken[i] for i in shared],
            [said[i] for i in shared],
            families,
            k=neighbours,
        )
    place = {"modality": modality, "tap": tap}
    rows_: list[dict[str, Any]] = [
        {
            "kind": "map",
            **place,
            "neighbours": neighbours,
            "metric": metric,
            "perplexity": made.perplexity,
            "seed": seed,
            "divergence": made.divergence,
            "points": made.points,
            "left_out": len(points) - made.points,
            "components": made.components,
            "rounds": made.rounds,
            "made_by": f"openTSNE {made.version}",
            "reason": made.reason,
        }
    ]
    rows_ += [
        {
            "kind": "point",
            **place,
            "language": x,
            "sentence": s,
            "x": float(at[0]),
            "y": float(at[1]),
        }
        for x, s, at in zip(spoken, said, made.places, strict=True)
    ]
    rows_ += [{**row, **place} for row in _shares(near, "")]
    if shared:
        rows_ += [{**row, **place} for row in _shares(beside, " in both")]
    return pl.DataFrame(rows_, schema=SCHEMA)


def in_both(contents: Contents) -> frozenset[tuple[str, str]]:
    """(language, sentence) that there are in both modalities."""
    have = [
        {(x, s) for (x, m), ids in contents.sentences.items() if m == modality for s in ids}
        for modality in MODALITIES
    ]
    return frozenset(have[0] & have[1])


def _shares(near: Neighbourhood, where: str) -> Iterator[dict[str, Any]]:
    """Rows of kind ``share`` and ``pair``, with a name for the sentences they are of."""
    for number, values, chances in (
        (LANGUAGE, near.language, near.language_chance),
        (FAMILY, near.family, near.family_chance),
    ):
        for x, v, c in zip(near.languages, values.tolist(), chances.tolist(), strict=True):
            own = {"kind": f"share{where}", "language": x, "number": number}
            yield own | {"value": v, "chance": c}
    # The nearest of a to b and of b to a are two questions about one pair.
    both = (near.retrieval + near.retrieval.T) / 2
    for i, a in enumerate(near.languages):
        for j, b in enumerate(near.languages[:i]):
            numbers = {"value": float(both[i, j]), "chance": float(near.retrieval_chance[i, j])}
            own = {"kind": f"pair{where}", "language": b, "partner": a, "number": RETRIEVAL}
            yield own | numbers


def _jobs(material: Material) -> int:
    # openTSNE takes one a core for -1, as a study does for 0.
    return int(material.study["jobs"]) or -1


def aligned(frames: Mapping[tuple[str, str], pl.DataFrame]) -> list[pl.DataFrame]:
    """Turn each map onto the one before of its modality, and round to what can be seen."""
    before: dict[str, dict[tuple[str, str], tuple[float, float]]] = {}
    out = []
    for (modality, _), frame in frames.items():
        points, rest = frame.filter(kind="point"), frame.filter(pl.col("kind") != "point")
        keys = list(points.select("language", "sentence").iter_rows())
        places = points.select("x", "y").to_numpy()
        last = before.get(modality, {})
        nan = (float("nan"), float("nan"))
        places = follow(places, np.array([last.get(key, nan) for key in keys]).reshape(-1, 2))
        if np.isfinite(places).any():
            before[modality] = dict(zip(keys, map(tuple, places.tolist()), strict=True))
        x, y = (pl.Series(name, np.round(places[:, i], 3)) for i, name in enumerate("xy"))
        out += [rest, points.with_columns(x, y)]
    return out
