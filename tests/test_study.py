import pytest
import yaml

from isogloss.errors import StudyError
from isogloss.models import MODELS
from isogloss.settings import role_of
from isogloss.study import Study, merge
from isogloss.template import template

CORPUS = {"source": "udhr", "languages": ["eng", "deu"]}
MODEL = {"family": "seamless", "checkpoint": "tiny"}


def study(**values):
    return Study(**{"corpus": CORPUS, "model": MODEL, **values})


def test_yaml_python_and_written_study_are_one(tmp_path):
    path = tmp_path / "study.yaml"
    path.write_text(yaml.safe_dump({"corpus": CORPUS, "model": MODEL, "permutations": 7}))
    read = Study.read(path)
    assert read == study(permutations=7)
    path.write_text(read.write())
    assert Study.read(path) == read


def test_overrides_come_on_top_of_the_file(tmp_path):
    path = tmp_path / "study.yaml"
    path.write_text(yaml.safe_dump({"corpus": CORPUS, "model": MODEL}))
    read = Study.read(path, corpus={"languages": "fin,est"}, seed=3)
    assert read.corpus.languages == ("fin", "est")
    assert (read.seed, read.corpus.source) == (3, "udhr")


def test_shorthands_take_overrides(tmp_path):
    path = tmp_path / "study.yaml"
    path.write_text("corpus: udhr\nmodel: seamless\n")
    read = Study.read(path, corpus={"languages": "fin"}, model={"checkpoint": "tiny"})
    assert (read.corpus.languages, read.model.checkpoint) == (("fin",), "tiny")


def test_another_kind_of_model_starts_afresh():
    merged = merge({"model": MODEL}, {"model": {"family": "towers", "text": "a"}})
    assert merged == {"model": {"family": "towers", "text": "a"}}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"corpora": {}}, 'unknown key "corpora"; did you mean "corpus"'),
        ({"corpus": {"source": "udr"}}, 'unknown corpus "udr"; did you mean "udhr"'),
        ({"corpus": {**CORPUS, "langauges": "eng"}}, 'of "corpus" "langauges"; did you mean "lang'),
        (
            {"corpus": {"languages": "eng"}},
            '"corpus.source" is required. Valid: fleurs, flores, lists, man',
        ),
        ({"model": {"family": "seemless"}}, 'unknown model "seemless"; did you mean "seamless"'),
        ({"model": {**MODEL, "dtype": "float23"}}, 'model.dtype: unknown value "float23"; did you'),
        ({"measures": "svca"}, 'unknown measure "svca"; did you mean "svcca"'),
        ({"analyses": ["gap"]}, 'unknown analysis "gap"; did you mean "gaps"'),
        ({"permutations": -1}, "permutations: .*greater than or equal to 0, got -1"),
        ({"measures": []}, "measures: names none"),
        ({"measures": 5}, r"measures: must be a list such as \[anc\], got 5"),
        ({"analyses": None}, "analyses: must be a list"),
        ({"measures": "svcca, svcca(share=0.9)"}, "measures: svcca.* is named twice"),
        ({"analyses": "gaps, gaps(sentences=all)"}, "analyses: gaps is named twice"),
        ({"seed": -1}, "seed: .*greater than or equal to 0, got -1"),
        ({"corpus": {**CORPUS, False: 3}}, 'the key False of "corpus" is not text; YAML reads'),
    ],
)
def test_wrong_studies_get_one_line(values, message):
    with pytest.raises(StudyError, match=message) as e:
        study(**values)
    assert len(str(e.value).splitlines()) == 1


def test_the_file_is_named(tmp_path):
    path = tmp_path / "bad.yaml"
    path.write_text("corpus: {source: udhr}\nmodel: {family: seamless}\nsede: 1\n")
    with pytest.raises(StudyError, match=r"bad.yaml: unknown key \"sede\"; did you mean \"seed\""):
        Study.read(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [1", "not valid YAML"),
        ("no: 3", "the key False is not text"),
        ("", "holds no settings"),
        ("!!python/object/apply:os.system [ls]", "line 1: the tag !!python/object/apply:os.system"),
        (b"\xff\xfe\x00", "is not UTF-8 text"),
    ],
)
def test_files_that_are_no_study(tmp_path, text, message):
    path = tmp_path / "s.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(StudyError, match=message):
        Study.read(path)
    with pytest.raises(StudyError, match="isogloss init"):
        Study.read(tmp_path / "none.yaml")


def test_settings_that_change_activations_are_identity():
    a, b = study(seed=1), study(seed=2)
    assert a.identity() != b.identity()
    same = study(output="elsewhere", permutations=5, jobs=3, measures="svcca(share=0.5)")
    assert same.identity() == study().identity()
    dtype = study(model={**MODEL, "dtype": "float16"})
    assert dtype.identity() != study().identity()


def test_a_manifest_may_move_but_not_change_its_name():
    def of(path):
        return study(corpus={"source": "manifest", "path": path}).identity()

    assert of("a/m.jsonl") == of("/b/m.jsonl")
    assert of("a/m.jsonl") != of("a/n.jsonl")


def test_roles_of_the_study_are_classified():
    roles = {field: role_of(Study, field) for field in Study.model_fields}
    assert {f for f, r in roles.items() if r == "identity"} == {"corpus", "model", "seed"}
    assert {f for f, r in roles.items() if r == "runtime"} == {
        "output", "title", "device", "batch_frames", "jobs", "memory", "executor",
    }  # fmt: skip


@pytest.mark.parametrize("corpus", ["manifest", "udhr"])
@pytest.mark.parametrize("model", MODELS.names())
def test_the_template_is_a_study_once_filled_in(corpus, model):
    text = template(corpus, model)
    values = yaml.safe_load(text)
    for section in ("corpus", "model"):
        values[section] = {
            k: "filled-in"
            if v is None and k in ("path", "text", "speech", "beats", "checkpoint")
            else v
            for k, v in values[section].items()
        }
    made = Study(**values)
    defaults = Study(corpus=values["corpus"], model=values["model"])
    assert made == defaults
    for line in text.splitlines():
        assert len(line) <= 100
