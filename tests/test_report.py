"""The report: offline, inert whatever the data holds, complete, and the same figures inside."""

import base64
import csv
import gzip
import hashlib
import io
import itertools
import json
import math
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isogloss.charts import Axis, Chart, Grid, Line, Panel
from isogloss.errors import IsoglossError
from isogloss.figures import plan
from isogloss.figures.style import THEMES
from isogloss.report import (
    Banner,
    Column,
    Download,
    Missing,
    Report,
    Section,
    Table,
    inert,
    interactive,
    page,
    render,
    safe_csv,
    tables,
    write,
)
from sample_charts import CHARTS, NAN, atlas, contrast

EVIL = "</script><script>alert(1)</script><img src=x onerror=alert(2)>{{ 7 * 7 }}&lt;'\"`"
COLUMNS = (
    Column("language"),
    Column("score", "number", "Mean score"),
    Column("n", "integer"),
    Column("reason"),
)
COUNTS = Table("Counts", (Column("language"), Column("used", "integer")), (("deu", 1234),))
DROPPED = Table(
    "Dropped",
    (Column("language"), Column("sentence"), Column("modality"), Column("reason")),
    tuple((f"l{i % 3}", str(i), "speech", "silent" if i % 2 else "missing") for i in range(15)),
)


def report(**changes):
    values = {
        "title": "A report",
        "subtitle": "Twelve languages",
        "banners": (Banner("warning", "The model is untrained."), Banner("info", "One failed.")),
        "sections": (
            Section(
                "Speech against text",
                "How alike are they?\n\nMore and more.\n\nBut not at the end.",
                (CHARTS["curves"],),
                (Table("Scores", COLUMNS, (("deu", 0.81234, 194, ""), ("fra", NAN, 2, "few"))),),
            ),
        ),
        "counts": COUNTS,
        "dropped": DROPPED,
        "study_yaml": "model:\n  family: seamless\n",
        "environment": (("python", "3.11"),),
        "notes": ("Squared singular values.",),
        "downloads": (Download("study.yaml", "application/yaml", b"a: 1\n"),),
    }
    return Report(**(values | changes))


