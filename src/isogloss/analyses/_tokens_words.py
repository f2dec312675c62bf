"""What the correlation of shared tokens with scores says: findings, claims and tables."""

from collections.abc import Iterator
from dataclasses import replace
from math import isnan
from typing import Any

import polars as pl

from isogloss.analyses._tokens_figures import SCORES
from isogloss.analyses._tokens_table import INPUT
from isogloss.analyses.base import Claim
from isogloss.findings.statistics import LEVEL
from isogloss.fragmentation import KINDS, SHARES

_SOURCE = "section 3.2"
NAN = float("nan")


def findings(frame: pl.DataFrame) -> tuple[str, ...]:
    """Plain sentences, the headline first."""
    return tuple(_sentences(frame)) or ("No correlation of shared tokens with scores is defined.",)


def _sentences(frame: pl.DataFrame) -> Iterator[str]:
    place = frame["place"][0]
    yield from _headline(frame)
    for scores in ("calibrated", "raw", "controlled"):
        row = _at(frame, scores, "")
        if row is None:
            continue
        if isnan(row["r"]):
            yield f"By {SCORES[scores]} nothing can be correlated at tap {place}: {row['reason']}."
            continue
        yield (
            f"By {SCORES[scores]} at tap {place}, r = {row['r']:.3f} over {row['pairs']} pairs of "
            f"{row['languages']} languages{_interval(row)}, Mantel p = {_p(row['p_mantel'])}; the "
            f"ordinary p, as if pairs were independent, is {_p(row['p_ordinary'])}."
        )
        partial = [
            f"{one['r']:.3f}{_interval(one)}, p = {_p(one['p_mantel'])}, with {without} taken out"
            for without in ("resource level", "same script", "token length")
            if (one := _at(frame, scores, without)) is not None and not isnan(one["r"])
        ]
        if partial:
            yield f"Of what is left of both ({scores} scores), r is {'; '.join(partial)}."
    for row in frame.filter(kind="difference", without="fades", scores="calibrated").to_dicts():
        first, last = _at(frame, "calibrated", ""), _last(frame, "calibrated")
        if first and last and first["tap"] != last["tap"] and not isnan(row["r"]):
            yield (
                f"From tap {first['tap']} to {last['tap']} r goes from {first['r']:.3f} to "
                f"{last['r']:.3f} (calibrated scores{_difference(row)})."
            )
    others = frame.filter(kind="correlation", without="", tap=place, scores="calibrated")
    others = others.filter(pl.col("r").is_not_nan())
    if others.height > 1:
        yield (
            "With the other definitions of the share, r at "
            f"{place} is " + ", ".join(
                f"{r['r']:.3f} ({r['variant']})"
                for r in others.filter(pl.col("variant") != frame["variant"][0]).to_dicts()
            ) + " (calibrated scores)."
        )  # fmt: skip
    yield from _fragmented(frame)


def _headline(frame: pl.DataFrame) -> Iterator[str]:
    rows = [row for scores in ("calibrated", "raw") if (row := _at(frame, scores, ""))]
    tested = [row for row in rows if not isnan(row["r"])]
    if tested:
        row = tested[0]
        yield (
            f"{_word(row)} at tap {frame['place'][0]} (r = {row['r']:.2f}, Mantel p = "
            f"{_p(row['p_mantel'])}, {SCORES[row['scores']]})."
        )


def _word(row: dict[str, Any]) -> str:
    # An interval that holds 0 beside a small p, as with few languages, says nothing.
    if row["p_mantel"] > LEVEL or row["low"] <= 0 <= row["high"]:
        return "Languages that share more tokens are not shown to have more, or less, alike texts"
    return f"Languages that share more tokens have {'more' if row['r'] > 0 else 'less'} alike texts"


def _fragmented(frame: pl.DataFrame) -> Iterator[str]:
    rows = frame.filter(kind="language").filter(pl.col("tokens").is_not_nan()).sort("tokens")
    if rows.height < 2:
        return
    least, most = rows.row(0, named=True), rows.row(-1, named=True)
    small = sum(most[k] for k in KINDS)
    single = "single characters, parts of one, or unknown"
    of_one = "" if isnan(small) else f", where {100 * small:.0f} % of them are {single}"
    yield (
        f"The same sentences ({frame['source'][0]}) take from {least['tokens']:.1f} tokens in "
        f"{least['language']} to {most['tokens']:.1f} in {most['language']}{of_one}."
    )


