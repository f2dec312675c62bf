"""Study files and lines of parts from strangers: one message, in bounded time and memory."""

import pytest

from bounds import bounded
from isogloss import plain_yaml, specs
from isogloss.cli import call
from isogloss.cli.conformance import _read
from isogloss.errors import StudyError
from isogloss.plain_yaml import LARGEST
from isogloss.similarity.measures import MEASURES
from isogloss.study import Study

LAUGHS = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{c}: &{c} [{', '.join(['*' + b] * 9)}]\n" for b, c in zip("abcdefgh", "bcdefghi", strict=True)
)
FULL = LARGEST - 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("!!python/object/apply:os.system [touch owned]", "the tag !!python/object/apply"),
        ("a: !!python/name:os.system ''", "line 1: the tag !!python/name:os.system"),
        ("a: 1\nb: !!binary aGk=", "line 2: the tag !!binary"),
        ("a: !local 1", "the tag !local"),
        ("a: !!str 1", "the tag !!str"),
        (LAUGHS, "line 5: more than 20000 values"),
        ("a: &a [*a]", "the alias *a stands for nothing, or itself"),
        ("a: *b", "the alias *b stands for nothing"),
        ("x" * (LARGEST + 1), "longer than 256 KiB"),
        ("[" * FULL, "nested more than 20 deep"),
        ("- " * (FULL // 2), "nested more than 20 deep"),
        ("? " * (FULL // 2), "nested more than 20 deep"),
        ("[" + "a," * (FULL // 2), "more than 20000 values"),
        ("a: 1\nb: 2\na: 3", 'line 3: the key "a" stands twice'),
        ("a: {b: 1, b: 2}", 'line 1: the key "b" stands twice'),
        ("a: " + "9" * 5000, "a number of 5000 characters"),
        ("a: 1" + ":1" * (FULL // 2 - 4), "a number of"),
        ("a: 1" + ":1" * 450 + ".5", "cannot be read: int too large"),
        ("a: 2001-99-99", "cannot be read: month"),
        ("a: 0b_", "cannot be read: invalid literal"),
        ("a: b: c", "is not valid YAML"),
        ("a: 1\n---\nb: 2", "is not valid YAML"),
        ("a: \0", "is not valid YAML"),
        ("a: \ud800", "is not valid YAML"),
        ("? [a]\n: b", "is not valid YAML"),
        ("%" * FULL, "is not valid YAML"),
        ('"' + "\\" * 1001, "is not valid YAML"),
    ],
    ids=range(27),
)
def test_yaml_that_is_not_taken(text, message):
    with bounded(), pytest.raises(ValueError, match=".") as caught:
        plain_yaml.parse(text)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_yaml_that_is_taken():
    text = "a: &x [1, 2.5, yes, null, 'b', -.inf]\nc: *x\nd: {<<: {e: 1}, e: 2}\n"
    values = [1, 2.5, True, None, "b", float("-inf")]
    assert plain_yaml.parse(text) == {"a": values, "c": values, "d": {"e": 2}}
    assert plain_yaml.parse("") is None
    assert plain_yaml.parse(f"'{'7' * 5000}'") == "7" * 5000
    with bounded():
        plain_yaml.parse("a" * FULL)
        plain_yaml.parse("#" * FULL)


@pytest.mark.parametrize("text", [LAUGHS, "!!python/object/apply:os.system [id]", "a: 1\na: 2"])
def test_a_study_file_is_refused_with_its_name(tmp_path, text, capsys):
    path = tmp_path / "s.yaml"
    path.write_text(text)
    with bounded(), pytest.raises(StudyError) as caught:
        Study.read(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert call(["plan", str(path)]) == 2
    assert "Traceback" not in capsys.readouterr().err


def test_a_study_file_without_an_end(tmp_path):
    (tmp_path / "s.yaml").symlink_to("/dev/zero")
    with bounded(mebibytes=50), pytest.raises(StudyError, match="longer than 256 KiB"):
        Study.read(tmp_path / "s.yaml")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("svcca(share=!!python/object/apply:os.system [id])", "cannot be read: it line 1: the tag"),
        ("svcca(share=2001-99-99)", "cannot be read"),
        ("svcca(share=" + "[" * 2000 + ")", "cannot be read"),
        ("svcca(" + '"\\' * 3000 + ")", "at most 4096 characters"),
        ("a" + " " * 100_000 + "!", "at most 4096 characters"),
    ],
)
def test_lines_of_parts_that_are_not_taken(line, message):
    with bounded(), pytest.raises(StudyError, match=message):
        specs.parse(MEASURES, line)


def test_long_lists_of_parts_are_refused_before_they_are_split():
    with bounded(), pytest.raises(StudyError, match="at most"):
        specs.split('"\\' * 10**6)


def test_options_of_a_foreign_measure_are_plain_too():
    with pytest.raises(StudyError, match="--option a: the value cannot be read"):
        _read(["a=!!python/name:os.system ''"])
