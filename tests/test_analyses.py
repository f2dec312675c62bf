import shutil

import numpy as np
import polars as pl
import pytest

from builders import PAIRS, SHARED, TAPS, make_run
from isogloss import specs
from isogloss.analyses import ANALYSES
from isogloss.analyses._curves import subsets
from isogloss.analyses._gap_table import by_language
from isogloss.analyses._tests import of_languages
from isogloss.analyses.base import Contents
from isogloss.analyses.gaps import Gaps
from isogloss.api import analyse, load_results
from isogloss.charts import Line
from isogloss.errors import IsoglossError
from isogloss.events import Silent
from isogloss.figures import plan
from isogloss.results import MEANS, SCHEMA
from isogloss.similarity import svcca
from isogloss.similarity.inference import benjamini_hochberg
from isogloss.storage import sealing
from plugins import DISTANCE, measures


def contents(counts):
    ids = {k: tuple(str(i) for i in v) for k, v in counts.items()}
    return Contents(ids, TAPS, PAIRS)


def summarised(folder, line):
    """What an analysis says of all its scores in a run."""
    analyse(folder)
    name = line.partition("(")[0]
    frame, means = (load_results(folder, means=m)[name] for m in (False, True))
    return specs.parse(ANALYSES, line).summarise(frame, means)


def listed(line, found):
    return list(specs.parse(ANALYSES, line).comparisons(found))


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    made = make_run(tmp_path_factory.mktemp("run") / "out")
    analyse(made.folder)
    return made


def test_cross_modal_lists_every_language_and_pair():
    found = contents(
        {(x, m): range(10) for x in ("deu", "eng") for m in ("text", "speech")}
        | {("lao", "text"): range(10)}
    )
    got = listed("cross_modal", found)
    assert len(got) == 2 * len(PAIRS)
    assert {(c.a.tap, c.b.tap) for c in got} == {(p.text, p.speech) for p in PAIRS}
    assert all(c.a.language == c.b.language for c in got)
    assert [c.label for c in got[:4]] == ["in", "1", "2", "len"]
    grid = listed("cross_modal(pairs=all)", found)
    assert len(grid) == 2 * (len(PAIRS) + 3 * 4)


def test_cross_lingual_lists_every_pair_of_each_modality():
    found = contents(
        {(x, "text"): range(10) for x in ("deu", "eng", "lao")}
        | {(x, "speech"): range(10) for x in ("deu", "eng")}
    )
    got = listed("cross_lingual", found)
    assert len(got) == 3 * 3 + 1 * 4
    assert all(c.a.modality == c.b.modality and c.a.tap == c.b.tap for c in got)


def test_gaps_compare_at_the_last_pair_only():
    found = contents({(x, m): range(10) for x in "abc" for m in ("text", "speech")})
    got = listed("gaps", found)
    assert len(got) == 3 + 3 + 3
    assert {(c.a.tap, c.b.tap) for c in got} == {("2", "len"), ("2", "2"), ("len", "len")}


def test_the_rule_of_the_study_takes_the_first_n_of_each_with_n_the_smallest():
    own = [tuple("abcde"), tuple("bcd"), tuple("xyzw")]
    assert subsets(own, "smallest") == [tuple("abc"), tuple("bcd"), tuple("xyz")]
    assert subsets(own, "all") == own
    assert subsets([tuple("abcde"), tuple("bcde")], "shared") == [tuple("bcde")] * 2


def test_a_pair_with_too_few_sentences_does_not_shrink_the_others():
    own = [tuple("abcde"), ("a",), tuple("abcd")]
    assert [len(s) for s in subsets(own, "smallest")] == [4, 1, 4]


