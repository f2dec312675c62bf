"""Still figures: what is drawn, that nothing overlaps, and that colours can be told apart."""

import hashlib
import itertools
import os
import subprocess
import sys
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import PolyCollection
from matplotlib.colors import to_hex

from isogloss.charts import (
    Axis,
    Chart,
    Colouring,
    Grid,
    Line,
    Marks,
    Panel,
    Points,
    Step,
    check,
)
from isogloss.errors import IsoglossError, StudyError
from isogloss.figures import clouds, draw, plan, save, style, ticks
from isogloss.figures.style import THEMES
from sample_charts import (
    CHARTS,
    NAMES,
    NAN,
    NOTES,
    TAPS,
    Y,
    atlas,
    bars,
    contrast,
    linear,
    taps,
)


@pytest.fixture(scope="module")
def drawn():
    """Every sample chart, drawn once."""
    return {name: draw(chart) for name, chart in CHARTS.items()}


def renderer(figure):
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return canvas.get_renderer()


def plots(figure):
    """The axes that show a panel, without colour bars."""
    return [ax for ax in figure.axes if ax.get_xlabel()]


# ---- what is drawn ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", CHARTS)
def test_every_axis_is_named(drawn, name):
    figure, chart = drawn[name], CHARTS[name]
    assert len(plots(figure)) == len(chart.panels)
    for ax, panel in zip(plots(figure), chart.panels, strict=True):
        assert ax.get_xlabel().replace("\n", " ") == panel.x.label
        assert ax.get_ylabel().replace("\n", " ") == panel.y.label
    for ax in set(figure.axes) - set(plots(figure)):
        assert ax.get_ylabel() == "SVCCA (0 to 1)"


def test_notes_and_title_stand_in_the_figure(drawn):
    texts = {t.get_gid(): t.get_text() for t in drawn["curves"].texts if t.get_gid() == "title"}
    assert texts["title"] == "Speech against text"
    notes = [t.get_text() for t in drawn["curves"].texts if t.get_gid() == "note"]
    assert [n.removeprefix("⚠ ") for n in notes] == list(NOTES)


def test_nan_and_breaks_are_gaps(drawn):
    ax = plots(drawn["curves"])[1]
    data = [x for x in ax.lines if x.get_color() == style.colour(THEMES["light"], 1)]
    x, y = data[0].get_data()
    assert np.flatnonzero(np.isnan(y)).tolist() == [4, 9]
    assert len(y) == len(TAPS) + 1
    assert np.nanmax(y) < 1
    assert 0 not in y
    bands = [c for c in ax.collections if isinstance(c, PolyCollection)]
    assert len(bands[0].get_paths()) == 3
    assert x[9] == x[10] == 9


def test_band_of_one_point_has_an_area():
    line = Line("a", (0.0, 1.0, 2.0), (1, NAN, 3), (0, 0, 2), (2, 2, 4))
    polygons = plan.band(line, Panel("", Axis("x"), Axis("y"), (line,)))
    assert len(polygons) == 2
    assert {x for x, _ in polygons[0]} == {-0.12, 0.12}


def test_references_are_grey_thin_dashed_and_dotted(drawn):
    ax = plots(drawn["curves"])[0]
    theme = THEMES["light"]
    chance, baseline = (
        [
            x
            for x in ax.lines
            if x.get_linewidth() == style.REFERENCE_WIDTH and x.get_ydata()[0] == v
        ]
        for v in (0.4, 0.3)
    )
    assert chance[0].get_color() == theme.chance
    assert baseline[0].get_color() == theme.baseline
    patterns = [line._unscaled_dash_pattern[1] for line in (chance[0], baseline[0])]
    assert patterns[0] == pytest.approx([d / style.REFERENCE_WIDTH for d in style.CHANCE_DASH])
    assert patterns[1] == pytest.approx([d / style.REFERENCE_WIDTH for d in style.BASELINE_DASH])
    red, green, blue = (int(theme.chance[i : i + 2], 16) for i in (1, 3, 5))
    assert max(red, green, blue) - min(red, green, blue) < 25


def test_crosses_mark_the_emphasised_points(drawn):
    first, second = plots(drawn["curves"])
    assert [x for x in first.lines if x.get_marker() == "X"] == []
    (cross,) = [x for x in second.lines if x.get_marker() == "X"]
    assert cross.get_xdata() == [TAPS.index("len")]