class Page(HTMLParser):
    """Elements with their attributes and text, as a browser would see them."""

    VOID = frozenset({"meta", "link", "img", "input", "br"})

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.elements, self.open = [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.elements.append([tag, dict(attrs), ""])
        if tag not in self.VOID:
            self.open.append(self.elements[-1])

    def handle_endtag(self, tag):
        while self.open and self.open.pop()[0] != tag:
            pass

    def handle_data(self, data):
        for element in self.open:
            element[2] += data

    def all(self, tag, **attributes):
        return [
            (a, text)
            for t, a, text in self.elements
            if t == tag and all(a.get(k.rstrip("_")) == v for k, v in attributes.items())
        ]

    def json(self, element):
        ((a, text),) = self.all("script", id=element)
        packed = a["type"] == "application/gzip"
        return json.loads(gzip.decompress(base64.b64decode(text)) if packed else text)


@pytest.fixture(scope="module")
def html():
    return render(report())


@pytest.fixture(scope="module")
def parsed(html):
    return Page(html)


def decode(attributes):
    kind, _, content = attributes["href"].partition(";base64,")
    data = base64.b64decode(content)
    return gzip.decompress(data) if kind == "data:application/gzip" else data


# ---- safe and offline -------------------------------------------------------------------------


def test_nothing_is_loaded_from_outside(parsed):
    for tag, attributes, _ in parsed.elements:
        for name in ("src", "href", "srcset", "data", "action", "poster", "xlink:href"):
            value = attributes.get(name)
            assert value is None or value.startswith(("#", "data:")), (tag, name, value)
        assert "url(" not in attributes.get("style", "")
    for _, css in parsed.all("style"):
        assert "url(" not in css
        assert "@import" not in css
    assert all("src" not in a for a, _ in parsed.all("script"))


def test_policy_allows_only_the_scripts_of_the_page(parsed):
    ((meta, _),) = parsed.all("meta", **{"http-equiv": "Content-Security-Policy"})
    rules = dict(r.strip().split(" ", 1) for r in meta["content"].split(";"))
    assert rules["default-src"] == "'none'"
    assert rules["img-src"] == "data: blob:"
    assert set(rules) == {
        "default-src",
        "script-src",
        "style-src",
        "img-src",
        "base-uri",
        "form-action",
    }
    scripts = [text for a, text in parsed.all("script") if "type" not in a]
    assert len(scripts) == 3
    digests = [base64.b64encode(hashlib.sha256(s.encode()).digest()).decode() for s in scripts]
    assert sorted(rules["script-src"].split()) == sorted(f"'sha256-{d}'" for d in digests)
    assert sum("plotly.js v" in s[:100] for s in scripts) == 1
    assert "\r" not in "".join(scripts)


def evil_report():
    line = Line(EVIL, (EVIL, "b"), (1, NAN), hover=(f"{EVIL}\n<b>x</b>", "%{y}"))
    grid = Grid(EVIL, (EVIL,), ("r",), ((NAN,),), hover=((EVIL,),))
    chart = Chart(
        "evil",
        EVIL,
        EVIL,
        (
            Panel(EVIL, Axis(EVIL, (EVIL, "b")), Axis(EVIL), (line,)),
            Panel(EVIL, Axis(EVIL, (EVIL,)), Axis(EVIL, ("r",)), (grid,)),
        ),
        notes=(EVIL,),
    )
    table = Table(EVIL, (Column(EVIL, "text", EVIL), Column("reason")), ((EVIL, EVIL),))
    missing = Table("t", (Column("a", "number"),), ((Missing(EVIL),),))
    return report(
        title=EVIL,
        subtitle=EVIL,
        banners=(Banner("warning", EVIL),),
        sections=(Section(EVIL, EVIL, (chart,), (table, missing)),),
        counts=table,
        dropped=table,
        study_yaml=EVIL,
        environment=((EVIL, EVIL),),
        notes=(EVIL,),
        downloads=(Download(EVIL, "text/csv", EVIL.encode()),),
    )


def test_data_is_inert_wherever_it_stands():
    html = render(evil_report())
    parsed = Page(html)
    assert len([a for a, _ in parsed.all("script") if "type" not in a]) == 3
    assert [a["class"] for a, _ in parsed.all("img")] == ["still"]
    assert not [k for _, attributes, _ in parsed.elements for k in attributes if k.startswith("on")]
    assert not parsed.all("b")
    body = html[html.index("<body>") :]
    assert "49" not in parsed.all("h1")[0][1]
    assert "alert(1)</script>" not in body
    ((_, title),) = parsed.all("title")
    assert title == EVIL
    texts = [text for _, text in (*parsed.all("h2"), *parsed.all("code"), *parsed.all("td"))]
    assert sum(t.strip() == EVIL for t in texts) >= 5


def test_json_in_the_page_reads_back(parsed):
    assert parsed.json("themes") == interactive.themes()
    embedded = parsed.json("figure-1-data")
    assert embedded == interactive.content(CHARTS["curves"])
    assert embedded == {"panels": interactive.figures(CHARTS["curves"])}
    evil = Page(render(evil_report())).json("figure-1-data")
    layout = evil["panels"][0]["layout"]
    assert "<" not in layout["xaxis"]["title"]["text"].replace("<br>", "")
    assert "&lt;/script&gt;" in layout["xaxis"]["title"]["text"].replace("<br>", " ")


def test_json_cannot_end_its_script_element():
    text = page._json({"a": EVIL, "b": "\u2028"})
    assert not set("<>&\u2028") & set(text)
    assert json.loads(text) == {"a": EVIL, "b": "\u2028"}


def strings(value):
    if isinstance(value, dict):
        for v in value.values():
            yield from strings(v)
    elif isinstance(value, list):
        for v in value:
            yield from strings(v)
    elif isinstance(value, str):
        yield value


def test_plotly_labels_hold_no_tag_but_line_breaks():
    chart = evil_report().sections[0].charts[0]
    for figure in interactive.figures(chart):
        for text in strings(figure):
            assert "<" not in text.replace("<br>", "")
    hover = interactive.figures(chart)[0]["data"][0]["hovertext"]
    assert hover[0].endswith("<br>&lt;b&gt;x&lt;/b&gt;")


# ---- figures ----------------------------------------------------------------------------------


def resolve(value, theme, key=""):
    """What the page's script does with the names of colours."""
    if isinstance(value, dict):
        return {k: resolve(v, theme, k) for k, v in value.items()}
    if isinstance(value, list):
        return [resolve(v, theme) for v in value]
    if isinstance(value, str) and value.startswith("@") and "color" in key:
        return theme[value[1:]]
    return value


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("name", CHARTS)
def test_figures_are_valid_plotly(name, theme):
    import plotly.graph_objects as go

    for figure in interactive.figures(CHARTS[name]):
        json.dumps(figure, allow_nan=False)
        resolved = resolve(figure, interactive.themes()[theme])
        assert not [s for s in strings(resolved) if s.startswith("@")]
        layout = resolved["layout"]
        for side in "xy":
            for choice in resolved["ticks"][side] or ():
                layout[f"{side}axis"] |= {k: v for k, v in choice.items() if k != "room"}
                go.Figure(data=resolved["data"], layout=layout)
        made = go.Figure(data=resolved["data"], layout=layout)
        assert made.layout.xaxis.title.text
        assert made.layout.yaxis.title.text
        assert len(figure["entries"]) == len(made.data)


def test_both_renderers_show_the_same_values():
    chart = CHARTS["curves"]
    (line,) = [m for m in chart.panels[1].marks if m.role == "data"]
    figure = interactive.figures(chart)[1]
    entry = [e.name for e in plan.legend(chart)].index("low")
    band, curve, cross = (
        t for t, e in zip(figure["data"], figure["entries"], strict=True) if e == entry
    )
    shown = curve["y"][:9] + curve["y"][10:]
    assert curve["y"][9] is None
    assert shown == [None if math.isnan(v) else pytest.approx(v, rel=1e-5) for v in line.y]
    assert not curve["connectgaps"]
    assert band["y"].count(None) == 3
    assert cross["marker"]["symbol"] == "x"
    assert cross["y"] == [pytest.approx(line.y[-1], rel=1e-5)]
    first = interactive.figures(chart)[0]
    chance, baseline = (first["data"][first["entries"].index(e)] for e in (3, 4))
    assert (chance["mode"], chance["line"]["color"]) == ("lines", "@chance")
    assert (baseline["mode"], baseline["line"]["color"]) == ("lines", "@baseline")
    assert chance["line"]["dash"] != baseline["line"]["dash"]


def test_cells_that_could_not_be_computed_are_empty_and_say_so():
    (figure,) = interactive.figures(CHARTS["heat"])
    trace = figure["data"][0]
    assert trace["z"][3][4] is None
    assert trace["hovertext"][3][4].endswith("not computed")
    assert sum(v is None for row in trace["z"] for v in row) == 1
    assert figure["layout"]["plot_bgcolor"] == "@missing"


def test_labels_thin_out_as_room_shrinks():
    (figure,) = interactive.figures(CHARTS["bars"])
    choices = figure["ticks"]["x"]
    assert choices[0]["room"] == 0
    assert [c["room"] for c in choices] == sorted(c["room"] for c in choices)
    counts = [len(c["tickvals"]) for c in choices]
    assert counts[0] < counts[-1] == 36
    # At its least width the panel has room for all names.
    slot = (figure["minWidth"] - 75) / 36
    assert [c for c in choices if c["room"] <= slot][-1]["tickvals"] == list(range(36))


# ---- steps and maps ---------------------------------------------------------------------------


def sections(*charts):
    return (Section("Maps", "How?\n\nSo.", charts),)


@pytest.fixture(scope="module")
def stepped():
    return Page(render(report(sections=sections(CHARTS["slide"], CHARTS["atlas"]))))


def test_a_slider_moves_through_the_steps(stepped):
    sliders = [a for a, _ in stepped.all("input", type="range")]
    assert [(a["min"], a["max"], a["value"], a["step"]) for a in sliders] == [
        ("0", "2", "1", "1")
    ] * 2
    assert [a["aria-valuetext"] for a in sliders] == ["tap 2", "tap 1"]
    labels = {a["for"]: text for a, text in stepped.all("label")}
    assert all(labels[a["id"]] == "tap" for a in sliders)
    moves = [
        (a["data-move"], a["aria-label"]) for a, _ in stepped.all("button") if "data-move" in a
    ]
    assert moves == [("-1", "Previous tap"), ("1", "Next tap")] * 2
    content = stepped.json("figure-1-data")
    assert set(content) == {"steps", "shown", "texts"}
    assert [s["label"] for s in content["steps"]] == ["1", "2", "3"]
    assert content["shown"] == 1
    for step, own in zip(content["steps"], CHARTS["slide"].steps, strict=True):
        (trace,) = step["panels"][0]["data"]
        shown = [v for row in trace["z"] for v in row]
        given = [v for row in own.panels[0].marks[0].z for v in row]
        expected = [None if math.isnan(v) else pytest.approx(v, rel=1e-5) for v in given]
        assert shown == expected
        assert len(content["texts"][trace["hovertext"]]) == 6
    traces = [s["panels"][0]["data"][0] for s in content["steps"]]
    assert len({(t["zmin"], t["zmax"]) for t in traces}) == 1
    assert "(tap 2)" in stepped.all("img")[0][0]["alt"]


def numbers(packed):
    assert packed["dtype"] == "f4"
    return np.frombuffer(base64.b64decode(packed["bdata"]), "<f4")


def test_a_map_holds_every_point_once_and_every_text_once(stepped):
    chart, content = CHARTS["atlas"], stepped.json("figure-2-data")
    assert len(content["texts"]) == 8
    for step, own in zip(content["steps"], chart.steps, strict=True):
        for figure, panel in zip(step["panels"], own.panels, strict=True):
            clouds = [t for t in figure["data"] if t["mode"] == "markers"]
            span = max(np.ptp([v for m in panel.marks for v in m.x]) for _ in "x")
            for trace, mark in zip(clouds, panel.marks, strict=True):
                np.testing.assert_allclose(numbers(trace["x"]), mark.x, atol=span / 4000)
                np.testing.assert_allclose(numbers(trace["y"]), mark.y, atol=span / 4000)
                assert mark.name in content["texts"][trace["hovertext"]][0]
            names = [t["text"][0] for t in figure["data"] if t["mode"] == "text"]
            assert names == [m.label for m in panel.marks]
            assert figure["layout"]["yaxis"]["scaleanchor"] == "x"


def test_colours_of_a_map_can_be_chosen(stepped):
    chart, content = CHARTS["atlas"], stepped.json("figure-2-data")
    buttons = [
        (text, a["aria-pressed"]) for a, text in stepped.all("button") if "data-colouring" in a
    ]
    assert buttons == [
        ("language family", "true"),
        ("language", "false"),
        ("resource level", "false"),
    ]
    legends = [a for a, _ in stepped.all("ul", class_="legend") if "data-colouring" in a]
    assert ["hidden" in a for a in legends] == [False, True, True]
    for figure in content["steps"][0]["panels"]:
        for i, look in enumerate(figure["looks"]):
            legend = plan.legend(chart, i)
            groups = chart.colourings[i].groups
            for trace, entry, marker in zip(
                figure["data"], look["entries"], look["markers"], strict=True
            ):
                if trace["mode"] == "text":
                    assert marker is None
                    assert legend[entry].name == groups[trace["text"][0]]
                else:
                    assert marker["color"] == f"@c{legend[entry].colour % 8}"


def test_values_of_all_steps_are_in_the_table(stepped):
    ((link, _),) = stepped.all("a", download="slide.csv.gz")
    read = list(csv.DictReader(io.StringIO(decode(link).decode())))
    assert list(read[0]) == ["tap", "panel", "series", "x", "y", "value"]
    assert [r["tap"] for r in read] == ["1"] * 36 + ["2"] * 36 + ["3"] * 36
    ((link, _),) = stepped.all("a", download="atlas.csv.gz")
    read = list(csv.DictReader(io.StringIO(decode(link).decode())))
    assert len(read) == 3 * 2 * 8 * 12
    assert [read[0][k] for k in ("tap", "panel", "series", "point")] == ["in", "text", "amh", "0"]
    assert "word" not in decode(link).decode()


def test_a_map_of_a_whole_study_is_small():
    """17 taps, 30 languages, 100 sentences in two modalities: 102,000 points."""
    chart = atlas(tuple(map(str, range(17))), languages_=30, sentences=100)
    text = page._json(interactive.content(chart))
    assert len(base64.b64encode(gzip.compress(text.encode()))) < 1_500_000


def test_coordinates_are_exact_to_less_than_a_pixel():
    from isogloss.report import traces

    values = [-31.4159, 0.0, 27.1828, 1e-3, math.nan]
    found = numbers(traces._packed(values))
    np.testing.assert_allclose(found, values, atol=(31.4159 + 27.1828) / 8000)
    assert numbers(traces._packed([2.5])).tolist() == [2.5]
    assert numbers(traces._packed([])).tolist() == []


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("short", ["short"]),
        ("one two three four", ["one two", "three four"]),
        ("a\nb", ["a", "b"]),
        ("x" * 25, ["x" * 10, "x" * 10, "x" * 5]),
        ("世界人权宣言全文", ["世界人权宣", "言全文"]),
        ("กินน้ำกินน้ำกินน้ำ", ["กินน้ำกินน้ำกิน", "น้ำ"]),
        ("שלום עולם שלום", ["\u2068שלום עולם\u2069", "\u2068שלום\u2069"]),
        ("", [""]),
    ],
)
def test_texts_of_any_script_are_folded(text, lines):
    assert inert.folded(text, 10).split("\n") == lines


