import gzip
import io
import json
import os
import subprocess
import sys
import tarfile
import zlib

import numpy as np
import pytest
import soundfile

from fleurs_tree import make_tree, sound, wav, write_archive
from isogloss.corpora import CORPORA
from isogloss.corpora import _fleurs_audio as audio
from isogloss.errors import CorpusError, OutputError
from isogloss.selection import select

Fleurs = CORPORA.get("fleurs")


@pytest.fixture
def tree(tmp_path):
    """German and English, four sentences each, without defects."""
    return make_tree(tmp_path / "tree", ("deu", "eng"), 4, odd=False, takes=(1,))


@pytest.fixture
def load(tmp_path):
    def load(tree, **settings):
        settings = {"path": tree.folder, "cache": tmp_path / "cache", **settings}
        return Fleurs(**settings).load()

    return load


@pytest.fixture
def streamed(monkeypatch):
    """Names of the archives that were read, in order."""
    seen, members = [], audio._members
    monkeypatch.setattr(audio, "_members", lambda path: seen.append(path.name) or members(path))
    return seen


def clips(tree, code="deu"):
    """File name -> bytes, as packed."""
    with tarfile.open(tree.archives[code]) as archive:
        files = [m for m in archive if m.isreg()]
        return {m.name.rpartition("/")[2]: archive.extractfile(m).read() for m in files}


def missing(corpus, code="deu"):
    return [d.reason for d in corpus.dropped if d.language == code]


def notes(corpus, *words):
    return [n for n in corpus.notes if all(w in n for w in words)]


def test_recordings_are_kept_as_they_were_packed(tree, load, tmp_path):
    packed = clips(tree)
    for u in load(tree).utterances:
        if u.language == "deu":
            name = u.clip.name.rpartition("/")[2]
            assert u.clip.path.read_bytes() == packed[name]
            assert u.clip.path.is_relative_to(tmp_path / "cache")


def test_an_archive_is_read_once(tree, load, streamed, tmp_path):
    first = load(tree)
    assert len(streamed) == 2
    assert load(tree) == first
    assert len(streamed) == 2
    # Elsewhere, and touched: its content is the same.
    moved = tree.folder.rename(tmp_path / "moved")
    os.utime(moved / "data" / "de_de" / "audio" / "test.tar.gz", (1, 1))
    again = Fleurs(path=moved, cache=tmp_path / "cache").load()
    assert again.utterances == first.utterances
    assert len(streamed) == 2


def test_an_edited_archive_is_read_anew(tree, load, streamed):
    before = {u.sentence: u.clip.identity() for u in load(tree).utterances if u.language == "deu"}
    path, packed = tree.archives["deu"], clips(tree)
    stat = path.stat()
    name = tree.rows["deu"][0].file
    packed[name] = wav(sound(len(packed[name]) // 2 - 22, [99]))
    write_archive(path, packed)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1))
    after = {u.sentence: u.clip.identity() for u in load(tree).utterances if u.language == "deu"}
    assert len(streamed) == 3
    assert {s for s in before if before[s] != after[s]} == {tree.rows["deu"][0].sentence}


def test_what_is_lost_from_the_cache_is_read_again(tree, load, streamed):
    corpus = load(tree)
    lost, cut = (u.clip.path for u in corpus.utterances[:2])
    lost.unlink()
    cut.write_bytes(cut.read_bytes()[:100])
    again = load(tree)
    assert again == corpus
    assert lost.is_file()
    assert len(again.utterances[1].clip.read().samples) > 10_000
    assert len(streamed) == 3
    for index in (lost.parents[2] / "indexes").iterdir():
        index.write_text('{"clips": 3')
    assert load(tree) == corpus


def test_a_table_that_lists_more_later(tree, load, streamed):
    table = tree.tables["deu"]
    lines = table.read_text().splitlines(keepends=True)
    table.write_text("".join(lines[:2]))
    assert load(tree).counts["deu"] == (2, 2)
    assert len(streamed) == 2
    table.write_text("".join(lines[2:]))
    assert not load(tree).dropped
    assert len(streamed) == 3
    # What an archive holds adds up.
    table.write_text("".join(lines))
    assert not load(tree).dropped
    assert len(streamed) == 3


