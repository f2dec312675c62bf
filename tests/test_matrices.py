"""Language × language matrices: their orders, and whether kin languages are more alike."""

from itertools import combinations, pairwise

import numpy as np
import polars as pl
import pytest

from builders import make_run
from isogloss.analyses._matrices_groups import contrasts, same_group
from isogloss.analyses._matrices_order import by_clusters, by_family, square
from isogloss.analyses.matrices import Matrices
from isogloss.api import analyse
from isogloss.charts import check
from isogloss.errors import IsoglossError
from isogloss.languages import language
from planted_scores import cross_lingual, material

# Three families of four, three and two, and one language of a family of its own.
LANGUAGES = ("arb", "deu", "ell", "eng", "est", "fin", "heb", "ita", "mal", "tam")
DEPTHS = (0.0, 0.5, 1.0)


def kin(a, b):
    return language(a).family == language(b).family


def planted(effects, seed=0, noise=0.02, languages=LANGUAGES, **options):
    """Scores with more likeness within families, another amount at each tap and modality."""
    rng = np.random.default_rng(seed)
    own = {code: noise * rng.normal() for code in languages}
    made = {}

    def value(modality, a, b, tap):
        key = modality, a, b, tap
        made.setdefault(key, noise * rng.normal())
        return 0.3 + effects[modality][tap] * kin(a, b) + own[a] + own[b] + made[key]

    table = cross_lingual(languages, DEPTHS, value, tuple(effects))
    run = {"cross_lingual": table}
    return material(run, DEPTHS, languages, modalities=tuple(effects), **options)


def test_large_families_come_first_and_stay_together():
    order = by_family(LANGUAGES)
    families = [language(code).family for code in order]
    assert families == sorted(families, key=lambda f: (-families.count(f), f))
    assert sorted(order) == sorted(LANGUAGES)


def test_clustering_of_known_groups():
    names = ["a", "b", "c", "d", "e"]
    groups = {"a": 0, "c": 0, "b": 1, "d": 1, "e": 1}
    cells = {(x, y): 0.9 if groups[x] == groups[y] else 0.2 for x, y in combinations(names, 2)}
    order, kept = by_clusters(names, square(names, cells))
    assert [groups[x] for x in order] in ([0, 0, 1, 1, 1], [1, 1, 1, 0, 0])
    assert kept == pytest.approx(1.0)


def test_leaves_stand_beside_what_they_are_most_like():
    # Points on a line, given in another order: neighbours must come out as neighbours.
    place = {"a": 3.0, "b": 0.0, "c": 1.1, "d": 4.2, "e": 2.05}
    names = sorted(place)
    cells = {(x, y): 1 - abs(place[x] - place[y]) / 5 for x, y in combinations(names, 2)}
    order, kept = by_clusters(names, square(names, cells))
    assert "".join(order) in ("bcead", "daecb")
    assert 0.5 < kept < 1


def test_matrices_that_cannot_be_clustered_keep_their_order():
    names = ["a", "b", "c"]
    gap = square(names, {("a", "b"): 0.5, ("a", "c"): 0.1})
    for table in (gap, square(names[:2], {("a", "b"): 0.5})):
        order, kept = by_clusters(names[: len(table)], table)
        assert order == names[: len(table)]
        assert np.isnan(kept)
    flat = square(names, dict.fromkeys(combinations(names, 2), 0.5))
    assert np.isnan(by_clusters(names, flat)[1])


