"""Similarity of two views: pure numerics, no torch, no files."""

from isogloss.similarity.base import Measure, MeasureInfo, Score, Shuffles
from isogloss.similarity.baseline import gaussian_baseline
from isogloss.similarity.chance import wachter
from isogloss.similarity.measures import MEASURES
from isogloss.similarity.measures.svcca import Svcca, svcca

__all__ = [
    "MEASURES",
    "Measure",
    "MeasureInfo",
    "Score",
    "Shuffles",
    "Svcca",
    "gaussian_baseline",
    "svcca",
    "wachter",
]
