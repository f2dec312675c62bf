"""From activations in memory to gaps, by the comparisons and statistics of a run."""

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from math import isfinite, isnan
from typing import Any

import numpy as np
import polars as pl
from threadpoolctl import threadpool_limits

from isogloss.analyses._gap_table import MODAL, SPEECH, TEXT, by_language
from isogloss.analyses.base import Comparison, Contents
from isogloss.analyses.cross_lingual import CrossLingual
from isogloss.analyses.cross_modal import CrossModal
from isogloss.corpora.base import MODALITIES
from isogloss.families import Family
from isogloss.models.base import TapPair
from isogloss.results import PLAIN
from isogloss.scoring import Scorer
from isogloss.sharing import Options
from isogloss.similarity.base import Measure
from isogloss.training.live import Places
from isogloss.training.material import Views
from isogloss.training.result import NAN, Gap, Kind

MODAL_GROUP = "matched"


class Scores:
    """The scores of all gaps in one call.

    Args:
        views: The activations.
        places: Where the model was read.
        measure: With what views are compared.
        options: Shuffles, confounds and intervals, as in a run.
    """

    def __init__(self, views: Views, places: Places, measure: Measure, options: Options) -> None:
        self._views, self._places, self._best = views, places, measure.info.best
        contents = views.contents(places.taps, places.pairs)
        wanted = list(_comparisons(contents))
        # The measures limit BLAS themselves; OpenMP belongs to the model that is trained.
        with threadpool_limits(1, "blas"), ThreadPoolExecutor(options.workers) as pool:
            scorer = Scorer(measure, views, views.units, options, pool)
            self._rows, _ = scorer.score(wanted)
        self._means = pl.DataFrame()
        if self._rows.height:
            modal = pl.col("group") == MODAL_GROUP
            parts = []
            for rows in (self._rows.filter(modal), self._rows.filter(~modal)):
                if rows.height:
                    family = Family(measure.info)
                    family.add(rows)
                    parts.append(family.means())
            self._means = pl.concat(parts)
        self._controls = [PLAIN, *([", ".join(options.confounds)] if options.confounds else [])]

    def gaps(self) -> Iterator[Gap]:
        """One gap for each kind and place, without confounds and with them taken out."""
        for kind, group, label, place, position, depth in self._expected():
            for control in self._controls:
                mean = self._find(self._means, control, group, label)
                if mean is None:
                    why = self._why()
                    yield Gap(kind, place, position, depth, control, reason=why)
                    continue
                yield Gap(
                    kind=kind,
                    place=place,
                    position=position,
                    depth=depth,
                    control=control,
                    calibrated=mean["calibrated"],
                    low=mean["calibrated_low"],
                    high=mean["calibrated_high"],
                    score=mean["score"],
                    chance=mean["null"],
                    p_value=mean["p_value"],
                    n=mean["n"] or 0,
                    languages=mean["languages"],
                    by_language=self._by_language(control, group, label),
                    reason=self._uncalibrated(mean) or mean["reason"],
                )

    def larger_gap(self) -> dict[str, str]:
        """Which gap of each language is the larger one, as the analysis of gaps says."""
        if not self._places.pairs or not self._rows.height:
            return {}
        last = self._places.pairs[-1]
        names = {(MODAL_GROUP, last.label): MODAL, ("text", last.text): TEXT}
        names["speech", last.speech] = SPEECH
        rows = self._rows.filter(control=self._controls[-1])
        parts = [
            rows.filter(group=group, label=label).with_columns(group=pl.lit(name))
            for (group, label), name in names.items()
        ]
        if any(part.is_empty() for part in parts[:2]):
            return {}
        table = by_language(pl.concat(parts))
        said = table.select("language", "larger gap (calibrated)").drop_nulls()
        return dict(said.iter_rows())

    def _expected(self) -> Iterator[tuple[Kind, str, str, str, int, float]]:
        units = {m for _, m in (*self._views.units, *self._views.failed)}
        if len(units) == len(MODALITIES):
            for i, pair in enumerate(self._places.pairs):
                yield "cross_modal", MODAL_GROUP, pair.label, _name(pair), i, pair.depth
        kinds: dict[str, Kind] = {"text": "cross_lingual.text", "speech": "cross_lingual.speech"}
        for modality in MODALITIES:
            codes = {c for c, m in (*self._views.units, *self._views.failed) if m == modality}
            if len(codes) > 1:
                for i, (tap, depth) in enumerate(self._places.taps[modality]):
                    yield kinds[modality], modality, tap, tap, i, depth

    def _find(
        self, frame: pl.DataFrame, control: str, group: str, label: str
    ) -> Mapping[str, Any] | None:
        if not frame.height:
            return None
        found = frame.filter(control=control, group=group, label=label)
        return found.row(0, named=True) if found.height else None

    def _by_language(self, control: str, group: str, label: str) -> dict[str, float]:
        rows = self._rows.filter(control=control, group=group, label=label)
        found: dict[str, list[float]] = {}
        for a, b, value in rows.select("language_a", "language_b", "calibrated").iter_rows():
            for code in dict.fromkeys((a, b)):
                found.setdefault(code, []).append(value)
        means = {}
        for code, values in sorted(found.items()):
            known = [v for v in values if not isnan(v)]
            means[code] = sum(known) / len(known) if known else NAN
        return means

    def _uncalibrated(self, mean: Mapping[str, Any]) -> str:
        """Why there is a score and none that is calibrated; empty if there are both or neither."""
        if isnan(mean["score"]) or not isnan(mean["calibrated"]):
            return ""
        if not isfinite(self._best):
            return "no calibrated score: the measure has no best score"
        if isnan(mean["null"]):
            return "no calibrated score: chance is not known; permutations give it"
        return "no calibrated score: chance is as high as the best score"

    def _why(self) -> str:
        failed = self._views.failed.items()
        reasons = [f"{code} {modality}: {why}" for (code, modality), why in failed]
        return f"nothing to compare; {reasons[0]}" if reasons else "nothing to compare"


def knows_chance(measure: Measure) -> bool:
    """Whether a measure gives chance in closed form, by trying it on two unrelated views."""
    rng = np.random.default_rng(0)
    try:
        score = measure.compare(*(measure.prepare(rng.normal(size=(64, 4))) for _ in range(2)))
    except Exception:
        return True  # what cannot be compared here says nothing of other views
    return isnan(score.score) or not isnan(score.chance)


def _comparisons(contents: Contents) -> Iterator[Comparison]:
    yield from CrossModal().comparisons(contents)
    yield from CrossLingual().comparisons(contents)


def _name(pair: TapPair) -> str:
    return pair.text if pair.text == pair.speech else f"{pair.text}-{pair.speech}"
