"""No output folder, checkpoint or recording of a stranger gives a traceback or hangs.

Seals find accidents and keep nobody out, so what is damaged here is sealed anew.
"""

import copy
import io
import json
import shutil
import struct
import zipfile
from contextlib import suppress
from dataclasses import asdict

import numpy as np
import polars as pl
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from fuzzing import ODD, VALUES, changed, damaged, fuzzed, survives
from isogloss import api, results
from isogloss.audio import FileClip
from isogloss.corpora.base import Dropped
from isogloss.models import MODELS
from isogloss.models._files import read_json, weight_files
from isogloss.models._headers import read_header, shapes_in
from isogloss.models.base import TapPair
from isogloss.runs import Run
from isogloss.storage import listed, sealing
from isogloss.storage.pieces import Pieces
from isogloss.storage.store import Store, Unit
from isogloss.storage.verifying import verify
from isogloss.study import Study

UNITS = tuple(
    Unit(code, modality, f"{i}" * 64, ("in", "1"), ("a", "b", "c"))
    for i, (code, modality) in enumerate([("deu", "text"), ("deu", "speech"), ("eng", "text")])
)
RECORD = {
    "sentences": ["a", "b", "c"], "takes": [0, 0, 0], "speakers": [None, "x", None], "failed": [],
    "notes": {}, "characters": [1, 2, 3], "seconds": 1.5,
}  # fmt: skip


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """An output folder with activations and a table, all of it valid."""
    folder = tmp_path_factory.mktemp("fuzz") / "out"
    study = Study(
        corpus={"source": "manifest", "path": "m.jsonl"},
        model={"family": "seamless", "checkpoint": "none"},
        output=folder,
        analyses=["gaps"],
    )
    store = Store(folder)
    store.claim(study.identity())
    rows = {"in": np.ones((3, 2), np.float32), "1": np.zeros((3, 2), np.float32)}
    for unit in UNITS[:2]:
        store.put(unit, rows, dict(RECORD))
    Pieces(store.folder).keep(UNITS[2], rows, {"rows": [0, 1, 2]})
    taps = dict.fromkeys(("text", "speech"), (("in", 0.0), ("1", 1.0)))
    described = Run(
        folder, study.model_dump(mode="json"), {"title": "t", "family": "seamless"},
        {"name": "m", "notes": []}, UNITS, taps, (TapPair("in", "in", "in", 0.0),),
        (Dropped("deu", "d", "text", "empty"),), {"python": "3"}, "now",
    )  # fmt: skip
    described.write()
    described.keep_texts({("deu", s): f"text {s}" for s in "abc"})
    frame = pl.DataFrame({"analysis": ["gaps"], "score": [0.5]})
    results.write(frame, folder / "results", "gaps")
    results.write(frame, folder / "results", "findings")
    values = json.loads(json.dumps({k: v for k, v in asdict(described).items() if k != "folder"}))
    return described, values


@pytest.fixture
def again(run, tmp_path_factory):
    """A copy of it that may be spoilt."""
    place = tmp_path_factory.mktemp("spoilt") / "out"
    shutil.copytree(run[0].folder, place)
    return place


def look(folder):
    """Read all that there is to read."""
    with survives():
        found = Run.read(folder)
        store = found.store()
        found.analyses()
        found.committed(store)
        found.contents(store)
        list(found.left_out(store))
        found.done_to_inputs(store)
        found.texts()
    for read in (api.load_results, api.load_findings, api.status, lambda f: list(verify(f))):
        with survives():
            read(folder)


def test_what_is_whole_is_read(run):
    folder = run[0].folder
    assert Run.read(folder) == run[0]
    assert len(run[0].committed(Store(folder))) == 2
    assert [p.what for p in verify(folder)] == []
    assert set(api.load_results(folder)) == {"gaps"}
    look(folder)


def reset(run, folder, *names):
    for name in names:
        shutil.copyfile(run[0].folder / name, folder / name)


@fuzzed
@given(st.data())
def test_descriptions_of_a_run(run, again, data):
    name = data.draw(st.sampled_from(["run.json", "study.json"]))
    values = run[1] if name == "run.json" else sealing.read(run[0].folder / name)
    spoilt = data.draw(changed(values))
    with suppress(UnicodeEncodeError, ValueError):  # what JSON in UTF-8 cannot hold
        sealing.write(again / name, spoilt)
        look(again)
    reset(run, again, name)


@fuzzed
@given(st.data())
def test_records_of_units(run, again, data):
    name = f"activations/{UNITS[0].name}.json"
    record = {k: v for k, v in sealing.read(run[0].folder / name).items() if k != "seal"}
    with suppress(UnicodeEncodeError, ValueError):
        sealing.write(again / name, data.draw(changed(record)))
        look(again)
        store = Store(again)
        for tap in ("in", "1"):
            with survives():
                store.view(UNITS[0], tap)
        with survives():
            store.index(UNITS[0])
    reset(run, again, name)


@fuzzed
@given(st.data())
def test_files_of_any_bytes(run, again, data):
    files = sorted(p.relative_to(again) for p in again.rglob("*") if p.is_file())
    name = data.draw(st.sampled_from([f.as_posix() for f in files]))
    whole = (run[0].folder / name).read_bytes()
    if name.endswith("parquet"):  # what no list vouches for is not read
        assert (again / name).with_name("digests.json").exists()
    (again / name).write_bytes(data.draw(damaged(whole) | st.binary(max_size=200)))
    look(again)
    with survives():
        Pieces(again / "activations").kept(UNITS[2])
    reset(run, again, *[f.as_posix() for f in files])


