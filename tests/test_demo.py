"""The demo: a model that has learned, beside the same one untrained."""

import json

import polars as pl
import pytest

import isogloss
from isogloss.demo import LANGUAGES, demo_study, run_demo
from isogloss.languages import language
from isogloss.planning import plan
from isogloss.storage.verifying import verify


def test_it_is_as_large_as_promised():
    found = plan(demo_study())
    assert {u.language for u in found.units} == set(LANGUAGES)
    assert {u.modality for u in found.units} == {"text", "speech"}
    assert all(len(u.sentences) == 200 for u in found.units)
    assert found.taps == found.layout.taps
    assert len({language(code).family for code in LANGUAGES}) == 6
    assert {language(code).resource for code in LANGUAGES} == {"high", "medium", "low"}


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    output = tmp_path_factory.mktemp("demo") / "out"
    return run_demo(output, languages="eng,fra,fin,kat", sentences=40)


@pytest.mark.slow
def test_the_trained_model_stands_beside_the_untrained(done):
    assert not done.failed
    models = [
        json.loads((folder / "run.json").read_text())["model"]
        for folder in (done.folder, done.folder / "untrained")
    ]
    assert [m["title"] for m in models] == ["seamless-demo", "seamless-demo-untrained"]
    assert [m["untrained"] for m in models] == [False, True]
    page = done.report.read_text(encoding="utf-8")
    assert "Beside untrained" in page
    assert not (done.folder / "untrained" / "report.html").exists()
    assert list(verify(done.folder)) == []
    assert list(verify(done.folder / "untrained")) == []


@pytest.mark.slow
def test_the_model_has_learned(done):
    """Even of 40 sentences: the last place is above the first layer, and far above untrained."""
    last = {}
    for name, folder in (("trained", done.folder), ("untrained", done.folder / "untrained")):
        frame = isogloss.load_results(folder)["cross_modal"]
        own = frame.filter(pl.col("language_a").is_in(["eng", "fra", "fin"]), control="")
        ends = own.filter(group="matched").sort("position").group_by("label", maintain_order=True)
        means = ends.agg(pl.col("calibrated").mean())["calibrated"].to_list()
        last[name] = means[-1]
        if name == "trained":
            assert means[-1] > means[1] + 0.03
    assert last["trained"] > last["untrained"] + 0.1


def test_sentences_of_none_are_refused(tmp_path):
    with pytest.raises(isogloss.IsoglossError):
        run_demo(tmp_path / "out", sentences=0)
    assert not (tmp_path / "out").exists()
