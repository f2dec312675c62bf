"""Similarity of two views: pure numerics, no torch, no files."""

from isogloss.similarity.base import Measure, MeasureInfo, Score
from isogloss.similarity.baseline import gaussian_baseline
from isogloss.similarity.batched import Batch, svcca_batch, svcca_pairs
from isogloss.similarity.chance import wachter
from isogloss.similarity.measures import MEASURES
from isogloss.similarity.measures.svcca import Svcca, svcca
from isogloss.similarity.shuffles import Shuffles
from isogloss.similarity.stacks import gram_stack, sub_grams

__all__ = [
    "MEASURES",
    "Batch",
    "Measure",
    "MeasureInfo",
    "Score",
    "Shuffles",
    "Svcca",
    "gaussian_baseline",
    "gram_stack",
    "sub_grams",
    "svcca",
    "svcca_batch",
    "svcca_pairs",
    "wachter",
]
