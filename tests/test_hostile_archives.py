"""Archives of strangers: what they claim and what they unpack to is bounded, and nothing is lost.

What leaves an archive, and under which names, is tested with the corpus (corpora/).
"""

import gzip
import io
import tarfile

import pytest

from bounds import bounded
from fleurs_tree import make_tree
from isogloss.corpora import CORPORA
from isogloss.corpora import _fleurs_audio as audio

Fleurs = CORPORA.get("fleurs")


@pytest.fixture
def tree(tmp_path):
    """German, three sentences."""
    return make_tree(tmp_path / "tree", ("deu",), 3, odd=False, takes=(1,))


def packed(tree):
    """The members of its archive, with their content."""
    with tarfile.open(tree.archives["deu"]) as archive:
        return [(m.name, archive.extractfile(m).read()) for m in archive if m.isreg()]


def header(name, size, kind=tarfile.REGTYPE):
    entry = tarfile.TarInfo(name)
    entry.size, entry.type = size, kind
    return entry.tobuf(tarfile.GNU_FORMAT)


def read(tree, tmp_path, content):
    """What a corpus makes of an archive: the recordings found, and the note on it."""
    tree.archives["deu"].write_bytes(content)
    with bounded(mebibytes=150):
        corpus = Fleurs(path=tree.folder, cache=tmp_path / "cache", languages=["deu"]).load()
    heard = sum(u.clip is not None for u in corpus.utterances)
    assert heard + len(corpus.dropped) == 3
    return heard, " ".join(n for n in corpus.notes if "test.tar.gz" in n)


def members(found):
    """Members as an archive has them, without its end."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, data in found:
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
        length = archive.offset
    return buffer.getvalue()[:length]


END = bytes(1024)


@pytest.mark.parametrize("claimed", [2**35, 2**63, 2**87])
def test_a_member_that_claims_more_than_there_is(tree, tmp_path, claimed):
    """The reader of tar would skip that much, block by block, long after the file has ended."""
    found = packed(tree)
    for kind in (tarfile.REGTYPE, tarfile.SYMTYPE):
        content = members(found[:1]) + header("big.bin", claimed, kind) + members(found[1:]) + END
        heard, note = read(tree, tmp_path, content)
        if kind == tarfile.REGTYPE:
            assert heard == 1
            assert f"claims {claimed} bytes" in note


def test_a_member_larger_than_the_rest_of_the_archive(tree, tmp_path):
    found = packed(tree)
    heard, note = read(tree, tmp_path, members(found[:1]) + header("x.bin", 2**30) + b"abc")
    assert heard == 1
    assert "cannot be read to its end" in note or "not in the table" in note


def test_a_name_of_a_gigabyte(tree, tmp_path):
    """Headers of further names are read whole, and pack to a thousandth."""
    found = packed(tree)
    for kind in (tarfile.GNUTYPE_LONGNAME, tarfile.XHDTYPE, tarfile.XGLTYPE):
        bomb = header("x", 2**30, kind) + bytes(2**22)
        content = gzip.compress(members(found[:1]) + bomb + members(found[1:]) + END)
        heard, note = read(tree, tmp_path, content)
        assert heard == 1
        assert "a header claims 1073741824 bytes" in note


def test_an_archive_that_unpacks_to_more_than_is_allowed(tree, tmp_path, monkeypatch):
    monkeypatch.setattr(audio, "MOST_UNPACKED", 2**22)
    found = packed(tree)
    filler = members([("filler.bin", bytes(2**21))])
    bomb = gzip.compress(members(found[:1]) + filler * 3 + members(found[1:]) + END)
    heard, note = read(tree, tmp_path, bomb)
    assert heard == 1
    assert "it unpacks to more than 4 MiB" in note
    # Behind the end as well, where nobody looks for members.
    heard, note = read(tree, tmp_path, gzip.compress(members(found) + END + bytes(2**23)))
    assert heard == 3
    assert "it unpacks to more than 4 MiB" in note


def test_an_archive_of_too_many_members(tree, tmp_path, monkeypatch):
    monkeypatch.setattr(audio, "MOST_MEMBERS", 50)
    found = packed(tree)
    content = members([(f"{i}.txt", b"") for i in range(60)] + found) + END
    heard, note = read(tree, tmp_path, content)
    assert heard == 0
    assert "at most 50 members" in note


def test_sparse_members_are_as_large_as_they_become(tree, tmp_path):
    found = packed(tree)
    entry = bytearray(header(found[1][0], 512, tarfile.GNUTYPE_SPARSE))
    entry[386:398], entry[398:410] = b"%011o\0" % 0, b"%011o\0" % 512  # one piece
    entry[483:495] = b"%011o\0" % (2**33 - 1)  # the size it has with its holes
    entry[148:156] = b" " * 8
    entry[148:156] = b"%06o\0 " % sum(entry)
    content = members(found[:1]) + bytes(entry) + bytes(512) + members(found[2:]) + END
    heard, note = read(tree, tmp_path, content)
    assert heard == 2
    assert "1 larger than 64 MiB" in note


def test_names_of_any_bytes(tree, tmp_path):
    found = packed(tree)
    odd = [
        "\x1b[2J.wav",
        "a" * 3000,
        "..\\..\\evil.wav",
        "\udcff\udcfe.wav",
        "CON",
        " ",
        ".",
        "a/.",
    ]
    heard, note = read(tree, tmp_path, members([(name, b"x") for name in odd] + found) + END)
    assert heard == 3
    assert f"{len(odd)} not in the table" in note


def test_an_archive_within_an_archive_is_not_opened(tree, tmp_path):
    found = packed(tree)
    inner = gzip.compress(members(found) + END)
    heard, note = read(tree, tmp_path, members([("inner.tar.gz", inner), found[0]]) + END)
    assert heard == 1
    assert "1 not in the table" in note
