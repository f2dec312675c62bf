"""Decide what a study needs, before anything is run."""

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from isogloss import confounds
from isogloss.analyses.base import Contents
from isogloss.corpora.base import Dropped, Modality, Selection, Utterance
from isogloss.errors import CorpusError, ItemError, ModelError, StudyError, choices
from isogloss.events import Events, Silent, task
from isogloss.languages import languages
from isogloss.models.base import Layout, Tap, TapPair, chosen_taps
from isogloss.selection import select
from isogloss.settings import digest
from isogloss.store import FORMAT, Store, Unit
from isogloss.study import Study
from isogloss.takes import arranged, explained

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
        """The utterances of a unit: one for each row, ordered by take and sentence."""
        return self.selection.items[unit.language, unit.modality]

    @cached_property
    def texts(self) -> dict[tuple[str, str], str]:
        """(language, sentence) -> its text, also where no chosen utterance has it."""
        every = reversed(self.selection.corpus.utterances)
        used = (u for (_, m), items in self.selection.items.items() if m == "text" for u in items)
        return {(u.language, u.sentence): u.text for u in (*every, *used) if u.text}

    def bytes(self, unit: Unit) -> int:
        """Size of a unit's activations on disk."""
        widths = {t.name: t.width for t in self.taps[unit.modality]}
        return 4 * unit.rows * sum(widths[t] for t in unit.taps)


def plan(study: Study, events: Events | None = None) -> Plan:
    """Work out the units of a study. Reads the corpus table and the model's configuration.

    Raises:
        CorpusError: The corpus cannot be read, or its languages share no sentences.
        ModelError: The checkpoint is none of its family, or lacks a tap.
        StudyError: A language is unknown.
    """
    events = events or Silent()
    if study.interval == "utterances" and study.corpus.recordings < 2:
        raise StudyError(
            "interval: utterances needs several recordings of a sentence; set corpus.recordings "
            "to 2 or more"
        )
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
        recordings=study.corpus.recordings,
        seed=study.seed,
    )
    chosen = (u for items in selection.items.values() for u in items)
    confounds.check(study.confounds, (), known=confounds.known(chosen))
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
        ids = tuple(dict.fromkeys(u.sentence for u in items))
        further = len(items) - len(ids)
        units.append(Unit(language, modality, digest(identity), names, ids, further))
    names_of = {m: {t.name for t in taps[m]} for m in taps}
    pairs = tuple(
        p for p in layout.pairs if p.text in names_of["text"] and p.speech in names_of["speech"]
    )
    planned = Plan(study, selection, layout, taps, pairs, tuple(units), fingerprint)
    if not any(True for a in study.analyses for _ in a.comparisons(_contents(planned))):
        raise CorpusError(
            f"{corpus.name}: the analyses have nothing to compare. They need two languages, or "
            "text and speech of one, and noise_ceiling needs several recordings of a sentence "
            "(corpus.recordings)"
        )
    return planned


def _contents(planned: Plan) -> Contents:
    """What there will be to compare if every unit can be made."""
    speakers: dict[tuple[str, Modality], dict[str, tuple[str | None, ...]]] = {}
    for key, utterances in planned.selection.items.items():
        own = speakers.setdefault(key, {})
        for u in utterances:
            own[u.sentence] = (*own.get(u.sentence, ()), u.speaker)
    taps = {m: tuple((t.name, t.depth) for t in found) for m, found in planned.taps.items()}
    return Contents({k: tuple(v) for k, v in speakers.items()}, taps, planned.pairs, speakers)


def _identify(
    selection: Selection, jobs: int, events: Events
) -> tuple[Selection, dict[tuple[str, Modality], list[list[str]]]]:
    """Digest the content of every input; drop recordings that cannot be read or are there twice."""
    contents: dict[tuple[str, Modality], list[list[str]]] = {}
    items: dict[tuple[str, Modality], tuple[Utterance, ...]] = {}
    dropped: list[Dropped] = []
    total = sum(len(v) for v in selection.items.values())
    with (
        task(events, "check inputs", total, "input"),
        ThreadPoolExecutor(jobs or os.cpu_count()) as pool,
    ):
        for key, utterances in selection.items.items():
            found = list(pool.map(lambda u, m=key[1]: _content(u, m), utterances))
            ids = [u.sentence for u in utterances]
            good, bad = _usable(ids, found)
            for i, reason in explained(bad, ids).items():
                dropped.append(Dropped(key[0], ids[i], key[1], reason, utterances[i].origin))
            firsts = {ids[i]: utterances[i] for i in reversed(good)}
            if len(firsts) >= MIN_SENTENCES:
                contents[key] = [[ids[i], str(found[i])] for i in good]
                items[key] = tuple(utterances[i] for i in good)
            else:
                few = f"{len(firsts)} usable sentences are too few, {MIN_SENTENCES} are needed"
                dropped += [
                    Dropped(key[0], s, key[1], few, firsts[s].origin)
                    for s in dict.fromkeys(ids)
                    if s in firsts
                ]
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


def _usable(ids: list[str], contents: list[str | ItemError]) -> tuple[list[int], dict[int, str]]:
    """Rows that can be used, in their new order, and why the others cannot."""
    good: list[int] = []
    bad: dict[int, str] = {}
    seen: set[tuple[str, str]] = set()
    for i, (sentence, content) in enumerate(zip(ids, contents, strict=True)):
        if isinstance(content, ItemError):
            bad[i] = str(content)
        elif (sentence, content) in seen:
            # Copies of one file would make recordings seem to agree perfectly.
            bad[i] = "its content is that of another recording of the sentence"
        else:
            seen.add((sentence, content))
            good.append(i)
    return arranged(ids, good), bad


def _content(utterance: Utterance, modality: Modality) -> str | ItemError:
    if modality == "text":
        return utterance.text or ""
    try:
        return utterance.clip.identity() if utterance.clip else ""
    except ItemError as error:
        return error
