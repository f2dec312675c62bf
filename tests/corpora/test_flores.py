import pytest

from isogloss.corpora import CORPORA
from isogloss.errors import CorpusError, StudyError
from isogloss.languages import resolve
from isogloss.selection import select

Flores = CORPORA.get("flores")
CODES = {
    "flores200": {"deu": "deu_Latn", "cmn": "zho_Hans", "yue": "zho_Hant", "est": "est_Latn"},
    "flores101": {"deu": "deu", "cmn": "zho_simpl", "yue": "zho_trad", "est": "est"},
    "plus": {"deu": "deu_Latn", "cmn": "cmn_Hans", "yue": "cmn_Hant", "est": "ekk_Latn"},
}


def sentences(code, count=7):
    return [f"{code} sentence {n}" for n in range(1, count + 1)]


def write(folder, codes, pattern, split="devtest", **counts):
    for code, name in codes.items():
        path = folder / split / pattern.format(code=name, split=split)
        path.parent.mkdir(parents=True, exist_ok=True)
        text = "\n".join(sentences(f"{code} {split}", counts.get(code, 7)))
        path.write_text(text + "\n", encoding="utf-8")
    return folder


def frame(codes, first=1, split=None):
    import polars as pl

    parts = []
    for code, name in codes.items():
        language, script = name.split("_")
        for s in split or ("devtest",):
            texts = sentences(f"{code} {s}")
            part = {
                "id": list(range(first, first + len(texts))),
                "iso_639_3": [language] * len(texts),
                "iso_15924": [script] * len(texts),
                "text": texts,
            }
            parts.append(pl.DataFrame({**part, **({"split": [s] * len(texts)} if split else {})}))
    return pl.concat(parts)


FORMS = {
    "FLORES-200": lambda f: write(f, CODES["flores200"], "{code}.{split}"),
    "FLORES-101": lambda f: write(f, CODES["flores101"], "{code}.{split}"),
    "FLORES+": lambda f: write(f, CODES["plus"], "{split}.{code}"),
    "nested": lambda f: write(f / "floresp-v2.0-rc.3", CODES["plus"], "{split}.{code}").parent,
}


def check(corpus, split="devtest", count=7):
    assert corpus.licence == "CC-BY-SA-4.0"
    assert corpus.counts == dict.fromkeys(CODES["plus"], (count, count))
    found = {(u.language, u.sentence): u.text for u in corpus.utterances}
    assert found == {
        (code, str(n)): f"{code} {split} sentence {n}"
        for code in CODES["plus"]
        for n in range(1, count + 1)
    }
    assert all(u.split == split and u.clip is None for u in corpus.utterances)
    assert not corpus.dropped


@pytest.mark.parametrize("form", FORMS)
def test_text_forms(tmp_path, form):
    corpus = Flores(path=FORMS[form](tmp_path)).load()
    check(corpus)
    selection = select(corpus, modalities=["text"], seed=0)
    assert [u.sentence for u in selection.items["deu", "text"]] == [str(n) for n in range(1, 8)]
    others = next(n for n in corpus.notes if n.startswith("Read under the codes of FLORES"))
    names = CODES[{"FLORES-200": "flores200", "FLORES-101": "flores101"}.get(form, "plus")]
    assert f"yue from {names['yue']}" in others
    assert "deu" not in others


def test_parquet_forms(tmp_path):
    import polars as pl

    both = frame(CODES["plus"], split=("dev", "devtest"))
    both.write_parquet(tmp_path / "all.parquet")
    check(Flores(path=tmp_path / "all.parquet").load())
    check(Flores(path=tmp_path).load())
    check(Flores(path=tmp_path, split="dev").load(), "dev")
    for name, code in CODES["plus"].items():
        folder = tmp_path / "each" / "devtest"
        folder.mkdir(parents=True, exist_ok=True)
        own = both.filter(split="devtest").filter(pl.col("text").str.starts_with(name))
        own.write_parquet(folder / f"{code}.parquet")
    check(Flores(path=tmp_path / "each").load())


def test_ids_of_a_table_are_kept_and_tie_the_languages(tmp_path):
    import polars as pl

    table = frame(CODES["plus"], first=0)
    table = table.filter(~((pl.col("iso_639_3") == "deu") & (pl.col("id") == 2)))
    table.sample(fraction=1, shuffle=True, seed=0).write_parquet(tmp_path / "t.parquet")
    corpus = Flores(path=tmp_path / "t.parquet").load()
    ids = {u.sentence for u in corpus.utterances if u.language == "deu"}
    assert ids == {"0", "1", "3", "4", "5", "6"}
    texts = {u.text for u in corpus.utterances if u.sentence == "3"}
    assert texts == {f"{code} devtest sentence 4" for code in CODES["plus"]}
    assert corpus.counts["deu"] == (6, 6)


