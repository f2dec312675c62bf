"""Shuffles that views share: what they have in common survives, so that means can be tested."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from builders import make_run
from isogloss.analyses.base import Comparison, ViewKey
from isogloss.errors import MeasureError
from isogloss.sharing import Options, Shared
from isogloss.similarity import Shuffles, Svcca
from isogloss.similarity.partial import nuisance
from isogloss.similarity.shuffles import InducedShuffles


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    run = make_run(tmp_path_factory.mktemp("run") / "out", languages=("deu", "eng", "fin"))
    store = run.store()
    return Shared(store, run.committed(store), Options(25, 0, (), "none"))


def shuffles(shared, a, b, ids=range(12)):
    c = Comparison(ViewKey(*a, "2"), ViewKey(*b, "2"), tuple(map(str, ids)), "", "", 0, 0.0)
    return shared.shuffles(c)


def orders(shared, a, b, ids=range(12), kept=None):
    return shuffles(shared, a, b, ids).orders(len(ids), kept)


def test_orders_are_permutations(shared):
    found = orders(shared, ("deu", "text"), ("eng", "text"))
    assert found.shape == (25, 12)
    assert (np.sort(found, axis=1) == np.arange(12)).all()
    assert len({tuple(o) for o in found}) == 25
    fewer = orders(shared, ("deu", "text"), ("eng", "text"), kept=np.array([0, 2, 3, 7, 9]))
    assert (np.sort(fewer, axis=1) == np.arange(5)).all()


def test_all_speech_is_shuffled_alike_against_all_text(shared):
    np.testing.assert_array_equal(
        orders(shared, ("deu", "text"), ("deu", "speech")),
        orders(shared, ("eng", "text"), ("eng", "speech")),
    )


def test_a_language_is_shuffled_alike_against_all_others(shared):
    ab, bc, ac = (
        orders(shared, (x, "text"), (y, "text"), ids=range(40))
        for x, y in (("deu", "eng"), ("eng", "fin"), ("deu", "fin"))
    )
    np.testing.assert_array_equal(np.take_along_axis(bc, ab, axis=1), ac)
    assert (ab != bc).any()


def test_the_sentences_decide_not_their_places(shared):
    few = orders(shared, ("deu", "text"), ("eng", "text"), ids=[3, 7, 9])
    same = orders(shared, ("deu", "text"), ("eng", "text"), ids=[7, 3, 9])
    turn = np.array([1, 0, 2])
    np.testing.assert_array_equal(same, turn[few[:, turn]])


def test_a_subset_moves_as_the_whole_unless_a_sentence_is_lacking(shared):
    whole = orders(shared, ("deu", "text"), ("deu", "speech"))
    ids = [0, 1, 2, 4, 5, 6, 7, 8, 10, 11]
    part = np.array(ids)[orders(shared, ("deu", "text"), ("deu", "speech"), ids=ids)]
    there = np.isin(whole[:, ids], ids)
    assert 0.5 < there.mean() < 1
    np.testing.assert_array_equal(part[there], whole[:, ids][there])


@given(st.integers(1, 12), st.integers(0, 2**32 - 1))
def test_lacking_sentences_are_passed_over(n, seed):
    """By the definition: from each sentence, follow the order until one comes that is there."""
    rng = np.random.default_rng(seed)
    whole = np.stack([rng.permutation(n) for _ in range(3)])
    members = rng.permutation(n)[: rng.integers(1, n + 1)]
    found = InducedShuffles(3, 0, whole, members).orders(members.size)
    for order, got in zip(whole, found, strict=True):
        for i, sentence in enumerate(members):
            following = order[sentence]
            while following not in members:
                following = order[following]
            assert members[got[i]] == following


def test_a_subset_of_random_orders_is_random():
    whole = Shuffles(6000).orders(7)
    found = InducedShuffles(6000, 0, whole, np.array([5, 0, 2])).orders(3)
    counts = np.unique(found, axis=0, return_counts=True)[1]
    assert counts.size == 6
    assert stats.chisquare(counts).pvalue > 0.001


def test_rows_that_confounds_leave_must_be_named(shared):
    with pytest.raises(MeasureError, match=r"of 12 sentences, and orders of 10 .* as `kept`"):
        shuffles(shared, ("deu", "text"), ("eng", "text")).orders(10)


def simulate(n, missing, confounds, studies=300):
    """p-values of means over languages that share their meaning, in two kinds that share none."""
    languages, count, measure = 6, 19, Svcca()
    rng, found = np.random.default_rng(1), {"induced": [], "apart": []}
    for study in range(studies):
        text, speech = rng.standard_normal((2, n, 4))
        length = rng.normal(4.5, 0.4, n)
        whole = Shuffles(count, study).orders(n)
        scores, nulls = [], {kind: [] for kind in found}
        for language in range(languages):
            own = np.sort(rng.permutation(n)[: round(n * (1 - missing))])
            x = text[own] + 0.3 * rng.standard_normal((own.size, 4))
            y = speech[own] + 0.3 * rng.standard_normal((own.size, 4))
            sizes = length[own, None] + 0.15 * rng.standard_normal((own.size, 2))
            out = nuisance(sizes, own.size) if confounds else None
            a, b = measure.prepare(x), measure.prepare(y)
            kinds = {
                "induced": InducedShuffles(count, 0, whole, own),
                "apart": Shuffles(count, study * languages + language),
            }
            for kind, how in kinds.items():
                score = measure.compare(a, b, covariates=out, shuffles=how)
                nulls[kind].append(score.null)
            scores.append(score.score)
        for kind, ps in found.items():
            above = np.sum(np.mean(nulls[kind], axis=0) >= np.mean(scores))
            ps.append((1 + above) / (1 + count))
    return {kind: np.array(ps) for kind, ps in found.items()}


def test_p_of_a_mean_over_languages_that_share_their_meaning():
    found = simulate(24, missing=0, confounds=False)
    counts = np.bincount(np.rint(found["induced"] * 20).astype(int), minlength=21)[1:]
    assert stats.chisquare(counts).pvalue > 0.01
    assert np.mean(found["apart"] <= 0.05) > 0.15


@pytest.mark.parametrize(("missing", "confounds"), [(0.1, False), (0, True), (0.1, True)])
def test_p_of_a_mean_where_sentences_or_confounds_differ(missing, confounds):
    """Near enough to uniform: an exact test would have 15 ± 4 of 300 at the level."""
    found = simulate(60, missing, confounds)
    assert np.mean(found["induced"] <= 0.05) <= 0.1
    assert 0.42 <= np.mean(found["induced"]) <= 0.58
    assert np.mean(found["apart"] <= 0.05) > np.mean(found["induced"] <= 0.05) + 0.03


def test_options_of_a_study_and_what_is_changed(tmp_path):
    study = make_run(tmp_path / "run", sentences=3, confounds=["characters"], seed=3).study
    assert Options.of(study) == Options(20, 0, ("characters",), "none", 2, study["memory"])
    other = Options.of(study, permutations=0, confounds=())
    assert other == Options(0, 0, (), "none", 2, study["memory"])
