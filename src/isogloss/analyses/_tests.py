"""What permutation tests say in a sentence, and when there are too few of them to say anything."""

import polars as pl

from isogloss.findings.statistics import LEVEL

_INVERSE = 20
"""One over the level, as a whole number, so that what is counted by it is exact."""
_NO_TEST = "no p-value"
"""How the reason of a mean begins that could not be tested."""
_EXACT = 1e-12
"""Rounding of a quotient that equals the level."""


def rejected(column: str) -> pl.Expr:
    """Whether a corrected p-value is at most the level; null where there is no test."""
    return pl.col(column).fill_nan(None) <= LEVEL + _EXACT


def of_languages(rows: pl.DataFrame, family: pl.DataFrame, where: str) -> str | None:
    """How many scores are better than their permutation null, or that nobody can tell.

    Args:
        rows: The scores spoken of.
        family: All scores that were corrected together, these among them.
        where: The place of the rows, at the start of the sentence.

    Returns:
        None without tests.
    """
    tested = rows.filter(pl.col("q_value").is_not_nan())
    if tested.is_empty():
        return None
    above = tested.filter(rejected("q_value")).height
    if not above:
        together = family.filter(pl.col("p_value").is_not_nan())
        count = int(tested["permutations"].min())  # type: ignore[arg-type]
        # The least p-value there is: no shuffle did as well.
        least = pl.col("p_value") * (pl.col("permutations") + 1) < 1.5
        ahead, here = together.filter(least).height, tested.filter(least).height
        # Benjamini and Hochberg multiply it by the tests and divide by how many share it.
        needed = -(-_INVERSE * together.height // (ahead or together.height)) - 1
        if count < needed and (here or count < _INVERSE - 1):
            what = (
                f"{ahead} of the {together.height} scores tested together are better than all "
                f"their permutations, and for that to count at a false discovery rate of .05 it "
                f"takes {needed:,}"
                if ahead
                else f"it takes {needed} for any p-value to reach .05"
            )
            return f"{count} permutations are too few to test single languages: {what}."
    return (
        f"{where} {above} of {tested.height} languages score better than their permutation null "
        "(false discovery rate .05 over all languages and taps)."
    )


def of_mean(means: pl.DataFrame) -> str | None:
    """At how many places the mean is better than chance, or that nobody can tell."""
    tested = means.filter(pl.col("p_curve").is_not_nan())
    if tested.is_empty():
        untested = means.filter(pl.col("reason").str.starts_with(_NO_TEST))
        if untested.is_empty():
            return None
        return f"The mean over languages has {untested['reason'][-1]}."
    count = int(tested["permutations"].min())  # type: ignore[arg-type]
    if count < _INVERSE - 1:
        return (
            f"{count} permutations are too few to test the mean over languages; it takes "
            f"{_INVERSE - 1} for any p-value to reach .05."
        )
    above = tested.filter(rejected("p_curve")).height
    return (
        f"The mean over languages is better than chance at {above} of {tested.height} places "
        "(p ≤ .05, corrected for having looked at all of them)."
    )
