"""Several models on the same sentences: counts by hand, equality with a run, what is refused."""

import shutil
from itertools import combinations

import numpy as np
import polars as pl
import pytest
from scipy import stats

from builders import make_run
from isogloss import api
from isogloss.cli import call
from isogloss.errors import IsoglossError, StudyError
from isogloss.results import MEANS, SCHEMA
from isogloss.runs import Run
from isogloss.storage import sealing
from isogloss.together import together as with_report
from isogloss.together.findings import of_gaps, of_kind
from isogloss.together.ground import ground
from isogloss.together.models import joined, load
from isogloss.together.tables import DIFFERENCES, summary

LANGUAGES = ("deu", "eng", "fin", "swh")
COUNTS_A = {"deu": 30, "eng": 24, "fin": 28, "swh": 26}
COUNTS_B = {"deu": 20, "eng": 30, "fin": 27, "tur": 30}
QUICK = {"permutations": 0, "confounds": (), "jobs": 1}


def together(*arguments, **options):
    return with_report(*arguments, report=False, **options)


def run_of(folder, title, languages=LANGUAGES, texts=None, name=None, drop=(), **values):
    """A run with results, of a model that is called something."""
    made = make_run(folder, languages=languages, **{**QUICK, **values})
    path = folder / "run.json"
    values = sealing.read(path)
    values["model"]["title"] = title
    values["corpus"]["name"] = name or values["corpus"]["name"]
    sealing.write(path, values)
    ids = {(u.language, s) for u in made.units for s in u.sentences}
    made.keep_texts({key: " ".join(key) for key in ids} | (texts or {}))
    api.analyse(folder)
    return folder


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """Two models with other languages, other sentences and another width."""
    folder = tmp_path_factory.mktemp("pair")
    a = run_of(folder / "a", "first", sentences=COUNTS_A, seed=1)
    languages = tuple(COUNTS_B)
    b = run_of(folder / "b", "second", languages, sentences=COUNTS_B, seed=2, width=24)
    before = contents(a) | contents(b)
    done = together([a, b], folder / "out")
    assert contents(a) | contents(b) == before, "the runs' folders were written to"
    return done, a, b


def contents(folder):
    return {p: p.stat().st_mtime_ns for p in folder.rglob("*") if p.is_file()}


def test_languages_n_and_pairs_are_those_counted_by_hand(pair):
    done, *_ = pair
    assert done.ground.languages == ("deu", "eng", "fin")
    shared = {"deu": 20, "eng": 24, "fin": 27}
    assert {k: len(v) for k, v in done.ground.sentences.items()} == {
        (code, m): n for code, n in shared.items() for m in ("text", "speech")
    }
    for frame in done.results.values():
        assert frame["model"].unique().sort().to_list() == ["first", "second"]
    modal, lingual = done.results["cross_modal"], done.results["cross_lingual"]
    assert modal["n"].unique().to_list() == [20]
    assert set(modal["language_a"]) == {"deu", "eng", "fin"}
    # Sentences are numbered from 0, so two languages share as many as the shorter one has.
    assert lingual["n"].unique().to_list() == [min(20, 24)]
    pairs = set(combinations(("deu", "eng", "fin"), 2))
    for model in ("first", "second"):
        for group in ("text", "speech"):
            own = lingual.filter(model=model, group=group)
            assert set(own.select("language_a", "language_b").iter_rows()) == pairs


def test_n_is_that_of_the_smallest_comparison_of_any_model(tmp_path):
    a = run_of(tmp_path / "a", "first", sentences={"deu": 30, "eng": 25}, languages=("deu", "eng"))
    b = run_of(
        tmp_path / "b", "second", sentences={"deu": 21, "eng": 40}, languages=("deu", "eng"), seed=3
    )
    done = together([a, b], tmp_path / "out")
    # deu shares 21, eng 25; both are cut to the smaller number.
    assert done.results["cross_modal"]["n"].unique().to_list() == [21]
    own = api.load_results(a)["cross_modal"]["n"].unique().to_list()
    assert own == [25], "the run by itself has another N, so its scores could not be taken"


