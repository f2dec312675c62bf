"""Runs that are nothing but scores with known structure, for analyses that read a run."""

from dataclasses import fields
from itertools import combinations

import polars as pl

from isogloss.analyses.base import Contents, Material
from isogloss.events import Silent
from isogloss.models.base import TapPair
from isogloss.models.seamless import Seamless
from isogloss.results import SCHEMA

MEASURE = "svcca(share=0.9, rule=squared, mean=all, epsilon=1e-10, zscore=false)"
CONTROL = "characters, tokens"


def row(modality, a, b, tap, calibrated, *, control="", p_curve=0.01, **more):
    """One score; raw scores have chance at a half."""
    found = dict.fromkeys(SCHEMA) | {
        "measure": MEASURE, "control": control, "group": modality, "label": tap["label"],
        "position": tap["position"], "depth": tap["depth"], "language_a": a, "language_b": b,
        "modality_a": modality, "modality_b": modality, "tap_a": tap["label"],
        "tap_b": tap["label"], "n": 40, "score": 0.5 + calibrated / 2, "null_mean": 0.5,
        "permutations": 99, "best": 1.0, "calibrated": calibrated, "p_curve": p_curve,
        "reason": "", "warnings": "", "details": "",
    }  # fmt: skip
    return found | more


def places(depths):
    names = ["in", *(str(i) for i in range(1, len(depths)))]
    return [
        {"label": name, "position": i, "depth": depth}
        for i, (name, depth) in enumerate(zip(names, depths, strict=True))
    ]


def cross_lingual(languages, depths, value, modalities=("text", "speech"), *, p_curve=None):
    """A table of ``cross_lingual``.

    Args:
        languages: ISO 639-3 codes.
        depths: Of the taps.
        value: (modality, a, b, place) -> calibrated score.
        modalities: Those that there are.
        p_curve: (modality, a, b) -> p-value of the curve.
    """
    rows = [
        row(
            m, a, b, tap, value(m, a, b, tap["position"]) * (0.9 if control else 1.0),
            control=control, p_curve=p_curve(m, a, b) if p_curve else 0.01,
        )
        for m in modalities
        for a, b in combinations(sorted(languages), 2)
        for tap in places(depths)
        for control in ("", CONTROL)
    ]  # fmt: skip
    return pl.DataFrame(rows, schema=SCHEMA)


def cross_modal(languages, depths, value, group="matched"):
    """A table of ``cross_modal``; value: (language, place) -> calibrated score."""
    rows = [
        row(group, a, a, tap, value(a, tap["position"]), modality_a="text", modality_b="speech")
        for a in languages
        for tap in places(depths)
    ]
    return pl.DataFrame(rows, schema=SCHEMA)


class Parts:
    """Keeps parts in memory, and counts how many were made."""

    def __init__(self):
        self.kept, self.made = {}, 0

    def __call__(self, identity, make):
        key = repr(identity)
        if key not in self.kept:
            frame = make()
            self.made += 1
            self.kept[key] = frame
        return self.kept[key]


def material(tables, depths, languages, *, texts=None, part=None, modalities=("text", "speech")):
    """A run with these tables, two sentences or those of the texts, and the tiny model."""
    taps = tuple((p["label"], p["depth"]) for p in places(depths))
    ids = tuple(dict.fromkeys(s for _, s in texts or {})) or ("0", "1")
    contents = Contents(
        sentences={(x, m): ids for x in languages for m in modalities},
        taps={m: taps if m in modalities else () for m in ("text", "speech")},
        pairs=tuple(TapPair(name, name, name, depth) for name, depth in taps),
    )
    unused = {field.name: None for field in fields(Material)}
    given = {
        "contents": contents,
        "tables": tables,
        "means": {},
        "texts": texts or {},
        "study": {"seed": 0, "measures": [MEASURE]},
        "model": {"family": "seamless", "title": "planted", "checkpoint": {"weights": "0"}},
        "corpus": {"name": "planted"},
        "view": lambda key: None,
        "content": lambda language, modality: "0",
        "part": part or Parts(),
        "source": lambda: Seamless(checkpoint="tiny"),
        "events": Silent(),
    }
    return Material(**(unused | given))
