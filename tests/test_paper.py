"""The paper's experiment by one command, on FLEURS trees made here, for all three models."""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import yaml

import isogloss
from fleurs_tree import make_tree
from isogloss import experiment
from isogloss.analyses.cross_lingual import CrossLingual
from isogloss.analyses.cross_modal import CrossModal
from isogloss.api import analyse, load_results
from isogloss.cli import call
from isogloss.errors import StudyError
from isogloss.languages import language, resolve
from isogloss.runs import Run
from isogloss.storage import sealing
from isogloss.storage.store import Store

pytest.importorskip("torch")
pytest.importorskip("transformers")
pytest.importorskip("soundfile")

import salmonn_files
import sonar_files

MODELS = ("seamless", "sonar", "salmonn")
SIX = ("cat", "deu", "eng", "fin", "swh", "tur")
"""Languages for SONAR, one of which it alone has, in letters that its small tokeniser knows."""
FIVE = ("deu", "eng", "est", "ita", "sna")
"""For SALMONN: the small one takes 256 tokens, which letters spelled as bytes would exceed."""
FIGURES = (
    "cross_modal", "cross_modal_calibrated", "cross_modal_map", "cross_lingual",
    "cross_lingual_calibrated", "gaps", "noise_ceiling", "maps", "findings",
)  # fmt: skip
HALVED = 40
"""Sentences below which they are not scored in halves."""
QUICK = ["--permutations", "19", "--interval", "none"]


@dataclass(frozen=True)
class Done:
    code: int
    folder: Path
    tree: object
    arguments: list[str]


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    return tmp_path_factory.mktemp("paper")


@pytest.fixture(scope="module")
def trees(work):
    every = tuple(resolve(["paper-seamless"]))
    return {
        "seamless": make_tree(work / "f7", every, sentences=12, form="tsv7"),
        "sonar": make_tree(work / "f8", SIX, sentences=48, form="tsv8", takes=(1, 1, 2)),
        "salmonn": make_tree(work / "f7x", FIVE, sentences=11, form="tsv7", packed=False),
    }


@pytest.fixture(scope="module")
def checkpoints(work):
    from isogloss.models._tiny import tiny_seamless

    tiny_seamless(work / "seamless")
    names = {c: f"spenc.v3ap.{c}.pt" for c in SIX} | sonar_files.FILES
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sonar_files, "FILES", names)
        sonar_files.write(work / "sonar", languages=SIX)
    (work / "salmonn").mkdir()
    salmonn = salmonn_files.write_all(work / "salmonn")
    return {
        "seamless": {"checkpoint": work / "seamless"},
        "sonar": {"text": work / "sonar", "speech": work / "sonar"},
        "salmonn": salmonn,
    }


def flores(folder, tree):
    """A folder in the layout of FLORES-200, with the tree's raw sentences of each language."""
    (folder / "devtest").mkdir(parents=True)
    ids = sorted(set.intersection(*(set(tree.sentences(c, "text")) for c in tree.languages)))
    for code, rows in tree.rows.items():
        texts = {row.sentence: row.raw for row in rows}
        lines = "".join(f"{texts[i]}\n" for i in ids)
        (folder / "devtest" / f"{language(code).flores200}.devtest").write_text(lines)
    return folder


@pytest.fixture(scope="module", params=MODELS)
def done(request, work, trees, checkpoints):
    model = request.param
    languages = {"sonar": SIX, "salmonn": FIVE}.get(model)
    arguments = ["paper", "--model", model, "--corpus.path", str(trees[model].folder), *QUICK]
    arguments += ["--corpus.cache", str(work / "clips"), "--output", str(work / f"out-{model}")]
    for name, value in checkpoints[model].items():
        arguments += [f"--model.{name}", str(value)]
    if model == "sonar":
        arguments += ["--flores", str(flores(work / "flores", trees[model]))]
    if languages:
        arguments += ["--corpus.languages", ",".join(languages)]
    return Done(call(arguments), work / f"out-{model}", trees[model], arguments)


def usable(done, modality):
    """What the tree calls the sentences that the model can use in a modality."""
    # SALMONN is given the recording with the text.
    return "both" if modality == "text" and done.arguments[2] == "salmonn" else modality


def smallest_shared(done):
    """N of the cross-lingual comparison."""
    return min(done.tree.smallest_shared(usable(done, m)) for m in ("text", "speech"))


