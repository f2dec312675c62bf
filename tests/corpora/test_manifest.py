import csv
import gzip
import json
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
import soundfile

from isogloss.corpora import CORPORA
from isogloss.corpora._columns import COLUMNS
from isogloss.errors import CorpusError, StudyError

Manifest = CORPORA.get("manifest")

ROWS = [
    {"id": 1, "lang": "deu", "text": 'Er sagte: "Guten Tag, Welt"', "audio_filepath": "de/1.wav"},
    {"id": 1, "lang": "eng", "text": "He said: good day, world", "audio_filepath": "en/1.wav"},
    {"id": 2, "lang": "deu", "text": '"Zwei', "audio_filepath": "de/2.wav"},
    {"id": 2, "lang": "eng", "text": "two", "audio_filepath": None},
    {"id": 10, "lang": "eng", "text": None, "audio_filepath": "en/10.wav"},
    {"id": 10, "lang": "deu", "text": "zehn", "audio_filepath": "de/10.wav"},
]


@pytest.fixture
def recordings(tmp_path):
    samples = 0.3 * np.sin(np.arange(8000) / 9)
    for row in ROWS:
        if row["audio_filepath"]:
            path = tmp_path / row["audio_filepath"]
            path.parent.mkdir(exist_ok=True)
            soundfile.write(path, samples, 16000)
    return tmp_path


def jsonl(path, rows):
    text = "".join(json.dumps(r, ensure_ascii=False) + "\n" for r in rows)
    data = text.encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def table(path, rows, delimiter=",", **options):
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), delimiter=delimiter, **options)
        writer.writeheader()
        writer.writerows(rows)
    return path


def load(path, **settings):
    return Manifest(path=path, **settings).load()


def error(path, **settings):
    with pytest.raises(CorpusError) as caught:
        load(path, **settings)
    text = str(caught.value)
    assert "\n" not in text
    assert path.name in text
    return text


def plain(corpus):
    return [replace(u, origin="") for u in corpus.utterances]


def write_all(folder, rows):
    verbatim = folder / "verbatim.tsv"
    lines = ["\t".join(rows[0])] + ["\t".join(str(c or "") for c in r.values()) for r in rows]
    verbatim.write_text("\n".join(lines) + "\n", encoding="utf-8")
    frame = pl.DataFrame(rows)
    frame.write_csv(folder / "polars.csv")
    frame.write_csv(folder / "polars.tsv", separator="\t")
    frame.write_parquet(folder / "m.parquet")
    return [
        jsonl(folder / "m.jsonl", rows),
        jsonl(folder / "m.jsonl.gz", rows),
        table(folder / "m.csv", rows),
        table(folder / "quoted.tsv", rows, "\t", quoting=csv.QUOTE_ALL),
        table(folder / "minimal.tsv", rows, "\t"),
        verbatim,
        *(folder / n for n in ("polars.csv", "polars.tsv", "m.parquet")),
    ]


def test_all_formats_give_the_same_table(recordings):
    paths = write_all(recordings, ROWS)
    first = load(paths[0])
    assert [(u.sentence, u.language, u.text, u.clip and u.clip.name) for u in first.utterances] == [
        (
            str(r["id"]),
            r["lang"],
            r["text"],
            r["audio_filepath"] and str(recordings / r["audio_filepath"]),
        )
        for r in ROWS
    ]
    for path in paths[1:]:
        assert plain(load(path)) == plain(first), path.name
        assert load(path).dropped == ()


def test_rows_are_named_as_an_editor_counts_them(recordings):
    path = recordings / "m.jsonl"
    path.write_text("\n" + "".join(json.dumps(r) + "\n" for r in ROWS), encoding="utf-8")
    assert load(path).utterances[0].origin == "m.jsonl line 2"
    assert load(table(recordings / "m.csv", ROWS)).utterances[0].origin == "m.csv row 1"


