"""What an analysis is: which views to compare, and how to show the scores."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, Protocol

import numpy as np
import polars as pl
from numpy.typing import NDArray

from isogloss.charts import Chart
from isogloss.corpora.base import Modality
from isogloss.events import Events
from isogloss.models.base import ModelSource, TapPair
from isogloss.settings import Settings
from isogloss.similarity.base import Measure


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
    plain: bool = False
    """Whether the score and its level of chance are all that is wanted: no interval, no second row
    without confounds, and permutations only for measures without a closed form of chance. For
    comparisons that are many and tested nowhere, such as the cells of a map."""


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


Scores = Literal["raw", "calibrated", "controlled"]
"""Which scores a claim is tested on: as they are, against chance, or so without confounds."""


@dataclass(frozen=True)
class Claim:
    """A statement of the study, with its test on the model at hand.

    A positive effect speaks for the statement, a negative one against it.
    """

    name: str
    """Short id, the same for all kinds of scores, such as ``rises``."""
    statement: str
    """What is claimed, as a plain sentence."""
    source: str
    """Where the study says it, such as ``section 3.1``; empty for what it does not say."""
    scores: Scores
    effect: float
    low: float
    """95 % interval of the effect, with ``high``; NaN if there is none."""
    high: float
    p_value: float
    """Two-sided; NaN if there is no test."""
    count: int
    """Languages behind it."""
    unit: str
    """What the effect is, such as ``difference of mean scores``."""
    detail: str
    """The numbers behind it, in words."""
    reason: str = ""
    """Why there is no test; empty if there is one."""
    given: str = ""
    """What the test holds fixed, such as ``these sentences``; empty if nothing is."""
    measure: str = ""
    """By which measure, where the one who gathers claims cannot know it."""


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

    def claims(self, frame: pl.DataFrame, means: pl.DataFrame) -> tuple[Claim, ...]:
        """Test what the study says about the scores of one measure.

        Args:
            frame: As for :meth:`summarise`.
            means: As for :meth:`summarise`.
        """
        return ()


@dataclass(frozen=True)
class Material:
    """What a run holds, for analyses that look at more than scores."""

    contents: Contents
    tables: Mapping[str, pl.DataFrame]
    """Comparing analysis -> its scores, with the columns of ``results.SCHEMA``."""
    means: Mapping[str, pl.DataFrame]
    """Comparing analysis -> means over languages, with the columns of ``results.MEANS``."""
    texts: Mapping[tuple[str, str], str]
    """(language, sentence) -> its text."""
    study: Mapping[str, Any]
    """The resolved study."""
    model: Mapping[str, Any]
    """What ``run.json`` says of the model."""
    corpus: Mapping[str, Any]
    """What ``run.json`` says of the corpus."""
    view: Callable[[ViewKey], NDArray[np.float32]]
    """Gives the activations of a view, (sentences × features): those of the recording that stands
    for each sentence, in the order of ``contents.sentences``."""
    content: Callable[[str, Modality], str]
    """Gives the digest of the activations of a language and modality."""
    part: Callable[[Any, Callable[[], pl.DataFrame]], pl.DataFrame]
    """Gives the table of a JSON-able identity: the kept one, or the one that is made, and kept."""
    score: "Scoring"
    """Scores further comparisons."""
    source: Callable[[], ModelSource]
    """Gives the settings of the model."""
    events: Events


class Scoring(Protocol):
    """Scores comparisons beyond those of the analyses; finished chunks are kept."""

    def __call__(
        self,
        comparisons: Sequence[Comparison],
        measures: Sequence[Measure],
        *,
        permutations: int = 0,
        confounds: bool = False,
    ) -> pl.DataFrame:
        """Score comparisons, without intervals.

        Args:
            comparisons: What to compare. Rows come in their order within a group and place.
            measures: With what.
            permutations: Shuffles for chance, where there is none in closed form.
            confounds: Score once more without the confounds of the study.

        Returns:
            Columns as in ``results.SCHEMA``.
        """


class Reading(Analysis):
    """An analysis that looks at the run itself instead of having views compared.

    Readings come after all comparing analyses and see their tables.
    """

    @abstractmethod
    def read(self, material: Material) -> pl.DataFrame | None:
        """Make the table of this analysis, with columns of its own; None if there is nothing."""

    @abstractmethod
    def describe(self, frame: pl.DataFrame) -> Summary:
        """Describe the table: findings, charts and tables."""

    def claims_of(self, frame: pl.DataFrame) -> tuple[Claim, ...]:
        """Test what the study says about this table."""
        return ()

    def comparisons(self, contents: Contents) -> Iterable[Comparison]:
        """None: no views are compared."""
        return ()

    def summarise(self, frame: pl.DataFrame, means: pl.DataFrame) -> Summary:
        """As :meth:`describe`; there are no means."""
        return self.describe(frame)

    def claims(self, frame: pl.DataFrame, means: pl.DataFrame) -> tuple[Claim, ...]:
        """As :meth:`claims_of`; there are no means."""
        return self.claims_of(frame)