def test_grid_cells_stand_on_their_categories(drawn):
    (ax,) = plots(drawn["heat"])
    mesh = ax.collections[0]
    grid = CHARTS["heat"].panels[0].marks[0]
    values = mesh.get_array().reshape(len(grid.y), len(grid.x))
    assert values.mask.sum() == 1
    assert values.mask[3, 4]
    np.testing.assert_allclose(values.filled(0), np.nan_to_num(np.array(grid.z)))
    corner = mesh.get_transform().transform((0, 0)) - ax.transData.transform((-0.5, -0.5))
    np.testing.assert_allclose(corner, 0, atol=1e-9)
    assert to_hex(ax.get_facecolor()) == THEMES["light"].missing


def test_legend_lists_each_entry_once_data_first():
    names = [(e.name, e.kind) for e in plan.legend(CHARTS["curves"])]
    assert names == [
        ("mean", "line"),
        ("low", "line"),
        ("after the length adaptor", "cross"),
        ("chance (matched null)", "line"),
        ("Gaussian baseline", "line"),
    ]
    assert plan.legend(CHARTS["heat"]) == (plan.MISSING,)


def test_ranges_of_a_category_stand_side_by_side():
    shifts = plan.dodge(CHARTS["bars"].panels[0])
    assert shifts[:3] == pytest.approx([-0.26, 0, 0.26])
    assert shifts[3:6] == shifts[:3]
    assert shifts[6] == 0


def test_panels_with_one_unit_share_a_range_but_maps_do_not():
    x = Axis("x")
    low, high = Line("a", (0.0, 1.0), (0, 1)), Line("b", (0.0, 1.0), (1, 3))
    chart = Chart("c", "", "", (Panel("", x, Y, (low,)), Panel("", x, Y, (high,))))
    (_, first), (_, second) = plan.limits(chart)
    assert first == second == pytest.approx((-0.15, 3.15))
    low, high = Points("a", (0.0,), (0.0,)), Points("a", (0.0,), (9.0,))
    chart = Chart("c", "", "", (Panel("", x, Y, (low,)), Panel("", x, Y, (high,))))
    assert plan.limits(chart)[0] != plan.limits(chart)[1]


def test_colour_scales():
    def scale(*grids):
        axes = Axis("x", ("a",)), Axis("y", ("b",))
        panels = tuple(Panel("", *axes, (g,)) for g in grids)
        return plan.colour_limits(Chart("c", "", "", panels))

    def grid(value, name="v", **rest):
        return Grid(name, ("a",), ("b",), ((value,),), **rest)

    assert scale(grid(1.0), grid(3.0)) == {"v": (1, 3)}
    assert scale(grid(1.0), grid(3.0, "w")) == {"v": (0.5, 1.5), "w": (2.5, 3.5)}
    assert scale(grid(2.0, centre=0.5)) == {"v": (-1, 2)}
    assert scale(grid(2.0, range=(0.0, 1.0))) == {"v": (0, 1)}
    assert scale(grid(NAN)) == {"v": (0, 1)}


def test_a_chart_of_nothing_but_nan_is_drawn():
    line = Line("a", ("1", "2"), (NAN, NAN), (NAN, NAN), (NAN, NAN))
    marks = Marks("b", ("1", "2"), (NAN, NAN), (NAN, NAN), (NAN, NAN))
    panel = Panel("", Axis("x", ("1", "2")), Y, (line, marks))
    draw(Chart("empty", "", "", (panel, Panel("", Axis("x"), Y, ()))))


def test_dollar_signs_and_other_scripts_are_plain_text(tmp_path):
    name = r"$\frac{broken$ 日本語 <b>"
    line = Line(name, (name, "b"), (1, 2))
    chart = Chart("odd", name, name, (Panel(name, Axis(name, (name, "b")), Axis(name), (line,)),))
    figure = draw(chart)
    assert name in [t.get_text() for t in figure.texts]
    assert len(save(chart, tmp_path, dpi=40)) == 3


# ---- nothing overlaps, nothing is cut ---------------------------------------------------------


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("name", CHARTS)
def test_legend_covers_nothing(name, theme):
    figure = draw(CHARTS[name], theme=theme)
    canvas = renderer(figure)
    legend = figure.legends[0].get_window_extent(canvas)
    for ax in figure.axes:
        assert not legend.overlaps(ax.get_tightbbox(canvas))
        for text in figure.texts:
            assert not text.get_window_extent(canvas).overlaps(ax.get_tightbbox(canvas))