@given(st.text(max_size=60))
def test_folding_loses_nothing_but_spaces(text):
    found = inert.folded(text, 12)

    def bare(given):
        return "".join(given.replace("\u2068", "").replace("\u2069", "").split())

    assert bare(found) == bare(text)
    assert all(inert._cells(line.strip("\u2068\u2069")) <= 12 for line in found.split("\n"))


def test_still_pictures_stand_in_for_the_figures(parsed):
    ((image, _),) = parsed.all("img")
    assert base64.b64decode(image["src"].partition(",")[2]).startswith(b"\x89PNG")
    assert "Speech against text" in image["alt"]
    assert "SVCCA (0 to 1) against tap" in image["alt"]
    plots = [a for a, _ in parsed.all("div") if a.get("role") == "img"]
    assert len(plots) == 2
    assert all(a["aria-label"] for a in plots)


def test_legend_buttons_name_the_entries(parsed):
    buttons = {text.strip(): a for a, text in parsed.all("button") if "data-entry" in a}
    assert list(buttons) == ["mean", "low", "chance (matched null)", "Gaussian baseline"]
    assert buttons["low"]["data-entry"] == "1"
    embedded = parsed.json("figure-1-data")["panels"][1]
    assert set(embedded["entries"]) == {1, 3}


# ---- contents ---------------------------------------------------------------------------------


