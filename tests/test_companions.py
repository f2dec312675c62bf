from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isogloss.companions import companions, own_clips, partners
from isogloss.corpora.base import Utterance


@dataclass(frozen=True)
class Clip:
    name: str


def items(texts, speech):
    return {
        ("deu", "text"): tuple(Utterance(s, "deu", "t", clip and Clip(clip)) for s, clip in texts),
        ("deu", "speech"): tuple(Utterance(s, "deu", None, Clip(clip)) for s, clip in speech),
    }


@given(st.sets(st.text(min_size=1), max_size=20).map(sorted), st.integers(0, 5))
def test_everybody_has_another_and_none_is_left_over(sentences, seed):
    found = partners(sentences, seed, "deu")
    assert found == partners(sentences[::-1], seed, "deu")
    if len(sentences) < 2:
        assert found == {}
    else:
        assert sorted(found) == sorted(found.values()) == sentences
        assert all(a != b for a, b in found.items())


def test_partners_follow_the_seed():
    sentences = [str(i) for i in range(20)]
    assert partners(sentences, 0, "deu") != partners(sentences, 1, "deu")


def test_translations_do_not_follow_recordings_of_the_same_other_sentence():
    """They would share what they take from it, and the control would keep the leak it measures."""
    sentences = [str(i) for i in range(40)]
    german, english = (partners(sentences, 0, code) for code in ("deu", "eng"))
    assert sum(german[s] == english[s] for s in sentences) <= 4


def test_the_recording_that_stands_for_a_sentence():
    made = items([("1", "one.wav"), ("2", None), ("3", None)], [("1", "x"), ("2", "y"), ("2", "z")])
    assert own_clips(made, "deu") == {"1": Clip("one.wav"), "2": Clip("y")}
    assert own_clips(made, "eng") == {}


@pytest.mark.parametrize("rule", ["same", "other"])
def test_texts_without_a_readable_recording_have_no_companion(rule):
    made = items([("1", "a"), ("2", "b"), ("3", "c"), ("4", None)], [])
    usable = {s: c for s, c in own_clips(made, "deu").items() if s != "2"}
    found = companions(made, "deu", rule, usable, seed=0)
    assert found.keys() == {"1", "3"}
    swapped = {"1": Clip("c"), "3": Clip("a")}
    assert found == (usable if rule == "same" else swapped)
