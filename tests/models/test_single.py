"""Checkpoints that are one file, and pickles that are read without running them."""

import os
import pickle
from collections import OrderedDict
from pathlib import Path

import pytest

from isogloss.errors import ModelError

torch = pytest.importorskip("torch")
from isogloss.models._pickles import fill, read_pickle, state_in, tensors_in  # noqa: E402
from isogloss.models._single import find_file  # noqa: E402

WHAT = {"patterns": ("exact.pt", "*.pt"), "what": "the BEATs encoder", "where": "Ask its authors."}


class Trap:
    """Makes a folder as soon as it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_a_pickle_with_code_is_refused_and_named(tmp_path):
    path, sprung = tmp_path / "bad.pt", tmp_path / "sprung"
    torch.save({"model": Trap(sprung)}, path)
    with pytest.raises(ModelError, match=r"bad\.pt holds more than .* asks for .*mkdir"):
        read_pickle(path)
    assert not sprung.exists()


@pytest.mark.parametrize("old", [False, True])
def test_tensors_below_a_key_with_the_rest_beside_them(tmp_path, old):
    state = OrderedDict(w=torch.arange(6.0).reshape(2, 3), steps=torch.tensor(3))
    optimizer = {"state": {0: {"exp_avg": torch.ones(2)}}, "param_groups": [{"lr": 1e-4}]}
    content = {"model": state, "optimizer": optimizer, "epoch": 3, "cfg": {"layers": 2}}
    torch.save(content, tmp_path / "all.pt", _use_new_zipfile_serialization=not old)
    found = tensors_in(tmp_path / "all.pt", "model")
    assert found.keys() == {"w", "steps"}
    torch.testing.assert_close(found["w"], state["w"])
    assert read_pickle(tmp_path / "all.pt")["cfg"] == {"layers": 2}


@pytest.mark.parametrize(
    "content", [b"", b"not a pickle at all", pickle.dumps({"a": 1}), b"PK\x03\x04broken"]
)
def test_a_damaged_file_is_named(tmp_path, content):
    path = tmp_path / "cut.pt"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=r"cut\.pt"):
        tensors_in(path, "model")


@pytest.mark.parametrize("content", [[1], {"model": {"cfg": 1}}, {"model": 3}])
def test_weights_that_are_not_there(content):
    with pytest.raises(ModelError, match="no named weights|no weights where they are expected"):
        state_in(content, Path("x.pt"), "model")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.pop("bias"), "it lacks bias"),
        (lambda s: s.update(more=torch.ones(1)), "do not belong there: more"),
        (lambda s: s.update(bias=torch.ones(5)), r"bias \(\(5,\) instead of \(2,\)\)"),
    ],
)
def test_weights_are_put_in_whole_or_not_at_all(change, message):
    module = torch.nn.Linear(3, 2)
    before = {k: v.clone() for k, v in module.state_dict().items()}
    state = {k: torch.full_like(v, 7.0) for k, v in before.items()}
    fill(module, state, what="projection", path="x.pt")
    assert (module.weight == 7).all()
    change(state)
    module.load_state_dict(before)
    with pytest.raises(ModelError, match=message):
        fill(module, state, what="projection", path="x.pt")
    torch.testing.assert_close(module.weight, before["weight"])


def test_a_file_by_itself_and_in_a_folder(tmp_path):
    path = tmp_path / "deep" / "exact.pt"
    path.parent.mkdir()
    path.write_bytes(b"1")
    (tmp_path / "other.pt").write_bytes(b"2")
    alone, within = (find_file(str(p), **WHAT) for p in (path, tmp_path))
    assert alone.path() == within.path() == path
    assert alone.fingerprint() == within.fingerprint()
    assert alone.short_name == within.short_name == "exact"
    before = alone.fingerprint()
    path.write_bytes(b"12")
    assert find_file(str(path), **WHAT).fingerprint() != before


def test_several_files_none_and_no_such_file(tmp_path):
    with pytest.raises(ModelError, match=r"lacks the BEATs encoder; it holds nothing.*Ask its"):
        find_file(str(tmp_path), **WHAT)
    for name in ("a.pt", "b.pt"):
        (tmp_path / name).touch()
    with pytest.raises(ModelError, match=r"several files that may be .*: a\.pt, b\.pt; name one"):
        find_file(str(tmp_path), **WHAT)
    with pytest.raises(ModelError, match=r"no such file: .*c\.pt.*Ask its authors"):
        find_file(str(tmp_path / "c.pt"), **WHAT)
    with pytest.raises(ModelError, match="is for hub ids only"):
        find_file(str(tmp_path / "a.pt"), "main", **WHAT)
