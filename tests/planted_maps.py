"""A run with maps whose order is known: by sentence in text, by language in speech."""

import numpy as np

from isogloss.analyses.base import Contents, Material
from isogloss.events import Silent
from isogloss.models.base import TapPair
from isogloss.settings import digest

TAPS = (("in", 0.0), ("1", 0.5), ("2", 1.0))
LANGUAGES = ("arb", "cmn", "deu", "eng", "fin", "fra", "hin", "jpn", "rus", "tha")
TEXTS = {
    "arb": "يولد جميع الناس أحرارا متساوين في الكرامة والحقوق. " * 6,
    "cmn": "人人生而自由,在尊严和权利上一律平等。" * 14,
    "tha": "มนุษย์ทั้งหลายเกิดมามีอิสระและเสมอภาคกันในเกียรติศักดิ์และสิทธิ" * 4,
}
MEANING = {"text": 4.0, "speech": 0.0}
OF_LANGUAGE = {"text": 0.0, "speech": 4.0}


def planted(
    languages=LANGUAGES,
    sentences=12,
    width=20,
    taps=TAPS,
    modalities=("text", "speech"),
    meaning=MEANING,
    of_language=OF_LANGUAGE,
    missing=(),
    spoil=None,
    seed=0,
):
    """Material of a run with planted views.

    Args:
        languages: Their codes.
        sentences: Number of sentences.
        width: Features.
        taps: (tap, depth) of both modalities.
        modalities: Which there are.
        meaning: Modality -> size of what a sentence has in all languages.
        of_language: Modality -> size of what a language has in all sentences.
        missing: (language, modality, sentence) that are not there.
        spoil: Changes (key, view) into another view.
        seed: Of the noise.
    """
    ids = {
        (x, m): tuple(str(i) for i in range(sentences) if (x, m, str(i)) not in missing)
        for x in languages
        for m in modalities
    }
    kept = {}

    def view(key):
        rng = np.random.default_rng([seed, key.modality == "text", *map(ord, key.tap)])
        of_sentence = rng.normal(size=(sentences, width))
        own = np.random.default_rng([seed, key.modality == "text", *map(ord, key.language)])
        found = meaning[key.modality] * of_sentence
        found = found + of_language[key.modality] * own.normal(size=width)
        noise = np.random.default_rng([seed, *map(ord, key.tap + key.language)])
        found = found + noise.normal(size=found.shape)
        found = found[[int(s) for s in ids[key.language, key.modality]]].astype(np.float32)
        return found if spoil is None else spoil(key, found)

    def part(identity, make):
        name = digest(identity)
        if name not in kept:
            kept[name] = make()
            made.append(identity)
        return kept[name]

    made = []
    names = [tap for tap, _ in taps]
    material = Material(
        contents=Contents(
            ids,
            {m: tuple(taps) for m in modalities},
            tuple(TapPair(t, t, t, d) for t, d in taps) if len(modalities) > 1 and names else (),
        ),
        tables={},
        means={},
        texts={
            (x, str(i)): f"{i}. {TEXTS.get(x, '=A sentence <b>in</b> ' + x)}"
            for x in languages
            for i in range(sentences)
        },
        study={"seed": 3, "jobs": 1},
        model={},
        corpus={},
        view=view,
        content=lambda language, modality: f"{language} {modality} {seed}",
        part=part,
        score=None,
        source=None,
        events=Silent(),
    )
    return material, made
