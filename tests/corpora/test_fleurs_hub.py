"""FLEURS through the hub's own client, from a server on this machine that speaks its protocol."""

import pytest

from fleurs_tree import make_tree
from hub_server import serving
from isogloss.corpora import CORPORA
from isogloss.errors import CorpusError
from isogloss.selection import select

pytest.importorskip("huggingface_hub")
Fleurs = CORPORA.get("fleurs")
PINNED = Fleurs().revision
COPY = "fedcba9876543210fedcba9876543210fedcba98"
BRANCH = "refs/convert/parquet"


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """German, English and Finnish in the main form; Finnish and Swahili in the Parquet copy."""
    main = make_tree(tmp_path / "main", ("deu", "eng", "fin"), 6)
    copy = make_tree(tmp_path / "copy", ("fin", "swh"), 6, "parquet")
    trees = {PINNED: main.folder, COPY: copy.folder}
    names = {"main": PINNED, BRANCH: COPY}
    monkeypatch.setenv("ISOGLOSS_CACHE", str(tmp_path / "cache"))
    with serving(
        "datasets", "google/fleurs", trees, names, cache=tmp_path / "hf", monkeypatch=monkeypatch
    ) as (server, asked):
        yield server, asked, main, copy


def test_two_files_a_language(hub):
    server, asked, main, _ = hub
    source = Fleurs(languages=["deu", "eng"])
    corpus = source.load()
    assert sorted(asked) == [
        "data/de_de/audio/test.tar.gz", "data/de_de/test.tsv",
        "data/en_us/audio/test.tar.gz", "data/en_us/test.tsv",
    ]  # fmt: skip
    local = Fleurs(path=main.folder, languages=["deu", "eng"]).load()
    assert corpus.utterances == local.utterances
    assert corpus.dropped == local.dropped
    assert corpus.counts == local.counts == {c: main.counts[c] for c in ("deu", "eng")}
    assert corpus.notes[0] == f"Read from google/fleurs on the hub at commit {PINNED} (2)"
    # A pinned revision that is in the cache needs no hub.
    server.shutdown()
    server.server_close()
    assert source.load() == corpus


def test_text_needs_the_table_alone(hub):
    _, asked, main, _ = hub
    corpus = Fleurs(languages=["deu"], modalities="text").load()
    assert asked == ["data/de_de/test.tsv"]
    assert len(corpus.utterances) == sum(r.odd != "wide" for r in main.rows["deu"])


def test_a_branch_is_recorded_by_its_commit(hub):
    corpus = Fleurs(languages=["deu", "eng"], revision="main").load()
    assert f"at commit {PINNED}" in corpus.notes[0]


def test_what_the_main_form_lacks_is_taken_from_the_parquet_copy(hub):
    _, asked, main, copy = hub
    (main.archives["fin"]).unlink()
    corpus = Fleurs(languages=["deu", "fin", "swh"]).load()
    assert {u.language for u in corpus.utterances} == {"deu", "fin", "swh"}
    assert corpus.counts["swh"] == copy.counts["swh"]
    assert corpus.counts["fin"] == copy.counts["fin"]
    assert set(corpus.notes[:2]) == {
        f"Read from google/fleurs on the hub at commit {PINNED} (1)",
        f"Read from google/fleurs on the hub at commit {COPY} as Parquet (2)",
    }
    assert "sw_ke/test/0000.parquet" in asked


def test_a_language_that_the_hub_lacks_stops_no_other(hub):
    corpus = Fleurs(languages=["deu", "hin"]).load()
    assert {u.language for u in corpus.utterances} == {"deu"}
    (left,) = [d for d in corpus.dropped if d.language == "hin"]
    assert "has neither data/hi_in/test.tsv with its archive" in left.reason
    selection = select(corpus, languages=["deu", "hin"], seed=0)
    assert [n for n in selection.corpus.notes if n.startswith("hin: left out (google/fleurs has")]
    with pytest.raises(CorpusError, match="hin: google/fleurs has neither data/hi_in"):
        Fleurs(languages=["hin"]).load()


def test_a_revision_that_is_not_there(hub):
    with pytest.raises(CorpusError, match=r'no revision "v9"; corpus\.revision takes a commit'):
        Fleurs(languages=["deu"], revision="v9").load()


def test_no_hub(hub, monkeypatch):
    server, *_ = hub
    server.shutdown()
    server.server_close()
    monkeypatch.setattr("time.sleep", lambda _: None)  # the client waits between its attempts
    with pytest.raises(CorpusError, match=r"deu: .*hub cannot be reached .*corpus\.path.*1 more"):
        Fleurs(languages=["deu", "eng"]).load()