@pytest.mark.parametrize("name", CHARTS)
def test_nothing_is_cut_off(drawn, name):
    figure = drawn[name]
    canvas = renderer(figure)
    boxes = [t.get_window_extent(canvas) for t in figure.texts]
    boxes += [ax.get_tightbbox(canvas) for ax in figure.axes]
    boxes += [x.get_window_extent(canvas) for x in figure.legends]
    for box in boxes:
        # One pixel for the anti-aliased edge of a glyph.
        assert box.x0 >= -1
        assert box.y0 >= -1
        assert box.x1 <= figure.bbox.width + 1
        assert box.y1 <= figure.bbox.height + 1


@pytest.mark.parametrize("name", CHARTS)
def test_panels_and_their_texts_do_not_overlap(drawn, name):
    figure = drawn[name]
    canvas = renderer(figure)
    boxes = [ax.get_tightbbox(canvas) for ax in figure.axes]
    assert not any(a.overlaps(b) for a, b in itertools.combinations(boxes, 2))


def tick_boxes(axis, canvas):
    return [
        t.get_window_extent(canvas)
        for t in axis.get_majorticklabels()
        if t.get_visible() and t.get_text()
    ]


@pytest.mark.parametrize("name", CHARTS)
def test_tick_labels_do_not_overlap(drawn, name):
    figure = drawn[name]
    canvas = renderer(figure)
    for ax in figure.axes:
        for axis in (ax.xaxis, ax.yaxis):
            boxes = tick_boxes(axis, canvas)
            assert not any(a.overlaps(b) for a, b in itertools.pairwise(boxes))


@pytest.mark.parametrize("name", ["taps", "bars"])
def test_all_names_are_written(drawn, name):
    for ax, panel in zip(plots(drawn[name]), CHARTS[name].panels, strict=True):
        written = {t.get_text() for t in ax.get_xticklabels()}
        assert {c for c in panel.x.categories if not c.isdecimal()} <= written


def test_wide_charts_grow_and_long_names_are_cut():
    narrow, wide = draw(bars(NAMES[:6])), draw(bars(NAMES))
    assert wide.get_figwidth() > narrow.get_figwidth() + 3
    long = ("a" * 60, "b")
    figure = draw(bars(long))
    assert {len(t.get_text()) for t in plots(figure)[0].get_xticklabels()} == {28, 1}


def test_long_title_legend_and_notes_are_broken_over_lines():
    text = "a name that is rather long, of a model fine-tuned on something " * 4
    line = Line(text, ("a", "b"), (1, 2))
    panel = Panel(text, Axis(text, ("a", "b")), Axis(text), (line,))
    figure = draw(Chart("long", text, "", (panel,), notes=(text,)))
    canvas = renderer(figure)
    for box in [t.get_window_extent(canvas) for t in (*figure.texts, *figure.legends)]:
        assert box.x1 <= figure.bbox.width + 1
    assert figure.get_figwidth() < 6


# ---- steps and maps ---------------------------------------------------------------------------


def test_print_shows_one_step_and_names_it(drawn, tmp_path):
    chart = CHARTS["slide"]
    texts = [t.get_text() for t in drawn["slide"].texts]
    assert texts == ["Pairs (tap 2)"]
    (path,) = save(chart, tmp_path, formats=("png",), dark=False, dpi=40)
    assert b"Pairs (tap 2)" in path.read_bytes()
    mesh = plots(drawn["slide"])[0].collections[0]
    shown = np.array(chart.steps[1].panels[0].marks[0].z)
    np.testing.assert_allclose(mesh.get_array().filled(0).reshape(6, 6), np.nan_to_num(shown))


def test_steps_share_their_colour_scale_and_ranges_but_maps_do_not(drawn):
    every = np.array([s.panels[0].marks[0].z for s in CHARTS["slide"].steps])
    limits = plan.colour_limits(CHARTS["slide"])["SVCCA (0 to 1)"]
    assert limits == (np.nanmin(every), np.nanmax(every))
    assert plots(drawn["slide"])[0].collections[0].get_clim() == limits
    lines = [Line("a", (0.0, 1.0), (0, top)) for top in (1, 5)]
    panels = [(Panel("", Axis("x"), Y, (line,)),) for line in lines]
    chart = Chart(
        "c", "", "", panels[0], steps=tuple(Step(str(i), p) for i, p in enumerate(panels))
    )
    assert plan.limits(chart)[0][1] == plan.limits(chart, panels[1])[0][1] == (-0.25, 5.25)
    first, second = (plan.limits(CHARTS["atlas"], s.panels) for s in CHARTS["atlas"].steps[:2])
    assert first != second


