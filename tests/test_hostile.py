"""Manifests and recordings of strangers: each is refused with one message, in bounds."""

import gzip
import json
import os
import socket
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import soundfile

from bounds import bounded
from isogloss.audio import FileClip
from isogloss.cli import call
from isogloss.corpora import CORPORA, _parquet, _tables
from isogloss.errors import CorpusError, ItemError
from isogloss.guarded import open_regular, read_bytes

Manifest = CORPORA.get("manifest")
ROW = {"id": 1, "lang": "deu", "text": "eins"}


def refusal(path, **settings):
    """The one line with which a manifest is refused."""
    with bounded(mebibytes=200), pytest.raises(CorpusError) as caught:
        Manifest(path=path, **settings).load()
    text = str(caught.value)
    assert "\n" not in text
    assert path.name in text
    assert len(text) < 1000
    return text


def manifest(folder, *rows, name="m.jsonl"):
    path = folder / name
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def sound(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, 0.3 * np.sin(np.arange(8000) / 9), 16_000)
    return path


# ---- where recordings may lie ----------------------------------------------------------------


@pytest.fixture
def elsewhere(tmp_path):
    """A folder for manifests, with links out of it, beside a folder with a recording."""
    sound(tmp_path / "private" / "a.wav")
    home = tmp_path / "home"
    home.mkdir()
    (home / "link.wav").symlink_to(tmp_path / "private" / "a.wav")
    (home / "linked").symlink_to(tmp_path / "private", target_is_directory=True)
    return home


@pytest.mark.parametrize(
    "cell",
    ["{private}/a.wav", "../private/a.wav", "x/../../private/a.wav", "link.wav", "linked/a.wav"],
)
def test_recordings_outside_the_folder_are_used_only_if_that_is_said(elsewhere, cell):
    cell = cell.format(private=elsewhere.parent / "private")
    path = manifest(elsewhere, {**ROW, "audio_filepath": cell})
    text = refusal(path)
    assert 'line 1, column "audio_filepath"' in text
    assert "corpus.outside" in text
    (found,) = Manifest(path=path, outside=True).load().utterances
    assert found.clip.read().samples.size == 8000
    (found,) = Manifest(path=path, modalities=["text"]).load().utterances
    assert found.text == "eins"


def test_recordings_inside_the_folder_are_used_however_they_are_written(elsewhere):
    sound(elsewhere / "in" / "b.wav")
    (elsewhere / "inner.wav").symlink_to(elsewhere / "in" / "b.wav")
    cells = ["in/b.wav", str(elsewhere / "in" / "b.wav"), "in/../in/./b.wav", "inner.wav"]
    for cell in cells:
        path = manifest(elsewhere, {**ROW, "audio_filepath": cell})
        (found,) = Manifest(path=path).load().utterances
        assert found.clip.read().samples.size == 8000


def test_a_folder_that_is_itself_reached_through_a_link(elsewhere, tmp_path):
    sound(elsewhere / "b.wav")
    manifest(elsewhere, {**ROW, "audio_filepath": "b.wav"})
    (tmp_path / "way").symlink_to(elsewhere, target_is_directory=True)
    (found,) = Manifest(path=tmp_path / "way" / "m.jsonl").load().utterances
    assert found.clip.seconds() == 0.5


def test_devices_pipes_and_sockets_are_no_recordings(tmp_path):
    os.mkfifo(tmp_path / "pipe.wav")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "s.wav"))
        (tmp_path / "zero.wav").symlink_to("/dev/zero")
        rows = [{**ROW, "id": n, "audio_filepath": f"{n}.wav"} for n in ("pipe", "s", "zero")]
        with bounded():
            corpus = Manifest(path=manifest(tmp_path, *rows[:2]), outside=True).load
            with pytest.raises(CorpusError, match="none of its 2 recordings"):
                corpus()
            rows.append({**ROW, "id": "good", "audio_filepath": sound(tmp_path / "a.wav").name})
            found = Manifest(path=manifest(tmp_path, *rows), outside=True).load()
    reasons = {d.sentence: d.reason for d in found.dropped}
    assert reasons.keys() == {"pipe", "s", "zero"}
    assert all("device, a pipe or a socket" in reason for reason in reasons.values())


@pytest.mark.parametrize("use", ["identity", "seconds", "read"])
def test_what_became_a_pipe_or_a_device_is_not_waited_for(tmp_path, use):
    os.mkfifo(tmp_path / "pipe.wav")
    (tmp_path / "zero.wav").symlink_to("/dev/zero")
    for name in ("pipe.wav", "zero.wav"):
        with bounded(), pytest.raises(ItemError, match="device, a pipe or a socket"):
            getattr(FileClip(tmp_path / name), use)()


def test_only_regular_files_are_opened_and_no_more_is_read_than_said(tmp_path):
    with pytest.raises(OSError, match="device, a pipe"):
        open_regular(Path("/dev/zero"))
    with pytest.raises(IsADirectoryError):
        open_regular(tmp_path)
    (tmp_path / "f").write_bytes(b"12345")
    assert read_bytes(tmp_path / "f", 5) == b"12345"
    with pytest.raises(OSError, match="larger than 4 bytes"):
        read_bytes(tmp_path / "f", 4)


# ---- tables ----------------------------------------------------------------------------------


def test_a_manifest_that_is_no_file(tmp_path):
    os.mkfifo(tmp_path / "m.jsonl")
    assert "device, a pipe" in refusal(tmp_path / "m.jsonl")
    (tmp_path / "m.csv").symlink_to("/dev/zero")
    assert "device, a pipe" in refusal(tmp_path / "m.csv")
    (tmp_path / "loop.csv").symlink_to("loop.csv")
    refusal(tmp_path / "loop.csv")


