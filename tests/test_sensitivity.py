import shutil

import polars as pl
import pytest

from builders import make_run
from isogloss.analyses._gap_table import KINDS
from isogloss.api import analyse, write_report
from isogloss.charts import Line, check
from isogloss.cli import call
from isogloss.errors import IsoglossError, StudyError
from isogloss.events import Silent
from isogloss.figures import plan
from isogloss.sensitivity import findings, outdated, read_table, sensitivity
from isogloss.sensitivity.figure import chart
from isogloss.sensitivity.table import SCHEMA
from isogloss.similarity import svcca
from isogloss.similarity.measures import MEASURES
from isogloss.storage import sealing
from plugins import measures


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
    analyse(run.folder)
    page = write_report(run.folder).read_text()
    assert "Sensitivity" in page
    assert (run.folder / "figures" / "sensitivity.png").exists()


def test_bad_input(tmp_path):
    spoken = [("deu", "speech"), ("eng", "speech"), ("fin", "speech")]
    run = make_run(tmp_path / "out", missing=spoken)
    with pytest.raises(IsoglossError, match="speech of at least 2 must be there; .* only of swh"):
        sensitivity(run.folder)
    run = make_run(tmp_path / "none", missing=[*spoken, ("swh", "speech")])
    with pytest.raises(IsoglossError, match="at least 2 must be there; they are of none"):
        sensitivity(run.folder)
    assert not (run.folder / "sensitivity").exists()
    whole = make_run(tmp_path / "other")
    with pytest.raises(StudyError, match="above 0 and at most 1, not 1.5"):
        sensitivity(whole.folder, shares=[1.5])
    with pytest.raises(StudyError, match='did you mean "svcca"'):
        sensitivity(whole.folder, measures=["svca"])
    with pytest.raises(IsoglossError, match="holds no run"):
        sensitivity(tmp_path)


def test_what_is_asked_for_twice_is_varied_once(tmp_path):
    run = make_run(tmp_path / "out", languages=("deu", "eng"))
    frame = sensitivity(
        run.folder,
        shares=[0.9, 0.8, 0.9],
        fractions=[1, 1.0],
        measures=["svcca", "svcca(share=0.9)", "svcca"],
    )
    assert frame.filter(kind=KINDS[0]).select("choice", "value").rows() == [
        ("squared", "0.8"), ("squared", "0.9"), ("linear", "0.8"), ("linear", "0.9"),
        ("sentences", "1"), ("measure", "svcca"),
    ]  # fmt: skip
    check(chart(frame))


def test_legend_has_one_entry_for_lines_and_marks_of_one_name(made):
    drawn = chart(made[1])
    entries = plan.legend(drawn)
    assert [e.name for e in entries] == [
        *KINDS, "modality gap larger, calibrated scores", "modality gap larger, raw scores",
    ]  # fmt: skip
    assert {e.kind for e in entries} == {"line"}
    last = drawn.panels[-1]
    assert [plan.place(entries, m) for m in last.marks] == [3, 4]
    assert not any(isinstance(m, Line) for m in last.marks)


def test_bands_are_spoken_of_only_where_they_are_drawn(made):
    _, frame = made
    assert "95 %" in chart(frame).caption
    bare = frame.with_columns(low=pl.lit(float("nan")), high=pl.lit(None, pl.Float64))
    assert "95 %" not in chart(bare).caption
    assert "95 %" in chart(frame.filter(choice="measure")).caption


def test_a_number_of_sentences_without_scores_is_left_out_of_the_figure(made):
    _, frame = made
    few = pl.col("value") == "0.5"
    gone = frame.with_columns(n=pl.when(few).then(None).otherwise("n"))
    panel = chart(gone).panels[4]
    assert [m.x for m in panel.marks] == [(40.0,)] * 3


@pytest.fixture
def varied(made, tmp_path):
    """A copy of the run with its table."""
    folder = tmp_path / "out"
    shutil.copytree(made[0].folder, folder)
    return folder


