"""The conformance suite: ours passes, and every wrong implementation fails where it should."""

import json
import os
import subprocess
import sys
import warnings
from contextlib import suppress
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import get_args

import numpy as np
import polars as pl
import pytest

from isogloss.cli import call
from isogloss.conformance import calibration, check
from isogloss.conformance.answer import NoScoreError, clear, read
from isogloss.conformance.case import GROUPS, Value, number
from isogloss.conformance.claim import evened, scaled
from isogloss.conformance.run import claimed, guess
from isogloss.conformance.suites import SUITES
from isogloss.conformance.target import find
from isogloss.errors import StudyError
from isogloss.similarity import MEASURES, Svcca, svcca


def failed(report, group=None):
    return {r.case for r in report.rows if r.result == "fail" and group in (None, r.group)}


def row(report, case):
    (found,) = [r for r in report.rows if r.case.startswith(case)]
    return found


# Ours


@pytest.mark.parametrize(
    "measure",
    [
        *SUITES.names(),
        "svcca(share=0.99, rule=linear, mean=98)",
        "svcca(share=0.5, epsilon=0)",
        "svcca(share=1)",
        "cka(debiased=false)",
        "cka(kernel=rbf)",
        "rsa(distance=cosine)",
        "mutual_knn(k=3)",
        "retrieval(score=mrr)",
        "pwcca(weights=both)",
        "retrieval(centre=true)",
        "anc(signed=true)",
        "procrustes(zscore=true)",
        "rsa(zscore=true)",
    ],
)
def test_our_measures_pass(measure):
    report = check(measure)
    assert report.passed, report.as_text()
    assert report.counts["note"] == 0
    assert report.counts["pass"] >= 29
    assert row(report, "p-values").result == "pass"


def other_values(measure, option):
    """Values of an option that are not its default, from what its field declares."""
    field = MEASURES.get(measure).model_fields[option]
    default = field.default
    if isinstance(default, bool):
        tried = [not default]
    elif get_args(field.annotation):
        tried = list(get_args(field.annotation))
    else:
        bounds = [getattr(m, b, None) for m in field.metadata for b in ("ge", "le", "gt", "lt")]
        room = [b for b in bounds if b is not None and b < 100]
        tried = [*room, sum(room) / 2 if len(room) == 2 else 0, default / 2, 2 * default]
        tried = [type(default)(v) for v in tried]
    for value in dict.fromkeys(v for v in tried if v != default):
        with suppress(StudyError):
            MEASURES.get(measure)(**{option: value})
            yield value


OURS = [
    (name, {option: value} | ({"kernel": "rbf"} if option == "bandwidth" else {}))
    for name in SUITES.names()
    for option in MEASURES.get(name).model_fields
    for value in other_values(name, option)
]
AS_OPTIONS = [f"{n}({', '.join(f'{k}={v}' for k, v in o.items())})" for n, o in OURS]


@pytest.mark.parametrize(("name", "options"), OURS, ids=AS_OPTIONS)
def test_our_measures_pass_with_every_option(name, options):
    measure = MEASURES.get(name)(**options)
    report = check(measure, name, groups=[g for g in GROUPS if g != "calibration"])
    assert report.passed, report.as_text()
    assert report.counts["note"] == 0
    assert report.counts["pass"] >= 25
    assert all(r.remark for r in report.rows if r.result == "n/a")
    target = find(measure)
    mean_score, _ = calibration.cases(claimed(target, name, {}))
    outcome = mean_score.judge(target, 0)
    assert outcome.result == "pass", outcome


def matters(name, option, value):
    """Whether it can be seen that an option has another value."""
    blind = option == "zscore" and name in ("anc", "cca")
    return not blind and not (option == "epsilon" and value < 1e-6)


@pytest.mark.parametrize(
    ("name", "options"), [(n, o) for n, o in OURS if matters(n, *next(iter(o.items())))]
)
def test_an_option_that_is_not_claimed_is_seen(name, options):
    """Else the suite would not know the option, and pass whatever it did."""
    option = next(iter(options))
    default = MEASURES.get(name).model_fields[option].default
    claim = f"{name}({option}={str(default).lower()})"
    report = check(MEASURES.get(name)(**options), claim, groups=["closed form", "degenerate"])
    assert not report.passed


