import importlib.util
from collections import Counter, defaultdict

import pytest

from isogloss.corpora import CORPORA
from isogloss.errors import MissingExtraError, StudyError
from isogloss.languages import languages
from isogloss.selection import select, summary

Udhr = CORPORA.get("udhr")
pytest.importorskip("espeakng_loader")


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("ISOGLOSS_CACHE", str(tmp_path))
    return tmp_path


@pytest.fixture(scope="module")
def text_corpus():
    return Udhr(modalities=["text"]).load()


def test_the_text_is_whole(text_corpus):
    counts = Counter(u.language for u in text_corpus.utterances)
    assert len(text_corpus.utterances) == 2061
    studied = {code for code, known in languages().items() if known.published_sentences}
    assert set(counts) == studied - {"asm", "snd"}
    assert sum(n == 63 for n in counts.values()) == 22
    assert {u.sentence for u in text_corpus.utterances} == {str(i) for i in range(1, 64)}
    assert not any(u.clip for u in text_corpus.utterances)
    assert text_corpus.dropped == ()
    assert not text_corpus.synthetic_speech


def test_no_text_stands_under_two_ids(text_corpus):
    texts = defaultdict(set)
    for u in text_corpus.utterances:
        assert u.text == u.text.strip() != ""
        texts[u.language, u.text].add(u.sentence)
    assert all(len(ids) == 1 for ids in texts.values())


def test_raw_text_has_capitals_and_punctuation(text_corpus):
    raw = Udhr(modalities=["text"], text_field="raw_text").load()
    pairs = {
        u.sentence: (u.text, v.text)
        for u, v in zip(text_corpus.utterances, raw.utterances, strict=True)
        if u.language == "eng"
    }
    assert pairs["12"] == (
        "everyone has the right to life liberty and the security of person",
        "Everyone has the right to life, liberty and the security of person.",
    )


def test_speech_is_made_of_the_punctuated_text(cache):
    corpus = Udhr(languages="eng,khm").load()
    found = {(u.language, u.sentence): u for u in corpus.utterances}
    clip = found["eng", "12"].clip
    assert clip.text == "Everyone has the right to life, liberty and the security of person."
    assert clip.voice == "en-us"
    assert found["eng", "12"].text.islower()
    assert found["khm", "12"].clip is None
    reasons = {d.reason for d in corpus.dropped if d.language == "khm"}
    assert reasons == {"espeak-ng has no voice for Khmer"}
    assert {d.modality for d in corpus.dropped} == {"speech"}
    assert corpus.synthetic_speech
    assert any("synthetic" in note for note in corpus.notes)
    assert list(cache.iterdir()) == []  # nothing is synthesised by loading


def test_every_known_voice_is_used():
    corpus = Udhr().load()
    spoken = {u.language for u in corpus.utterances if u.clip}
    silent = {d.language for d in corpus.dropped}
    assert spoken | silent == {u.language for u in corpus.utterances}
    assert silent - {"jpn"} == {"khm", "lao", "sna"}


@pytest.mark.skipif(importlib.util.find_spec("pykakasi"), reason="pykakasi is installed")
def test_japanese_needs_pykakasi():
    corpus = Udhr(languages=["jpn"]).load()
    [reason] = {d.reason for d in corpus.dropped if d.language == "jpn"}
    assert "pip install pykakasi" in reason
    assert "GPL-3" in reason


def test_voices_are_several_speakers_of_one_sentence():
    corpus = Udhr(languages=["deu"], voices=3).load()
    takes = [u for u in corpus.utterances if (u.language, u.sentence) == ("deu", "12")]
    assert [u.speaker for u in takes] == ["de", "de+f1", "de+m3"]
    assert [u.gender for u in takes] == ["male", "female", "male"]
    assert len({u.clip.identity() for u in takes}) == 3
    assert len({u.text for u in takes}) == 1
    lengths = {u.clip.read().samples.size for u in takes}
    assert len(lengths) == 3


def test_the_seed_chooses_among_the_voices():
    corpus = Udhr(languages=["deu", "fin"], voices=2).load()
    used = [
        tuple(
            u.speaker
            for u in select(corpus, languages=["deu", "fin"], seed=s).items["deu", "speech"]
        )
        for s in (0, 1)
    ]
    assert used[0] != used[1]
    assert set(used[0]) == {"de", "de+f1"}
    assert 15 < used[0].count("de") < 48  # 63 fair draws


def test_further_recordings_are_by_other_voices():
    corpus = Udhr(languages=["deu", "fin"], voices=4, recordings=3).load()
    first = select(corpus, languages=["deu", "fin"], seed=0)
    used = select(corpus, languages=["deu", "fin"], recordings=3, seed=0)
    speech = used.items["deu", "speech"]
    assert len(speech) == 189
    assert speech[:63] == first.items["deu", "speech"]
    speakers = zip(*(speech[i : i + 63] for i in (0, 63, 126)), strict=True)
    assert all(len({u.speaker for u in takes}) == 3 for takes in speakers)
    assert used.items["deu", "text"] == first.items["deu", "text"]
    assert not any("voices" in note for note in corpus.notes)
    few = Udhr(languages=["deu", "fin"], recordings=9).load()
    assert any("9 recordings" in note and "give it 6" in note for note in few.notes)


def test_shared_sentences():
    twelve = ["eng", "deu", "ind", "bul", "tur", "ita", "fin", "lit", "nld", "est", "ell", "arb"]
    found = summary(select(Udhr().load(), languages=twelve, seed=0))
    assert found.common == 59
    assert found.overlaps["speech"].languages == tuple(twelve)
    assert [row.text for row in found.languages] == [63] * 11 + [59]
    assert all(row.both == row.text == row.speech for row in found.languages)


def test_settings(monkeypatch):
    with pytest.raises(StudyError, match="voices"):
        Udhr(voices=0)
    with pytest.raises(StudyError, match='did you mean "deu"'):
        Udhr(languages=["deux"]).load()


def test_speech_without_the_extra(monkeypatch):
    from isogloss import synthesis

    monkeypatch.setitem(__import__("sys").modules, "espeakng_loader", None)
    synthesis.engine_version.cache_clear()
    with pytest.raises(MissingExtraError, match=r"isogloss\[tts\]"):
        Udhr().load()
    assert len(Udhr(modalities=["text"]).load().utterances) == 2061
