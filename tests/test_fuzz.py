"""No manifest, study file, line or option gives a traceback or hangs.

Each test makes some examples that are always the same ones; ISOGLOSS_FUZZ=20000 makes so many new
ones. What came out of long sessions is in docs/security.md.
"""

import gzip
import io
from contextlib import suppress

import polars as pl
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from fuzzing import ODD, SCALARS, SHORT, VALUES, changed, damaged, dumped, fewer, fuzzed, survives
from isogloss import plain_yaml, specs
from isogloss.analyses import ANALYSES
from isogloss.cli import call
from isogloss.cli.options import schema
from isogloss.corpora import CORPORA, _parquet
from isogloss.corpora._columns import COLUMNS
from isogloss.corpora._fleurs_rows import read_parquet, read_tsv
from isogloss.corpora._flores_files import read_texts
from isogloss.languages import languages
from isogloss.similarity.measures import MEASURES
from isogloss.study import Study

NAMES = [*COLUMNS, *(a for aliases in COLUMNS.values() for a in aliases[:1]), "age", "characters"]
ROWS = [
    {"id": i, "lang": c, "text": f"{c} {i}", "audio_filepath": f"{c}{i}.wav", "duration": 1.5}
    for i in range(3)
    for c in ("deu", "eng")
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("fuzz")
    for row in ROWS:
        (made / row["audio_filepath"]).write_bytes(b"RIFF")
    return made


def load(path, **settings):
    with survives():
        CORPORA.get("manifest")(path=path, **settings).load()


rows = st.lists(
    st.dictionaries(st.sampled_from(NAMES) | ODD, VALUES, max_size=6) | changed(ROWS[0]), max_size=5
)
options = st.fixed_dictionaries(
    {},
    optional={
        "split": ODD,
        "text_field": st.sampled_from(["text", "raw_text"]),
        "languages": st.sampled_from([["deu"], ["eng", "deu"]]),
        "modalities": st.sampled_from([["text"], ["speech"]]),
        "outside": st.booleans(),
    },
)


@fuzzed
@given(rows, options)
def test_json_lines_of_any_values(folder, found, settings):
    path = folder / "m.jsonl"
    path.write_bytes(b"\n".join(dumped(row) for row in [*ROWS, *found]))
    load(path, **settings)


@fuzzed
@given(
    st.sampled_from(["m.jsonl", "m.csv", "m.tsv", "m.jsonl.gz"]),
    st.binary(max_size=300) | SHORT.map(str.encode) | st.text().map(lambda t: t.encode("utf-8")),
)
def test_manifests_of_any_bytes(folder, name, content):
    (folder / name).write_bytes(content)
    load(folder / name)


@fuzzed
@given(st.lists(st.lists(ODD | SHORT, max_size=6), max_size=6), st.sampled_from([",", "\t", ";"]))
def test_separated_values(folder, cells, separator):
    head = separator.join(["id", "lang", "text", "audio_filepath"])
    lines = [head, *(separator.join(c for c in line) for line in cells)]
    for name in ("m.csv", "m.tsv"):
        (folder / name).write_bytes("\n".join(lines).encode("utf-8", "surrogatepass"))
        load(folder / name)


KINDS = st.sampled_from([
    pl.String, pl.Int64, pl.Float64, pl.Boolean, pl.Date, pl.Datetime, pl.Binary, pl.Null,
    pl.List(pl.String), pl.Struct({"bytes": pl.Binary}), pl.Categorical, pl.Duration, pl.UInt64,
    pl.Decimal(10, 2), pl.Time,
])  # fmt: skip


@st.composite
def frames(draw, names):
    """Tables whose columns have any type."""
    columns = draw(st.lists(st.sampled_from(names), unique=True, min_size=1, max_size=6))
    size = draw(st.integers(0, 3))
    made = []
    for name in columns:
        kind = draw(KINDS)
        number = draw(st.integers(-(2**40), 2**40))
        texts = [draw(st.sampled_from(["1", "deu", "eng", "", "a b"])) for _ in range(size)]
        series = pl.Series(name, texts)
        try:
            if kind in (pl.String, pl.Categorical, pl.Binary):
                series = series.cast(kind)
            elif kind == pl.List(pl.String):
                series = series.map_elements(lambda t: [t], return_dtype=kind)
            elif isinstance(kind, pl.Struct):
                series = pl.Series(name, [{"bytes": t.encode()} for t in texts], dtype=kind)
            else:
                series = pl.Series(name, [number] * size).cast(kind, strict=False)
        except pl.exceptions.PolarsError:
            series = pl.Series(name, [None] * size, dtype=kind)
        made.append(series)
    return pl.DataFrame(made)


def parquet(frame):
    buffer = io.BytesIO()
    frame.write_parquet(buffer)
    return buffer.getvalue()


@pytest.fixture
def trusted(monkeypatch):
    """Parquet files that were written right here are not read by another process first."""
    monkeypatch.setattr(_parquet, "survive", lambda *paths, **options: None)


@pytest.mark.usefixtures("trusted")
@fuzzed
@given(frames(NAMES))
def test_parquet_with_columns_of_any_type(folder, frame):
    (folder / "m.parquet").write_bytes(parquet(frame))
    load(folder / "m.parquet")


FLEURS = ["id", "path", "transcription", "raw_transcription", "num_samples", "gender", "speaker_id"]
FLORES = ["id", "text", "iso_639_3", "iso_15924", "split"]


@pytest.mark.usefixtures("trusted")
@fuzzed
@given(frames(FLEURS), frames(FLORES))
def test_parquet_of_other_corpora(folder, fleurs, flores):
    path = folder / "f.parquet"
    path.write_bytes(parquet(fleurs))
    with survives():
        read_parquet([path], "f")
    path.write_bytes(parquet(flores))
    with survives():
        read_texts(path, "devtest", [languages()["deu"], languages()["eng"]])


@fewer
@given(damaged(parquet(pl.DataFrame([{**r, "audio_filepath": "a.wav"} for r in ROWS]))))
def test_damaged_parquet(folder, capfd, content):
    (folder / "m.parquet").write_bytes(content)
    load(folder / "m.parquet", modalities=["text"])
    capfd.readouterr()


@fuzzed
@given(damaged(gzip.compress(b"\n".join(map(dumped, ROWS)))))
def test_damaged_gzip(folder, content):
    (folder / "m.jsonl.gz").write_bytes(content)
    load(folder / "m.jsonl.gz", modalities=["text"])


LINE = b"1\ta.wav\tRaw\ttext\tt e x t\t16000\tMALE\n"


@fuzzed
@given(damaged(LINE * 3) | st.binary(max_size=200))
def test_tables_of_fleurs_and_lines_of_flores(folder, content):
    (folder / "test.tsv").write_bytes(content)
    with survives():
        read_tsv(folder / "test.tsv", "de_de/test.tsv")
    (folder / "devtest").mkdir(exist_ok=True)
    (folder / "devtest" / "deu_Latn.devtest").write_bytes(content)
    with survives():
        read_texts(folder, "devtest", [languages()["deu"]])


# ---- studies ---------------------------------------------------------------------------------

STUDY = {
    "corpus": {"source": "manifest", "path": "m.jsonl", "languages": ["deu"], "sentences": 4},
    "model": {"family": "seamless", "checkpoint": "none", "modalities": ["text"]},
    "analyses": ["cross_modal", {"gaps": {}}],
    "measures": ["svcca(share=0.9)", {"cka": {}}],
    "permutations": 10,
    "confounds": ["characters"],
    "seed": 1,
    "output": "out",
    "device": "cpu",
}


def take(path, text):
    """A study file must be refused, or be what it says it is."""
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    with survives():
        study = Study.read(path)
        assert Study(**plain_yaml.parse(study.write())) == study
        study.identity()


@fuzzed
@given(
    SHORT
    | st.text()
    | st.sampled_from([yaml.safe_dump(STUDY)]).flatmap(
        lambda text: damaged(text.encode()).map(lambda b: b.decode("utf-8", "replace"))
    )
)
def test_study_files_of_any_text(folder, text):
    take(folder / "s.yaml", text)
    with survives(), suppress(ValueError):
        plain_yaml.parse(text)


@fuzzed
@given(changed(STUDY) | st.dictionaries(st.sampled_from(list(Study.model_fields)), VALUES))
def test_studies_of_any_values(folder, values):
    with survives():
        Study(**values)
    try:
        text = yaml.safe_dump(values, allow_unicode=True)
    except (yaml.YAMLError, UnicodeError, ValueError):
        return
    take(folder / "s.yaml", text)


@fuzzed
@given(st.sampled_from([MEASURES, ANALYSES]), SHORT | st.text(), st.data())
def test_lines_of_parts(registry, text, data):
    with survives():
        specs.parse(registry, text)
    name = data.draw(st.sampled_from(registry.names()))
    key = data.draw(st.sampled_from([*registry.get(name).model_fields, "", "x", "svcca"]))
    for value in (text, data.draw(SCALARS)):
        with survives():
            part = specs.parse(registry, f"{name}({key}={value})")
            assert specs.parse(registry, specs.write(registry, part)) == part
        with survives():
            specs.parse(registry, {name: {key: value}})


OPTIONS = [name for name, _, _ in schema()]


@fuzzed
@given(st.lists(st.tuples(st.sampled_from(OPTIONS), ODD | SHORT), min_size=1, max_size=3))
def test_options_of_the_command_line(folder, capsys, given):
    base = {"corpus.source": "manifest", "corpus.path": "none.jsonl", "model.family": "seamless",
            "model.checkpoint": str(folder)}  # fmt: skip
    found = [f"--{k.replace('_', '-')}={v}" for k, v in [*base.items(), *given]]
    with survives():
        assert call(["plan", *found]) in (1, 2)
    assert "Traceback" not in capsys.readouterr().err


@fuzzed
@given(VALUES)
def test_one_value_anywhere_is_named_in_a_message(value):
    for key in Study.model_fields:
        with survives():
            Study(**{**STUDY, key: value})