def test_options_of_our_measures_are_options_of_their_suites():
    for name in SUITES.names():
        suite, measure = SUITES.get(name), MEASURES.get(name)
        assert suite().model_dump() == measure().model_dump()


def test_mistakes_are_named_where_features_are_scaled_first():
    report = check(plain, "svcca(zscore=true)", groups=["closed form", "degenerate"])
    assert "not divided by their standard deviations" in report.summary

    def late(x, y):
        return plain(scaled(x), scaled(y), power=1)

    report = check(late, "svcca(zscore=true)", groups=["closed form", "degenerate"])
    assert "cut is on the wrong quantity" in report.summary
    report = check(lambda x, y: procrustes(scaled(x), scaled(y)), "procrustes")
    assert "say zscore=true" in report.summary


@pytest.mark.parametrize("n", [30, 5])
def test_turned_views_have_even_features_and_the_same_gram_matrix(n):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((n, 9)) * np.geomspace(1, 1e3, 9) + 5
    turned = evened(x)
    assert np.ptp(turned.std(axis=0)) < 1e-10 * turned.std()
    centred = [v - v.mean(axis=0) for v in (x, turned)]
    assert np.allclose(centred[0] @ centred[0].T, centred[1] @ centred[1].T, rtol=1e-12)
    assert not np.allclose(x.std(axis=0), turned.std(axis=0))


def test_every_measure_of_ours_has_a_suite():
    ours = [n for n in MEASURES.names() if MEASURES.origin(n) == "isogloss"]
    assert set(ours) == set(SUITES.names())


OPTIONS = [
    ("svcca", {}),
    *(
        ("svcca", {"share": s, "rule": r})
        for s in (0.5, 0.8, 0.99, 1)
        for r in ("squared", "linear")
    ),
    ("svcca", {"mean": "98"}),
    ("cca", {"mean": "98"}),
    ("pwcca", {"share": 0.6, "rule": "linear"}),
    ("pwcca", {"share": 1}),
    ("pwcca", {"weights": "second"}),
    ("pwcca", {"weights": "both"}),
    *(("cka", {"kernel": k, "debiased": d}) for k in ("linear", "rbf") for d in (True, False)),
    ("procrustes", {}),
    ("rsa", {}),
    ("rsa", {"distance": "cosine"}),
    ("mutual_knn", {"k": 1}),
    ("mutual_knn", {"k": 17}),
    ("retrieval", {}),
    ("retrieval", {"score": "mrr"}),
    ("retrieval", {"centre": True}),
    ("anc", {}),
    ("anc", {"signed": True}),
]


@pytest.mark.parametrize(("name", "options"), OPTIONS)
def test_closed_forms_agree_with_the_definition(name, options):
    suite = SUITES.get(name)(**options)
    cases = [c for c in suite.closed_forms() if isinstance(c, Value)]
    assert len(cases) >= 3
    for case in cases:
        assert suite.definition(*case.views) == pytest.approx(case.expected, abs=1e-10), case.name


@pytest.mark.parametrize(("name", "options"), OPTIONS)
def test_known_mistakes_differ_from_the_definition(name, options):
    """A mistake that scores what is right in every case could never be recognised."""
    suite = SUITES.get(name)(**options)
    mistakes = [m for m in suite.mistakes() if m.cost == 0]
    assert len(mistakes) >= 3
    views = [c.views for c in suite.closed_forms() if isinstance(c, Value)]
    rng = np.random.default_rng(0)
    views += [suite.expectation(rng)[:2] for _ in range(20)]
    for mistake in mistakes:
        assert any(
            not abs(suite.definition(x, y) - mistake.score(x, y)) < 1e-6 for x, y in views
        ), mistake.says


def test_the_page_names_every_claim_with_its_defaults():
    page = (Path(__file__).parents[1] / "docs" / "conformance.md").read_text(encoding="utf-8")
    for name in SUITES.names():
        (line,) = [x for x in page.splitlines() if x.startswith(f"| `{name}` |")]
        for field, value in SUITES.get(name)().model_dump(mode="json").items():
            plain_value = str(value).lower() if isinstance(value, bool) else value
            assert f"`{field}={plain_value}`" in line


