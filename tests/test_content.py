import pytest

from builders import make_run
from isogloss.api import analyse, load_results
from isogloss.report.content import _grouped, content
from isogloss.runs import Run


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    run = make_run(
        tmp_path_factory.mktemp("content") / "out",
        missing=[("swh", "speech")],
        measures=["svcca", "svcca(rule=linear)"],
        sentences={"deu": 40, "eng": 40, "fin": 2, "swh": 40},
    )
    analyse(run.folder)
    return content(
        Run.read(run.folder), load_results(run.folder), load_results(run.folder, means=True)
    )


def test_warnings_that_differ_in_numbers_are_counted_together():
    cells = [
        "the first view keeps only 5 dimensions; 3 of 9 coefficients are one",
        "the second view keeps only 7 dimensions",
        "",
    ]
    assert _grouped(cells) == [
        ("a view keeps only 5 to 7 dimensions", 2),
        ("3 of 9 coefficients are one", 1),
    ]


def test_banners_say_what_must_not_be_missed(made):
    text = " ".join(b.text for b in made.banners)
    assert "random" in text
    assert "synthesiser" in text
    assert "Not extracted, so not in any figure: swh speech." in text
    assert "scores could not be computed" in text


def test_what_was_left_out_is_listed_with_its_reason(made):
    assert ("eng", "speech", "eng.wav is empty", 1, "99") in made.dropped.rows


def test_counts_name_planned_and_used(made):
    rows = {(r[0], r[3]): r[4:6] for r in made.counts.rows}
    assert rows["deu", "text"] == (40, 40)
    assert rows["swh", "speech"] == (40, 0)


def test_each_measure_has_its_own_sections_and_figure_names(made):
    names = [c.name for s in made.sections for c in s.charts]
    assert len(names) == len(set(names))
    titles = [c.title for s in made.sections for c in s.charts]
    assert len(titles) == len(set(titles))
    assert "Modality gap against language gap: svcca(rule=linear)" in titles
    assert "Modality gap against language gap: svcca" in titles
    assert all("untrained" in " ".join(c.notes) for s in made.sections for c in s.charts)


def test_findings_never_show_a_number_that_is_none(made):
    for section in made.sections:
        assert section.text
        assert "nan" not in section.text.lower().split()
        assert "None" not in section.text
