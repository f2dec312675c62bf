"""Parts that the report on a run and the one on several models have in common."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace

import polars as pl

from isogloss.charts import Chart
from isogloss.errors import choices
from isogloss.languages import languages
from isogloss.report.model import Banner, Column, Section, Table

SYNTHETIC = Banner(
    "warning",
    "The speech was made by a synthesiser from the text. Real recordings vary in speaker, pace and "
    "channel, so real cross-modal similarity is lower.",
)
COUNTED = (
    Column("language", "text", "ISO 639-3"),
    Column("name"),
    Column("resource", "text", "Resource level of the study"),
    Column("modality"),
)
"""The first columns of a table of counts; :func:`called` gives the second and the third."""
_EXAMPLES = 8


def section(
    title: str,
    question: str,
    found: Iterable[str],
    charts: Iterable[Chart],
    tables: Iterable[tuple[str, pl.DataFrame]] = (),
    *,
    measure: str = "",
    marks: Iterable[str] = (),
) -> Section:
    """One question and its answer.

    Args:
        title: What it is about.
        question: The question.
        found: What was found, the headline first.
        charts: Its figures.
        tables: Title and rows of each table.
        measure: The measure behind it, which then tells its title and its figures' names and
            titles from those of other measures; empty where there is only one.
        marks: Notes that every figure carries.
    """
    suffix = "-" + re.sub(r"\W+", "-", measure).strip("-") if measure else ""
    of = f": {measure}" if measure else ""
    return Section(
        title=title + of,
        text="\n\n".join([question, *found]),
        charts=tuple(
            replace(c, name=c.name + suffix, title=c.title + of, notes=(*c.notes, *marks))
            for c in charts
        ),
        tables=tuple(table(name, frame) for name, frame in tables),
    )


def table(title: str, frame: pl.DataFrame) -> Table:
    """A frame as a table of the report."""
    columns = []
    for name, kind in frame.schema.items():
        if kind.is_float():
            columns.append(Column(name, "number"))
        elif kind.is_integer():
            columns.append(Column(name, "integer"))
        else:
            columns.append(Column(name))
    return Table(title, tuple(columns), tuple(frame.iter_rows()))


def marks(untrained: str, *, synthetic: bool) -> tuple[str, ...]:
    """What every figure must say of the model and the speech.

    Args:
        untrained: That a model has random weights, in words; empty if none has.
        synthetic: Whether speech was synthesised.
    """
    return tuple(text for text in (untrained, "synthetic speech" if synthetic else "") if text)


def called(code: str) -> tuple[str, str]:
    """Name and resource level of a language; empty if it is none of the known ones."""
    known = languages().get(code)
    return (known.name, known.resource) if known else ("", "")


def dropped(groups: Iterable[tuple[str, str, str, Sequence[str]]]) -> Table:
    """The table of what was left out.

    Args:
        groups: Language, modality, reason and the ids of the sentences; none of these for all.
    """
    columns = (
        Column("language"),
        Column("modality"),
        Column("reason"),
        Column("sentences", "integer", "How many were left out for this reason"),
        Column("ids"),
    )
    rows = tuple(
        (*where, len(ids) or None, choices(ids, _EXAMPLES) if ids else "all")
        for *where, ids in groups
    )
    return Table("What was left out, and why", columns, rows)