# Wrong ones


def plain(
    x, y, *, share=0.9, power=2, axis=0, after=False, shift=0, mean="all", gram=None, flat=False,
    careful=True, silent=False, floor=0.0, epsilon=0.0,
):  # fmt: skip
    """SVCCA as many have written it, with the mistakes that they made."""
    if careful:
        x, y = np.asarray(x), np.asarray(y)
        if len(x) != len(y):
            raise ValueError(f"{len(x)} and {len(y)} sentences")
        if len(x) < 3 or not (np.isfinite(x).all() and np.isfinite(y).all()):
            return float("nan")
        x, y = x.astype(float), y.astype(float)
        if (x == x[0]).all() or (y == y[0]).all():
            return 0.0 if silent else float("nan")

    def cut(v):
        if axis is not None:
            v = v - v.mean(axis=axis, keepdims=True)
        if careful and not floor:
            v = v / np.abs(v).max()
        if gram:
            w, u = np.linalg.eigh(v.astype(gram) @ v.astype(gram).T)
            u, s = u[:, ::-1].astype(float), np.sqrt(np.maximum(w[::-1], 0)).astype(float)
        else:
            u, s, _ = np.linalg.svd(v, full_matrices=False)
        u, s = u[:, s > floor], s[s > floor]
        if flat:
            u, s, _ = np.linalg.svd(u[:, s > 1e-10 * s[0]], full_matrices=False)
        sums = np.cumsum(s**power)
        k = int(np.searchsorted(sums, share * sums[-1] * (1 - 1e-12))) + 1 + shift
        u, s = u[:, : max(1, k)], s[: max(1, k)]
        if after:
            u, s, _ = np.linalg.svd(u * s - (u * s).mean(axis=0), full_matrices=False)
            u, s = u[:, s > 1e-10 * s[0]], s[s > 1e-10 * s[0]]
        variance = (s / s[0]) ** 2
        k = np.count_nonzero(variance >= epsilon)
        return (u * np.sqrt(variance / (variance + epsilon)))[:, :k]

    rho = np.linalg.svd(cut(x).T @ cut(y), compute_uv=False)
    if mean == "98":
        rho = rho[: next(i for i in range(1, rho.size + 1) if rho[:i].sum() >= 0.98 * rho.sum())]
    return (rho**2).mean() if mean == "squares" else rho.mean()


def resampled(x, y):
    rng = np.random.default_rng(1)
    if len(x) < 3 or len(x) != len(y):
        raise ValueError("too few sentences")
    rows = rng.integers(0, len(x), (15, len(x)))
    return np.mean([plain(x[r], y[r]) for r in rows])


def test_a_careful_implementation_passes():
    report = check(plain)
    assert report.passed, report.as_text()
    assert (report.target, report.summary) == ("plain", "")
    assert row(report, "p-values").result == "n/a"


@pytest.mark.parametrize(
    ("function", "case", "diagnosis"),
    [
        (partial(plain, power=1), "cut of a steep spectrum", "cut is on the wrong quantity"),
        (partial(plain, axis=None), "features with large means", "not centred"),
        (partial(plain, axis=1), "features with large means", "centred along the wrong axis"),
        (partial(plain, axis=None, after=True), "features with large means", "cut before centring"),
        (partial(plain, gram=np.float32), "planted correlations, N > D", "float32 Gram"),
        (partial(plain, shift=-1), "share reached exactly", "k is one too few"),
        (partial(plain, shift=1), "share reached exactly", "k is one too many"),
        (partial(plain, share=0.99), "cut of a steep spectrum", "share of 0.99, not 0.9"),
        (partial(plain, share=1.0), "5 strong shared and 25 weak", "no cut"),
        (partial(plain, flat=True), "5 strong shared and 25 weak", "after orthonormalisation"),
        (partial(plain, mean="98"), "3 of 8 directions shared", "98 % of the sum"),
        (partial(plain, mean="squares"), "planted correlations, N > D", "squared correlations"),
        (partial(plain, epsilon=0.98), "identical views", "0.98 is passed where epsilon"),
        (
            partial(plain, power=1, mean="98"),
            "cut of a steep spectrum",
            "two things: the cut is on the wrong quantity; and the leading coefficients",
        ),
        (
            partial(plain, power=1, axis=None, after=True, shift=-1),
            "features with large means",
            "as in anatome",
        ),
        (resampled, "mean score of unrelated views", "bootstrap"),
        (lambda x, y: 1 - plain(x, y), "identical views", "--distance"),
        (lambda x, y: plain(x.T, y.T), "planted correlations, N > D", "--transpose"),
    ],
)  # fmt: skip
def test_mistakes_are_found_and_named(function, case, diagnosis):
    report = check(function, "svcca", groups=["closed form", "degenerate", "calibration"])
    assert not report.passed
    assert row(report, case).result == "fail", report.as_text()
    assert diagnosis in row(report, case).remark
    assert diagnosis in report.summary


