"""FLEURS through the hub's own client, from a server on this machine that speaks its protocol."""

import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar
from urllib.parse import unquote

import pytest

from fleurs_tree import make_tree
from isogloss.corpora import CORPORA
from isogloss.errors import CorpusError
from isogloss.selection import select

pytest.importorskip("huggingface_hub")
Fleurs = CORPORA.get("fleurs")
PINNED = Fleurs().revision
COPY = "fedcba9876543210fedcba9876543210fedcba98"
BRANCH = "refs/convert/parquet"


class Server(BaseHTTPRequestHandler):
    """As much of the hub as fetching files of a dataset needs."""

    trees: ClassVar[dict] = {}
    """Commit -> folder."""
    names: ClassVar[dict] = {}
    """Branch -> commit."""
    asked: ClassVar[list] = []

    def log_message(self, *_):
        pass

    def do_HEAD(self):
        self.reply(body=False)

    def do_GET(self):
        self.reply(body=True)

    def reply(self, *, body):
        path = unquote(self.path.partition("?")[0])
        api, files = "/api/datasets/google/fleurs/revision/", "/datasets/google/fleurs/resolve/"
        if path.startswith(api):
            commit = self.commit(path.removeprefix(api))
            if commit is None:
                return self.send(404, b"", {"X-Error-Code": "RevisionNotFound"}, body)
            folder = self.trees[commit]
            there = sorted(p for p in folder.rglob("*") if p.is_file())
            names = [{"rfilename": p.relative_to(folder).as_posix()} for p in there]
            info = {"id": "google/fleurs", "sha": commit, "siblings": names}
            return self.send(200, json.dumps(info).encode(), {}, body)
        rest = path.removeprefix(files)
        for name in (*self.names, *self.trees):
            if rest.startswith(f"{name}/"):
                commit = self.commit(name)
                file = rest.removeprefix(f"{name}/")
                if body:
                    self.asked.append(file)
                place = self.trees[commit] / file
                if not place.is_file():
                    headers = {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": commit}
                    return self.send(404, b"", headers, body)
                data = place.read_bytes()
                etag = f'"{hashlib.sha256(data).hexdigest()}"'
                return self.send(200, data, {"ETag": etag, "X-Repo-Commit": commit}, body)
        return self.send(404, b"", {"X-Error-Code": "RevisionNotFound"}, body)

    def commit(self, name):
        commit = self.names.get(name, name)
        return commit if commit in self.trees else None

    def send(self, status, data, headers, body):
        self.send_response(status)
        for name, value in {**headers, "Content-Length": len(data)}.items():
            self.send_header(name, str(value))
        self.end_headers()
        if body:
            self.wfile.write(data)


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """German, English and Finnish in the main form; Finnish and Swahili in the Parquet copy."""
    from huggingface_hub import constants

    main = make_tree(tmp_path / "main", ("deu", "eng", "fin"), 6)
    copy = make_tree(tmp_path / "copy", ("fin", "swh"), 6, "parquet")
    trees = {PINNED: main.folder, COPY: copy.folder}
    names = {"main": PINNED, BRANCH: COPY}
    handler = type("Serving", (Server,), {"trees": trees, "names": names, "asked": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setenv("ISOGLOSS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "ENDPOINT", url)
    monkeypatch.setattr(
        constants, "HUGGINGFACE_CO_URL_TEMPLATE", url + "/{repo_id}/resolve/{revision}/{filename}"
    )
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hf"))
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_PROGRESS_BARS", True)
    yield server, handler.asked, main, copy
    server.shutdown()
    server.server_close()


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