def test_maps_are_square_without_numbers(drawn):
    figure = drawn["atlas"]
    for ax in plots(figure):
        width, height = figure.get_size_inches() * ax.get_position().size
        assert width == pytest.approx(height)
        assert np.ptp(ax.get_xlim()) == pytest.approx(np.ptp(ax.get_ylim()))
        assert [t.get_text() for t in ax.get_xticklabels()] == []


def test_names_of_clouds_are_written_and_do_not_overlap():
    for seed in range(3):
        chart = atlas(languages_=30, seed=seed)
        figure = draw(chart)
        canvas = renderer(figure)
        for ax, panel in zip(plots(figure), chart.panels, strict=True):
            written = [t for t in ax.texts if t.get_gid() == "cloud"]
            assert [t.get_text() for t in written] == [m.label for m in panel.marks]
            boxes = [t.get_window_extent(canvas) for t in written]
            # A tenth of a letter's height is the air around a letter.
            boxes = [b.padded(-0.1 * b.height) for b in boxes]
            assert not any(a.overlaps(b) for a, b in itertools.combinations(boxes, 2))
            frame = ax.get_window_extent(canvas)
            assert all(frame.contains(b.x0, b.y0) and frame.contains(b.x1, b.y1) for b in boxes)


def test_a_name_stands_at_the_larger_part_of_its_cloud():
    points = Points("a", (0.0, 0.1, 0.2, 9.0), (0.0, 0.1, 0.0, 9.0), label="deu")
    assert clouds.centre(points) == (0.1, 0.1)
    assert clouds.centre(Points("a", (NAN,), (1.0,))) is None
    many = tuple(Points(str(i), (5.0,), (5.0,), label=str(i)) for i in range(40))
    panel = Panel("", Axis("x"), Axis("y"), many)
    places = [(x, y) for _, x, y in clouds.names(panel, ((0, 10), (0, 10)), (0.1, 0.04))]
    for (x, y), (u, v) in itertools.combinations(places, 2):
        assert abs(x - u) >= 0.999 or abs(y - v) >= 0.399


def test_groups_give_clouds_their_colour_and_one_entry():
    chart = CHARTS["atlas"]
    names = list(dict.fromkeys(chart.colourings[0].groups.values()))
    assert [e.name for e in plan.legend(chart)] == names
    assert [e.colour for e in plan.legend(chart)] == list(range(len(names)))
    arabic = next(m for m in chart.panels[0].marks if m.name == "arb")
    shown = plan.coloured(chart, arabic)
    assert (shown.name, shown.colour) == ("Afro-Asiatic", names.index("Afro-Asiatic"))
    assert plan.coloured(chart, arabic, 2).name == "high"
    line = Line("a", (0.0,), (1.0,))
    assert plan.coloured(chart, line) is line


@given(
    labels=st.lists(
        st.one_of(st.integers(0, 99).map(str), st.sampled_from(["in", "len", "pool", "Yoruba"])),
        min_size=1,
        max_size=40,
    ),
    slot=st.floats(1, 60),
)
def test_chosen_ticks_never_touch(labels, slot):
    widths = [6.0 * len(text) for text in labels]
    chosen = ticks.choose(labels, widths=widths, slot=slot, line=10)
    assert chosen.shown
    assert list(chosen.shown) == sorted(set(chosen.shown))
    for i, j in itertools.pairwise(chosen.shown):
        half = 10.0 if chosen.upright else (widths[i] + widths[j]) / 2
        assert (j - i) * slot >= half
    if slot >= 60:
        assert len(chosen.shown) == len(labels)


# ---- files ------------------------------------------------------------------------------------


def digests(folder):
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in folder.iterdir()}


PROGRAM = """
import sys
sys.path.insert(0, sys.argv[1])
from sample_charts import CHARTS
from isogloss.figures import save
for name in ("curves", "heat"):
    save(CHARTS[name], sys.argv[2], dpi=60)
print("matplotlib.pyplot" in sys.modules)
"""