def test_members_that_were_not_listed(tree, load, tmp_path):
    """Hostile names, links, devices and repeats change nothing outside, and are counted."""
    listed = [row.file for row in tree.rows["deu"]]
    packed = clips(tree)
    outside = tmp_path / "outside.wav"
    outside.write_bytes(b"untouched")

    def add(archive, name, data=b"", **fields):
        entry = tarfile.TarInfo(name)
        entry.size = len(data)
        for key, value in fields.items():
            setattr(entry, key, value)
        archive.addfile(entry, io.BytesIO(data))

    with tarfile.open(tree.archives["deu"], "w:gz") as archive:
        add(archive, "../../../outside.wav", b"evil")
        add(archive, str(outside), b"evil")
        add(archive, f"test/{listed[0]}", type=tarfile.SYMTYPE, linkname=str(outside))
        add(archive, f"test/{listed[1]}", type=tarfile.LNKTYPE, linkname="test/other.wav")
        add(archive, "test/device", type=tarfile.CHRTYPE)
        add(archive, "test/pipe", type=tarfile.FIFOTYPE)
        add(archive, "test", type=tarfile.DIRTYPE)
        add(archive, f"../../{listed[0]}", packed[listed[0]])
        add(archive, f"/abs/{listed[1]}", packed[listed[1]])
        add(archive, f"test/{listed[1]}", packed[listed[2]])
        add(archive, f"deep/er/{listed[2]}", packed[listed[2]])
        add(archive, "test/readme.txt", b"hello")
    before = {p for p in tmp_path.rglob("*") if tmp_path / "cache" not in p.parents}
    corpus = load(tree, languages=["deu"])
    after = {p for p in tmp_path.rglob("*") if tmp_path / "cache" not in p.parents}
    assert after - before == {tmp_path / "cache"}
    assert outside.read_bytes() == b"untouched"
    kept = [p for p in (tmp_path / "cache").rglob("*") if p.is_file()]
    assert {p.suffix for p in kept} == {".wav", ".json"}
    assert sum(p.suffix == ".wav" for p in kept) == 3
    assert not any(p.is_symlink() for p in kept)
    found = {u.clip.name.rpartition("/")[2]: u.clip for u in corpus.utterances if u.clip}
    assert set(found) == set(listed[:3])
    for name, clip in found.items():
        assert clip.path.read_bytes() == packed[name]
    assert missing(corpus) == [f"de_de/test/{listed[3]} is not in test.tar.gz"]
    assert notes(
        corpus, "deu: passed over in test.tar.gz:", "4 no regular files", "3 not in the table",
        "1 packed again under the same name",
    )  # fmt: skip


def test_a_member_too_large_to_be_a_sentence(tree, load, monkeypatch):
    monkeypatch.setattr(audio, "LARGEST", 58 * 2**10)
    corpus = load(tree)
    large = [r.file for r in tree.rows["deu"] if 2 * r.samples + 44 > 58 * 2**10]
    assert large
    assert len(missing(corpus)) == len(large)
    assert notes(corpus, "deu: passed over", f"{len(large)} larger than 58 KiB")


