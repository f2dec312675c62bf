"""Choose what is used of a corpus: the utterances of each sentence, language and modality."""

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

from isogloss.corpora.base import MODALITIES, Corpus, Dropped, Modality, Selection, Utterance
from isogloss.errors import CorpusError, ItemError, StudyError, choices
from isogloss.languages import language, resolve
from isogloss.takes import arranged, choose, has

Items = dict[tuple[str, Modality], tuple[Utterance, ...]]


def select(
    corpus: Corpus,
    *,
    languages: Sequence[str] = (),
    modalities: Sequence[Modality] = MODALITIES,
    sentences: int | None = None,
    recordings: int = 1,
    seed: int,
) -> Selection:
    """Choose the utterances of each sentence, language and modality. Opens no recording.

    One stands for the sentence. Among several, those with both text and recording go first, so
    that both modalities come from one utterance; then a hash decides
    (:func:`isogloss.takes.rank`). The choice depends on the seed and on the utterances of that
    sentence in that language only: other rows, their order and the place of the corpus on disk do
    not matter.

    Of speech, further recordings follow if more than one is asked for: first those of speakers
    not heard yet, then those of whom the speaker is not known, then the others, each by rank.

    Args:
        corpus: The utterances of a source.
        languages: Any codes that :func:`isogloss.languages.language` knows; all if empty.
        modalities: ``text``, ``speech`` or both.
        sentences: Use only the first so many ids of those that any language has.
        recordings: Use up to so many recordings of a sentence in a language.
        seed: Seed of the choice among several utterances.

    Returns:
        Items without those (language, modality) keys that have no sentence; their order is that of
        :class:`Selection`. ``dropped`` begins with the corpus' own, as far as they concern this
        selection; further utterances, those chosen and those not, and ids after the first
        ``sentences``, are counted in the notes of its corpus.

    Raises:
        StudyError: A language is unknown, or nothing is asked for.
        CorpusError: A language is not in the corpus, no two languages share a sentence, text and
            speech share none, or nothing is left that could be compared.
    """
    if not modalities or (sentences is not None and sentences < 1) or recordings < 1:
        raise StudyError("ask for at least one modality, one sentence and one recording")
    wanted = _languages(corpus, languages)
    dropped = [
        d for d in corpus.dropped if d.language in wanted and d.modality in (*modalities, None)
    ]
    groups: dict[tuple[str, str], list[Utterance]] = defaultdict(list)
    for u in (u for u in corpus.utterances if u.language in wanted):
        if any(has(u, m) for m in modalities):
            groups[u.language, u.sentence].append(u)
        elif not any(has(u, m) for m in MODALITIES):
            reason = "has neither text nor recording"
            dropped.append(Dropped(u.language, u.sentence, None, reason, u.origin))
    ids = {sentence for _, sentence in groups}
    used = sorted(ids, key=id_order(ids))[:sentences]
    position = {sentence: i for i, sentence in enumerate(used)}

    chosen: dict[tuple[str, Modality], list[Utterance]] = {
        (code, m): [] for code in wanted for m in modalities
    }
    used_more: Counter[str] = Counter()
    unused: Counter[str] = Counter()
    for (code, sentence), candidates in groups.items():
        if sentence not in position:
            continue
        picks = choose(candidates, modalities, recordings, seed)
        for modality, takes in picks.items():
            chosen[code, modality] += takes
        used_more[code] += max(0, len(picks.get("speech", ())) - 1)
        unused[code] += len(candidates) - len({id(u) for takes in picks.values() for u in takes})
    items = {}
    for key, found in chosen.items():
        if found:
            # Stable: the takes of a sentence stay in the order in which they were chosen.
            found.sort(key=lambda u: position[u.sentence])
            items[key] = tuple(found[i] for i in arranged([u.sentence for u in found]))
    order = id_order([d.sentence for d in dropped])
    dropped.sort(
        key=lambda d: (d.language, order(d.sentence), d.modality or "", d.reason, d.origin)
    )
    empty = []
    for code in wanted:
        if not any((code, m) in items for m in modalities):
            later = any(c == code for c, _ in groups)
            none = f"none of the first {sentences} sentence ids" if later else "it has none"
            reason = next((d.reason for d in dropped if d.language == code), none)
            empty.append(f"{code}: left out ({reason})")
    _check(items, corpus.name, modalities, empty)
    notes = _outside(corpus, languages)
    notes += _counts(f"Further recordings, up to {recordings} of a sentence in all", used_more)
    if recordings > 1 and not +used_more and "speech" in modalities:
        notes = [f"No sentence has a second recording; up to {recordings} were asked for"]
    notes += _counts("Further utterances that were not chosen", unused)
    notes += _lacking(items, modalities)
    if beyond := len(ids) - len(used):
        notes.append(
            f"Only the first {len(used)} sentence ids are used, as asked; {beyond} are not"
        )
    return Selection(replace(corpus, notes=(*corpus.notes, *empty, *notes)), items, tuple(dropped))


