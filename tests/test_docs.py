import re
import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import isogloss
from isogloss.analyses import ANALYSES
from isogloss.cli import app
from isogloss.corpora import CORPORA
from isogloss.languages import languages
from isogloss.models import MODELS
from isogloss.results import MEANING, MEANS, SCHEMA
from isogloss.similarity.measures import MEASURES
from isogloss.similarity.shuffles import InducedShuffles, Shuffles

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"


@pytest.fixture(scope="module")
def generated():
    return runpy.run_path(str(DOCS / "generate.py"))["page"]()


def test_the_reference_is_what_the_code_says(generated):
    assert (DOCS / "reference.md").read_text(encoding="utf-8") == generated, (
        "run `python docs/generate.py`"
    )


def test_every_part_and_setting_is_in_the_reference(generated):
    for registry in (ANALYSES, CORPORA, MEASURES, MODELS):
        for name in registry.names():
            assert f"### `{name}`" in generated
            section = generated.split(f"### `{name}`")[1].split("###")[0]
            for field in registry.get(name).model_fields:
                assert field in ("source", "family") or f"| `{field}` |" in section


def test_every_column_of_the_results_is_explained(generated):
    assert set(MEANING) == {*SCHEMA, *MEANS}
    for column in {*SCHEMA, *MEANS}:
        assert f"| `{column}` | {MEANING[column]} |" in generated


def test_every_command_has_help_and_is_in_the_reference(generated):
    commands = [n for n in app if not n.startswith("-")]
    assert len(commands) > 10
    for name in commands:
        assert app[name].help
        assert f"`isogloss {name}`" in generated


@pytest.mark.parametrize("registry", [CORPORA, MODELS], ids=["corpora", "models"])
def test_corpora_and_models_have_their_own_pages(registry):
    page = (DOCS / f"{registry.package.rpartition('.')[2]}.md").read_text(encoding="utf-8")
    for name in registry.names():
        assert f"`{name}`" in page
        missing = {f for f in registry.get(name).model_fields if f"`{f}`" not in page}
        assert missing <= {"source", "family"}, f"{name}: {missing} are not in the page"


def test_links_lead_somewhere():
    pages = [*ROOT.glob("*.md"), *DOCS.rglob("*.md")]
    assert pages
    for page in pages:
        for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text(encoding="utf-8")):
            if "://" not in target and not target.startswith("mailto:"):
                assert (page.parent / target).exists(), f"{page.name} links to {target}"


def blocks(page):
    return re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), flags=re.DOTALL)


@pytest.fixture(scope="module")
def cosine():
    (code,) = [b for b in blocks(ROOT / "CONTRIBUTING.md") if "class Cosine" in b]
    found = {}
    exec(code, found)
    return found["Cosine"]


def test_the_example_measure_of_the_contributing_page_works(cosine):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(30, 5)) + 3

    def score(a, b, *, centre=True, **more):
        measure = cosine(centre=centre)
        return measure.compare(measure.prepare(a), measure.prepare(b), **more)

    assert score(x, 2 * x).score == pytest.approx(1)
    found = score(x, x, shuffles=Shuffles(50))
    assert found.p_value == 1 / 51
    assert found.null.shape == (50,)
    many = score(x, x[::-1], centre=False, shuffles=Shuffles(2000)).null
    assert many.mean() == pytest.approx(score(x, x[::-1], centre=False).chance, abs=0.01)
    one = score(x, x[::-1], shuffles=Shuffles(1))
    order = Shuffles(1).orders(30)[0]
    assert one.null[0] == pytest.approx(score(x, x[::-1][order]).score)
    assert "at least 3 sentences" in score(x[:2], x[:2]).reason
    assert "same number of features" in score(x, x[:, :4]).reason
    assert abs(cosine().baseline(30, 5, 5)) < 0.2
    some = np.array([7, 3, 20, 11])
    view = cosine().prepare(x)
    part = cosine().compare(view, view, rows_a=some, rows_b=some[[1, 0, 2, 3]])
    assert part.score == pytest.approx(score(x[some], x[some[[1, 0, 2, 3]]]).score)