def test_tables_follow_the_schema_and_repeat_the_measure_itself(run):
    for name, frame in load_results(run.folder).items():
        assert dict(frame.schema) == SCHEMA
        assert set(frame["analysis"]) == {name}
        assert (frame["n"] == 40).all()
        assert (frame["permutations"] == 20).all()
        assert set(frame["control"]) == {"", "characters, tokens, seconds"}
        assert set(frame.filter(control="")["covariates"]) == {0}
    means = load_results(run.folder, means=True)
    assert all(dict(frame.schema) == MEANS for frame in means.values())
    store = run.store()
    units = run.committed(store)
    frame = load_results(run.folder)["cross_modal"]
    for row in frame.filter(language_a="fin").iter_rows(named=True):
        x = store.view(units["fin", "text"], row["tap_a"])
        y = store.view(units["fin", "speech"], row["tap_b"])
        text, speech = (store.record(units["fin", m])["covariates"] for m in ("text", "speech"))
        lengths = [text["characters"], text["tokens"], speech["seconds"]]
        direct = svcca(x, y, covariates=np.transpose(lengths) if row["control"] else None)
        assert row["covariates"] == (3 if row["control"] else 0)
        assert row["score"] == pytest.approx(direct.score, abs=1e-12)
        assert (row["k_a"], row["k_b"]) == (direct.k_x, direct.k_y)
        assert row["chance"] == pytest.approx(direct.chance)
        assert row["calibrated"] == pytest.approx(
            (row["score"] - row["null_mean"]) / (1 - row["null_mean"])
        )


def test_planted_similarity_rises_over_the_taps_and_starts_at_chance(run):
    frame = load_results(run.folder)["cross_modal"]
    for control in set(frame["control"]):
        rows = frame.filter(control=control)
        means = rows.group_by("label", "position").agg(pl.col("calibrated").mean())
        first, *rest = means.sort("position")["calibrated"]
        assert abs(first) < 0.1
        assert first < rest[0] < rest[1] < rest[2]
        last = rows.filter(label="len")
        for p in ("p_value", "p_curve"):
            assert (last[p] == 1 / 21).all()
        assert (last["q_value"] >= last["p_value"]).all()
        assert (rows["p_curve"] >= rows["p_value"]).all()


def test_means_are_those_of_the_rows_and_tested_over_the_curve(run):
    rows = load_results(run.folder)["cross_modal"].filter(control="")
    means = load_results(run.folder, means=True)["cross_modal"].filter(control="").sort("position")
    assert means["label"].to_list() == ["in", "1", "2", "len"]
    assert (means["languages"] == 4).all()
    for mean in means.iter_rows(named=True):
        own = rows.filter(label=mean["label"])
        assert mean["score"] == pytest.approx(own["score"].mean())
        assert mean["null"] == pytest.approx(own["null_mean"].mean())
        assert mean["low"] < mean["score"] < mean["high"]
        half = 3.182446 * own["score"].std() / 2  # t with 3 degrees of freedom
        assert mean["high"] - mean["score"] == pytest.approx(half, rel=1e-5)
    assert means["p_curve"][0] > 0.05
    assert (means["p_curve"][1:] == 1 / 21).all()


def test_intervals_hold_their_score(run, tmp_path):
    made = make_run(
        tmp_path / "out", interval="subsampling", languages=("deu", "eng"), permutations=10,
        analyses=["cross_modal", "cross_lingual"],
    )  # fmt: skip
    tables, _ = analyse(made.folder)
    frame = tables["cross_modal"]
    assert set(frame["interval"]) == {"subsampling"}
    assert (frame["low"] < frame["score"]).all()
    assert (frame["score"] < frame["high"]).all()
    assert tables["cross_lingual"]["low"].is_nan().all()
    assert load_results(run.folder)["cross_modal"]["low"].is_nan().all()