@pytest.mark.parametrize(
    ("function", "settings"),
    [
        (partial(plain, power=1), {"rule": "linear"}),
        (partial(plain, share=0.8, mean="98"), {"share": 0.8, "mean": "98"}),
        (lambda x, y: 1 - plain(x, y), {"distance": True}),
        (lambda x, y: plain(x.T, y.T), {"transpose": True}),
        (plain, {"options": {"power": 1}, "measure": "svcca(rule=linear)"}),
    ],
)
def test_the_right_claim_makes_another_choice_right(function, settings):
    report = check(function, **settings, groups=["closed form", "golden", "degenerate"])
    assert report.passed, report.as_text()


def test_single_precision_passes_with_a_tolerance():
    groups = ["closed form", "golden", "invariance", "degenerate"]
    report = check(partial(plain, gram=np.float32), tolerance=1e-4, groups=groups)
    assert report.passed, report.as_text()


def test_a_silent_zero_for_a_constant_view():
    report = check(partial(plain, silent=True), groups=["closed form", "degenerate"])
    assert failed(report) == {"all values 0", "constant view", "all sentences equal"}
    assert "a silent 0, which averages take for a measurement" in row(report, "constant").remark


def test_input_that_is_not_looked_at():
    report = check(partial(plain, careful=False))
    assert failed(report) >= {"all values 0", "fewer than 3 sentences", "one NaN", "float16"}
    assert "LinAlgError" in row(report, "one NaN").remark
    assert row(report, "different numbers of sentences").result == "pass"
    assert not failed(report, "closed form")


def test_google_without_handling_of_zeros():
    """Its covariances and roots, on views that the cut has left alone."""

    def google(x, y, epsilon=1e-10):
        def reduced(v):
            features = v.T - v.T.mean(axis=1, keepdims=True)
            _, s, right = np.linalg.svd(features, full_matrices=False)
            k = int(np.argmax(np.cumsum(s**2) >= 0.9 * (s**2).sum() * (1 - 1e-12))) + 1
            return s[:k, None] * right[:k]

        def root(m):
            w, v = np.linalg.eigh(np.linalg.pinv(m))
            return v @ np.diag(np.sqrt(w)) @ v.T

        a, b = reduced(x), reduced(y)
        c = np.cov(a, b)
        p = len(a)
        aa, ab, bb = c[:p, :p], c[:p, p:], c[p:, p:]
        top = np.abs(aa).max(), np.abs(bb).max()
        if 0 in top:
            _mean, _coefficients, _directions, _both, _more = np.zeros(6)
        aa = aa / top[0] + epsilon * np.eye(p)
        bb = bb / top[1] + epsilon * np.eye(len(b))
        s = np.linalg.svd(root(aa) @ (ab / np.sqrt(top[0] * top[1])) @ root(bb), compute_uv=False)
        return {"cca_coef1": s, "mean": (s.mean(), s.mean())}

    report = check(google)
    assert not failed(report, "closed form")
    assert not failed(report, "golden")
    assert not failed(report, "calibration")
    assert {"all values 0", "one NaN"} <= failed(report, "degenerate")
    assert "too many values to unpack" in row(report, "all values 0").remark


def test_thresholds_must_be_relative():
    report = check(partial(plain, floor=1e-8), groups=["golden", "degenerate"])
    assert "scales 1e-30 and 1e+30" in failed(report)
    assert not failed(report, "golden")