def test_same_data_gives_the_same_bytes(tmp_path):
    """In this process under odd settings, and in another one with another hash seed."""
    with mpl.rc_context({"lines.linewidth": 9, "axes.facecolor": "red", "savefig.bbox": "tight"}):
        for name in ("curves", "heat"):
            save(CHARTS[name], tmp_path / "here", dpi=60)
        assert mpl.rcParams["lines.linewidth"] == 9
    environment = {**os.environ, "PYTHONHASHSEED": "7", "SOURCE_DATE_EPOCH": "1"}
    command = [sys.executable, "-c", PROGRAM, Path(__file__).parent, tmp_path / "there"]
    out = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "False", "pyplot was imported"
    here = digests(tmp_path / "here")
    assert sorted(here) == sorted(
        f"{n}{end}" for n in ("curves", "heat") for end in ("-dark.png", ".pdf", ".png")
    )
    assert here == digests(tmp_path / "there")
    assert here["curves.png"] != here["curves-dark.png"]
    assert b"CreationDate" not in (tmp_path / "here" / "curves.pdf").read_bytes()


def test_save_writes_what_was_asked_for(tmp_path):
    chart = taps(1)
    assert save(chart, tmp_path, formats=("png",), dark=False, dpi=40) == [tmp_path / "taps.png"]
    assert [p.name for p in tmp_path.iterdir()] == ["taps.png"]
    with pytest.raises(IsoglossError, match='cannot be saved as "svg"; use pdf, png'):
        save(chart, tmp_path, formats=("svg",))
    (tmp_path / "file").write_text("")
    with pytest.raises(IsoglossError, match="cannot write .*taps.pdf"):
        save(chart, tmp_path / "file")
    with pytest.raises(StudyError, match='unknown theme "drak"; did you mean "dark"'):
        draw(chart, theme="drak")


LINE = Line("a", ("x", "y"), (1, 2))
AXIS = Axis("x", ("x", "y"))


@pytest.mark.parametrize(
    ("panel", "message"),
    [
        (Panel("p", Axis(" "), Y, ()), "the x axis has no name"),
        (Panel("p", Axis("x", ("a", "a")), Y, ()), "category twice"),
        (Panel("p", Axis("x", ("x",)), Y, (LINE,)), 'Line "a": "y" is not a category'),
        (Panel("p", Axis("x"), Y, (LINE,)), "the axis has no categories"),
        (Panel("p", Axis("x"), Y, (Marks("m", ("x",), (1,)),)), "needs categories"),
        (Panel("p", AXIS, Y, (Line("a", ("x",), (1, 2)),)), "y has 2 entries for 1 of x"),
        (Panel("p", AXIS, Y, (Line("a", ("x",), (1,), low=(1,)),)), "both low and high"),
        (Panel("p", AXIS, Axis("y", ("b",)), (LINE,)), "the y axis must be numeric"),
        (
            Panel("p", AXIS, AXIS, (Grid("g", ("x",), ("x", "y"), ((1.0,),)),)),
            r"z must have 2 rows \(y\) of 1 entries",
        ),
    ],
)
def test_charts_that_contradict_themselves_are_refused(panel, message):
    with pytest.raises(IsoglossError, match=f'chart "c", panel "p": .*{message}'):
        check(Chart("c", "", "", (panel,)))


def steps(*changed):
    """Arguments of a chart with two steps, of which some are changed."""
    panels = tuple((Panel("p", AXIS, Y, (Line("a", ("x", "y"), (i, 2)),)),) for i in range(2))
    made = [Step(str(i), found) for i, found in enumerate(panels)]
    for i, step in changed:
        made[i] = step
    return {"panels": panels[0], "steps": tuple(made)}


OTHER = (Panel("q", AXIS, Y, ()),)
CLOUD = Points("deu", (1.0,), (1.0,))
MAP = (Panel("p", Axis("x"), Axis("y"), (CLOUD,)),)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (steps((0, Step("0", OTHER))), r"tap \"0\" has the panels \['q'\], but .* \['p'\]"),
        (steps((1, Step("0", steps()["panels"]))), 'tap "0" is given 2 times'),
        (steps((1, Step(" ", steps()["panels"]))), "a tap has no label"),
        (steps((0, steps()["steps"][1])) | {"step_name": ""}, "the steps have no name"),
        (
            steps((0, Step("0", (Panel("p", AXIS, Y, ()),)))),
            "its panels are those of no tap",
        ),
        (
            steps((1, Step("1", (Panel("p", Axis(" "), Y, ()),)))),
            'tap "1", panel "p": the x axis has no name',
        ),
        (
            {"panels": MAP, "colourings": (Colouring("family", {"fra": "a"}),)},
            'the colouring "family" has no group for the points "deu"',
        ),
        (
            {"panels": MAP, "colourings": (Colouring("a", {"deu": "a"}),) * 2},
            'the colouring "a" is given 2 times',
        ),
        (
            {"panels": (Panel("p", Axis("x"), Axis("y"), (Points("a", (1,), (1,), ids=()),)),)},
            "ids has 0 entries for 1 of x",
        ),
        ({"panels": (Panel("p", AXIS, Y, (), square=True),)}, "both axes must be numeric"),
    ],
)
def test_steps_and_colourings_that_do_not_go_together_are_refused(values, message):
    with pytest.raises(IsoglossError, match=f'chart "c".*{message}'):
        check(Chart("c", "", "", **values))


