"""One HTML file that shows a whole study and opens anywhere, without a network."""

from isogloss.report.model import Banner as Banner
from isogloss.report.model import Column as Column
from isogloss.report.model import Download as Download
from isogloss.report.model import Missing as Missing
from isogloss.report.model import Report as Report
from isogloss.report.model import Section as Section
from isogloss.report.model import Table as Table
from isogloss.report.page import render as render
from isogloss.report.page import write as write
from isogloss.report.publishing import publish as publish
from isogloss.results import safe_csv as safe_csv

__all__ = [
    "Banner",
    "Column",
    "Download",
    "Missing",
    "Report",
    "Section",
    "Table",
    "publish",
    "render",
    "safe_csv",
    "write",
]
