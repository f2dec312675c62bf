"""Read inputs just far enough to say which they are, and leave out those that cannot be used."""

from collections.abc import Collection, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from isogloss.companions import companions, own_clips
from isogloss.corpora.base import Clip, Dropped, Modality, Selection, Utterance
from isogloss.errors import ItemError
from isogloss.study import Study
from isogloss.takes import arranged, explained

if TYPE_CHECKING:
    from isogloss.planning import Plan
    from isogloss.storage.store import Unit

MIN_SENTENCES = 3


@dataclass(frozen=True)
class Inputs:
    """The inputs of one language in one modality."""

    utterances: tuple[Utterance, ...]
    """Those that can be used, ordered by take and sentence; none if they are too few."""
    content: list[list[str]]
    """Sentence id and digest of each."""
    dropped: tuple[Dropped, ...]
    companions: dict[str, Clip] = field(default_factory=dict)
    """Sentence -> the recording that goes with its text, for models that ask for it."""


def identify(
    selection: Selection, language: str, modality: Modality, study: Study, pool: Executor
) -> Inputs:
    """Digest every input of a language and modality.

    Recordings that cannot be read, or that are there twice, are left out.

    Args:
        selection: What is used of the corpus.
        language: ISO 639-3 code.
        modality: Text or speech.
        study: The study; its model says what goes with a text.
        pool: Threads to read in.
    """
    utterances = selection.items[language, modality]
    rule = study.model.companion()
    chosen: dict[str, Clip] = {}
    with_text: dict[str, str | ItemError] | None = None
    if modality == "text" and rule != "none":
        clips = own_clips(selection.items, language)
        digests = dict(zip(clips, pool.map(_clip, clips.values()), strict=True))
        readable = {s: c for s, c in clips.items() if isinstance(digests[s], str)}
        chosen = companions(selection.items, language, rule, readable, study.seed)
        with_text = {s: digests[s] for s in clips if isinstance(digests[s], ItemError)}
        with_text |= dict(zip(chosen, pool.map(_clip, chosen.values()), strict=True))
    found = list(pool.map(lambda u: _content(u, modality, with_text), utterances))
    ids = [u.sentence for u in utterances]
    good, bad = _usable(ids, found)
    dropped = [
        Dropped(language, ids[i], modality, reason, utterances[i].origin)
        for i, reason in explained(bad, ids).items()
    ]
    firsts = {ids[i]: utterances[i] for i in reversed(good)}
    if len(firsts) < MIN_SENTENCES:
        few = f"{len(firsts)} usable sentences are too few, {MIN_SENTENCES} are needed"
        dropped += [
            Dropped(language, s, modality, few, firsts[s].origin)
            for s in dict.fromkeys(ids)
            if s in firsts
        ]
        good = []
    return Inputs(
        tuple(utterances[i] for i in good),
        [[ids[i], str(found[i])] for i in good],
        tuple(dropped),
        chosen,
    )


def changes(plan: "Plan", unit: "Unit", unread: Collection[int]) -> str:
    """Say what has changed in the recordings of a unit since it was planned; empty if nothing.

    A recording that was away for a while, or replaced, must not leave a gap or foreign rows in a
    unit that is named by its content.

    Args:
        plan: The plan.
        unit: The unit.
        unread: Which of its utterances could not be read.
    """
    planned = plan.content.get((unit.language, unit.modality), [])
    beside = plan.companions.get(unit.language, {}) if unit.modality == "text" else {}
    for i, (utterance, content) in enumerate(zip(plan.utterances(unit), planned, strict=False)):
        clip = utterance.clip if unit.modality == "speech" else beside.get(utterance.sentence)
        if clip is None:
            continue
        found = _clip(clip)
        if isinstance(found, ItemError):
            return f"{found}, though it was there when the work was planned"
        if (found if unit.modality == "speech" else f"{utterance.text or ''}\0{found}") != content:
            return f"{clip.name} has changed while it was worked on"
        if i in unread:
            try:
                clip.read()
            except ItemError:
                continue
            return f"{clip.name} could not be read for a while"
    return ""


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