@pytest.mark.parametrize("name", ["../up", "a/b", "", ".hidden", "sp ace"])
def test_chart_names_must_be_file_names(name):
    with pytest.raises(IsoglossError, match="cannot be a file name"):
        check(Chart(name, "", "", (Panel("", AXIS, Y, ()),)))


# ---- colours ----------------------------------------------------------------------------------


def oklab(rgb):
    """Ottosson (2020)."""
    to_lms = np.array(
        [
            [0.4122214708, 0.5363325363, 0.0514459929],
            [0.2119034982, 0.6806995451, 0.1073969566],
            [0.0883024619, 0.2817188376, 0.6299787005],
        ]
    )
    to_lab = np.array(
        [
            [0.2104542553, 0.7936177850, -0.0040720468],
            [1.9779984951, -2.4285922050, 0.4505937099],
            [0.0259040371, 0.7827717662, -0.8086757660],
        ]
    )
    return to_lab @ np.cbrt(to_lms @ np.clip(rgb, 0, 1))


# Machado, Oliveira and Fernandes (2009), severity 1.0.
SIGHT = {
    "normal": np.eye(3),
    "protanopia": np.array(
        [
            [0.152286, 1.052583, -0.204868],
            [0.114503, 0.786281, 0.099216],
            [-0.003882, -0.048116, 1.051998],
        ]
    ),
    "deuteranopia": np.array(
        [
            [0.367322, 0.860646, -0.227968],
            [0.280085, 0.672501, 0.047413],
            [-0.011820, 0.042940, 0.968881],
        ]
    ),
}


def distances(palette, sight):
    seen = [oklab(SIGHT[sight] @ linear(c)) for c in palette]
    return {
        (i, j): float(np.linalg.norm(seen[i] - seen[j]))
        for i, j in itertools.combinations(range(len(palette)), 2)
    }


def test_the_measure_of_distance_sees_what_the_colour_blind_do_not():
    red_and_green = ("#d62728", "#5f8f00")
    assert distances(red_and_green, "normal")[0, 1] > 0.2
    assert distances(red_and_green, "deuteranopia")[0, 1] < 0.1
    assert contrast("#ffffff", "#000000") == pytest.approx(21)


@pytest.mark.parametrize("sight", SIGHT)
@pytest.mark.parametrize("theme", THEMES)
def test_colours_can_be_told_apart(theme, sight):
    found = distances(THEMES[theme].palette, sight)
    assert min(found.values()) >= 0.10
    assert min(d for (_, j), d in found.items() if j < 4) >= 0.16


@pytest.mark.parametrize("theme", THEMES.values(), ids=THEMES)
def test_contrast_on_the_background(theme):
    for colour in (*theme.palette, theme.chance, theme.baseline):
        assert contrast(colour, theme.background) >= 3
    for colour in (theme.ink, theme.muted):
        assert contrast(colour, theme.background) >= 4.5
    assert contrast(theme.note, theme.note_fill) >= 4.5
    assert contrast(theme.ink, theme.background) > 12


def test_figures_read_in_grey():
    """Marker and dash differ for every colour, and stay unique when the colours start again."""
    looks = [(style.marker(i), style.dash(i)) for i in range(8)]
    assert len(set(looks)) == len({m for m, _ in looks}) == len({d for _, d in looks}) == 8
    pairs = {(style.colour(THEMES["light"], i), style.marker(i)) for i in range(64)}
    assert len(pairs) == 64
    lightness = [oklab(linear(c))[0] for c in style.SEQUENTIAL]
    assert lightness == sorted(lightness)