def test_contrast_by_hand():
    a, b = zip(*combinations(LANGUAGES, 2), strict=True)
    same = same_group(a, b, "family")
    assert same.tolist() == [float(kin(x, y)) for x, y in zip(a, b, strict=True)]
    rng = np.random.default_rng(1)
    scores = 0.2 + 0.05 * same + 0.1 * rng.random(len(a))
    found = contrasts(a, b, same, scores[:, None], permutations=999, seed=0)[0]
    assert found.within == pytest.approx(scores[same == 1].mean())
    assert found.between == pytest.approx(scores[same == 0].mean())
    assert found.pairs_within == int(same.sum())
    # Families are dealt to languages anew; the difference of means says how far off chance is.
    families = np.array([language(code).family for code in LANGUAGES])
    first, second = np.triu_indices(len(LANGUAGES), 1)
    effects = []
    for _ in range(4000):
        dealt = rng.permutation(families)
        inside = dealt[first] == dealt[second]
        effects.append(scores[inside].mean() - scores[~inside].mean())
    centred = np.abs(np.array(effects))
    assert found.p_value == pytest.approx(np.mean(centred >= abs(found.effect)), abs=0.04)
    left = []
    for code in LANGUAGES:
        rest = np.array([code not in pair for pair in zip(a, b, strict=True)])
        x, y = scores[rest & (same == 1)].mean(), scores[rest & (same == 0)].mean()
        left.append(x - y)
    se = np.sqrt(9 / 10 * np.sum((np.array(left) - np.mean(left)) ** 2))
    assert found.high - found.low == pytest.approx(2 * 2.262157 * se, rel=1e-5)


def test_contrasts_that_cannot_be_made_say_why():
    a, b = zip(*combinations(("deu", "ell", "fin", "heb", "tam", "tur", "cmn"), 2), strict=True)
    scores = np.linspace(0.1, 0.5, len(a))[:, None]
    one = contrasts(a, b, np.zeros(len(a)), scores, permutations=9, seed=0)[0]
    assert np.isnan([one.within, one.effect, one.p_value]).all()
    assert one.reason == "no two languages are of one group"
    every = contrasts(a, b, np.ones(len(a)), scores, permutations=9, seed=0)[0]
    assert every.reason == "all languages are of one group"
    family = contrasts(a, b, same_group(a, b, "family"), scores, permutations=9, seed=0)[0]
    assert np.isfinite(family.effect)
    assert np.isnan(family.low)
    assert family.reason == "no interval: without deu no pair is left on one side"


def test_planted_families_are_found_where_they_are():
    frame = Matrices(permutations=999).read(
        planted({"text": (0.0, 0.2, 0.2), "speech": (0.0, 0.0, -0.2)})
    )
    tests = frame.filter(kind="test", factor="family", scores="calibrated")
    effect = {(r["modality"], r["tap"]): r for r in tests.to_dicts()}
    assert effect["text", "2"]["effect"] == pytest.approx(0.2, abs=0.03)
    assert effect["text", "2"]["p_all"] <= 0.01
    assert effect["text", "2"]["low"] > 0.1
    assert effect["text", "in"]["p_value"] > 0.05
    assert effect["speech", "2"]["high"] < 0
    said = Matrices().describe(frame).findings
    assert said[0] == (
        "At the last tap, languages of one family in text are more alike than others, and in "
        "speech are less alike than others."
    )
    assert any("In text at tap 2, languages of one family are more alike" in s for s in said)
    assert any("In speech at tap 2, languages of one family are less alike" in s for s in said)
    last = frame.filter(kind="language", modality="text", tap="2")
    near = {r["language"]: r["nearest"] for r in last.to_dicts()}
    assert all(kin(code, other) for code, other in near.items())
    clustered = last.sort("cluster_rank")["language"].to_list()
    families = [language(code).family for code in clustered]
    runs = 1 + sum(x != y for x, y in pairwise(families))
    assert runs == len(set(families))


def test_no_families_are_found_at_the_nominal_rate():
    p = []
    for seed in range(40):
        frame = Matrices(permutations=99).read(planted({"text": (0.0, 0.0, 0.0)}, seed))
        p.append(
            frame.filter(kind="test", factor="family", scores="calibrated", tap="1")["p_value"][0]
        )
    assert np.mean(np.array(p) <= 0.05) <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 40)
    assert np.mean(p) == pytest.approx(0.5, abs=0.14)