def test_centring_in_place_is_seen():
    def spoils(x, y):
        if x.dtype == float and x.flags.writeable and len(x):
            x -= x.mean(axis=0)
        return plain(x, y)

    report = check(spoils, groups=["golden", "degenerate"])
    assert failed(report) == {"input left alone"}
    assert "first array was changed in place" in row(report, "input left alone").remark


def test_a_random_result_is_seen():
    rng = np.random.default_rng(0)
    report = check(lambda x, y: plain(x, y) + 1e-7 * rng.random(), groups=["invariance"])
    assert row(report, "the same call twice").result == "fail"


def test_what_informs_fails_nobody():
    def shuffle_blind(x, y):
        return 0.5 if plain(x, y) == plain(x, y) else float("nan")

    report = check(shuffle_blind, groups=["invariance"])
    assert row(report, "sentences of one view shuffled").result == "note"
    assert "which sentences belong together" in row(report, "sentences of one view").remark


# Other measures


def centred(x, y):
    return x - x.mean(axis=0), y - y.mean(axis=0)


def biased_cka(x, y):
    x, y = centred(x, y)
    norm = np.linalg.norm
    return norm(x.T @ y) ** 2 / (norm(x.T @ x) * norm(y.T @ y))


def procrustes(x, y, *, squared=False, middle=True):
    x, y = centred(x, y) if middle else (x, y)
    x, y = x / np.linalg.norm(x), y / np.linalg.norm(y)
    found = np.linalg.svd(x.T @ y, compute_uv=False).sum()
    return 2 - 2 * found if squared else found


def rsa(x, y, *, rank=True):
    rows = np.triu_indices(len(x), 1)
    far = [1 - np.corrcoef(v)[rows] for v in (x, y)]
    if rank:
        far = [np.argsort(np.argsort(f)) for f in far]
    return np.corrcoef(*far)[0, 1]


def mutual_knn(x, y, *, k=10, own=False):
    near = []
    for v in (x, y):
        v = v / np.linalg.norm(v, axis=1, keepdims=True)
        cosines = v @ v.T
        if not own:
            np.fill_diagonal(cosines, -2)
        near.append(np.argsort(-cosines, axis=1)[:, :k])
    return np.mean([len(set(a) & set(b)) / k for a, b in zip(*near, strict=True)])


def retrieval(x, y, *, both=True):
    x, y = (v / np.linalg.norm(v, axis=1, keepdims=True) for v in (x, y))
    found = (x @ y.T).argmax(axis=1) == np.arange(len(x))
    back = (y @ x.T).argmax(axis=1) == np.arange(len(x))
    return (found.mean() + back.mean()) / 2 if both else found.mean()


def anc(x, y, *, sign=False):
    r = [np.corrcoef(a, b)[0, 1] for a, b in zip(x.T, y.T, strict=True)]
    return np.mean(r) if sign else np.abs(r).mean()


def pwcca(x, y, *, weights="neurons"):
    (x, y), bases = centred(x, y), []
    for v in (x, y):
        u, s, _ = np.linalg.svd(v, full_matrices=False)
        k = int(np.argmax(np.cumsum(s**2) >= 0.9 * (s**2).sum() * (1 - 1e-12))) + 1
        bases.append((u[:, :k], s[:k]))
    left, rho, _ = np.linalg.svd(bases[0][0].T @ bases[1][0])
    if weights == "components":
        w = np.abs(left.T * bases[0][1]).sum(axis=1)[: rho.size]
    else:
        w = np.abs((bases[0][0] @ left).T @ x).sum(axis=1)[: rho.size]
    return rho.mean() if weights == "none" else w @ rho / w.sum()


def cca(x, y):
    x, y = centred(x, y)
    rho = np.linalg.svd(np.linalg.qr(x)[0].T @ np.linalg.qr(y)[0], compute_uv=False)
    return rho.mean()


