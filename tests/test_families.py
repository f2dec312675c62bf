"""Curves and means of a table are tested as the functions for single tables of scores do it."""

import numpy as np
import polars as pl
import pytest

from isogloss.families import Family
from isogloss.results import SCHEMA
from isogloss.scoring import PARTS
from isogloss.similarity.base import MeasureInfo
from isogloss.similarity.inference import average_null, benjamini_hochberg, max_over

TAPS, LANGUAGES, ORDERS = 5, ("deu", "eng", "fin"), 19


def chunks(scores, nulls):
    """One chunk per tap; scores are (languages × taps), nulls (languages × taps × orders)."""
    for tap in range(scores.shape[1]):
        rows = []
        for i, language in enumerate(LANGUAGES):
            row = dict.fromkeys(PARTS)
            row |= {
                "measure": "svcca", "control": "", "group": "matched", "label": str(tap),
                "position": tap, "depth": tap / TAPS, "language_a": language,
                "language_b": language, "modality_a": "text", "modality_b": "speech", "n": 40,
                "score": scores[i, tap], "permutations": ORDERS, "chance": float("nan"),
                "null_mean": nulls[i, tap].mean(), "null": nulls[i, tap].tolist(),
                "calibrated": 0.5, "baseline": 0.1, "reason": "",
                "p_value": np.mean(np.append(nulls[i, tap], scores[i, tap]) >= scores[i, tap]),
            }  # fmt: skip
            rows.append(row)
        yield pl.DataFrame(rows, schema=PARTS)


def family(scores, nulls, ends=(0.0, 1.0), larger=True):
    found = Family(MeasureInfo("planted", "here", ends, larger, frozenset()))
    for chunk in chunks(scores, nulls):
        found.add(chunk)
    return found


@pytest.fixture
def planted():
    rng = np.random.default_rng(3)
    scale = np.array([0.01, 0.1, 0.02, 0.05, 0.03])[:, None]
    nulls = 0.3 + scale * rng.standard_normal((len(LANGUAGES), TAPS, ORDERS))
    return nulls[..., 0] + 0.02 * rng.random(nulls.shape[:2]), nulls


@pytest.mark.parametrize("larger", [True, False])
@pytest.mark.parametrize("ends", [(0.0, 1.0), (0.0, np.inf)])
def test_p_values_of_curves_and_means(planted, ends, larger):
    scores, nulls = planted
    found = family(scores, nulls, ends, larger)
    rows, means = found.rows(), found.means()
    for i, language in enumerate(LANGUAGES):
        wanted = max_over(scores[i], nulls[i], larger_is_more_similar=larger)
        got = rows.filter(language_a=language).sort("position")["p_curve"].to_numpy()
        np.testing.assert_allclose(got, wanted)
        assert wanted.min() < wanted.max()
    np.testing.assert_allclose(rows["q_value"], benjamini_hochberg(rows["p_value"]))
    curve = max_over(scores.mean(axis=0), nulls.mean(axis=0), larger_is_more_similar=larger)
    np.testing.assert_allclose(means.sort("position")["p_curve"], curve)
    for tap, p in enumerate(means.sort("position")["p_value"]):
        wanted = average_null(scores[:, tap], nulls[:, tap], larger_is_more_similar=larger)
        assert p == wanted.p_value
    assert set(rows.columns) == set(SCHEMA)


def test_a_place_where_all_orders_score_alike_decides_nothing(planted):
    scores, nulls = planted
    clear = nulls.copy()
    scores[:, 1], clear[:, 1] = 1.0, 1.0 - 1e-9 * np.arange(ORDERS)
    found = family(scores, clear)
    rows = found.rows().sort("language_a", "position")
    assert rows.filter(position=1)["p_curve"].to_list() == [1.0] * len(LANGUAGES)
    others = [0, 2, 3, 4]
    for i, language in enumerate(LANGUAGES):
        wanted = max_over(scores[i, others], clear[i, others])
        got = rows.filter(pl.col("language_a") == language, pl.col("position") != 1)["p_curve"]
        np.testing.assert_allclose(got, wanted)
    mean = found.means().filter(position=1)
    assert mean["p_value"].item() == mean["p_curve"].item() == 1.0


def test_a_null_that_is_lost_costs_its_own_place_only(planted):
    scores, nulls = planted
    nulls[0, 2, 4] = np.nan
    found = family(scores, nulls)
    rows, means = found.rows(), found.means()
    lost = rows.filter(pl.col("p_curve").is_nan())
    assert lost.select("language_a", "position").rows() == [("deu", 2)]
    assert means.filter(pl.col("p_value").is_nan())["position"].to_list() == [2]
    reason = means.filter(position=2)["reason"].item()
    assert reason == "no p-value: 1 of 3 scores have no null"
