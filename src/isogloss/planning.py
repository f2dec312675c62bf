"""Decide what a study needs, before anything is run."""

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from isogloss import confounds
from isogloss.analyses.base import Contents
from isogloss.corpora.base import Clip, Corpus, Modality, Selection, Utterance
from isogloss.errors import CorpusError, ModelError, StudyError, choices
from isogloss.events import Events, Silent, task
from isogloss.identifying import Inputs, identify
from isogloss.languages import languages
from isogloss.models.base import Layout, Tap, TapPair, chosen_taps
from isogloss.selection import select
from isogloss.settings import digest
from isogloss.spoken import spoken
from isogloss.storage.store import FORMAT, Store, Unit
from isogloss.study import Study


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
    content: dict[tuple[str, Modality], list[str]] = field(default_factory=dict)
    """Digest of each utterance of a language and modality, as planned."""

    def pending(self, store: Store) -> tuple[Unit, ...]:
        """Units that are not committed yet."""
        return tuple(u for u in self.units if not store.has(u))

    def utterances(self, unit: Unit) -> tuple[Utterance, ...]:
        """The utterances of a unit: one for each row, ordered by take and sentence."""
        return self.selection.items[unit.language, unit.modality]

    @cached_property
    def texts(self) -> dict[tuple[str, str], str]:
        """(language, sentence) -> its text, also where no chosen utterance has it."""
        return texts_of(self.selection.corpus, self.selection.items)

    def bytes(self, unit: Unit) -> int:
        """Size of a unit's activations on disk."""
        widths = {t.name: t.width for t in self.taps[unit.modality]}
        return 4 * unit.rows * sum(widths[t] for t in unit.taps)


@dataclass(frozen=True)
class Draft:
    """A study as far as it is known before its inputs are read."""

    study: Study
    selection: Selection
    layout: Layout
    taps: dict[Modality, tuple[Tap, ...]]
    checkpoint: dict[str, str]
    own: dict[tuple[str, Modality], dict[str, str]]
    """What a language's encoder alone is made of."""

    def unit(self, language: str, modality: Modality, inputs: Inputs) -> Unit:
        """Name the unit of some inputs."""
        names = tuple(t.name for t in self.taps[modality])
        content = {**self.checkpoint, **self.own[language, modality]}
        identity: dict[str, Any] = {
            "format": FORMAT,
            "model": {**self.study.model.identity(), "checkpoint": content},
            "language": language,
            "modality": modality,
            "taps": names,
            "content": inputs.content,
        }
        ids = tuple(dict.fromkeys(u.sentence for u in inputs.utterances))
        further = len(inputs.utterances) - len(ids)
        return Unit(language, modality, digest(identity), names, ids, further)

    def plan(self, inputs: Mapping[tuple[str, Modality], Inputs]) -> Plan:
        """Make the plan of the languages and modalities whose inputs were read."""
        read = {key: i.utterances for key, i in inputs.items()}
        items = {k: v for k, v in {**self.selection.items, **read}.items() if v}
        dropped = (*self.selection.dropped, *(d for i in inputs.values() for d in i.dropped))
        names = {m: {t.name for t in found} for m, found in self.taps.items()}
        pairs = tuple(
            p for p in self.layout.pairs if p.text in names["text"] and p.speech in names["speech"]
        )
        return Plan(
            self.study,
            replace(self.selection, items=items, dropped=dropped),
            self.layout,
            self.taps,
            pairs,
            tuple(self.unit(*key, i) for key, i in inputs.items() if i.utterances),
            self.checkpoint,
            {code: i.companions for (code, _), i in inputs.items() if i.companions},
            {key: [content for _, content in i.content] for key, i in inputs.items()},
        )


def selected(study: Study, corpus: Corpus, *, recordings: int = 1) -> Selection:
    """Choose the utterances of a study that its model can take.

    Args:
        study: The study.
        corpus: Its corpus, as read.
        recordings: Of each sentence, at most.

    Raises:
        CorpusError: The corpus gives unknown languages, or its languages share no sentences.
        ModelError: The model does not know a language that was named.
        StudyError: A language or a confound is unknown.
    """
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
        recordings=recordings,
        seed=study.seed,
    )
    selection = spoken(selection, study.model, study.corpus.languages)
    chosen = (u for items in selection.items.values() for u in items)
    confounds.check(study.confounds, (), known=confounds.known(chosen))
    return selection


