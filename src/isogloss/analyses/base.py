"""What an analysis is: which views to compare, and how to show the scores."""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import ClassVar

import polars as pl

from isogloss.charts import Chart
from isogloss.corpora.base import Modality
from isogloss.models.base import TapPair
from isogloss.settings import Settings


@dataclass(frozen=True, order=True)
class ViewKey:
    """Names one view: the activations of one language, modality and tap."""

    language: str
    modality: Modality
    tap: str


@dataclass(frozen=True)
class Comparison:
    """Two views to set side by side, and the sentences to do it on."""

    a: ViewKey
    b: ViewKey
    sentences: tuple[str, ...]
    """Ids in both views, in order."""
    group: str
    """Which curve or bar of the analysis it belongs to, such as ``text``."""
    label: str
    """Its place on the x-axis."""
    position: int
    depth: float
    """Relative depth of that place, 0 to 1."""
    takes_a: tuple[int, ...] | None = None
    """Which recording of each sentence the first view uses; None for the first of each."""
    takes_b: tuple[int, ...] | None = None
    """The same for the second view."""
    interval: bool = True
    """Whether an interval over sentences is wanted for this row."""


@dataclass(frozen=True)
class Contents:
    """What a store holds for a study: sentence ids per unit, taps, and which taps go together."""

    sentences: dict[tuple[str, Modality], tuple[str, ...]]
    """(language, modality) -> ids, in order, each once however many recordings it has."""
    taps: dict[Modality, tuple[tuple[str, float], ...]]
    """Modality -> (tap, relative depth) in order."""
    pairs: tuple[TapPair, ...]
    speakers: dict[tuple[str, Modality], dict[str, tuple[str | None, ...]]] = field(
        default_factory=dict
    )
    """(language, modality) -> sentence id -> speaker of each of its recordings, in order of takes;
    None where the corpus does not say who speaks."""

    def languages(self, *modalities: Modality) -> list[str]:
        """Languages for which all the given modalities are there."""
        names = sorted({language for language, _ in self.sentences})
        return [n for n in names if all((n, m) in self.sentences for m in modalities)]

    def common(self, *units: tuple[str, Modality]) -> tuple[str, ...]:
        """Ids shared by the units, in the order of the first."""
        others = [frozenset(self.sentences[u]) for u in units[1:]]
        return tuple(s for s in self.sentences[units[0]] if all(s in o for o in others))


@dataclass(frozen=True)
class Summary:
    """What an analysis says about its scores, for the report and the terminal."""

    findings: tuple[str, ...]
    """Plain sentences; the first is the headline."""
    charts: tuple[Chart, ...]
    tables: tuple[tuple[str, pl.DataFrame], ...] = ()
    """(title, frame) pairs; column names are shown as they are."""


class Analysis(Settings, ABC):
    """A question to a model. A new one is one subclass in a file of its own."""

    title: ClassVar[str]
    question: ClassVar[str]

    @abstractmethod
    def comparisons(self, contents: Contents) -> Iterable[Comparison]:
        """List what must be compared. Pure: nothing is read or computed."""

    @abstractmethod
    def summarise(self, frame: pl.DataFrame, means: pl.DataFrame) -> Summary:
        """Describe the scores of one measure: findings, charts and tables.

        Args:
            frame: Rows of this analysis for one measure, with the columns of ``results.SCHEMA``:
                the plain scores (``control`` is empty), and those without confounds if any are to
                be taken out.
            means: Their means over languages, with the columns of ``results.MEANS``.
        """
