"""Score two runs alike: on all sentences that both have, and on the same halves of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations
from pathlib import Path
from typing import Any

import polars as pl

from isogloss.analyses import ANALYSES
from isogloss.analyses._halves import scored, whole
from isogloss.analyses.base import Analysis, Comparison, Scoring
from isogloss.analyses.cross_lingual import CrossLingual
from isogloss.analyses.cross_modal import CrossModal
from isogloss.beside.data import KINDS
from isogloss.beside.places import Place, Spot, check, pair
from isogloss.chunks import Chunks
from isogloss.compare import compare
from isogloss.errors import IsoglossError
from isogloss.events import Events
from isogloss.results import PLAIN
from isogloss.sharing import Options
from isogloss.similarity.base import Measure
from isogloss.similarity.over_languages import FEWEST_IN_PAIRS
from isogloss.storage.parts import Parts
from isogloss.together.ground import Ground
from isogloss.together.models import Model

QUESTIONS: tuple[type[Analysis], ...] = (CrossModal, CrossLingual)
"""The analyses, with their defaults."""
Places = dict[str, tuple[Place, ...]]


@dataclass
class Scores:
    """Scores of both runs."""

    places: dict[str, Places] = field(default_factory=dict)
    """Analysis -> group -> its places in both runs."""
    means: list[pl.DataFrame] = field(default_factory=list)
    """Of each run and analysis, with a column ``run``: its number, then ``results.MEANS``."""
    halves: dict[str, list[pl.DataFrame]] = field(default_factory=dict)
    """Analysis -> for each run the scores of all sentences and of halves, as
    :func:`isogloss.analyses._halves.with_halves` takes them."""
    notes: list[str] = field(default_factory=list)
    files: list[Path] = field(default_factory=list)
    """The chunks that all was made of."""


@dataclass(frozen=True)
class _Source:
    """What :func:`isogloss.analyses._halves.scored` needs of a run."""

    study: Mapping[str, Any]
    score: Scoring


@dataclass(frozen=True)
class Asked:
    """The comparisons of one analysis."""

    listed: list[list[Comparison]]
    """Those of each run."""
    places: Places
    """Group -> its places in both runs."""
    without: tuple[str, ...] = ()
    """Groups that have none of the places that were asked for."""

    def at(self, taps: Sequence[str]) -> "Asked":
        """Only some places; all if none is named."""
        kept = {g: tuple(p for p in ps if p.named(taps)) for g, ps in self.places.items()}
        there = {group: places for group, places in kept.items() if places}
        return Asked(self.listed, there, tuple(group for group in kept if group not in there))


@dataclass(frozen=True)
class Alike:
    """What both runs are scored with.

    Args:
        shared: Languages and sentences of both.
        measures: Similarity measures.
        options: What all comparisons share.
        splits: Number of times the sentences are split into halves; 0 for no halves.
        taps: Places to compare; all if empty.
        events: Receives progress.
    """

    shared: Ground
    measures: Sequence[Measure]
    options: Options
    splits: int
    taps: Sequence[str]
    events: Events

    def asked(self, models: Sequence[Model]) -> dict[str, Asked]:
        """What of two runs is compared, by analysis. Nothing is read or written.

        Raises:
            IsoglossError: They have no kind of comparison in common.
            StudyError: A tap is unknown.
        """
        found: dict[str, Asked] = {}
        for kind in QUESTIONS:
            listed = [list(kind().comparisons(self.shared.contents(m))) for m in models]
            places = _places(*listed)
            if places:
                found[ANALYSES.name_of(kind)] = Asked(listed, places)
        if not found:
            raise IsoglossError(
                f"{models[0].run.folder} and {models[1].run.folder} have no kind of comparison in "
                "common: it takes speech and text in both, or two languages of one modality"
            )
        every = [p for asked in found.values() for ps in asked.places.values() for p in ps]
        check(self.taps, every)
        return {name: asked.at(self.taps) for name, asked in found.items()}

    def of(self, models: Sequence[Model], asked: Mapping[str, Asked]) -> Scores:
        """Score two runs.

        Args:
            models: The runs.
            asked: What :meth:`asked` gave.
        """
        found = Scores()
        for name, own in asked.items():
            found.notes += [
                f"{kind}: no tap {' or '.join(self.taps)} there, so it is not compared."
                for kind, place in KINDS.items()
                if place in [(name, group) for group in own.without]
            ]
            if own.places:
                found.places[name] = own.places
                self._analysis(name, models, own.listed, own.places, found)
        return found

    def _analysis(
        self,
        name: str,
        models: Sequence[Model],
        listed: Sequence[Sequence[Comparison]],
        places: Places,
        found: Scores,
    ) -> None:
        # All taps of one run beside some of the other would be no comparison of curves.
        every = not self.taps or all(
            self._stored(name, m, own) for m, own in zip(models, listed, strict=True)
        )
        for i, (model, own) in enumerate(zip(models, listed, strict=True)):
            here = {
                (group, p.second if i else p.first): p.last
                for group, several in places.items()
                for p in several
            }
            wanted = [c for c in own if (c.group, Spot.of(c)) in here]
            self.events.note(f"{name}: {model.name}")
            rows, means = self._whole(name, model, own if every else wanted, found)
            found.means.append(means.select(pl.lit(i).alias("run"), pl.all()))
            parts = [whole(rows)]
            if self.splits:
                parts += self._halved(name, model, wanted, here, found)
            found.halves.setdefault(name, []).append(pl.concat(parts))

    def _whole(
        self, name: str, model: Model, comparisons: Sequence[Comparison], found: Scores
    ) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Scores of all sentences; those of the run itself where it has the same."""
        # Intervals of single scores are not shown, and take most of the time. Where the run has
        # them, they cost nothing.
        bare = replace(self.options, interval="none")
        rows, means, files = compare(
            comparisons, self.measures, analysis=name, store=model.store,
            units=self.shared.units(model),
            options=self._stored(name, model, comparisons) or bare, events=self.events,
        )  # fmt: skip
        found.files += files
        return rows, means

    def _stored(self, name: str, model: Model, comparisons: Sequence[Comparison]) -> Options | None:
        """With what options the run itself has scored all of these alike; None if it has not.

        Its chunks are taken over.
        """
        for options in (self.options, replace(self.options, interval="none")):
            chunks = Chunks(
                comparisons, self.measures, analysis=name, store=model.store,
                units=self.shared.units(model), options=options,
            )  # fmt: skip
            if _borrow(chunks, model):
                return options
        return None

    def _halved(
        self,
        name: str,
        model: Model,
        wanted: Sequence[Comparison],
        here: Mapping[tuple[str, Spot], bool],
        found: Scores,
    ) -> list[pl.DataFrame]:
        units = self.shared.units(model)

        def score(
            comparisons: Sequence[Comparison],
            measures: Sequence[Measure],
            *,
            permutations: int = 0,
            confounds: bool = False,
        ) -> pl.DataFrame:
            taken_out = self.options.confounds if confounds else ()
            rows, _, files = compare(
                comparisons, measures, analysis=f"{name}, halves", store=model.store, units=units,
                options=replace(
                    self.options, permutations=permutations, confounds=taken_out, interval="none"
                ),
                events=self.events,
            )  # fmt: skip
            found.files += files
            return rows.with_columns(analysis=pl.lit(name))

        def halves(comparisons: Sequence[Comparison], confounds: Sequence[str]) -> pl.DataFrame:
            source = _Source({"seed": self.options.seed, "confounds": confounds}, score)
            return pl.concat([scored(source, m, comparisons, self.splits) for m in self.measures])

        ring = list(wanted)
        plain = ring
        if name == ANALYSES.name_of(CrossLingual):
            ring = _ring(wanted)
            near = set(map(id, ring))
            plain = [c for c in wanted if id(c) in near or here[c.group, Spot.of(c)]]
        try:
            if len(plain) == len(ring) or not self.options.confounds:
                return [halves(plain, self.options.confounds)]
            # Without confounds each pair has views of its own, so all pairs would take long.
            return [
                halves(plain, ()),
                halves(ring, self.options.confounds).filter(pl.col("control") != PLAIN),
            ]
        except IsoglossError as error:
            note = f"{name}: there is no interval over sentences, since {error}"
            if note not in found.notes:
                found.notes.append(note)
            return []