def test_optional_columns_and_any_language_code(recordings):
    extra = {"speaker": 7, "gender": "FEMALE", "split": "test", "offset": 0.1, "duration": "0.25"}
    rows = [{**ROWS[0], **extra, "lang": "de_de"}, {**ROWS[1], **extra, "lang": "English"}]
    found = load(jsonl(recordings / "m.jsonl", rows)).utterances
    assert [u.language for u in found] == ["deu", "eng"]
    first = found[0]
    assert (first.speaker, first.gender, first.split) == ("7", "FEMALE", "test")
    assert first.clip.seconds() == 0.25
    assert first.clip.read().samples.size == 4000


@pytest.mark.parametrize(
    "names",
    [
        {"id": "sentence_id", "lang": "locale", "text": "sentence", "audio_filepath": "path"},
        {"id": "Sentence ID", "lang": "Language", "text": "Transcription", "audio_filepath": "wav"},
        {"id": "ID", "lang": "language-code", "text": "transcript", "audio_filepath": "file_name"},
    ],
)
def test_aliases(recordings, names):
    rows = [{names[k]: v for k, v in row.items()} for row in ROWS]
    want = plain(load(jsonl(recordings / "m.jsonl", ROWS)))
    assert plain(load(jsonl(recordings / "alias.jsonl", rows))) == want
    assert plain(load(table(recordings / "alias.csv", rows))) == want


def test_no_alias_belongs_to_two_columns():
    names = [n for name, aliases in COLUMNS.items() for n in (name, *aliases)]
    assert len(names) == len(set(names))


def test_a_columns_own_name_wins_over_its_aliases(recordings):
    rows = [{**r, "sentence": "no", "path": "no.wav", "locale": "xx"} for r in ROWS]
    assert plain(load(table(recordings / "m.csv", rows))) == plain(
        load(jsonl(recordings / "m.jsonl", ROWS))
    )


def test_two_aliases_without_the_name_itself_are_refused(recordings):
    rows = [{"id": 1, "lang": "deu", "sentence": "a", "transcription": "b"}]
    text = error(jsonl(recordings / "m.jsonl", rows))
    assert '"transcription" and "sentence" can both be "text"' in text


def test_raw_text(recordings):
    rows = [{**r, "raw_text": f"{r['id']}!"} for r in ROWS]
    path = jsonl(recordings / "m.jsonl", rows)
    assert load(path, text_field="raw_text").utterances[0].text == "1!"
    assert load(path).utterances[0].text == ROWS[0]["text"]
    assert 'no column "raw_text"' in error(
        jsonl(recordings / "n.jsonl", ROWS), text_field="raw_text"
    )


def test_other_columns_are_kept(recordings):
    extra = [
        {"age": "30", "snr (dB)": 12.5, "region": "north", "Topic": 1, "empty": None},
        {"age": None, "snr (dB)": -1, "region": "", "Topic": "law", "empty": None},
    ]
    rows = [{**r, **extra[i % 2]} for i, r in enumerate(ROWS)]
    for path in write_all(recordings, [{k: str(v) if k == "Topic" else v for k, v in r.items()}
                                       for r in rows]):  # fmt: skip
        found = load(path)
        columns = [dict(u.columns) for u in found.utterances]
        assert columns == 3 * [
            {"age": 30.0, "snr (dB)": 12.5, "region": "north", "Topic": "1"},
            {"snr (dB)": -1.0, "Topic": "law"},
        ], path.name
        assert found.notes == (
            "Further columns: age (numbers), snr (dB) (numbers), region (text), Topic (text)",
        )


def test_columns_that_are_understood_are_no_further_columns(recordings):
    rows = [
        {
            **r,
            "raw_text": "x",
            "duration": 0.1,
            "speaker": "a",
            "client_id": "b",
            "sex": "f",
            "split": "test",
            "transcription": "passed over",
        }
        for r in ROWS
    ]
    found = load(jsonl(recordings / "m.jsonl", rows))
    assert all(not u.columns for u in found.utterances)
    assert found.notes == ()


