"""Sentences of the demo model: lists of two to four terms, the same in ten languages."""

import json
import random
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

LANGUAGES = {
    "cmn": 8_000, "eng": 8_000, "fin": 8_000, "fra": 8_000,
    "rus": 1_200, "tur": 1_200,
    "hye": 100, "kat": 100, "mar": 100, "swh": 100,
}  # fmt: skip
"""ISO 639-3 code -> sentences to train on. Uneven on purpose, after the resource levels of the
study: high, medium, low. A third as many terms come by themselves."""

ALONE = 3
"""Sentences of a language for each term that it is given by itself, to begin with."""

HELD_OUT = 240
"""Sentences that are kept back, once for looking on while training and once for the end."""
_SIZES = (2, 3, 3, 4)
_KNOWN = json.loads(Path(__file__).with_name("terms.json").read_text(encoding="utf-8"))
TERMS: list[dict[str, str]] = _KNOWN["terms"]
Sentence = tuple[int, ...]


def sentences(seed: int) -> tuple[list[Sentence], list[Sentence], list[Sentence]]:
    """Draw the sentences, as numbers of terms.

    Returns:
        Those to train on, of which a language gets the first ones; those to look at while the
        recipe is settled and the model trains; and those held out, for the end. No two sentences
        have the same set of terms, and in all parts every term is about as frequent.
    """
    drawn, seen = _drawn(random.Random(seed)), set()
    count = 2 * HELD_OUT + max(LANGUAGES.values())
    kept: list[Sentence] = []
    while len(kept) < count:
        sentence = next(drawn)
        if frozenset(sentence) not in seen:
            seen.add(frozenset(sentence))
            kept.append(sentence)
    # Those that are kept back come first, and stay the same if there are more to train on.
    return kept[2 * HELD_OUT :], kept[:HELD_OUT], kept[HELD_OUT : 2 * HELD_OUT]


def _drawn(numbers: random.Random, sizes: Sequence[int] = _SIZES) -> Iterator[Sentence]:
    """Deal the terms like cards: all of them come before one comes again."""
    cards: list[int] = []
    while True:
        size = sizes[int(numbers.random() * len(sizes))]
        hand: list[int] = []
        while len(hand) < size:
            if not cards:
                cards = sorted(range(len(TERMS)), key=lambda _: numbers.random())
            card = cards.pop()
            if card not in hand:
                hand.append(card)
        yield tuple(hand)


def terms_alone(seed: int) -> list[Sentence]:
    """Deal terms by themselves, as many as any language is given."""
    drawn = _drawn(random.Random(f"{seed} alone"), sizes=(1,))
    return [next(drawn) for _ in range(max(LANGUAGES.values()) // ALONE)]


def text(sentence: Sentence, language: str) -> str:
    """Put a sentence in a language, with its commas and its word for "and"."""
    words = [TERMS[i][language] for i in sentence]
    if len(words) == 1:
        return words[0]
    patterns: Mapping[str, str] = _KNOWN["lists"][language]
    if len(words) == 2:
        return patterns["2"].format(*words)
    joined = patterns["end"].format(*words[-2:])
    for word in reversed(words[1:-2]):
        joined = patterns["middle"].format(word, joined)
    return patterns["start"].format(words[0], joined)
