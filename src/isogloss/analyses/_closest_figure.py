"""What the analysis of the closest partner shows and says."""

from typing import Any

import polars as pl

from isogloss.analyses._curves import beside, high_to_low
from isogloss.charts import Axis, Chart, Line, Marks, Panel
from isogloss.findings.statistics import LEVEL
from isogloss.languages import name_of

_COLOURS = {"raw": 0, "calibrated": 1, "controlled": 2}
_CALLED = {"raw": "raw", "calibrated": "calibrated", "controlled": "confounds taken out"}


def figure(table: pl.DataFrame, measure: str, number: int | None = None) -> Chart:
    """One mark per language and kind of scores: raw beside calibrated, for their scales differ."""
    ordered = table.sort(high_to_low("resource"), "language")
    names = tuple(ordered["language"].unique(maintain_order=True))
    x = Axis("language, from high to low resource", names)
    panels = []
    for title, kinds in (("Raw", ("raw",)), ("Calibrated", ("calibrated", "controlled"))):
        rows = {k: r for k in kinds if not (r := ordered.filter(scores=k)).is_empty()}
        if rows:
            zero = Line("no difference", names, tuple(0.0 for _ in names), role="chance")
            marks = [_marks(kind, own) for kind, own in rows.items()]
            label = "closest text less own speech"
            y = Axis(label if title == "Raw" else f"{label} (calibrated)")
            panels.append(Panel(title, x, y, (*marks, zero)))
    return Chart(
        "closest" if number is None else f"closest_{number + 1}",
        "Closest language against own speech",
        f"Similarity ({measure}) of a language's text to the closest other language's text, less "
        "that to its own speech, at the last tap. The language was chosen on one half of the "
        "sentences and both scores are of the other half, in turn, for several random splits. "
        "Ranges are 95 % intervals over sentences, each language by itself. Above zero the "
        "modality gap is the larger one, below zero the language gap.",
        tuple(panels),
        columns=beside(names),
    )


def _marks(kind: str, rows: pl.DataFrame) -> Marks:
    return Marks(
        _CALLED[kind],
        tuple(rows["language"]),
        tuple(rows["difference"]),
        tuple(rows["low"]),
        tuple(rows["high"]),
        tuple(_hover(r) for r in rows.iter_rows(named=True)),
        colour=_COLOURS[kind],
    )


def _hover(row: dict[str, Any]) -> str:
    lines = [f"{name_of(row['language'])}, {_CALLED[row['scores']]}"]
    if row["reason"]:
        return "\n".join([*lines, f"not tested: {row['reason']}"])
    return "\n".join(
        [
            *lines,
            f"closest: {row['closest']}",
            f"difference {row['difference']:+.3f}, 95 % {row['low']:.3f} to {row['high']:.3f}",
            f"p {row['p']:.2g}, adjusted {row['p adjusted']:.2g}",
        ]
    )


def findings(table: pl.DataFrame, measure: str) -> list[str]:
    """For how many languages which is closer, for each kind of scores."""
    found = []
    for (kind,), rows in table.group_by("scores", maintain_order=True):
        tested = rows.filter(pl.col("reason") == "")
        if tested.is_empty():
            continue
        clear = tested.filter(pl.col("p adjusted") <= LEVEL)
        partner = clear.filter(pl.col("difference") > 0).height
        what = {"controlled": "calibrated scores without confounds"}.get(
            str(kind), f"{kind} scores"
        )
        found.append(
            f"By {what}{f' ({measure})' if measure else ''}, the closest other language's text is "
            f"clearly closer than own speech for {partner} of {tested.height} languages, and own "
            f"speech for {clear.height - partner}; for {tested.height - clear.height} the "
            "difference is within what other sentences could have made it (adjusted p above .05)."
        )
    return found
