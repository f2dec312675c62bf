import random
import string
from collections import Counter
from dataclasses import dataclass, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isogloss.corpora.base import Corpus, Dropped, Recording, Utterance
from isogloss.errors import CorpusError, ItemError, StudyError
from isogloss.selection import id_order, select, summary
from isogloss.takes import rank


@dataclass(frozen=True)
class Clip:
    """A recording of given length that must not be opened by a selection."""

    name: str
    length: float | None = 1.0

    def identity(self) -> str:
        raise AssertionError("a selection opens no recording")

    def seconds(self) -> float:
        if self.length is None:
            raise ItemError(f"{self.name}: not audio")
        return self.length

    def read(self) -> Recording:
        raise AssertionError("a selection opens no recording")


def corpus(*utterances, dropped=(), notes=()):
    return Corpus("c", tuple(utterances), "none", "made up", dropped=dropped, notes=notes)


def take(sentence, code, text="t", name="a.wav", **more):
    return Utterance(sentence, code, text, name and Clip(name), **more)


def grid(languages="deu eng fin", ids="1 2 3", **more):
    return [take(s, c, f"{c} {s}", **more) for c in languages.split() for s in ids.split()]


def ids(selection, code, modality="text"):
    return [u.sentence for u in selection.items[code, modality]]


LANGUAGES = st.sampled_from(["deu", "eng", "fin"])
UTTERANCES = st.lists(
    st.builds(
        lambda s, c, text, take, speaker: Utterance(
            str(s),
            c,
            f"{c} {s}" if text else None,
            Clip(f"/data/{c}/{s}/{take}.wav") if take or not text else None,
            speaker,
        ),
        st.integers(1, 12),
        LANGUAGES,
        st.booleans(),
        st.integers(0, 3),
        st.sampled_from([None, "a", "b"]),
    ),
    min_size=1,
    max_size=40,
    unique=True,
)


def outcome(utterances, **settings):
    try:
        found = select(corpus(*utterances), **{"seed": 0, **settings})
    except CorpusError as error:
        return str(error)
    return found.items, found.dropped, found.corpus.notes


@given(
    UTTERANCES, st.randoms(use_true_random=False), st.integers(0, 5), st.none() | st.integers(1, 9)
)
def test_row_order_does_not_matter(utterances, shuffle, seed, sentences):
    shuffled = list(utterances)
    shuffle.shuffle(shuffled)
    settings = {"seed": seed, "sentences": sentences}
    assert outcome(utterances, **settings) == outcome(shuffled, **settings)
    assert outcome(utterances, **settings) == outcome(utterances, **settings)


@given(UTTERANCES, st.integers(0, 5))
def test_what_is_selected(utterances, seed):
    found = outcome(utterances, seed=seed)
    if isinstance(found, str):
        return
    items, _, _ = found
    for (code, modality), used in items.items():
        numbers = [int(u.sentence) for u in used]
        assert numbers == sorted(set(numbers))
        has = {
            u.sentence
            for u in utterances
            if u.language == code and (u.clip if modality == "speech" else u.text)
        }
        assert {u.sentence for u in used} == has
        assert set(used) <= set(utterances)
    both = {(u.language, u.sentence) for u in utterances if u.clip and u.text}
    for code, sentence in both:
        text, speech = (
            next(u for u in items[code, m] if u.sentence == sentence) for m in ("text", "speech")
        )
        assert text is speech


@given(UTTERANCES, UTTERANCES, st.integers(0, 5))
def test_other_sentences_do_not_matter(utterances, others, seed):
    mine = [u for u in utterances if u.sentence == "1"]
    rest = [u for u in others if u.sentence != "1"]
    # The frame gives every language something to be compared with.
    frame = grid(ids="90 91 92")
    alone, among = (select(corpus(*frame, *rows), seed=seed) for rows in (mine, [*rest, *mine]))
    for key in alone.items:
        first, second = ([u for u in s.items[key] if u.sentence == "1"] for s in (alone, among))
        assert first == second