@pytest.mark.parametrize(
    ("function", "claim"),
    [
        (biased_cka, "cka(debiased=false)"),
        (procrustes, None),
        (rsa, None),
        (mutual_knn, None),
        (partial(mutual_knn, k=4), "mutual_knn(k=4)"),
        (retrieval, None),
        (anc, None),
        (pwcca, None),
        (cca, None),
    ],
)
def test_short_implementations_are_right_where_input_is_ordinary(function, claim):
    report = check(function, claim)
    for group in ("closed form", "invariance", "calibration"):
        assert not failed(report, group), report.as_text()


@pytest.mark.parametrize(
    ("function", "claim", "case", "diagnosis"),
    [
        (biased_cka, "cka", "mean score of unrelated", "biased estimator; if that is meant"),
        (partial(procrustes, squared=True), None, "identical", "squared distance"),
        (partial(procrustes, middle=False), None, "features with large means", "not centred"),
        (partial(rsa, rank=False), None, "five points by hand", "Pearson's correlation stands"),
        (rsa, "rsa(distance=cosine)", "five points by hand", "correlation, not cosine"),
        (partial(mutual_knn, own=True), None, "points on an arc", "its own nearest neighbour"),
        (partial(mutual_knn, k=9), None, "points on an arc", "9 neighbours, not 10"),
        (partial(retrieval, both=False), None, "many sentences near one", "only the direction"),
        (retrieval, "retrieval(score=mrr)", "partners moved round", "share found first"),
        (partial(anc, sign=True), None, "every neuron turned over", "signs are kept"),
        (partial(pwcca, weights="none"), None, "one neuron per direction", "not weighted"),
        (partial(pwcca, weights="components"), None, "neurons that mix", "principal components"),
        (plain, "cca", "planted correlations", "a cut is made, at 0.9"),
    ],
)
def test_mistakes_of_other_measures_are_named(function, claim, case, diagnosis):
    report = check(function, claim, groups=["closed form", "calibration"])
    assert row(report, case).result == "fail", report.as_text()
    assert diagnosis in row(report, case).remark, report.as_text()
    assert diagnosis in report.summary


# P-values


def with_p(x, y, *, permutations=0, seed=0, kind="right"):
    x, y = (v - v.mean(axis=0) for v in (x, y))
    x, y = (v / np.linalg.norm(v, axis=0) for v in (x, y))
    orders = np.random.default_rng(seed).permuted(
        np.tile(np.arange(len(y)), (permutations, 1)), axis=1
    )
    score = np.abs((x * y).sum(axis=0)).mean()
    above = (np.abs((x * y[orders]).sum(axis=1)).mean(axis=1) >= score).sum()
    p = {
        "right": (1 + above) / (1 + permutations),
        "zero": above / max(permutations, 1),
        "one": 1.0,
        "small": (1 + above) / (1 + permutations) / 2,
    }[kind]
    return SimpleNamespace(score=score, p_value=p)


@pytest.mark.parametrize(
    ("kind", "remark"),
    [("zero", "counts as one of the nulls"), ("one", "too few small"), ("small", "too many small")],
)
def test_p_values_that_are_not_uniform(kind, remark):
    found = row(check(partial(with_p, kind=kind), "anc", groups=["calibration"]), "p-values")
    assert found.result == "fail"
    assert remark in found.remark


def test_p_values_that_are_uniform():
    report = check(with_p, "anc", groups=["calibration"])
    assert [r.result for r in report.rows] == ["pass", "pass"]


# What is returned, raised and imported


def test_scores_are_read_from_what_people_return():
    assert read(np.float32(0.5)) == 0.5
    assert read(np.array(0.25)) == 0.25
    assert read(np.array([[0.25]])) == 0.25
    assert read((0.5, "rest")) == 0.5
    assert read({"cca_coef1": [1, 2], "mean": (0.5, 0.4)}) == 0.5
    assert read({"score": 0.1, "mean": 0.2}) == 0.1
    assert read(SimpleNamespace(score=np.array(0.75))) == 0.75
    assert np.isnan(read(float("nan")))
    for wrong in (None, "0.5", True, [], {}, np.array([0.1, 0.2]), np.array([]), {"other": 1}, 1j):
        with pytest.raises(NoScoreError):
            read(wrong)