def _counts(what: str, counts: Counter[str]) -> list[str]:
    found = [f"{code} {count}" for code, count in sorted(counts.items()) if count]
    return [f"{what}: {', '.join(found)}"] if found else []


def _lacking(items: Items, modalities: Sequence[Modality]) -> list[str]:
    """Name the languages that have fewer sentences in one modality than over all of them."""
    found = []
    for code in dict.fromkeys(code for code, _ in items):
        has = {m: {u.sentence for u in items.get((code, m), ())} for m in modalities}
        every = set().union(*has.values())
        for modality, sentences in has.items():
            if lacking := len(every - sentences):
                found.append(f"{code}: {lacking} of {len(every)} sentences have no {modality}")
    return found


def id_order(ids: Iterable[str]) -> Callable[[str], tuple[object, ...]]:
    """Sort key for sentence ids: as numbers if all are integers, else naturally.

    Naturally means that digits within an id count as a number: ``s2`` stands before ``s10``.

    >>> sorted(["s10", "s2", "s1b"], key=id_order(["s10", "s2", "s1b"]))
    ['s1b', 's2', 's10']
    """
    # int() refuses numbers of several thousand digits.
    if all(re.fullmatch(r"[+-]?[0-9]{1,4000}", i) for i in ids):
        return lambda sentence: (int(sentence), sentence)
    return lambda sentence: (_natural(sentence), sentence)


def _natural(sentence: str) -> tuple[object, ...]:
    start, *rest = re.split(r"([0-9]+)", sentence)
    parts: list[object] = [start]
    for digits, text in zip(rest[::2], rest[1::2], strict=True):
        number = digits.lstrip("0")
        parts += [len(number), number, text]
    return tuple(parts)


def _languages(corpus: Corpus, codes: Sequence[str]) -> tuple[str, ...]:
    spoken = {u.language for u in corpus.utterances}
    if not codes:
        return tuple(sorted(spoken))
    asked = resolve(codes)
    present = spoken | {d.language for d in corpus.dropped}
    absent = [c for c, group in asked.items() if c not in present and not group]
    found = tuple(c for c in asked if c in present)
    if absent or not found:
        absent = absent or list(asked)
        names = " and ".join(f"{c} ({language(c).name})" for c in absent)
        raise CorpusError(
            f"the corpus {corpus.name} has no {names}; it has {choices(sorted(spoken), 40)}"
        )
    return found


def _outside(corpus: Corpus, codes: Sequence[str]) -> list[str]:
    """Name the languages of a set that the corpus lacks."""
    present = {u.language for u in corpus.utterances} | {d.language for d in corpus.dropped}
    lacking = [c for c, group in resolve(codes).items() if group and c not in present]
    return [f"Not in the corpus: {', '.join(lacking)}"] if lacking else []


