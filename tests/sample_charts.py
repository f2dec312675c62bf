"""Charts of every kind, with gaps, for the tests of figures and report."""

import math

import numpy as np

from isogloss.charts import Axis, Chart, Grid, Line, Marks, Panel, Points
from isogloss.languages import languages

NAN = math.nan
TAPS = ("in", *map(str, range(2, 25, 2)), "len")
ALL_TAPS = ("in", *map(str, range(1, 25)), "len", "pool")
NAMES = tuple(x.name for x in languages().values())
Y = Axis("SVCCA (0 to 1)")
NOTES = ("untrained model: random weights", "synthetic speech")


def wave(n, base=0.5):
    return tuple(base + 0.2 * math.sin(i / 3) for i in range(n))


def around(values, by):
    return tuple(v + by for v in values)


def curves():
    y = list(wave(len(TAPS)))
    y[4] = NAN
    data = Line(
        "low",
        TAPS,
        tuple(y),
        around(y, -0.1),
        around(y, 0.1),
        colour=1,
        emphasis=tuple(t == "len" for t in TAPS),
        break_before=(9,),
    )
    mean = Line("mean", TAPS, wave(len(TAPS), 0.6))
    chance = Line("chance (matched null)", TAPS, wave(len(TAPS), 0.4), role="chance")
    baseline = Line("Gaussian baseline", TAPS, (0.3,) * len(TAPS), role="baseline")
    x = Axis("tap (layer of the encoder)", TAPS)
    return Chart(
        "curves",
        "Speech against text",
        "A caption.",
        (Panel("all", x, Y, (mean, chance, baseline)), Panel("low", x, Y, (data, chance))),
        notes=NOTES,
        emphasis="after the length adaptor",
    )


def taps(n=3):
    lines = tuple(
        Line(name, ALL_TAPS, wave(27, 0.5 + i / 9), colour=i) for i, name in enumerate("ab")
    )
    panels = tuple(Panel(f"model {i}", Axis("tap", ALL_TAPS), Y, lines) for i in range(n))
    return Chart("taps", "All taps", "", panels)


def bars(names=NAMES):
    n = len(names)
    y = (NAN, *wave(n - 1))
    kinds = tuple(
        Marks(kind, names, y, around(y, -0.1), around(y, 0.1), colour=i)
        for i, kind in enumerate(("cross-modal", "cross-lingual text", "cross-lingual speech"))
    )
    chance = tuple(
        Marks(f"chance, {m.name}", names, wave(n, 0.2), role="chance", colour=m.colour)
        for m in kinds
    )
    flat = Marks("Gaussian baseline", names, (0.1,) * n, role="baseline")
    panel = Panel("", Axis("language", names), Y, (*kinds, *chance, flat))
    return Chart("bars", "Two gaps, by language", "", (panel,), columns=1, notes=NOTES)


def heat():
    rows, columns = ALL_TAPS[:25], TAPS[:-1]
    z = [[math.cos(i / 9 - j / 5) for j in range(len(columns))] for i in range(len(rows))]
    z[3][4] = NAN
    grid = Grid("SVCCA (0 to 1)", columns, rows, tuple(map(tuple, z)))
    panel = Panel("seamless", Axis("speech tap", columns), Axis("text tap", rows), (grid,))
    return Chart("heat", "All pairs of taps", "", (panel,), columns=1)


def cloud():
    points = tuple(
        Points(name, wave(40, 3 * math.sin(i)), wave(40, 3 * math.cos(i)), colour=i)
        for i, name in enumerate(NAMES[:30])
    )
    axes = Axis("t-SNE 1 (no unit)"), Axis("t-SNE 2 (no unit)")
    return Chart("cloud", "A map", "", tuple(Panel(m, *axes, points) for m in ("text", "speech")))


CHARTS = {c.name: c for c in (curves(), taps(), bars(), heat(), cloud())}


def linear(colour):
    srgb = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)


def contrast(a, b):
    """WCAG 2.2 contrast ratio."""
    low, high = sorted(float(linear(c) @ (0.2126, 0.7152, 0.0722)) for c in (a, b))
    return (high + 0.05) / (low + 0.05)
