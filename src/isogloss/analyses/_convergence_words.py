"""What convergence says: findings, the claim of the study, and tables."""

from collections.abc import Iterator
from dataclasses import replace
from math import isnan

import numpy as np
import polars as pl

from isogloss.analyses._convergence_curves import CROSS_MODAL
from isogloss.analyses._convergence_figures import WHAT
from isogloss.analyses.base import Claim
from isogloss.findings.statistics import mean

_FEW = 3
_KEY = ("language_a", "language_b")


def findings(frame: pl.DataFrame) -> tuple[str, ...]:
    """Plain sentences, the headline first."""
    return tuple(_sentences(frame.filter(scores="calibrated"))) or ("No score is calibrated.",)


def _sentences(rows: pl.DataFrame) -> Iterator[str]:
    if rows.is_empty():
        return
    made = [c for c in claims(rows) if c.scores == "calibrated"]
    if made and not isnan(made[0].effect):
        yield f"{made[0].detail[:1].upper()}{made[0].detail[1:]}."
    own_level = f"{rows['share'][0]:g} of their own maximum"
    common_level = f"{rows['common_level'][0]:.2f}, the same for all,"
    for what in WHAT:
        own = rows.filter(what=what)
        if own.is_empty():
            continue
        name, noun = _NOUNS[what]
        yield f"{name}, {_reach(own, 'own', own_level, noun)}."
        yield f"{name}, {_reach(own, 'common', common_level, noun)}."
        yield from _ends(own, name)
        kin = {k: own.filter(kin=k) for k in ("same family", "different families")}
        if all(not part.is_empty() for part in kin.values()):
            parts = [_reach(part, "common", common_level, f"pairs of {k.replace('same', 'one')}")
                     for k, part in kin.items()]  # fmt: skip
            yield f"{name}, {parts[0]}; {parts[1]}."


_NOUNS = {
    "text": ("In text", "pairs of languages"),
    "speech": ("In speech", "pairs of languages"),
    CROSS_MODAL: ("Between text and speech", "languages"),
}


def _reach(rows: pl.DataFrame, which: str, level: str, noun: str) -> str:
    """By which depth half of all are there; those that never are come last."""
    states = rows[f"{which}_state"].to_list()
    start, never = states.count("start"), states.count("never")
    middle = float(np.median(rows[f"{which}_depth"].fill_nan(float("inf")).to_numpy()))
    if 2 * start >= rows.height:
        said = f"{start} of {rows.height} {noun} are at {level} from the first tap on"
    elif np.isinf(middle):
        return f"{rows.height - never} of {rows.height} {noun} reach {level} at some tap"
    else:
        said = f"half of {rows.height} {noun} reach {level} by depth {middle:.2f}"
    return f"{said}, and {never} never do" if never else said


def _ends(rows: pl.DataFrame, name: str) -> Iterator[str]:
    """The first and the last to rise to the common level, at which pairs compare."""
    ordered = rows.filter(common_state="reached").sort("common_depth", *_KEY)
    if ordered.height > 2 * _FEW:
        first, last = (
            ", ".join(_pair(r) for r in part.iter_rows(named=True))
            for part in (ordered.head(_FEW), ordered.tail(_FEW).reverse())
        )
        yield (
            f"{name}, the first to rise to {rows['common_level'][0]:.2f} after the first tap are "
            f"{first}; the last are {last}."
        )


def _pair(row: dict[str, object]) -> str:
    a, b = row["language_a"], row["language_b"]
    return f"{a if a == b else f'{a}–{b}'} ({row['common_depth']:.2f})"


def claims(frame: pl.DataFrame) -> tuple[Claim, ...]:
    """The language gap is reduced earlier in text than in speech (section 3.2).

    The effect is the mean over pairs of languages of the depth in speech minus that in text, for
    pairs that have both, and is tested by :func:`isogloss.findings.statistics.mean`.
    """
    there = set(frame["what"])
    if not {"text", "speech"} <= there:
        return ()
    raw = "a raw score has no zero, so a share of its maximum says nothing"
    measure = frame["measure_used"][0]
    made = [_claim("raw", reason=raw)]
    for scores in ("calibrated", "controlled"):
        rows = frame.filter(scores=scores)
        if not rows.is_empty():
            made.append(_tested(rows, scores))
    return tuple(replace(claim, measure=measure) for claim in made)