def test_charts_have_a_step_for_each_tap():
    frame = Matrices(permutations=19).read(
        planted({"text": (0.0, 0.1, 0.2), "speech": (0.0, 0.1, 0.2)})
    )
    matrices, spoken, groups = Matrices().describe(frame).charts
    for chart in (matrices, spoken, groups):
        check(chart)
    assert (matrices.name, spoken.name) == ("language_matrices_text", "language_matrices_speech")
    assert [step.label for step in matrices.steps] == ["in", "1", "2"]
    assert matrices.panels is matrices.steps[-1].panels
    assert [panel.title for panel in matrices.panels] == ["Text, by family", "Text, clustered"]
    grid = matrices.panels[0].marks[0]
    order = by_family(LANGUAGES)
    assert grid.x == tuple(order)
    assert [label.split()[-1] for label in grid.y] == order
    assert sum(" " in label for label in grid.y) == len({language(c).family for c in order})
    cells = frame.filter(kind="cell", modality="text", tap="2").to_dicts()
    known = {frozenset((r["language_a"], r["language_b"])): r["calibrated"] for r in cells}
    for i, a in enumerate(order):
        for j, b in enumerate(order):
            wanted = known.get(frozenset((a, b)), np.nan) if a != b else np.nan
            np.testing.assert_equal(grid.z[i][j], wanted)
    # One scale of colours over the taps of a modality.
    for chart in (matrices, spoken):
        panels = [panel for step in chart.steps for panel in step.panels]
        assert len({panel.marks[0].range for panel in panels}) == 1


def test_one_modality_and_missing_scores():
    run = planted({"text": (0.0, 0.1, 0.2)})
    table = run.tables["cross_lingual"]
    hole = (pl.col("language_a") == "deu") & (pl.col("language_b") == "eng")
    holes = [
        pl.when(hole & (pl.col("label") == "1")).then(float("nan")).otherwise(pl.col(c)).alias(c)
        for c in ("score", "calibrated")
    ]
    object.__setattr__(run, "tables", {"cross_lingual": table.with_columns(holes)})
    frame = Matrices(permutations=19).read(run)
    summary = Matrices().describe(frame)
    assert [step.label for step in summary.charts[0].steps] == ["in", "1", "2"]
    for chart in summary.charts:
        check(chart)
    kept = {r["tap"]: r for r in frame.filter(kind="clustering").to_dicts()}
    assert np.isnan(kept["1"]["cophenetic"])
    assert "has no score" in kept["1"]["reason"]
    assert np.isfinite(kept["2"]["cophenetic"])
    pairs = frame.filter(kind="test", tap="1", scores="raw")["pairs"]
    assert set(pairs) == {44}


def test_scores_without_chance_are_shown_as_they_are():
    run = planted({"text": (0.0, 0.1, 0.2)})
    table = run.tables["cross_lingual"].filter(control="")
    object.__setattr__(
        run, "tables", {"cross_lingual": table.with_columns(calibrated=pl.lit(float("nan")))}
    )
    frame = Matrices(permutations=19).read(run)
    chart = Matrices().describe(frame).charts[0]
    assert chart.panels[0].marks[0].name == "SVCCA"
    assert set(frame.filter(kind="test")["scores"]) == {"raw"}


def test_nothing_to_read():
    run = planted({"text": (0.0, 0.1, 0.2)})
    object.__setattr__(run, "tables", {})
    with pytest.raises(IsoglossError, match="name that analysis in the study too"):
        Matrices().read(run)
    empty = cross_lingual(LANGUAGES[:1], DEPTHS, lambda *_: 0.1)
    object.__setattr__(run, "tables", {"cross_lingual": empty})
    assert Matrices().read(run) is None


def test_in_a_run(tmp_path):
    make_run(tmp_path / "run", measures=("svcca",), analyses=("cross_lingual", "matrices"))
    frame = analyse(tmp_path / "run")[0]["matrices"]
    assert frame.filter(kind="cell", modality="speech")["tap"].unique().len() == 4
    summary = Matrices().describe(frame)
    for chart in summary.charts:
        check(chart)
    assert [step.label for step in summary.charts[1].steps] == ["in", "1", "2", "len"]
