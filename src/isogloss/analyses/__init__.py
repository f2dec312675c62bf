"""Analyses: one file per question."""

from isogloss.analyses.base import Analysis
from isogloss.registry import Registry

ANALYSES: Registry[Analysis] = Registry("analysis", __name__, Analysis)  # type: ignore[type-abstract]

__all__ = ["ANALYSES", "Analysis"]
