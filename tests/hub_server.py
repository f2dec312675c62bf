"""A hub on this machine that serves one repository to the hub's own client."""

import hashlib
import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote


class Hub(BaseHTTPRequestHandler):
    """As much of the hub's protocol as fetching the files of a repository needs."""

    kind: str
    """models or datasets."""
    repository: str
    trees: dict
    """Commit -> folder."""
    names: dict
    """Branch -> commit."""
    asked: list
    """The files that were fetched, in order."""

    def log_message(self, *_):
        pass

    def do_HEAD(self):
        self.reply(body=False)

    def do_GET(self):
        self.reply(body=True)

    def reply(self, *, body):
        path = unquote(self.path.partition("?")[0])
        api = f"/api/{self.kind}/{self.repository}"
        files = f"/{'' if self.kind == 'models' else f'{self.kind}/'}{self.repository}/resolve/"
        if path == api or path.startswith(f"{api}/revision/"):
            self.send(*self.listing(path.removeprefix(api).removeprefix("/revision/")), body)
        elif path.startswith(files):
            self.send(*self.file(path.removeprefix(files), body), body)
        else:
            self.send(404, b"", {"X-Error-Code": "RepoNotFound"}, body)

    def listing(self, revision):
        commit = self.commit(revision or "main")
        if commit is None:
            return 404, b"", {"X-Error-Code": "RevisionNotFound"}
        folder = self.trees[commit]
        there = sorted(p for p in folder.rglob("*") if p.is_file())
        names = [{"rfilename": p.relative_to(folder).as_posix()} for p in there]
        info = {"id": self.repository, "sha": commit, "siblings": names}
        return 200, json.dumps(info).encode(), {}

    def file(self, rest, body):
        # The name of a branch may hold slashes too.
        for name in (*self.names, *self.trees):
            if rest.startswith(f"{name}/"):
                commit, file = self.commit(name), rest.removeprefix(f"{name}/")
                if body:
                    self.asked.append(file)
                place = self.trees[commit] / file
                if not place.is_file():
                    headers = {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": commit}
                    return 404, b"", headers
                data = place.read_bytes()
                etag = f'"{hashlib.sha256(data).hexdigest()}"'
                return 200, data, {"ETag": etag, "X-Repo-Commit": commit}
        return 404, b"", {"X-Error-Code": "RevisionNotFound"}

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


@contextmanager
def serving(kind, repository, trees, names, *, cache, monkeypatch):
    """Let the hub's client find one repository, and no other, on a server of this machine.

    Args:
        kind: models or datasets.
        repository: Its name.
        trees: Commit -> folder.
        names: Branch -> commit.
        cache: Folder for what is fetched.
        monkeypatch: Of the test.

    Yields:
        The server and the list of the files that are fetched.
    """
    from huggingface_hub import constants

    about = {"kind": kind, "repository": repository, "trees": trees, "names": names, "asked": []}
    handler = type("Serving", (Hub,), about)
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setattr(constants, "ENDPOINT", url)
    monkeypatch.setattr(
        constants, "HUGGINGFACE_CO_URL_TEMPLATE", url + "/{repo_id}/resolve/{revision}/{filename}"
    )
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_PROGRESS_BARS", True)
    try:
        yield server, handler.asked
    finally:
        server.shutdown()
        server.server_close()
