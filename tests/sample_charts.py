"""Charts of every kind, with gaps, for the tests of figures and report."""

import math

import numpy as np

from isogloss.charts import Axis, Chart, Colouring, Grid, Line, Marks, Panel, Points, Step
from isogloss.languages import languages

NAN = math.nan
TAPS = ("in", *map(str, range(2, 25, 2)), "len")
ALL_TAPS = ("in", *map(str, range(1, 25)), "len", "pool")
NAMES = tuple(x.name for x in languages().values() if x.in_seamless_salmonn or x.in_sonar)
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


def slide():
    """A heat map for each of three taps, of which print shows the second."""
    names = NAMES[:6]
    axes = Axis("language of the text", names), Axis("language of the speech", names)
    steps = []
    for tap in (1, 2, 3):
        z = [[math.cos(i / tap - j) * tap for j in range(6)] for i in range(6)]
        z[2][tap] = NAN
        grid = Grid("SVCCA (0 to 1)", names, names, tuple(map(tuple, z)))
        steps.append(Step(str(tap), (Panel("all pairs", *axes, (grid,)),)))
    return Chart("slide", "Pairs", "", steps[1].panels, columns=1, steps=tuple(steps))


def atlas(taps=("in", "1", "2"), languages_=8, sentences=12, seed=0):
    """Maps of text and speech per tap: text gathers by sentence, speech by language."""
    rng = np.random.default_rng(seed)
    known = [x for x in languages().values() if x.in_seamless_salmonn][:languages_]
    families = sorted((x.family for x in known), key=[x.family for x in known].count, reverse=True)
    ordered = sorted(known, key=lambda x: families.index(x.family))
    hover = {
        x.code: tuple(
            f"{x.name}\nsentence {i}\n{x.code} <b>{'word ' * 30}" for i in range(sentences)
        )
        for x in known
    }
    ids = tuple(str(i) for i in range(sentences))
    steps = []
    for tap in taps:
        panels = []
        for modality in ("text", "speech"):
            of_language = rng.normal(size=(len(known), 2)) * 20
            of_sentence = rng.normal(size=(sentences, 2)) * 20
            clouds = []
            for i, x in enumerate(known):
                place = of_sentence if modality == "text" else of_language[i]
                at = place + rng.normal(size=(sentences, 2)) * 2
                clouds.append(
                    Points(
                        x.code,
                        tuple(at[:, 0]),
                        tuple(at[:, 1]),
                        hover[x.code],
                        label=x.code,
                        ids=ids,
                    )
                )
            axes = Axis("t-SNE 1 (no unit)"), Axis("t-SNE 2 (no unit)")
            panels.append(Panel(modality, *axes, tuple(clouds), square=True))
        steps.append(Step(tap, tuple(panels)))
    colourings = (
        Colouring("language family", {x.code: x.family for x in ordered}),
        Colouring("language", {x.code: f"{x.name} ({x.code})" for x in known}),
        Colouring("resource level", {x.code: x.resource for x in known}),
    )
    return Chart(
        "atlas", "Maps", "", steps[1].panels, steps=tuple(steps), colourings=colourings, notes=NOTES
    )


CHARTS = {c.name: c for c in (curves(), taps(), bars(), heat(), cloud(), slide(), atlas())}


def linear(colour):
    srgb = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)


def contrast(a, b):
    """WCAG 2.2 contrast ratio."""
    low, high = sorted(float(linear(c) @ (0.2126, 0.7152, 0.0722)) for c in (a, b))
    return (high + 0.05) / (low + 0.05)