def test_tensors_are_passed_and_read():
    torch = pytest.importorskip("torch")

    def linear_cka(x, y):
        assert isinstance(x, torch.Tensor)
        x, y = (v.double() - v.double().mean(dim=0) for v in (x, y))
        return (x.T @ y).norm() ** 2 / ((x.T @ x).norm() * (y.T @ y).norm())

    groups = ["closed form", "degenerate"]
    report = check(linear_cka, "cka(debiased=false)", torch=True, groups=groups)
    assert not failed(report, "closed form")
    assert row(report, "memory order").result == "pass"


def caught(function, *arguments):
    try:
        function(*arguments)
    except BaseException as error:
        # The frame of this function stands for the one that calls a target.
        return error
    return None


def test_errors_on_purpose_are_told_from_accidents():
    def deliberate(kind, message):
        raise kind(message)

    def asserted():
        assert False, "sizes differ"  # noqa: B011, PT015

    x = np.eye(3)
    assert clear(caught(deliberate, ValueError, "empty view"))
    assert clear(caught(deliberate, TypeError, "not float16"))
    assert clear(caught(asserted))
    assert clear(caught(Svcca(share=0.9).prepare, np.zeros(3)))
    assert not clear(caught(deliberate, ValueError, ""))
    assert not clear(caught(deliberate, IndexError, "3"))
    assert not clear(caught(lambda: x @ np.ones(4)))
    assert not clear(caught(lambda: x + np.ones(4)))
    assert not clear(caught(lambda: np.linalg.inv(np.zeros((3, 3)))))
    assert not clear(caught(lambda: [].index(1)))


def test_a_target_that_always_raises_or_exits_stops_nothing():
    report = check(lambda x, y: sys.exit(3), "svcca")
    assert report.counts["pass"] == 0
    assert len(report.rows) == 46
    assert "raised SystemExit: 3" in row(report, "identical views").remark


@pytest.mark.parametrize(
    ("name", "measure"),
    [
        ("my.module:compute_PWCCA", "pwcca"),
        ("svcca_distance", "svcca"),
        ("linear_cka", "cka"),
        ("path/cka.py:score", "svcca"),
        ("mutual_knn", "mutual_knn"),
        ("knn_overlap", "mutual_knn"),
        ("universal_distance", "svcca"),
        ("rsa", "rsa"),
        ("anc", "anc"),
        ("cca(share=1)", "cca"),
    ],
)
def test_measures_are_guessed_from_names(name, measure):
    assert guess(name) == measure


def test_a_measure_of_ours_claims_its_own_options():
    golden = partial(check, groups=["golden"])
    assert golden("svcca(share=0.8, rule=linear)").claim.startswith("svcca(share=0.8, rule=linear")
    assert golden(Svcca(share=0.8)).target == "Svcca"
    assert golden(Svcca(share=0.8)).claim.startswith("svcca(share=0.8")
    assert golden(Svcca, options={"share": 0.8}).claim.startswith("svcca(share=0.8")
    wrong = check("svcca(share=0.8)", share=0.9, groups=["closed form"])
    assert not wrong.passed
    assert "share of 0.8, not 0.9" in wrong.summary


@pytest.mark.parametrize(
    ("target", "settings", "message"),
    [
        ("nothing.here:svcca", {}, r"nothing.here cannot be imported \(ModuleNotFoundError"),
        ("isogloss.similarity:wachte", {}, 'did you mean "wachter"'),
        ("isogloss.similarity:wachter.none", {}, "unknown name"),
        ("isogloss:__version__", {}, "is str, not a function"),
        ("no/such/file.py:f", {}, "there is no file"),
        ("a b:f", {}, "no name of a module"),
        (":f", {}, "not written as module:function"),
        ("svca", {}, 'did you mean "svcca"?.*written module:function'),
        ("svcca(share=3)", {}, "share: input should be less than or equal to 1"),
        ("svcca", {"options": {"share": 0.8}}, "written in brackets"),
        (svcca, {"measure": "zzz"}, 'unknown measure "zzz"'),
        (svcca, {"measure": "cca", "share": 0.9}, 'cca: unknown option "share"'),
        (svcca, {"options": {"shar": 0.9}}, "does not take two arrays and shar"),
        (lambda x: 0.5, {}, "does not take two arrays: too many positional arguments"),
        (svcca, {"groups": ["closed"]}, 'unknown group "closed"; did you mean "closed form"'),
        (svcca, {"tolerance": -1}, "tolerance must be at least 0"),
        (3, {}, "int is int, not a function"),
    ],
)
def test_usage_errors_are_one_clear_message(target, settings, message):
    with pytest.raises(StudyError, match=message) as caught:
        check(target, **settings)
    assert "\n" not in str(caught.value)