@pytest.mark.parametrize("cell", ["nan", "inf", "1_000", "1,5", "x"])
def test_one_cell_that_is_no_number_makes_a_column_text_and_is_named(tmp_path, cell):
    cells = ["1", "2.5", cell, "-3e2"]
    rows = [{"id": i, "lang": "deu", "text": "a", "age": c} for i, c in enumerate(cells)]
    found = load(jsonl(tmp_path / "m.jsonl", rows))
    assert [u.columns["age"] for u in found.utterances] == cells
    assert found.notes[0] == (
        f'The column "age" is taken as text, since "{cell}" (line 3) is no number'
    )


def test_a_column_is_read_within_the_split(tmp_path):
    rows = [
        {"id": i, "lang": "deu", "text": "a", "split": s, "age": a}
        for i, (s, a) in enumerate([("train", "old"), ("test", "3"), ("test", "4")])
    ]
    found = load(jsonl(tmp_path / "m.jsonl", rows), split="test")
    assert [u.columns["age"] for u in found.utterances] == [3.0, 4.0]


def test_odd_cells_of_other_columns_stop_nothing(tmp_path):
    cells = [True, float("nan"), float("inf"), "\ud800 \0", 10**400, 7.0]
    rows = [{"id": i, "lang": "deu", "text": "a", "odd": c} for i, c in enumerate(cells)]
    path = tmp_path / "m.jsonl"
    path.write_text("".join(json.dumps(r) + "\n" for r in rows))
    found = [u.columns.get("odd") for u in load(path).utterances]
    assert found == ["True", None, "inf", "? \0", str(10**400), "7"]
    json.dumps(found, ensure_ascii=False).encode()


def test_columns_of_what_isogloss_counts_are_not_used(tmp_path):
    rows = [{"id": 1, "lang": "deu", "text": "a", "tokens": 5, "words": 3}]
    found = load(jsonl(tmp_path / "m.jsonl", rows))
    assert found.utterances[0].columns == {"words": 3.0}
    assert 'The column "tokens" is not used: Isogloss counts tokens itself' in found.notes


@pytest.mark.parametrize(
    ("column", "meant"), [("speakr", "speaker"), ("Gendre", "gender"), ("durations", "duration")]
)
def test_columns_that_look_misspelt_are_noted(tmp_path, column, meant):
    rows = [{"id": 1, "lang": "deu", "text": "a", column: "7"}]
    found = load(jsonl(tmp_path / "m.jsonl", rows))
    assert found.notes[0] == (
        f'The column "{column}" is kept as it stands; rename it if it is meant to be "{meant}"'
    )
    assert column in found.utterances[0].columns
    assert len(load(jsonl(tmp_path / "n.jsonl", [{**rows[0], meant: "8"}])).notes) == 1


def test_split(recordings):
    rows = [{**r, "split": "test" if r["id"] == 1 else "dev"} for r in ROWS]
    # What other splits hold does not matter: FLEURS has ids that recur with other texts.
    rows.append({**rows[0], "split": "train", "text": "anders"})
    path = jsonl(recordings / "m.jsonl", rows)
    assert [u.sentence for u in load(path, split="test").utterances] == ["1", "1"]
    text = error(path, split="tset")
    assert 'did you mean "test"?' in text
    assert "dev, test, train" in text
    assert 'no column "split"' in error(jsonl(recordings / "n.jsonl", ROWS), split="test")


def test_several_recordings_of_a_sentence(recordings):
    rows = [*ROWS, {**ROWS[0], "audio_filepath": "de/2.wav"}]
    found = [u for u in load(jsonl(recordings / "m.jsonl", rows)).utterances if u.sentence == "1"]
    assert len(found) == 3


def test_parts_of_one_file(recordings):
    rows = [{**ROWS[0], "offset": o, "duration": 0.1} for o in (0, 0.1, 0.2)]
    found = load(jsonl(recordings / "m.jsonl", rows)).utterances
    assert len({u.clip for u in found}) == 3


