"""How a conclusion moves with the choices behind it: cut, share, measure, number of sentences.

The conclusion is that of the gaps analysis: which gap is the larger for each language, and how
alike text and speech, and languages, are at the last tap.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import polars as pl

from isogloss import specs
from isogloss.analyses._curves import shown
from isogloss.analyses._gap_table import KINDS, MODAL, by_language
from isogloss.analyses.base import Comparison
from isogloss.errors import StudyError
from isogloss.similarity.base import Measure
from isogloss.similarity.measures import MEASURES
from isogloss.similarity.measures.svcca import Svcca

SHARES = (0.8, 0.85, 0.9, 0.95, 0.99)
FRACTIONS = (0.25, 0.5, 0.75, 1.0)
RULES = ("squared", "linear")

SCHEMA: dict[str, Any] = {
    "choice": pl.String(),
    "value": pl.String(),
    "measure": pl.String(),
    "n": pl.Int64(),
    "kind": pl.String(),
    "score": pl.Float64(),
    "chance": pl.Float64(),
    "calibrated": pl.Float64(),
    "low": pl.Float64(),
    "high": pl.Float64(),
    "languages": pl.Int64(),
    "modality gap larger": pl.Int64(),
    "modality gap larger (calibrated)": pl.Int64(),
    "decided": pl.Int64(),
    "decided (calibrated)": pl.Int64(),
    "reason": pl.String(),
}
"""Columns of the table: one row per variant and kind of comparison.

