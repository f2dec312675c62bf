import re
import runpy
from pathlib import Path

import numpy as np
import pytest

from isogloss.analyses import ANALYSES
from isogloss.cli import app
from isogloss.corpora import CORPORA
from isogloss.languages import languages
from isogloss.models import MODELS
from isogloss.results import MEANING, MEANS, SCHEMA
from isogloss.similarity import Shuffles
from isogloss.similarity.measures import MEASURES

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


def test_the_example_measure_of_the_contributing_page_works():
    (code,) = [b for b in blocks(ROOT / "CONTRIBUTING.md") if "class Cosine" in b]
    found = {}
    exec(code, found)
    measure = found["Cosine"](centre=True)
    rng = np.random.default_rng(0)
    x = measure.prepare(rng.normal(size=(30, 5)))
    assert measure.compare(x, 2 * x).score == pytest.approx(1)
    score = measure.compare(x, x, shuffles=Shuffles(50))
    assert score.p_value == 1 / 51
    assert abs(score.null_mean) < 0.1
    assert np.isnan(measure.compare(x[:2], x[:2]).score)
    length = rng.normal(size=30)
    y = measure.prepare(np.outer(length, rng.normal(size=5)))
    assert measure.compare(x, x + 9 * y).score < 0.9
    assert measure.compare(x, x + 9 * y, covariates=length).score == pytest.approx(1)
    assert abs(measure.baseline(30, 5, 5)) < 0.2


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
    used = set(re.findall(r"^isogloss ([a-z]+)", text, flags=re.MULTILINE))
    assert {"init", "plan", "run", "status", "verify", "report"} <= used
    assert used <= {n for n in app if not n.startswith("-")}


def test_the_language_table_is_whole():
    table = languages()
    assert len(table) == 36
    assert sum(x.in_seamless_salmonn for x in table.values()) == 30
    assert sum(x.in_sonar for x in table.values()) == 30
    for found in table.values():
        assert found.fleurs
        assert found.flores200
        assert found.resource in ("high", "medium", "low")
