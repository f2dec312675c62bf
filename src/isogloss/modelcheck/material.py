"""The sentences that a model is tried on: a few bundled ones, or some of a corpus."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from isogloss import specs
from isogloss.corpora import CORPORA
from isogloss.corpora.base import SAMPLING_RATE, Modality, Utterance
from isogloss.corpora.udhr import Udhr
from isogloss.errors import CorpusError, IsoglossError, ModelError
from isogloss.languages import language, resolve
from isogloss.modelcheck.bench import Sample
from isogloss.models.base import Heard, ModelSource

Sound = NDArray[np.float32]

PREFERRED = ("eng", "deu", "hin", "cmn", "arb", "swh", "fra", "spa", "rus", "fin")
"""Languages that are tried first: several scripts and families."""
LANGUAGES = 3
SENTENCES = 4
SECONDS = (3.1, 0.7, 1.9, 1.3)
"""Durations that recordings are cut to, so that a large model is checked in minutes."""
_BUNDLED = ("1", "4", "20", "6")


@dataclass(frozen=True)
class Material:
    """What one modality is tried on."""

    texts: dict[str, list[str]]
    """Language -> texts of different lengths."""
    sounds: dict[str, list[Sound]]
    """Language -> 16 kHz recordings of different lengths, one beside each text."""
    origin: str
    """Where they come from, in words."""


def gather(
    source: ModelSource, corpus: str | None = None, languages: Sequence[str] = ()
) -> Material:
    """Choose sentences in languages that the model speaks.

    Args:
        source: The model.
        corpus: A manifest, or the name of a corpus; the bundled sentences if left out.
        languages: Codes; up to three that the model speaks if empty.

    Raises:
        CorpusError: The corpus has no text or no recording in these languages.
        ModelError: The model speaks none of them.
    """
    named = list(resolve(languages))
    if corpus is None:
        return _bundled(source, named)
    return _of_corpus(source, corpus, named)


def samples(source: ModelSource, material: Material, modality: Modality) -> list[Sample]:
    """What one modality is given, language by language, the longest first."""
    offered = material.texts if modality == "text" else material.sounds
    made: list[Sample] = []
    for code in spoken(source, modality, list(offered)):
        sounds = sorted(material.sounds.get(code, ()), key=len, reverse=True)
        if modality == "speech":
            made += [Sample(language(code), sound, f"{code}, {_long(sound)}") for sound in sounds]
        elif _joint(source):
            made += _joined(code, material.texts[code], sounds, source.companion() == "other")
        else:
            made += [
                Sample(language(code), text, f"{code}, {len(text)} characters")
                for text in material.texts[code]
            ]
    return made


def _joined(code: str, texts: list[str], sounds: list[Sound], other: bool) -> Iterator[Sample]:
    """Texts with recordings; none where there are no recordings in the language."""
    for i, text in enumerate(texts if sounds else ()):
        beside = sounds[(i + other) % len(sounds)]
        name = f"{code}, {len(text)} characters with {_long(beside)} of speech"
        yield Sample(language(code), Heard(text, beside), name)


def _long(sound: Sound) -> str:
    return f"{len(sound) / SAMPLING_RATE:.1f} s"


def spoken(source: ModelSource, modality: Modality, offered: Sequence[str]) -> list[str]:
    """Those of the offered languages that the model takes in a modality, in their order."""
    takes = source.speaks().get(modality)
    return [code for code in offered if takes is None or code in takes]


def _bundled(source: ModelSource, named: list[str]) -> Material:
    rows = Udhr(modalities=("text",), text_field="raw_text").load().utterances
    texts: dict[str, dict[str, str]] = {}
    for row in rows:
        texts.setdefault(row.language, {})[row.sentence] = row.text or ""
    offered = named or [*PREFERRED, *(code for code in texts if code not in PREFERRED)]
    chosen = {m: spoken(source, m, offered) for m in ("text", "speech")}
    chosen["text"] = [code for code in chosen["text"] if code in texts]
    _require(source, chosen, offered)
    if not named:
        chosen = {m: codes[:LANGUAGES] for m, codes in chosen.items()}
    every = dict.fromkeys([*chosen["text"], *chosen["speech"]])
    sounds, made = _sounds(list(every))
    # A family that encodes texts with recordings needs one beside each, whatever it hears alone.
    return Material(
        {code: _sentences(texts[code]) for code in chosen["text"]},
        {code: sounds[code] for code in (every if _joint(source) else chosen["speech"])},
        f"Universal Declaration of Human Rights; speech: {made}",
    )


def _joint(source: ModelSource) -> bool:
    return source.companion() != "none"


def _sentences(texts: dict[str, str]) -> list[str]:
    """Sentences of different lengths, the longest first."""
    whole = [texts[key] for key in _BUNDLED if key in texts]
    rest = [text for key, text in texts.items() if key not in _BUNDLED]
    return sorted([*whole, *rest][:SENTENCES], key=len, reverse=True)


def _sounds(codes: list[str]) -> tuple[dict[str, list[Sound]], str]:
    """Synthetic speech where the engine is there, else signals like voices."""
    try:
        corpus = Udhr(modalities=("text", "speech"), languages=tuple(codes)).load()
        by_language: dict[str, list[Utterance]] = {}
        for row in corpus.utterances:
            if row.clip is not None and len(by_language.get(row.language, ())) < SENTENCES:
                by_language.setdefault(row.language, []).append(row)
        sounds = {}
        for code in codes:
            clips = [row.clip for row in by_language.get(code, ()) if row.clip is not None]
            samples = [clip.read().samples for clip in clips]
            sounds[code] = [_cut(s, t) for s, t in zip(samples, SECONDS, strict=False)]
        made = "espeak-ng, cut short"
    except IsoglossError:  # the extra "tts" is not there, or the engine fails
        sounds, made = {}, "signals like voices"
    for i, code in enumerate(codes):
        short = [s for s in sounds.get(code, ()) if len(s) > SAMPLING_RATE // 4]
        if len(short) < SENTENCES:
            sounds[code] = [voice(t, seed=97 * i + j) for j, t in enumerate(SECONDS)]
            made = "signals like voices"
    return sounds, made


def _cut(samples: Sound, seconds: float) -> Sound:
    return np.ascontiguousarray(samples[: round(seconds * SAMPLING_RATE)])


def voice(seconds: float, seed: int = 0) -> Sound:
    """A signal somewhat like a voice: gliding harmonics in syllables, with breath.

    Args:
        seconds: Its duration.
        seed: Another seed speaks otherwise.

    Returns:
        float32 samples at 16 kHz, never silent and never periodic.
    """
    rng = np.random.default_rng(seed)
    time = np.arange(round(seconds * SAMPLING_RATE)) / SAMPLING_RATE
    pitch = rng.uniform(90, 220) * (1 + 0.2 * np.sin(2 * np.pi * rng.uniform(0.3, 0.8) * time))
    phase = 2 * np.pi * np.cumsum(pitch) / SAMPLING_RATE
    formants = rng.uniform((300, 900, 2200), (800, 2000, 3200))
    tone = np.zeros_like(time)
    for harmonic in range(1, 24):
        distance = (harmonic * pitch[:, None] - formants) / (80, 120, 180)
        tone += np.exp(-0.5 * distance**2).sum(axis=1) * np.sin(harmonic * phase)
    syllables = 0.55 + 0.45 * np.sin(2 * np.pi * rng.uniform(3, 5) * time)
    breath = 0.02 * rng.standard_normal(len(time))
    return (0.15 * syllables * tone + breath).astype(np.float32)


def _of_corpus(source: ModelSource, corpus: str, named: list[str]) -> Material:
    manifest = corpus not in CORPORA.names()
    name, settings = ("manifest", {"path": corpus}) if manifest else (corpus, {})
    loaded = specs.parse(CORPORA, {name: settings}).load()
    texts: dict[str, list[str]] = {}
    clips: dict[str, list[Utterance]] = {}
    for row in loaded.utterances:
        if row.text:
            texts.setdefault(row.language, []).append(row.text)
        if row.clip is not None:
            clips.setdefault(row.language, []).append(row)
    offered = named or sorted({*texts, *clips})
    chosen = {
        "text": [c for c in spoken(source, "text", offered) if c in texts],
        "speech": [c for c in spoken(source, "speech", offered) if c in clips],
    }
    _require(source, chosen, offered)
    if not named:
        chosen = {m: codes[:LANGUAGES] for m, codes in chosen.items()}
    every = [*chosen["speech"], *(c for c in chosen["text"] if _joint(source) and c in clips)]
    return Material(
        {code: _spread(sorted(texts[code], key=len)) for code in chosen["text"]},
        {code: _read(clips[code]) for code in dict.fromkeys(every)},
        loaded.name,
    )


def _spread(ordered: list[str]) -> list[str]:
    """A few, from the longest to the shortest."""
    count = min(SENTENCES, len(ordered))
    places = np.linspace(len(ordered) - 1, 0, count).round().astype(int)
    return [ordered[i] for i in dict.fromkeys(places.tolist())]


def _read(rows: list[Utterance]) -> list[Sound]:
    found = [row.clip.read().samples for row in rows[:SENTENCES] if row.clip is not None]
    return sorted(found, key=len, reverse=True)


def _require(source: ModelSource, chosen: dict[str, list[str]], offered: Sequence[str]) -> None:
    if any(chosen.values()):
        return
    if not offered:
        raise CorpusError("the corpus holds neither texts nor recordings")
    raise ModelError(
        f"{source.title()} speaks none of {', '.join(offered)}, or there are no sentences in "
        "them; name others with `--languages`"
    )
