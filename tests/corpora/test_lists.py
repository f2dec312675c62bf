"""The bundled lists of words."""

import pytest

from isogloss.corpora.lists import Lists
from isogloss.demo import LANGUAGES
from isogloss.errors import StudyError
from isogloss.languages import languages

PARTS = ("held-out", "development")


@pytest.fixture(scope="module")
def parts():
    return {part: Lists(part=part).load().utterances for part in PARTS}


@pytest.mark.parametrize("part", PARTS)
def test_every_language_has_all_sentences(parts, part):
    found = {}
    for utterance in parts[part]:
        assert utterance.split == part
        assert utterance.text
        found.setdefault(utterance.language, []).append(utterance.sentence)
    assert tuple(sorted(found)) == LANGUAGES
    ids = set(found["eng"])
    assert len(ids) == 240
    assert all(len(own) == 240 and set(own) == ids for own in found.values())


def test_no_text_comes_twice_in_a_language(parts):
    texts = [(u.language, u.text) for part in PARTS for u in parts[part]]
    assert len(set(texts)) == len(texts) == 4_800


def test_speakers_and_paces_differ_from_sentence_to_sentence(parts):
    for code in LANGUAGES:
        own = [u for u in parts["held-out"] if u.language == code]
        assert len({u.speaker for u in own}) == 12
        assert len({(u.clip.rate, u.clip.pitch) for u in own}) > 200
        assert {u.speaker.partition("+")[0] for u in own} == {languages()[code].espeak}
        assert {u.gender for u in own} == {"female", "male"}


def test_scripts_are_those_of_the_languages(parts):
    letters = {
        "cmn": "\u4e00\u9fff", "hye": "\u0531\u0587", "kat": "\u10d0\u10ff",
        "mar": "\u0900\u097f", "rus": "\u0401\u0451",
    }  # fmt: skip
    for code, (first, last) in letters.items():
        text = "".join(u.text for u in parts["held-out"] if u.language == code)
        own = sum(first <= c <= last for c in text)
        assert own / sum(c.isalpha() or first <= c <= last for c in text) > 0.99, code


def test_text_alone_needs_no_voice():
    found = Lists(modalities=("text",), languages=("eng",)).load()
    assert all(u.clip is None for u in found.utterances)
    assert not found.synthetic_speech


def test_a_language_that_is_not_there_is_named():
    with pytest.raises(StudyError, match=r"no deu; it has cmn, eng"):
        Lists(languages=("eng", "deu")).load()
