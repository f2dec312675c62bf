"""Runs on disk in which every claim holds, or not, as planted."""

from dataclasses import dataclass, field

import numpy as np

from builders import write_run
from isogloss.models.base import TapPair
from isogloss.settings import digest
from isogloss.storage.store import Unit
from isogloss.study import Study

LAYERS = 6
ENCODER = ("in", *map(str, range(1, LAYERS + 1)))
DEPTHS = {name: i / LAYERS for i, name in enumerate(ENCODER)} | {"len": 1.0}
HIGH = ("arb", "cat", "cmn", "deu", "eng", "fin")
MEDIUM = ("ell", "est", "hin")
LOW = ("amh", "bul", "hye", "kat", "khm", "lit")
LANGUAGES = (*HIGH[:3], *MEDIUM, *LOW[:3])
"""Three of each resource level."""


@dataclass(frozen=True)
class Plan:
    """How much of a view is the meaning that all share, and what a language's own two share."""

    text: dict = field(default_factory=dict)
    """Tap -> share of the variance; 0.5 if absent."""
    speech: dict = field(default_factory=dict)
    own: dict = field(default_factory=dict)
    """Tap -> share of the variance that a language's text and speech have in common."""
    decay: dict = field(default_factory=dict)
    """Tap -> how fast the spectrum falls; 0.5 if absent."""
    length: dict = field(default_factory=dict)
    """Tap -> share of the variance that is the number of characters."""
    by_language: dict = field(default_factory=dict)
    """(modality, language, tap) or (modality, language) -> share, before all others."""

    def share(self, modality, language, tap):
        exact = self.by_language.get((modality, language, tap))
        if exact is None:
            exact = self.by_language.get((modality, language))
        return getattr(self, modality).get(tap, 0.5) if exact is None else exact


def plant(folder, plan, *, languages=LANGUAGES, sentences=80, width=14, seed=0, **values):
    """Write a run with the taps of an encoder and a length adaptor."""
    study = Study(
        corpus={"source": "udhr", "languages": languages},
        model={"family": "seamless", "checkpoint": "tiny"},
        output=folder,
        **{"permutations": 0, "jobs": 1, "interval": "none", "confounds": [], **values},
    )
    rng = np.random.default_rng(seed)
    taps = {"text": ENCODER, "speech": (*ENCODER, "len")}
    falling = np.arange(1.0, width + 1)
    lengths = rng.integers(20, 200, size=(len(languages), sentences))
    meaning = {tap: rng.normal(size=(sentences, width)) for tap in taps["speech"]}
    # The adaptor changes speech alone, so that text keeps its meaning.
    meaning["len"] = meaning[ENCODER[-1]]
    ids = tuple(f"{i:03}" for i in range(sentences))
    arrays = {}
    for language in languages:
        own = {tap: rng.normal(size=(sentences, width)) for tap in taps["speech"]}
        own["len"] = own[ENCODER[-1]]
        for modality in ("text", "speech"):
            unit = Unit(language, modality, digest([language, modality, seed]), taps[modality], ids)
            arrays[unit] = {}
            for tap in taps[modality]:
                shared, more = plan.share(modality, language, tap), plan.own.get(tap, 0.0)
                long = lengths[languages.index(language)][:, None]
                long = np.sqrt(plan.length.get(tap, 0.0)) * (long - long.mean()) / long.std()
                decay = plan.decay.get(tap, 0.5)
                noise = np.sqrt(max(0.0, 1 - shared - more)) * rng.normal(size=(sentences, width))
                mixed = np.sqrt(shared) * meaning[tap] + np.sqrt(more) * own[tap] + noise
                mixed[:, :1] += 4 * long
                turn = np.linalg.qr(rng.normal(size=(width, width)))[0]
                arrays[unit][tap] = (mixed * falling**-decay @ turn).astype(np.float32)
    covariates = {}
    for unit in arrays:
        characters = lengths[languages.index(unit.language)].tolist()
        measured = "seconds" if unit.modality == "speech" else "tokens"
        covariates[unit] = {"characters": characters, measured: [float(c) for c in characters]}
    return write_run(
        study,
        arrays,
        covariates,
        taps={m: tuple((t, DEPTHS[t]) for t in found) for m, found in taps.items()},
        pairs=(
            *(TapPair(t, t, t, DEPTHS[t]) for t in ENCODER),
            TapPair("len", ENCODER[-1], "len", 1.0),
        ),
        counts={},
    )