``choice`` is what is varied (``squared`` and ``linear`` cut, ``sentences``, ``measure``) and
``value`` how. ``low`` and ``high`` are the jackknife interval of ``calibrated`` over languages. The
last numbers repeat for the three kinds: languages whose modality gap is the larger one, of those
for which that is decided.
"""

Scored = tuple[pl.DataFrame, pl.DataFrame]
Score = Callable[[Sequence[Comparison], Sequence[Measure]], Scored]
"""Scores comparisons by measures and returns rows and means, see :func:`isogloss.compare`."""


@dataclass(frozen=True)
class Variant:
    """One way to make the choices."""

    choice: str
    value: str
    measure: Measure
    share: float = 1.0
    """Share of the sentences."""


def defaults() -> tuple[list[Measure], list[str]]:
    """All measures with their default options, and why each of the others cannot be tried."""
    classes, problems = MEASURES.loadable()
    parts = []
    for name, part in classes.items():
        try:
            parts.append(part())
        except StudyError as error:
            problems.append(f'"{name}" cannot be used without options ({error}); name it with them')
    return parts, problems


def variants(
    base: Measure,
    *,
    shares: Sequence[float] = SHARES,
    fractions: Sequence[float] = FRACTIONS,
    measures: Sequence[Measure] = (),
) -> list[Variant]:
    """All variants, one choice at a time, each once.

    Args:
        base: The measure with which the number of sentences is varied; if it is SVCCA its other
            options hold for all cuts too.
        shares: Shares of variance at which SVCCA cuts, by both rules.
        fractions: Shares of the sentences.
        measures: Measures to try.

    Raises:
        StudyError: A share lies outside of 0 to 1.
    """
    for value in (*shares, *fractions):
        if not 0 < value <= 1:
            raise StudyError(f"a share must be above 0 and at most 1, not {value}")
    options = base.model_dump() if isinstance(base, Svcca) else {}
    found = [
        Variant(rule, f"{share:.12g}", Svcca(**{**options, "rule": rule, "share": share}))
        for rule in RULES
        for share in sorted(shares)
    ]
    found += [Variant("sentences", f"{f:.12g}", base, f) for f in sorted(fractions)]
    found += [Variant("measure", specs.write(MEASURES, m, defaults=False), m) for m in measures]
    return list({(v.choice, v.value): v for v in found}.values())


def table(
    found: Sequence[Variant], comparisons: Sequence[Comparison], score: Score
) -> pl.DataFrame:
    """Score all variants and say what follows from each.

    Args:
        found: The variants.
        comparisons: Those of the gaps analysis.
        score: Scores them.
    """
    rows: list[dict[str, Any]] = []
    by_share: dict[float, list[Variant]] = {}
    for variant in found:
        by_share.setdefault(variant.share, []).append(variant)
    for share, group in by_share.items():
        parts = list(dict.fromkeys(v.measure for v in group))
        frame, means = score(list(_fewer(comparisons, share)), parts)
        for variant in group:
            line = specs.write(MEASURES, variant.measure)
            rows += _rows(variant, frame.filter(measure=line), means.filter(measure=line))
    order = {(v.choice, v.value): i for i, v in enumerate(found)}
    rows.sort(key=lambda r: order[r["choice"], r["value"]])
    return pl.DataFrame(rows, schema=SCHEMA)


def _fewer(comparisons: Iterable[Comparison], share: float) -> Iterator[Comparison]:
    """Take a share of the sentences of each comparison, the same ones wherever they occur."""
    for c in comparisons:
        count = max(3, round(share * len(c.sentences)))
        drawn = set(sorted(c.sentences, key=_draw)[:count])
        yield replace(c, sentences=tuple(s for s in c.sentences if s in drawn))


def _draw(sentence: str) -> bytes:
    return hashlib.sha256(sentence.encode()).digest()


def _rows(variant: Variant, frame: pl.DataFrame, means: pl.DataFrame) -> Iterator[dict[str, Any]]:
    verdicts = by_language(frame)
    counts: dict[str, int] = {}
    for suffix in ("", " (calibrated)"):
        column = verdicts[f"larger gap{suffix}"].drop_nulls()
        counts[f"modality gap larger{suffix}"] = int((column == "modality").sum())
        counts[f"decided{suffix}"] = len(column)
    for kind in KINDS:
        row = means.filter(group=kind)
        undefined = frame.filter(pl.col("group") == kind, pl.col("calibrated").is_nan())
        reasons = undefined.select(pl.concat_str("reason", "warnings")).to_series()
        mean = row.row(0, named=True) if row.height else {}
        yield {
            "choice": variant.choice,
            "value": variant.value,
            "measure": specs.write(MEASURES, variant.measure),
            "n": mean.get("n"),
            "kind": kind,
            "score": mean.get("score"),
            "chance": mean.get("null"),
            "calibrated": mean.get("calibrated"),
            "low": mean.get("calibrated_low"),
            "high": mean.get("calibrated_high"),
            "languages": mean.get("languages"),
            **counts,
            "reason": reasons[0] if undefined.height else "",
        }


CHOICES = {
    "squared": "share of the squared singular values",
    "linear": "share of the singular values",
    "sentences": "number of sentences",
    "measure": "measure",
}
"""What is varied, and what it is called in a sentence."""


def findings(frame: pl.DataFrame) -> list[str]:
    """What holds over all variants, in sentences."""
    found = []
    for suffix, name in ((" (calibrated)", "calibrated"), ("", "raw")):
        once = frame.filter(kind=MODAL).filter(pl.col(f"decided{suffix}") > 0)
        if once.is_empty():
            continue
        parts = []
        for choice in CHOICES:
            rows = once.filter(choice=choice)
            if rows.height:
                shares = rows[f"modality gap larger{suffix}"] / rows[f"decided{suffix}"]
                low, high = float(shares.min()), float(shares.max())  # type: ignore[arg-type]
                parts.append(f"{CHOICES[choice]} {low:.0%} to {high:.0%}")
        found.append(
            f"By {name} scores, the share of languages whose modality gap is the larger one moves: "
            f"{'; '.join(parts)}."
        )
    spans = []
    for kind in KINDS:
        values = frame.filter(kind=kind)["calibrated"].drop_nulls().drop_nans()
        if len(values):
            spans.append(f"{kind} {shown(values.min())} to {shown(values.max())}")  # type: ignore[arg-type]
    if spans:
        found.append(f"Calibrated similarity over all variants: {', '.join(spans)}.")
    return found
