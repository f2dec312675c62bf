"""Several recordings of a sentence, from the table of a corpus to what analyses see."""

import json
from typing import ClassVar, Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isogloss.errors import StoreError
from isogloss.estimate import estimate
from isogloss.events import Silent
from isogloss.extraction.extract import extract
from isogloss.models.base import (
    Adapter,
    Features,
    Layout,
    ModelInfo,
    ModelSource,
    Tap,
    TapPair,
    Tower,
)
from isogloss.planning import plan
from isogloss.runs import Run
from isogloss.settings import setting
from isogloss.storage.store import Store
from isogloss.storage.verifying import verify
from isogloss.study import Study
from isogloss.takes import RowIndex, arranged, numbers

soundfile = pytest.importorskip("soundfile")

TAP = Tap("in", 2, 0.0)


class Means(Tower):
    taps = (TAP,)

    def __init__(self, modality):
        self.modality = modality

    def features(self, item, spoken):
        values = [ord(c) for c in item] if isinstance(item, str) else item
        return Features({"x": np.array(values, dtype=np.float32)}, len(values))

    def encode(self, batch):
        rows = [[f.values["x"].mean(), f.length] for f in batch]
        return {"in": np.array(rows, dtype=np.float32)}


class Both(Adapter):
    def tower(self, modality, language=None):
        return Means(modality)


class Averages(ModelSource):
    """A whole model family, as a plug-in would bring one."""

    info: ClassVar[ModelInfo] = ModelInfo("means", "none", "none", "none")
    family: Literal["averages"] = setting("averages", role="identity", help="Kind.")

    def layout(self):
        names = {"text": ("in",), "speech": ("in",)}
        return Layout({"text": (TAP,), "speech": (TAP,)}, names, (TapPair("in", "in", "in", 0.0),))

    def fingerprint(self):
        return {}

    def load(self, *, device):
        return Both()


@pytest.fixture
def corpus(tmp_path):
    """Five sentences in two languages; German ones have up to three recordings, by two speakers."""
    rows = []
    for code, count in (("deu", 3), ("eng", 1)):
        for i in range(5):
            for take in range(count if i else 1):
                path = tmp_path / f"{code}{i}-{take}.wav"
                level = 0.01 * (1 + i + 10 * take)
                soundfile.write(path, level * np.tile([1, -0.5], 400 + 80 * i + 16 * take), 16_000)
                rows.append({
                    "id": i, "lang": code, "text": f"{code}-{'x' * i}", "audio_filepath": path.name,
                    "speaker": "ab"[take % 2], "age": 20 + take, "region": "north",
                })  # fmt: skip
    write(tmp_path, rows)
    return rows