def test_the_example_measure_takes_confounds_out_of_scores_and_shuffles(cosine):
    rng = np.random.default_rng(1)
    measure, n, q = cosine(), 24, 10
    confounds = rng.normal(size=(n, q))
    strong = measure.prepare(confounds @ rng.normal(size=(q, 60)))
    x, y = (rng.normal(size=(n, 60)) for _ in range(2))
    a, b = measure.prepare(x), measure.prepare(x + 9 * confounds @ rng.normal(size=(q, 60)))
    assert measure.compare(a, b).score < 0.5
    assert measure.compare(a, b, covariates=confounds).score == pytest.approx(1)
    assert "first view" in measure.compare(strong, a, covariates=confounds).reason
    # Sentences that are lacking are left out of shuffles of all; then there are n of n + 3.
    whole = np.array([rng.permutation(n + 3) for _ in range(99)])
    shuffles = InducedShuffles(99, whole=whole, members=np.arange(1, n + 1))
    found = measure.compare(a, measure.prepare(y), covariates=confounds, shuffles=shuffles)
    assert (found.covariates, found.null.size) == (q, 99)
    scores, spreads = [], []
    for seed in range(200):
        x, y = (measure.prepare(rng.normal(size=(n, 60))) for _ in range(2))
        found = measure.compare(x, y, covariates=confounds, shuffles=Shuffles(40, seed))
        scores.append(found.score)
        spreads.append(found.null_sd)
    # That of shuffled residuals is smaller by a quarter.
    assert np.std(scores) == pytest.approx(np.mean(spreads), rel=0.12)


def test_the_package_shows_its_public_names():
    code = "import sys, isogloss; print(*dir(isogloss)); print('isogloss.api' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    shown, loaded = done.stdout.splitlines()
    assert {*isogloss.__all__, "__version__"} <= set(shown.split())
    assert loaded == "False"
    assert all(getattr(isogloss, name) is not None for name in dir(isogloss) if name[0] != "_")


def test_the_python_tour_of_the_readme_runs(tmp_path, monkeypatch):
    from builders import make_run
    from isogloss import api

    made = make_run(tmp_path / "out", analyses="cross_modal")
    tables, _ = api.analyse(made.folder)
    outcome = api.Outcome(made.folder, tables, 0)
    monkeypatch.setattr("isogloss.run", lambda study: outcome, raising=False)
    (tour,) = [b for b in blocks(ROOT / "README.md") if "isogloss.Study(" in b]
    found = {}
    exec(tour.replace("table.filter", "means = table.filter"), found)
    assert found["study"].model.taps == "paper"
    assert found["means"]["score"].n_unique() == 4
    (measure,) = [b for b in blocks(ROOT / "README.md") if "import svcca" in b]
    rng = np.random.default_rng(0)
    views = {"x": rng.normal(size=(20, 4)), "y": rng.normal(size=(20, 6))}
    exec(measure, {**views, "lengths": rng.normal(size=20)})


def test_the_commands_of_the_readme_exist():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    used = set(re.findall(r"^isogloss ([a-z-]+)", text, flags=re.MULTILINE))
    assert {"init", "plan", "run", "status", "verify", "report"} <= used
    assert used <= {n for n in app if not n.startswith("-")}


def test_the_language_table_is_whole():
    table = languages()
    assert len(table) == 102
    assert sum(x.in_seamless_salmonn for x in table.values()) == 30
    assert sum(x.in_sonar for x in table.values()) == 30
    for found in table.values():
        assert found.fleurs
        assert found.flores200
        studied = found.in_seamless_salmonn or found.in_sonar
        assert (found.resource in ("high", "medium", "low")) == studied
