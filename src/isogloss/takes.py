"""Several recordings of a sentence, called takes: chosen, ordered, numbered and found again.

Take 0 stands for its sentence. In a list of utterances a take's number is not stored: it is how
often the sentence came before. Hence the list has all takes 0 first, in the order of sentences,
then all takes 1, and so on; and if a take cannot be used, the next one of its sentence moves up.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isogloss.corpora.base import MODALITIES, Modality, Utterance
from isogloss.errors import StoreError, choices
from isogloss.settings import digest


def choose(
    candidates: Sequence[Utterance], modalities: Sequence[Modality], recordings: int, seed: int
) -> dict[Modality, list[Utterance]]:
    """Choose among the utterances of one sentence in one language.

    Args:
        candidates: All of them.
        modalities: What is wanted.
        recordings: Largest number of recordings.
        seed: Seed of the study.

    Returns:
        For each modality that any of them has: the utterance that stands for the sentence, and in
        speech up to ``recordings - 1`` more.
    """
    if len(candidates) == 1:
        return {m: [candidates[0]] for m in modalities if has(candidates[0], m)}
    ranked = sorted(candidates, key=lambda u: rank(u, seed))
    # Looked at even if only one modality is asked for: asking for both must not change it.
    whole = next((u for u in ranked if all(has(u, m) for m in MODALITIES)), None)
    firsts = {m: whole or next((u for u in ranked if has(u, m)), None) for m in modalities}
    found = {m: [u] for m, u in firsts.items() if u is not None}
    if "speech" in found:
        rest = [u for u in ranked if u.clip is not None and u is not found["speech"][0]]
        found["speech"] += _further(found["speech"][0], rest, recordings - 1)
    return found


def _further(first: Utterance, ranked: list[Utterance], count: int) -> list[Utterance]:
    """Take up to ``count`` more recordings, of as many speakers as there are."""
    heard, found, rest = {first.speaker}, list[Utterance](), list(ranked)
    while rest and len(found) < count:
        # An unknown speaker may be one that was heard: less than a new one, more than an old one.
        take = min(rest, key=lambda u: 1 if u.speaker is None else 2 * (u.speaker in heard))
        rest.remove(take)
        heard.add(take.speaker)
        found.append(take)
    return found


def rank(utterance: Utterance, seed: int) -> tuple[str, ...]:
    """What decides among the utterances of one sentence: the smallest is taken.

    It is the SHA-256 of seed, language, sentence, speaker, text and the file name of the recording;
    where two files in different folders agree in all of that, the same with the folder's name, and
    so on towards the root. No recording is opened, and moving the corpus changes nothing.

    Args:
        utterance: Candidate.
        seed: Seed of the study.
    """
    parts = re.split(r"[\\/]", utterance.clip.name) if utterance.clip else [""]
    key = [seed, utterance.language, utterance.sentence, utterance.speaker, utterance.text]
    return tuple(digest([*key, parts[-n:]]) for n in range(1, len(parts) + 1))


def has(utterance: Utterance, modality: Modality) -> bool:
    """Whether an utterance can be used in a modality."""
    if modality == "speech":
        return utterance.clip is not None
    return bool(utterance.text and utterance.text.strip())


def numbers(sentences: Iterable[str]) -> list[int]:
    """Number the takes: for each row, how many rows before it are of the same sentence.

    >>> numbers(["a", "b", "a", "a"])
    [0, 0, 1, 2]
    """
    seen: Counter[str] = Counter()
    found = []
    for sentence in sentences:
        found.append(seen[sentence])
        seen[sentence] += 1
    return found


def arranged(sentences: Sequence[str], usable: Iterable[int] | None = None) -> list[int]:
    """Order rows by take, then by the place of their sentence.

    Args:
        sentences: Sentence id of every row; where an id first appears is its sentence's place.
        usable: Numbers of the rows to keep; all if left out.

    Returns:
        Numbers of the rows in their new order.

    >>> arranged(["a", "b", "a", "b", "a"], usable=[1, 2, 3, 4])
    [2, 1, 4, 3]
    """
    place: dict[str, int] = {}
    for i, sentence in enumerate(sentences):
        place.setdefault(sentence, i)
    rows = sorted(range(len(sentences)) if usable is None else usable)
    takes = numbers(sentences[i] for i in rows)
    order = sorted((take, place[sentences[i]], i) for take, i in zip(takes, rows, strict=True))
    return [i for *_, i in order]


def explained(reasons: dict[int, str], sentences: Sequence[str]) -> dict[int, str]:
    """Add to why a row is left out what that means for its sentence, if the sentence stays.

    Args:
        reasons: Row number -> why it cannot be used.
        sentences: Sentence id of every row, those that cannot be used included.
    """
    kept = {s for i, s in enumerate(sentences) if i not in reasons}
    takes = numbers(sentences)
    ends = {True: "; another recording takes its place", False: "; its sentence keeps another"}
    return {
        i: reason + (ends[takes[i] == 0] if sentences[i] in kept else "")
        for i, reason in reasons.items()
    }


class RowIndex:
    """Finds the rows of a unit by sentence and take.

    Args:
        record: The unit's record.
    """

    def __init__(self, record: Mapping[str, Any]) -> None:
        self._unit = f"{record['language']} {record['modality']}"
        self._rows: dict[str, dict[int, int]] = {}
        for row, (sentence, take) in enumerate(
            zip(record["sentences"], record["takes"], strict=True)
        ):
            self._rows.setdefault(sentence, {})[take] = row

    def rows(
        self, sentences: Sequence[str], takes: Sequence[int] | None = None
    ) -> NDArray[np.intp]:
        """Row numbers of one recording of each sentence: (sentences,).

        Args:
            sentences: Ids, in any order.
            takes: Which recording of each; the first of each if left out.

        Raises:
            StoreError: A sentence or take is not in the unit, or there are not as many takes as
                sentences.
        """
        takes = [0] * len(sentences) if takes is None else takes
        if len(takes) != len(sentences):
            raise StoreError(f"{len(takes)} takes are given for {len(sentences)} sentences")
        try:
            found = [self._rows[s][t] for s, t in zip(sentences, takes, strict=True)]
        except KeyError:
            wanted = zip(sentences, takes, strict=True)
            sentence, take = next((s, t) for s, t in wanted if t not in self._rows.get(s, ()))
            raise StoreError(self._absent(sentence, take)) from None
        return np.array(found, dtype=np.intp)

    def all_takes(self, sentences: Sequence[str]) -> list[NDArray[np.intp]]:
        """For each sentence, the row numbers of all its recordings, in order of takes.

        Raises:
            StoreError: A sentence is not in the unit.
        """
        for sentence in sentences:
            if sentence not in self._rows:
                raise StoreError(self._absent(sentence, 0))
        found = (self._rows[s] for s in sentences)
        return [np.array([rows[take] for take in sorted(rows)], dtype=np.intp) for rows in found]

    def _absent(self, sentence: str, take: int) -> str:
        if sentence not in self._rows:
            there = choices(self._rows, 4)
            return f'{self._unit} has no sentence "{sentence}"; it has {there}'
        there = choices(map(str, sorted(self._rows[sentence])))
        return (
            f'{self._unit}, sentence "{sentence}": there is no take {take}, only {there}. '
            '"corpus.recordings" says how many recordings of a sentence are used'
        )