def _tested(rows: pl.DataFrame, scores: str) -> Claim:
    text, speech = (
        rows.filter(what=what).select(*_KEY, "own_depth", "own_state")
        for what in ("text", "speech")
    )
    both = text.join(speech, on=_KEY, suffix="_speech")
    pairs = both.filter(pl.col("own_depth").is_not_nan() & pl.col("own_depth_speech").is_not_nan())
    if pairs.is_empty():
        return _claim(scores, reason="no pair of languages converges in text and in speech")
    later = (pairs["own_depth_speech"] - pairs["own_depth"]).to_numpy()
    found = mean(later, pairs["language_a"].to_list(), pairs["language_b"].to_list())
    # A depth is 0 to 1, and so what is shown is cut; the test is not.
    low, high = np.clip([found.low, found.high], -1.0, 1.0).tolist()
    without = both.height - pairs.height
    left = f", {without} more never do in one of them" if without else ""
    detail = (
        f"pairs of languages reach {rows['share'][0]:g} of their own maximum at a mean depth of "
        f"{float(pairs['own_depth'].mean()):.2f} in text and "  # type: ignore[arg-type]
        f"{float(pairs['own_depth_speech'].mean()):.2f} in speech "  # type: ignore[arg-type]
        f"({pairs.height} pairs of {found.count} languages{left}; {scores} scores)"
    )
    return _claim(scores, found.effect, low, high, found.p_value, found.count, detail, found.reason)


def _claim(
    scores: str,
    effect: float = float("nan"),
    low: float = float("nan"),
    high: float = float("nan"),
    p_value: float = float("nan"),
    count: int = 0,
    detail: str = "",
    reason: str = "",
) -> Claim:
    return Claim(
        "text first",
        "The language gap is reduced earlier in text than in speech",
        "section 3.2",
        scores,  # type: ignore[arg-type]
        effect,
        low,
        high,
        p_value,
        count,
        "relative depth in speech minus that in text",
        detail,
        reason,
        given="" if reason else "these sentences",
    )


def tables(frame: pl.DataFrame) -> tuple[tuple[str, pl.DataFrame], ...]:
    """Summaries by family and resource level, and all pairs."""
    plain = frame.filter(scores="calibrated")
    pairs = plain.select(
        "what", *_KEY, "kin", "resource", highest="top",
        own_depth="own_depth", own="own_state",
        common_depth="common_depth", common="common_state", reason="reason",
    ).sort("what", "common_depth", "own_depth", nulls_last=True)  # fmt: skip
    parts = [_summary(plain, column) for column in ("kin", "resource")]
    return (("By family and resource level", pl.concat(parts)), ("All pairs", pairs))


def _summary(rows: pl.DataFrame, column: str) -> pl.DataFrame:
    def median(which: str) -> pl.Expr:
        """Of all, with those that never get there last; NaN if that is half of them."""
        middle = pl.col(f"{which}_depth").fill_nan(float("inf")).median()
        return pl.when(middle.is_infinite()).then(float("nan")).otherwise(middle)

    def count(which: str, state: str) -> pl.Expr:
        return (pl.col(f"{which}_state") == state).sum()

    made = (
        rows.filter(pl.col(column) != "")
        .group_by("what", column)
        .agg(
            pairs=pl.len(),
            own_median=median("own"),
            own_at_first_tap=count("own", "start"),
            own_never=count("own", "never"),
            common_median=median("common"),
            common_at_first_tap=count("common", "start"),
            common_never=count("common", "never"),
        )
        .rename({column: "group"})
    )
    order = pl.col("what").replace_strict({w: i for i, w in enumerate(WHAT)}, return_dtype=pl.Int64)
    return made.sort(order, "group")
