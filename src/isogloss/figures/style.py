"""The look of every figure: colours, markers, dashes and sizes, for both renderers and themes.

The palettes start from Okabe and Ito's (2008) and were moved as little as possible until, on their
own background, each colour has a contrast of at least 3:1 (WCAG 2.2, 1.4.11) and any two differ by
at least 0.10 in Oklab, for normal sight and for simulated protanopia and deuteranopia alike; the
first four differ by at least 0.16.
"""

from dataclasses import dataclass
from typing import Literal

ThemeName = Literal["light", "dark"]

FONT = "DejaVu Sans"
"""Comes with matplotlib, so a figure does not depend on the fonts of the machine."""

MARKERS = (
    ("o", "circle"),
    ("s", "square"),
    ("^", "triangle-up"),
    ("D", "diamond"),
    ("v", "triangle-down"),
    ("P", "cross"),
    ("p", "pentagon"),
    ("*", "star"),
)
"""Marker per colour index, as matplotlib and plotly call it."""

EVEN = {
    "square": 0.95,
    "triangle-up": 1.2,
    "diamond": 0.95,
    "triangle-down": 1.2,
    "cross": 1.3,
    "pentagon": 1.15,
    "star": 1.6,
}
"""Factors that make markers of one size look equally large, by plotly's names."""

DASHES: tuple[tuple[float, ...], ...] = (
    (),
    (9, 2.5),
    (9, 2, 1.5, 2),
    (5, 1.5),
    (12, 2, 3, 2),
    (9, 2, 1.5, 2, 1.5, 2),
    (14, 3),
    (4, 1.5, 1.5, 1.5),
)
"""Dash per colour index, in points: drawn, left out, and so on; solid if empty."""

CHANCE_DASH = (3.5, 2.5)
BASELINE_DASH = (1.2, 2.2)
DATA_WIDTH = 1.7
"""Line width of data in points."""
REFERENCE_WIDTH = 1.1
"""Line width of chance and baseline in points."""
BAND_OPACITY = 0.20
RANGE_OPACITY = 0.50
POINT_OPACITY = 0.75


@dataclass(frozen=True)
class Theme:
    """Colours on one background, as ``#rrggbb``."""

    background: str
    ink: str
    """Text and axes."""
    muted: str
    """Tick labels and other text of less weight."""
    rule: str
    """Grid lines."""
    chance: str
    baseline: str
    note: str
    """Text of ``Chart.notes``."""
    note_fill: str
    cross: str
    """Fill of the crosses of ``Line.emphasis``; their edge is ``ink``."""
    missing: str
    """Cells of a grid that could not be computed."""
    palette: tuple[str, ...]


THEMES: dict[ThemeName, Theme] = {
    "light": Theme(
        background="#ffffff",
        ink="#1c2127",
        muted="#4a525c",
        rule="#e3e6ea",
        chance="#6a727c",
        baseline="#6a727c",
        note="#7a3b00",
        note_fill="#fff1d9",
        cross="#ffd21f",
        missing="#d5d8dc",
        palette=(
            "#006ce0",
            "#b55000",
            "#189ea2",
            "#941369",
            "#3693e0",
            "#c58208",
            "#613ca6",
            "#34312e",
        ),
    ),
    "dark": Theme(
        background="#14171c",
        ink="#eceff3",
        muted="#b4bcc6",
        rule="#2b3038",
        chance="#98a1ac",
        baseline="#98a1ac",
        note="#ffd9a0",
        note_fill="#3a2c12",
        cross="#ffd21f",
        missing="#4b525c",
        palette=(
            "#69b3ff",
            "#f0800a",
            "#4af5a7",
            "#c46389",
            "#6ac9bc",
            "#f6d738",
            "#917adc",
            "#d2daff",
        ),
    ),
}

SEQUENTIAL = (
    "#440154",
    "#482475",
    "#414487",
    "#355f8d",
    "#2a788e",
    "#21918c",
    "#22a884",
    "#44bf70",
    "#7ad151",
    "#bddf26",
    "#fde725",
)
"""Viridis (CC0), evenly spaced: lightness rises all the way, so it reads in grey."""

DIVERGING = ("#0b4f9e", "#5b93cf", "#b9d3ea", "#f5f3ee", "#f2c79b", "#d98a3d", "#8f4700")


def colour(theme: Theme, index: int) -> str:
    """The colour of an index, from the start again after the last."""
    return theme.palette[index % len(theme.palette)]


def marker(index: int) -> tuple[str, str]:
    """The marker of an index: (matplotlib, plotly).

    It moves on by one whenever the colours start again, so 64 pairs of the two are distinct.
    """
    return MARKERS[(index + index // len(DASHES)) % len(MARKERS)]


def dash(index: int) -> tuple[float, ...]:
    """The dash of an index, in points."""
    return DASHES[(index + index // len(DASHES)) % len(DASHES)]


def even(index: int) -> float:
    """The factor for the size of an index's marker."""
    return EVEN.get(marker(index)[1], 1.0)
