"""Draw the figures of a report and write its page."""

from pathlib import Path

from isogloss.events import Events, task
from isogloss.report.model import Report
from isogloss.report.page import write


def publish(report: Report, folder: Path, events: Events) -> Path:
    """Write ``figures/`` and ``report.html`` into a folder; other figures there are removed.

    A figure of an earlier report that would come out the same is not drawn again.

    Args:
        report: What it holds.
        folder: Where to.
        events: Receives progress.

    Returns:
        The path of the page.

    Raises:
        MissingExtraError: The ``report`` extra is not installed.
        IsoglossError: A chart or table contradicts itself, or a file cannot be written.
    """
    from isogloss.figures.drawn import Drawn

    charts = [chart for section in report.sections for chart in section.charts]
    with task(events, "report", len(charts) + 1, "figure"):
        drawn, pictures = Drawn(folder / "figures"), []
        for chart in charts:
            pictures.append(drawn.save(chart))
            events.advance("report", 1, chart.name)
        drawn.finish()
        path = write(report, folder / "report.html", pictures)
        events.advance("report", 1, path.name)
    return path
