"""What the models beside each other say, in plain sentences."""

from collections.abc import Mapping
from math import isnan

import polars as pl

from isogloss.analyses._curves import NO_CHANCE, shown
from isogloss.findings.statistics import LEVEL
from isogloss.findings.words import probability
from isogloss.together.models import joined
from isogloss.together.tables import CALIBRATED, CONTROLLED, MODAL, RAW, SPEECH, TEXT

PAPER = {
    "seamless": "modality gap for nearly all languages",
    "salmonn": "modality gap for nearly all languages",
    "sonar": "language gap for most languages",
}
"""Model family -> the gap that the paper finds to be the larger one (section 3.3, Figure 5)."""

_NAMES = {
    MODAL: "speech and text of one language",
    TEXT: "languages in text",
    SPEECH: "languages in speech",
}


def of_kind(table: pl.DataFrame, differences: pl.DataFrame, kind: str) -> tuple[str, ...]:
    """Say which model is the most alike in one kind of comparison, and by how much.

    Args:
        table: Means at the last tap, of :func:`isogloss.together.tables.summary`.
        differences: Rows of one measure without control, of
            :func:`isogloss.together.tables.differences`.
        kind: One of the kinds.
    """
    if table.is_empty():
        return ("Nothing is compared here.",)
    own = table.filter(kind=kind).sort("calibrated", descending=True, nulls_last=True)
    if own.is_empty():
        return (f"No model was compared on {_NAMES[kind]}.",)
    known = own.drop_nulls("calibrated")
    if known.is_empty():
        what = NO_CHANCE if own["chance"].is_null().all() else "No calibrated score is defined."
        return (what,)
    values = ", ".join(
        f"{r['model']} {shown(r['calibrated'])} (score {shown(r['score'])}, chance "
        f"{shown(r['chance'])}, at {r['label']})"
        for r in known.iter_rows(named=True)
    )
    found = [
        f"Calibrated similarity of {_NAMES[kind]} at the last tap, N {_span(known['N'])}: {values}."
    ]
    if known.height > 1:
        found.insert(0, _best(known, differences.filter(kind=kind), kind))
    absent = own.filter(pl.col("calibrated").is_null())["model"].to_list()
    if absent:
        found.append(f"Not defined for {joined(absent)}.")
    return tuple(found)


def _best(known: pl.DataFrame, pairs: pl.DataFrame, kind: str) -> str:
    first = known["model"][0]
    claim = f"{first} has the {_BEST[kind]} at the last tap"
    worse: list[str] = []
    open_: list[str] = []
    untested: list[str] = []
    for other in known["model"][1:]:
        row = pairs.filter(
            pl.col("model_a").is_in([first, other]), pl.col("model_b").is_in([first, other])
        ).row(0, named=True)
        p, sign = row["p_holm"], 1 if row["model_a"] == first else -1
        ends = sorted((sign * row["low"], sign * row["high"]))
        text = f"{other} ({sign * row['difference']:+.2f}"
        if isnan(p):
            untested.append(f"{text}): {row['reason']}")
        else:
            part = f"{text}, 95 % {ends[0]:.2f} to {ends[1]:.2f}, p {probability(p)} after Holm)"
            (worse if p <= LEVEL and sign * row["difference"] > 0 else open_).append(part)
    if worse and not open_ and not untested:
        return f"{claim}, clearly so against {joined(worse)}."
    said = []
    if worse:
        said.append(f"clearly so against {joined(worse)}")
    if open_:
        said.append(f"but it cannot be told from {joined(open_)}")
    if untested:
        said.append(f"untested against {joined(untested)}")
    return f"{claim}: {'; '.join(said)}."


_BEST = {
    MODAL: "smallest modality gap",
    TEXT: "smallest language gap in text",
    SPEECH: "smallest language gap in speech",
}


