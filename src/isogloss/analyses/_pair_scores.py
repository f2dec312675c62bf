"""The scores of pairs of languages, as readings take them from the table of ``cross_lingual``."""

import polars as pl

from isogloss import specs
from isogloss.analyses.base import Material
from isogloss.errors import IsoglossError
from isogloss.results import PLAIN
from isogloss.similarity.base import Measure
from isogloss.similarity.measures import MEASURES

KINDS = ("raw", "calibrated", "controlled")


def chosen_measure(material: Material, name: str | None) -> Measure:
    """A measure of the study: its first, if none is named.

    Raises:
        IsoglossError: The study has no such measure.
    """
    used = [specs.parse(MEASURES, line) for line in material.study["measures"]]
    wanted = used[0] if name is None else specs.parse(MEASURES, name)
    if wanted not in used:
        named = "; ".join(specs.write(MEASURES, m) for m in used)
        raise IsoglossError(
            f"{specs.write(MEASURES, wanted)} is no measure of the study, which has {named}"
        )
    return wanted


def pair_scores(material: Material, measure: str | None) -> pl.DataFrame:
    """How alike each pair of languages is at each tap of each modality.

    Returns:
        Columns ``group`` (the modality), ``label``, ``position``, ``depth``, ``language_a`` and
        ``language_b`` (in alphabetical order), ``measure``, and the scores: ``raw`` (of a
        distance, its negative), ``calibrated``, and ``controlled`` (calibrated, without
        confounds; NaN if none were taken out). ``p_calibrated`` and ``p_controlled`` are their
        p-values, corrected for all taps.

    Raises:
        IsoglossError: There is no table of ``cross_lingual``, or the study has no such measure.
    """
    table = material.tables.get("cross_lingual")
    if table is None:
        raise IsoglossError(
            "it reads the scores of cross_lingual; name that analysis in the study too"
        )
    used = chosen_measure(material, measure)
    return scores_of(table, used, specs.write(MEASURES, used))


def scores_of(table: pl.DataFrame, measure: Measure, line: str) -> pl.DataFrame:
    """The same from any table of scores, by one measure, which the table calls ``line``."""
    sign = 1 if measure.info.larger_is_more_similar else -1
    rows = table.filter(measure=line)
    a, b = (f("language_a", "language_b") for f in (pl.min_horizontal, pl.max_horizontal))
    rows = rows.with_columns(language_a=a, language_b=b)
    key = ["group", "label", "language_a", "language_b"]
    plain = rows.filter(control=PLAIN).select(
        *key, "position", "depth", "measure",
        raw=sign * pl.col("score"),
        calibrated="calibrated", p_calibrated="p_curve",
    )  # fmt: skip
    without = rows.filter(pl.col("control") != PLAIN).select(
        *key, controlled="calibrated", p_controlled="p_curve"
    )
    joined = plain.join(without, on=key, how="left", maintain_order="left")
    filled = pl.col("controlled", "p_controlled").fill_null(float("nan"))
    return joined.with_columns(filled).sort("group", "position", "language_a", "language_b")
