"""Runs on disk with known structure, for tests of everything to the right of the store."""

from itertools import product

import numpy as np

from isogloss.corpora.base import Dropped
from isogloss.models.base import TapPair
from isogloss.runs import Run
from isogloss.settings import digest
from isogloss.storage.store import Unit
from isogloss.study import Study

TAPS = {
    "text": (("in", 0.0), ("1", 0.5), ("2", 1.0)),
    "speech": (("in", 0.0), ("1", 0.5), ("2", 1.0), ("len", 1.0)),
}
PAIRS = (
    TapPair("in", "in", "in", 0.0),
    TapPair("1", "1", "1", 0.5),
    TapPair("2", "2", "2", 1.0),
    TapPair("len", "2", "len", 1.0),
)
SHARED = {"in": 0.0, "1": 0.7, "2": 0.9, "len": 0.95}
"""How much of a view's variance is the meaning of the sentences, at each tap."""


def small_study(output, *, languages, sentences=None):
    """Bundled sentences of the Declaration through the untrained tiny model."""
    return Study(
        title="Isogloss demo",
        corpus={"source": "udhr", "languages": languages, "sentences": sentences},
        model={"family": "seamless", "checkpoint": "tiny"},
        output=output,
    )


def make_run(
    folder,
    languages=("deu", "eng", "fin", "swh"),
    sentences=40,
    width=16,
    missing=(),
    recordings=1,
    seed=0,
    **values,
):
    """Write a run whose views share a meaning more and more over the taps.

    Args:
        folder: Output folder.
        languages: Its languages.
        sentences: Number of sentences, or {language: number}.
        width: Features per tap.
        missing: (language, modality) units that are planned but not there.
        recordings: Recordings of each sentence; those after the first differ in their noise only.
        seed: Of the noise.
        values: Fields of the study.
    """
    study = Study(
        corpus={"source": "udhr", "languages": languages},
        model={"family": "seamless", "checkpoint": "tiny"},
        output=folder,
        **{"permutations": 20, "jobs": 2, "interval": "none", **values},
    )
    rng = np.random.default_rng(seed)
    counts = sentences if isinstance(sentences, dict) else dict.fromkeys(languages, sentences)
    meaning = rng.normal(size=(max(counts.values()), width))
    arrays = {}
    # Streams of their own, so that what the views hold does not depend on what is beside them.
    more, known = np.random.default_rng([seed, 1]), np.random.default_rng([seed, 2])
    texts = known.integers(20, 200, size=(len(languages), len(meaning)))
    for language, modality in product(languages, ("text", "speech")):
        ids = tuple(str(i) for i in range(counts[language]))
        taps = tuple(tap for tap, _ in TAPS[modality])
        takes = recordings if modality == "speech" else 1
        name = digest([language, modality, seed, takes])
        unit = Unit(language, modality, name, taps, ids, (takes - 1) * len(ids))
        arrays[unit] = {}
        for tap in taps:
            signal = np.sqrt(SHARED[tap]) * meaning[: len(ids)] @ _rotation(rng, width)
            noise = [rng.normal(size=(len(ids), width))]
            noise += [more.normal(size=(len(ids), width)) for _ in range(takes - 1)]
            rows = [signal + np.sqrt(1 - SHARED[tap]) * n for n in noise]
            arrays[unit][tap] = np.concatenate(rows).astype(np.float32)
    covariates, speakers = {}, {}
    for unit in arrays:
        if (unit.language, unit.modality) in missing:
            continue
        count = len(unit.sentences)
        takes = np.repeat(np.arange(unit.rows // count), count)
        characters = np.resize(texts[languages.index(unit.language), :count], unit.rows)
        pace = known.normal(1, 0.2, size=unit.rows) if unit.modality == "speech" else 1
        measured = "seconds" if unit.modality == "speech" else "tokens"
        covariates[unit] = {
            "characters": characters.tolist(),
            measured: (np.ceil(characters / 4) * pace).tolist(),
            "gender": ["fmf"[(i % count + t) % 3] for i, t in enumerate(takes)],
        }
        speakers[unit] = [f"{unit.language}{(i % count + t) % 3}" for i, t in enumerate(takes)]
    return write_run(
        study,
        arrays,
        covariates,
        speakers,
        taps=TAPS,
        pairs=PAIRS,
        dropped=(Dropped("eng", "99", "speech", "eng.wav is empty", "m.jsonl row 3"),),
        model_notes=["A choice."],
    )


def write_run(
    study, arrays, covariates, speakers=None, *, taps, pairs, dropped=(), model_notes=(), **corpus
):
    """Write a run of an untrained model on synthetic speech, as extraction leaves it.

    Args:
        study: Its study.
        arrays: Unit -> its activations.
        covariates: Unit -> its covariates; units without are planned but not there.
        speakers: Unit -> the speaker of each row.
        taps: Modality -> names and depths.
        pairs: Pairs of taps.
        dropped: What the corpus left out.
        model_notes: Notes on the model.
        corpus: More of what is said about the corpus.
    """
    run = Run(
        folder=study.output,
        study=study.model_dump(mode="json"),
        model={
            "title": "planted", "family": "seamless", "licence": "none",
            "checkpoint": {"weights": "0" * 64}, "untrained": True, "notes": list(model_notes),
        },
        corpus={
            "name": "planted", "licence": "none", "description": "Made for tests.",
            "synthetic_speech": True, "notes": [], **corpus,
        },
        units=tuple(arrays),
        taps=taps,
        pairs=pairs,
        dropped=dropped,
        environment={"python": "3"},
        made="2026-01-01T00:00:00+00:00",
    )  # fmt: skip
    store = run.store()
    store.claim(study.identity())
    for unit, known in covariates.items():
        count = len(unit.sentences)
        record = {
            "sentences": [unit.sentences[i % count] for i in range(unit.rows)],
            "takes": [i // count for i in range(unit.rows)],
            "planned": list(range(unit.rows)),
            "lengths": [10] * unit.rows,
            "speakers": speakers[unit] if speakers else [None] * unit.rows,
            "covariates": known,
            "failed": [],
            "notes": {},
            "device": "cpu",
            "seconds": 1.0,
        }
        store.put(unit, arrays[unit], record)
    run.write()
    return run


def _rotation(rng, width):
    return np.linalg.qr(rng.normal(size=(width, width)))[0]