def test_a_manifest_that_grows_when_it_is_unpacked(tmp_path, monkeypatch):
    path = tmp_path / "m.jsonl.gz"
    path.write_bytes(gzip.compress(b" " * 2**26))
    assert path.stat().st_size < 2**17
    assert "line 1 is longer than 1 MiB" in refusal(path)
    monkeypatch.setattr(_tables, "LARGEST", 2**20)
    path.write_bytes(gzip.compress((json.dumps(ROW) + "\n").encode() * 2**17))
    assert "unpacks to more than 1 MiB" in refusal(path)
    (tmp_path / "m.csv").write_bytes(b"id,lang,text\n" + b"1,deu,a\n" * 2**18)
    assert "larger than 1 MiB" in refusal(tmp_path / "m.csv")


@pytest.mark.parametrize("cut", [5, 12, -4])
def test_damaged_gzip(tmp_path, cut):
    data = gzip.compress(json.dumps(ROW).encode())
    (tmp_path / "m.jsonl.gz").write_bytes(data[:cut])
    assert "no whole gzip file" in refusal(tmp_path / "m.jsonl.gz")


MANY = 10**6


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("m.jsonl", b'{"id": "' + b"a" * 2**21 + b'"}', "line 1 is longer than 1 MiB"),
        ("m.jsonl", b'{"id":' + b"[" * 10**5 + b"]" * 10**5 + b"}", "line 1: is no JSON"),
        ("m.jsonl", b'{"id": ' + b"9" * 10**5 + b"}", "line 1: is no JSON"),
        ("m.jsonl", b'{"id": 1, "id": 2, "lang": "deu"}', 'key "id" stands twice'),
        ("m.jsonl", b'{"id": 1}\n\xff\xfe', "line 2: is not UTF-8"),
        ("m.jsonl", b'{"id": 1}\n{"id": "\xed\xa0\x80"}', "line 2: is not UTF-8"),
        ("m.jsonl", "\n".join(f'{{"c{i}": 1}}' for i in range(2000)).encode(), "line 1001: has"),
        ("m.jsonl", b"\0" * 10**5, "line 1: is no JSON"),
        ("m.csv", b",".join(b"c%d" % i for i in range(MANY // 10)), "100000 columns"),
        ("m.csv", b"a," * MANY, "line 1 is longer than 1 MiB"),
        ("m.tsv", b"a\t" * 1500, "header: has 1501 columns"),
        ("m.csv", b'id,lang,text\n1,deu,"' + b"a" * 200_000, "row 1: is not valid CSV"),
        ("m.csv", b'id,lang,text\n1,deu,"' + b"a\n" * 200_000, "row 1: is not valid CSV"),
        ("m.csv", b"id,lang,text\n1,deu,\xff\n", "line 2: is not UTF-8"),
        ("m.csv", b"id,lang,text\n1,deu,a\0b\n", "zero"),
        ("m.parquet", b"PAR1" + b"\xff" * 1000 + b"PAR1", "no readable Parquet file"),
        ("m.parquet", b"", "no readable Parquet file"),
    ],
    ids=range(17),
)
def test_tables_that_are_none(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    assert message in refusal(tmp_path / name)


def test_a_table_of_many_cells_in_a_few_bytes(tmp_path, monkeypatch):
    frame = pl.DataFrame({"id": [1], "lang": ["deu"]}).select(pl.all().repeat_by(30_000).explode())
    frame.write_parquet(tmp_path / "m.parquet")
    assert (tmp_path / "m.parquet").stat().st_size < 3000
    monkeypatch.setattr(_parquet, "MOST_CELLS", 50_000)
    assert "30,000 rows of 2 columns" in refusal(tmp_path / "m.parquet")
    monkeypatch.undo()
    monkeypatch.setattr(_parquet, "LARGEST", 80_000)
    assert "78.125 KiB of text" in refusal(tmp_path / "m.parquet")


def test_old_line_ends_and_byte_order_marks_are_no_attack(tmp_path):
    for end in (b"\n", b"\r\n", b"\r"):
        lines = [b"\xef\xbb\xbfid,lang,text", b"1,deu,eins", b"2,deu,zwei"]
        (tmp_path / "m.csv").write_bytes(end.join(lines))
        found = Manifest(path=tmp_path / "m.csv").load().utterances
        assert [u.text for u in found] == ["eins", "zwei"]


# ---- the terminal ----------------------------------------------------------------------------

OBEYED = "\x1b]0;owned\x07\x1b[2J\x9b31m\u202e"


def test_nothing_that_a_terminal_obeys_is_printed(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = [{**ROW, "id": f"{i}{OBEYED}", "lang": c} for i in range(3) for c in ("deu", "eng")]
    name = f"m{OBEYED}.jsonl"
    manifest(tmp_path, *rows, name=name)
    assert call(["corpus", "show", name]) == 0
    assert call(["corpus", "show", f"none{OBEYED}.jsonl"]) == 1
    manifest(tmp_path, {**ROW, "id": f"{OBEYED}", "lang": f"x{OBEYED}"}, name="n.jsonl")
    assert call(["corpus", "show", "n.jsonl"]) == 1
    seen = capsys.readouterr()
    for text in (seen.out, seen.err):
        assert not [c for c in text if c != "\n" and not (c.isprintable() or c in "\u2028")]
        assert "\\u001b]0;owned\\u0007" in text
