import json
from collections import Counter

import pytest

from fleurs_tree import make_tree
from isogloss.audio import FileClip
from isogloss.corpora import CORPORA
from isogloss.corpora._fleurs_rows import base_name, is_spaced, join_spaced, read_tsv
from isogloss.errors import CorpusError, ItemError, StudyError
from isogloss.languages import resolve
from isogloss.planning import plan
from isogloss.selection import select
from isogloss.study import Study

Fleurs = CORPORA.get("fleurs")
CODES = ("deu", "eng", "cmn", "bul", "snd", "arb", "oci")


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("ISOGLOSS_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def table(folder, *lines, code="de_de", split="test", clips=()):
    """A table of these lines, and an empty folder of recordings with copies of ``clips``."""
    home = folder / "data" / code
    (home / "audio" / split).mkdir(parents=True)
    (home / f"{split}.tsv").write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    for name, data in dict(clips).items():
        (home / "audio" / split / name).write_bytes(data)
    return folder


def line(sentence, file="", text="ein satz", raw="Ein Satz.", samples=32_000, gender="MALE"):
    spelt = " ".join(text)
    return "\t".join([str(sentence), file, raw, text, spelt, str(samples), gender])


def notes(corpus, *words):
    return [n for n in corpus.notes if all(w in n for w in words)]


@pytest.mark.parametrize(
    ("form", "packed"),
    [("tsv7", True), ("tsv7", False), ("tsv8", True), ("tsv8", False), ("parquet", True)],
)
def test_every_layout_holds_what_was_put_into_it(tmp_path, form, packed):
    made = make_tree(tmp_path / "tree", CODES, 12, form, packed)
    corpus = Fleurs(path=made.folder).load()
    assert corpus.counts == made.counts
    assert corpus.licence == "CC-BY-4.0"
    selection = select(corpus, seed=0)
    for code in CODES:
        for modality in ("text", "speech"):
            found = selection.items[code, modality]
            assert tuple(u.sentence for u in found) == made.sentences(code, modality)
        rows = {(r.sentence, r.line): r for r in made.rows[code] if r.odd != "wide"}
        used = [u for u in corpus.utterances if u.language == code]
        assert len(used) == len(rows)
        for u, row in zip(used, made.rows[code] and rows.values(), strict=True):
            assert (u.sentence, u.text or "", u.split) == (row.sentence, row.text, "test")
            assert u.gender == row.gender.lower()
            assert u.speaker == (row.speaker if form == "tsv8" else None)
            assert u.origin.endswith(f"row {row.line}") or form == "parquet"
            assert (u.clip is not None) == row.heard
            if u.clip:
                assert u.clip.seconds() == pytest.approx(len(u.clip.read().samples) / 16_000)
                seconds = row.samples / (2 if row.odd == "cut" else 1) / 16_000
                assert u.clip.seconds() == pytest.approx(seconds, abs=1e-4)
    reasons = Counter(
        (d.language, d.sentence, d.modality)
        for d in corpus.dropped
        if d.modality and d.language in CODES
    )
    planted = Counter(
        (code, r.sentence, "text" if r.odd == "empty" else "speech")
        for code, rows in made.rows.items()
        for r in rows
        if r.odd in ("missing", "broken", "silent", "empty")
    )
    assert reasons == planted
    assert sum(d.modality is None for d in corpus.dropped) == sum(
        r.odd == "wide" for rows in made.rows.values() for r in rows
    )


def test_the_tree_of_the_paper_gives_the_numbers_worked_out_by_hand(tmp_path):
    codes = tuple(resolve(["paper-seamless"]))
    made = make_tree(tmp_path, codes, 12)
    selection = select(Fleurs(path=tmp_path, languages="paper-seamless").load(), seed=0)
    speech = {code: {u.sentence for u in selection.items[code, "speech"]} for code in codes}
    both = {
        code: speech[code] & {u.sentence for u in selection.items[code, "text"]} for code in codes
    }
    assert min(map(len, both.values())) == made.smallest < 12
    pairs = {(a, b): both[a] & both[b] for a in codes for b in codes if a < b}
    assert {k: set(v) for k, v in made.shared().items()} == pairs
    assert len(pairs) == 435
    assert min(map(len, pairs.values())) == made.smallest_shared()


def test_the_choice_does_not_depend_on_how_it_is_stored(tmp_path):
    found = []
    for form, packed in (("tsv7", True), ("tsv7", False), ("parquet", True)):
        made = make_tree(tmp_path / f"{form}{packed}", ("deu", "fin"), 12, form, packed, odd=False)
        study = Study(
            corpus={"source": "fleurs", "path": made.folder, "sentences": 8},
            model={"family": "seamless", "checkpoint": "tiny"},
        )
        selection = select(study.corpus.load(), seed=3)
        clips = selection.items["deu", "speech"]
        found.append([(u.sentence, u.clip.name, u.clip.identity()) for u in clips])
        assert study.corpus.identity() == {
            "source": "fleurs", "split": "test", "text_field": "transcription",
            "join_spaced": False,
        }  # fmt: skip
    assert found[0] == found[1] == found[2]
    assert found[0][0][1].startswith("de_de/test/")


def test_units_are_named_by_content(tmp_path):
    pytest.importorskip("transformers")
    names = []
    for packed in (True, False):
        folder = tmp_path / str(packed)
        make_tree(folder, ("deu", "eng"), 6, packed=packed, odd=False)
        study = Study(
            corpus={"source": "fleurs", "path": folder},
            model={"family": "seamless", "checkpoint": "tiny", "taps": "paper"},
        )
        names.append([u.digest for u in plan(study).units])
    assert names[0] == names[1]
    assert len(names[0]) == 4


def test_a_clip_is_known_without_reading_it(tmp_path):
    made = make_tree(tmp_path, ("deu",), 3, packed=False, odd=False)
    for u in Fleurs(path=tmp_path).load().utterances:
        plain = FileClip(made.archives["deu"] / u.clip.name.rpartition("/")[2])
        assert u.clip.identity() == plain.identity()
        assert u.clip.seconds() == plain.seconds()
        assert (u.clip.read().samples == plain.read().samples).all()


def test_text_alone_needs_no_recordings_and_chooses_the_same(tmp_path, cache):
    made = make_tree(tmp_path / "t", ("deu", "eng"), 10, odd=False)
    both = select(Fleurs(path=made.folder).load(), seed=1)
    for path in made.archives.values():
        path.unlink()
    for file in cache.rglob("*.json"):
        file.unlink()
    corpus = Fleurs(path=made.folder, modalities="text").load()
    text = select(corpus, modalities=["text"], seed=1)
    for code in ("deu", "eng"):
        chosen = [(u.text, u.origin) for u in both.items[code, "text"]]
        assert chosen == [(u.text, u.origin) for u in text.items[code, "text"]]
    assert not corpus.dropped
    assert not list(cache.rglob("*.json"))
    clip = corpus.utterances[0].clip
    for ask in (clip.identity, clip.seconds, clip.read):
        with pytest.raises(ItemError, match=r"was not read; add speech to corpus\.modalities"):
            ask()


def test_only_what_is_asked_for_is_touched(tmp_path, cache):
    made = make_tree(tmp_path, ("deu", "eng", "fin"), 4, odd=False)
    made.tables["fin"].write_bytes(b"\x00\xff not a table")
    made.archives["fin"].write_bytes(b"nor an archive")
    corpus = Fleurs(path=tmp_path, languages=["deu", "en_us"]).load()
    assert {u.language for u in corpus.utterances} == {"deu", "eng"}
    assert not corpus.dropped
    corpus = Fleurs(path=tmp_path).load()
    assert {u.language for u in corpus.utterances} == {"deu", "eng"}
    (left,) = corpus.dropped
    assert (left.language, left.modality) == ("fin", None)
    assert "has no row that can be read; its first row" in left.reason
    assert len(notes(select(corpus, seed=0).corpus, "fin: left out (", "no row")) == 1
    named = Fleurs(path=tmp_path, languages=["deu", "fin", "eng"])
    selection = select(named.load(), languages=named.languages, seed=0)
    assert len(notes(selection.corpus, "fin: left out (", "no row")) == 1
    assert [d.reason for d in selection.dropped] == [left.reason]


def test_splits(tmp_path):
    make_tree(tmp_path, ("deu", "eng"), 4, odd=False)
    make_tree(tmp_path, ("deu",), 5, split="dev", odd=False)
    dev = Fleurs(path=tmp_path, split="validation", languages=["deu"])
    assert dev.split == "dev"
    assert dev.load().counts["deu"][1] == 5
    corpus = Fleurs(path=tmp_path, split="dev").load()
    assert [(d.language, d.reason) for d in corpus.dropped] == [
        ("eng", "the folder has no split dev of it, only test")
    ]
    with pytest.raises(
        CorpusError, match="deu: the folder has no split train of it, only dev, test"
    ):
        Fleurs(path=tmp_path, split="train").load()
    with pytest.raises(StudyError, match='unknown value "tset"'):
        Fleurs(path=tmp_path, split="tset")
    parquet = make_tree(tmp_path / "p", ("deu", "eng"), 4, "parquet", split="dev", odd=False)
    assert parquet.tables["deu"].parent.name == "validation"
    assert Fleurs(path=tmp_path / "p", split="dev").load().counts == parquet.counts


def test_older_parquet_and_names(tmp_path):
    made = make_tree(tmp_path, ("bul", "oci"), 4, "parquet", odd=False)
    for code, old in (("bul", "bg_bg"), ("oci", "oci_fr")):
        (tmp_path / old).mkdir(exist_ok=True)
        made.tables[code].rename(tmp_path / old / "fleurs-test.parquet")
    assert Fleurs(path=tmp_path).load().counts == made.counts


def test_a_folder_without_fleurs(tmp_path):
    with pytest.raises(CorpusError, match="the folder of FLEURS does not exist"):
        Fleurs(path=tmp_path / "none").load()
    with pytest.raises(CorpusError, match=r"holds none of sw_ke in a layout.*data/sw_ke/test\.tsv"):
        Fleurs(path=tmp_path, languages=["swh"]).load()
    own = make_tree(tmp_path / "one", ("deu",), 3, odd=False).tables["deu"].parent
    with pytest.raises(CorpusError, match=r"folder of one language: give the one above it"):
        Fleurs(path=own, languages=["deu"]).load()
    (tmp_path / "file").write_text("x")
    with pytest.raises(CorpusError, match="is a file, not a folder"):
        Fleurs(path=tmp_path / "file").load()
    make_tree(tmp_path / "t", ("deu", "eng"), 3, odd=False)
    corpus = Fleurs(path=tmp_path / "t", languages=["deu", "swh"]).load()
    with pytest.raises(CorpusError, match="has no swh"):
        select(corpus, languages=["deu", "swh"], seed=0)


def test_rows_that_are_no_rows(tmp_path):
    rows = [
        line(7, "1.wav", text='er sagte "ja', raw='Er sagte "Ja.'),
        line(8, "2.wav") + "\tMALE\tMALE",
        "9\t3.wav\ttoo\tfew",
        line("", "4.wav"),
        line(10, "5.wav", raw="ein\tTabulator"),
        "",
        line(11, "dir/../6.wav", samples="many"),
        line(12, "/root/7.wav", gender="OTHER"),
    ]
    path = table(tmp_path, *rows) / "data" / "de_de" / "test.tsv"
    path.write_bytes(path.read_bytes() + "13\t8.wav\tß".encode("latin-1") + b"\n")
    found = read_tsv(path, "de_de/test.tsv")
    assert [(r.number, r.sentence, r.file, r.gender) for r in found.rows] == [
        (1, "7", "1.wav", "male"), (8, "12", "7.wav", "other"),
    ]  # fmt: skip
    assert found.rows[0].text == 'er sagte "ja'
    assert [(b.number, b.sentence) for b in found.bad] == [
        (2, "8"), (3, "9"), (4, ""), (5, "10"), (7, "11"), (9, ""),
    ]  # fmt: skip
    reasons = [b.reason for b in found.bad]
    assert reasons[0].startswith("has 9 cells between tabs; FLEURS has 7, or 8")
    assert reasons[2] == "has no id"
    assert reasons[3].startswith("its sixth cell, the number of samples, is")
    assert reasons[5] == "is not UTF-8"
    assert found.counts == (8, 2)
    corpus = Fleurs(path=tmp_path, modalities="text").load()
    assert corpus.counts == {"deu": (8, 2)}
    assert corpus.dropped[1].reason == (
        "de_de/test.tsv row 3 has 4 cells between tabs; FLEURS has 7, or 8 with the speaker"
    )


def test_two_texts_of_a_sentence_and_a_file_that_is_listed_twice(tmp_path):
    rows = [line(3, "1.wav"), line(3, "2.wav", "ein anderer"), line(4, "2.wav"), line(5, "")]
    corpus = Fleurs(path=table(tmp_path, *rows), modalities="text").load()
    assert [u.text for u in corpus.utterances] == ["ein satz", "ein anderer"] + ["ein satz"] * 2
    assert notes(corpus, "deu: 1 sentences have more than one text", ": 3")
    reasons = [(d.sentence, d.modality, d.reason) for d in corpus.dropped]
    assert reasons == [
        ("4", "speech", "de_de/test/2.wav is already that of row 2"),
        ("5", "speech", "names no recording"),
    ]


def test_text_fields(tmp_path):
    rows = [line(1, "1.wav", "这 并 不 是 2 0 1 1 年", "这并不是2011年")]
    table(tmp_path, *rows, code="cmn_hans_cn")
    found = {}
    for field in ("transcription", "raw_transcription"):
        for join in (False, True):
            settings = {"text_field": field, "join_spaced": join, "modalities": "text"}
            corpus = Fleurs(path=tmp_path, **settings).load()
            found[field, join] = corpus.utterances[0].text
            spaced = notes(corpus, "cmn: the characters of 1 of 1 texts were spaced out")
            assert bool(spaced) == (field == "transcription")
            assert not spaced or ("are joined" in spaced[0]) == join
    assert found == {
        ("transcription", False): "这 并 不 是 2 0 1 1 年",
        ("transcription", True): "这并不是2011年",
        ("raw_transcription", False): "这并不是2011年",
        ("raw_transcription", True): "这并不是2011年",
    }


@pytest.mark.parametrize(
    ("text", "joined"),
    [
        ("在 google 地 图 上 看", "在google地图上看"),
        ("a b c", "abc"),
        ("the cat sat on a mat", "the cat sat on a mat"),
        ("ก ร ุ ง เ ท พ", "กรุงเทพ"),
        ("人 口 new york 人 口 很 多", "人口new york人口很多"),
        ("一 二", "一 二"),
        ("", ""),
    ],
)
def test_joining(text, joined):
    assert join_spaced(text) == joined
    assert is_spaced(text) == (text != joined)


def test_base_names():
    assert [base_name(p) for p in ("a/b.wav", "a\\b.wav", "..", "x/..", " b.wav ", "")] == [
        "b.wav", "b.wav", "", "", "b.wav", "",
    ]  # fmt: skip


def test_the_hub_is_not_asked_for_everything():
    with pytest.raises(CorpusError, match="name those you want in corpus.languages"):
        Fleurs().load()


def test_settings_survive_a_study_file(tmp_path):
    corpus = {"source": "fleurs", "path": str(tmp_path), "suspicious": "exclude"}
    study = Study(corpus=corpus, model={"family": "seamless", "checkpoint": "tiny"})
    written = json.loads(json.dumps(study.model_dump(mode="json")))
    assert Study(**written) == study
    assert written["corpus"]["revision"] == Fleurs().revision
    assert len(Fleurs().revision) == 40
