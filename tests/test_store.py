import json
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import make_run
from isogloss.errors import OutputError, StoreError
from isogloss.runs import Run
from isogloss.storage import atomic, sealing
from isogloss.storage.store import Store, Unit
from isogloss.storage.verifying import verify

IDENTITY = {"corpus": {"source": "udhr"}, "model": {"family": "seamless"}, "seed": 0}


def damaged(folder):
    return [p.file for p in verify(folder) if p.damaged]


def unit(language="deu", digest="ab" * 32):
    return Unit(language, "text", digest, ("in", "1"), ("1", "2", "3"))


RECORD = {"sentences": ["1", "2", "3"], "takes": [0, 0, 0]}


def arrays(n=3, seed=0):
    rng = np.random.default_rng(seed)
    return {"in": rng.normal(size=(n, 4)).astype("f4"), "1": rng.normal(size=(n, 8)).astype("f4")}


@pytest.fixture
def store(tmp_path):
    found = Store(tmp_path / "run")
    found.claim(IDENTITY)
    return found


def test_what_is_put_comes_back_bit_for_bit(store):
    values = arrays()
    store.put(unit(), values, RECORD)
    again = Store(store.root)
    assert again.has(unit())
    for tap, expected in values.items():
        np.testing.assert_array_equal(again.view(unit(), tap), expected)
    assert again.record(unit())["shapes"] == {"in": [3, 4], "1": [3, 8]}
    assert damaged(again.root) == []


def test_a_unit_without_a_record_does_not_exist(store):
    store.put(unit(), arrays(), RECORD)
    (store.folder / f"{unit().name}.json").unlink()
    again = Store(store.root)
    assert not again.has(unit())
    (left,) = [p for p in verify(again.root) if p.file != "run.json"]
    assert left.what == "belongs to no record"
    assert not left.damaged


def test_rows_and_taps_must_match(store):
    with pytest.raises(StoreError, match="expected .* rows"):
        store.put(unit(), arrays(2), RECORD)
    with pytest.raises(StoreError, match="expected"):
        store.put(unit(), {"in": arrays()["in"]}, RECORD)
    for sentences, takes in (("121", [0, 0, 0]), ("123", [0, 0])):
        with pytest.raises(StoreError, match="do not tell its 3 rows apart"):
            store.put(unit(), arrays(), {"sentences": list(sentences), "takes": takes})
    assert not store.folder.exists() or not list(store.folder.iterdir())


def test_another_study_is_refused_and_the_difference_named(store):
    store.claim(IDENTITY)
    other = {**IDENTITY, "model": {"family": "towers"}}
    with pytest.raises(StoreError, match=r"model.family \(seamless there, towers now\)"):
        Store(store.root).claim(other)


@pytest.mark.parametrize("there", [1, 2, None, 99])
def test_a_folder_of_another_format_is_refused(tmp_path, there):
    made = make_run(tmp_path / "out", languages=("deu", "eng"), sentences=4)
    path = made.folder / "study.json"
    values = {**sealing.read(path), "format": there}
    if there == 99:
        sealing.write(path, values)
    else:  # earlier formats had no seals
        path.write_text(json.dumps(values))
    message = f"study.json has format {there}, .* reads and writes 3; choose another output folder"
    for attempt in (
        lambda: Store(made.folder).claim(values["identity"]),
        lambda: Run.read(made.folder),
        lambda: verify(made.folder),
    ):
        with pytest.raises(StoreError, match=message):
            attempt()


def test_records_of_another_format_do_not_count(store):
    store.put(unit(), arrays(), RECORD)
    path = store.folder / f"{unit().name}.json"
    values = sealing.read(path)
    sealing.write(path, {**values, "format": 4})
    with pytest.raises(StoreError, match="has format 4"):
        Store(store.root).record(unit())
    path.write_text(json.dumps(values, indent=1))  # whole, but without a seal
    with pytest.raises(StoreError, match="damaged .its seal is missing"):
        Store(store.root).record(unit())
    assert not Store(store.root).has(unit())


def test_amending_keeps_the_activations_and_the_rest_of_the_record(store):
    store.put(unit(), arrays(), {**RECORD, "speakers": [None, "x", "y"], "seconds": 2.0})
    before = store.record(unit())
    store.amend(unit(), {"speakers": ["a", "b", "c"]})
    again = Store(store.root)
    assert again.record(unit()) == {**before, "speakers": ["a", "b", "c"]}
    np.testing.assert_array_equal(again.view(unit(), "in"), arrays()["in"])
    assert damaged(again.root) == []
    with pytest.raises(StoreError, match="not in .* yet"):
        store.amend(unit("fin"), {"speakers": []})


@pytest.mark.parametrize("how", ["lost", "damaged"])
def test_without_study_json_the_records_say_whose_folder_it_is(store, how):
    store.put(unit(), arrays(), RECORD)
    path = store.root / "study.json"
    before = path.read_bytes()
    path.unlink() if how == "lost" else path.write_bytes(before[:-9] + b"?" + before[-8:])
    with pytest.raises(StoreError, match="no study.json that could be read"):
        Store(store.root).claim({**IDENTITY, "seed": 1})
    Store(store.root).claim(IDENTITY)
    assert path.read_bytes() == before


def test_activations_of_unknown_origin_are_refused(tmp_path):
    nobodys = Store(tmp_path)
    nobodys.put(unit(), arrays(), RECORD)
    with pytest.raises(StoreError, match="no study.json"):
        Store(tmp_path).claim(IDENTITY)