def test_without_restriction_the_scores_are_those_of_the_run(tmp_path):
    values = {"permutations": 9, "confounds": ("characters",), "sentences": 16}
    a = run_of(tmp_path / "a", "first", languages=("deu", "eng", "fin"), **values)
    b = run_of(tmp_path / "b", "second", languages=("deu", "eng", "fin"), seed=5, **values)
    done = together([a, b], tmp_path / "out")
    for folder, model in ((a, "first"), (b, "second")):
        for name, frame in api.load_results(folder).items():
            assert done.results[name].filter(model=model).drop("model").equals(frame)
        for name, frame in api.load_results(folder, means=True).items():
            assert done.means[name].filter(model=model).drop("model").equals(frame)


def test_tables_have_their_columns_and_are_on_disk(pair):
    done, *_ = pair
    for name, frame in done.results.items():
        assert frame.columns == ["model", *SCHEMA]
        assert pl.read_parquet(done.folder / "results" / f"{name}.parquet").equals(frame)
        assert (done.folder / "results" / f"{name}.csv").read_text().startswith('"model",')
    for frame in done.means.values():
        assert frame.columns == ["model", *MEANS]
    assert done.differences.columns == list(DIFFERENCES)


def test_a_difference_is_the_mean_over_languages_with_students_interval(pair):
    done, *_ = pair
    row = done.differences.filter(kind="cross-modal", control="").row(0, named=True)
    frame = done.results["cross_modal"].filter(label="len").sort("language_a")
    a, b = (frame.filter(model=m)["calibrated"].to_numpy() for m in ("first", "second"))
    values = a - b
    assert len(values) == 3
    assert row["difference"] == pytest.approx(values.mean())
    error = values.std(ddof=1) / np.sqrt(3)
    margin = stats.t.ppf(0.975, 2) * error
    assert (row["low"], row["high"]) == pytest.approx(
        (values.mean() - margin, values.mean() + margin)
    )
    assert row["p_value"] == pytest.approx(stats.ttest_rel(a, b).pvalue)
    assert (row["tap_a"], row["tap_b"], row["languages"], row["n"]) == ("len", "len", 3, 20)


def test_a_model_with_more_in_common_has_the_smaller_gap_and_noise_has_no_winner(tmp_path):
    """Planted: the second model's speech is its text with little noise, the third is the first."""
    codes = ("deu", "eng", "fin", "ita", "rus", "swh", "tur", "fra")
    a = run_of(tmp_path / "a", "weak", codes, sentences=30, seed=1, width=12)
    c = run_of(tmp_path / "c", "other", codes, sentences=30, seed=2, width=12)
    b = tmp_path / "b"
    shutil.copytree(a, b)
    make_alike(b)
    path = b / "run.json"
    values = sealing.read(path)
    values["model"]["title"] = "strong"
    sealing.write(path, values)
    done = together([a, b, c], tmp_path / "out")
    modal = done.differences.filter(kind="cross-modal")
    by = {(r["model_a"], r["model_b"]): r for r in modal.iter_rows(named=True)}
    assert set(by) == {("weak", "strong"), ("weak", "other"), ("strong", "other")}
    assert by["weak", "strong"]["high"] < 0
    assert by["weak", "strong"]["p_holm"] < 0.05
    assert by["strong", "other"]["low"] > 0
    assert by["weak", "other"]["p_holm"] > 0.05
    # Text is the same in two of them, which leaves eight tests; the first step is times eight.
    same = done.differences.filter(pl.col("p_value").is_nan())
    assert same["kind"].to_list() == ["cross-lingual text"]
    assert same["reason"].to_list() == ["all languages have the same value"]
    tested = done.differences["p_value"].to_numpy()
    least = int(np.nanargmin(tested))
    assert done.differences["p_holm"][least] == pytest.approx(min(1, 8 * tested[least]))
    table = summary(done.results, done.measures[0])
    said = of_kind(table, done.differences, "cross-modal")[0]
    assert said.startswith("strong has the smallest modality gap at the last tap, clearly so ")
    for model in ("weak", "strong", "other"):
        counted = larger_gaps(done.results["gaps"].filter(model=model))
        row = done.gaps.filter(model=model, scores="calibrated").row(0, named=True)
        assert (row["modality"], row["language"], row["decided"]) == (*counted, 8)
    headline = of_gaps(done.gaps, dict.fromkeys(("weak", "strong", "other"), "sonar"))[0]
    assert ", 0 of 8 in strong, " in headline