def texts_of(
    corpus: Corpus, items: Mapping[tuple[str, Modality], Sequence[Utterance]]
) -> dict[tuple[str, str], str]:
    """(language, sentence) -> its text, also where no chosen utterance has it.

    Args:
        corpus: All utterances.
        items: Those that were chosen, whose text comes before that of others.
    """
    used = (u for (_, m), found in items.items() if m == "text" for u in found)
    every = (*reversed(corpus.utterances), *used)
    return {(u.language, u.sentence): u.text for u in every if u.text}


def draft(study: Study, events: Events | None = None) -> Draft:
    """Read the corpus table and the model's configuration, and choose what is used.

    All files of the checkpoint are read, and archives of the corpus unpacked, which may take long.

    Raises:
        CorpusError: The corpus cannot be read, or its languages share no sentences.
        ModelError: The checkpoint is none of its family, or lacks a tap.
        StudyError: A language is unknown.
    """
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
    events = events or Silent()
    with task(events, "read model and corpus", 2, "part"):
        events.advance("read model and corpus", 0, study.model.title())
        fingerprint = study.model.fingerprint()
        events.advance("read model and corpus", 1, study.corpus.source)
        corpus = study.corpus.load()
        events.advance("read model and corpus", 1)
    selection = selected(study, corpus, recordings=study.corpus.recordings)
    own = {(code, m): study.model.fingerprint_of(m, code) for code, m in selection.items}
    return Draft(study, selection, layout, taps, fingerprint, own)


def plan(study: Study, events: Events | None = None) -> Plan:
    """Work out the units of a study. Reads the corpus table and the model's configuration.

    Raises:
        CorpusError: The corpus cannot be read, or its languages share no sentences.
        ModelError: The checkpoint is none of its family, or lacks a tap.
        StudyError: A language is unknown.
    """
    events = events or Silent()
    drafted = draft(study, events)
    items, corpus = drafted.selection.items, drafted.selection.corpus
    inputs: dict[tuple[str, Modality], Inputs] = {}
    total = sum(len(v) for v in items.values())
    with (
        task(events, "check inputs", total, "input"),
        ThreadPoolExecutor(study.jobs or os.cpu_count()) as pool,
    ):
        for language, modality in items:
            inputs[language, modality] = identify(
                drafted.selection, language, modality, study, pool
            )
            count = len(items[language, modality])
            events.advance("check inputs", count, f"{language} {modality}")
    left = [key for key, found in inputs.items() if found.utterances]
    if len(left) < 2:
        dropped = [d for found in inputs.values() for d in found.dropped]
        first = f"; the first: {dropped[0].reason}" if dropped else ""
        raise CorpusError(
            f"{corpus.name}: {' '.join(left[0]) if left else 'nothing'} is left to compare, of "
            f"{len(items)} languages and modalities{first}. `isogloss corpus show` has all reasons"
        )
    planned = drafted.plan(inputs)
    if not any(True for a in study.analyses for _ in a.comparisons(_contents(planned))):
        raise CorpusError(
            f"{corpus.name}: the analyses have nothing to compare. They need two languages, or "
            "text and speech of one, and noise_ceiling needs several recordings of a sentence "
            "(corpus.recordings)"
        )
    return planned


def plan_unit(drafted: Draft, language: str, modality: Modality) -> Plan:
    """The plan of a single unit, which reads its own inputs only.

    Its unit is the one that the plan of the whole study has. It has none if the language and
    modality are not in the corpus any more, or have too few inputs that can be read.
    """
    if (language, modality) not in drafted.selection.items:
        return drafted.plan({})
    with ThreadPoolExecutor(drafted.study.jobs or os.cpu_count()) as pool:
        found = identify(drafted.selection, language, modality, drafted.study, pool)
    return drafted.plan({(language, modality): found})


def _contents(planned: Plan) -> Contents:
    """What there will be to compare if every unit can be made."""
    speakers: dict[tuple[str, Modality], dict[str, tuple[str | None, ...]]] = {}
    for key, utterances in planned.selection.items.items():
        own = speakers.setdefault(key, {})
        for u in utterances:
            own[u.sentence] = (*own.get(u.sentence, ()), u.speaker)
    taps = {m: tuple((t.name, t.depth) for t in found) for m, found in planned.taps.items()}
    return Contents({k: tuple(v) for k, v in speakers.items()}, taps, planned.pairs, speakers)
