"""A conformance suite for similarity measures, to be run on any implementation.

    from isogloss.conformance import check

    report = check(my_svcca, measure="svcca")
    print(report.as_text())
    assert report.passed

A suite (one file in ``suites/``) holds what is known of one measure: its definition written out,
views whose score is known, what it is invariant to, what unrelated views score, and known mistakes.
The groups of cases that are alike for all measures stand beside it.
"""

from isogloss.conformance.report import Report, Row
from isogloss.conformance.run import check

__all__ = ["Report", "Row", "check"]