def test_all_parts_are_there_and_linked(parsed):
    ids = {a["id"] for _, a, _ in parsed.elements if "id" in a}
    links = [a["href"][1:] for a, _ in parsed.all("a") if a.get("href", "").startswith("#")]
    assert set(links) <= ids
    assert {"compared", "dropped", "choices", "study", "environment", "downloads"} <= set(links)
    texts = " ".join(text for _, text in parsed.all("section"))
    for part in ("More and more.", "But not at the end.", "family: seamless", "Squared", "3.11"):
        assert part in texts
    assert [text for a, text in parsed.all("dd")] == ["More and more."]
    banners = [(a["class"], text) for a, text in parsed.all("p", role="note")]
    assert banners[0] == ("banner warning", "⚠ Warning The model is untrained.")
    assert banners[1] == ("banner info", "Note One failed.")
    assert [text for _, text in parsed.all("span") if text.startswith("⚠")] == [
        f"⚠ {note}" for note in CHARTS["curves"].notes
    ]


def test_headings_do_not_skip_a_level(parsed):
    levels = [int(t[1]) for t, _, _ in parsed.elements if re.fullmatch(r"h[1-6]", t)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(b - a <= 1 for a, b in itertools.pairwise(levels))


def test_missing_cells_are_dashes_with_a_reason(parsed):
    missing = [a for a, text in parsed.all("span", class_="missing") if text == "–"]
    reasons = [a["title"] for a in missing]
    assert "few" in reasons
    assert all(a["tabindex"] == "0" for a in missing)
    assert "not available: few" in [a["aria-label"] for a in missing]
    numbers = {text: a["data-v"] for a, text in parsed.all("td") if "data-v" in a}
    assert numbers["0.812"] == "0.81234"
    assert numbers["1,234"] == "1234"


@pytest.mark.parametrize(
    ("value", "kind", "expected"),
    [
        (0.81234, "number", ("0.812", "0.81234")),
        (1.3e-7, "number", ("1.3e-07", "1.3e-07")),
        (1234.56, "number", ("1,234.6", "1234.56")),
        (0, "number", ("0", "0")),
        (194, "integer", ("194", "194")),
        (1234567, "integer", ("1,234,567", "1234567")),
        (True, "text", ("yes", "")),
        ("0.5", "text", ("0.5", "")),
        ("n/a", "number", ("n/a", "")),
        (math.inf, "number", ("inf", "inf")),
        (None, "text", ("–", "")),
        (NAN, "integer", ("–", "")),
    ],
)
def test_cells(value, kind, expected):
    cell = tables.cell(value, Column("x", kind))
    assert (cell.text, cell.value) == expected
    assert bool(cell.reason) == (cell.text == "–")


@given(st.floats(-1e300, 1e300))
def test_numbers_keep_their_size_and_sign(value):
    text = tables.number_text(value)
    assert float(text.replace(",", "")) == pytest.approx(value, rel=0.06, abs=5e-4)
    assert len(text) <= 12


def test_dropped_sentences_are_counted_by_reason():
    counted = tables.grouped(DROPPED)
    assert [c.label for c in counted.columns] == ["reason", "modality", "sentences", "languages"]
    assert counted.rows == (("missing", "speech", 8, 3), ("silent", "speech", 7, 3))
    columns = (Column("language"), Column("reason"), Column("sentences", "integer"))
    summed = tables.grouped(Table("t", columns, (("a", "x", 5), ("b", "x", 6), ("b", "y", 1))))
    assert summed.rows == (("x", 11, 2), ("y", 1, 1))
    assert tables.grouped(COUNTS) is None


def test_nothing_dropped_is_said():
    html = render(report(dropped=Table("Dropped", (), ()), sections=()))
    texts = [text.strip() for _, text in Page(html).all("p")]
    assert "Nothing was dropped." in texts


def test_long_tables_are_cut_in_the_page_but_whole_in_their_file():
    rows = tuple((f"s{i}", i) for i in range(page.ROWS_SHOWN + 500))
    long = Table("Long", (Column("a"), Column("b", "integer")), rows)
    parsed = Page(render(report(counts=long, sections=())))
    assert "The first 1,000 of 1,500 rows" in " ".join(text for _, text in parsed.all("p"))
    ((link, _),) = parsed.all("a", download="counts.csv.gz")
    assert link["data-unpack"] == "counts.csv"
    read = list(csv.reader(io.StringIO(decode(link).decode())))
    assert read == [["a", "b"], *([a, str(b)] for a, b in rows)]


def test_downloads_decode_to_their_bytes():
    big = bytes(range(256)) + b"repeated" * 9000
    files = (
        Download("small.yaml", "application/yaml", b"a: \xc3\xbc\n"),
        Download("../../big.csv", "text/csv; charset=utf-8", big),
        Download("packed.parquet", "application/octet-stream", gzip.compress(big * 3)),
    )
    parsed = Page(render(report(downloads=files)))
    links = {a["download"]: a for a, _ in parsed.all("a") if "download" in a}
    assert decode(links["small.yaml"]) == files[0].content
    assert decode(links["big.csv.gz"]) == big
    assert links["big.csv.gz"]["data-type"] == "text/csv; charset=utf-8"
    assert decode(links["packed.parquet"]) == files[2].content
    with pytest.raises(IsoglossError, match='"x" has no media type but "text/html,<b>"'):
        render(report(downloads=(Download("x", "text/html,<b>", b""),)))


def test_values_of_a_figure_can_be_read_and_saved(parsed):
    ((link, _),) = parsed.all("a", download="curves.csv")
    read = list(csv.DictReader(io.StringIO(decode(link).decode())))
    assert list(read[0]) == ["panel", "series", "x", "value", "low", "high"]
    low = [r for r in read if r["series"] == "low"]
    assert low[4]["value"] == ""
    assert float(low[5]["value"]) == CHARTS["curves"].panels[1].marks[0].y[5]


def test_csv_cells_are_no_formulas():
    frame = pl.DataFrame({"text": ["=1+1", "@x", 'a;"=1', None], "number": [-1.5, NAN, 2.0, None]})
    assert safe_csv(frame).decode().splitlines() == [
        '"text","number"',
        '"\'=1+1",-1.5',
        '"\'@x",NaN',
        '"a;""=1",2.0',
        ",",
    ]
    table = Table("t", (Column("=a"), Column("b", "number")), (("-x", -1), ("+y", NAN)))
    assert tables.table_csv(table).decode() == '"\'=a","b"\n"\'-x",-1\n"\'+y",\n'


def test_a_row_of_the_wrong_length_is_refused():
    table = Table("Scores", COLUMNS, (("deu", 1.0),))
    with pytest.raises(IsoglossError, match='table "Scores", row 1: 2 cells for 4 columns'):
        render(report(counts=table))


# ---- the file ---------------------------------------------------------------------------------


def test_write_is_whole_or_nothing(tmp_path):
    path = tmp_path / "new" / "report.html"
    assert write(report(), path) == path
    before = path.read_bytes()
    assert 4_000_000 < len(before) < 6_000_000
    with pytest.raises(IsoglossError):
        write(report(counts=Table("t", COLUMNS, ((1,),))), path)
    assert path.read_bytes() == before
    assert [p.name for p in path.parent.iterdir()] == ["report.html"]
    with pytest.raises(IsoglossError, match="cannot write"):
        write(report(), tmp_path / "new")
    assert [p.name for p in tmp_path.iterdir()] == ["new"]


def test_same_content_gives_the_same_page(html):
    assert render(report()) == html


def test_undecodable_names_do_not_cost_the_report(tmp_path):
    path = write(report(title="caf\udce9", sections=()), tmp_path / "r.html")
    assert "caf?" in path.read_text(encoding="utf-8")


def test_extra_is_named_when_it_is_missing():
    program = (
        "import sys\n"
        "for name in ('matplotlib', 'plotly', 'jinja2', 'markupsafe', 'PIL'):\n"
        "    sys.modules[name] = None\n"
        "from isogloss.charts import Axis, Chart, Panel\n"
        "from isogloss.figures import draw\n"
        "from isogloss.report import Report, Table, render\n"
        "from isogloss.errors import MissingExtraError\n"
        "empty = Table('', (), ())\n"
        "chart = Chart('a', '', '', (Panel('', Axis('x'), Axis('y'), ()),))\n"
        "page = Report('', '', (), (), empty, empty, '', (), (), ())\n"
        "for call in (lambda: draw(chart), lambda: render(page)):\n"
        "    try:\n"
        "        call()\n"
        "    except MissingExtraError as error:\n"
        "        print(error)\n"
    )
    command = [sys.executable, "-c", program]
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert out.count('needs the extra "report": pip install "isogloss[report]"') == 2


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_text_of_the_page_has_contrast(theme):
    css = page._asset("page.css")
    blocks = re.findall(r"(:root[^{]*)\{([^}]*--link[^}]*)\}", css)
    wanted = [b for selector, b in blocks if f"[data-theme={theme}]" in selector]
    own = dict(re.findall(r"--([\w-]+):\s*(#\w{6})", wanted[0]))
    look = THEMES[theme]
    for text, ground in (
        (own["link"], look.background),
        (own["link"], own["panel"]),
        (look.ink, own["panel"]),
        (look.muted, own["panel"]),
        (own["info"], own["info-fill"]),
    ):
        assert contrast(text, ground) >= 4.5
    assert contrast(own["edge"], look.background) >= 3
    # The preference of the system and the choice by button must give the same colours.
    assert len({b.strip() for s, b in blocks if theme == "dark" and "=light" not in s}) <= 3
    system = [b for s, b in blocks if s.strip() == ":root"][theme == "dark"]
    assert dict(re.findall(r"--([\w-]+):\s*(#\w{6})", system)) == own


BROWSER = shutil.which("chromium") or shutil.which("google-chrome")


def opened(path, tmp_path):
    """The page as Chromium makes it, and what it complains of."""
    command = [
        BROWSER,
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        f"--user-data-dir={tmp_path / 'profile'}",
        "--enable-logging=stderr",
        "--virtual-time-budget=20000",
        "--window-size=1366,3000",
        "--dump-dom",
        path.as_uri(),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    complaints = [line for line in done.stderr.splitlines() if ":CONSOLE" in line]
    return Page(done.stdout), complaints


@pytest.mark.skipif(BROWSER is None, reason="no Chromium to open the report with")
def test_a_browser_draws_the_figures_without_complaint(tmp_path):
    path = write(evil_report(), tmp_path / "evil.html")
    dom, complaints = opened(path, tmp_path)
    assert complaints == []
    ((figure, _),) = dom.all("figure")
    assert figure["class"] == "ready"
    drawn = [a for a, _ in dom.all("svg") if "main-svg" in a.get("class", "")]
    assert len(drawn) >= 4
    assert not dom.all("b")
    assert all(a.get("src", "data:").startswith("data:") for a, _ in dom.all("img"))


MOVE = """
<script>
const wait = (ms) => new Promise((done) => setTimeout(done, ms));
(async () => {
  const figure = document.querySelector("#figure-1");
  while (!figure.classList.contains("ready")) await wait(50);
  const at = () => figure.querySelector(".points path").getAttribute("transform");
  const slider = figure.querySelector(".steps input");
  const seen = { before: at(), slider: slider.value };
  figure.querySelectorAll(".legend button")[0].click();
  figure.querySelector(".steps button[data-move='1']").click();
  await wait(1500);
  seen.after = at();
  seen.text = slider.getAttribute("aria-valuetext");
  seen.last = figure.querySelector(".steps button[data-move='1']").disabled;
  seen.names = [...figure.querySelectorAll(".plot:first-child .textpoint")].length;
  figure.querySelectorAll(".colourings button")[1].click();
  await wait(500);
  seen.legends = [...figure.querySelectorAll(".legend")].map((x) => x.hidden);
  seen.all = [...figure.querySelectorAll(".plot:first-child .textpoint")].length;
  const p = document.createElement("p");
  p.id = "seen";
  p.textContent = JSON.stringify(seen);
  document.body.append(p);
})();
</script>
"""


@pytest.mark.skipif(BROWSER is None, reason="no Chromium to open the report with")
def test_the_slider_moves_the_points_in_a_browser(tmp_path):
    """With data that are packed, as those of a whole study are."""
    chart = atlas(("in", "1", "2"), sentences=40)
    html = render(report(sections=sections(chart)))
    assert 'type="application/gzip" id="figure-1-data"' in html
    # The page's own policy would not let the test in.
    html = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", html)
    path = tmp_path / "slide.html"
    path.write_text(html.replace("</body>", MOVE + "</body>"), encoding="utf-8")
    dom, complaints = opened(path, tmp_path)
    assert complaints == []
    ((_, text),) = dom.all("p", id="seen")
    seen = json.loads(text)
    assert seen["slider"] == "1"
    assert seen["before"] != seen["after"]
    assert seen["text"] == "tap 2"
    assert seen["last"]
    # Eight languages; the four of the family that was hidden stay hidden at the next step.
    hidden = list(chart.colourings[0].groups.values()).count("Indo-European")
    assert seen["names"] == 2 * (8 - hidden)
    assert seen["all"] == 2 * 8
    assert seen["legends"] == [True, False, True]
