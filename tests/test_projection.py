"""Maps in two dimensions and who is next to whom: planted order, no order, and odd input."""

import numpy as np
import pytest

from isogloss.errors import MeasureError
from isogloss.projection import follow, neighbourhood, project, space
from isogloss.projection.tsne import MANY, principal

L, S = 6, 8
LANGUAGE = [f"l{i}" for i in range(L) for _ in range(S)]
SENTENCE = [str(j) for _ in range(L) for j in range(S)]
FAMILY = {f"l{i}": "ab"[i % 2] for i in range(4)} | {"l4": "c", "l5": ""}


def cloud(by, size=6.0, width=30, seed=0):
    """Points that gather by their language, their sentence, or not at all."""
    rng = np.random.default_rng(seed)
    labels = {"language": LANGUAGE, "sentence": SENTENCE, "nothing": ["x"] * L * S}[by]
    places = {x: size * rng.normal(size=width) for x in sorted(set(labels))}
    return np.array([places[x] for x in labels]) + rng.normal(size=(L * S, width))


def near(points, k=5, metric="euclidean"):
    return neighbourhood(space(points, metric), LANGUAGE, SENTENCE, FAMILY, k=k)


@pytest.fixture(scope="module")
def maps():
    return {
        by: project(space(cloud(by)), L * S, perplexity=5, seed=1)
        for by in ("language", "sentence")
    }


def apart(places, labels):
    """Mean distance between points of one label, as a share of that between all."""
    distance = np.linalg.norm(places[:, None] - places, axis=2)
    same = np.array(labels)[:, None] == np.array(labels)
    return distance[same & ~np.eye(len(labels), dtype=bool)].mean() / distance[~same].mean()


# ---- neighbours -------------------------------------------------------------------------------


def test_shares_find_what_was_planted():
    by_language, by_sentence = near(cloud("language")), near(cloud("sentence"))
    np.testing.assert_allclose(by_language.language, 1)
    assert np.nanmax(by_sentence.language) < 0.05
    off = ~np.eye(L, dtype=bool)
    assert np.nanmean(by_language.retrieval) < 0.35
    np.testing.assert_allclose(by_sentence.retrieval[off], 1)
    assert np.isnan(np.diagonal(by_sentence.retrieval)).all()


def test_chance_levels_are_those_of_points_without_order():
    found = [near(cloud("nothing", seed=seed)) for seed in range(200)]
    for share in ("language", "family", "retrieval"):
        chance = getattr(found[0], f"{share}_chance")
        mean = np.nanmean([getattr(f, share) for f in found])
        np.testing.assert_allclose(mean, np.nanmean(chance), rtol=0.06)
    np.testing.assert_allclose(found[0].language_chance, (S - 1) / (L * S - 1))
    # l0 and l2 share a family: 8 of the 40 points of other languages. l4 and l5 are alone.
    np.testing.assert_allclose(found[0].family_chance[:4], 8 / 40)
    assert np.isnan(found[0].family[4:]).all()
    assert np.nanmax(found[0].retrieval_chance) == 1 / S


def test_families_are_counted_among_other_languages():
    points = cloud("nothing") * 0.1
    for i, language in enumerate(LANGUAGE):
        points[i] += 9 * {"a": 1, "b": -1, "c": 0, "": 3}[FAMILY[language]]
    found = near(points)
    np.testing.assert_allclose(found.family[:4], 1)
    assert found.language[0] < 0.9


def brute(points, k):
    """The shares by their definition, point by point, for data without ties."""
    distance = np.linalg.norm(points[:, None] - points, axis=2)
    np.fill_diagonal(distance, np.inf)
    share = [
        np.mean([LANGUAGE[j] == LANGUAGE[i] for j in np.argsort(distance[i])[: min(k, L * S - 1)]])
        for i in range(len(points))
    ]
    return np.reshape(share, (L, S)).mean(axis=1)


@pytest.mark.parametrize("k", [1, 7, 100])
def test_shares_equal_the_definition(k):
    points = cloud("language", size=0.8)
    np.testing.assert_allclose(near(points, k=k).language, brute(points, k), rtol=1e-12)


def test_what_does_not_change_neighbours_changes_no_share():
    points = cloud("language", size=0.8)
    turned = points @ np.linalg.qr(np.random.default_rng(1).normal(size=(30, 30)))[0]
    first, second = near(points), near(1e20 * turned + 3e20)
    np.testing.assert_allclose(first.language, second.language)
    np.testing.assert_allclose(first.retrieval, second.retrieval)
    longer = points * np.random.default_rng(2).uniform(0.1, 9, size=(len(points), 1))
    plain, scaled = near(points, metric="cosine"), near(longer, metric="cosine")
    np.testing.assert_allclose(plain.language, scaled.language)


def test_points_that_are_all_alike_get_chance_not_an_order():
    found = near(np.ones((L * S, 5)))
    np.testing.assert_allclose(found.language, found.language_chance)
    np.testing.assert_allclose(found.family[:4], found.family_chance[:4])
    np.testing.assert_allclose(found.retrieval, found.retrieval_chance)


