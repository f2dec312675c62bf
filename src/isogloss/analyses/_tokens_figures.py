"""Figures of shared tokens: share against score, the correlation over the taps, fragmentation."""

import polars as pl

from isogloss import specs
from isogloss.analyses._curves import ends
from isogloss.charts import Axis, Chart, Line, Marks, Panel, Points
from isogloss.fragmentation import KINDS, SHARES, Share
from isogloss.similarity.measures import MEASURES

SCORES = {
    "raw": "raw scores",
    "calibrated": "calibrated scores",
    "controlled": "calibrated, confounds taken out",
}
_SCRIPTS = ((True, "same script"), (False, "different scripts"))
_OF_KIND = {"unknown": "unknown", "byte": "part of a character", "character": "a character alone"}


def charts(frame: pl.DataFrame) -> tuple[Chart, ...]:
    """All figures that there are numbers for."""
    made = (_scatter(frame), _over_taps(frame), _fragmentation(frame))
    return tuple(chart for chart in made if chart is not None)


def measure_name(frame: pl.DataFrame) -> str:
    """What scores are called on an axis."""
    return specs.parse(MEASURES, frame["measure_used"][0]).info.title


def _scatter(frame: pl.DataFrame) -> Chart | None:
    share: Share = frame.filter(kind="pair")["variant"][0]
    pairs = frame.filter(kind="pair").filter(pl.col(share).is_not_nan())
    place, panels = frame["place"][0], []
    for scores, title in SCORES.items():
        known = pairs.filter(pl.col(scores).fill_nan(None).is_not_null())
        if known.is_empty():
            continue
        marks = []
        for colour, (same, name) in enumerate(_SCRIPTS):
            rows = known.filter(same_script=same)
            if not rows.is_empty():
                x, y = tuple(rows[share]), tuple(rows[scores])
                hover = tuple(_pair(r, share, scores) for r in rows.iter_rows(named=True))
                marks.append(Points(name, x, y, hover, colour=colour))
        name = measure_name(frame)
        axis = Axis(name if scores == "raw" else f"calibrated {name} (0 = chance)")
        panels.append(Panel(title.capitalize(), Axis("share of common tokens"), axis, tuple(marks)))
    if not panels:
        return None
    return Chart(
        "shared_tokens",
        f"Shared tokens and likeness of texts at {place}",
        f"Each point is a pair of languages. Across: {SHARES[share]}, averaged over the parallel "
        f"sentences of {frame['source'][0]} (tokeniser: {frame['tokeniser'][0]}). Up: similarity "
        f"of their texts at tap {place} by {frame['measure_used'][0]}.",
        tuple(panels),
        columns=len(panels),
    )


def _pair(row: dict[str, object], share: str, scores: str) -> str:
    return (
        f"{row['language_a']}–{row['language_b']}\nshare {row[share]:.3f} over "
        f"{row['sentences']} sentences\n{SCORES[scores]}: {row[scores]:.3f}"
    )


def _over_taps(frame: pl.DataFrame) -> Chart | None:
    share = frame.filter(kind="pair")["variant"][0]
    rows = frame.filter(kind="correlation", variant=share).sort("position")
    taps = tuple(rows["tap"].unique(maintain_order=True))
    axis, panels = Axis("tap (text)", taps), []
    for scores, title in SCORES.items():
        own = rows.filter(scores=scores)
        if own.is_empty() or not own["r"].is_not_nan().any():
            continue
        plain = own.filter(without="")
        lines = [
            Line(
                "Mantel null",
                tuple(plain["tap"]),
                (0.0,) * plain.height,
                tuple(plain["null_low"]),
                tuple(plain["null_high"]),
                role="chance",
            ),
            _curve(plain, "r", 0, band=True),
        ]
        partial = own.filter(without="resource level")
        if not partial.is_empty():
            lines.append(_curve(partial, "r, resource level taken out", 1, band=False))
        panels.append(Panel(title.capitalize(), axis, Axis("Pearson's r"), tuple(lines)))
    if not panels:
        return None
    band = " with its 95 % interval by a jackknife over languages"
    known = rows["low"].is_not_nan().any()
    return Chart(
        "shared_tokens_taps",
        "Shared tokens and likeness of texts over the taps",
        "Pearson correlation, over all pairs of languages, of the share of common tokens with the "
        f"similarity of texts at each tap{band if known else ''}. Grey band: where r lies in 95 % "
        "of random orders of the languages (Mantel test).",
        tuple(panels),
        columns=len(panels),
    )


def _curve(rows: pl.DataFrame, name: str, colour: int, *, band: bool) -> Line:
    return Line(
        name,
        tuple(rows["tap"]),
        tuple(rows["r"]),
        *(ends(rows) if band else (None, None)),
        tuple(
            f"{r['tap']}: r {r['r']:.3f} over {r['pairs']} pairs\n95 % {r['low']:.3f} to "
            f"{r['high']:.3f}\nMantel p {r['p_mantel']:.4f}, over all taps {r['p_all']:.4f}\n"
            f"ordinary p {r['p_ordinary']:.2g}"
            for r in rows.iter_rows(named=True)
        ),
        colour=colour,
    )


def _fragmentation(frame: pl.DataFrame) -> Chart | None:
    rows = frame.filter(kind="language").filter(pl.col("tokens").is_not_nan()).sort("tokens")
    if rows.is_empty():
        return None
    names = tuple(rows["language"])
    axis = Axis("language, by tokens per sentence", names)
    hover = tuple(
        f"{r['language']}: {r['tokens']:.1f} tokens per sentence\n{r['per_character']:.2f} per "
        f"character, {r['per_byte']:.2f} per byte of UTF-8\n{r['sentences']} sentences"
        for r in rows.iter_rows(named=True)
    )
    panels = [
        Panel(
            "Tokens per sentence",
            axis,
            Axis("tokens per sentence", range=(0.0, 1.05 * float(rows["tokens"].max()))),  # type: ignore[arg-type]
            (Marks("tokens per sentence", names, tuple(rows["tokens"]), hover=hover, legend=""),),
        )
    ]
    told = [kind for kind in KINDS if rows[kind].is_not_nan().any()]
    kinds = [kind for kind in told if float(rows[kind].fill_nan(None).max() or 0) > 0]  # type: ignore[arg-type]
    none = " or ".join(_OF_KIND[kind] for kind in told if kind not in kinds)
    if kinds:
        marks = tuple(
            Marks(
                _OF_KIND[kind],
                names,
                tuple(rows[kind]),
                hover=tuple(
                    f"{name}: {share:.1%} of tokens: {_OF_KIND[kind]}"
                    for name, share in zip(names, rows[kind], strict=True)
                ),
                colour=colour,
            )
            for colour, kind in enumerate(kinds)
        )
        shares = Axis("share of all tokens", range=(0.0, 1.0))
        panels.append(Panel("Tokens of one character or less", axis, shares, marks))
    return Chart(
        "fragmentation",
        "Fragmentation by language",
        f"Into how many tokens the tokeniser ({frame['tokeniser'][0]}) splits the same sentences "
        f"({frame['source'][0]}), and how many of these tokens hold a single character, a byte of "
        "one, or nothing that the model knows." + (f" No token is {none}." if none else ""),
        tuple(panels),
        columns=1,
    )
