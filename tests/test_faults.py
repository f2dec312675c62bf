"""Killed, full, read-only, gone, damaged: nothing committed is lost or wrong."""

import errno
import json
import os
import resource
import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from builders import make_run
from isogloss import api, results
from isogloss.cli import call
from isogloss.errors import IsoglossError, OutputError, StoreError
from isogloss.leases import Leases
from isogloss.runs import Run
from isogloss.storage import atomic, listed, sealing
from isogloss.storage.parts import Parts
from isogloss.storage.pieces import Pieces
from isogloss.storage.store import Store, Unit
from isogloss.storage.verifying import repair, verify

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
FRAME = pl.DataFrame({"language_a": ["deu", "=1+1"], "score": [0.5, float("nan")]})
UNIT = Unit("fin", "text", "cd" * 32, ("in",), ("1", "2", "3"))
RECORD = {"sentences": ["1", "2", "3"], "takes": [0, 0, 0]}


def values(seed=0, width=4):
    return {"in": np.random.default_rng(seed).normal(size=(3, width)).astype("f4")}


def damaged(folder):
    return [p.file for p in verify(folder) if p.damaged]


def flip(path, byte=None):
    content = bytearray(path.read_bytes())
    content[len(content) // 2 if byte is None else byte] ^= 4
    path.write_bytes(content)


def files(folder):
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_runs_that_are_killed_end_with_the_same_bits():
    command = [sys.executable, str(BENCHMARKS / "kill.py"), "--kills", "6", "--sentences", "4"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(done.stdout[done.stdout.index("\n{") :])
    assert found["kills"] == 6
    assert found["committed units seen"] >= 4
    assert found["damaged units accepted"] == found["results that differ"] == 0


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A finished study with all that a store can hold."""
    sys.path.insert(0, str(BENCHMARKS))
    import flips

    work = tmp_path_factory.mktemp("finished")
    return work / "corpus" / "table.jsonl", flips.build(work)


def test_nothing_is_wrong_with_a_finished_run(finished):
    assert not list(verify(finished[1]))


def test_any_flipped_bit_is_found(finished):
    import flips

    kinds, named = flips.flips(finished[1], 60, seed=1)
    assert sum(made for made, _ in kinds.values()) == 60
    assert len(kinds) > 6
    assert all(made == found for made, found in kinds.values()), kinds
    assert not named


VICTIMS = {
    "study.json": "written anew from run.json",
    "run.json": "removed",
    "sentences.parquet": "removed",
    "digests.json": "removed",
    "activations/eng.speech-*[0-9a-f].json": "removed",
    "activations/deu.text-*.safetensors": "removed",
    "activations/*.piece": "removed",
    "activations/*.failed.json": "removed",
    "results/cross_modal.parquet": "removed",
    "results/means/gaps.csv": "removed",
    "results/parts/[0-9a-f]*.part": "removed",
    "sensitivity/sensitivity.json": "removed",
    "sensitivity/sensitivity.parquet": "removed",
}


PAIRS = ("activations/eng.speech", "activations/deu.text", "digests.json")


def victim(folder, pattern):
    found = [p for p in folder.glob(pattern) if ".failed" not in p.name or "failed" in pattern]
    return sorted(found)[0]


@pytest.mark.parametrize("pattern", VICTIMS)
def test_what_is_damaged_is_named_and_repaired(finished, tmp_path, pattern):
    folder = tmp_path / "out"
    shutil.copytree(finished[1], folder)
    path = victim(folder, pattern)
    name = path.relative_to(folder).as_posix()
    before = path.read_bytes()
    flip(path)
    there = set(files(folder))
    assert damaged(folder) == [name]
    (done,) = [p for p in repair(folder) if p.damaged]
    assert (done.file, done.done) == (name, VICTIMS[pattern])
    # The data of a record, the record of data, the texts of a list: no more goes with it.
    assert len(there - set(files(folder))) == (name != "study.json") + pattern.startswith(PAIRS)
    assert path.exists() == (name == "study.json")
    if path.exists():
        assert path.read_bytes() == before
    # What could only be checked with what was removed is gone as well.
    assert not [p for p in verify(folder) if p.file != "run.json"]


def test_a_run_makes_again_just_what_was_damaged(finished, tmp_path, monkeypatch):
    import kill

    table, source = finished
    folder = tmp_path / "out"
    shutil.copytree(source, folder)
    monkeypatch.setattr(api, "write_report", lambda output, events: None)
    right = kill.content(source)
    for pattern in VICTIMS:
        flip(victim(folder, pattern))
    kept = {p: p.stat().st_mtime_ns for p in folder.glob("activations/*.safetensors")}
    # Of the texts nothing is known once the list of digests is damaged too.
    assert len(damaged(folder)) == len(VICTIMS) - 1
    with pytest.raises(StoreError, match="verify --repair"):
        Run.read(folder)
    list(repair(folder))
    outcome = api.run(kill.study(folder, table))
    assert outcome.made == 2
    there = {p: p.stat().st_mtime_ns for p in folder.glob("activations/*.safetensors")}
    assert sum(there[p] == when for p, when in kept.items()) == 2
    now = kill.content(folder)
    assert now.items() <= right.items()
    # The note and the parts of the sensitivity table are of no use to this run.
    assert {n.rpartition("/")[0] for n in right.keys() - now.keys()} == {
        "activations", "results/parts",
    }  # fmt: skip
    assert {n for n in right.keys() - now.keys() if n.startswith("a")} == {
        n for n in right if n.startswith("activations/fin.")
    }
    assert not damaged(folder)


def test_damaged_activations_are_an_error_and_no_score(finished, tmp_path, monkeypatch):
    import kill

    table, source = finished
    folder = tmp_path / "out"
    shutil.copytree(source, folder)
    shutil.rmtree(folder / "results")
    monkeypatch.setattr(api, "write_report", lambda output, events: None)
    path = victim(folder, "activations/deu.speech-*.safetensors")
    flip(path)
    with pytest.raises(StoreError, match=f"{path.name} is damaged .*`isogloss verify --repair`"):
        api.run(kill.study(folder, table))
    list(repair(folder))
    assert api.run(kill.study(folder, table)).made == 1
    assert kill.content(source).items() >= kill.content(folder).items()


def test_without_run_json_and_study_json_the_rest_is_checked(finished, tmp_path):
    import kill

    folder = tmp_path / "out"
    shutil.copytree(finished[1], folder)
    (folder / "run.json").unlink()
    (folder / "study.json").unlink()
    flip(victim(folder, "activations/deu.text-*.safetensors"))
    found = {p.file: p for p in repair(folder)}
    assert found["study.json"].done == "the next `isogloss run` of its study writes it"
    assert not found["run.json"].damaged
    assert [f for f, p in found.items() if p.damaged and p.unit]
    other = kill.study(folder, finished[0]).model_copy(update={"seed": 5})
    with pytest.raises(StoreError, match="were not made for this study"):
        api.run(other)


def test_verify_on_the_command_line(tmp_path, capsys):
    made = make_run(tmp_path / "out", languages=("deu", "eng"), sentences=4)
    assert call(["verify", str(made.folder)]) == 0
    assert "0 damaged, 0 left over" in capsys.readouterr().out
    flip(next((made.folder / "activations").glob("*.safetensors")))
    stray = made.folder / "activations" / "x.text-0123456789ab-01234567.safetensors"
    stray.write_bytes(b"x")
    assert call(["verify", str(made.folder)]) == 1
    said = capsys.readouterr().out
    assert "1 damaged, 1 left over" in said
    assert "its content has changed since it was written" in said
    assert call(["verify", str(made.folder), "--repair"]) == 1
    assert "(removed)" in capsys.readouterr().out
    assert not stray.exists()
    assert call(["verify", str(made.folder)]) == 0
    assert call(["verify", str(tmp_path / "nothing")]) == 1
    assert "holds no run" in capsys.readouterr().err


def test_what_a_live_worker_writes_is_left_alone(tmp_path):
    made = make_run(tmp_path / "out", languages=("deu", "eng"), sentences=4)
    inside = made.folder / "activations"
    data = sorted(inside.glob("*.safetensors"))
    flip(data[0])
    flip(data[1])
    stray = inside / f"{UNIT.name}-01234567.safetensors"
    stray.write_bytes(b"under way")
    leases = Leases(made.folder / "leases")
    unit = data[0].stem.rpartition("-")[0]
    lease = leases.take(unit)
    done = {p.file.rpartition("/")[2]: p.done for p in repair(made.folder)}
    assert done[stray.name].startswith("left, for a worker is at work")
    assert done[data[0].name].startswith("left, for a worker is at work")
    assert done[data[1].name] == "removed"
    assert stray.exists()
    assert data[0].exists()
    leases.give(lease)
    leases.close()
    assert {p.done for p in repair(made.folder)} == {"removed"}
    assert not list(verify(made.folder))


def test_temporary_files_of_the_dead_are_found_and_of_the_living_not(tmp_path):
    made = make_run(tmp_path / "out", languages=("deu", "eng"), sentences=4)
    code = (
        "import os, sys; from pathlib import Path; from isogloss.storage import atomic\n"
        "os.replace = None\n"
        "def slow():\n"
        "    yield b'half'\n"
        "    print(flush=True); sys.stdin.read(); yield b'whole'\n"
        "atomic.write_bytes(Path(sys.argv[1]), slow())"
    )
    path = made.folder / "activations" / "x.json"
    with subprocess.Popen(
        [sys.executable, "-c", code, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        process.stdout.readline()
        (temporary,) = path.parent.glob(".*.tmp")
        assert not list(verify(made.folder))
        process.kill()
        process.wait()
    assert [p.damaged for p in verify(made.folder)] == [False]
    Store(made.folder).claim(sealing.read(made.folder / "study.json")["identity"])
    assert not temporary.exists()
    assert not list(verify(made.folder))


def test_pieces_of_a_committed_unit_go_with_the_next_run(tmp_path):
    made = make_run(tmp_path / "out", languages=("deu", "eng"), sentences=4)
    pieces = Pieces(made.folder / "activations")
    pieces.keep(made.units[0], values(), {})
    pieces.keep(UNIT, values(), {})
    assert [(p.what, p.damaged) for p in verify(made.folder)] == [
        ("the unit is committed without it", False)
    ]
    Store(made.folder).claim(sealing.read(made.folder / "study.json")["identity"])
    assert not list(verify(made.folder))
    assert len(pieces.kept(UNIT)) == 1


def test_a_record_cannot_send_repair_elsewhere(tmp_path):
    made = make_run(tmp_path / "out", languages=("deu", "eng"), sentences=4)
    (tmp_path / "precious.safetensors").write_bytes(b"0")
    path = made.folder / "activations" / f"{made.units[0].name}.json"
    sealing.write(path, {**sealing.read(path), "file": "../../precious.safetensors"})
    sealing.write(made.folder / "digests.json", {"files": {"../precious.safetensors": ["0" * 64]}})
    assert not Store(made.folder).has(made.units[0])
    list(repair(made.folder))
    assert (tmp_path / "precious.safetensors").read_bytes() == b"0"
    assert not path.exists()


def test_parts_come_back_or_are_as_if_they_were_not_there(tmp_path):
    parts = Parts(tmp_path / "parts")
    assert parts.read("a") is None
    assert not parts.has("a")
    parts.write("a", FRAME)
    assert parts.read("a").equals(FRAME)
    content = parts.path("a").read_bytes()
    for bit in range(0, 8 * len(content), 7):
        changed = bytearray(content)
        changed[bit // 8] ^= 1 << bit % 8
        parts.path("a").write_bytes(changed)
        assert parts.read("a") is None, bit
    parts.path("a").write_bytes(content[:-1])
    assert list(parts.damaged()) == [parts.path("a")]
    parts.path("a").write_bytes(content)
    parts.path("a").rename(parts.path("b"))
    assert not parts.has("b")


def test_a_table_is_read_as_it_was_written_or_not_at_all(tmp_path):
    results.write(FRAME, tmp_path, "gaps")
    assert results.read(tmp_path, "gaps").equals(FRAME)
    path = tmp_path / "gaps.parquet"
    content = path.read_bytes()
    for byte in range(0, len(content), 11):
        flip(path, byte)
        with pytest.raises(StoreError, match="gaps.parquet is damaged"):
            results.read(tmp_path, "gaps")
        path.write_bytes(content)
    path.write_bytes(b"PAR1")
    (tmp_path / "digests.json").unlink()
    with pytest.raises(StoreError, match="gaps.parquet is damaged"):
        results.read(tmp_path, "gaps")


def test_a_table_of_before_is_whole_when_the_new_one_was_not_written(tmp_path, monkeypatch):
    listed.write(tmp_path, {"a.csv": b"1", "b.csv": b"1"})
    with monkeypatch.context() as patched:
        write = atomic.write_bytes

        def killed(path, data):
            if path.name == "b.csv":
                raise KeyboardInterrupt
            write(path, data)

        patched.setattr(atomic, "write_bytes", killed)
        with pytest.raises(KeyboardInterrupt):
            listed.write(tmp_path, {"a.csv": b"2", "b.csv": b"2"})
    assert not list(listed.check(tmp_path, ("*.csv",)))
    assert listed.read(tmp_path / "b.csv") == b"1"
    (tmp_path / "a.csv").write_bytes(b"3")
    assert [(p.name, bad) for p, _, bad in listed.check(tmp_path, ("*.csv",))] == [("a.csv", True)]


def writers(folder):
    """All that writes into an output folder, each as a call."""
    store = Store(folder)
    store.claim({"seed": 0})
    return {
        "a unit": lambda: store.put(UNIT, values(width=400_000), RECORD),
        "a failure": lambda: store.fail(UNIT, {"type": "x", "message": "x" * 4_000_000}),
        "a piece": lambda: Pieces(store.folder).keep(UNIT, values(width=400_000), {}),
        "a part": lambda: Parts(folder / "parts").write("a", _wide()),
        "a table": lambda: results.write(_wide(), folder / "results", "gaps"),
    }


def _wide():
    return pl.DataFrame({"x": np.random.default_rng(0).normal(size=500_000)})


@contextmanager
def limited(size):
    """Let no file grow beyond a size, as a quota does."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 2 MB, where one may be mounted."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = shutil.which("mount")
    command = [mount or "mount", "-t", "tmpfs", "-o", "size=2m", "none", str(place)]
    if mount is None or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("mounting a small file system needs root")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_full_disk_costs_what_is_being_written_and_no_more(small_disk):
    folder = small_disk / "out"
    for what, write in writers(folder).items():
        before = files(folder)
        with pytest.raises(OutputError, match=r"cannot write .*No space left.* goes on from there"):
            write()
        after = files(folder)
        # The list of digests is written before the table, and holds for both.
        after.pop(Path("results/digests.json"), None)
        assert after == before, what
        assert not damaged(folder), what
    Store(folder).put(UNIT, values(), RECORD)
    assert not damaged(folder)


def test_a_quota_costs_what_is_being_written_and_no_more(tmp_path):
    folder = tmp_path / "out"
    for what, write in writers(folder).items():
        before = files(folder)
        with limited(1_000_000), pytest.raises(OutputError, match="File too large"):
            write()
        after = files(folder)
        after.pop(Path("results/digests.json"), None)
        assert after == before, what
        write()
        assert not damaged(folder), what


def test_a_folder_that_turns_read_only_gives_one_message(small_disk):
    folder = small_disk / "out"
    every = writers(folder)
    Store(folder).put(UNIT, values(), RECORD)
    remount = ["mount", "-o", "remount,ro", str(small_disk)]
    subprocess.run(remount, check=True)
    try:
        before = files(folder)
        for write in every.values():
            with pytest.raises(OutputError, match="Read-only file system"):
                write()
        assert files(folder) == before
        store = Store(folder)
        np.testing.assert_array_equal(store.view(UNIT, "in"), values()["in"])
        assert not damaged(folder)
        with pytest.raises(OutputError, match="cannot remove"):
            atomic.remove(folder / "study.json")
    finally:
        subprocess.run(["mount", "-o", "remount,rw", str(small_disk)], check=True)


def test_a_folder_that_goes_away_is_not_made_anew(tmp_path):
    folder = tmp_path / "mounted" / "out"
    store = Store(folder)
    store.claim({"seed": 0})
    store.put(UNIT, values(), RECORD)
    shutil.rmtree(tmp_path / "mounted")
    with pytest.raises(OutputError, match="has gone while it was written to"):
        store.put(UNIT, values(), RECORD)
    with pytest.raises(OutputError, match="has gone while it was written to"):
        store.fail(UNIT, {"type": "x", "message": "y"})
    assert not (tmp_path / "mounted").exists()


def test_a_run_without_room_ends_with_one_message_and_the_next_goes_on(
    finished, tmp_path, monkeypatch
):
    import kill

    table, source = finished
    monkeypatch.setattr(api, "write_report", lambda output, events: None)
    study = kill.study(tmp_path / "out", table)
    (tmp_path / "study.yaml").write_text(study.write())
    size = max(p.stat().st_size for p in source.glob("activations/*.safetensors"))
    code = (
        "import resource, sys\n"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({size} - 1, {size} - 1))\n"
        "from isogloss.cli import call\n"
        "sys.exit(call(sys.argv[1:]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "run", str(tmp_path / "study.yaml")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    assert "File too large" in done.stderr
    assert not damaged(tmp_path / "out")
    assert 0 < api.run(study).made <= 4
    now = kill.content(tmp_path / "out")
    assert now.items() <= kill.content(source).items()
    assert len(now) > 40


@pytest.mark.parametrize(
    ("number", "fatal"),
    [(errno.EINVAL, False), (errno.ENOTSUP, False), (errno.EIO, True), (errno.EDQUOT, True)],
)
def test_a_file_system_that_cannot_flush_is_no_reason_to_stop(tmp_path, monkeypatch, number, fatal):
    def refuse(handle):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", refuse)
    if fatal:
        with pytest.raises(OutputError, match="cannot write"):
            sealing.write(tmp_path / "x.json", {"a": 1})
        assert not list(tmp_path.iterdir())
    else:
        sealing.write(tmp_path / "x.json", {"a": 1})
        assert sealing.read(tmp_path / "x.json") == {"a": 1}


def test_a_clock_that_jumps_changes_nothing(tmp_path):
    made = make_run(tmp_path / "out", languages=("deu", "eng"), sentences=4)
    for path in made.folder.rglob("*"):
        os.utime(path, (4e9, 4e9) if "deu" in path.name else (0, 0))
    assert not list(verify(made.folder))
    assert len(made.committed(Store(made.folder))) == 4


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{}",
        b"[]",
        b"\xff",
        b'{\n "seal": "',
        b"[" * 100_000,
        b'{\n "seal": null,\n "a": 1\n}',
    ],
)
def test_what_is_no_sealed_file_is_a_store_error(tmp_path, content):
    path = tmp_path / "x.json"
    path.write_bytes(content)
    with pytest.raises(StoreError, match=r"x.json is damaged .*verify --repair"):
        sealing.read(path)


def test_every_change_of_a_sealed_file_counts(tmp_path):
    path = tmp_path / "x.json"
    sealing.write(path, {"ä": [1.5, None], "b": {"seal": "x"}})
    content = path.read_bytes()
    assert json.loads(content)["ä"] == [1.5, None]
    for bit in range(8 * len(content)):
        changed = bytearray(content)
        changed[bit // 8] ^= 1 << bit % 8
        path.write_bytes(changed)
        with pytest.raises(StoreError):
            sealing.read(path)
    for other in (content + b"\n", content[:-1], content.replace(b"\n", b"\r\n")):
        path.write_bytes(other)
        with pytest.raises(StoreError):
            sealing.read(path)
    path.unlink()
    with pytest.raises(IsoglossError, match="cannot be read"):
        sealing.read(path)
