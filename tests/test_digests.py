import hashlib
import os
import shutil
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from isogloss import digests
from isogloss.audio import FileClip
from isogloss.digests import SWITCH, Digests, file_digest
from isogloss.errors import ItemError
from isogloss.models._files import content_digest


def sha(data):
    return hashlib.sha256(data).hexdigest()


@pytest.fixture(scope="module")
def old(tmp_path_factory):
    """A folder of files that were last changed long enough ago to be trusted."""
    folder = tmp_path_factory.mktemp("old")
    for i in range(40):
        (folder / f"{i}.wav").write_bytes(f"content {i:04}".encode())
    (folder / "nàme \udcff.wav").write_bytes(b"odd")
    time.sleep(2.1)
    return folder


@pytest.fixture
def settled(tmp_path):
    """Files of this test alone, old enough to be trusted."""
    paths = [tmp_path / f"{i}.bin" for i in range(3)]
    for i, path in enumerate(paths):
        path.write_bytes(bytes([i]) * 1000)
    time.sleep(2.1)
    return paths


def first(folder, paths):
    """A process that reads all files and ends."""
    made = Digests(folder)
    for path in paths:
        assert made.of(path) == sha(path.read_bytes())
    made.flush()
    return made


def test_a_file_is_read_once_for_all_processes(old, tmp_path):
    paths = sorted(old.iterdir())
    assert first(tmp_path, paths).read == len(paths) == 41
    later = first(tmp_path, paths)
    assert later.read == 0
    assert later.of(old / "." / "3.wav") == sha(b"content 0003")
    assert later.read == 0
    assert first(None, paths).read == 41


def test_segments_of_one_file_read_it_once(old, tmp_path):
    made = Digests(tmp_path)
    with ThreadPoolExecutor(16) as pool:
        found = set(pool.map(made.of, [old / "1.wav"] * 200))
    assert found == {sha(b"content 0001")}
    assert made.read == 1


def test_a_fresh_file_is_not_trusted(tmp_path):
    path = tmp_path / "a"
    for content in (b"first", b"other", b"third"):
        # Of one size, and as fast as possible, so that the time of change may be the same.
        path.write_bytes(content)
        os.utime(path, ns=(10**18, 10**18))
        made = Digests(tmp_path / "cache")
        assert made.of(path) == sha(content)
        made.flush()
    assert not list((tmp_path / "cache").glob("*"))
    assert Digests(tmp_path / "cache").of(path) == sha(b"third")


def test_a_fresh_file_settles_within_a_process(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"1")
    made = Digests(tmp_path / "cache")
    made.of(path)
    made.of(path)
    assert made.read == 2
    time.sleep(2.1)
    made.of(path)
    made.of(path)
    assert made.read == 3
    assert first(tmp_path / "cache", [path]).read == 1  # it was not written yet
    made.flush()
    assert first(tmp_path / "cache", [path]).read == 0


def test_without_the_clock_of_the_file_system_files_must_be_older(settled, tmp_path, monkeypatch):
    monkeypatch.delattr(os, "O_TMPFILE", raising=False)
    made = first(tmp_path / "cache", settled)
    assert made.read == first(tmp_path / "cache", settled).read == 3
    time.sleep(2.1)
    for path in settled:  # this process saw them unchanged for two seconds
        made.of(path)
    made.flush()
    assert made.read == 6
    assert first(tmp_path / "cache", settled).read == 0


def test_equal_size_and_restored_time_do_not_deceive(settled, tmp_path):
    cache = tmp_path / "cache"
    first(cache, settled)
    before = settled[1].stat()
    settled[1].write_bytes(b"x" * 1000)
    os.utime(settled[1], ns=(before.st_atime_ns, before.st_mtime_ns))
    after = settled[1].stat()
    assert (after.st_size, after.st_mtime_ns, after.st_ino) == (
        before.st_size, before.st_mtime_ns, before.st_ino,
    )  # fmt: skip
    later = Digests(cache)
    assert later.of(settled[1]) == sha(b"x" * 1000)
    assert [later.of(p) for p in settled] == [sha(p.read_bytes()) for p in settled]