def test_intervals_over_recordings(tmp_path):
    made = make_run(
        tmp_path / "out", interval="utterances", recordings=2, languages=("deu", "eng"),
        analyses=["cross_modal", "noise_ceiling"], permutations=0,
    )  # fmt: skip
    tables, _ = analyse(made.folder)
    frame = tables["cross_modal"]
    assert set(frame["interval"]) == {"utterances"}
    assert (frame["low"] < frame["high"]).all()
    # Where the recordings are given, others are no interval of the same score.
    assert tables["noise_ceiling"]["low"].is_nan().all()
    few = make_run(tmp_path / "few", interval="utterances", languages=("deu", "eng"))
    rows = analyse(few.folder)[0]["cross_modal"]
    assert rows["low"].is_nan().all()
    assert rows["warnings"].str.contains("only 0% of the sentences have several recordings").all()


def test_scores_do_not_depend_on_threads_or_on_what_else_is_compared(run, tmp_path):
    alone = make_run(
        tmp_path / "out", jobs=1, analyses="gaps", seed=0, languages=("deu", "eng", "fin", "swh")
    )
    analyse(alone.folder)
    assert load_results(alone.folder)["gaps"].equals(load_results(run.folder)["gaps"])


def test_finished_chunks_are_not_computed_again(run, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(run.folder, folder)
    parts = sorted((folder / "results" / "parts").iterdir())
    before = {p: p.stat().st_mtime_ns for p in parts}
    parts[0].unlink()
    analyse(folder)
    after = {p: p.stat().st_mtime_ns for p in sorted((folder / "results" / "parts").iterdir())}
    assert {p for p in before if before[p] != after[p]} == {parts[0]}
    for name, frame in load_results(folder).items():
        assert frame.equals(load_results(run.folder)[name])


def test_a_changed_option_replaces_its_chunks_and_tables(run, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(run.folder, folder)
    values = sealing.read(folder / "run.json")
    values["study"] |= {"measures": ["svcca(rule=linear)"], "analyses": ["gaps"]}
    sealing.write(folder / "run.json", values)
    told = []

    class Notes(Silent):
        def note(self, message):
            told.append(message)

    analyse(folder, Notes())
    assert told == [
        "removed the tables of cross_lingual, cross_modal, which the study no longer asks for"
    ]
    assert list(load_results(folder)) == ["gaps"]
    assert {p.stem for p in (folder / "results").glob("*.csv")} == {"gaps", "findings"}
    measure = load_results(folder)["gaps"]["measure"].unique().to_list()
    assert measure == ["svcca(share=0.9, rule=linear, mean=all, epsilon=1e-10, zscore=false)"]
    assert len(list((folder / "results" / "parts").iterdir())) == 3


def test_a_language_with_too_few_sentences_is_nan_with_a_reason(tmp_path):
    made = make_run(tmp_path / "out", sentences={"deu": 40, "eng": 30, "fin": 2, "swh": 40})
    tables, _ = analyse(made.folder)
    frame = tables["cross_modal"]
    few = frame.filter(language_a="fin")
    assert few["score"].is_nan().all()
    assert (few["reason"] != "").all()
    rest = frame.filter(pl.col("language_a") != "fin")
    assert (rest["n"] == 30).all()
    assert rest["score"].is_not_nan().all()
    for name, table in tables.items():
        means = load_results(made.folder, means=True)[name]
        summary = specs.parse(ANALYSES, name).summarise(table, means)
        assert summary.findings
        assert "nan" not in " ".join(summary.findings)


def test_missing_units_are_left_out_of_the_comparisons(tmp_path):
    made = make_run(tmp_path / "out", missing=[("fin", "speech")])
    tables, skipped = analyse(made.folder)
    assert skipped == []
    assert set(tables["cross_modal"]["language_a"]) == {"deu", "eng", "swh"}
    text = tables["cross_lingual"].filter(group="text")
    assert "fin" in {*text["language_a"], *text["language_b"]}


def test_nothing_to_compare_is_said(tmp_path):
    made = make_run(tmp_path / "out", languages=("deu",), missing=[("deu", "speech")])
    with pytest.raises(IsoglossError, match="nothing to compare"):
        analyse(made.folder)


def test_which_gap_is_larger_follows_the_best_partner():
    def row(kind, a, b, score):
        empty = dict.fromkeys(SCHEMA, None)
        return {
            **empty, "measure": "svcca", "group": kind, "language_a": a, "language_b": b,
            "score": score, "calibrated": score / 2, "n": 9, "chance": 0.1, "null_mean": 0.1,
            "permutations": 5,
        }  # fmt: skip

    frame = pl.DataFrame(
        [
            row("cross-modal", "deu", "deu", 0.5),
            row("cross-modal", "eng", "eng", 0.7),
            row("cross-modal", "fin", "fin", 0.9),
            row("cross-lingual text", "deu", "eng", 0.6),
            row("cross-lingual text", "deu", "fin", 0.4),
            row("cross-lingual text", "eng", "fin", 0.3),
        ],
        schema=SCHEMA,
    )
    table = by_language(frame)
    assert dict(table.select("language", "larger gap").iter_rows()) == {
        "deu": "modality", "eng": "language", "fin": "language",
    }  # fmt: skip
    deu = table.filter(language="deu").row(0, named=True)
    assert (deu["cross-lingual text lowest"], deu["cross-lingual text highest"]) == (0.4, 0.6)
    assert deu["cross-lingual text"] == pytest.approx(0.5)
    assert deu["cross-lingual text partners"] == 2


@pytest.mark.parametrize("name", ["cross_modal(pairs=all)", "cross_lingual", "gaps"])
def test_every_figure_shows_chance_and_names_its_axes(run, tmp_path, name):
    made = make_run(tmp_path / "out", analyses=[name])
    summary = summarised(made.folder, name)
    for chart in summary.charts:
        assert chart.caption
        for panel in chart.panels:
            assert panel.x.label
            assert panel.y.label
            if chart.name != "cross_modal_map":
                roles = {m.role for m in panel.marks}
                assert {"data", "chance", "baseline"} <= roles, panel.title
            for mark in panel.marks:
                if isinstance(mark, Line):
                    assert len(mark.x) == len(mark.y)
                    assert np.isfinite(mark.y).all()


def test_the_tap_after_the_adaptor_is_marked(run):
    frame, means = (load_results(run.folder, means=m)["cross_modal"] for m in (False, True))
    chart = specs.parse(ANALYSES, "cross_modal").summarise(frame, means).charts[0]
    line = chart.panels[0].marks[0]
    assert line.x == ("in", "1", "2", "len")
    assert line.emphasis == (False, False, False, True)
    assert "lowest" in line.hover[0]
    assert "N 40" in line.hover[0]
    assert "kept dimensions" in line.hover[0]
    assert "chance" in line.hover[0]


def test_a_renamed_language_is_compared_under_its_new_name(tmp_path):
    """The speech of a language under a wrong code has the same activations as under the right."""
    made = make_run(tmp_path / "out", languages=("deu", "eng", "ind"))
    analyse(made.folder)
    values = sealing.read(made.folder / "run.json")
    for unit in values["units"]:
        if unit["language"] == "ind":
            old = make_name(unit)
            unit["language"], unit["digest"] = "tur", unit["digest"][::-1]
            folder = made.folder / "activations"
            record = sealing.read(folder / f"{old}.json")
            record |= {"language": "tur", "digest": unit["digest"]}
            sealing.write(folder / f"{make_name(unit)}.json", record)
    sealing.write(made.folder / "run.json", values)
    tables, _ = analyse(made.folder)
    for frame in tables.values():
        assert {*frame["language_a"], *frame["language_b"]} == {"deu", "eng", "tur"}


def make_name(unit):
    return f"{unit['language']}.{unit['modality']}-{unit['digest'][:12]}"


@pytest.mark.parametrize("permutations", [0, 5])
def test_where_chance_is_one_nothing_is_claimed(tmp_path, permutations):
    made = make_run(tmp_path / "out", sentences=5, permutations=permutations)
    tables, _ = analyse(made.folder)
    for name, frame in tables.items():
        full = frame.filter(pl.col("score").is_not_nan(), pl.col("score") > 1 - 1e-6)
        assert not full.is_empty()
        assert full["calibrated"].is_nan().all()
        assert full["warnings"].str.contains("chance is the best score").all()
        few = frame.filter(pl.col("control") != "")
        assert few["reason"].str.contains(r"beyond the [34] confounds, there are 5").any()
        summary = summarised(made.folder, name)
        text = " ".join(summary.findings)
        assert summary.findings
        assert "nan" not in text
        assert "None" not in text
        assert "modality gap is the larger one for 4" not in text


def test_too_few_permutations_are_said_to_be_too_few(tmp_path):
    made = make_run(tmp_path / "out", permutations=3)
    found = summarised(made.folder, "cross_modal").findings
    text = " ".join(found)
    assert "permutation null" not in text
    assert "better than chance at" not in text
    assert "3 permutations are too few to test single languages: " in text
    assert "3 permutations are too few to test the mean over languages; it takes 19" in text


def corrected(p_values, permutations):
    """Rows with p-values, corrected together."""
    return pl.DataFrame(
        {
            "p_value": p_values,
            "q_value": benjamini_hochberg(p_values),
            "permutations": [permutations] * len(p_values),
        },
        schema={"p_value": pl.Float64, "q_value": pl.Float64, "permutations": pl.Int64},
    )


@pytest.mark.parametrize(
    ("ahead", "permutations", "needed"), [(1, 99, 199), (2, 38, 99), (10, 18, 19), (3, 59, 66)]
)
def test_permutations_that_cannot_show_anything_are_no_finding(ahead, permutations, needed):
    p = [1 / (permutations + 1)] * ahead + [0.9] * (10 - ahead)
    rows = corrected(p, permutations)
    text = of_languages(rows[:4], rows, "Here")
    assert f"{permutations} permutations are too few" in text
    assert text.endswith(f"takes {needed}." if permutations > 18 else "takes 19.")
    # As many as are named do, and one less does not.
    for count, counts in ((needed, True), (needed - 1, False)):
        p[:ahead] = [1 / (count + 1)] * ahead
        rows = corrected(p, count)
        text = of_languages(rows[:4], rows, "Here")
        assert ("too few" not in text) == counts
        if counts:
            assert text.startswith(f"Here {min(ahead, 4)} of 4 languages score better")


def test_nothing_found_with_enough_permutations_is_a_finding():
    # No score of these rows is ahead of all its permutations, so more of them would not help.
    rows = corrected([0.01, *[0.5] * 9], 99)
    assert of_languages(rows[1:], rows, "Here").startswith("Here 0 of 9 languages score better")
    assert "too few" in of_languages(rows[:1], rows, "Here")
    rows = corrected([0.5] * 10, 9)
    assert "it takes 19 for any p-value" in of_languages(rows, rows, "Here")
    nan = float("nan")
    assert of_languages(corrected([nan, nan], 0), corrected([nan, nan], 0), "Here") is None


def test_the_cells_of_a_map_are_scored_against_chance_and_tested_nowhere(tmp_path):
    line = "cross_modal(pairs=all)"
    asked = {"permutations": 19, "interval": "subsampling", "confounds": ("characters",)}
    made = make_run(tmp_path / "out", analyses=[line], languages=("deu", "eng"), **asked)
    every = analyse(made.folder)[0]["cross_modal"]
    cells, rows = every.filter(group="all pairs"), every.filter(group="matched")
    assert cells.height == 2 * 12
    assert set(cells["control"]) == {""}
    assert set(cells["permutations"]) == {0}
    assert (
        cells.select(pl.all_horizontal(pl.col("p_value", "q_value", "low").is_nan()))
        .to_series()
        .all()
    )
    assert cells["chance"].is_not_nan().all()
    assert set(rows["control"]) == {"", "characters"}
    assert set(rows["permutations"]) == {19}
    # A cell on the diagonal is the score of the curve.
    keys = ["language_a", "tap_a", "tap_b"]
    both = cells.join(rows.filter(control=""), on=keys, suffix="_curve")
    assert both.height == 2 * 4
    assert (both["score"] == both["score_curve"]).all()
    assert (both["chance"] == both["chance_curve"]).all()
    # The correction is over what is tested alone.
    plain = rows.filter(control="")
    assert (plain["q_value"] <= plain["p_value"] * plain.height + 1e-12).all()


def test_a_map_by_a_measure_without_closed_form_keeps_its_permutations(tmp_path):
    line = "cross_modal(pairs=all)"
    made = make_run(tmp_path / "out", analyses=[line], permutations=19, measures=["procrustes"])
    cells = analyse(made.folder)[0]["cross_modal"].filter(group="all pairs")
    assert cells["chance"].is_nan().all()
    assert set(cells["permutations"]) == {19}
    assert cells["calibrated"].is_not_nan().all()


def test_without_any_chance_level_that_is_said(tmp_path):
    made = make_run(tmp_path / "out", permutations=0, measures=["procrustes"])
    for name in ("cross_modal", "cross_lingual", "gaps"):
        text = " ".join(summarised(made.folder, name).findings)
        assert "no chance level to compare with" in text
        assert "`permutations` above 0" in text
        assert "Nothing can be above chance" not in text
        assert "undefined" not in text
        # What needs no chance is said all the same.
        assert "No comparison of the two gaps" not in text
    assert "By raw scores the modality gap is the larger one for" in text


def test_a_distance_is_read_the_other_way_round(tmp_path, monkeypatch):
    """Two minus twice a similarity: every number that does not depend on the scale is the same."""
    with measures(tmp_path, monkeypatch, DISTANCE, distance="Distance"):
        made = make_run(
            tmp_path / "out",
            measures=["procrustes", "distance"],
            interval="subsampling",
            analyses=["gaps", "cross_modal(pairs=all)", "cross_lingual"],
        )
        analyse(made.folder)
        rows, means = (load_results(made.folder, means=m) for m in (False, True))
        said, tables = {}, {}
        for measure in ("procrustes", "distance"):
            one = pl.col("measure").str.starts_with(measure)
            frame = rows["gaps"].filter(one)
            summary = Gaps().summarise(frame, means["gaps"].filter(one))
            said[measure] = summary.findings
            tables[measure] = by_language(frame.filter(control=""))
            chart = summary.charts[0]
            assert ("above the bottom of the text range" in chart.caption) == (
                measure == "distance"
            )
            assert ("0 = same" in chart.panels[0].y.label) == (measure == "distance")
            part = specs.parse(ANALYSES, "cross_modal(pairs=all)")
            modal = part.summarise(
                rows["cross_modal"].filter(one), means["cross_modal"].filter(one)
            )
            assert "(best − chance)" in modal.charts[2].caption
            assert "by permutation" in modal.charts[2].caption
            said[measure] += modal.findings[1:]
        assert said["procrustes"] == said["distance"]
        assert any("the raw comparison is clear" in line for line in said["distance"])
        same = ["language", "larger gap", "larger gap (calibrated)"]
        near, far = (tables[m] for m in ("procrustes", "distance"))
        assert near.select(same).equals(far.select(same))
        assert {*near["larger gap"]} == {"language"}
        np.testing.assert_allclose(
            far["cross-lingual text closest"], 2 - 2 * near["cross-lingual text closest"]
        )


def test_taps_without_a_matched_pair_still_have_their_map(tmp_path, monkeypatch):
    monkeypatch.setattr("builders.PAIRS", ())
    made = make_run(tmp_path / "out", analyses="cross_modal(pairs=all)")
    summary = summarised(made.folder, "cross_modal(pairs=all)")
    assert [c.name for c in summary.charts] == ["cross_modal_map"]


def test_captions_speak_of_what_is_drawn(run, tmp_path):
    """Bands, chance, baseline and calibrated scores are named where they are, and nowhere else."""
    without = make_run(
        tmp_path / "out", permutations=0, measures=["procrustes"], languages=("deu", "eng")
    )
    for folder, chance in ((run.folder, True), (without.folder, False)):
        for name in ("cross_modal", "cross_lingual", "gaps"):
            charts = summarised(folder, name).charts
            assert len(charts) == (1 if name == "gaps" or not chance else 2)
            for chart in charts:
                marks = [(m, p) for p in chart.panels for m in p.marks]
                drawn = any(isinstance(m, Line) and plan.band(m, p) for m, p in marks)
                assert ("Bands are 95 %" in chart.caption) == drawn
                assert any(m.role == "chance" for m, _ in marks) == chance
                assert ("matched null" in chart.caption) == chance
                assert "baseline" in chart.caption
                assert ("(score − chance)" in chart.caption) == any(
                    "calibrated" in p.y.label for p in chart.panels
                )
    # Four languages have an interval, the six pairs of them have not: both cases were met.
    bands = [
        "Bands" in summarised(run.folder, n).charts[0].caption
        for n in ("cross_modal", "cross_lingual")
    ]
    assert bands == [True, False]


def test_legend_of_the_gaps_names_chance_and_baseline_once(run):
    chart = summarised(run.folder, "gaps").charts[0]
    entries = plan.legend(chart)
    assert [(e.name, e.role) for e in entries] == [
        ("cross-modal", "data"), ("cross-lingual text", "data"), ("cross-lingual speech", "data"),
        ("chance (matched null)", "chance"), ("Gaussian baseline", "baseline"),
    ]  # fmt: skip
    for panel in chart.panels:
        for mark, shift in zip(panel.marks, plan.dodge(panel), strict=True):
            own = mark.role == "chance" and isinstance(mark, Line)
            assert plan.place(entries, mark) == (
                -1
                if own
                else ["data", "chance", "baseline"].index(mark.role)
                + (mark.colour if mark.role == "data" else 2)
            )
            # Each reference stands with the scores that it belongs to.
            if not own:
                beside = [m for m in panel.marks if m.role == "data" and m.colour == mark.colour]
                assert shift == plan.dodge(panel)[panel.marks.index(beside[0])]
    # The table of values tells them apart all the same.
    names = {m.name for p in chart.panels for m in p.marks if m.role == "chance"}
    assert len(names) == 4


def test_a_mean_that_could_not_be_tested_says_why(run):
    frame, means = (load_results(run.folder, means=m)["cross_modal"] for m in (False, True))
    nan = pl.lit(float("nan"))
    reason = "no p-value: 1 of 4 scores have no null"
    lost = means.with_columns(p_value=nan, p_curve=nan, reason=pl.lit(reason))
    text = " ".join(specs.parse(ANALYSES, "cross_modal").summarise(frame, lost).findings)
    assert f"The mean over languages has {reason}." in text
    assert "better than chance at" not in text


def test_taps_of_one_depth_stay_in_the_order_of_the_model(tmp_path, monkeypatch):
    speech = (("enc", 0.0), ("proj", 0.0), *TAPS["speech"])
    monkeypatch.setattr("builders.TAPS", {"text": TAPS["text"], "speech": speech})
    monkeypatch.setattr("builders.SHARED", {"enc": 0.0, "proj": 0.2, **SHARED})
    made = make_run(tmp_path / "out", analyses="cross_lingual")
    for chart in summarised(made.folder, "cross_lingual").charts:
        text, speech = chart.panels
        assert text.x.categories == ("in", "1", "2")
        assert speech.x.categories == ("enc", "proj", "in", "1", "2", "len")
        for panel in chart.panels:
            assert all(line.x == panel.x.categories for line in panel.marks)