def of_gaps(counts: pl.DataFrame, families: Mapping[str, str]) -> tuple[str, ...]:
    """Say which gap is the larger in each model.

    Args:
        counts: Rows of :func:`isogloss.together.tables.gap_counts` of one measure.
        families: Model -> its family.
    """
    known = counts.filter(pl.col("decided") > 0)
    if known.is_empty():
        return ("No comparison of the two gaps is defined.",)
    scores = CALIBRATED if CALIBRATED in set(known["scores"]) else RAW
    headline = [
        f"{r['modality']} of {r['decided']} in {r['model']}"
        for r in known.filter(scores=scores).iter_rows(named=True)
    ]
    found = [
        f"Languages whose modality gap is larger than their language gap, by {scores} scores: "
        f"{', '.join(headline)}."
    ]
    for model in known["model"].unique(maintain_order=True):
        own = {r["scores"]: r for r in known.filter(model=model).iter_rows(named=True)}
        parts = [
            f"{own[name]['modality']} of {own[name]['decided']} by {name} scores"
            for name in (RAW, CALIBRATED, CONTROLLED)
            if name in own
        ]
        said = PAPER.get(families[model])
        paper = f" In the paper it is the {said}." if said else ""
        found.append(f"{model}: the modality gap is the larger one for {'; '.join(parts)}.{paper}")
    return tuple(found)


def gap_table(counts: pl.DataFrame, families: Mapping[str, str]) -> pl.DataFrame:
    """One row per model, with the paper's word on it."""
    columns = ["model"]
    table = counts.select("model").unique(maintain_order=True)
    for scores in counts["scores"].unique(maintain_order=True):
        own = counts.filter(scores=scores).select(
            "model",
            (pl.format("{} of {}", "modality", "decided")).alias(f"modality gap larger, {scores}"),
            pl.col("language").alias(f"language gap larger, {scores}"),
        )
        table = table.join(own, on="model", how="left", maintain_order="left")
        columns += own.columns[1:]
    paper = [PAPER.get(families[m]) for m in table["model"]]
    return table.select(columns).with_columns(
        pl.Series("larger gap in the paper", paper, dtype=pl.String())
    )


def of_differences(frame: pl.DataFrame) -> tuple[str, ...]:
    """Count the differences that can be told from zero.

    Args:
        frame: Rows of :func:`isogloss.together.tables.differences` of one measure.
    """
    plain = frame.filter(control="")
    if plain.is_empty():
        return ("No two models have a kind of comparison in common.",)
    tested = plain.filter(pl.col("p_holm").is_not_nan())
    found = []
    if tested.is_empty():
        found.append(f"No difference could be tested: {plain['reason'][0]}.")
    else:
        clear = tested.filter(pl.col("p_holm") <= LEVEL)
        found.append(
            f"{clear.height} of {tested.height} differences between two models can be told from "
            "zero (p ≤ .05 after Holm, over all kinds and pairs of models)."
        )
        untested = plain.filter(pl.col("p_holm").is_nan())
        if untested.height:
            found.append(f"{untested.height} could not be tested: {untested['reason'][0]}.")
    without = frame.filter(pl.col("control") != "").filter(pl.col("p_holm").is_not_nan())
    both = without.join(tested, on=["kind", "model_a", "model_b"], suffix="_plain")
    if both.height:
        turned = both.filter(
            (pl.col("difference") * pl.col("difference_plain") < 0)
            & (pl.col("p_holm") <= LEVEL)
            & (pl.col("p_holm_plain") <= LEVEL)
        ).height
        still = both.filter((pl.col("p_holm") <= LEVEL) & (pl.col("p_holm_plain") <= LEVEL))
        found.append(
            f"With {without['control'][0]} taken out of both views, {still.height - turned} of the "
            f"{both.filter(pl.col('p_holm_plain') <= LEVEL).height} remain, and "
            f"{turned} {'turns' if turned == 1 else 'turn'} round."
        )
    found.append(
        "Models are compared by calibrated scores only: the raw SVCCA of a wide model is higher "
        "than that of a narrow one even for views that have nothing to do with each other."
    )
    return tuple(found)


def _span(values: pl.Series) -> str:
    low, high = str(values.min()), str(values.max())
    return low if low == high else f"{low} to {high}"