def _places(first: Sequence[Comparison], second: Sequence[Comparison]) -> Places:
    groups = dict.fromkeys(c.group for c in first)
    found = {
        group: pair(*({Spot.of(c) for c in own if c.group == group} for own in (first, second)))
        for group in groups
    }
    return {group: places for group, places in found.items() if places}


def _ring(wanted: Sequence[Comparison]) -> list[Comparison]:
    """All pairs of few languages; of many those that are neighbours in a ring."""
    near: set[tuple[str, frozenset[str]]] = set()
    for group in {c.group for c in wanted}:
        own = {x for c in wanted if c.group == group for x in (c.a.language, c.b.language)}
        names = sorted(own)
        every = len(names) < FEWEST_IN_PAIRS
        pairs = (
            combinations(names, 2) if every else zip(names, (*names[1:], *names[:1]), strict=True)
        )
        near.update((group, frozenset(p)) for p in pairs)
    return [c for c in wanted if (c.group, frozenset((c.a.language, c.b.language))) in near]


def _borrow(chunks: Chunks, model: Model) -> bool:
    """Copy finished chunks of the run itself, and say whether all are there now."""
    there = Parts(model.run.folder / "results" / "parts")
    for chunk in chunks.missing():
        if (made := there.read(chunk.key)) is not None:
            chunks.parts.write(chunk.key, made)
    return not chunks.missing()


__all__ = ["QUESTIONS", "Alike", "Places", "Scores"]
