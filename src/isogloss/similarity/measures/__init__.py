"""Measures: one file each."""

from isogloss.registry import Registry
from isogloss.similarity.base import Measure

MEASURES: Registry[Measure] = Registry("measure", __name__, Measure)  # type: ignore[type-abstract]