def test_another_file_in_its_place_is_another_file(settled, tmp_path):
    cache = tmp_path / "cache"
    first(cache, settled)
    copy = tmp_path / "copy"
    copy.write_bytes(b"y" * 1000)
    shutil.copystat(settled[0], copy)
    copy.replace(settled[0])
    assert Digests(cache).of(settled[0]) == sha(b"y" * 1000)


def test_a_time_yet_to_come_is_no_hindrance(settled, tmp_path):
    ahead = (int(time.time()) + 10**6) * 10**9
    os.utime(settled[0], ns=(ahead, ahead))
    time.sleep(2.1)
    first(tmp_path / "cache", settled[:1])
    assert first(tmp_path / "cache", settled[:1]).read == 0


def test_no_bit_of_the_cache_can_be_flipped_unnoticed(old, tmp_path):
    path = old / "7.wav"
    first(tmp_path, [path])
    (shard,) = tmp_path.iterdir()
    whole = shard.read_bytes()
    read = 0
    for bit in range(8 * len(whole)):
        data = bytearray(whole)
        data[bit // 8] ^= 1 << bit % 8
        shard.write_bytes(data)
        made = Digests(tmp_path)
        assert made.of(path) == sha(b"content 0007")
        read += made.read
    assert read >= 8 * len(whole) - 8  # the last line break may be anything


@pytest.mark.parametrize("damage", ["cut", "empty", "noise", "folder", "long", "nested"])
def test_a_damaged_cache_is_no_cache(old, tmp_path, damage):
    paths = [old / f"{i}.wav" for i in range(4)]
    first(tmp_path, paths)
    (shard,) = tmp_path.iterdir()
    whole = shard.read_bytes()
    shard.unlink()
    if damage == "folder":
        shard.mkdir()
    else:
        kinds = {
            "cut": whole[: len(whole) * 5 // 8],
            "empty": b"",
            "noise": os.urandom(5000),
            "long": whole.replace(b"\n", b" " * 5000 + b"\n"),
            "nested": b"0123456789abcdef " + b"[" * 100_000 + b"\n" + whole,
        }
        shard.write_bytes(kinds[damage])
    kept = {"cut": 2, "nested": 4}.get(damage, 0)
    assert first(tmp_path, paths).read == 4 - kept
    assert first(tmp_path, paths).read == (4 if damage == "folder" else 0)


def test_a_cache_that_cannot_be_written_is_no_cache(old, tmp_path):
    (tmp_path / "file").touch()
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        assert first(folder, [old / "1.wav"]).read == 1


def test_it_can_be_switched_off(old, tmp_path, monkeypatch):
    monkeypatch.setenv("ISOGLOSS_CACHE", str(tmp_path))
    monkeypatch.setenv(SWITCH, "1")
    assert file_digest(old / "2.wav") == sha(b"content 0002")
    digests._flush_all()
    assert not list(tmp_path.iterdir())
    monkeypatch.setenv(SWITCH, "0")
    assert file_digest(old / "2.wav") == sha(b"content 0002")
    digests._flush_all()
    assert list((tmp_path / "digests").iterdir())


MANY = """
import sys
from pathlib import Path
from isogloss.digests import Digests
made = Digests(Path(sys.argv[1]))
for round in range(20):
    for path in sys.argv[2:]:
        print(made.of(Path(path)))
    made._new = {k: dict(v) for k, v in made._shards.items()}
    made.flush()
"""


def test_many_processes_at_once(old, tmp_path):
    paths = [old / f"{i}.wav" for i in range(40)]
    running = []
    for k in range(4):
        own = [str(p) for p in paths[k::4]]
        command = [sys.executable, "-c", MANY, str(tmp_path), *own]
        running.append((own, subprocess.Popen(command, stdout=subprocess.PIPE, text=True)))
    for own, process in running:
        out, _ = process.communicate(timeout=60)
        assert process.returncode == 0
        assert out.split() == [sha(Path(p).read_bytes()) for p in own] * 20
    # Lines of processes that write at once may be lost, never damaged.
    assert {p.suffix for p in tmp_path.iterdir()} == {".lines"}
    assert first(tmp_path, paths).read <= 30
    assert first(tmp_path, paths).read == 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_fork_while_another_thread_reads(old, monkeypatch, tmp_path):
    monkeypatch.setenv("ISOGLOSS_CACHE", str(tmp_path))
    file_digest(old / "1.wav")
    held, go = threading.Event(), threading.Event()
    used = digests._at(digests._folder())

    def hold():
        with used._lock:
            held.set()
            go.wait(30)

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait(30)
    child = os.fork()
    if not child:
        os._exit(0 if file_digest(old / "3.wav") == sha(b"content 0003") else 1)
    deadline = time.monotonic() + 20
    ended, status = 0, 1
    while not ended and time.monotonic() < deadline:
        ended, status = os.waitpid(child, os.WNOHANG)
        time.sleep(0.01)
    if not ended:
        os.kill(child, 9)
        os.waitpid(child, 0)
    go.set()
    thread.join()
    assert ended
    assert os.waitstatus_to_exitcode(status) == 0


def test_it_stays_within_its_size(old, tmp_path, monkeypatch):
    for k in range(6):
        folder = tmp_path / "data" / str(k)
        folder.mkdir(parents=True)
        for i in range(10):
            os.link(old / f"{i}.wav", folder / f"{i}.wav")
    time.sleep(2.1)  # a link is a change of the inode
    cache = tmp_path / "cache"
    for k in range(6):
        first(cache, sorted((tmp_path / "data" / str(k)).iterdir()))
        for path in cache.iterdir():
            stamp = path.stat().st_mtime - 100
            os.utime(path, (stamp, stamp))
    size = max(p.stat().st_size for p in cache.iterdir())
    monkeypatch.setattr(digests, "_ALL", 3 * size)
    first(cache, [old / "1.wav"])
    assert sum(p.stat().st_size for p in cache.iterdir()) <= 3 * size
    assert first(cache, sorted((tmp_path / "data" / "0").iterdir())).read == 10
    assert first(cache, sorted((tmp_path / "data" / "5").iterdir())).read == 0
    monkeypatch.setattr(digests, "_LARGEST", size // 2)
    first(cache, sorted((tmp_path / "data" / "2").iterdir()))
    assert min(p.stat().st_size for p in cache.iterdir()) <= size // 2
    monkeypatch.setattr(digests, "_IN_MEMORY", 15)
    made = Digests(cache)
    for k in range(6):
        for i in range(10):
            made.of(tmp_path / "data" / str(k) / f"{i}.wav")
    assert sum(map(len, made._shards.values())) <= 15


def test_what_is_no_file_is_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    made = Digests(None)
    for name, kind in (("pipe", OSError), ("", IsADirectoryError), ("none", FileNotFoundError)):
        with pytest.raises(kind):
            made.of(tmp_path / name)
    with pytest.raises(ItemError, match="pipe"):
        FileClip(tmp_path / "pipe").identity()


def test_recordings_and_checkpoints_use_it(settled, tmp_path, monkeypatch):
    monkeypatch.setenv("ISOGLOSS_CACHE", str(tmp_path / "cache"))
    settled[0].rename(tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text("{}")
    time.sleep(2.1)
    found = content_digest(tmp_path), FileClip(settled[1]).identity()
    digests._flush_all()
    digests._at.cache_clear()
    assert found == (content_digest(tmp_path), FileClip(settled[1]).identity())
    assert digests._at(digests._folder()).read == 0
