"""Put a report together: one HTML file that loads nothing from anywhere else."""

import base64
import gzip
import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isogloss.charts import Chart
from isogloss.errors import IsoglossError, MissingExtraError
from isogloss.figures import plan, style
from isogloss.figures.files import picture, write_whole
from isogloss.report import interactive
from isogloss.report.legend import swatch
from isogloss.report.model import Download, Report, Section, Table
from isogloss.report.tables import Cell, cells, chart_table, grouped, table_csv

if TYPE_CHECKING:
    from markupsafe import Markup

ROWS_SHOWN = 1000
"""Longer tables are cut in the page, which says so, and are whole in their CSV file."""
VALUES_SHOWN = 200
_OPEN_UP_TO = 12
_WORTH_PACKING = 4096
_LARGE = 100_000
"""Characters from which the data of a figure are packed."""


def write(report: Report, path: str | Path, pictures: Sequence[bytes] = ()) -> Path:
    """Write a report as one HTML file, whole or not at all.

    Args:
        report: What it holds.
        path: The file; its folder is made if it does not exist.
        pictures: Those of all charts, in order, as of :func:`isogloss.figures.files.picture`; they
            are drawn if left out.

    Returns:
        The path.

    Raises:
        MissingExtraError: matplotlib, plotly or jinja2 is not installed.
        IsoglossError: A chart or table contradicts itself, or the file cannot be written.
    """
    # A lone surrogate (from an undecodable file name) must not cost the whole report.
    return write_whole(path, render(report, pictures).encode("utf-8", "replace"))


def render(report: Report, pictures: Sequence[bytes] = ()) -> str:
    """The HTML of a report; see :func:`write`."""
    try:
        import jinja2
        from markupsafe import Markup
        from plotly.offline import get_plotlyjs
    except ImportError:
        raise MissingExtraError("Writing a report", "report") from None
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(_asset),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    # A browser hashes scripts after it has turned all line ends into \n.
    scripts = {
        name: Markup(re.sub(r"\r\n?", "\n", text))  # noqa: S704
        for name, text in {
            "early": _asset("early.js"),
            "page": _asset("page.js"),
            "plotly": get_plotlyjs(),
        }.items()
    }
    figures = _number(report)
    charts = [chart for section in report.sections for chart in section.charts]
    drawn = pictures or [picture(chart) for chart in charts]
    stepped = dict.fromkeys(f"{chart.step_name}s" for chart in charts if chart.steps)
    return environment.get_template("page.html.j2").render(
        report=report,
        stepped=" or ".join(stepped),
        sections=[_section(s, figures, drawn) for s in report.sections],
        counts=_table(report.counts, "counts"),
        dropped=_table(report.dropped, "dropped"),
        dropped_by_reason=_grouped(report.dropped),
        dropped_open=len(report.dropped.rows) <= _OPEN_UP_TO,
        downloads=[_download(d) for d in report.downloads],
        scripts=scripts,
        hashes=" ".join(_hash(s) for s in scripts.values()),
        css=Markup(_variables() + _asset("page.css")),  # noqa: S704
        themes=_json(interactive.themes()),
    )


def _asset(name: str) -> str:
    return (files("isogloss.report") / name).read_text(encoding="utf-8")


def _hash(script: str) -> str:
    digest = hashlib.sha256(script.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


def _json(value: Any) -> "Markup":
    """JSON that cannot end the script element it stands in."""
    from markupsafe import Markup

    text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)  # noqa: S704


def _variables() -> str:
    """The themes' colours as custom properties, for both renderers and the page around them."""

    def block(theme: style.Theme) -> str:
        colours = {k: v for k, v in vars(theme).items() if isinstance(v, str)}
        colours |= {f"c{i}": v for i, v in enumerate(theme.palette)}
        return "".join(f"--{k.replace('_', '-')}:{v};" for k, v in colours.items())

    light, dark = block(style.THEMES["light"]), block(style.THEMES["dark"])
    return (
        f":root{{color-scheme:light;{light}}}\n"
        f"@media screen and (prefers-color-scheme:dark){{:root{{color-scheme:dark;{dark}}}}}\n"
        f"@media screen{{:root[data-theme=light]{{color-scheme:light;{light}}}\n"
        f":root[data-theme=dark]{{color-scheme:dark;{dark}}}}}\n"
    )


