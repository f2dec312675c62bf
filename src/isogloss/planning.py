"""Decide what a study needs, before anything is run."""

import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from isogloss import confounds
from isogloss.analyses.base import Contents
from isogloss.companions import companions, own_clips
from isogloss.corpora.base import Clip, Dropped, Modality, Selection, Utterance
from isogloss.errors import CorpusError, ItemError, ModelError, StudyError, choices
from isogloss.events import Events, Silent, task
from isogloss.languages import languages
from isogloss.models.base import Layout, Tap, TapPair, chosen_taps
from isogloss.selection import select
from isogloss.settings import digest
from isogloss.spoken import spoken
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
    companions: dict[str, dict[str, Clip]] = field(default_factory=dict)
    """Language -> sentence -> the recording that goes with its text, for models that ask for it."""

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
    selection = spoken(selection, study.model, study.corpus.languages)
    own = {(code, m): study.model.fingerprint_of(m, code) for code, m in selection.items}
    chosen = (u for items in selection.items.values() for u in items)
    confounds.check(study.confounds, (), known=confounds.known(chosen))
    selection, contents, beside = _identify(selection, study, events)
    units = []
    for (language, modality), items in selection.items.items():
        names = tuple(t.name for t in taps[modality])
        content = {**fingerprint, **own[language, modality]}
        model = {**study.model.identity(), "checkpoint": content}
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
    planned = Plan(study, selection, layout, taps, pairs, tuple(units), fingerprint, beside)
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


Identities = dict[tuple[str, Modality], list[list[str]]]


def _identify(
    selection: Selection, study: Study, events: Events
) -> tuple[Selection, Identities, dict[str, dict[str, Clip]]]:
    """Digest the content of every input; drop recordings that cannot be read or are there twice."""
    contents: Identities = {}
    items: dict[tuple[str, Modality], tuple[Utterance, ...]] = {}
    beside: dict[str, dict[str, Clip]] = {}
    dropped: list[Dropped] = []
    rule = study.model.companion()
    total = sum(len(v) for v in selection.items.values())
    with (
        task(events, "check inputs", total, "input"),
        ThreadPoolExecutor(study.jobs or os.cpu_count()) as pool,
    ):
        for key, utterances in selection.items.items():
            language, modality = key
            with_text: dict[str, str | ItemError] | None = None
            if modality == "text" and rule != "none":
                clips = own_clips(selection.items, language)
                digests = dict(zip(clips, pool.map(_clip, clips.values()), strict=True))
                readable = {s: c for s, c in clips.items() if isinstance(digests[s], str)}
                chosen = companions(selection.items, language, rule, readable, study.seed)
                with_text = {s: digests[s] for s in clips if isinstance(digests[s], ItemError)}
                with_text |= dict(zip(chosen, pool.map(_clip, chosen.values()), strict=True))
                beside[language] = chosen
            found = list(pool.map(lambda u, m=modality, w=with_text: _content(u, m, w), utterances))
            ids = [u.sentence for u in utterances]
            good, bad = _usable(ids, found)
            for i, reason in explained(bad, ids).items():
                dropped.append(Dropped(language, ids[i], modality, reason, utterances[i].origin))
            firsts = {ids[i]: utterances[i] for i in reversed(good)}
            if len(firsts) >= MIN_SENTENCES:
                contents[key] = [[ids[i], str(found[i])] for i in good]
                items[key] = tuple(utterances[i] for i in good)
            else:
                few = f"{len(firsts)} usable sentences are too few, {MIN_SENTENCES} are needed"
                dropped += [
                    Dropped(language, s, modality, few, firsts[s].origin)
                    for s in dict.fromkeys(ids)
                    if s in firsts
                ]
            events.advance("check inputs", len(utterances), f"{language} {modality}")
    if len(items) < 2:
        first = f"; the first: {dropped[0].reason}" if dropped else ""
        left = " ".join(next(iter(items))) if items else "nothing"
        raise CorpusError(
            f"{selection.corpus.name}: {left} is left to compare, of {len(selection.items)} "
            f"languages and modalities{first}. `isogloss corpus show` has all reasons"
        )
    selection = replace(selection, items=items, dropped=(*selection.dropped, *dropped))
    return selection, contents, beside


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


def _content(
    utterance: Utterance, modality: Modality, beside: Mapping[str, str | ItemError] | None
) -> str | ItemError:
    if modality == "speech":
        return _clip(utterance.clip) if utterance.clip else ""
    if beside is None:
        return utterance.text or ""
    heard = beside.get(utterance.sentence)
    if heard is None:
        return ItemError(
            "there is no recording to go with the text, and this model is given both; add speech "
            "to corpus.modalities, or set the model's `input` to separate"
        )
    return heard if isinstance(heard, ItemError) else f"{utterance.text or ''}\0{heard}"


def _clip(clip: Clip) -> str | ItemError:
    try:
        return clip.identity()
    except ItemError as error:
        return error
