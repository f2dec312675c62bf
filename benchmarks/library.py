"""A study's activations on disk, and Isogloss's own way from there to a table of scores."""

from itertools import combinations

import data
import numpy as np

from isogloss.analyses.base import Comparison, ViewKey
from isogloss.compare import compare
from isogloss.events import Silent
from isogloss.scoring import Options
from isogloss.settings import digest
from isogloss.similarity import Svcca
from isogloss.storage.store import Store, Unit

SENTENCES, COMMON, WIDTH = 350, 194, 1024
MODALITIES = ("text", "speech")


def languages(count):
    return [f"l{i:02d}" for i in range(count)]


def fill(folder, count, taps, modalities=MODALITIES, *, seed=0):
    """Write a store of activations; returns it with its units."""
    rng = np.random.default_rng(seed)
    ids = tuple(f"s{i:03d}" for i in range(SENTENCES))
    names = tuple(f"t{i:02d}" for i in range(taps))
    # A map to features of its own per view would take most of the time to make.
    shared = rng.standard_normal((SENTENCES, SENTENCES), dtype=np.float32)
    store, units = Store(folder), {}
    for language in languages(count):
        for modality in modalities:
            unit = Unit(language, modality, digest([language, modality, seed]), names, ids, 0)
            arrays = {t: data.activations(rng, SENTENCES, WIDTH, shared=shared) for t in names}
            record = {
                "sentences": list(ids),
                "takes": [0] * SENTENCES,
                "planned": list(range(SENTENCES)),
                "lengths": [1] * SENTENCES,
                "covariates": {},
                "failed": [],
                "notes": {},
                "device": "none",
                "seconds": 0.0,
            }
            store.put(unit, arrays, record)
            units[language, modality] = unit
    return store, units


def subsets(count, *, shared=False, seed=1):
    """Which sentences each pair of languages has in common: {(language, language): ids}."""
    rng = np.random.default_rng(seed)
    ids = [f"s{i:03d}" for i in range(SENTENCES)]

    def draw():
        return tuple(ids[i] for i in np.sort(rng.permutation(SENTENCES)[:COMMON]))

    one = draw()
    return {pair: one if shared else draw() for pair in combinations(languages(count), 2)}


def comparisons(sentences, modality, tap):
    """All pairs of languages at one tap."""
    return [
        Comparison(
            ViewKey(a, modality, tap), ViewKey(b, modality, tap), ids, modality, tap, 0, 0.0,
            interval=False,
        )
        for (a, b), ids in sentences.items()
    ]  # fmt: skip


def score(store, units, asked, *, memory=1.0, permutations=0):
    """Run Isogloss's own comparison in one thread, from files to a table."""
    options = Options(
        permutations=permutations, seed=0, confounds=(), interval="none", jobs=1, memory=memory
    )
    frame, _, files = compare(
        asked, [Svcca()], analysis="benchmark", store=store, units=units, options=options,
        events=Silent(),
    )  # fmt: skip
    for path in files:
        path.unlink()
    return frame
