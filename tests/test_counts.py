"""Counts beside Table 1 of the study: of which corpora, and what is said of differences."""

import polars as pl
import pytest

from builders import make_run
from isogloss import specs
from isogloss.analyses import ANALYSES
from isogloss.analyses.counts import PUBLISHED
from isogloss.api import analyse
from isogloss.languages import languages, resolve
from isogloss.runs import Run
from isogloss.storage import sealing

PAPER = tuple(resolve(["paper-sonar"]))


def as_fleurs(folder, counts, split="test"):
    """Say of a planted run that it was made of FLEURS with so many utterances and sentences."""
    path = folder / "run.json"
    values = sealing.read(path)
    values["study"]["corpus"] = {"source": "fleurs", "split": split}
    values["corpus"]["counts"] = {
        code: {"utterances": a, "sentences": b} for code, (a, b) in counts.items()
    }
    sealing.write(path, values)
    assert Run.read(folder).corpus["counts"]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("counts") / "out"
    # The smallest sizes that there can be: counts and pairs are looked at, no score.
    make_run(folder, PAPER, sentences=5, width=2, permutations=0, confounds=(),
             analyses=["cross_modal", "cross_lingual", "counts"])  # fmt: skip
    known = languages()
    counts = {c: (known[c].published_utterances, known[c].published_sentences) for c in PAPER}
    counts["swh"] = (480, counts["swh"][1])
    as_fleurs(folder, counts)
    return analyse(folder)[0]["counts"]


def test_table_1_is_told_apart_language_by_language(made):
    summary = specs.parse(ANALYSES, "counts").describe(made)
    text = " ".join(summary.findings)
    assert "29 of 30 languages have as many utterances" in text
    assert "swh 480 instead of 487" in text
    assert "30 of 30 languages have as many sentences" in text
    table = dict(summary.tables)["By language, beside Table 1 of the study"]
    assert table.filter(language="swh")["utterances: difference"].to_list() == [-7]
    assert table["sentences: difference"].to_list() == [0] * 30
    first, last = languages()["arb"], table.filter(language="arb").row(0, named=True)
    assert last["published sentences"] == first.published_sentences == 283


def test_what_follows_stands_beside_the_study(made):
    rows = {r["what"]: r for r in made.filter(pl.col("what") != "language").iter_rows(named=True)}
    assert {k: r["published"] for k, r in rows.items()} == PUBLISHED["paper-sonar"]
    assert {k: r["value"] for k, r in rows.items()} == {
        "cross-modal N": 5, "cross-lingual N": 5, "pairs of languages": 435,
    }  # fmt: skip


@pytest.mark.parametrize(("split", "languages_"), [("dev", PAPER[:3]), ("test", PAPER[:3])])
def test_published_numbers_are_of_the_test_split_and_of_whole_sets_alone(
    tmp_path, split, languages_
):
    made = make_run(tmp_path / "out", languages_, sentences=5, width=2, permutations=0,
                    confounds=(), analyses=["cross_modal", "counts"])  # fmt: skip
    as_fleurs(made.folder, dict.fromkeys(languages_, (9, 5)), split)
    frame = analyse(made.folder)[0]["counts"]
    assert frame.filter(pl.col("what") != "language")["published"].is_null().all()
    of_table_1 = frame.filter(what="language")["published sentences"]
    assert of_table_1.is_null().all() == (split == "dev")
    tables = dict(specs.parse(ANALYSES, "counts").describe(frame).tables)
    columns = tables["By language, beside Table 1 of the study"].columns
    assert any("published" in c for c in columns) == (split == "test")


def test_another_corpus_has_counts_of_its_own(tmp_path):
    made = make_run(tmp_path / "out", recordings=2, permutations=0, confounds=(),
                    analyses=["cross_modal", "counts"])  # fmt: skip
    frame = analyse(made.folder)[0]["counts"].filter(what="language")
    assert frame["utterances"].is_null().all()  # the planted run does not say
    assert frame["text"].to_list() == [40] * 4
    assert frame["further recordings"].to_list() == [40] * 4
