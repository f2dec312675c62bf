"""Checkpoints of strangers: nothing in them is run, and planning is bounded whatever they hold."""

import json
import os
import pickle
import struct
import zipfile

import pytest

from bounds import bounded
from isogloss.errors import ModelError
from isogloss.models._files import read_json, weight_files
from isogloss.models._headers import read_header
from isogloss.models._pickles import read_pickle, tensors_in

torch = pytest.importorskip("torch")


class Evil:
    """Leaves a file where its pickle is run."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def packed(path, content, **options):
    """A file of torch.save with any pickle in it."""
    with zipfile.ZipFile(path, "w", **options) as archive:
        archive.writestr("x/data.pkl", content)
        archive.writestr("x/version", "3\n")
    return path


def refused(path, read=read_header):
    with bounded(mebibytes=200), pytest.raises(ModelError) as caught:
        read(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("protocol", range(6))
def test_nothing_in_a_pickle_is_run(tmp_path, protocol):
    trace = tmp_path / "owned"
    content = pickle.dumps({"model": {"w": Evil(trace)}}, protocol)
    path = packed(tmp_path / "a.pth", content)
    with bounded():
        assert list(read_header(path)) == ["model"]
    told = refused(path, read_pickle)
    # Torch's reader takes the instructions of its own protocol, and names what is asked for.
    assert protocol != 2 or "asks for posix.mkdir, and a pickle that does so can run any" in told
    (tmp_path / "b.pth").write_bytes(content)
    refused(tmp_path / "b.pth")
    refused(tmp_path / "b.pth", read_pickle)
    (tmp_path / "legacy.pth").write_bytes(
        b"".join(pickle.dumps(p, 2) for p in (0x1950A86A20F9469CFC6C, 1001, {})) + content
    )
    refused(tmp_path / "legacy.pth", read_pickle)
    assert not trace.exists()


NESTED = b"K\x01K\x02\x86" + b"2\x86" * 60  # a tuple of itself twice, sixty times: 2**60 numbers


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\x80\x02}" + NESTED + b"K\x01s.", "a key is neither text nor number"),
        (b"\x80\x02}(" + NESTED + b"K\x01u.", "a key is neither text nor number"),
        (b"\x80\x02(" + NESTED + b"K\x01d.", "a key is neither text nor number"),
        (b"\x80\x04\x8f(" + NESTED + b"\x90.", "a key is neither text nor number"),
        (
            b"\x80\x02ccollections\nOrderedDict\n]]" + NESTED + b"aK\x01aa\x85R.",
            "a key is neither text nor number",
        ),
        (b"\x80\x04(" + NESTED + b"\x91.", "instruction 0x91"),
        (b"\x80\x05\x96" + struct.pack("<Q", 2**62) + b".", "instruction 0x96"),
        (b"\x80\x05\x8e" + struct.pack("<Q", 2**62) + b".", "data.pkl|torch.save"),
        (b"\x80\x02\x8b" + struct.pack("<i", 2**31 - 1) + b".", "torch.save"),
        (b"\x80\x02I" + b"9" * 10_000 + b"\n.", "4300"),
        (b"\x80\x02\x82\x01.", "instruction 0x82"),
        (b"\x80\x63.", "protocol"),
        (b"", "torch.save"),
        (b"." * 10, "torch.save"),
        (b"\x80\x02" + b"\xff" * 100, "instruction 0xff"),
        (b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\nNK\x00" + NESTED + b"\x87R.", "size of a"),
    ],
    ids=range(16),
)
def test_pickles_that_would_take_any_time_or_memory(tmp_path, content, message):
    path = packed(tmp_path / "a.pth", content)
    with bounded(mebibytes=50), pytest.raises(ModelError, match=message):
        read_header(path)
    refused(path, read_pickle)


def test_a_place_in_the_memo_takes_no_memory(tmp_path):
    content = b"\x80\x02}r" + struct.pack("<I", 0xFFFFFFF0) + b"."
    with bounded(mebibytes=20):
        assert read_header(packed(tmp_path / "a.pth", content)) == {}


def test_deep_and_circular_pickles_are_read(tmp_path):
    with bounded():
        read_header(packed(tmp_path / "a.pth", b"\x80\x02" + b"]" * 10**5 + b"a" * 99_999 + b"."))
        found = read_header(packed(tmp_path / "b.pth", b"\x80\x02]q\x00h\x00a."))
    assert found[0] is found


def test_archives_of_torch_that_grow_or_lie(tmp_path):
    bomb = packed(tmp_path / "a.pth", b"N0" * 10**6, compression=zipfile.ZIP_DEFLATED)
    assert "it is compressed" in refused(bomb)
    assert "it is compressed" in refused(bomb, read_pickle)
    large = packed(tmp_path / "b.pth", b"\x80\x02N" + b"0N" * 2**22 + b".")
    assert "its data.pkl is larger than 8 MiB" in refused(large)
    path = packed(tmp_path / "c.pth", b"\x80\x02}.")
    data = path.read_bytes()
    record = data.rindex(b"PK\x01\x02", 0, data.rindex(b"x/version"))
    (tmp_path / "d.pth").write_bytes(
        data[: record + 20] + struct.pack("<II", 2**31, 2**31) + data[record + 28 :]
    )
    assert "claim more than the file holds" in refused(tmp_path / "d.pth")
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("y/data.pkl", b"\x80\x02}.")
    assert "2 files data.pkl" in refused(path)


def test_a_tensor_far_larger_than_its_numbers(tmp_path):
    torch.save({"w": torch.zeros(1).expand(10**6, 10**6)}, tmp_path / "a.pth")
    assert "a tensor of [1000000, 1000000] is made of 1 numbers" in refused(tmp_path / "a.pth")
    torch.save({"w": torch.zeros(3).expand(4, 3)}, tmp_path / "b.pth")
    assert tensors_in(tmp_path / "b.pth")["w"].shape == (4, 3)


@pytest.mark.parametrize("new", [True, False])
def test_files_of_torch_are_read_in_both_formats(tmp_path, new):
    module = torch.nn.Linear(3, 2)
    content = {"model": module.state_dict(), "step": 3, "state": {0: torch.ones(1)}, "keys": {"a"}}
    torch.save(content, tmp_path / "a.pth", _use_new_zipfile_serialization=new)
    header = read_header(tmp_path / "a.pth")
    assert header["model"] == {"weight": (2, 3), "bias": (2,)}
    found = tensors_in(tmp_path / "a.pth", "model")
    assert torch.equal(found["weight"], module.weight)


def safetensors(path, header, data=b""):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)
    return path


def test_safetensors_with_any_header(tmp_path):
    path = tmp_path / "a.safetensors"
    tensor = {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 2**42]}
    path.write_bytes(struct.pack("<Q", 2**62) + b"{}")
    refused(path, tensors_in)
    for header in (
        {"a": tensor},
        {"a": {**tensor, "data_offsets": [8, 0]}},
        {"a": {**tensor, "shape": [2**63, 2**63]}},
        {"a": {**tensor, "dtype": "PICKLE"}},
        b"[" * 10**6,
        b"\xff" * 100,
        b'{"__metadata__": {"a": 1}}',
        [],
    ):
        refused(safetensors(path, header), tensors_in)
    refused(safetensors(path, {"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}),
            tensors_in)  # fmt: skip


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"[" * 10**6, "nested too deeply"),
        (b'{"a":' * 10**5, "nested too deeply"),
        (b'{"a": ' + b"9" * 5000 + b"}", "4300"),
        (b"\xff{}", "cannot be read as JSON"),
        (b"[1]", "must hold a JSON object"),
        (b"", "cannot be read as JSON"),
        (b" " * (2**26 + 1), "larger than 64 MiB"),
    ],
    ids=range(7),
)
def test_json_of_a_checkpoint(tmp_path, content, message):
    path = tmp_path / "config.json"
    path.write_bytes(content)
    assert message in refused(path, read_json)


def test_a_configuration_that_is_no_file(tmp_path):
    os.mkfifo(tmp_path / "config.json")
    assert "device, a pipe" in refused(tmp_path / "config.json", read_json)


@pytest.mark.parametrize(
    "name", ["../a.bin", "/etc/passwd", "..", "", "a\\b.bin", "c:a.bin", "x\0.bin", 7, ["a"], None]
)
def test_weights_that_an_index_names_lie_beside_it(tmp_path, name):
    folder = tmp_path / "checkpoint"
    folder.mkdir()
    (tmp_path / "a.bin").write_bytes(b"x")
    index = folder / "pytorch_model.bin.index.json"
    index.write_text(json.dumps({"weight_map": {"w": name}}))
    with pytest.raises(ModelError, match="file beside it"):
        weight_files(folder)
    for content in ({"weight_map": [name]}, {"weight_map": "a"}, {}):
        index.write_text(json.dumps(content))
        with pytest.raises(ModelError, match="file beside it"):
            weight_files(folder)
