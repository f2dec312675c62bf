"""Choices that the study leaves open: each row is what a run with that choice gives."""

import numpy as np
import polars as pl
import pytest

from builders import make_run
from isogloss import specs
from isogloss.analyses import ANALYSES
from isogloss.api import analyse
from isogloss.similarity import svcca
from isogloss.storage.store import Store

SENTENCES = {"deu": 40, "eng": 36, "fin": 40, "swh": 38}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return make_run(
        tmp_path_factory.mktemp("choices") / "out",
        sentences=SENTENCES,
        recordings=2,
        analyses=["gaps", "choices"],
    )


@pytest.fixture(scope="module")
def found(made):
    return analyse(made.folder)[0]


def row(frame, choice, value):
    rows = frame.filter(pl.col("choice").str.contains(choice), value=value)
    assert rows.height == 1, (choice, value, frame.select("choice", "value"))
    return rows.row(0, named=True)


def by_hand(made, rows=slice(36), take=0, scaled=False, **options):
    """Mean cross-modal score at the last pair of taps, straight from the stored views."""

    def read(unit, tap):
        # Features are scaled over all that is stored of a view.
        whole = store.view(units[unit], tap).astype(float)
        return whole / whole.std(axis=0) if scaled else whole

    store, scores = Store(made.folder), []
    units = {(u.language, u.modality): u for u in made.units}
    for language, count in SENTENCES.items():
        text = read((language, "text"), "2")[:count][rows]
        speech = read((language, "speech"), "len")
        speech = speech[take * count : (take + 1) * count][rows]
        scores.append(svcca(text, speech, **options).score)
    return np.mean(scores)


@pytest.mark.parametrize(
    ("choice", "value", "options"),
    [
        ("share of variance", "squared singular values", {}),
        ("share of variance", "singular values", {"rule": "linear"}),
        ("coefficients", "98 % of their sum", {"mean": "98"}),
        ("standard deviation", "yes", {"scaled": True}),
        ("dropped below", "0", {"epsilon": 0.0}),
        ("which of its sentences", "the first by id", {}),
        ("recording of a sentence", "the next one", {"take": 1}),
    ],
)
def test_a_row_is_what_that_choice_gives(made, found, choice, value, options):
    got = row(found["choices"], choice, value)
    assert got["n"] == 36
    assert got["cross-modal"] == pytest.approx(by_hand(made, **options), abs=1e-12)


def test_all_sentences_and_the_last_ones(made, found):
    every = row(found["choices"], "sentences of a comparison", "all of its own")
    assert every["n"] == 36
    assert every["cross-modal"] == pytest.approx(by_hand(made, rows=slice(None)), abs=1e-12)
    last = row(found["choices"], "which of its sentences", "the last by id")
    assert last["cross-modal"] == pytest.approx(by_hand(made, rows=slice(-36, None)), abs=1e-9)


def test_each_kind_may_have_its_own_number(made, found):
    # All pairs share 36 sentences, but Finnish and German have 40 of their own.
    apart = row(found["choices"], "number of sentences", "one for each kind, as in its own figure")
    assert apart["n"] == 36
    assert apart["cross-modal"] == pytest.approx(by_hand(made), abs=1e-12)


def test_the_choice_made_here_is_that_of_the_run(found):
    frame, gaps = found["choices"], found["gaps"].filter(control="")
    own = frame.filter("here", note="")
    assert own.height == own["choice"].n_unique() == frame.filter(note="")["choice"].n_unique()
    for kind in ("cross-modal", "cross-lingual text", "cross-lingual speech"):
        mean = gaps.filter(group=kind)["score"].mean()
        assert own[kind].to_list() == pytest.approx([mean] * own.height, abs=1e-12)


def test_choices_that_need_another_extraction_say_how(found):
    listed = found["choices"].filter(pl.col("note") != "")
    assert {"model.pool_special_tokens", "model.text_in"} <= set(listed["choice"])
    assert row(listed, "text_in", "with_positions")["here"]
    other = row(listed, "text_in", "embedding")
    assert "--model.text-in embedding" in other["note"]
    assert np.isnan(other["cross-modal"] or np.nan)


def test_the_report_names_the_choice_that_moves_most(found):
    summary = specs.parse(ANALYSES, "choices").describe(found["choices"])
    text = " ".join(summary.findings)
    frame = found["choices"].filter(note="")
    own = frame.filter("here")["cross-modal"][0]
    most = frame.sort((pl.col("cross-modal") - own).abs()).row(-1, named=True)
    assert f"if {most['choice']}: {most['value']}" in text
    assert [title for title, _ in summary.tables] == [
        "Choices that could be tried",
        "Choices that need another extraction",
    ]


def test_a_measure_of_another_kind_varies_the_sentences_only(tmp_path):
    made = make_run(tmp_path / "out", analyses=["gaps", "choices"], measures=["cka"])
    frame = analyse(made.folder)[0]["choices"].filter(note="")
    assert {c.split(",")[0] for c in frame["choice"]} == {
        "sentences of a comparison", "which of its sentences",
        "number of sentences in the comparison of the gaps",
    }  # fmt: skip
