import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isogloss.confounds import DEFAULT, available, check, covariates, matrix
from isogloss.corpora.base import Utterance
from isogloss.errors import IsoglossError


def record(modality, language="deu", **columns):
    return {"language": language, "modality": modality, "covariates": columns}


def rows(*numbers):
    return np.array(numbers, dtype=np.intp)


TEXT = record("text", characters=[10, 20, 30], tokens=[3, 5, 9])
SPEECH = record(
    "speech",
    characters=[20, 10, 30, 20],
    seconds=[1.5, 1.0, 2.0, 1.75],
    gender=["m", "f", "f", None],
)


def test_columns_of_both_sides_in_the_order_of_the_sentences():
    found = matrix(DEFAULT, TEXT, rows(2, 0, 1), SPEECH, rows(2, 1, 3))
    assert found.names == ("characters", "tokens a", "seconds b")
    assert found.missing == ""
    np.testing.assert_array_equal(found.values, [[30, 9, 2.0], [10, 3, 1.0], [20, 5, 1.75]])
    assert found.values.dtype == np.float64


def test_sides_that_differ_keep_their_names():
    other = record("text", "eng", characters=[11, 20, 30], tokens=[3, 5, 9])
    found = matrix(DEFAULT, TEXT, rows(0, 1, 2), other, rows(0, 1, 2))
    assert found.names == ("characters a", "characters b", "tokens")
    np.testing.assert_array_equal(found.values.T, [[10, 20, 30], [11, 20, 30], [3, 5, 9]])


def test_text_is_one_hot_without_one_level_and_null_is_a_level():
    every = rows(0, 1, 2, 3)
    found = matrix(["gender"], SPEECH, every, SPEECH, every)
    assert found.names == ("gender: m", "gender: unknown")
    np.testing.assert_array_equal(found.values.T, [[1, 0, 0, 0], [0, 0, 0, 1]])
    two = matrix(["gender"], SPEECH, rows(0, 1, 2), SPEECH, rows(1, 0, 2))
    assert two.names == ("gender a: m", "gender b: m")
    np.testing.assert_array_equal(two.values.T, [[1, 0, 0], [0, 1, 0]])


def test_constant_columns_and_levels_are_left_out():
    a = record("text", region=["x", "x", "y"], age=[3, 3, 4])
    found = matrix(["region", "age"], a, rows(0, 1), a, rows(0, 1))
    assert found.names == ()
    assert found.values.shape == (2, 0)
    assert found.missing == ""


def test_equal_columns_of_two_names_are_one():
    a = record("text", age=[3.0, 0.0, 4.0], years=[3.0, -0.0, 4.0])
    assert matrix(["years", "age"], a, rows(0, 1, 2), a, rows(0, 1, 2)).names == ("years",)


@pytest.mark.parametrize("hole", [None, float("nan"), float("inf")])
def test_a_number_that_is_not_known_makes_its_side_unusable(hole):
    a, b = (record("speech", c, age=v) for c, v in (("deu", [1, hole, 3]), ("eng", [4, 5, 6])))
    found = matrix(["age"], a, rows(0, 1, 2), b, rows(0, 1, 2))
    assert found.names == ("age b",)
    assert found.missing == "not taken out: age a (deu speech: 1 of 3 sentences lack it)"
    # Where the hole is not among the compared sentences, all is well.
    found = matrix(["age"], a, rows(0, 2), b, rows(0, 1))
    assert (found.names, found.missing) == (("age a", "age b"), "")


def test_a_column_that_one_side_lacks_is_named():
    for values in ([1, 2, 3], ["x", "y", "y"]):
        a = record("text", region=values)
        found = matrix(["region"], a, rows(0, 1, 2), TEXT, rows(0, 1, 2))
        assert len(found.names) == 1
        assert found.missing == "not taken out: region b (deu text: 3 of 3 sentences lack it)"
    silent = record("speech", seconds=[1, 2, 3])
    found = matrix(DEFAULT, silent, rows(0, 1), silent, rows(0, 1))
    assert found.names == ("seconds",)
    assert "characters a (deu speech: 2 of 2 sentences lack it)" in found.missing


