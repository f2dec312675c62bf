"""Recordings that go with texts, for models that are given speech and text in one input.

In a causal model the text comes after the speech and is computed with it in view. The study does
that with the recording of the same sentence; with another sentence's recording, everything else
being equal, what is left is the text's own (the control).
"""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Literal

from isogloss.corpora.base import Clip, Modality, Utterance

Rule = Literal["none", "same", "other"]
Items = Mapping[tuple[str, Modality], Sequence[Utterance]]


def own_clips(items: Items, language: str) -> dict[str, Clip]:
    """The recording that stands for each sentence of a language: sentence -> clip."""
    found: dict[str, Clip] = {}
    for modality in ("text", "speech"):
        for utterance in items.get((language, modality), ()):
            if utterance.clip is not None:
                found.setdefault(utterance.sentence, utterance.clip)
    return found


def partners(sentences: Sequence[str], seed: int, language: str) -> dict[str, str]:
    """Give each sentence another one of the same list, each once.

    The sentences stand in a circle, in a random order, and each is given the next. Every language
    has an order of its own: with one for all, two translations would follow recordings of the same
    other sentence, and what they take from those would still make them alike.

    >>> found = partners(["1", "2", "3"], seed=0, language="deu")
    >>> sorted(found.values()) == sorted(found), any(a == b for a, b in found.items())
    (True, False)

    Args:
        sentences: Their ids, without repeats.
        seed: Seed of the study.
        language: Their language.

    Returns:
        Sentence -> partner; empty for fewer than two sentences.
    """
    drawn = {s: hashlib.sha256(f"{seed}|{language}|{s}".encode()).digest() for s in sentences}
    circle = sorted(sentences, key=lambda s: (drawn[s], s))
    if len(circle) < 2:
        return {}
    return dict(zip(circle, [*circle[1:], circle[0]], strict=True))


def companions(
    items: Items, language: str, rule: Rule, usable: Mapping[str, Clip], seed: int
) -> dict[str, Clip]:
    """Choose the recording that goes with each text of a language.

    Args:
        items: What is used of the corpus.
        language: ISO 639-3.
        rule: ``same``: that of its own sentence; ``other``: that of another one.
        usable: Sentence -> its recording, where that can be read.
        seed: Seed of the study.

    Returns:
        Sentence -> recording; without those that have none.
    """
    sentences = list(dict.fromkeys(u.sentence for u in items.get((language, "text"), ())))
    if rule == "same":
        return {s: usable[s] for s in sentences if s in usable}
    with_both = [s for s in sentences if s in usable]
    return {s: usable[p] for s, p in partners(with_both, seed, language).items()}