def test_recordings_may_lie_anywhere_if_that_is_said(recordings, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    rows = [{**r, "audio_filepath": str(recordings / "de" / "1.wav")} for r in ROWS[:2]]
    found = load(jsonl(elsewhere / "m.jsonl", rows), outside=True).utterances
    assert [u.clip.read().samples.size for u in found] == [8000, 8000]


def test_the_table_may_be_given_relative_to_the_working_folder(recordings, monkeypatch):
    jsonl(recordings / "m.jsonl", ROWS)
    monkeypatch.chdir(recordings)
    clip = load("m.jsonl").utterances[0].clip
    monkeypatch.chdir("/")
    assert clip.read().samples.size == 8000


def test_loading_opens_no_recording(recordings):
    for path in recordings.rglob("*.wav"):
        path.write_bytes(b"this is no audio")
    assert len(load(jsonl(recordings / "m.jsonl", ROWS)).utterances) == len(ROWS)


def test_a_missing_recording_is_dropped_and_its_text_stays(recordings):
    (recordings / "de" / "2.wav").unlink()
    (recordings / "en" / "10.wav").write_bytes(b"")
    corpus = load(jsonl(recordings / "m.jsonl", ROWS))
    first, second = corpus.dropped
    assert (first.language, first.sentence, first.modality) == ("deu", "2", "speech")
    assert str(recordings / "de" / "2.wav") in first.reason
    assert first.origin == "m.jsonl line 3"
    assert (second.sentence, "0 bytes" in second.reason) == ("10", True)
    texts = {(u.language, u.sentence): (u.text, u.clip) for u in corpus.utterances}
    assert texts["deu", "2"] == ('"Zwei', None)
    assert ("eng", "10") not in texts  # it was speech only


def test_addresses_and_folders_are_no_recordings(recordings):
    rows = [
        *ROWS,
        {**ROWS[0], "audio_filepath": "https://example.org/1.wav"},
        {**ROWS[0], "audio_filepath": "de"},
    ]
    reasons = [d.reason for d in load(jsonl(recordings / "m.jsonl", rows)).dropped]
    assert "download it" in reasons[0]
    assert "is a folder" in reasons[1]


def test_recordings_do_not_matter_when_only_text_is_wanted(tmp_path):
    corpus = load(jsonl(tmp_path / "m.jsonl", ROWS[:4]), modalities=["text"])
    assert [u.text for u in corpus.utterances] == [r["text"] for r in ROWS[:4]]
    assert corpus.dropped == ()


def test_text_only_tables_need_no_audio_column(tmp_path):
    rows = [{"id": "a-1", "lang": c, "text": c} for c in ("deu", "eng")]
    corpus = load(table(tmp_path / "m.csv", rows))
    assert [(u.sentence, u.text, u.clip) for u in corpus.utterances] == [
        ("a-1", "deu", None),
        ("a-1", "eng", None),
    ]
    assert '"audio_filepath"' in error(tmp_path / "m.csv", modalities=["speech"])


def test_whole_numbers_with_gaps_stay_ids(tmp_path):
    frame = pl.DataFrame({"id": [1.0, 2.0], "lang": ["deu", "deu"], "text": ["a", "b"]})
    frame.write_parquet(tmp_path / "m.parquet")
    assert [u.sentence for u in load(tmp_path / "m.parquet").utterances] == ["1", "2"]
    path = tmp_path / "m.jsonl"
    path.write_text('{"id": 7, "lang": "deu", "text": "a", "speaker": NaN}\n', encoding="utf-8")
    assert load(path).utterances[0].speaker is None


def test_unicode_line_separators_belong_to_the_text(tmp_path):
    rows = [{"id": 1, "lang": "deu", "text": "a\u2028b\u0085c"}]
    assert load(jsonl(tmp_path / "m.jsonl", rows)).utterances[0].text == "a\u2028b\u0085c"


def test_excel_byte_order_mark_and_crlf(tmp_path):
    for name, separator in (("m.csv", ","), ("m.tsv", "\t")):
        lines = ["id,lang,text", "1,deu,eins", "2,deu,zwei", ""]
        text = "\r\n".join(lines).replace(",", separator)
        (tmp_path / name).write_bytes(text.encode("utf-8-sig"))
        assert [u.text for u in load(tmp_path / name).utterances] == ["eins", "zwei"]


@pytest.mark.parametrize("cell", [["a"], {"a": 1}])
@pytest.mark.parametrize("column", ["text", "audio_filepath"])
def test_one_odd_cell_does_not_hide_a_column(tmp_path, column, cell):
    rows = [{"id": i, "lang": "deu", "text": "a", "audio_filepath": "a.wav"} for i in range(4)]
    rows[2][column] = cell
    (tmp_path / "m.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    assert f'm.jsonl line 3, column "{column}": holds a list' in error(tmp_path / "m.jsonl")


def test_embedded_audio_is_explained(tmp_path):
    audio = [{"bytes": b"RIFF", "path": "a.wav"}]
    frame = pl.DataFrame({"id": [1], "lang": ["deu"], "audio": audio})
    frame.write_parquet(tmp_path / "m.parquet")
    assert "write recordings to files" in error(tmp_path / "m.parquet")
    rows = [{"id": 1, "lang": "deu", "audio": {"path": "a.wav"}}]
    assert "write recordings to files" in error(jsonl(tmp_path / "m.jsonl", rows))


def test_nested_columns_do_not_shadow_usable_ones(recordings):
    rows = [{**r, "path": r["audio_filepath"], "audio": {"bytes": None}} for r in ROWS]
    for row in rows:
        del row["audio_filepath"]
    assert load(jsonl(recordings / "m.jsonl", rows)).utterances[0].clip is not None


class TestErrors:
    def test_missing_file(self, tmp_path):
        assert "does not exist" in error(tmp_path / "m.jsonl")
        (tmp_path / "d.jsonl").mkdir()
        assert "is a folder" in error(tmp_path / "d.jsonl")

    def test_wrong_suffix(self, tmp_path):
        (tmp_path / "m.xlsx").touch()
        text = error(tmp_path / "m.xlsx")
        assert ".jsonl, .jsonl.gz, .csv, .tsv, .parquet" in text

    def test_bad_json(self, tmp_path):
        path = tmp_path / "m.jsonl"
        path.write_text('{"id": 1, "lang": "deu", "text": "a"}\n{"id": 2,\n', encoding="utf-8")
        assert "line 2: is no JSON" in error(path)
        path.write_text("[1, 2]\n", encoding="utf-8")
        assert "line 1: is a list, not an object" in error(path)

    def test_not_utf8(self, tmp_path):
        path = tmp_path / "m.csv"
        path.write_bytes("id,lang,text\n1,deu,a\n2,deu,\u00fc\n".encode("latin-1"))
        assert "line 3: is not UTF-8" in error(path)

    def test_damaged_gzip_and_parquet(self, tmp_path):
        whole = jsonl(tmp_path / "a.jsonl.gz", ROWS).read_bytes()
        (tmp_path / "m.jsonl.gz").write_bytes(whole[:-12])
        assert "gzip" in error(tmp_path / "m.jsonl.gz")
        (tmp_path / "m.parquet").write_bytes(b"PAR1 but not really")
        assert "Parquet" in error(tmp_path / "m.parquet")

    def test_missing_column(self, tmp_path):
        rows = [{"id": 1, "lnag": "deu", "text": "a"}]
        text = error(table(tmp_path / "m.csv", rows))
        assert 'no column "lang"' in text
        assert "language, locale" in text
        assert 'did you mean "lnag"?' in text
        assert "Columns present: id, lnag, text" in text
        rows = [{"id": 1, "lang": "deu", "sentnce": "a"}]
        assert 'did you mean "sentnce"?' in error(table(tmp_path / "n.csv", rows))

    def test_missing_text_and_audio_columns(self, tmp_path):
        text = error(table(tmp_path / "m.csv", [{"id": 1, "lang": "deu"}]))
        assert '"text" or "audio_filepath"' in text

    @pytest.mark.parametrize("content", ["", "id,lang,text\n"])
    def test_no_rows(self, tmp_path, content):
        (tmp_path / "m.csv").write_text(content, encoding="utf-8")
        assert "no rows" in error(tmp_path / "m.csv")

    def test_column_twice(self, tmp_path):
        (tmp_path / "m.csv").write_text("id,lang,text,text\n1,deu,a,b\n", encoding="utf-8")
        assert '"text" appears twice' in error(tmp_path / "m.csv")

    def test_ragged_rows(self, tmp_path):
        (tmp_path / "m.csv").write_text("id,lang,text\n1,deu,a\n2,deu,b, c\n", encoding="utf-8")
        assert "row 2: has 4 cells, the header has 3" in error(tmp_path / "m.csv")

    def test_broken_quoting(self, tmp_path):
        (tmp_path / "m.csv").write_text('id,lang,text\n1,deu,"a" b\n', encoding="utf-8")
        assert "row 1: is not valid CSV" in error(tmp_path / "m.csv")

    def test_row_without_text_and_audio(self, recordings):
        rows = [ROWS[0], {**ROWS[0], "id": 5, "text": " ", "audio_filepath": None}]
        text = error(jsonl(recordings / "m.jsonl", rows))
        assert "line 2 (deu, sentence 5): has neither text nor recording" in text

    @pytest.mark.parametrize("column", ["id", "lang"])
    def test_empty_cell(self, recordings, column):
        text = error(jsonl(recordings / "m.jsonl", [ROWS[0], {**ROWS[1], column: None}]))
        assert f'line 2, column "{column}": is empty' in text

    def test_cells_of_the_wrong_kind(self, tmp_path):
        rows = [{"id": True, "lang": "deu", "text": "a"}]
        assert "True is neither text nor a number" in error(jsonl(tmp_path / "m.jsonl", rows))

    @pytest.mark.parametrize(
        ("column", "value"), [("duration", "long"), ("offset", -1), ("duration", "nan")]
    )
    def test_times(self, recordings, column, value):
        text = error(jsonl(recordings / "m.jsonl", [{**ROWS[0], column: value}]))
        assert f'line 1, column "{column}": "{value}" is no number of seconds' in text

    def test_unknown_language(self, recordings):
        path = table(recordings / "m.csv", [ROWS[0], {**ROWS[1], "lang": "engl"}])
        text = error(path)
        assert 'row 2, column "lang": unknown language "engl"; did you mean "eng"?' in text

    def test_unknown_languages_that_nobody_asks_for(self, recordings):
        path = jsonl(recordings / "m.jsonl", [*ROWS, {**ROWS[1], "lang": "xx_yy"}])
        corpus = load(path, languages=["deu", "eng"])
        assert len(corpus.utterances) == len(ROWS)
        assert "xx_yy (1)" in corpus.notes[0]

    def test_two_texts(self, recordings):
        rows = [*ROWS, {**ROWS[0], "text": "Guten Abend", "audio_filepath": None}]
        text = error(jsonl(recordings / "m.jsonl", rows))
        assert "sentence 1 in deu has two texts" in text
        assert "(line 1)" in text
        assert '"Guten Abend" (line 7)' in text

    def test_same_recording_twice(self, recordings):
        rows = [*ROWS, {**ROWS[0], "audio_filepath": "en/../de/1.wav"}]
        text = error(jsonl(recordings / "m.jsonl", rows))
        assert "listed twice for sentence 1 in deu: lines 1 and 7" in text

    def test_all_recordings_missing(self, tmp_path):
        text = error(jsonl(tmp_path / "m.jsonl", ROWS))
        assert "none of its 5 recordings can be found" in text
        assert f'"de/1.wav" (line 1) becomes {tmp_path / "de" / "1.wav"}' in text

    def test_settings(self):
        with pytest.raises(StudyError, match="path"):
            Manifest()
        with pytest.raises(StudyError, match="text_field"):
            Manifest(path="m.csv", text_field="words")
