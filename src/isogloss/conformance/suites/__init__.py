"""Suites: one file for each measure."""

from isogloss.conformance.suite import Suite
from isogloss.registry import Registry

SUITES: Registry[Suite] = Registry("measure", __name__, Suite)  # type: ignore[type-abstract]
