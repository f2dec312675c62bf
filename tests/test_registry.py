import pytest

from isogloss import specs
from isogloss.analyses import ANALYSES
from isogloss.analyses.base import Analysis
from isogloss.corpora import CORPORA
from isogloss.errors import IsoglossError, StudyError
from isogloss.models import MODELS
from isogloss.registry import Registry
from isogloss.settings import role_of
from isogloss.similarity.measures import MEASURES
from isogloss.study import Study

ALL = (ANALYSES, CORPORA, MEASURES, MODELS)


@pytest.mark.parametrize("registry", ALL, ids=lambda r: r.kind)
def test_every_part_is_found_and_knows_its_name(registry):
    assert registry.names()
    for name in registry.names():
        assert registry.name_of(registry.get(name)) == name
        assert registry.origin(name) == "isogloss"


@pytest.mark.parametrize("registry", ALL, ids=lambda r: r.kind)
def test_every_setting_has_a_role_and_help(registry):
    parts = [registry.get(n) for n in registry.names()]
    for part in [Study, *parts]:
        for field, info in part.model_fields.items():
            assert role_of(part, field) in ("identity", "scope", "analysis", "runtime")
            assert info.description
            assert info.description.rstrip().endswith("."), (part, field)


def test_unknown_names_get_the_nearest():
    with pytest.raises(StudyError, match='unknown corpus "manifets"; did you mean "manifest"'):
        CORPORA.get("manifets")


@pytest.fixture
def plugin(tmp_path, monkeypatch):
    """Install a package with two entry points, as pip would lay it out."""
    (tmp_path / "isogloss_extra.py").write_text(
        "from isogloss.analyses.base import Analysis\n"
        "class Third(Analysis):\n"
        "    title = 'Third'\n"
        "    question = '?'\n"
        "    def comparisons(self, contents): return []\n"
        "    def summarise(self, frame, means): raise AssertionError\n"
        "class Bare(Analysis):\n"
        "    title = 'Bare'\n"
    )
    info = tmp_path / "isogloss_extra-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: isogloss-extra\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[isogloss.analyses]\nthird = isogloss_extra:Third\nwrong = os:getcwd\n"
        "gone = isogloss_extra.nothere:X\nbare = isogloss_extra:Bare\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    return Registry("analysis", "isogloss.analyses", Analysis)


def test_other_packages_add_parts_by_entry_point(plugin):
    assert "third" in plugin.names()
    part = plugin.get("third")
    assert part.title == "Third"
    assert plugin.origin("third") == "isogloss-extra"
    assert plugin.name_of(part) == "third"
    assert specs.write(plugin, specs.parse(plugin, "third")) == "third"


def test_a_plugin_of_the_wrong_kind_is_refused(plugin):
    with pytest.raises(
        IsoglossError, match=r'plug-in "wrong" of isogloss-extra \(os:getcwd\) is no ana'
    ):
        plugin.get("wrong")


@pytest.mark.parametrize(
    ("name", "message"),
    [("gone", "cannot be loaded .ModuleNotFoundError"), ("bare", "lacks the class .* `question`")],
)
def test_plugins_that_do_not_work_are_named_and_the_others_stay(plugin, name, message):
    with pytest.raises(IsoglossError, match=message):
        plugin.get(name)
    parts, broken = plugin.loadable()
    assert {"gaps", "third"} <= set(parts)
    assert len(broken) == 3
