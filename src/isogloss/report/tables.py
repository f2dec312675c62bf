"""Cells, counts and CSV files of the report's tables."""

import math
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from isogloss.charts import Chart, Grid, Line, Mark, Panel, Points
from isogloss.errors import IsoglossError
from isogloss.report.model import Column, Missing, Table
from isogloss.results import FORMULA

DASH = "–"
_FORMULA = re.compile(FORMULA)


@dataclass(frozen=True)
class Cell:
    """A cell as it is shown."""

    text: str
    value: str = ""
    """A number to eight digits, for sorting; empty for text and missing values."""
    reason: str = ""
    """Why the cell is missing; empty if it is not."""


def cell(value: object, column: Column, *, reason: str = "") -> Cell:
    """Format a value for its column.

    Args:
        value: Text, number, truth value, None, NaN or :class:`Missing`.
        column: Its ``kind`` says how numbers are written.
        reason: Why the value is missing, if it is and does not say so itself.
    """
    if isinstance(value, Missing):
        return Cell(DASH, reason=value.reason or "not computed")
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return Cell(DASH, reason=reason or "not computed")
    if isinstance(value, bool):
        return Cell("yes" if value else "no")
    if column.kind == "text":
        return Cell(str(value))
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return Cell(str(value))
    if math.isnan(number):
        return Cell(DASH, reason=reason or "not computed")
    whole = column.kind == "integer" and number.is_integer()
    return Cell(f"{int(number):,}" if whole else number_text(number), f"{number:.8g}")


def number_text(value: float) -> str:
    """Write a number with about three digits that count: ``0.812``, ``1.2e-06``, ``1,234.5``.

    >>> number_text(0.81234), number_text(-0.00000123), number_text(1234.56), number_text(0.0)
    ('0.812', '-1.2e-06', '1,234.6', '0')
    """
    if value == 0:
        return "0"
    if not math.isfinite(value):
        return str(value)
    size = abs(value)
    if size < 0.0005 or size >= 1e7:
        return f"{value:.1e}"
    return f"{value:,.1f}" if size >= 1000 else f"{value:.3f}"


def cells(table: Table, limit: int) -> list[list[Cell]]:
    """Format the first ``limit`` rows of a table.

    Raises:
        IsoglossError: A row has too many or too few cells.
    """
    labels = [c.label.casefold() for c in table.columns]
    where = labels.index("reason") if "reason" in labels else None
    out = []
    for number, row in enumerate(table.rows[:limit], start=1):
        if len(row) != len(table.columns):
            raise IsoglossError(
                f'table "{table.name}", row {number}: {len(row)} cells '
                f"for {len(table.columns)} columns"
            )
        given = row[where] if where is not None else None
        reason = given if isinstance(given, str) else ""
        # A reason that is absent means that all went well, not that it could not be computed.
        out.append(
            [
                Cell("") if i == where and not reason else cell(value, column, reason=reason)
                for i, (value, column) in enumerate(zip(row, table.columns, strict=True))
            ]
        )
    return out


def grouped(table: Table) -> Table | None:
    """Add the rows of a table up by reason (and modality), the most frequent first.

    A row counts for as many sentences as its first integer column says, or for one.

    Returns:
        None if the table has no column labelled ``reason``.
    """
    labels = [c.label.casefold() for c in table.columns]
    if "reason" not in labels:
        return None
    by = [labels.index(name) for name in ("reason", "modality") if name in labels]
    weights = [i for i, column in enumerate(table.columns) if column.kind == "integer"]
    languages = labels.index("language") if "language" in labels else None
    counts: Counter[tuple[str, ...]] = Counter()
    spread: dict[tuple[str, ...], set[object]] = {}
    for row in table.rows:
        key = tuple("" if row[i] is None else str(row[i]) for i in by)
        weight = row[weights[0]] if weights else 1
        counts[key] += weight if isinstance(weight, int) else 1
        spread.setdefault(key, set()).add(row[languages] if languages is not None else None)
    columns = [*(table.columns[i] for i in by), Column("sentences", "integer")]
    rows: list[tuple[object, ...]] = [(*key, count) for key, count in counts.most_common()]
    if languages is not None:
        columns.append(Column("languages", "integer"))
        rows = [(*key, count, len(spread[key])) for key, count in counts.most_common()]
    return Table(f"{table.name}, by reason", tuple(columns), tuple(rows))


def chart_table(chart: Chart) -> Table:
    """The values of all steps of a chart, one row per point, as the alternative to seeing it."""
    rows: list[tuple[object, ...]] = []
    labels = [step.label for step in chart.steps] or [""]
    for label, panels in zip(labels, chart.states, strict=True):
        rows += [
            (label, *row) for panel in panels for mark in panel.marks for row in _rows(mark, panel)
        ]
    columns = [
        Column(chart.step_name),
        Column("panel"),
        Column("series"),
        Column("point"),
        Column("x", "number" if _numeric_x(chart) else "text"),
        Column("y", "text"),
        Column("value", "number"),
        Column("low", "number"),
        Column("high", "number"),
    ]
    kept = [
        i
        for i, column in enumerate(columns)
        if column.label in ("series", "x", "value") or any(row[i] not in (None, "") for row in rows)
    ]
    return Table(
        f"{chart.title}: values",
        tuple(columns[i] for i in kept),
        tuple(tuple(row[i] for i in kept) for row in rows),
    )


def _rows(mark: Mark, panel: Panel) -> Iterator[tuple[object, ...]]:
    if isinstance(mark, Grid):
        for y, row in zip(mark.y, mark.z, strict=True):
            for column, value in zip(mark.x, row, strict=True):
                yield panel.title, mark.name, "", column, y, value, None, None
        return
    low, high = (None, None) if isinstance(mark, Points) else (mark.low, mark.high)
    ids = mark.ids if isinstance(mark, Points) else None
    for i, (x, value) in enumerate(zip(mark.x, mark.y, strict=True)):
        ends = (low[i], high[i]) if low and high else (None, None)
        yield panel.title, mark.name, ids[i] if ids else "", x, "", value, *ends


def _numeric_x(chart: Chart) -> bool:
    flat = [
        m for state in chart.states for p in state for m in p.marks if isinstance(m, Line | Points)
    ]
    return bool(flat) and all(not isinstance(x, str) for m in flat for x in m.x)


def table_csv(table: Table) -> bytes:
    """All rows of a table as CSV with full numbers; cells that could not be computed are empty.

    Every text is quoted and made inert as by :func:`isogloss.results.safe_csv`.
    """
    lines = [[c.label for c in table.columns], *table.rows]
    text = "".join(",".join(map(_csv_value, line)) + "\n" for line in lines)
    return text.encode("utf-8", "replace")


def _csv_value(value: object) -> str:
    missing = value is None or isinstance(value, Missing)
    if missing or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, int | float):
        return str(value)
    text = str(value).replace('"', '""')
    return f'"{_FORMULA.sub(_guarded, text)}"'


def _guarded(found: "re.Match[str]") -> str:
    return f"'{found[0]}"
