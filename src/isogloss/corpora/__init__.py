"""Corpora: one file per source, each yielding the same table of utterances."""

from isogloss.corpora.base import CorpusSource
from isogloss.registry import Registry

CORPORA: Registry[CorpusSource] = Registry("corpus", __name__, CorpusSource)  # type: ignore[type-abstract]

__all__ = ["CORPORA", "CorpusSource"]
