import json
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import make_run
from isogloss import atomic
from isogloss.errors import OutputError, StoreError
from isogloss.runs import Run
from isogloss.store import Store, Unit

IDENTITY = {"corpus": {"source": "udhr"}, "model": {"family": "seamless"}, "seed": 0}


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
    assert list(again.verify()) == []


def test_a_unit_without_a_record_does_not_exist(store):
    store.put(unit(), arrays(), RECORD)
    (store.folder / f"{unit().name}.json").unlink()
    again = Store(store.root)
    assert not again.has(unit())
    assert [p.what for p in again.verify()] == [
        "belongs to no record: left by a run that was killed"
    ]


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


@pytest.mark.parametrize("there", [1, None, 99])
def test_a_folder_of_another_format_is_refused(tmp_path, there):
    made = make_run(tmp_path / "out", languages=("deu", "eng"), sentences=4)
    path = made.folder / "study.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "format": there}))
    identity = json.loads(path.read_text())["identity"]
    message = f"study.json has format {there}, .* reads and writes 2; choose another output folder"
    for attempt in (
        lambda: Store(made.folder).claim(identity),
        lambda: Run.read(made.folder),
    ):
        with pytest.raises(StoreError, match=message):
            attempt()


def test_amending_keeps_the_activations_and_the_rest_of_the_record(store):
    store.put(unit(), arrays(), {**RECORD, "speakers": [None, "x", "y"], "seconds": 2.0})
    before = store.record(unit())
    store.amend(unit(), {"speakers": ["a", "b", "c"]})
    again = Store(store.root)
    assert again.record(unit()) == {**before, "speakers": ["a", "b", "c"]}
    np.testing.assert_array_equal(again.view(unit(), "in"), arrays()["in"])
    assert list(again.verify()) == []
    with pytest.raises(StoreError, match="not in .* yet"):
        store.amend(unit("fin"), {"speakers": []})


def test_activations_of_unknown_origin_are_refused(store):
    store.put(unit(), arrays(), RECORD)
    (store.root / "study.json").unlink()
    with pytest.raises(StoreError, match="no study.json"):
        Store(store.root).claim(IDENTITY)


def test_a_truncated_data_file_is_not_there(store):
    store.put(unit(), arrays(), RECORD)
    data = next(store.folder.glob("*.safetensors"))
    os.truncate(data, data.stat().st_size - 1)
    again = Store(store.root)
    assert not again.has(unit())
    assert any("instead of" in p.what for p in again.verify())


@given(st.data())
def test_verify_finds_any_flipped_bit_of_the_data(tmp_path_factory, data):
    store = Store(tmp_path_factory.mktemp("flip"))
    store.put(unit(), arrays(), RECORD)
    path = next(store.folder.glob("*.safetensors"))
    content = bytearray(path.read_bytes())
    place = data.draw(st.integers(0, len(content) * 8 - 1))
    content[place // 8] ^= 1 << place % 8
    path.write_bytes(content)
    assert [p.what for p in store.verify()] == ["its content has changed since it was written"]


def test_a_damaged_record_is_named(store):
    store.put(unit(), arrays(), RECORD)
    record = store.folder / f"{unit().name}.json"
    record.write_text(record.read_text()[:-20])
    assert not Store(store.root).has(unit())
    assert any(p.file == record.name for p in store.verify())


def test_a_record_of_another_unit_does_not_count(store):
    store.put(unit(), arrays(), RECORD)
    record = store.folder / f"{unit().name}.json"
    values = json.loads(record.read_text())
    values["digest"] = "0" * 64
    record.write_text(json.dumps(values))
    assert not Store(store.root).has(unit())


def test_failures_are_kept_until_the_unit_succeeds(store):
    store.fail(unit(), {"type": "ValueError", "message": "no"})
    assert store.failure(unit())["message"] == "no"
    store.put(unit(), arrays(), RECORD)
    assert store.failure(unit()) is None


@pytest.mark.parametrize("inside", ["", "/deeper"])
def test_a_file_in_the_folders_place_gets_one_message(tmp_path, inside):
    (tmp_path / "taken").write_text("x")
    with pytest.raises(OutputError, match="cannot write .*taken"):
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
