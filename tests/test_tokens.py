"""Shared tokens, fragmentation, and what they have to do with scores."""

import shutil
import warnings
from collections import Counter
from itertools import combinations

import numpy as np
import pytest

from builders import make_run
from isogloss import specs
from isogloss.analyses import ANALYSES
from isogloss.analyses._pair_scores import scores_of
from isogloss.analyses.tokens import Tokens
from isogloss.api import analyse
from isogloss.charts import check
from isogloss.errors import CorpusError, IsoglossError, ModelError
from isogloss.fragmentation import SHARES, fragments, shared_tokens
from isogloss.similarity.base import Measure, MeasureInfo
from isogloss.similarity.correlation import ordinary_p
from isogloss.similarity.mantel import mantel
from planted_scores import MEASURE, Parts, cross_lingual, material

LANGUAGES = ("bul", "cmn", "deu", "ell", "eng", "fin", "heb", "hin", "ita", "tur")
DEPTHS = (0.0, 0.5, 1.0)


def by_definition(a, b):
    """Shares of two lists of tokens, as their descriptions say."""
    both = sum((Counter(a) & Counter(b)).values())
    return {
        "jaccard": len(set(a) & set(b)) / len(set(a) | set(b)),
        "overlap": both / ((len(a) + len(b)) / 2),
        "overlap_min": both / min(len(a), len(b)),
        "overlap_max": both / max(len(a), len(b)),
    }


def test_shares_are_those_of_their_definitions():
    rng = np.random.default_rng(0)
    ids = {
        code: {str(s): rng.zipf(1.5, rng.integers(1, 40)).clip(0, 60).tolist() for s in range(25)}
        for code in ("deu", "eng", "fin")
    }
    del ids["deu"]["3"], ids["fin"]["7"]
    ids["eng"]["9"] = []
    found = shared_tokens(ids)
    assert found["sentences"].to_list() == [23, 23, 23]
    for row in found.iter_rows(named=True):
        a, b = ids[row["language_a"]], ids[row["language_b"]]
        shares = [by_definition(a[s], b[s]) for s in a if a[s] and b.get(s)]
        for name in SHARES:
            assert row[name] == pytest.approx(np.mean([s[name] for s in shares])), name


def test_languages_without_a_common_sentence_have_no_share():
    found = shared_tokens({"deu": {"0": [1]}, "eng": {"1": [1]}, "fin": {"0": [1, 1, 2], "1": [2]}})
    first, second, third = found.iter_rows(named=True)
    assert first["sentences"] == 0
    assert np.isnan([first[s] for s in SHARES]).all()
    assert [second[s] for s in SHARES] == [1 / 2, 1 / 2, 1, 1 / 3]
    assert [third[s] for s in SHARES] == [0, 0, 0, 0]


def test_fragmentation_by_hand():
    texts = {"deu": {"0": "für", "1": "ab"}, "eng": {"0": "  "}}
    ids = {"deu": {"0": [1, 2, 3], "1": [9]}, "eng": {"0": []}}
    kinds = {1: "character", 2: "byte", 3: "byte", 9: "longer"}
    german, english = fragments(texts, ids, kinds.get).iter_rows(named=True)
    assert (german["sentences"], german["tokens"]) == (2, 2.0)
    assert (german["per_character"], german["per_byte"]) == (4 / 5, 4 / 6)
    assert (german["unknown"], german["byte"], german["character"]) == (0.0, 0.5, 0.25)
    assert english["sentences"] == 0
    assert np.isnan(english["tokens"])
    unknown = fragments(texts, ids, None).row(0, named=True)
    assert unknown["per_byte"] == 4 / 6
    assert np.isnan([unknown["unknown"], unknown["byte"], unknown["character"]]).all()


def sentences(seed=0):
    """Texts in which pairs of languages share words to a different degree."""
    rng = np.random.default_rng(seed)
    words = ["".join(rng.choice(list("abcdefghij"), 4)) for _ in range(60)]
    start = {code: int(rng.integers(0, 40)) for code in LANGUAGES}
    return {
        (code, str(s)): " ".join(rng.choice(words[start[code] : start[code] + 20], 12))
        for code in LANGUAGES
        for s in range(12)
    }


@pytest.fixture(scope="module")
def shares():
    """Shares that the tokeniser finds, and a memory of them, so that it is read once."""
    part, texts = Parts(), sentences()
    flat = cross_lingual(LANGUAGES, DEPTHS, lambda *_: 0.1, ("text",))
    run = material({"cross_lingual": flat}, DEPTHS, LANGUAGES, texts=texts, part=part)
    frame = Tokens(permutations=19).read(run).filter(kind="pair")
    keys = frame.select("language_a", "language_b").rows()
    return dict(zip(keys, frame["jaccard"], strict=True)), texts, part


