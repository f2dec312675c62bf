"""One row per language: how alike its text is to its own speech, and to other languages."""

import polars as pl

from isogloss import specs
from isogloss.analyses._curves import high_to_low, nan_free, resource
from isogloss.results import NULL, calibrate
from isogloss.similarity.measures import MEASURES

MODAL, TEXT, SPEECH = "cross-modal", "cross-lingual text", "cross-lingual speech"
KINDS = (MODAL, TEXT, SPEECH)
_TIE = 1e-9


def by_language(frame: pl.DataFrame) -> pl.DataFrame:
    """One row per language: its cross-modal score, and the range over its partners.

    ``larger gap`` follows the study: the modality gap is the larger one when some other language's
    text is more similar to a language's text than its own speech is. It is read off the raw
    scores; ``larger gap (calibrated)`` off the calibrated ones, which have comparable chance.
    ``closest`` is the score of the most similar partner: the lowest one for distances.
    """
    turned = frame.filter(pl.col("group") != MODAL).with_columns(
        language_a=pl.col("language_b"), language_b=pl.col("language_a")
    )
    both = pl.concat([frame, turned.select(frame.columns)]).with_columns(
        NULL.alias("null"), calibrate(pl.col("baseline"), NULL).alias("baseline calibrated")
    )
    larger = specs.parse(MEASURES, frame["measure"][0]).info.larger_is_more_similar
    table = both.select(
        pl.col("language_a").alias("language"),
        resource("language_a").alias("resource"),
    ).unique()
    for kind in KINDS:
        rows = both.filter(group=kind).group_by(language="language_a")
        table = table.join(
            rows.agg(
                nan_free("score").mean().alias(kind),
                nan_free("score").min().alias(f"{kind} lowest"),
                nan_free("score").max().alias(f"{kind} highest"),
                (nan_free("score").max() if larger else nan_free("score").min()).alias(
                    f"{kind} closest"
                ),
                nan_free("null").mean().alias(f"{kind} chance"),
                nan_free("baseline").mean().alias(f"{kind} baseline"),
                nan_free("baseline calibrated").mean().alias(f"{kind} baseline calibrated"),
                nan_free("calibrated").mean().alias(f"{kind} calibrated"),
                nan_free("calibrated").min().alias(f"{kind} calibrated lowest"),
                nan_free("calibrated").max().alias(f"{kind} calibrated highest"),
                pl.col("n").min().alias(f"{kind} N"),
                nan_free("low").mean().alias(f"{kind} low"),
                nan_free("high").mean().alias(f"{kind} high"),
                nan_free("score").count().alias(f"{kind} partners"),
            ),
            on="language",
            how="left",
        )

    def verdict(suffix: str) -> pl.Expr:
        # A calibrated score is larger for what is more similar, whatever the measure.
        sign = 1 if larger or suffix else -1
        own = sign * pl.col(f"{MODAL}{suffix}")
        best = sign * pl.col(f"{TEXT} calibrated highest" if suffix else f"{TEXT} closest")
        # Where chance is as good as a score can be, differences are rounding; where there is no
        # chance level at all, raw scores can be compared all the same.
        full = pl.any_horizontal(
            pl.col(f"{kind} calibrated").is_null() & pl.col(f"{kind} chance").is_not_null()
            for kind in (MODAL, TEXT)
        )
        return (
            pl.when(own.is_null() | best.is_null() | full)
            .then(None)
            .when((own - best).abs() < _TIE)
            .then(pl.lit("neither"))
            .when(own < best)
            .then(pl.lit("modality"))
            .otherwise(pl.lit("language"))
        )

    return (
        table.with_columns(
            verdict("").alias("larger gap"),
            verdict(" calibrated").alias("larger gap (calibrated)"),
        )
        .sort(high_to_low("resource"), "language")
        .select(
            "language",
            "resource",
            "larger gap",
            "larger gap (calibrated)",
            pl.exclude("language", "resource", "larger gap", "larger gap (calibrated)"),
        )
    )