def test_the_seed_changes_the_choice_and_is_fair():
    takes = [take("1", "deu", name=f"{i}.wav") for i in range(3)]
    rows = [*takes, take("1", "eng")]
    picks = [select(corpus(*rows), seed=s).items["deu", "speech"][0].clip.name for s in range(300)]
    assert picks[:20] == [
        select(corpus(*rows[::-1]), seed=s).items["deu", "speech"][0].clip.name for s in range(20)
    ]
    for name in ("0.wav", "1.wav", "2.wav"):
        assert 70 < picks.count(name) < 130


def test_the_choice_does_not_depend_on_the_modalities():
    rows = [u for i in range(20) for u in (
        take(str(i), "deu", name="a.wav"), take(str(i), "deu", name="b.wav"),
        take(str(i), "deu", None, "c.wav"), take(str(i), "eng"),
    )]  # fmt: skip
    both = select(corpus(*rows), seed=3)
    for modality in ("text", "speech"):
        one = select(corpus(*rows), modalities=[modality], seed=3)
        assert one.items["deu", modality] == both.items["deu", modality]


def test_moving_the_corpus_changes_no_choice():
    def chosen(root, separator="/"):
        takes = [
            take("1", "deu", name=separator.join([root, folder, file]))
            for folder in ("x", "y")
            for file in ("a.wav", "b.wav")
        ]
        return [
            select(corpus(*takes, take("1", "eng")), seed=s)
            .items["deu", "speech"][0]
            .clip.name.removeprefix(root)
            .replace(separator, "/")
            for s in range(40)
        ]

    here = chosen("/home/me")
    assert here == chosen("/mnt/big/disk") == chosen(r"C:\data", "\\")
    # Files of one name in two folders are told apart by the folder, and the seed decides.
    assert len(set(here)) == 4


def test_rank_is_not_the_order_of_names():
    names = sorted((rank(take("1", "deu", name=f"{i}.wav"), 0), i) for i in range(10))
    assert [i for _, i in names] != list(range(10))


def test_text_and_speech_of_different_rows():
    rows = [*grid("deu eng", name=None), *(replace(u, text=None) for u in grid("deu eng"))]
    found = select(corpus(*rows), seed=0)
    assert [u.clip for u in found.items["deu", "text"]] == [None] * 3
    assert [u.text for u in found.items["deu", "speech"]] == [None] * 3
    assert ids(found, "deu", "speech") == ["1", "2", "3"]


@pytest.mark.parametrize(
    ("given_ids", "want"),
    [
        ("10 9 1 002", "1 002 9 10"),
        ("-2 5 -10 +3", "-10 -2 +3 5"),
        ("s10 s9 s1b s1a", "s1a s1b s9 s10"),
        ("art2.10 art2.9 art10.1", "art2.9 art2.10 art10.1"),
        ("b1 a10 1 a2", "1 a2 a10 b1"),
        ("a01 a1 a a1b", "a a01 a1 a1b"),
    ],
)
def test_order_of_ids(given_ids, want):
    found = given_ids.split()
    assert sorted(found, key=id_order(found)) == want.split()
    rows = grid("deu eng", given_ids)
    assert ids(select(corpus(*rows), seed=0), "deu") == want.split()
    first = select(corpus(*rows), sentences=2, seed=0)
    assert ids(first, "eng") == want.split()[:2]


@given(st.lists(st.text(string.ascii_letters + string.digits + "-._ é٣", max_size=6), unique=True))
def test_any_ids_have_one_order(names):
    shuffled = list(names)
    random.Random(0).shuffle(shuffled)
    order = id_order(names)
    assert sorted(names, key=order) == sorted(shuffled, key=order)