def change(path, **values):
    found = sealing.read(path)
    for key, value in values.items():
        if isinstance(value, dict):
            found[key] |= value
        else:
            found[key] = value
    sealing.write(path, found)


def test_a_table_holds_until_the_run_is_another(varied):
    assert not outdated(varied)
    assert read_table(varied).height
    # What changes no number changes nothing.
    change(varied / "run.json", study={"title": "Other", "jobs": 1})
    assert not outdated(varied)
    change(varied / "run.json", study={"seed": 1})
    assert outdated(varied)
    assert read_table(varied) is None


def test_a_unit_that_was_made_again_makes_the_table_out_of_date(varied):
    record = next((varied / "activations").glob("eng.speech-*.json"))
    change(record, sha256="0" * 64)
    assert outdated(varied)


def test_a_unit_that_came_later_makes_the_table_out_of_date(tmp_path):
    run = make_run(tmp_path / "out", missing=[("swh", "speech")])
    sensitivity(run.folder, shares=[], fractions=[1], measures=["svcca"])
    assert not outdated(run.folder)
    make_run(tmp_path / "out")
    assert outdated(run.folder)


def test_a_table_of_unknown_origin_does_not_count(varied):
    (varied / "sensitivity" / "sensitivity.json").unlink()
    assert outdated(varied)
    assert read_table(varied) is None
    shutil.rmtree(varied / "sensitivity")
    assert not outdated(varied)
    assert read_table(varied) is None


def test_the_report_says_that_a_table_is_out_of_date(varied):
    analyse(varied)
    change(varied / "run.json", study={"seed": 1})
    page = write_report(varied).read_text()
    assert "made before this run was changed" in page
    assert "`isogloss sensitivity` makes it again" in page
    assert "How far does the conclusion depend" not in page
    assert not list((varied / "figures").glob("sensitivity*"))


def test_without_results_the_command_succeeds_and_says_what_is_left(tmp_path, capsys):
    run = make_run(tmp_path / "out", languages=("deu", "eng"))
    asked = [str(run.folder), "--shares", "0.9", "--sentences", "1", "--measures", "svcca,svcca"]
    assert call(["sensitivity", *asked]) == 0
    captured = capsys.readouterr()
    assert "after `isogloss run`" in captured.out + captured.err
    assert "report: " not in captured.out
    assert read_table(run.folder).height == 12
    analyse(run.folder)
    assert call(["sensitivity", *asked]) == 0
    assert "report: " in capsys.readouterr().out
    assert (run.folder / "figures" / "sensitivity.png").exists()


PLUGIN = """
from isogloss.settings import setting
from isogloss.similarity.measures.cka import Cka

class Picky(Cka):
    sigma: float = setting(role="analysis", help="Width of the kernel.")
"""


class Heard(Silent):
    def __init__(self):
        self.warnings = []

    def warn(self, message):
        self.warnings.append(message)


@pytest.fixture
def plugins(tmp_path, monkeypatch):
    """A measure with a required option, and one that is not there."""
    with measures(tmp_path, monkeypatch, PLUGIN, picky="Picky", gone="Gone"):
        yield


@pytest.mark.usefixtures("plugins")
def test_measures_that_cannot_be_tried_are_left_out_with_a_warning(tmp_path):
    run = make_run(tmp_path / "out", languages=("deu", "eng"), sentences=20, permutations=0)
    events = Heard()
    frame = sensitivity(run.folder, shares=[], fractions=[1], events=events)
    assert set(frame.filter(choice="measure")["value"]) == set(MEASURES._builtin)
    gone, picky = sorted(events.warnings, key=lambda w: "required" in w)
    assert '"picky" cannot be used without options' in picky
    assert "sigma" in picky
    assert 'plug-in "gone"' in gone
    with_it = sensitivity(run.folder, shares=[], fractions=[], measures=["picky(sigma=2)"])
    assert set(with_it["value"]) == {"picky(sigma=2.0)"}
