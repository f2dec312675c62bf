import pytest
from pydantic import BeforeValidator

from isogloss.errors import StudyError
from isogloss.settings import Names, Settings, by_role, difference, digest, role_of, setting


class Toy(Settings):
    section = "toy"
    size: int = setting(1, role="analysis", gt=0, help="How large.")
    names: Names = setting((), role="scope", help="Which.")
    path: str = setting(role="identity", help="Where it is.")


def test_unknown_key_names_section_nearest_and_valid_ones():
    message = r'unknown key of "toy" "sise"; did you mean "size"\?'
    with pytest.raises(StudyError, match=message) as e:
        Toy(path="x", sise=3)
    assert "Valid: size, names, path" in str(e.value)


def test_missing_key_says_what_it_is_for():
    with pytest.raises(StudyError, match=r'"toy.path" is required: Where it is\.'):
        Toy()


def test_wrong_value_names_path_and_value():
    with pytest.raises(StudyError, match=r"toy.size: .*greater than 0, got 0"):
        Toy(path="x", size=0)


def test_every_wrong_key_has_its_own_line():
    with pytest.raises(StudyError) as e:
        Toy(path="x", size="many", nmaes="a")
    assert len(str(e.value).splitlines()) == 2


@pytest.mark.parametrize("given", ["in, 1,2", ["in", 1, "2"], ("in", "1", "2")])
def test_names_may_be_written_as_text_or_list(given):
    assert Toy(path="x", names=given).names == ("in", "1", "2")


def test_yaml_booleans_among_names_are_explained():
    with pytest.raises(StudyError, match="toy.names: YAML reads an unquoted yes, no"):
        Toy(path="x", names=["eng", False])


def test_settings_are_frozen():
    with pytest.raises(Exception, match="frozen"):
        Toy(path="x").size = 2


def test_fields_without_a_role_are_refused():
    class Loose(Settings):
        free: int = 1

    with pytest.raises(TypeError, match="Loose.free has no role"):
        role_of(Loose, "free")


def test_by_role_and_digest():
    toy = Toy(path="x", names="b,a")
    assert by_role(toy, "identity") == {"path": "x"}
    assert by_role(toy, "scope", "analysis") == {"size": 1, "names": ["b", "a"]}
    assert digest({"a": 1, "b": [2]}) == digest({"b": [2], "a": 1})
    assert digest({"a": 1}) != digest({"a": 2})


def test_difference_names_nested_keys():
    old, new = {"a": {"b": 1, "c": 2}, "d": 3}, {"a": {"b": 1, "c": 4}, "e": 5}
    assert difference(old, new) == [
        "a.c (2 there, 4 now)",
        "d (3 there, nothing now)",
        "e (nothing there, 5 now)",
    ]
    assert difference(old, old) == []


def test_validators_keep_working_beside_the_explanations():
    from typing import Annotated

    def refuse(value):
        raise ValueError("it is never right")

    class Never(Settings):
        x: Annotated[int, BeforeValidator(refuse)] = setting(role="scope", help="X.")

    with pytest.raises(StudyError, match="x: it is never right"):
        Never(x=1)