def test_two_varieties_in_one_table(tmp_path):
    import polars as pl

    table = frame(CODES["plus"])
    pl.concat([table, table]).write_parquet(tmp_path / "t.parquet")
    with pytest.raises(CorpusError, match="has the id 1 twice; keep one of its varieties"):
        Flores(path=tmp_path / "t.parquet").load()


def test_splits_and_languages(tmp_path):
    write(tmp_path, CODES["flores200"], "{code}.{split}")
    write(tmp_path, CODES["flores200"], "{code}.{split}", "dev", deu=5, cmn=5, yue=5, est=5)
    assert Flores(path=tmp_path, split="dev").load().counts["deu"] == (5, 5)
    corpus = Flores(path=tmp_path, languages=["deu", "est"]).load()
    assert set(corpus.counts) == {"deu", "est"}
    with pytest.raises(StudyError, match="corpus.split"):
        Flores(path=tmp_path, split="test")
    corpus = Flores(path=tmp_path, languages=["paper-seamless"]).load()
    selection = select(corpus, languages=["paper-seamless"], modalities=["text"], seed=0)
    (lacking,) = [n for n in selection.corpus.notes if n.startswith("Not in the corpus")]
    assert len(lacking.split(", ")) == len(resolve(["paper-seamless"])) - 4


def test_cantonese_falls_back_on_its_own_file(tmp_path):
    write(tmp_path, {"deu": "deu_Latn", "yue": "yue_Hant"}, "{code}.{split}")
    corpus = Flores(path=tmp_path).load()
    assert corpus.counts["yue"] == (7, 7)
    write(tmp_path, {"cmn": "zho_Hant"}, "{code}.{split}")
    corpus = Flores(path=tmp_path).load()
    assert {u.text.split()[0] for u in corpus.utterances if u.language == "yue"} == {"cmn"}


def test_lines_that_cannot_be_the_same_sentences(tmp_path):
    write(tmp_path, CODES["flores200"], "{code}.{split}", est=6)
    message = r"est_Latn\.devtest has 6 lines, and .*\.devtest 7 like the others\. Line n must be"
    with pytest.raises(CorpusError, match=message):
        Flores(path=tmp_path).load()
    assert Flores(path=tmp_path, languages=["deu", "yue"]).load()


def test_odd_lines(tmp_path):
    folder = tmp_path / "devtest"
    folder.mkdir()
    (folder / "deu.devtest").write_bytes(b"\xef\xbb\xbfeins\r\n\r\n dr\xe2\x80\xa8ei \r\n")
    (folder / "eng.devtest").write_bytes(b"one\ntwo\nthree")
    corpus = Flores(path=tmp_path).load()
    german = {u.sentence: u.text for u in corpus.utterances if u.language == "deu"}
    assert german == {"1": "eins", "3": "dr\u2028ei"}
    (left,) = corpus.dropped
    assert (left.sentence, left.modality, left.origin) == (
        "2",
        "text",
        "devtest/deu.devtest line 2",
    )
    (folder / "eng.devtest").write_bytes(b"one\n\xff\nthree")
    with pytest.raises(CorpusError, match=r"eng\.devtest line 2: is not UTF-8"):
        Flores(path=tmp_path).load()


def test_what_is_still_packed(tmp_path):
    packed = tmp_path / "floresp-v2.0-rc.3.zip"
    packed.write_bytes(b"PK")
    for path in (packed, tmp_path):
        with pytest.raises(CorpusError, match=r"is still packed.*multilingual machine translation"):
            Flores(path=path).load()
    other = tmp_path / "flores200_dataset.tar.gz"
    other.write_bytes(b"")
    with pytest.raises(CorpusError, match="is still packed; unpack it"):
        Flores(path=other).load()


def test_a_folder_without_flores(tmp_path):
    with pytest.raises(CorpusError, match="there is no such folder"):
        Flores(path=tmp_path / "none").load()
    with pytest.raises(CorpusError, match=r"holds none of swh_Latn.*devtest/swh_Latn\.devtest"):
        Flores(path=tmp_path, languages=["swh"]).load()
    (tmp_path / "t.parquet").write_bytes(b"PAR1")
    with pytest.raises(CorpusError, match="is no readable Parquet file"):
        Flores(path=tmp_path).load()
    frame(CODES["plus"]).drop("iso_15924").write_parquet(tmp_path / "t.parquet")
    with pytest.raises(CorpusError, match='has no column "iso_15924"'):
        Flores(path=tmp_path).load()
    frame(CODES["plus"]).write_parquet(tmp_path / "t.parquet")
    with pytest.raises(CorpusError, match="has no rows of the split devtest in the languages"):
        Flores(path=tmp_path, languages=["swh"]).load()