@given(st.lists(st.integers(-(10**30), 10**30), unique=True))
def test_integers_are_ordered_as_integers(numbers):
    names = [str(n) for n in numbers]
    assert [int(n) for n in sorted(names, key=id_order(names))] == sorted(numbers)


def test_ids_of_thousands_of_digits():
    names = ["1" * 5000, "9" * 4999, "2"]
    assert sorted(names, key=id_order(names)) == names[::-1]


def test_first_ids_of_the_union():
    rows = [*grid("deu", "1 2 3 4"), *grid("eng", "2 3 4 5")]
    found = select(corpus(*rows), sentences=3, seed=0)
    assert ids(found, "deu") == ["1", "2", "3"]
    assert ids(found, "eng") == ["2", "3"]
    assert found.dropped == ()
    assert found.corpus.notes[-1] == ("Only the first 3 sentence ids are used, as asked; 2 are not")


def test_ids_of_languages_and_modalities_that_are_not_used_do_not_count():
    rows = [*grid("deu eng", "5 6 7"), *grid("fin", "1 2 3"), take("0", "deu", None)]
    found = select(
        corpus(*rows), languages=["de", "en_us"], modalities=["text"], sentences=2, seed=0
    )
    assert list(found.items) == [("deu", "text"), ("eng", "text")]
    assert ids(found, "deu") == ["5", "6"]


def test_languages_keep_the_order_they_were_asked_in():
    assert [c for c, _ in select(corpus(*grid()), languages=["fin", "deu"], seed=0).items] == [
        "fin", "fin", "deu", "deu",
    ]  # fmt: skip
    assert next(iter(select(corpus(*grid("fin deu")), seed=0).items)) == ("deu", "text")


def test_further_utterances_are_counted_not_listed():
    rows = [*grid(), *grid("deu", "1 2", name="b.wav"), *grid("deu", "1", name="c.wav")]
    found = select(corpus(*rows, notes=("from the source",)), seed=0)
    assert found.dropped == ()
    assert found.corpus.notes == (
        "from the source",
        "Further utterances that were not chosen: deu 3",
    )


@given(UTTERANCES, st.integers(0, 5), st.integers(1, 5), st.randoms(use_true_random=False))
def test_further_recordings(utterances, seed, recordings, shuffle):
    one = outcome(utterances, seed=seed)
    more = outcome(utterances, seed=seed, recordings=recordings)
    if isinstance(one, str):
        assert more == one
        return
    shuffled = list(utterances)
    shuffle.shuffle(shuffled)
    assert outcome(shuffled, seed=seed, recordings=recordings) == more
    for key, first in one[0].items():
        used = more[0][key]
        # What stands for a sentence does not depend on how many more there are.
        assert used[: len(first)] == first
        assert len({id(u) for u in used}) == len(used)
        if key[1] == "text":
            assert used == first
            continue
        takes = Counter(u.sentence for u in used)
        there = Counter(u.sentence for u in utterances if u.language == key[0] and u.clip)
        assert takes == {s: min(n, recordings) for s, n in there.items()}
        seen, keys = Counter(), []
        for u in used:
            keys.append((seen[u.sentence], int(u.sentence)))
            seen[u.sentence] += 1
        assert keys == sorted(keys)
        for sentence in takes:
            speakers = [u.speaker for u in used if u.sentence == sentence]
            known = {
                u.speaker
                for u in utterances
                if u.clip and u.speaker and (u.language, u.sentence) == (key[0], sentence)
            }
            assert len(known & set(speakers)) >= min(len(known), len(speakers) - 1)
    if recordings == 1:
        assert more == one


