import pytest
from hypothesis import given
from hypothesis import strategies as st

from isogloss import specs
from isogloss.analyses import ANALYSES
from isogloss.errors import StudyError
from isogloss.similarity.measures import MEASURES


@given(
    share=st.floats(0.01, 1),
    rule=st.sampled_from(["squared", "linear"]),
    mean=st.sampled_from(["all", "98"]),
    epsilon=st.floats(0, 1e-3),
)
def test_a_written_measure_reads_back_the_same(share, rule, mean, epsilon):
    part = MEASURES.get("svcca")(share=share, rule=rule, mean=mean, epsilon=epsilon)
    assert specs.parse(MEASURES, specs.write(MEASURES, part)) == part


def test_the_line_holds_all_options():
    line = specs.write(MEASURES, specs.parse(MEASURES, "svcca"))
    assert line == "svcca(share=0.9, rule=squared, mean=all, epsilon=1e-10, zscore=false)"


def test_three_ways_to_write_one_measure():
    ways = ["svcca(share=0.8)", {"svcca": {"share": 0.8}}, MEASURES.get("svcca")(share=0.8)]
    assert len({specs.write(MEASURES, specs.parse(MEASURES, w)) for w in ways}) == 1
    assert specs.parse(MEASURES, {"svcca": None}) == specs.parse(MEASURES, "svcca")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("svca", 'unknown measure "svca"; did you mean "svcca"'),
        ("svcca(shar=0.9)", 'unknown key "shar"; did you mean "share"'),
        ("svcca(rule=square)", 'unknown value "square"; did you mean "squared"'),
        ("svcca(share=7)", "share: .* got 7"),
        ("svcca(0.9)", '"0.9" is not written as option=value'),
        ("svcca(share=0.9", "is not written as name"),
        ('svcca(rule="linear)', "the value of rule cannot be read"),
        ({"svcca": {1: 2}}, 'the key 1 of "svcca" is not text'),
    ],
)
def test_wrong_lines_get_one_message(line, message):
    with pytest.raises(StudyError, match=message):
        specs.parse(MEASURES, line)


def test_split_leaves_commas_in_brackets():
    assert specs.split("a(b=[1, 2], c=3), d") == ["a(b=[1, 2], c=3)", "d"]
    assert specs.split("") == []


def test_analyses_are_written_with_their_options():
    line = specs.write(ANALYSES, specs.parse(ANALYSES, "cross_modal(pairs=all)"))
    assert line == "cross_modal(pairs=all, sentences=smallest)"


@pytest.mark.parametrize(
    "path",
    [
        "data/flores",
        "a b/c, d (1)/[x]",
        'quo"te',
        "C:\\flores\\",
        "no",
        "null",
        "2026-01-01",
        "~/f",
    ],
)
def test_text_comes_back_from_a_line_whatever_it_holds(path):
    line = specs._plain(path)
    found = specs._read("analysis", f"tokens(corpus={line}, share=jaccard)")
    assert found == ("tokens", {"corpus": path, "share": "jaccard"})
    assert specs.split(f"tokens(corpus={line}), maps") == [f"tokens(corpus={line})", "maps"]


def test_a_short_line_leaves_out_defaults():
    whole = specs.write(MEASURES, specs.parse(MEASURES, "svcca(share=0.95)"))
    assert specs.short(MEASURES, whole) == "svcca(share=0.95)"
    assert specs.short(MEASURES, "svcca(share=0.9, rule=squared)") == "svcca"