def larger_gaps(frame):
    """Languages whose modality gap is the larger one, and the others, from the definition."""
    own = dict(frame.filter(group="cross-modal").select("language_a", "calibrated").iter_rows())
    text = frame.filter(group="cross-lingual text")
    best = dict.fromkeys(own, -np.inf)
    for a, b, value in text.select("language_a", "language_b", "calibrated").iter_rows():
        best[a], best[b] = max(best[a], value), max(best[b], value)
    modality = sum(best[code] > own[code] for code in own)
    return modality, len(own) - modality


def make_alike(folder):
    """Set the speech of every language to its text, with a little noise."""
    run = Run.read(folder)
    store, rng = run.store(), np.random.default_rng(7)
    units = run.committed(store)
    for (code, modality), unit in units.items():
        if modality == "speech":
            text = store.view(units[code, "text"], "2")
            noise = {t: rng.normal(size=text.shape) for t in unit.taps}
            arrays = {t: (text + 0.1 * n).astype(np.float32) for t, n in noise.items()}
            record = store.record(unit)
            kept = ("sentences", "takes", "planned", "lengths", "speakers", "covariates", "failed")
            store.put(unit, arrays, {k: record[k] for k in (*kept, "notes", "device", "seconds")})


def test_a_model_of_text_alone_is_compared_where_it_can_be(tmp_path):
    codes = ("deu", "eng", "fin")
    a = run_of(tmp_path / "a", "both", codes, sentences=20)
    b = run_of(tmp_path / "b", "too", codes, sentences=20, seed=4)
    spoken = [(c, "speech") for c in codes]
    text = run_of(tmp_path / "t", "text only", codes, sentences=18, seed=5, missing=spoken)
    done = together([a, text, b], tmp_path / "out")
    assert set(done.results["cross_modal"]["model"]) == {"both", "too"}
    lingual = done.results["cross_lingual"]
    assert set(lingual.filter(group="text")["model"]) == {"both", "too", "text only"}
    assert set(lingual.filter(group="speech")["model"]) == {"both", "too"}
    assert lingual["n"].unique().to_list() == [18]
    assert set(done.gaps["model"]) == {"both", "too"}


def test_a_language_that_one_run_failed_to_hear_is_left_out_of_speech_for_all(tmp_path):
    codes = ("deu", "eng", "fin")
    a = run_of(tmp_path / "a", "first", codes, sentences=20)
    b = run_of(tmp_path / "b", "second", codes, sentences=20, seed=4, missing=[("fin", "speech")])
    found = ground(load([a, b], tmp_path / "out"))
    assert ("fin", "text") in found.sentences
    assert ("fin", "speech") not in found.sentences
    assert [(x.language, x.modality, x.reason) for x in found.left_out] == [
        ("fin", "speech", "not in second")
    ]


def test_a_second_time_nothing_is_scored_and_after_a_kill_only_the_rest(pair):
    done, a, b = pair
    parts = {p: p.stat().st_mtime_ns for p in (done.folder / "results" / "parts").iterdir()}
    victim = next(iter(parts))
    victim.unlink()
    again = together([a, b], done.folder)
    for name, frame in done.results.items():
        assert again.results[name].equals(frame)
    after = {p: p.stat().st_mtime_ns for p in (done.folder / "results" / "parts").iterdir()}
    assert set(after) == set(parts)
    assert {p for p in parts if after[p] != parts[p]} == {victim}


def test_equal_titles_are_told_apart_by_folder(tmp_path):
    codes = ("deu", "eng")
    a = run_of(tmp_path / "base", "same", codes, sentences=12)
    b = run_of(tmp_path / "tuned", "same", codes, sentences=12, seed=6)
    assert [m.name for m in load([a, b], tmp_path)] == ["same (base)", "same (tuned)"]


def test_languages_can_be_asked_for(pair, tmp_path):
    _, a, b = pair
    found = ground(load([a, b], tmp_path), ["de_de", "eng"])
    assert found.languages == ("deu", "eng")
    found = ground(load([a, b], tmp_path), ["paper-sonar"])
    assert found.languages == ("deu", "eng", "fin")
    assert "without arb" in found.rule
    with pytest.raises(IsoglossError, match=r"swh \(Swahili\) is not in second; .* deu, eng, fin"):
        ground(load([a, b], tmp_path), ["swh"])
    with pytest.raises(StudyError, match="unknown language"):
        ground(load([a, b], tmp_path), ["klingon"])