def test_further_recordings_prefer_new_then_unknown_then_heard_speakers():
    takes = [
        take("1", "deu", name=f"{i}.wav", speaker=s)
        for i, s in enumerate(["a", "a", "b", "b", None, None, "c"])
    ]
    rows = [*takes, take("1", "eng")]
    orders = set()
    for seed in range(20):
        used = select(corpus(*rows), recordings=7, seed=seed).items["deu", "speech"]
        speakers = [u.speaker for u in used]
        assert len(used) == 7
        known = [s for s in speakers if s]
        assert set(known[:3]) == {"a", "b", "c"}
        assert sorted(known[3:]) == ["a", "b"]
        start = 2 if speakers[0] else 3
        start += speakers[0] is not None
        assert None not in speakers[1:start]
        assert speakers.count(None) == 2
        assert set(speakers[-2:]) == {"a", "b"}
        # The order among equals is that of rank.
        for name in ("a", "b", None):
            own = [rank(u, seed) for u in used if u.speaker == name]
            assert own == sorted(own)
        orders.add(tuple(u.clip.name for u in used))
    assert len(orders) > 10


def test_what_is_said_of_further_recordings():
    rows = [*grid(), *grid("deu", "1 2", name="b.wav"), *grid("deu", "1", name="c.wav")]
    notes = [select(corpus(*rows), recordings=n, seed=0).corpus.notes for n in (2, 3)]
    assert notes == [
        (
            "Further recordings, up to 2 of a sentence in all: deu 2",
            "Further utterances that were not chosen: deu 1",
        ),
        ("Further recordings, up to 3 of a sentence in all: deu 3",),
    ]
    lone = ("No sentence has a second recording; up to 2 were asked for",)
    assert select(corpus(*grid()), recordings=2, seed=0).corpus.notes == lone
    written = select(corpus(*grid()), modalities=["text"], recordings=2, seed=0)
    assert written.corpus.notes == ()


def test_what_the_corpus_dropped_stays_in_the_list():
    dropped = tuple(
        Dropped(code, "2", modality, "gone")
        for code in ("deu", "fin")
        for modality in ("speech", "text", None)
    )
    found = select(
        corpus(*grid(), dropped=dropped), languages=["deu", "eng"], modalities=["text"], seed=0
    )
    assert [(d.language, d.modality) for d in found.dropped] == [("deu", None), ("deu", "text")]


def test_utterances_of_nothing_are_dropped():
    found = select(corpus(*grid(), take("4", "deu", " ", None)), seed=0)
    assert [(d.sentence, d.reason) for d in found.dropped] == [
        ("4", "has neither text nor recording")
    ]


class TestErrors:
    def test_unknown_language(self):
        with pytest.raises(StudyError, match='did you mean "deu"'):
            select(corpus(*grid()), languages=["deo"], seed=0)

    def test_absent_language(self):
        with pytest.raises(CorpusError, match=r"no kat \(Georgian\); it has deu, eng, fin"):
            select(corpus(*grid()), languages=["deu", "ka_ge"], seed=0)

    def test_nothing_asked_for(self):
        with pytest.raises(StudyError):
            select(corpus(*grid()), modalities=[], seed=0)
        with pytest.raises(StudyError):
            select(corpus(*grid()), sentences=0, seed=0)
        with pytest.raises(StudyError):
            select(corpus(*grid()), recordings=0, seed=0)

    def test_languages_that_share_no_ids(self):
        rows = [*grid("deu", "d1 d2 d3 d4"), *grid("eng", "e1 e2")]
        with pytest.raises(CorpusError) as caught:
            select(corpus(*rows), seed=0)
        text = str(caught.value)
        assert "its languages share no sentence ids" in text
        assert "deu text has d1, d2, d3 … (4 in all)" in text
        assert "eng text has e1, e2" in text

    def test_one_language_that_shares_nothing_does_not_stop_the_others(self):
        rows = [*grid("deu eng"), *grid("fin", "x y")]
        assert ids(select(corpus(*rows), seed=0), "fin") == ["x", "y"]

    def test_text_and_speech_that_share_no_ids(self):
        rows = [
            *(replace(u, clip=None) for u in grid("deu eng", "1 2")),
            *(replace(u, text=None) for u in grid("deu eng", "w1 w2")),
        ]
        with pytest.raises(CorpusError) as caught:
            select(corpus(*rows), seed=0)
        assert "text and speech share no sentence ids" in str(caught.value)
        assert "deu text has 1, 2, deu speech has w1, w2" in str(caught.value)

    def test_one_language_and_one_modality(self):
        with pytest.raises(CorpusError, match=r"nothing can be compared: .*text in deu"):
            select(corpus(*grid()), languages=["deu"], modalities=["text"], seed=0)
        rows = [*grid("deu", name=None), *(replace(u, text=None) for u in grid("eng"))]
        with pytest.raises(CorpusError, match="nothing can be compared"):
            select(corpus(*rows), seed=0)
        assert select(corpus(*grid("deu")), seed=0).items  # text against speech

    def test_nothing_left(self):
        gone = (Dropped("deu", "1", "speech", "no voice"),)
        with pytest.raises(CorpusError, match=r"no speech to use; deu: left out \(no voice\)"):
            select(corpus(*grid("deu", name=None), dropped=gone), modalities=["speech"], seed=0)

    def test_a_language_without_the_modality_is_noted(self):
        gone = (Dropped("fin", "1", "speech", "no voice"),)
        rows = [*grid("deu eng"), *grid("fin", name=None)]
        found = select(corpus(*rows, dropped=gone), modalities=["speech"], seed=0)
        assert found.corpus.notes == ("fin: left out (no voice)",)
        assert found.dropped == gone


