import re
import runpy
from pathlib import Path

import pytest

from isogloss.analyses import ANALYSES
from isogloss.cli import app
from isogloss.corpora import CORPORA
from isogloss.languages import languages
from isogloss.models import MODELS
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
