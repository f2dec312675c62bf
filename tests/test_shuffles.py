"""Shuffles that views share: what they have in common survives, so that means can be tested."""

import numpy as np
import pytest
from scipy import stats

from builders import make_run
from isogloss.analyses.base import Comparison, ViewKey
from isogloss.sharing import Options, Shared
from isogloss.similarity import Svcca
from isogloss.similarity.base import KeyedShuffles


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    run = make_run(tmp_path_factory.mktemp("run") / "out", languages=("deu", "eng", "fin"))
    store = run.store()
    return Shared(store, run.committed(store), Options(25, 0, (), "none"))


def orders(shared, a, b, ids=range(12), n=None):
    c = Comparison(ViewKey(*a, "2"), ViewKey(*b, "2"), tuple(map(str, ids)), "", "", 0, 0.0)
    return shared.shuffles(c).orders(n or len(c.sentences))


def test_orders_are_permutations(shared):
    found = orders(shared, ("deu", "text"), ("eng", "text"))
    assert found.shape == (25, 12)
    assert (np.sort(found, axis=1) == np.arange(12)).all()
    assert orders(shared, ("deu", "text"), ("eng", "text"), n=9).shape == (25, 9)


def test_all_speech_is_shuffled_alike_against_all_text(shared):
    np.testing.assert_array_equal(
        orders(shared, ("deu", "text"), ("deu", "speech")),
        orders(shared, ("eng", "text"), ("eng", "speech")),
    )


def test_a_language_is_shuffled_alike_against_all_others(shared):
    ab, bc, ac = (
        orders(shared, (x, "text"), (y, "text"))
        for x, y in (("deu", "eng"), ("eng", "fin"), ("deu", "fin"))
    )
    np.testing.assert_array_equal(np.take_along_axis(bc, ab, axis=1), ac)
    assert (ab != bc).any()


def test_the_sentences_decide_not_their_places(shared):
    few = orders(shared, ("deu", "text"), ("eng", "text"), ids=[3, 7, 9])
    same = orders(shared, ("deu", "text"), ("eng", "text"), ids=[7, 3, 9])
    turn = np.array([1, 0, 2])
    np.testing.assert_array_equal(same, turn[few[:, turn]])


def test_p_of_a_mean_over_languages_that_share_their_meaning():
    """Shuffling each language by itself would give far too many small p-values here."""
    rng, measure, n, languages = np.random.default_rng(1), Svcca(), 24, 5
    alike, apart = [], []
    for _ in range(300):
        text, speech = rng.standard_normal((2, n, 4))
        keys = rng.random((2 + 2 * languages, 19, n))
        scores, common, own = [], [], []
        for i in range(languages):
            x = text + 0.3 * rng.standard_normal((n, 4))
            y = speech + 0.3 * rng.standard_normal((n, 4))
            a, b = measure.prepare(x), measure.prepare(y)
            for nulls, (first, second) in ((common, (0, 1)), (own, (2 + 2 * i, 3 + 2 * i))):
                shuffles = KeyedShuffles(19, 0, keys[first], keys[second])
                found = measure.compare(a, b, shuffles=shuffles)
                nulls.append(found.null)
            scores.append(found.score)
        for ps, nulls in ((alike, common), (apart, own)):
            ps.append((1 + np.sum(np.mean(nulls, axis=0) >= np.mean(scores))) / 20)
    counts = np.bincount(np.rint(np.array(alike) * 20).astype(int), minlength=21)[1:]
    assert stats.chisquare(counts).pvalue > 0.01
    assert np.mean(np.array(apart) <= 0.05) > 0.15