@pytest.mark.parametrize("share", [0.02, 0.4, 0.7, 0.999])
def test_a_truncated_archive_gives_what_it_holds(tree, load, share):
    path = tree.archives["deu"]
    whole = path.read_bytes()
    with tarfile.open(path) as archive:
        ends = [m.offset_data + m.size for m in archive if m.isreg()]
    path.write_bytes(whole[: int(share * len(whole))])
    there = len(zlib.decompressobj(wbits=31).decompress(path.read_bytes()))
    corpus = load(tree)
    heard = [u for u in corpus.utterances if u.language == "deu" and u.clip]
    reasons = missing(corpus)
    assert len(heard) + len(reasons) == 4
    # The last one is lost if it ends within the buffer that cannot be filled.
    complete = sum(end <= there for end in ends)
    assert len(heard) in (complete, max(0, complete - 1))
    assert all("which cannot be read to its end" in r for r in reasons)
    assert notes(corpus, "deu: test.tar.gz cannot be read to its end (")
    for u in heard:
        assert len(u.clip.read().samples) / 16_000 == u.clip.seconds()
    # The texts stay, and English is whole.
    assert sum(u.language == "deu" and bool(u.text) for u in corpus.utterances) == 4
    assert sum(u.language == "eng" and u.clip is not None for u in corpus.utterances) == 4


@pytest.mark.parametrize("data", [b"", b"no archive at all", b"\x1f\x8b\x08\x00 broken"])
def test_no_archive_at_all(tree, load, data):
    tree.archives["deu"].write_bytes(data)
    corpus = load(tree)
    assert len(missing(corpus)) == 4
    assert notes(corpus, "deu: test.tar.gz cannot be read to its end", "0 of its recordings were")
    selection = select(corpus, seed=0)
    assert set(selection.items) == {("deu", "text"), ("eng", "text"), ("eng", "speech")}


def test_a_damaged_checksum_is_noticed(tree, load):
    data = bytearray(tree.archives["deu"].read_bytes())
    data[-6] ^= 1
    tree.archives["deu"].write_bytes(bytes(data))
    corpus = load(tree)
    assert not missing(corpus)
    assert notes(corpus, "deu: test.tar.gz cannot be read to its end (BadGzipFile: CRC")


def test_no_damage_to_an_archive_stops_anything(tree, load):
    """Random bytes, half of them in the headers of the first members."""
    path = tree.archives["deu"]
    whole = gzip.decompress(path.read_bytes())
    rng = np.random.default_rng(0)
    seen = set()
    for turn in range(40):
        data = np.frombuffer(whole, dtype=np.uint8).copy()
        places = rng.integers(4096 if turn % 2 else len(data), size=(1, 3, 30)[turn % 3])
        data[places] = rng.integers(256, size=len(places))
        path.write_bytes(gzip.compress(data.tobytes(), 1) if turn % 4 else data.tobytes())
        corpus = load(tree, languages=["deu"])
        heard = sum(u.clip is not None for u in corpus.utterances)
        assert heard + len(missing(corpus)) == len(corpus.utterances) == 4
        seen.add(heard)
    assert {0, 4} <= seen


def test_an_archive_that_is_not_compressed(tree, load):
    path = tree.archives["deu"]
    path.with_name("test.tar").write_bytes(gzip.decompress(path.read_bytes()))
    path.unlink()
    assert not load(tree).dropped


def test_files_in_a_folder_are_measured_once(tmp_path, load, monkeypatch):
    tree = make_tree(tmp_path / "t", ("deu",), 4, packed=False, odd=False)
    first = load(tree)
    reads, measure = [], audio.measure
    monkeypatch.setattr(audio, "measure", lambda *a: reads.append(a[0].name) or measure(*a))
    assert load(tree) == first
    assert reads == []
    changed = tree.archives["deu"] / tree.rows["deu"][0].file
    changed.write_bytes(wav(sound(30_000, [5])))
    os.utime(changed, (1, 1))
    again = load(tree)
    assert reads == [changed.name]
    assert again.utterances[0].clip.seconds() == 30_000 / 16_000
    assert again.utterances[0].clip.identity() != first.utterances[0].clip.identity()
    assert again.utterances[1:] == first.utterances[1:]
    assert not list((tmp_path / "cache").rglob("*.wav"))


def test_a_folder_that_lacks_files_gives_way_to_the_archive(tree, load, streamed):
    folder = tree.archives["deu"].parent / "test"
    folder.mkdir()
    packed = clips(tree)
    for name in list(packed)[1:]:
        (folder / name).write_bytes(packed[name])
    assert not load(tree).dropped
    assert len(streamed) == 2
    name = next(iter(packed))
    (folder / name).write_bytes(packed[name])
    corpus = load(tree)
    assert len(streamed) == 2
    assert corpus.utterances[0].clip.path.parent == folder