def test_summary():
    rows = [
        *grid("deu", "1 2 3 4"),
        *grid("eng", "2 3 4 5"),
        take("9", "deu", "deu 2", name=None),
        take("1", "deu", "deu 1", name="b.wav"),
        Utterance("2", "fin", "fin 2", Clip("broken.wav", None)),
        Utterance("3", "fin", "fin 3", Clip("long.wav", 3600.0)),
    ]
    found = summary(select(corpus(*rows), seed=0))
    deu, eng, fin = found.languages
    assert (deu.language, deu.text, deu.speech, deu.both) == ("deu", 5, 4, 4)
    assert (deu.duplicates, deu.extra, deu.unreadable) == (2, 1, 0)
    assert deu.hours == pytest.approx(4 / 3600)
    assert (eng.text, eng.duplicates, eng.extra) == (4, 0, 0)
    assert (fin.speech, fin.unreadable, fin.hours) == (2, 1, 1.0)
    text, speech = found.overlaps["text"], found.overlaps["speech"]
    assert text.languages == ("deu", "eng", "fin")
    assert text.shared == ((5, 3, 2), (3, 4, 2), (2, 2, 2))
    assert speech.shared == ((4, 3, 2), (3, 4, 2), (2, 2, 2))
    assert (text.common, found.common) == (2, 2)


def test_summary_counts_sentences_once_and_hours_of_all_recordings():
    rows = [*grid("deu eng"), *grid("deu", "1 2", name="b.wav"), *grid("deu", "1", name="c.wav")]
    found = summary(select(corpus(*rows), recordings=2, seed=0))
    deu, eng = found.languages
    assert (deu.text, deu.speech, deu.both, deu.further, deu.extra) == (3, 3, 3, 2, 1)
    assert deu.hours == pytest.approx(5 / 3600)
    assert deu.duplicates == 0
    assert (eng.further, eng.extra) == (0, 0)
    assert found.overlaps["speech"].shared == ((3, 3), (3, 3))


def test_summary_of_one_modality_counts_over_the_languages_that_have_it():
    rows = [*grid("deu eng", "1 2 3"), *grid("fin", "2 3 4", name=None)]
    found = summary(select(corpus(*rows), seed=0))
    assert found.overlaps["speech"].languages == ("deu", "eng")
    assert found.overlaps["speech"].common == 3
    assert (found.overlaps["text"].common, found.common) == (2, 2)