def planted(shares, slopes, seed=1, noise=0.02):
    """Scores that follow the shares with another slope at each tap."""
    own, texts, part = shares
    rng = np.random.default_rng(seed)
    effect = {code: noise * rng.normal() for code in LANGUAGES}
    made = {(a, b, t): noise * rng.normal() for a, b in own for t in range(len(slopes))}

    def value(_, a, b, tap):
        return 0.3 + slopes[tap] * own[a, b] + effect[a] + effect[b] + made[a, b, tap]

    table = cross_lingual(LANGUAGES, DEPTHS, value, ("text",))
    return material({"cross_lingual": table}, DEPTHS, LANGUAGES, texts=texts, part=part)


def test_correlations_are_those_of_the_table(shares):
    run = planted(shares, (1.0, 0.3, 0.0))
    frame = Tokens(permutations=99).read(run)
    pairs = frame.filter(kind="pair")
    assert pairs.height == 45
    table = run.tables["cross_lingual"].filter(control="", label="in")
    assert pairs["raw"].to_list() == table["score"].to_list()
    assert pairs["calibrated"].to_list() == table["calibrated"].to_list()
    at = frame.filter(kind="correlation", scores="raw", without="", variant="jaccard", tap="in")
    one = at.row(0, named=True)
    wanted = mantel(
        table["language_a"], table["language_b"], pairs["jaccard"], table["score"], permutations=99
    )
    assert one["r"] == pytest.approx(np.corrcoef(pairs["jaccard"], table["score"])[0, 1])
    assert (one["p_mantel"], one["low"]) == pytest.approx((wanted.p_mantel, wanted.low))
    assert one["p_ordinary"] == pytest.approx(ordinary_p(one["r"], 45))
    rows = frame.filter(kind="correlation", scores="calibrated")
    assert set(rows["without"]) == {"", "resource level", "same script", "token length"}
    assert set(rows.filter(variant="overlap")["tap"]) == {"in"}
    assert set(rows["variant"]) == set(SHARES)
    fades = frame.filter(kind="difference", without="fades", scores="raw").row(0, named=True)
    last = frame.filter(kind="correlation", scores="raw", without="", variant="jaccard", tap="2")
    assert fades["r"] == pytest.approx(one["r"] - last["r"][0])


@pytest.mark.parametrize("sign", [1, -1])
def test_planted_relation_is_found_both_ways(sign, shares):
    frame = Tokens(permutations=999).read(planted(shares, (sign, sign * 0.2, 0.0)))
    claims = {(c.name, c.scores): c for c in Tokens().claims_of(frame)}
    for scores in ("raw", "calibrated", "controlled"):
        claim = claims["tokens", scores]
        assert claim.effect * sign > 0.5
        assert claim.low * sign > 0 or claim.high * sign > 0
        assert claim.p_value <= 0.01
        assert (claim.count, claim.measure, claim.reason) == (10, MEASURE, "")
        assert claims["tokens fade", scores].effect * sign > 0.2
    said = " ".join(Tokens().describe(frame).findings)
    assert f"have {'more' if sign > 0 else 'less'} alike texts" in said


def test_no_relation_is_found_at_the_nominal_rate(shares):
    found = [
        next(c.p_value for c in Tokens().claims_of(
            Tokens(permutations=99).read(planted(shares, (0, 0, 0), seed))
        ) if c.scores == "calibrated")
        for seed in range(100, 130)
    ]  # fmt: skip
    assert np.mean(np.array(found) <= 0.05) <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 30)
    assert np.mean(found) == pytest.approx(0.5, abs=0.16)


def test_distances_are_turned_round(shares):
    class Distance(Measure):
        info = MeasureInfo("distance", "here", (0.0, 1.0), False, frozenset())

        def prepare(self, view):
            raise NotImplementedError

        compare = prepare

    table = planted(shares, (1.0, 1.0, 1.0)).tables["cross_lingual"]
    found = scores_of(table, Distance(), MEASURE)
    plain = table.filter(control="").sort("position", "language_a", "language_b")
    assert found["raw"].to_list() == (-plain["score"]).to_list()
    assert found["calibrated"].to_list() == plain["calibrated"].to_list()


def test_summary_can_be_drawn(shares):
    frame = Tokens(permutations=19).read(planted(shares, (1.0, 0.3, 0.0)))
    summary = Tokens().describe(frame)
    assert [c.name for c in summary.charts] == [
        "shared_tokens", "shared_tokens_taps", "fragmentation",
    ]  # fmt: skip
    for chart in summary.charts:
        check(chart)
    scatter = summary.charts[0].panels[1].marks
    drawn = sorted(x for marks in scatter for x in marks.x)
    assert drawn == sorted(frame.filter(kind="pair")["jaccard"].to_list())
    assert any("deu–eng" in text for marks in scatter for text in marks.hover)
    titles = [title for title, _ in summary.tables]
    assert titles == [
        "Pairs of languages", "Correlations with shared tokens", "Fragmentation by language",
    ]  # fmt: skip