def test_other_rates_and_channels_are_decoded(tmp_path, load):
    tree = make_tree(tmp_path / "t", ("deu",), 4, odd=False, takes=(1,), packed=False)
    path = tree.archives["deu"] / tree.rows["deu"][0].file
    tone = sound(2 * 44_100, [3]) / 2**15
    soundfile.write(path, np.stack([tone, tone], axis=1), 44_100, format="FLAC")
    corpus = load(tree)
    clip = corpus.utterances[0].clip
    assert clip.seconds() == pytest.approx(2, abs=1e-3)
    assert clip.read().note == "2 channels averaged, resampled from 44.1 kHz"


def test_a_cache_that_cannot_be_written(tree, load, tmp_path):
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(OutputError, match=r"give corpus\.cache a folder with space"):
        load(tree)


def test_no_language_can_be_read(tree, load):
    for path in tree.tables.values():
        path.write_text("")
    with pytest.raises(CorpusError, match=r"deu: .*has no row that can be read \(and 1 more"):
        load(tree)


def test_damaged_parquet(tmp_path, load):
    tree = make_tree(tmp_path / "t", ("deu", "eng"), 4, "parquet", odd=False)
    tree.tables["deu"].write_bytes(tree.tables["deu"].read_bytes()[:2000])
    corpus = load(tree)
    assert {u.language for u in corpus.utterances} == {"eng"}
    assert "is no readable Parquet file" in missing(corpus)[0]


def test_parquet_without_its_columns(tmp_path, load):
    import polars as pl

    tree = make_tree(tmp_path / "t", ("deu", "eng"), 4, "parquet", odd=False)
    frame = pl.read_parquet(tree.tables["deu"])
    frame.drop("id").write_parquet(tree.tables["deu"])
    assert 'has no column "id"; it has num_samples, path' in missing(load(tree))[0]


def test_parquet_in_several_files(tmp_path, load):
    import polars as pl

    tree = make_tree(tmp_path / "t", ("deu",), 30, "parquet", odd=False)
    whole = load(tree)
    frame = pl.read_parquet(tree.tables["deu"])
    frame[:20].write_parquet(tree.tables["deu"])
    frame[20:].write_parquet(tree.tables["deu"].with_name("0001.parquet"))
    assert len(frame) > 32
    assert load(tree).utterances == whole.utterances


def test_two_processes_share_a_cache(tree, tmp_path):
    code = (
        "import sys, json; from isogloss.corpora.fleurs import Fleurs\n"
        "c = Fleurs(path=sys.argv[1], cache=sys.argv[2]).load()\n"
        "print(json.dumps([[u.sentence, u.clip.identity(), u.clip.seconds(),"
        " len(u.clip.read().samples)] for u in c.utterances]))"
    )
    command = [sys.executable, "-c", code, str(tree.folder), str(tmp_path / "cache")]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    first, second = (json.loads(p.communicate(timeout=120)[0]) for p in running)
    assert first == second
    assert len(first) == 8
    assert not list((tmp_path / "cache").rglob("*.tmp"))


def test_a_killed_run_is_carried_on(tree, load, monkeypatch, tmp_path):
    keep, kept = audio.ClipStore.keep, []

    def killed(self, data, label):
        if len(kept) == 2:
            raise KeyboardInterrupt
        kept.append(label)
        return keep(self, data, label)

    monkeypatch.setattr(audio.ClipStore, "keep", killed)
    with pytest.raises(KeyboardInterrupt):
        load(tree, languages=["deu"])
    assert len(list((tmp_path / "cache").rglob("*.wav"))) == 2
    assert not (tmp_path / "cache" / "indexes").exists()
    monkeypatch.setattr(audio.ClipStore, "keep", keep)
    assert not load(tree, languages=["deu"]).dropped