def test_a_truncated_data_file_is_not_there(store):
    store.put(unit(), arrays(), RECORD)
    data = next(store.folder.glob("*.safetensors"))
    os.truncate(data, data.stat().st_size - 1)
    again = Store(store.root)
    assert not again.has(unit())
    assert any("instead of" in p.what for p in verify(again.root))


@given(st.data())
def test_verify_finds_any_flipped_bit_of_the_data(tmp_path_factory, data):
    store = Store(tmp_path_factory.mktemp("flip"))
    store.put(unit(), arrays(), RECORD)
    path = next(store.folder.glob("*.safetensors"))
    content = bytearray(path.read_bytes())
    place = data.draw(st.integers(0, len(content) * 8 - 1))
    content[place // 8] ^= 1 << place % 8
    path.write_bytes(content)
    (found,) = [p for p in verify(store.root) if p.damaged and p.unit]
    assert found.file == f"activations/{path.name}"
    assert found.what == "its content has changed since it was written"


def test_a_damaged_record_is_named(store):
    store.put(unit(), arrays(), RECORD)
    record = store.folder / f"{unit().name}.json"
    record.write_text(record.read_text()[:-20])
    assert not Store(store.root).has(unit())
    assert damaged(store.root) == [f"activations/{record.name}"]


def test_a_record_of_another_unit_does_not_count(store):
    store.put(unit(), arrays(), RECORD)
    record = store.folder / f"{unit().name}.json"
    sealing.write(record, {**sealing.read(record), "digest": "0" * 64})
    assert not Store(store.root).has(unit())


@pytest.mark.parametrize("tap", ["in", "1"])
def test_a_view_is_what_was_written_or_an_error(store, tap):
    store.put(unit(), arrays(), RECORD)
    path = next(store.folder.glob("*.safetensors"))
    content = path.read_bytes()
    start = Store(store.root).record(unit())["offsets"]
    size = arrays()[tap].nbytes
    for bit in range(8 * len(content)):
        changed = bytearray(content)
        changed[bit // 8] ^= 1 << bit % 8
        path.write_bytes(changed)
        again = Store(store.root)
        if start[tap] <= bit // 8 < start[tap] + size:
            with pytest.raises(StoreError, match=f'at tap "{tap}" .*verify --repair'):
                again.view(unit(), tap)
        else:  # neither the header nor another tap's bytes can reach it
            np.testing.assert_array_equal(again.view(unit(), tap), arrays()[tap])


def test_a_view_that_is_damaged_later_is_noticed_too(store):
    store.put(unit(), arrays(), RECORD)
    path = next(store.folder.glob("*.safetensors"))
    store.view(unit(), "1")
    times = path.stat()
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 64]))
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    with pytest.raises(StoreError, match="have changed"):
        store.view(unit(), "1")


def test_data_files_are_safetensors(store):
    from safetensors.numpy import load_file

    for count in (3, 0):
        some = {"in": arrays(count)["in"][:, ::2], "1": np.asfortranarray(arrays(count)["1"])}
        ids = RECORD["sentences"][:count]
        store.put(unit(), some, {"sentences": ids, "takes": [0] * count})
        found = load_file(store.folder / store.record(unit())["file"])
        assert list(found) == ["in", "1"] or set(found) == {"in", "1"}
        for tap, array in some.items():
            np.testing.assert_array_equal(found[tap], array)
            np.testing.assert_array_equal(Store(store.root).view(unit(), tap), array)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("file", "../other.safetensors"),
        ("file", "/etc/passwd.safetensors"),
        ("file", "a\\b.safetensors"),
        ("file", "notes.txt"),
        ("file", 7),
        ("bytes", "many"),
        ("takes", [0]),
        ("sentences", None),
        ("shapes", {"in": [3, 4], "1": [3]}),
        ("shapes", {"in": [3, 4], "1": [2, 8]}),
        ("shapes", {"in": [3, 4], "1": [3, 10**12]}),
        ("offsets", {"in": 0, "1": -8}),
        ("offsets", {}),
        ("digests", None),
    ],
)
def test_a_record_that_somebody_else_sealed_is_refused_with_one_message(store, field, value):
    store.put(unit(), arrays(), RECORD)
    path = store.folder / f"{unit().name}.json"
    sealing.write(path, {**sealing.read(path), field: value})
    with pytest.raises(StoreError, match="was not written by Isogloss"):
        Store(store.root).record(unit())
    assert not Store(store.root).has(unit())
    assert damaged(store.root) == [f"activations/{path.name}"]


def test_failures_are_kept_until_the_unit_succeeds(store):
    store.fail(unit(), {"type": "ValueError", "message": "no"})
    assert store.failure(unit())["message"] == "no"
    store.put(unit(), arrays(), RECORD)
    assert store.failure(unit()) is None


@pytest.mark.parametrize("inside", ["", "/deeper"])
def test_a_file_in_the_folders_place_gets_one_message(tmp_path, inside):
    (tmp_path / "taken").write_text("x")
    with pytest.raises(OutputError, match="taken is a file; choose another"):
        Store(Path(f"{tmp_path}/taken{inside}")).claim(IDENTITY)
    assert (tmp_path / "taken").read_text() == "x"


def test_an_interrupted_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "x.json"
    atomic.write_json(path, {"a": 1})

    def stop(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", stop)
    with pytest.raises(KeyboardInterrupt):
        atomic.write_json(path, {"a": 2})
    monkeypatch.undo()
    assert json.loads(path.read_text()) == {"a": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["x.json"]
