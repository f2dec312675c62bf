"""Decide what a study needs, before anything is run."""

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

from isogloss.corpora.base import Dropped, Modality, Selection, Utterance
from isogloss.errors import CorpusError, ItemError, ModelError, choices
from isogloss.events import Events, Silent, task
from isogloss.languages import languages
from isogloss.models.base import Layout, Tap, TapPair, chosen_taps
from isogloss.selection import select
from isogloss.settings import digest
from isogloss.store import FORMAT, Store, Unit
from isogloss.study import Study

MIN_SENTENCES = 3


@dataclass(frozen=True)
class Plan:
    """What a study will do."""

    study: Study
    selection: Selection
    layout: Layout
    taps: dict[Modality, tuple[Tap, ...]]
    """The taps that the study reads."""
    pairs: tuple[TapPair, ...]
    """The cross-modal pairs of those taps."""
    units: tuple[Unit, ...]
    checkpoint: dict[str, str]
    """Digests or revisions of the checkpoint's files."""

    def pending(self, store: Store) -> tuple[Unit, ...]:
        """Units that are not committed yet."""
        return tuple(u for u in self.units if not store.has(u))

    def utterances(self, unit: Unit) -> tuple[Utterance, ...]:
        """The utterances of a unit, in its order of sentences."""
        return self.selection.items[unit.language, unit.modality]

    def bytes(self, unit: Unit) -> int:
        """Size of a unit's activations on disk."""
        widths = {t.name: t.width for t in self.taps[unit.modality]}
        return 4 * len(unit.sentences) * sum(widths[t] for t in unit.taps)


def plan(study: Study, events: Events | None = None) -> Plan:
    """Work out the units of a study. Reads the corpus table and the model's configuration.

    Raises:
        CorpusError: The corpus cannot be read, or its languages share no sentences.
        ModelError: The checkpoint is none of its family, or lacks a tap.
        StudyError: A language is unknown.
    """
    events = events or Silent()
    layout = study.model.layout()
    taps = chosen_taps(study.model, layout)
    empty = [m for m in study.corpus.modalities if not taps.get(m)]
    if empty:
        raise ModelError(f"model.taps names no tap of the {empty[0]} encoder")
    fingerprint = study.model.fingerprint()
    corpus = study.corpus.load()
    foreign = sorted({u.language for u in corpus.utterances} - set(languages()))
    if foreign:
        raise CorpusError(
            f"the corpus {corpus.name} gives languages that are not known by that code: "
            f"{choices(foreign)}. A corpus must give ISO 639-3 codes of `isogloss languages`"
        )
    selection = select(
        corpus,
        languages=study.corpus.languages,
        modalities=study.corpus.modalities,
        sentences=study.corpus.sentences,
        seed=study.seed,
    )
    selection, contents = _identify(selection, study.jobs, events)
    model = {**study.model.identity(), "checkpoint": fingerprint}
    units = []
    for (language, modality), items in selection.items.items():
        names = tuple(t.name for t in taps[modality])
        identity: dict[str, Any] = {
            "format": FORMAT,
            "model": model,
            "language": language,
            "modality": modality,
            "taps": names,
            "content": contents[language, modality],
        }
        units.append(
            Unit(language, modality, digest(identity), names, tuple(u.sentence for u in items))
        )
    names_of = {m: {t.name for t in taps[m]} for m in taps}
    pairs = tuple(
        p for p in layout.pairs if p.text in names_of["text"] and p.speech in names_of["speech"]
    )
    return Plan(study, selection, layout, taps, pairs, tuple(units), fingerprint)


def _identify(
    selection: Selection, jobs: int, events: Events
) -> tuple[Selection, dict[tuple[str, Modality], list[list[str]]]]:
    """Digest the content of every input; drop recordings that cannot be read at all."""
    contents: dict[tuple[str, Modality], list[list[str]]] = {}
    items: dict[tuple[str, Modality], tuple[Utterance, ...]] = {}
    dropped: list[Dropped] = []
    total = sum(len(v) for v in selection.items.values())
    with (
        task(events, "check inputs", total, "sentence"),
        ThreadPoolExecutor(jobs or os.cpu_count()) as pool,
    ):
        for key, utterances in selection.items.items():
            kept = []
            contents[key] = []
            for utterance, found in zip(
                utterances, pool.map(lambda u, m=key[1]: _content(u, m), utterances), strict=True
            ):
                if isinstance(found, ItemError):
                    dropped.append(
                        Dropped(key[0], utterance.sentence, key[1], str(found), utterance.origin)
                    )
                else:
                    contents[key].append([utterance.sentence, found])
                    kept.append(utterance)
            if len(kept) >= MIN_SENTENCES:
                items[key] = tuple(kept)
            else:
                del contents[key]
                few = f"{len(kept)} usable sentences are too few, {MIN_SENTENCES} are needed"
                dropped += [Dropped(key[0], u.sentence, key[1], few, u.origin) for u in kept]
            events.advance("check inputs", len(utterances), f"{key[0]} {key[1]}")
    if len(items) < 2:
        first = f"; the first: {dropped[0].reason}" if dropped else ""
        left = " ".join(next(iter(items))) if items else "nothing"
        raise CorpusError(
            f"{selection.corpus.name}: {left} is left to compare, of {len(selection.items)} "
            f"languages and modalities{first}. `isogloss corpus show` has all reasons"
        )
    selection = replace(selection, items=items, dropped=(*selection.dropped, *dropped))
    return selection, contents


def _content(utterance: Utterance, modality: Modality) -> str | ItemError:
    if modality == "text":
        return utterance.text or ""
    try:
        return utterance.clip.identity() if utterance.clip else ""
    except ItemError as error:
        return error