def test_what_cannot_be_compared_is_refused_and_nothing_is_written(pair, tmp_path):
    _, a, b = pair
    out = tmp_path / "out"

    def refused(folders, match, **options):
        with pytest.raises(IsoglossError, match=match):
            together(folders, out, **options)
        assert not out.exists()

    refused([a], "several runs are needed")
    refused([a, a], "given 2 times")
    (tmp_path / "empty").mkdir()
    refused([a, tmp_path / "empty"], "holds no run")
    copy = tmp_path / "copy"
    shutil.copytree(a, copy)
    refused([a, copy], "hold the same activations")
    shutil.rmtree(copy / "results")
    refused([a, copy], "has no results yet")
    other = run_of(tmp_path / "other", "x", ("deu", "eng"), sentences=12, name="elsewhere")
    refused([a, other], "of the corpus planted and .* of elsewhere")
    far = run_of(tmp_path / "far", "x", ("jpn", "kor"), sentences=12)
    refused([a, far], "no language in common")
    texts = {("eng", "3"): "another text", ("eng", "9"): "and another"}
    new = run_of(tmp_path / "new", "x", ("deu", "eng"), sentences=12, seed=8, texts=texts)
    refused([a, new], 'different texts of sentence "3" in eng: "eng 3" and "another text"')
    refused([a, b], "interval must be one of", interval="bootstrap")
    refused([a, b], "permutations and jobs must be 0 or more", permutations=-1)
    refused([a, b], "unknown measure", measures=["svca"])


def test_fewer_than_three_sentences_in_common_are_refused(tmp_path):
    codes = ("deu", "eng")
    a = run_of(tmp_path / "a", "first", codes, sentences=12)
    b = run_of(tmp_path / "b", "second", codes, sentences=12, seed=9)
    renamed(b, keep=2)
    with pytest.raises(IsoglossError, match="no two views have 3 sentences that all runs have; "):
        together([a, b], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def renamed(folder, keep):
    """Give all but the first few sentences of a run other ids."""
    names = {str(i): f"x{i}" for i in range(keep, 12)}
    for path in (*(folder / "activations").glob("*.json"), folder / "run.json"):
        record = sealing.read(path)
        for part in (record, *record.get("units", ())):
            if "sentences" in part:
                part["sentences"] = [names.get(s, s) for s in part["sentences"]]
        sealing.write(path, record)


def test_the_output_must_be_a_folder_of_its_own(pair, tmp_path):
    _, a, b = pair
    before = contents(a)
    for inside in (a, a / "together"):
        with pytest.raises(IsoglossError, match="which is only read"):
            together([a, b], inside)
    assert contents(a) == before
    (tmp_path / "mine.txt").write_text("thesis")
    with pytest.raises(IsoglossError, match="holds something else"):
        together([a, b], tmp_path)
    with pytest.raises(IsoglossError, match="is a file"):
        together([a, b], tmp_path / "mine.txt")
    assert [p.name for p in tmp_path.iterdir()] == ["mine.txt"]


def test_runs_that_differ_in_settings_share_those_of_the_first(pair, tmp_path):
    done, a, _ = pair
    assert done.notes == ()
    c = run_of(tmp_path / "c", "third", ("deu", "eng"), sentences=14, seed=3, permutations=5)
    found = together([a, c], tmp_path / "out", measures=["cka"])
    assert found.measures[0].startswith("cka")
    assert found.options.permutations == 0
    assert any("differ in permutations; here it is 0 for all" in n for n in found.notes)


def test_the_command_prints_the_last_taps_and_fails_with_one_line(pair, tmp_path, capsys):
    done, a, b = pair
    assert call(["together", str(a), str(b), "--output", str(done.folder)]) == 0
    printed = capsys.readouterr().out
    assert "cross-lingual speech" in printed
    assert "report.html" in printed
    figures = {p.name for p in (done.folder / "figures").glob("*.pdf")}
    assert figures >= {
        "together_cross_modal.pdf", "together_cross_modal_calibrated.pdf",
        "together_cross_lingual.pdf", "together_last_tap.pdf", "together_gaps.pdf",
        "together_differences.pdf",
    }  # fmt: skip
    text = (done.folder / "report.html").read_text(encoding="utf-8")
    for said in ("first", "second", "random", "synthesiser", "Models"):
        assert said in text
    assert call(["together", str(a), "--output", str(tmp_path / "x")]) == 1
    assert "several runs are needed" in capsys.readouterr().err
    assert not (tmp_path / "x").exists()


def test_names_in_a_sentence():
    assert [joined("abc"[:n]) for n in (1, 2, 3)] == ["a", "a and b", "a, b and c"]
