"""Figures are drawn again where their data or look has changed, or their files have; else not."""

import shutil
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from isogloss.charts import Axis, Chart, Line, Panel
from isogloss.events import Silent
from isogloss.figures import save, style
from isogloss.figures.drawn import INDEX, Drawn
from isogloss.figures.files import picture
from isogloss.report import Report, Section, Table, publish
from isogloss.storage import sealing


def chart(name, y=(0.1, 0.4, 0.3), **more):
    line = Line("mean", ("in", "1", "2"), y, **more)
    axis = Axis("tap", ("in", "1", "2"))
    return Chart(name, "A title", "A caption.", (Panel("all", axis, Axis("score"), (line,)),))


def draw(folder, *charts):
    """The pictures of charts, written in one go as a report does."""
    drawn = Drawn(folder)
    pictures = [drawn.save(chart) for chart in charts]
    drawn.finish()
    return pictures


def state(folder):
    """File -> what tells its content and whether it was written anew."""
    return {p.name: (p.stat().st_ino, p.read_bytes()) for p in folder.iterdir()}


def anew(before, after):
    """The figures of which any file was written anew."""
    changed = {n for n in after if n != INDEX and after[n][0] != before.get(n, (None,))[0]}
    return {name.partition(".")[0].removesuffix("-dark") for name in changed}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made") / "figures"
    return folder, draw(folder, chart("one"), chart("two"))


@pytest.fixture
def there(made, tmp_path):
    folder = shutil.copytree(made[0], tmp_path / "figures")
    return folder, made[1], state(folder)


def test_files_and_pictures_are_those_of_separate_drawings(there, tmp_path):
    _, pictures, before = there
    paths = save(chart("one"), tmp_path / "alone")
    assert {p.name for p in paths} == {"one.pdf", "one.png", "one-dark.png"}
    assert all(before[p.name][1] == p.read_bytes() for p in paths)
    assert pictures[0] == picture(chart("one"))


def test_nothing_is_drawn_twice(there):
    folder, pictures, before = there
    assert draw(folder, chart("one"), chart("two")) == pictures
    assert state(folder) == before


@pytest.mark.parametrize(
    "other",
    [
        chart("two", (0.1, 0.4, np.nan)),
        chart("two", (0.1, 0.4, np.float32(0.3))),
        replace(chart("two"), caption="Another caption."),
    ],
)
def test_what_has_changed_is_drawn_again(there, other):
    folder, pictures, before = there
    found = draw(folder, chart("one"), other)
    assert anew(before, state(folder)) == {"two"}
    assert found == [pictures[0], picture(other)]


def test_another_look_draws_everything_again(there, monkeypatch):
    folder, _, before = there
    monkeypatch.setattr(style, "DATA_WIDTH", 4.0)
    draw(folder, chart("one"), chart("two"))
    after = state(folder)
    assert anew(before, after) == {"one", "two"}
    assert all(after[n][1] != before[n][1] for n in ("one.pdf", "one.png", "two-dark.png"))


def test_another_matplotlib_draws_everything_again(there, monkeypatch):
    folder, _, before = there
    monkeypatch.setattr(
        "isogloss.figures.drawn.version", lambda name: "99" if name == "matplotlib" else "1"
    )
    draw(folder, chart("one"), chart("two"))
    assert anew(before, state(folder)) == {"one", "two"}


@pytest.mark.parametrize(
    ("name", "harm"), [("two.pdf", "flip"), ("two.png", "cut"), ("two-dark.png", "gone")]
)
def test_a_damaged_figure_is_mended(there, name, harm):
    folder, pictures, before = there
    content = bytearray(before[name][1])
    content[len(content) // 2] ^= 1
    (folder / name).unlink()
    if harm != "gone":
        (folder / name).write_bytes(content if harm == "flip" else content[:-9])
    assert draw(folder, chart("one"), chart("two")) == pictures
    after = state(folder)
    assert {n: c for n, (_, c) in after.items()} == {n: c for n, (_, c) in before.items()}
    assert anew(before, after) == {"two"}


@pytest.mark.parametrize("harm", ["flip", "version"])
def test_without_its_list_everything_is_drawn(there, harm):
    folder, pictures, before = there
    path = folder / INDEX
    content = bytearray(path.read_bytes())
    content[-40] ^= 1
    if harm == "flip":
        path.write_bytes(content)
    else:
        sealing.write(path, {"format": 0, "figures": {"one": 1}})
    assert draw(folder, chart("one"), chart("two")) == pictures
    after = state(folder)
    assert anew(before, after) == {"one", "two"}
    assert after[INDEX][1] == before[INDEX][1]


def test_what_has_no_digest_is_always_drawn(tmp_path):
    folder = tmp_path / "figures"
    odd = chart("odd", hover=(Fraction(1, 2),) * 3)
    draw(folder, odd)
    before = state(folder)
    draw(folder, odd)
    assert anew(before, state(folder)) == {"odd"}


def test_figures_of_two_charts_of_one_name_are_those_of_the_last(tmp_path):
    folder = tmp_path / "figures"
    first, last = chart("one"), chart("one", (0.5, 0.6, 0.7))
    pictures = [picture(first), picture(last)]
    for _ in range(2):
        assert draw(folder, first, last) == pictures
    assert (folder / "one.pdf").read_bytes() == save(last, tmp_path)[0].read_bytes()


def test_a_report_keeps_what_it_has_and_removes_the_rest(there):
    def page(*charts):
        nothing = Table("nothing", (), ())
        section = Section("A question", "An answer.", charts)
        report = Report("t", "s", (), (section,), nothing, nothing, "", (), (), ())
        return publish(report, figures.parent, Silent()).read_bytes()

    figures, _, before = there
    first = page(chart("one"), chart("two"))
    assert state(figures) == before
    page(chart("two"))
    assert set(state(figures)) == {"two.pdf", "two.png", "two-dark.png", INDEX}
    assert anew(before, state(figures)) == set()
    assert page(chart("one"), chart("two")) == first
    assert anew(before, state(figures)) == {"one"}