def write_flores(folder, texts, split="devtest"):
    from isogloss.languages import language

    (folder / split).mkdir(parents=True)
    for code in LANGUAGES:
        lines = [texts[code, str(s)] for s in range(12)]
        path = folder / split / f"{language(code).flores200}.{split}"
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def test_flores_and_tokeniser_are_needed_once(tmp_path, tiny_model, shares):
    folder = write_flores(tmp_path / "flores", sentences(5))
    model = shutil.copy(tiny_model, tmp_path / "own.model")
    settings = {"corpus": str(folder), "tokenizer": str(model), "permutations": 19}
    run, part = planted(shares, (1.0, 0.3, 0.0)), Parts()
    object.__setattr__(run, "part", part)
    first = Tokens(**settings).read(run)
    made = part.made
    assert set(first["source"]) == {"FLORES devtest"}
    assert first.filter(kind="pair")["sentences"].to_list() == [12] * 45
    own = dict(zip(first.filter(kind="pair").select("language_a", "language_b").rows(),
                   first.filter(kind="pair")["jaccard"], strict=True))  # fmt: skip
    assert own != shares[0]
    shutil.rmtree(folder)
    (tmp_path / "own.model").unlink()
    again = Tokens(**settings).read(run)
    assert part.made == made
    assert again.equals(first)
    with pytest.raises(CorpusError):
        Tokens(**{**settings, "split": "dev"}).read(run)
    # Other sentences at the same place are counted anew.
    shutil.copy(tiny_model, tmp_path / "own.model")
    write_flores(folder, sentences(6))
    other = Tokens(**settings).read(run)
    assert part.made == made + 1
    assert other.filter(kind="pair")["jaccard"].to_list() != list(own.values())


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory):
    from isogloss.models._tiny import cached_tiny_seamless

    return cached_tiny_seamless() / "sentencepiece.bpe.model"


def test_what_is_missing_is_said(shares):
    run = planted(shares, (1.0, 0.3, 0.0))
    with pytest.raises(IsoglossError, match='no text tap "9"; it has in, 1, 2'):
        Tokens(tap="9").read(run)
    with pytest.raises(IsoglossError, match="is no measure of the study, which has svcca"):
        Tokens(measure="cka").read(run)
    object.__setattr__(run, "part", Parts())
    with pytest.raises(ModelError, match="no such folder: /nowhere"):
        Tokens(tokenizer="/nowhere/at-all").read(run)
    object.__setattr__(run, "texts", {})
    with pytest.raises(CorpusError, match="does not hold the texts of its sentences"):
        Tokens().read(run)
    object.__setattr__(run, "tables", {})
    with pytest.raises(IsoglossError, match="name that analysis in the study too"):
        Tokens().read(run)
    spoken = cross_lingual(LANGUAGES, DEPTHS, lambda *_: 0.1, ("speech",))
    object.__setattr__(run, "tables", {"cross_lingual": spoken})
    assert Tokens().read(run) is None


def test_model_without_a_tokeniser(shares):
    class Deaf:
        def identity(self):
            return {}

        def tokeniser(self):
            return None

    run = planted(shares, (1.0, 0.3, 0.0))
    object.__setattr__(run, "part", Parts())
    object.__setattr__(run, "source", Deaf)
    with pytest.raises(ModelError, match="has no tokeniser of text; name one"):
        Tokens().read(run)


def test_few_languages_have_numbers_but_no_test():
    names, texts = LANGUAGES[:3], sentences()
    own = {key: text for key, text in texts.items() if key[0] in names}
    table = cross_lingual(names, DEPTHS, lambda _, a, b, t: 0.1 * (a > "bul") + 0.1 * t, ("text",))
    run = material({"cross_lingual": table}, DEPTHS, names, texts=own)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        frame = Tokens(permutations=19).read(run)
        summary = Tokens().describe(frame)
    assert "at least 4 languages are needed" in summary.findings[0]
    claim = Tokens().claims_of(frame)[0]
    assert np.isnan(claim.effect)
    assert "at least 4 languages" in claim.reason
    for chart in summary.charts:
        check(chart)


@pytest.mark.parametrize("name", ["tokens", "matrices", "convergence"])
def test_settings_that_are_left_out_stay_so_in_a_line(name):
    part = specs.parse(ANALYSES, name)
    assert specs.parse(ANALYSES, specs.write(ANALYSES, part)) == part


def test_in_a_run(tmp_path):
    names = ("deu", "ell", "eng", "fin", "ita", "tur")
    run = make_run(
        tmp_path / "run", names, measures=("svcca",), analyses=("cross_lingual", "tokens"),
        confounds=("characters",),
    )  # fmt: skip
    rng = np.random.default_rng(0)
    run.keep_texts(
        {(code, str(s)): " ".join(rng.choice(["alpha", "beta", "gamma", code], 6))
         for code in names for s in range(40)}
    )  # fmt: skip
    tables, skipped = analyse(tmp_path / "run")
    assert skipped == []
    frame = tables["tokens"]
    assert frame.filter(kind="pair").height == len(list(combinations(names, 2)))
    assert frame.filter(kind="correlation", scores="controlled")["r"].is_not_nan().all()
    assert analyse(tmp_path / "run")[0]["tokens"].equals(frame)
