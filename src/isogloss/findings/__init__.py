"""The claims of the study on the model at hand: tests, verdicts, and what they say in words."""

import polars as pl

from isogloss import specs
from isogloss.analyses.base import Summary
from isogloss.charts import Chart
from isogloss.findings.figure import figures
from isogloss.findings.table import KINDS, SCHEMA, gather, table
from isogloss.findings.words import disagreements, grouped, headline, sentence
from isogloss.similarity.measures import MEASURES

__all__ = ["QUESTION", "SCHEMA", "TITLE", "gather", "summary", "table"]

TITLE = "Findings"
QUESTION = "Does what the study found hold for this model?"
_GIVEN = (
    "Some tests hold the sentences fixed: they say what other languages would give on these "
    "sentences."
)
_HALVES = " For scores over the taps, the analysis `halves` takes other sentences into account too."


def summary(frame: pl.DataFrame) -> Summary:
    """Describe the table of findings: what holds, where kinds of scores disagree, a figure.

    Args:
        frame: With the columns of :data:`SCHEMA`.
    """
    if frame.is_empty():
        return Summary(("There is no claim to test: no analysis of the run makes one.",), ())
    parts = _by_measure(frame)
    found: list[str] = []
    charts: list[Chart] = []
    tables: list[tuple[str, pl.DataFrame]] = []
    for measure, rows in parts.items():
        short = _short(measure)
        ahead, after = (f"{short}: ", f": {short}") if len(parts) > 1 else ("", "")
        found += [f"{ahead}{headline(rows)}", *(f"{ahead}{s}" for s in disagreements(rows))]
        number = f"_{len(charts) + 1}" if len(parts) > 1 else ""
        charts += figures(rows, short, f"findings{number}")
        tables.append((f"Verdicts{after}", _verdicts(rows)))
        said = pl.DataFrame({"finding": [sentence(claim) for claim in grouped(rows)]})
        tables.append((f"In words{after}", said))
    if (frame["given"] == "these sentences").any():
        fixed = frame.filter(given="these sentences")["analysis"]
        over = fixed.is_in(["cross_modal", "cross_lingual"]).any()
        found.append(_GIVEN + (_HALVES if over else ""))
    tables.append(("All tests", frame.drop("measure") if len(parts) == 1 else frame))
    return Summary(tuple(found), tuple(charts), tuple(tables))


def _by_measure(frame: pl.DataFrame) -> dict[str, pl.DataFrame]:
    """The claims of each measure; those that rest on none go with the first."""
    measures = [m for m in frame["measure"].unique(maintain_order=True) if m]
    if not measures:
        return {"": frame}
    first = pl.col("measure").is_in([measures[0], ""])
    return {
        m: frame.filter(first if m == measures[0] else pl.col("measure") == m) for m in measures
    }


def _verdicts(rows: pl.DataFrame) -> pl.DataFrame:
    """A row for each claim, with the verdict of each kind of scores beside that of the study."""
    found = []
    for claim in grouped(rows):
        verdicts = {r["scores"]: r["verdict"] for r in claim}
        found.append(
            {
                "statement": claim[0]["statement"],
                "in the study": claim[0]["in the study"],
                **{kind: verdicts.get(kind) for kind in KINDS},
                "languages": max(r["languages"] for r in claim),
            }
        )
    return pl.DataFrame(found, infer_schema_length=None)


def _short(measure: str) -> str:
    """A measure with the options that differ from the default."""
    if not measure:
        return "no measure"
    return specs.short(MEASURES, measure)