def claims(frame: pl.DataFrame) -> tuple[Claim, ...]:
    """The relation, that it fades, and that it is stronger without resource level."""
    place = frame["place"][0]
    first = place == INPUT
    made = []
    for scores in SCORES:
        row = _at(frame, scores, "")
        if row is None:
            continue
        known = not isnan(row["r"])
        detail = (
            f"r = {row['r']:.3f} over {row['pairs']} pairs; ordinary p {_p(row['p_ordinary'])}, "
            f"Mantel p {_p(row['p_mantel'])} with {row['permutations']} orders"
        )
        made.append(
            Claim(
                "tokens" if first else f"tokens at {place}",
                "The more tokens two languages share, the more alike their texts are "
                + ("right after the word embedding" if first else f"at tap {place}"),
                _SOURCE if first else "",
                scores,  # type: ignore[arg-type]
                row["r"],
                row["low"],
                row["high"],
                row["p_mantel"],
                row["languages"],
                f"Pearson's r over pairs of languages, tap {place}",
                detail if known else "",
                "" if known else row["reason"],
                "these sentences" if known else "",
            )
        )
        last = _last(frame, scores)
        made += _of_difference(
            frame, scores, "fades", "tokens fade",
            "Shared tokens go together with likeness less at the last tap than "
            + ("right after the word embedding" if first else f"at tap {place}"), _SOURCE,
            f"r at {place} minus r at {last['tap']}" if last else "difference of r",
        )  # fmt: skip
        made += _of_difference(
            frame, scores, "resource", "tokens resource",
            "Shared tokens go together with likeness more once resource level is taken out",
            "footnote 3", "r without resource level minus r",
        )  # fmt: skip
    return tuple(replace(claim, measure=frame["measure_used"][0]) for claim in made)


def _of_difference(
    frame: pl.DataFrame, scores: str, which: str, name: str, statement: str, source: str, unit: str
) -> list[Claim]:
    made = []
    for row in frame.filter(kind="difference", without=which, scores=scores).to_dicts():
        known = not isnan(row["p_value"])
        reason = row["reason"] or "a correlation is not defined without one of the languages"
        made.append(
            Claim(
                name,
                statement,
                source,
                scores,  # type: ignore[arg-type]
                row["r"],
                row["low"],
                row["high"],
                row["p_value"],
                row["languages"],
                unit,
                f"{unit} is {row['r']:.3f}, by a jackknife over languages" if known else "",
                "" if known else reason,
                "these sentences" if known else "",
            )
        )
    return made


def tables(frame: pl.DataFrame) -> tuple[tuple[str, pl.DataFrame], ...]:
    """Pairs, correlations and languages."""
    share = frame["variant"][0]
    pairs = frame.filter(kind="pair").select(
        "language_a", "language_b", "sentences", *SHARES, "same_script", *SCORES
    )
    correlations = frame.filter(kind="correlation").select(
        "scores", "tap", "variant", pl.col("without").replace("", "nothing").alias("taken out"),
        "r", "low", "high", "p_ordinary", "p_mantel", "p_all", "pairs", "languages", "reason",
    )  # fmt: skip
    spoken = frame.filter(kind="language").select(
        "language", "sentences", "tokens", "per_character", "per_byte", *KINDS
    )
    return (
        ("Pairs of languages", pairs.sort(share, descending=True)),
        ("Correlations with shared tokens", correlations),
        ("Fragmentation by language", spoken),
    )


def _at(frame: pl.DataFrame, scores: str, without: str) -> dict[str, Any] | None:
    """The correlation at the tap that is looked at."""
    rows = _correlations(frame, scores, without).filter(tap=frame["place"][0])
    return rows.row(0, named=True) if rows.height else None


def _last(frame: pl.DataFrame, scores: str) -> dict[str, Any] | None:
    rows = _correlations(frame, scores, "").sort("position")
    return rows.row(-1, named=True) if rows.height else None


def _correlations(frame: pl.DataFrame, scores: str, without: str) -> pl.DataFrame:
    share = frame.filter(kind="pair")["variant"][0]
    return frame.filter(kind="correlation", scores=scores, without=without, variant=share)


def _interval(row: dict[str, Any]) -> str:
    return "" if isnan(row["low"]) else f" (95 % {row['low']:.3f} to {row['high']:.3f})"


def _difference(row: dict[str, Any]) -> str:
    if isnan(row["low"]):
        return ""
    return (
        f"; difference {row['r']:.3f}, 95 % {row['low']:.3f} to {row['high']:.3f}, "
        f"p = {_p(row['p_value'])}"
    )


def _p(value: float) -> str:
    """A p-value. How small it is counts here, where the ordinary one is far too small."""
    return f"{value:.2g}" if value < 0.001 else f"{value:.3f}"
