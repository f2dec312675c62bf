import polars as pl
import pytest

from builders import make_run
from isogloss.api import write_report
from isogloss.errors import IsoglossError, StudyError
from isogloss.sensitivity import findings, sensitivity
from isogloss.sensitivity.figure import chart
from isogloss.sensitivity.table import KINDS, SCHEMA
from isogloss.similarity import svcca


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    run = make_run(tmp_path_factory.mktemp("run") / "out", languages=("deu", "eng", "fin"))
    frame = sensitivity(
        run.folder, shares=(0.8, 0.9), fractions=(0.5, 1), measures=["svcca", "cka", "procrustes"]
    )
    return run, frame


def test_every_choice_is_varied_alone(made):
    _, frame = made
    assert dict(frame.schema) == SCHEMA
    values = frame.filter(kind=KINDS[0]).select("choice", "value").rows()
    assert values == [
        ("squared", "0.8"), ("squared", "0.9"), ("linear", "0.8"), ("linear", "0.9"),
        ("sentences", "0.5"), ("sentences", "1"),
        ("measure", "svcca"), ("measure", "cka"), ("measure", "procrustes"),
    ]  # fmt: skip
    assert frame.filter(choice="sentences")["n"].to_list() == [20] * 3 + [40] * 3
    same = frame.filter(
        ((pl.col("choice") == "squared") & (pl.col("value") == "0.9"))
        | ((pl.col("choice") == "sentences") & (pl.col("value") == "1"))
        | ((pl.col("choice") == "measure") & (pl.col("value") == "svcca"))
    )
    assert same.height == 9
    assert same.group_by("kind").agg(pl.col("score").n_unique())["score"].to_list() == [1, 1, 1]


def test_scores_are_those_of_the_views(made):
    run, frame = made
    store, scores = run.store(), []
    for language in ("deu", "eng", "fin"):
        units = run.committed(store)
        x = store.view(units[language, "text"], "2")
        y = store.view(units[language, "speech"], "len")
        scores.append(svcca(x, y, share=0.8, rule="linear").score)
    row = frame.filter(choice="linear", value="0.8", kind="cross-modal").row(0, named=True)
    assert row["score"] == pytest.approx(sum(scores) / 3)
    assert row["languages"] == 3
    assert row["decided"] == 3


def test_measures_without_a_closed_form_are_shuffled(made):
    _, frame = made
    defined = frame.filter(pl.col("score").is_not_nan())
    assert defined["chance"].is_not_nan().all()


def test_figure_and_report(made):
    run, frame = made
    drawn = chart(frame)
    assert len(drawn.panels) == 8
    assert findings(frame)
    from isogloss.api import analyse

    analyse(run.folder)
    page = write_report(run.folder).read_text()
    assert "Sensitivity" in page
    assert (run.folder / "figures" / "sensitivity.png").exists()


def test_bad_input(tmp_path):
    run = make_run(tmp_path / "out", missing=[(x, "speech") for x in ("deu", "eng", "fin", "swh")])
    with pytest.raises(IsoglossError, match="no text and speech of one language"):
        sensitivity(run.folder)
    whole = make_run(tmp_path / "other")
    with pytest.raises(StudyError, match="above 0 and at most 1, not 1.5"):
        sensitivity(whole.folder, shares=[1.5])
    with pytest.raises(StudyError, match='did you mean "svcca"'):
        sensitivity(whole.folder, measures=["svca"])
    with pytest.raises(IsoglossError, match="holds no run"):
        sensitivity(tmp_path)
