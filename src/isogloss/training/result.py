"""What one look at a model in training gives: the gaps, as numbers and for loggers."""

import json
from dataclasses import dataclass, field
from math import isnan
from typing import Any, Literal

import polars as pl

Kind = Literal["cross_modal", "cross_lingual.text", "cross_lingual.speech"]
KINDS: tuple[Kind, ...] = ("cross_modal", "cross_lingual.text", "cross_lingual.speech")
NAN = float("nan")

COLUMNS: dict[str, pl.DataType] = {
    "step": pl.Int64(),
    "kind": pl.String(),
    "place": pl.String(),
    "position": pl.Int64(),
    "depth": pl.Float64(),
    "control": pl.String(),
    "calibrated": pl.Float64(),
    "low": pl.Float64(),
    "high": pl.Float64(),
    "score": pl.Float64(),
    "chance": pl.Float64(),
    "p_value": pl.Float64(),
    "n": pl.Int64(),
    "languages": pl.Int64(),
    "by_language": pl.String(),
    "reason": pl.String(),
    "seconds": pl.Float64(),
    "share": pl.Float64(),
}
"""Columns of a history, one row per gap and step."""


@dataclass(frozen=True)
class Gap:
    """How alike two kinds of view are at one place of the model, as a mean over languages."""

    kind: Kind
    """Speech against text of a language, or language against language in text or in speech."""
    place: str
    """The tap, or text and speech tap where their names differ, such as ``6-len``."""
    position: int
    """Order of the places."""
    depth: float
    """Relative depth: 0 at the input, 1 at the last layer."""
    control: str
    """What was taken out of both views first: nothing, or the names of the confounds."""
    calibrated: float = NAN
    """Mean of the calibrated scores, 0 at chance and 1 for the same space; NaN with a reason."""
    low: float = NAN
    """Lower end of its 95 % interval over fresh languages, given these sentences; NaN if there is
    none, as with fewer than 3 languages, or 8 in pairs."""
    high: float = NAN
    score: float = NAN
    """Mean of the raw scores."""
    chance: float = NAN
    """Mean of their matched nulls."""
    p_value: float = NAN
    """Of the mean, against the shuffles; NaN without shuffles."""
    n: int = 0
    """Fewest sentences of a comparison behind it."""
    languages: int = 0
    """Languages behind it."""
    by_language: dict[str, float] = field(default_factory=dict)
    """Language -> its calibrated score; for pairs the mean over its partners."""
    reason: str = ""
    """Why the score or its interval is NaN."""


@dataclass(frozen=True)
class Gaps:
    """What one call measured."""

    step: int
    gaps: tuple[Gap, ...]
    seconds: float
    """What the call took."""
    encoding: float = NAN
    """How much of that was spent in the model."""
    share: float = NAN
    """That as a share of the time since the end of the call before; NaN for the first."""
    larger_gap: dict[str, str] = field(default_factory=dict)
    """Language -> ``modality``, ``language`` or ``neither``: which of its gaps is the larger one at
    the last pair of taps, as in the analysis ``gaps``, by calibrated scores."""
    modality_gap: float = NAN
    """1 − the calibrated cross-modal score at the last pair of taps."""
    language_gap: float = NAN
    """1 − the calibrated cross-lingual score of text at the last tap."""
    failure: str = ""
    """Why nothing could be measured; empty if it could."""
    failures: int = 0
    """Calls that failed so far."""
    notes: tuple[str, ...] = ()
    """What was left out of this call, with the reason."""

    def of(self, kind: Kind, place: str | None = None, *, controlled: bool = False) -> Gap:
        """One of the gaps.

        Args:
            kind: Which comparison.
            place: Where; the last place if left out.
            controlled: The one from which confounds were taken out.

        Raises:
            KeyError: There is none.
        """
        found = [g for g in self.gaps if g.kind == kind and bool(g.control) == controlled]
        found = [g for g in found if place in (None, g.place)]
        if not found:
            raise KeyError(f"no {kind} at {place or 'any place'}")
        return found[-1]

    def scalars(self, prefix: str = "isogloss") -> dict[str, float]:
        """All numbers as loggers take them, by name such as ``isogloss/cross_modal/6-len``.

        Intervals that do not exist have no name; a score that is not defined is NaN.
        """
        found: dict[str, float] = {}
        for gap in self.gaps:
            kind = gap.kind.replace(".", "/")
            tail = "_controlled" if gap.control else ""
            name = f"{prefix}/{kind}{tail}/{gap.place}"
            found[name] = gap.calibrated
            for end, value in (("low", gap.low), ("high", gap.high)):
                if not isnan(value):
                    found[f"{name}/{end}"] = value
        for name, value in (
            ("modality_gap", self.modality_gap), ("language_gap", self.language_gap),
            ("share", self.share),
        ):  # fmt: skip
            if not isnan(value):
                found[f"{prefix}/{name}"] = value
        found[f"{prefix}/seconds"] = self.seconds
        found[f"{prefix}/failures"] = float(self.failures)
        return found

    def rows(self) -> list[dict[str, Any]]:
        """One row per gap, with the columns of a history."""
        return [
            {
                "step": self.step,
                "kind": g.kind,
                "place": g.place,
                "position": g.position,
                "depth": g.depth,
                "control": g.control,
                "calibrated": g.calibrated,
                "low": g.low,
                "high": g.high,
                "score": g.score,
                "chance": g.chance,
                "p_value": g.p_value,
                "n": g.n,
                "languages": g.languages,
                "by_language": json.dumps({k: round(v, 6) for k, v in g.by_language.items()}),
                "reason": g.reason,
                "seconds": self.seconds,
                "share": self.share,
            }
            for g in self.gaps
        ]

    def frame(self) -> pl.DataFrame:
        """The same as a table."""
        return pl.DataFrame(self.rows(), schema=COLUMNS)