def _number(report: Report) -> dict[int, int]:
    charts = [chart for section in report.sections for chart in section.charts]
    return {id(chart): i for i, chart in enumerate(charts, start=1)}


def _section(
    section: Section, numbers: dict[int, int], pictures: Sequence[bytes]
) -> dict[str, Any]:
    paragraphs = [p.strip() for p in re.split(r"\n\s*\n", section.text) if p.strip()]
    question = paragraphs[0] if len(paragraphs) > 1 else ""
    findings = paragraphs[1:] or paragraphs
    return {
        "title": section.title,
        "question": question,
        "headline": findings[0] if findings else "",
        "findings": findings[1:],
        "figures": [
            _figure(chart, numbers[id(chart)], pictures[numbers[id(chart)] - 1])
            for chart in section.charts
        ],
        "tables": [_table(t, f"{section.title}-{i}") for i, t in enumerate(section.tables)],
    }


def _figure(chart: Chart, number: int, drawn: bytes) -> dict[str, Any]:
    content = interactive.content(chart)
    panels = content["steps"][content["shown"]]["panels"] if chart.steps else content["panels"]
    values = chart_table(chart)
    data = _json(content)
    packed = len(data) > _LARGE
    return {
        "number": number,
        "chart": chart,
        "panels": [
            {"title": p.title, "height": f["height"], "min_width": f["minWidth"], "about": about(p)}
            for p, f in zip(chart.panels, panels, strict=True)
        ],
        # Without a fixed time the same study would give another file.
        "data": base64.b64encode(gzip.compress(data.encode(), mtime=0)).decode()
        if packed
        else data,
        "packed": packed,
        "legends": [
            [(i, e, swatch(e, chart)) for i, e in enumerate(plan.legend(chart, colouring))]
            for colouring in range(max(1, len(chart.colourings)))
        ],
        "alt": f"{plan.title(chart)}. " + " ".join(about(p) for p in chart.panels),
        "picture": base64.b64encode(drawn).decode(),
        "values": _table(values, chart.name, limit=VALUES_SHOWN),
    }


def about(panel: Any) -> str:
    """One sentence that says what a panel shows, for those who cannot see it."""
    names = ", ".join(dict.fromkeys(m.name for m in panel.marks)) or "nothing"
    title = f"{panel.title}: " if panel.title else ""
    return f"{title}{panel.y.label} against {panel.x.label}; shown: {names}."


@dataclass(frozen=True)
class _File:
    name: str
    href: str
    size: str
    media_type: str
    packed: bool


def _table(table: Table, name: str, *, limit: int = ROWS_SHOWN) -> dict[str, Any]:
    rows: list[list[Cell]] = cells(table, limit)
    file = re.sub(r"[^A-Za-z0-9._-]+", "_", name).strip("_.") or "table"
    return {
        "name": table.name,
        "columns": table.columns,
        "rows": rows,
        "total": len(table.rows),
        "csv": _download(Download(f"{file}.csv", "text/csv", table_csv(table))),
    }


def _grouped(table: Table) -> dict[str, Any] | None:
    counted = grouped(table)
    return None if counted is None else _table(counted, "dropped_by_reason")


def _download(download: Download) -> _File:
    """A file as a link: packed if that saves much, in which case the page unpacks it."""
    if not re.fullmatch(r"[\w.+-]+/[\w.+-]+(; ?charset=[\w-]+)?", download.media_type):
        raise IsoglossError(
            f'the download "{download.name}" has no media type but "{download.media_type}"; '
            'use one such as "text/csv"'
        )
    content, size = download.content, len(download.content)
    packed = False
    if size > _WORTH_PACKING:
        # Without a fixed time the same study would give another file.
        smaller = gzip.compress(content, mtime=0)
        packed = len(smaller) < 0.7 * size
        content = smaller if packed else content
    kind = "application/gzip" if packed else download.media_type.replace(" ", "")
    shown = f"{size} B" if size < 1000 else f"{size / 1e3:.0f} kB" if size < 1e6 else ""
    return _File(
        name=download.name.replace("\\", "/").rsplit("/", 1)[-1],
        href=f"data:{kind};base64,{base64.b64encode(content).decode()}",
        size=shown or f"{size / 1e6:.1f} MB",
        media_type=download.media_type,
        packed=packed,
    )