def test_a_column_of_numbers_and_texts_is_text():
    a, b = record("text", age=[30, 40]), record("text", age=["young", "old"])
    assert matrix(["age"], a, rows(0, 1), b, rows(0, 1)).names == ("age a: 40", "age b: young")


def test_unknown_names():
    with pytest.raises(IsoglossError, match='unknown confound "gendre"; did you mean "gender"'):
        matrix(["gendre"], TEXT, rows(0), SPEECH, rows(0))
    with pytest.raises(IsoglossError, match="Valid: characters, tokens, seconds$"):
        matrix(["gender"], TEXT, rows(0), TEXT, rows(0))
    found = matrix(["gender"], TEXT, rows(0, 1), TEXT, rows(0, 1), known=["gender"])
    assert "gender a (deu text: 2 of 2 sentences lack it)" in found.missing
    check(["gender"], [TEXT, SPEECH])
    with pytest.raises(IsoglossError, match="do not pair"):
        matrix(["characters"], TEXT, rows(0), SPEECH, rows(0, 1))


def test_available_names_measured_first():
    a = record("text", region=["x"], age=[1.0], tokens=[1], characters=[1])
    assert available([a, SPEECH]) == ["characters", "tokens", "seconds", "age", "gender", "region"]
    assert available([]) == []


@given(
    st.lists(
        st.tuples(
            st.none() | st.sampled_from("abc"),
            st.none() | st.floats(-1e6, 1e6),
            st.integers(0, 3),
        ),
        min_size=1,
        max_size=12,
    ),
    st.randoms(use_true_random=False),
)
def test_order_and_sides(cells, shuffle):
    level, number, count = (list(c) for c in zip(*cells, strict=True))
    a = record("text", level=level, number=number, tokens=count)
    b = record("speech", level=level[::-1], seconds=count[::-1])
    names = ["level", "number", *DEFAULT]
    n = len(cells)
    first = matrix(names, a, rows(*range(n)), b, rows(*range(n)), known=names)
    assert np.isfinite(first.values).all()
    assert first.values.shape == (n, len(first.names))
    assert all(np.ptp(column) > 0 for column in first.values.T)
    assert len({c.tobytes() for c in first.values.T}) == len(first.names)
    order = list(range(n))
    shuffle.shuffle(order)
    again = matrix(names, a, rows(*order), b, rows(*order), known=names)
    np.testing.assert_array_equal(again.values, first.values[order])
    assert (again.names, again.missing) == (first.names, first.missing)
    # The other way round the same is taken out.
    swapped = matrix(names, b, rows(*range(n)), a, rows(*range(n)), known=names)
    assert {c.tobytes() for c in swapped.values.T} == {c.tobytes() for c in first.values.T}


class TestCovariates:
    def test_what_is_known_of_a_row(self):
        utterances = [
            Utterance("1", "deu", "zwölf", None, "s1", "f", "test", columns={"age": 3}),
            Utterance("2", "deu", None, None, None, "m", "test", columns={"region": "x"}),
        ]
        found = covariates(utterances, {("deu", "2"): "vier"}, {"tokens": [7, 8]})
        assert found == {
            "characters": [5, 4],
            "tokens": [7, 8],
            "gender": ["f", "m"],
            "speaker": ["s1", None],
            "split": ["test", "test"],
            "age": [3, None],
            "region": [None, "x"],
        }

    def test_what_is_not_known_of_any_row_is_not_there(self):
        utterances = [Utterance("1", "deu", columns={"age": None, "tokens": 99, "gender": "f"})]
        assert covariates(utterances, {("eng", "1"): "x"}, {"seconds": [1.5]}) == {
            "seconds": [1.5],
            "gender": ["f"],
        }

    def test_cells_of_any_kind_become_what_json_holds(self):
        cells = {"a": np.float32(0.5), "b": np.int64(3), "c": True, "d": float("nan"), "e": ""}
        found = covariates([Utterance("1", "deu", "x", columns=cells)], {}, {})
        assert found == {"characters": [1], "a": [0.5], "b": [3.0], "c": ["True"]}
        assert json.loads(json.dumps(found, allow_nan=False)) == found
