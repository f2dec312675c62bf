"""What the maps say in sentences, as claims, and in a table."""

from collections.abc import Iterator
from math import isnan

import polars as pl

from isogloss.analyses._curves import shown
from isogloss.analyses._maps_figure import means
from isogloss.analyses._maps_table import FAMILY, LANGUAGE, MODALITIES, RETRIEVAL
from isogloss.analyses.base import Claim
from isogloss.findings.statistics import Estimate
from isogloss.findings.statistics import mean as mean_of

_SOURCE = "section 3.2 and Figure 4"
_CLAIMS = (
    (
        "speech by language",
        "At a middle layer, speech is clustered by language more than text is",
        LANGUAGE,
        1,
        "share of neighbours of the same language, speech minus text",
    ),
    (
        "speech by family",
        "At a middle layer, speech is clustered by language family more than text is",
        FAMILY,
        1,
        "share of neighbours of the same family, speech minus text",
    ),
    (
        "text by meaning",
        "At a middle layer, text is organised by meaning more than speech is",
        RETRIEVAL,
        -1,
        "share of translations that are nearest, text minus speech",
    ),
)


def middle(frame: pl.DataFrame) -> dict[str, str]:
    """Modality -> the tap that is printed."""
    rows = frame.filter(pl.col("printed"), kind="step")
    return dict(zip(rows["modality"], rows["tap"], strict=True))


def claims(frame: pl.DataFrame) -> tuple[Claim, ...]:
    """Speech against text at the middle tap, each language or pair with itself.

    Chance depends on how many languages and sentences there are, so neighbours are counted among
    those that both modalities have.
    """
    taps = middle(frame)
    if len(taps) < len(MODALITIES):
        return ()
    out = []
    for name, statement, number, sign, unit in _CLAIMS:
        kinds = [
            frame.filter(
                pl.col("kind").is_in(["share in both", "pair in both"]),
                number=number,
                modality=m,
                tap=taps[m],
            ).select("language", "partner", pl.col("value").alias(m))
            for m in MODALITIES
        ]
        both = kinds[0].join(kinds[1], on=["language", "partner"], nulls_equal=True)
        values = sign * (both["speech"] - both["text"])
        pairs = both["partner"].to_list() if number == RETRIEVAL else None
        found = mean_of(values.to_numpy(), both["language"].to_list(), pairs)
        each = both.filter(values.is_not_nan()).select(pl.col(MODALITIES).mean())
        text, speech = each.row(0)
        detail = (
            f"{shown(text)} in text (tap {taps['text']}), {shown(speech)} in speech (tap "
            f"{taps['speech']})"
        )
        out.append(
            Claim(
                name,
                statement,
                _SOURCE,
                "raw",
                found.effect,
                found.low,
                found.high,
                found.p_value,
                found.count,
                unit,
                detail if found.count else "",
                found.reason,
                "" if found.reason else found.given,
            )
        )
    return tuple(out)


def findings(frame: pl.DataFrame) -> tuple[str, ...]:
    """Sentences about the middle tap, and how far maps may be trusted."""
    found, taps = means(frame), middle(frame)
    k = frame.filter(kind="map")["neighbours"][0]
    out = list(
        _about(
            found,
            taps,
            LANGUAGE,
            f"of the {k} nearest neighbours of a sentence",
            "are of its own language",
        )
    )
    out += _about(
        found,
        taps,
        FAMILY,
        f"of its {k} nearest neighbours in other languages",
        "are of its language's family",
    )
    out += _about(
        found,
        taps,
        RETRIEVAL,
        "of the sentences",
        "have their translation as the nearest sentence of another language",
    )
    failed = frame.filter(pl.col("reason") != "", kind="map")
    for row in failed.iter_rows(named=True):
        out.append(f"There is no map of {row['modality']} at tap {row['tap']}: {row['reason']}.")
    gone = frame.filter(pl.col("left_out") > 0, pl.col("reason") == "", kind="map")
    if gone.height:
        most = max(gone["left_out"].to_list())
        out.append(
            f"On {gone.height} maps sentences are missing, at most {most}, whose activations are "
            "not finite."
        )
    out.append(
        "A map shows who is next to whom, and nothing else: sizes of clouds, distances between "
        "them and where they stand depend on the method. The shares of neighbours do not."
    )
    return tuple(out)


def _about(
    found: dict[tuple[str, str, str], tuple[Estimate, float]],
    taps: dict[str, str],
    number: str,
    of_what: str,
    what: str,
) -> Iterator[str]:
    parts = []
    for modality in MODALITIES:
        if modality not in taps:
            continue
        estimate, chance = found[number, modality, taps[modality]]
        if not isnan(estimate.effect):
            share = f"{100 * estimate.effect:.0f} % in {modality}"
            parts.append(f"{share} (chance {100 * chance:.1f} %)")
    if parts:
        where = " and ".join(dict.fromkeys(taps.values()))
        yield f"At the middle tap ({where}), {' and '.join(parts)} {of_what} {what}."


def tables(frame: pl.DataFrame) -> tuple[tuple[str, pl.DataFrame], ...]:
    """One row for each tap of each modality: the numbers, and how its map was made."""
    found = means(frame)
    rows = []
    for step in (
        frame.filter(kind="step").sort("position", maintain_order=True).iter_rows(named=True)
    ):
        modality, tap = step["modality"], step["tap"]
        how = frame.filter(kind="map", modality=modality, tap=tap).row(0, named=True)
        row = {"step": step["label"], "modality": modality, "tap": tap}
        for number in (LANGUAGE, FAMILY, RETRIEVAL):
            estimate, chance = found[number, modality, tap]
            row |= {number: estimate.effect, f"{number}: low": estimate.low}
            row |= {f"{number}: high": estimate.high, f"{number}: chance": chance}
        named = ("points", "left_out", "perplexity", "divergence", "reason")
        rows.append(row | {name.replace("_", " "): how[name] for name in named})
    return (("By tap", pl.DataFrame(rows, infer_schema_length=None)),)