def _check(items: Items, corpus: str, modalities: Sequence[Modality], empty: Sequence[str]) -> None:
    """Refuse a selection in which nothing can be compared."""
    ids = {key: {u.sentence for u in found} for key, found in items.items()}
    if not ids:
        why = "; ".join(["", *empty])
        raise CorpusError(f"the corpus {corpus} has no {' or '.join(modalities)} to use{why}")
    lingual = [((a, m), (b, n)) for (a, m), (b, n) in combinations(ids, 2) if m == n and a != b]
    modal = [((a, m), (b, n)) for (a, m), (b, n) in combinations(ids, 2) if a == b]
    if not lingual and not modal:
        have = " and ".join(f"{m} in {code}" for code, m in ids)
        raise CorpusError(
            f"nothing can be compared: there is only {have}; use a second language or modality"
            + "".join(f"; {reason}" for reason in empty)
        )
    for what, pairs in (("its languages", lingual), ("text and speech", modal)):
        if pairs and not any(ids[a] & ids[b] for a, b in pairs):
            sides = (
                f"{code} {m} has {choices(sorted(ids[code, m], key=id_order(ids[code, m])), 3)}"
                for code, m in pairs[0]
            )
            raise CorpusError(
                f"the corpus {corpus} cannot be used: {what} share no sentence ids. "
                f"{', '.join(sides)}. A sentence has one id in all languages, written and spoken"
            )


@dataclass(frozen=True)
class LanguageSummary:
    """What a selection holds in one language."""

    language: str
    text: int
    """Sentences with text."""
    speech: int
    """Sentences with a recording."""
    both: int
    """Sentences with both."""
    hours: float
    """Length of the recordings whose length can be read; estimated where not yet synthesised."""
    unreadable: int
    """Recordings whose length cannot be read."""
    duplicates: int
    """Sentences whose text another sentence id has too."""
    further: int
    """Recordings used beyond the first of each sentence."""
    extra: int
    """Utterances of these sentences that were not chosen."""


@dataclass(frozen=True)
class Overlap:
    """How many sentences languages share."""

    languages: tuple[str, ...]
    shared: tuple[tuple[int, ...], ...]
    """(languages × languages); the diagonal has each language's own number."""
    common: int
    """Sentences that all of the languages have."""


@dataclass(frozen=True)
class Summary:
    """What a selection holds."""

    languages: tuple[LanguageSummary, ...]
    overlaps: dict[Modality, Overlap]
    """For each modality, over the languages that have it."""
    common: int
    """Sentences that all languages have in all modalities they are used in."""


def summary(selection: Selection) -> Summary:
    """Count what a selection holds. Opens the header of each recording for its length."""
    ids = {key: {u.sentence for u in found} for key, found in selection.items.items()}
    total = Counter((u.language, u.sentence) for u in selection.corpus.utterances)
    none: frozenset[str] = frozenset()
    rows = []
    for code in dict.fromkeys(code for code, _ in ids):
        text, speech = (selection.items.get((code, m), ()) for m in MODALITIES)
        seconds, unreadable = 0.0, 0
        for u in speech:
            try:
                seconds += u.clip.seconds() if u.clip else 0
            except ItemError:
                unreadable += 1
        times = Counter(u.text for u in text)
        used = {id(u): u.sentence for u in (*text, *speech)}
        written, spoken = ids.get((code, "text"), none), ids.get((code, "speech"), none)
        rows.append(
            LanguageSummary(
                language=code,
                text=len(text),
                speech=len(spoken),
                both=len(written & spoken),
                hours=seconds / 3600,
                unreadable=unreadable,
                duplicates=sum(times[u.text] > 1 for u in text),
                further=len(speech) - len(spoken),
                extra=sum(total[code, s] for s in set(used.values())) - len(used),
            )
        )
    overlaps = {}
    for modality in MODALITIES:
        sets = {code: found for (code, m), found in ids.items() if m == modality}
        if sets:
            shared = tuple(tuple(len(a & b) for b in sets.values()) for a in sets.values())
            overlaps[modality] = Overlap(tuple(sets), shared, len(_common(sets.values())))
    return Summary(tuple(rows), overlaps, len(_common(ids.values())))


def _common(sets: Iterable[set[str]]) -> set[str]:
    found = list(sets)
    return set.intersection(*found) if found else set()
