import numpy as np
import pytest

from isogloss.storage.pieces import Pieces
from isogloss.storage.store import Unit

UNIT = Unit("deu", "speech", "ab" * 32, ("in", "1"), ("1", "2", "3"))


def rows(n=2, seed=0):
    rng = np.random.default_rng(seed)
    return {"in": rng.normal(size=(n, 4)).astype("f4"), "1": rng.normal(size=(n, 8)).astype("f4")}


def same(a, b):
    assert set(a) == set(b)
    for tap in a:
        np.testing.assert_array_equal(a[tap], b[tap])
        assert a[tap].dtype == np.float32


def test_what_is_kept_comes_back_in_order(tmp_path):
    pieces = Pieces(tmp_path / "activations")
    assert pieces.kept(UNIT) == []
    for i in range(12):
        pieces.keep(UNIT, rows(i % 3, seed=i), {"index": [i], "ä\n": None})
    found = Pieces(tmp_path / "activations").kept(UNIT)
    assert [fields for _, fields in found] == [{"index": [i], "ä\n": None} for i in range(12)]
    for i, (arrays, _) in enumerate(found):
        same(arrays, rows(i % 3, seed=i))
        arrays["in"][...] = 0  # whoever goes on may write into them


def test_what_pieces_tell_is_read_without_changing_them(tmp_path):
    pieces = Pieces(tmp_path)
    for i in range(3):
        pieces.keep(UNIT, rows(seed=i), {"rows": [i]})
    (tmp_path / sorted(tmp_path.iterdir())[0]).write_bytes(b"\xff")
    assert pieces.told(UNIT) == [{"rows": [1]}, {"rows": [2]}]
    assert len(pieces.files()) == 3


def test_a_piece_without_rows_is_one_too(tmp_path):
    pieces = Pieces(tmp_path)
    pieces.keep(UNIT, {}, {"failed": {"0": "its file is empty"}})
    assert pieces.kept(UNIT) == [({}, {"failed": {"0": "its file is empty"}})]


def test_units_do_not_see_each_others_pieces(tmp_path):
    pieces = Pieces(tmp_path)
    others = [
        Unit("deu", "text", "ab" * 32, ("in",), ("1",)),
        Unit("deu", "speech", "ab" * 6 + "0" * 52, ("in",), ("1",)),  # the same name
    ]
    for i, unit in enumerate((UNIT, *others)):
        pieces.keep(unit, rows(), {"i": i})
    assert [f["i"] for _, f in pieces.kept(UNIT)] == [0]
    assert [f["i"] for _, f in pieces.kept(others[0])] == [1]
    assert [f["i"] for _, f in pieces.kept(others[1])] == [2]
    pieces.discard(others[0])
    assert [f["i"] for _, f in pieces.kept(UNIT)] == [0]
    assert pieces.kept(others[0]) == []


def test_pieces_of_two_workers_at_once_stand_side_by_side(tmp_path):
    one, two = Pieces(tmp_path), Pieces(tmp_path)
    two.files = lambda name="": []  # it looked before the other had written
    one.keep(UNIT, rows(seed=1), {"by": 1})
    two.keep(UNIT, rows(seed=2), {"by": 2})
    assert sorted(f["by"] for _, f in Pieces(tmp_path).kept(UNIT)) == [1, 2]


@pytest.mark.parametrize("damage", ["flip", "cut", "empty", "longer", "renamed"])
def test_a_damaged_piece_is_removed_and_the_others_count(tmp_path, damage):
    pieces = Pieces(tmp_path)
    for i in range(3):
        pieces.keep(UNIT, rows(seed=i), {"i": i})
    path = sorted(tmp_path.iterdir())[1]
    content = path.read_bytes()
    if damage == "renamed":
        path = path.rename(tmp_path / path.name.replace(".0002-", ".0009-"))
    changed = {
        "flip": content[:-3] + bytes([content[-3] ^ 1]) + content[-2:],
        "cut": content[:-1],
        "empty": b"",
        "longer": content + b"\0",
        "renamed": content,
    }
    path.write_bytes(changed[damage])
    assert list(pieces.damaged()) == [path]
    assert [f["i"] for _, f in pieces.kept(UNIT)] == [0, 2]
    assert not path.exists()
    assert len(list(tmp_path.iterdir())) == 2


def test_every_single_bit_counts(tmp_path):
    pieces = Pieces(tmp_path)
    pieces.keep(UNIT, {"in": np.ones((1, 2), "f4")}, {})
    (path,) = tmp_path.iterdir()
    content = path.read_bytes()
    assert not list(pieces.damaged())
    for bit in range(8 * len(content)):
        changed = bytearray(content)
        changed[bit // 8] ^= 1 << bit % 8
        path.write_bytes(changed)
        assert list(pieces.damaged()) == [path], bit