@fuzzed
@given(st.data())
def test_tables_that_are_listed_and_are_none(run, again, data):
    name = data.draw(st.sampled_from(["gaps.parquet", "findings.parquet", "sentences.parquet"]))
    folder = again if name == "sentences.parquet" else again / "results"
    source = run[0].folder / folder.relative_to(again) / name
    # Damage to the file itself may end polars, and with it the process; see docs/security.md.
    frame = pl.read_parquet(source)
    column = data.draw(st.sampled_from(frame.columns))
    changes = [
        frame.drop(column), frame.head(0), frame.rename({column: "x"}), frame.clear(),
        frame.with_columns(pl.lit(None).alias(column)), frame.with_columns(pl.lit(1).alias(column)),
        frame.with_columns(pl.lit("x").alias(column)),
    ]  # fmt: skip
    listed.write(folder, {name: results.parquet(data.draw(st.sampled_from(changes)))})
    look(again)
    reset(run, again, str(folder.relative_to(again) / name))


# ---- checkpoints and recordings --------------------------------------------------------------


def zipped(content):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("x/data.pkl", content)
    return buffer.getvalue()


PICKLE = (
    b"\x80\x02}q\x00X\x05\x00\x00\x00modelq\x01ccollections\nOrderedDict\nq\x02)Rq\x03X\x01\x00"
    b"\x00\x00wq\x04ctorch._utils\n_rebuild_tensor_v2\nq\x05((X\x07\x00\x00\x00storageq\x06ctorch\n"
    b"FloatStorage\nq\x07X\x01\x00\x00\x000q\x08X\x03\x00\x00\x00cpuq\tK\x0ctq\nQK\x00K\x03K\x04"
    b"\x86q\x0bK\x04K\x01\x86q\x0c\x89h\x02)Rq\rtq\x0eRq\x0fss."
)


@fuzzed
@given(damaged(PICKLE) | st.binary(max_size=100).map(lambda b: b"\x80\x02" + b))
def test_pickles(tmp_path_factory, content):
    folder = tmp_path_factory.getbasetemp()
    for data in (zipped(content), content, b"\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19." * 1 + content * 4):
        (folder / "a.pth").write_bytes(data)
        with survives():
            shapes_in(read_header(folder / "a.pth"), "model")


@fuzzed
@given(damaged(zipped(PICKLE)))
def test_archives_of_torch(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "b.pth"
    path.write_bytes(content)
    with survives():
        shapes_in(read_header(path), "model")


HEAD = {"a": {"dtype": "F32", "shape": [2, 1], "data_offsets": [0, 8]}, "__metadata__": {"k": "v"}}


@fuzzed
@given(changed(HEAD) | st.just(HEAD), st.integers(0, 2**64 - 1) | st.none(), st.binary(max_size=16))
def test_safetensors(tmp_path_factory, header, size, content):
    pytest.importorskip("torch")
    from isogloss.models._pickles import tensors_in

    text = json.dumps(header).encode()
    path = tmp_path_factory.getbasetemp() / "c.safetensors"
    length = struct.pack("<Q", len(text) if size is None else size)
    path.write_bytes(length + text + content)
    with survives():
        tensors_in(path)


CONFIGS = {
    "seamless": {
        "model_type": "seamless_m4t_v2", "hidden_size": 16, "encoder_layers": 2, "vocab_size": 50,
        "speech_encoder_layers": 2, "adaptor_kernel_size": 8, "num_adapter_layers": 1,
    },
    "whisper": {"model_type": "whisper", "d_model": 8, "encoder_layers": 2, "decoder_layers": 2},
    "speech_llm": {
        "model_type": "qwen2_audio", "audio_config": {"d_model": 8, "encoder_layers": 1},
        "text_config": {"hidden_size": 8, "num_hidden_layers": 2}, "audio_token_index": 3,
    },
    "towers": {"model_type": "wav2vec2", "hidden_size": 8, "num_hidden_layers": 2},
}  # fmt: skip


@fuzzed
@given(st.sampled_from(sorted(CONFIGS)), st.data())
def test_configurations(tmp_path_factory, family, data):
    folder = tmp_path_factory.getbasetemp() / f"config-{family}"
    folder.mkdir(exist_ok=True)
    config = data.draw(changed(CONFIGS[family]))
    (folder / "config.json").write_text(json.dumps(config))
    index = data.draw(changed({"weight_map": {"a": "model-1-of-1.safetensors"}}) | VALUES)
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    with survives():
        read_json(folder / "config.json")
    with survives():
        weight_files(folder)
    key = "speech" if family == "towers" else "checkpoint"
    with survives():
        source = MODELS.get(family)(**{key: str(folder)})
        source.layout()
        source.title()


def wave(kind):
    buffer = io.BytesIO()
    samples = 0.3 * np.sin(np.arange(1600) / 9)
    soundfile.write(buffer, samples, 16_000, format=kind)
    return buffer.getvalue()


@fuzzed
@given(st.sampled_from(["WAV", "FLAC", "OGG", "AIFF", "MP3"]).map(wave).flatmap(damaged), ODD)
def test_recordings(tmp_path_factory, capfd, content, name):
    path = tmp_path_factory.getbasetemp() / "a.wav"
    path.write_bytes(content)
    for use in (FileClip.seconds, FileClip.read, FileClip.identity):
        with survives():
            use(FileClip(path))
    with survives():
        FileClip(path, 0.01, 0.05).read()
    capfd.readouterr()


def test_the_check_itself_can_fail():
    with pytest.raises(KeyError), survives():
        raise KeyError
    assert copy.deepcopy(HEAD) == HEAD