def test_every_output_is_there(done):
    assert done.code == 0
    named = set(experiment.analyses_by_name())
    if done.tree.smallest_shared() < HALVED:
        named -= {"closest", "halves"}
    tables = load_results(done.folder)
    assert set(tables) == named
    assert all(table.height for table in tables.values())
    findings = pl.read_parquet(done.folder / "results" / "findings.parquet")
    assert findings.height
    assert set(findings["verdict"]) <= {
        "supported", "contradicted", "no evidence", "not testable",
    }  # fmt: skip
    assert set(findings["scores"]) >= {"raw", "calibrated", "controlled"}
    figures = {p.name for p in (done.folder / "figures").iterdir()}
    for name in FIGURES:
        for suffix in (".pdf", ".png", "-dark.png"):
            assert f"{name}{suffix}" in figures
    page = (done.folder / "report.html").read_text(encoding="utf-8")
    titles = re.findall(r'<section id="section-\d+">\s*<h2>(.*?)</h2>', page)
    assert titles[:2] == ["Findings", "Languages and sentences"]
    assert len(titles) == len(named) + 1


def test_counts_are_those_of_the_tables(done):
    table = load_results(done.folder)["counts"].filter(what="language")
    assert set(table["language"]) == set(done.tree.languages)
    for row in table.iter_rows(named=True):
        assert (row["utterances"], row["sentences"]) == done.tree.counts[row["language"]]
        assert row["published sentences"] > row["sentences"]
        for modality in ("text", "speech"):
            having = done.tree.sentences(row["language"], usable(done, modality))
            assert row[modality] == len(having)


def test_n_and_pairs_are_those_worked_out_by_hand(done):
    tables, tree = load_results(done.folder), done.tree
    count = len(tree.languages)
    modal = tables["cross_modal"].filter(control="")
    assert set(modal["n"]) == {tree.smallest}
    assert modal["language_a"].n_unique() == count
    assert (modal["language_a"] == modal["language_b"]).all()
    least = smallest_shared(done)
    lingual = tables["cross_lingual"].filter(control="")
    assert set(lingual["n"]) == {least}
    for modality in ("text", "speech"):
        pairs = lingual.filter(group=modality).select("language_a", "language_b").unique()
        assert {tuple(sorted(p)) for p in pairs.iter_rows()} == set(tree.shared(modality))
        assert pairs.height == count * (count - 1) // 2
    derived = dict(
        tables["counts"].filter(pl.col("what") != "language")["what", "value"].iter_rows()
    )
    assert derived == {
        "cross-modal N": tree.smallest,
        "cross-lingual N": least,
        "pairs of languages": count * (count - 1) // 2,
    }


def test_the_sentences_of_each_comparison_are_the_first_n(done):
    run = Run.read(done.folder)
    contents, tree = run.contents(run.store()), done.tree
    for c in CrossModal().comparisons(contents):
        assert c.sentences == tree.sentences(c.a.language)[: tree.smallest]
    least = smallest_shared(done)
    shared = {"text": tree.shared(usable(done, "text")), "speech": tree.shared("speech")}
    for c in CrossLingual().comparisons(contents):
        pair = tuple(sorted((c.a.language, c.b.language)))
        assert c.sentences == shared[c.group][pair][:least]


def test_one_utterance_stands_for_a_sentence_and_the_next_is_another_recording(done):
    run = Run.read(done.folder)
    store = run.store()
    for unit in run.units:
        record = store.record(unit)
        firsts = [s for s, t in zip(record["sentences"], record["takes"], strict=True) if t == 0]
        assert len(firsts) == len(set(firsts))
        assert set(record["takes"]) <= ({0, 1} if unit.modality == "speech" else {0})
        assert tuple(firsts) == done.tree.sentences(unit.language, usable(done, unit.modality))
        if unit.modality == "speech":
            heard = [r.sentence for r in done.tree.rows[unit.language] if r.heard]
            takes = {s: record["sentences"].count(s) for s in firsts}
            assert takes == {s: min(2, heard.count(s)) for s in firsts}


def test_what_could_not_be_used_is_named(done):
    run = Run.read(done.folder)
    left = list(run.left_out(run.store()))
    for code, rows in done.tree.rows.items():
        reasons = [d.reason for d in left if d.language == code]
        lost = [r for r in rows if r.odd in ("missing", "broken", "silent", "empty", "wide")]
        assert len(reasons) >= len(lost), (code, [r.odd for r in lost], reasons)


def test_the_taps_are_those_of_appendix_b(done):
    taps = {m: [t for t, _ in found] for m, found in Run.read(done.folder).taps.items()}
    model = done.arguments[2]
    first, last = {"seamless": ("in", "len"), "sonar": ("in", "pool"), "salmonn": ("in", "4")}[
        model
    ]
    assert taps["text"][0] == first
    assert taps["speech"][-1] == last
    assert ("enc" in taps["speech"]) == (model == "salmonn")
    numbered = [int(t) for t in taps["text"] if t.isdecimal()]
    assert numbered == sorted(numbered)


def test_tokens_are_counted_on_flores_if_it_is_given(done):
    frame = load_results(done.folder)["tokens"]
    count = len(done.tree.languages)
    pairs = frame.filter(kind="pair")
    assert pairs.height == count * (count - 1) // 2
    assert pairs["jaccard"].is_between(0, 1).all()
    if done.arguments[2] == "sonar":
        lines = (done.folder.parent / "flores" / "devtest" / "deu_Latn.devtest").read_text()
        assert set(pairs["sentences"]) == {lines.count("\n")}
        assert set(frame["source"]) == {"FLORES devtest"}
    else:
        assert set(frame["source"]) == {"the run"}


