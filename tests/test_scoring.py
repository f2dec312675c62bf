"""Scores of a run whose measure misbehaves: nothing else is lost, and what is wrong is said."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from builders import make_run
from isogloss.api import analyse, load_results
from isogloss.similarity import Svcca

RIGHT = {"prepare": Svcca.prepare, "compare": Svcca.compare}


@pytest.fixture
def gaps(tmp_path, monkeypatch):
    """Makes the table of gaps with a method of SVCCA replaced."""

    def make(name, method, **values):
        monkeypatch.setattr(Svcca, name, method)
        made = make_run(tmp_path / "out", **{"analyses": "gaps", "jobs": 1, **values})
        frame = analyse(made.folder)[0]["gaps"]
        return made, frame

    return make


def mended(made, monkeypatch):
    for name, method in RIGHT.items():
        monkeypatch.setattr(Svcca, name, method)
    return analyse(made.folder)[0]["gaps"]


def test_a_measure_that_fails_on_one_pair_does_not_cost_the_others(gaps, monkeypatch):
    seen = []

    def fail_once(self, a, b, **options):
        seen.extend(["real"] * ("rows_a" in options))
        if len(seen) == 1:
            seen.append("failed")
            raise ArithmeticError("no luck")
        return RIGHT["compare"](self, a, b, **options)

    made, frame = gaps("compare", fail_once, confounds=())
    failed = frame.filter(pl.col("score").is_nan())
    assert failed["reason"].to_list() == ["ArithmeticError: no luck"]
    assert frame.height == 4 + 6 + 6
    again = mended(made, monkeypatch)
    assert again["reason"].to_list() == [""] * frame.height


def test_a_view_that_cannot_be_prepared_costs_its_own_scores_only(gaps, monkeypatch):
    views = []

    def fail_on_the_first(self, x):
        views.append(x)
        if len(views) == 1:
            raise ArithmeticError("no luck")
        return RIGHT["prepare"](self, x)

    made, frame = gaps("prepare", fail_on_the_first, confounds=())
    failed = frame.filter(pl.col("score").is_nan())
    assert set(failed["reason"]) == {"ArithmeticError: no luck"}
    assert 0 < failed.height < frame.height
    sides = [set(failed.select("language_a", "language_b").row(i)) for i in range(failed.height)]
    assert len(set.intersection(*sides)) == 1
    assert not mended(made, monkeypatch)["score"].is_nan().any()


def test_what_is_no_score_is_undefined(gaps):
    _, frame = gaps("compare", lambda *_, **__: 0.5, confounds=())
    assert set(frame["reason"]) == {"TypeError: compare returned float, not a Score"}


def test_a_score_that_fits_no_table_is_undefined(gaps):
    def odd(self, a, b, **options):
        return replace(RIGHT["compare"](self, a, b, **options), details={"k": "seven"})

    _, frame = gaps("compare", odd, confounds=())
    assert frame["score"].is_nan().all()
    assert frame["reason"].str.starts_with("ValueError: ").all()


def test_a_measure_without_regard_to_confounds_has_no_second_score(gaps):
    def careless(self, a, b, **options):
        return RIGHT["compare"](self, a, b, **{**options, "covariates": None})

    _, frame = gaps("compare", careless)
    plain, controlled = frame.filter(control=""), frame.filter(pl.col("control") != "")
    assert not plain["score"].is_nan().any()
    # Its shuffles are of as many rows as confounds leave, so it must say nothing or be stopped.
    assert controlled["score"].is_nan().all()
    assert set(controlled["reason"]) == {"the measure takes no confounds out"}


def test_a_shuffle_without_a_score_leaves_no_p_value(gaps):
    def lossy(self, a, b, **options):
        score = RIGHT["compare"](self, a, b, **options)
        if int(score.score * 1e6) % 2 and score.null.size:
            score.null[3] = np.nan
        return score

    made, frame = gaps("compare", lossy, confounds=())
    lost = frame.filter((pl.col("score") * 1e6).cast(int) % 2 == 1)
    assert 0 < lost.height < frame.height
    for column in ("p_value", "p_curve", "q_value", "calibrated"):
        assert lost[column].is_nan().all()
        assert not frame.filter((pl.col("score") * 1e6).cast(int) % 2 == 0)[column].is_nan().any()
    assert lost["warnings"].str.contains("1 of 20 shuffles have no score").all()
    means = load_results(made.folder, means=True)["gaps"]
    touched = means.filter(pl.col("group").is_in(lost["group"].unique().to_list()))
    assert touched["p_value"].is_nan().all()
    assert touched["reason"].str.contains("no p-value").all()


def test_a_confound_that_only_some_units_know_is_named_where_it_is_missing(tmp_path):
    made = make_run(tmp_path / "out", analyses="gaps", confounds=("accent",))
    frame = analyse(made.folder)[0]["gaps"]
    controlled = frame.filter(pl.col("control") == "accent")
    assert set(controlled["reason"]) == {"no confound varies between the sentences"}
    assert controlled["warnings"].str.contains("accent a .* 40 of 40 sentences lack it").all()
