"""A joint run beside its control: what the texts took from the speech before them."""

import polars as pl
import pytest

from builders import make_run
from isogloss.api import analyse, load_results, write_report
from isogloss.control import keep, kept
from isogloss.control.figure import CONTROL, OWN, charts, findings
from isogloss.errors import IsoglossError
from isogloss.report.content import content
from isogloss.runs import Run
from isogloss.storage import sealing


def described(folder, companion, **model):
    path = folder / "run.json"
    values = sealing.read(path)
    values["model"] |= {"companion": companion, **model}
    sealing.write(path, values)
    return Run.read(folder)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folders = [tmp_path_factory.mktemp("control") / name for name in ("joint", "mismatched")]
    found = []
    for seed, folder, companion in zip((0, 1), folders, ("same", "other"), strict=True):
        make_run(folder, seed=seed, analyses=("cross_modal", "cross_lingual", "gaps"))
        found.append(described(folder, companion))
        analyse(folder)
    return found


def test_the_report_sets_the_control_beside_the_run(runs):
    joint, control = runs
    page = write_report(joint.folder, control=control.folder).read_text()
    assert "How much of it did the texts take" in page
    assert CONTROL in page
    assert (joint.folder / "figures" / "control_cross_modal.png").exists()
    assert kept(joint).origin == str(control.folder)
    made = content(joint, load_results(joint.folder), load_results(joint.folder, means=True))
    assert made.sections[-1].title == "Control"
    assert kept(control) is None


def test_both_curves_are_those_of_their_runs(runs):
    mine, its = (pl.concat(load_results(r.folder, means=True).values()) for r in runs)
    drawn = {c.name: c for c in charts(mine, its)}
    assert set(drawn) == {"control_cross_modal", "control_cross_lingual"}
    for panel in drawn["control_cross_lingual"].panels:
        lines = {line.name: line for line in panel.marks}
        assert set(lines) == {OWN, CONTROL}
        for name, means in ((OWN, mine), (CONTROL, its)):
            rows = means.filter(analysis="cross_lingual", control="", group=panel.title)
            assert lines[name].y == tuple(rows.sort("position")["calibrated"])
        assert lines[OWN].y != lines[CONTROL].y
    said = findings(mine, its)
    last = its.filter(analysis="cross_modal", control="").sort("position")["calibrated"][-1]
    start = "Speech against text (matched) at the last tap (len)"
    told = next(text for text in said if text.startswith(start))
    assert f"{last:.2f} with another one's" in told
    assert not any("gap" in text for text in said)
    assert len(findings(*(m.filter(analysis="gaps") for m in (mine, its)))) == 3


@pytest.mark.parametrize(
    ("mine", "its", "message"),
    [
        ("none", {"companion": "other"}, "they were encoded alone"),
        ("same", {"companion": "same"}, "they had that of their own"),
        ("same", {"companion": "other", "checkpoint": {"weights": "1"}}, "has another checkpoint"),
    ],
)
def test_what_is_no_control_is_refused(tmp_path, mine, its, message):
    for name in ("a", "b"):
        make_run(tmp_path / name)
    one, other = described(tmp_path / "a", mine), described(tmp_path / "b", **its)
    with pytest.raises(IsoglossError, match=message):
        keep(one, other.folder)
    assert not (one.folder / "control").exists()


def test_a_control_without_results_is_refused(tmp_path):
    for name, companion in (("a", "same"), ("b", "other")):
        make_run(tmp_path / name)
        described(tmp_path / name, companion)
    with pytest.raises(IsoglossError, match="b has no results yet"):
        keep(Run.read(tmp_path / "a"), tmp_path / "b")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model": {"last_layer": "raw"}}, r"other settings of the model \(last_layer\)"),
        ({"seed": 7}, "other seed"),
        ({"sentences": 30}, r"other sentences \(deu speech, deu text"),
    ],
)
def test_a_control_differs_in_its_input_alone(tmp_path, change, message):
    make_run(tmp_path / "a")
    make_run(
        tmp_path / "b", **({"sentences": change["sentences"]} if "sentences" in change else {})
    )
    path = tmp_path / "b" / "run.json"
    values = sealing.read(path)
    values["study"]["model"] |= change.get("model", {})
    values["study"]["seed"] = change.get("seed", values["study"]["seed"])
    sealing.write(path, values)
    one, other = described(tmp_path / "a", "same"), described(tmp_path / "b", "other")
    with pytest.raises(IsoglossError, match=message):
        keep(one, other.folder)