def test_the_same_command_again_does_nothing_new(done):
    before = {p.name: p.stat().st_mtime_ns for p in (done.folder / "activations").iterdir()}
    parts = {p.name: p.stat().st_mtime_ns for p in (done.folder / "results" / "parts").iterdir()}
    skipped = analyse(done.folder)[1]
    assert set(skipped) <= {"closest", "halves"}
    assert {p.name: p.stat().st_mtime_ns for p in (done.folder / "activations").iterdir()} == before
    after = {p.name: p.stat().st_mtime_ns for p in (done.folder / "results" / "parts").iterdir()}
    assert after == parts


def test_the_study_is_written_down_instead(tmp_path, capsys):
    path, texts = tmp_path / "s.yaml", tmp_path / "flo res, 1"
    (texts / "devtest").mkdir(parents=True)
    for name in ("deu_Latn", "eng_Latn"):
        (texts / "devtest" / f"{name}.devtest").write_text("one\ntwo\nthree\n")
    assert call(["paper", "--model", "seamless", "--flores", str(texts), "--seed", "3",
                 "--write", str(path)]) == 0  # fmt: skip
    values = yaml.safe_load(path.read_text())
    assert values["corpus"]["languages"] == ["paper-seamless"]
    assert values["model"]["taps"] == "paper"
    assert values["seed"] == 3
    assert any(a.startswith("tokens(") and str(texts) in a for a in values["analyses"])
    assert isogloss.Study.read(path) == isogloss.paper("seamless", flores=texts, seed=3)
    assert call(["paper", "--model", "seamless", "--write", str(path)]) == 1
    assert "exists already" in capsys.readouterr().err
    # What is wrong with FLORES is said before anything is run, and so is that nobody asked.
    assert call(["paper", "--model", "seamless", "--flores", str(tmp_path / "none")]) == 1
    assert call(["paper", "--model", "seamless", "--flores", str(texts), "--analyses", "gaps"]) == 2
    assert "`tokens` is not among" in capsys.readouterr().err


def test_any_family_and_any_corpus_can_take_part():
    study = isogloss.paper("towers", corpus={"source": "udhr"}, text="a", speech="b", seed=2)
    assert study.corpus.source == "udhr"
    assert (study.model.text, study.model.speech, study.seed) == ("a", "b", 2)
    assert isogloss.paper("whisper").corpus.languages == ("paper-common",)
    with pytest.raises(StudyError, match="unknown model"):
        isogloss.paper("seemless")
    assert call(["paper", "--model", "seemless"]) == 2


def test_shuffled_speech_is_at_chance_and_shuffled_text_leaves_speech_alone(tmp_path):
    """Each language's recordings under other sentences' ids: nothing is left of the relation."""
    from builders import make_run

    languages = ("deu", "eng", "fin", "fra", "heb", "hin", "swh", "tur")
    asked = {"sentences": 60, "permutations": 99, "interval": "subsampling", "confounds": ()}
    asked["analyses"] = ["cross_modal", "cross_lingual"]
    whole = analyse(make_run(tmp_path / "whole", languages, **asked).folder)[0]["cross_modal"]
    assert (whole.filter(label="2")["calibrated"] > 0.5).all()
    made = make_run(tmp_path / "shuffled", languages, **asked)
    shuffle(made.folder, "speech")
    tables, _ = analyse(made.folder)
    means = load_results(made.folder, means=True)
    scores = tables["cross_modal"]
    # Of 95 % intervals, some one in twenty is to miss.
    inside = (scores["low"] <= scores["null_mean"]) & (scores["null_mean"] <= scores["high"])
    assert inside.mean() > 0.85
    speech = means["cross_lingual"].filter(group="speech")
    for rows in (means["cross_modal"], speech):
        assert rows["calibrated"].abs().max() < 0.04
        assert (rows["p_curve"] > 0.01).all()
    assert (tables["cross_modal"]["q_value"] > 0.05).all()
    text = means["cross_lingual"].filter(group="text").sort("position")
    assert text["calibrated"][-1] > 0.5


def shuffle(folder, modality, seed=0):
    """Exchange the sentence ids of the stored rows of a modality, in each language its own way."""
    rng = np.random.default_rng(seed)
    run = Run.read(folder)
    for unit in run.units:
        if unit.modality != modality:
            continue
        path = folder / "activations" / f"{unit.name}.json"
        record = sealing.read(path)
        ids = list(dict.fromkeys(record["sentences"]))
        other = dict(zip(ids, rng.permutation(ids).tolist(), strict=True))
        record["sentences"] = [other[s] for s in record["sentences"]]
        sealing.write(path, record)
    assert Store(folder).record(run.units[0])
