"""What a report holds, as plain data. All text is plain: it is escaped, never read as HTML."""

from dataclasses import dataclass
from typing import Literal

from isogloss.charts import Chart


@dataclass(frozen=True)
class Banner:
    """A line at the top that nobody should miss, such as "The model is untrained"."""

    level: Literal["warning", "info"]
    text: str


@dataclass(frozen=True)
class Column:
    """A column of a table."""

    label: str
    kind: Literal["text", "number", "integer"] = "text"
    help: str = ""
    """What the column means, shown at its head."""


@dataclass(frozen=True)
class Missing:
    """A cell that could not be computed, and why. Shown as a dash with the reason."""

    reason: str


@dataclass(frozen=True)
class Table:
    """A table. A cell that is None or NaN is shown as a dash.

    Its reason is that of :class:`Missing`, or the row's cell in a column labelled ``reason``.
    """

    name: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[object, ...], ...]


@dataclass(frozen=True)
class Section:
    """One question of the study and its answer."""

    title: str
    text: str
    """Paragraphs with an empty line between them: the question, then what was found, the headline
    first. One alone is the headline."""
    charts: tuple[Chart, ...] = ()
    tables: tuple[Table, ...] = ()


@dataclass(frozen=True)
class Download:
    """A file inside the report."""

    name: str
    media_type: str
    content: bytes


@dataclass(frozen=True)
class Report:
    """A whole report."""

    title: str
    subtitle: str
    banners: tuple[Banner, ...]
    sections: tuple[Section, ...]
    counts: Table
    """What was compared: sentences used and dropped, per language and modality."""
    dropped: Table
    """What was left out and why, one row each; counted by reason if it has such a column."""
    study_yaml: str
    environment: tuple[tuple[str, str], ...]
    """(name, value): versions, device, times."""
    notes: tuple[str, ...]
    """Choices that the paper leaves open and how they were made, and whatever else to know."""
    downloads: tuple[Download, ...]