def write(folder, rows):
    (folder / "m.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))


def study(folder, recordings=3, **values):
    corpus = {"source": "manifest", "path": folder / "m.jsonl", "recordings": recordings, **values}
    return Study(corpus=corpus, model=Averages(), output=folder / "out", device="cpu")


def make(folder, **values):
    planned = plan(study(folder, **values))
    run = Run.of(planned)
    store = run.store()
    store.claim(planned.study.identity())
    assert extract(planned, store, Silent()) == []
    run.write()
    run = Run.read(planned.study.output)
    units = {(u.language, u.modality): u for u in run.units}
    return planned, run, Store(run.folder), units


def test_a_unit_has_a_row_for_every_recording(tmp_path, corpus):
    planned, run, store, units = make(tmp_path)
    unit = units["deu", "speech"]
    record = store.record(unit)
    assert unit.sentences == ("0", "1", "2", "3", "4")
    assert (unit.further, unit.rows) == (8, 13)
    assert record["sentences"] == [*"01234", *"1234", *"1234"]
    assert record["takes"] == [0] * 5 + [1] * 4 + [2] * 4
    assert planned.bytes(unit) == store.view(unit, "in").nbytes == 13 * 2 * 4
    assert (units["deu", "text"].rows, units["eng", "speech"].rows) == (5, 5)
    found = estimate(planned, store)
    assert (found.sentences, found.further) == (20, 8)

    contents = run.contents(store)
    for key in units:
        assert contents.sentences[key] == tuple("01234")
    speakers = contents.speakers["deu", "speech"]
    assert list(speakers) == list("01234")
    assert [len(s) for s in speakers.values()] == [1, 3, 3, 3, 3]
    # The second recording is by the other speaker, whichever came first.
    assert all(set(s[:2]) == {"a", "b"} for s in list(speakers.values())[1:])
    assert set(contents.speakers["deu", "text"]["1"]) < {"a", "b"}


def test_rows_are_described_by_their_own_recording(tmp_path, corpus):
    _, _, store, units = make(tmp_path)
    unit = units["deu", "speech"]
    record = store.record(unit)
    known = record["covariates"]
    assert set(known) == {"characters", "seconds", "age", "region", "speaker"}
    view = store.view(unit, "in")
    for row, sentence in enumerate(record["sentences"]):
        take = int(known["age"][row]) - 20
        samples = 2 * (400 + 80 * int(sentence) + 16 * take)
        assert known["characters"][row] == 4 + int(sentence)
        assert known["seconds"][row] == samples / 16_000
        assert record["speakers"][row] == "ab"[take % 2] == known["speaker"][row]
        level = 0.01 * (1 + int(sentence) + 10 * take)
        np.testing.assert_allclose(view[row], [0.25 * level, samples], rtol=0.01)
    text = store.record(units["deu", "text"])["covariates"]
    assert text["tokens"] == text["characters"] == [4.0, 5.0, 6.0, 7.0, 8.0]
    assert "seconds" not in text


def test_recordings_without_text_have_the_characters_of_their_sentence(tmp_path, corpus):
    spoken = [{**r, "text": None} for r in corpus]
    written = [{**r, "audio_filepath": None} for r in corpus if r["age"] == 20]
    write(tmp_path, [*spoken, *written])
    for modalities in (("speech",), ("text", "speech")):
        _, _, store, units = make(tmp_path, modalities=modalities)
        known = store.record(units["deu", "speech"])["covariates"]
        assert known["characters"] == [4 + i for i in (*range(5), *range(1, 5), *range(1, 5))]


def test_one_recording_is_the_same_as_the_first_of_several(tmp_path, corpus):
    one, several = (plan(study(tmp_path, recordings=n)) for n in (1, 3))
    for a, b in zip(one.units, several.units, strict=True):
        assert a.sentences == b.sentences
        assert one.utterances(a) == several.utterances(b)[: len(b.sentences)]
        assert (a.digest == b.digest) == (b.further == 0)
    assert "Further utterances that were not chosen: deu 8" in one.selection.corpus.notes
    notes = several.selection.corpus.notes
    assert "Further recordings, up to 3 of a sentence in all: deu 8" in notes
    two = plan(study(tmp_path, recordings=2)).selection.corpus.notes
    assert "Further utterances that were not chosen: deu 4" in two
    none = plan(study(tmp_path, recordings=2, languages="eng")).selection.corpus.notes
    assert "No sentence has a second recording; up to 2 were asked for" in none


def test_a_first_recording_that_fails_is_replaced_and_named(tmp_path, corpus):
    items = plan(study(tmp_path)).selection.items["deu", "speech"]
    names = [u.clip.path for u in items if u.sentence == "2"]
    soundfile.write(names[0], np.zeros(0), 16_000)  # fails when it is decoded
    planned, run, store, units = make(tmp_path)
    unit = units["deu", "speech"]
    record = store.record(unit)
    assert record["sentences"] == [*"01234", *"1234", *"134"]
    assert record["takes"] == [0] * 5 + [1] * 4 + [2] * 3
    used = [planned.utterances(unit)[i] for i in record["planned"]]
    assert [u.clip.path for u in used if u.sentence == "2"] == names[1:]
    assert record["covariates"]["age"] == [u.columns["age"] for u in used]
    (lost,) = run.left_out(store)
    assert (lost.language, lost.sentence, lost.modality) == ("deu", "2", "speech")
    assert lost.reason.startswith(str(names[0]))
    assert lost.reason.endswith("; another recording takes its place")
    assert lost.origin.startswith("m.jsonl line ")


def test_recordings_that_cannot_be_opened_or_are_copies_are_left_out_of_the_plan(
    tmp_path, corpus, monkeypatch
):
    items = plan(study(tmp_path)).selection.items["deu", "speech"]
    clips = {s: [u.clip.path for u in items if u.sentence == s] for s in "13"}
    lost, copy = clips["1"][0], clips["3"][2]
    copy.write_bytes(clips["3"][0].read_bytes())
    planned = study(tmp_path)
    load = type(planned.corpus).load

    def load_and_lose(self):
        found = load(self)
        lost.unlink(missing_ok=True)  # after the table was read, before the content is
        return found

    monkeypatch.setattr(type(planned.corpus), "load", load_and_lose)
    again = plan(planned)
    (unit,) = (u for u in again.units if (u.language, u.modality) == ("deu", "speech"))
    assert unit.sentences == tuple("01234")
    used = again.utterances(unit)
    assert [u.sentence for u in used] == [*"01234", *"1234", *"24"]
    assert [u.clip.path for u in used if u.sentence == "1"] == clips["1"][1:]
    assert [u.clip.path for u in used if u.sentence == "3"] == clips["3"][:2]
    reasons = {d.sentence: d.reason for d in again.selection.dropped}
    assert reasons["3"] == (
        "its content is that of another recording of the sentence; its sentence keeps another"
    )
    assert reasons["1"] == (f"{lost}: there is no such file; another recording takes its place")


def test_what_the_corpus_says_of_rows_is_brought_up_to_date_without_extraction(tmp_path, corpus):
    _, _, store, units = make(tmp_path)
    files = {p.name: p.stat().st_mtime_ns for p in store.folder.glob("*.safetensors")}
    old = store.record(units["deu", "speech"])
    write(tmp_path, [{**r, "age": r["age"] + 1, "region": r["id"]} for r in corpus])
    planned, _, again, units = make(tmp_path)
    assert planned.pending(again) == ()
    new = again.record(units["deu", "speech"])
    assert new["covariates"]["age"] == [age + 1 for age in old["covariates"]["age"]]
    assert new["covariates"]["region"] == [float(s) for s in new["sentences"]]
    for name in ("seconds", "characters"):
        assert new["covariates"][name] == old["covariates"][name]
    assert {k: v for k, v in new.items() if k != "covariates"} == {
        k: v for k, v in old.items() if k != "covariates"
    }
    assert {p.name: p.stat().st_mtime_ns for p in store.folder.glob("*.safetensors")} == files
    assert list(verify(again.root)) == []


IDS = st.lists(st.sampled_from("abcd"), max_size=12)


@given(IDS, st.data())
def test_takes_are_numbered_in_order_of_take_and_sentence(ids, data):
    usable = data.draw(st.sets(st.sampled_from(range(len(ids)))) if ids else st.just(set()))
    order = arranged(ids, usable)
    assert set(order) == usable
    left = [ids[i] for i in order]
    places = {s: i for i, s in reversed(list(enumerate(ids)))}
    keys = [(take, places[s]) for take, s in zip(numbers(left), left, strict=True)]
    assert keys == sorted(set(keys))
    for sentence in set(left):
        own = [i for i in order if ids[i] == sentence]
        assert own == sorted(own)
    assert arranged(left) == list(range(len(left)))


class TestRowIndex:
    record: ClassVar = {
        "language": "deu", "modality": "speech",
        "sentences": ["x", "y", "z", "x", "z", "x"], "takes": [0, 0, 0, 1, 1, 2],
    }  # fmt: skip

    def test_rows(self):
        index = RowIndex(self.record)
        found = index.rows(["z", "x"])
        assert found.tolist() == [2, 0]
        assert found.dtype == np.intp
        assert index.rows(("z", "x", "x"), (1, 2, 1)).tolist() == [4, 5, 3]
        assert index.rows([]).dtype == np.intp

    def test_all_takes(self):
        found = RowIndex(self.record).all_takes(["y", "x", "z"])
        assert [rows.tolist() for rows in found] == [[1], [0, 3, 5], [2, 4]]
        assert all(rows.dtype == np.intp for rows in found)

    def test_errors(self):
        index = RowIndex(self.record)
        with pytest.raises(StoreError, match='deu speech has no sentence "w"; it has x, y, z'):
            index.rows(["x", "w"])
        with pytest.raises(StoreError, match='no sentence "w"'):
            index.all_takes(["w"])
        with pytest.raises(StoreError, match='"z": there is no take 2, only 0, 1. "corpus.record'):
            index.rows(["x", "z"], [2, 2])
        with pytest.raises(StoreError, match="1 takes are given for 2 sentences"):
            index.rows(["x", "z"], [0])

    def test_the_store_finds_rows_of_a_unit(self, tmp_path, corpus):
        _, _, store, units = make(tmp_path)
        unit = units["deu", "speech"]
        assert store.index(unit).rows(["4", "1"], [0, 1]).tolist() == [4, 5]
        assert store.index(unit).all_takes(["0", "1"])[1].tolist() == [1, 5, 9]