# Report


def test_report_as_text_dict_and_frame():
    report = check(partial(plain, silent=True))
    frame = report.frame()
    assert frame.height == len(report.rows) == 46
    assert frame.filter(pl.col("result") == "fail").height == report.counts["fail"] == 3
    text = json.dumps(report.as_dict(), allow_nan=False)
    assert json.loads(text)["counts"]["fail"] == 3
    for width in (100, 120, 200):
        shown = report.as_text(width)
        assert max(map(len, shown.splitlines())) <= width
        assert "FAIL  constant view" in shown
        assert "3 failed" in shown
        assert "a silent 0, which averages" in " ".join(shown.split())


def test_digits_tell_close_numbers_apart():
    assert number(0.25) == "0.250000"
    assert number(0.25 - 3e-9, 0.25) == "0.250000 - 3e-09"
    assert number(-np.inf) == "-infinity"


# Command line

NOISY = """
import logging, os, sys, warnings
import numpy as np
from isogloss.similarity import svcca as ours

print("imported")

def svcca(x, y, *, shift=0.0):
    print("out"); print("err", file=sys.stderr); warnings.warn("careful")
    os.write(1, b"raw"); os.write(2, b"raw"); logging.getLogger("a").warning("logged")
    return ours(x, y).score + shift
"""


def command(folder, *arguments):
    environment = {**os.environ, "COLUMNS": "150"}
    return subprocess.run(
        [sys.executable, "-m", "isogloss", "conformance", *arguments],
        cwd=folder, capture_output=True, text=True, check=False, env=environment,
    )  # fmt: skip


def test_the_command_its_exit_codes_and_its_silence(tmp_path):
    (tmp_path / "mine.py").write_text(NOISY)
    good = command(tmp_path, "mine:svcca", "--json")
    assert good.returncode == 0, good.stderr
    assert good.stderr == ""
    found = json.loads(good.stdout)
    assert found["passed"]
    assert found["claim"].startswith("svcca(share=0.9, rule=squared, mean=all")
    bad = command(tmp_path, "mine.py:svcca", "--option", "shift=0.1", "--measure", "svcca")
    assert bad.returncode == 1
    assert bad.stdout.startswith("mine.py:svcca as svcca(")
    assert "FAIL  identical views" in bad.stdout
    assert "Traceback" not in bad.stdout + bad.stderr
    wrong = command(tmp_path, "mine:svcca", "--option", "other=1")
    assert wrong.returncode == 2
    assert wrong.stderr.startswith("error: mine:svcca does not take two arrays and other")
    assert wrong.stdout == ""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["svcca", "--option", "share"], "not written as key=value"),
        (["svcca", "--option", "a=[1"], "the value cannot be read"),
        (["svcca", "--rule", "cubed"], "cubed"),
        (["svcca", "--group", "nothing"], "nothing"),
        ([], "TARGET"),
    ],
)
def test_wrong_use_of_the_command(arguments, message, capsys):
    assert call(["conformance", *arguments]) == 2
    shown = capsys.readouterr()
    assert message in shown.out + shown.err


def test_groups_of_the_command(capsys):
    assert call(["conformance", "cka(debiased=false)", "--group", "closed form"]) == 0
    assert "5 passed, 0 failed, 0 not applicable" in capsys.readouterr().out


def test_the_suite_leaves_streams_and_warnings_as_they_were(capfd):
    def noisy(x, y):
        os.write(2, b"raw noise")
        print("noise")  # noqa: T201
        warnings.warn("careful", stacklevel=1)
        return plain(x, y)

    assert check(noisy, groups=["closed form"]).passed
    os.write(1, b"after")
    assert capfd.readouterr() == ("after", "")
    with pytest.warns(UserWarning, match="still"):
        warnings.warn("still heard", stacklevel=1)