def test_retrieval_uses_the_sentences_that_both_have():
    kept = [i for i in range(L * S) if i not in (0, 1, 9)]
    found = neighbourhood(
        space(cloud("sentence")[kept]),
        [LANGUAGE[i] for i in kept],
        [SENTENCE[i] for i in kept],
        FAMILY,
    )
    assert found.retrieval_chance[0, 1] == 1 / (S - 2)
    assert found.retrieval_chance[0, 2] == 1 / (S - 2)
    assert found.retrieval_chance[1, 2] == 1 / (S - 1)
    np.testing.assert_allclose(found.retrieval[~np.eye(L, dtype=bool)], 1)


# ---- maps -------------------------------------------------------------------------------------


def test_maps_separate_what_was_planted(maps):
    assert (
        apart(maps["language"].places, LANGUAGE)
        < 0.3
        < 0.8
        < apart(maps["language"].places, SENTENCE)
    )
    assert (
        apart(maps["sentence"].places, SENTENCE)
        < 0.3
        < 0.8
        < apart(maps["sentence"].places, LANGUAGE)
    )


def test_a_map_is_the_same_each_time_on_any_number_of_threads(maps):
    found = space(cloud("language"))
    again = project(found, L * S, perplexity=5, seed=1)
    np.testing.assert_array_equal(again.places, maps["language"].places)
    many = space(np.random.default_rng(0).normal(size=(MANY, 8)))
    one, two, other = (
        project(many, MANY, perplexity=5, seed=seed, jobs=jobs, rounds=(10, 10))
        for seed, jobs in ((1, 1), (1, 2), (2, 1))
    )
    np.testing.assert_array_equal(one.places, two.places)
    assert not np.array_equal(one.places, other.places)


def test_what_a_map_was_made_with_is_recorded(maps):
    import openTSNE

    made = maps["language"]
    assert (made.perplexity, made.seed, made.points, made.reason) == (5, 1, L * S, "")
    assert made.version == openTSNE.__version__
    assert np.isfinite(made.divergence)
    assert made.components == 30
    few = project(space(cloud("language")[:10]), 10, perplexity=30, seed=0)
    assert few.perplexity == 3
    assert np.isfinite(few.places).all()


@pytest.mark.parametrize(
    ("points", "reason"),
    [
        (np.random.default_rng(0).normal(size=(4, 3)), "4 points are too few"),
        (np.full((9, 3), np.nan), "no point is finite"),
        (np.ones((9, 3)), "are the same but for 1"),
        (np.repeat(np.eye(3), 4, axis=0), "the 12 points are the same but for 3"),
        (1e3 + 1e-7 * np.random.default_rng(0).normal(size=(9, 3)), "the same but for 1"),
        (np.zeros((0, 3)), "no point is finite"),
    ],
)
@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
def test_what_cannot_be_drawn_is_nan_with_a_reason(points, reason, metric):
    made = project(space(points, metric), len(points), seed=0)
    assert reason in made.reason or (metric == "cosine" and made.reason)
    assert made.places.shape == (len(points), 2)
    assert np.isnan(made.places).all()
    assert np.isnan(made.divergence)


def test_rows_that_are_not_finite_are_left_out_and_duplicates_are_drawn():
    points = cloud("language")
    points[3, 0], points[7, 2] = np.nan, np.inf
    points[10] = points[11]
    made = project(space(points), len(points), perplexity=5, seed=0)
    gone = np.isnan(made.places).any(axis=1)
    assert np.flatnonzero(gone).tolist() == [3, 7]
    assert made.points == L * S - 2


def test_points_must_be_a_matrix():
    with pytest.raises(MeasureError, match="must be a matrix"):
        space(np.ones(3))


def test_principal_coordinates_keep_distances():
    x = np.random.default_rng(0).normal(size=(40, 6)) * [9, 5, 3, 1, 1, 1]
    x -= x.mean(axis=0)
    for count in (6, 2):
        found = principal(x @ x.T, count, 0)
        _, vectors = np.linalg.eigh(x.T @ x)
        own = x @ vectors[:, ::-1][:, :count]
        np.testing.assert_allclose(np.abs(found), np.abs(own), atol=1e-8)
        assert (found[np.abs(found).argmax(axis=0), range(count)] > 0).all()
    assert principal(np.outer(x[:, 0], x[:, 0]), 6, 0).shape == (40, 1)


# ---- one map after the other ------------------------------------------------------------------


def test_a_turned_map_is_turned_back():
    rng = np.random.default_rng(0)
    before = rng.normal(size=(20, 2))
    angle = 2.0
    rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    for flip in (1, -1):
        after = before @ rotation * [1, flip] + 7
        np.testing.assert_allclose(follow(after, before), before, atol=1e-12)


def test_turning_changes_no_distance_and_needs_no_same_points():
    rng = np.random.default_rng(0)
    before, after = rng.normal(size=(20, 2)), 3 * rng.normal(size=(20, 2))
    after[4], before[5] = np.nan, np.nan
    turned = follow(after, before)
    known = np.isfinite(after).all(axis=1)
    for x in (after, turned):
        x[~known] = 0
    own, moved = after[known], turned[known]
    np.testing.assert_allclose(
        np.linalg.norm(own[:, None] - own, axis=2), np.linalg.norm(moved[:, None] - moved, axis=2)
    )
    alone = follow(own, np.full(own.shape, np.nan))
    np.testing.assert_allclose(alone, own - own.mean(axis=0))
