"""Figures of models beside each other, over their depth."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

import polars as pl

from isogloss.analyses._adapted import adapted_of
from isogloss.analyses._curves import (
    bands,
    curve,
    references,
    resource,
    scales,
    split,
    y_axis,
)
from isogloss.charts import Axis, Chart, Line, Panel
from isogloss.corpora.base import MODALITIES
from isogloss.languages import RESOURCE_LEVELS
from isogloss.together.tables import fewest

DEPTH = Axis("relative depth (0 = input, 1 = last layer)", range=(-0.02, 1.02))
EMPHASIS = "speech after length adaptation"
_FEW = 3
"""Models up to which bands and crosses do not hide each other."""
CALIBRATED = (
    "Calibrated: (score − chance) / (best − chance), with the matched null (the same views with "
    "the sentences shuffled) as chance, at 0 for every model. "
)
RAW = (
    "Raw scores of models of different widths do not compare with each other, only each with its "
    "own chance: the wider a view, the more dimensions it keeps, and the higher is chance. "
)
_CHANCE = "Dashed: chance of each model, with its marker hollow. "
_DEPTH = "Point at a mark for the name of its tap."


def cross_modal(frame: pl.DataFrame, models: Sequence[str]) -> Iterable[Chart]:
    """Speech against text over relative depth, overall and by resource level.

    Args:
        frame: Scores of one measure with a column ``model``.
        models: All models, in the order of their colours.
    """
    plain, _ = split(frame.filter(group="matched").with_columns(level=resource("language_a")))
    if plain.is_empty():
        return
    for calibrated in scales(plain):
        panels = []
        for name in ("", *RESOURCE_LEVELS):
            rows = plain.filter(level=name) if name else plain
            if rows.is_empty():
                continue
            count = rows["language_a"].n_unique()
            title = f"{name.capitalize()} resource ({count})" if name else f"All ({count})"
            lines = _lines(rows, models, calibrated, "languages", banded=not name)
            panels.append(Panel(title, DEPTH, y_axis(frame["measure"][0], calibrated), lines))
        n, total = fewest(plain), plain["language_a"].n_unique()
        yield Chart(
            f"together_cross_modal{'_calibrated' if calibrated else ''}",
            f"Speech against text over the depth of the models{_suffix(calibrated)}",
            f"Mean similarity ({_what(calibrated)}{frame['measure'][0]}) between the speech and "
            f"the text of the same sentences ({n} in each of {total} languages), over all of them "
            "and by resource level (number of languages). "
            f"{_words(calibrated)}{bands(panels)}{_DEPTH}",
            tuple(panels),
            emphasis=EMPHASIS,
        )


def cross_lingual(frame: pl.DataFrame, models: Sequence[str]) -> Iterable[Chart]:
    """Languages against each other over relative depth, in text and in speech.

    Args:
        frame: Scores of one measure with a column ``model``.
        models: All models, in the order of their colours.
    """
    plain, _ = split(frame)
    for calibrated in scales(plain):
        panels = []
        for modality in MODALITIES:
            rows = plain.filter(group=modality)
            if rows.is_empty():
                continue
            count = rows.select("language_a", "language_b").n_unique()
            lines = _lines(rows, models, calibrated, "language pairs", banded=True)
            title = f"{modality.capitalize()} ({count} pair{'' if count == 1 else 's'})"
            panels.append(Panel(title, DEPTH, y_axis(frame["measure"][0], calibrated), lines))
        yield Chart(
            f"together_cross_lingual{'_calibrated' if calibrated else ''}",
            f"Language against language over the depth of the models{_suffix(calibrated)}",
            f"Mean similarity ({_what(calibrated)}{frame['measure'][0]}) between the same "
            f"sentences in two languages ({fewest(plain)} for each pair), over all pairs. "
            f"{_words(calibrated)}{bands(panels)}{_DEPTH}",
            tuple(panels),
        )


def _lines(
    rows: pl.DataFrame, models: Sequence[str], calibrated: bool, count: str, *, banded: bool
) -> tuple[Line, ...]:
    found, chances = [], []
    for i, model in enumerate(models):
        own = rows.filter(model=model)
        if own.is_empty():
            continue
        line = curve(own, DEPTH, model, colour=i, calibrated=calibrated, count=count)
        if not banded or len(models) > _FEW:
            line = replace(line, low=None, high=None)
        crossed = own["modality_a"][0] != own["modality_b"][0] and len(models) <= _FEW
        found.append(replace(line, emphasis=adapted_of(own) if crossed else None))
        if not calibrated:
            chance = (x for x in references(own, DEPTH, calibrated=False) if x.role == "chance")
            chances += [replace(x, name=f"chance: {model}", colour=i) for x in chance]
    if calibrated and found:
        chances = [Line("chance", (0.0, 1.0), (0.0, 0.0), role="chance")]
    return (*found, *chances)


def _what(calibrated: bool) -> str:
    return "calibrated, " if calibrated else ""


def _suffix(calibrated: bool) -> str:
    return " (calibrated)" if calibrated else ""


def _words(calibrated: bool) -> str:
    return CALIBRATED if calibrated else RAW + _CHANCE
