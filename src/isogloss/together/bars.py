"""Figures of models beside each other, at their last taps."""

from collections.abc import Iterable, Mapping, Sequence

import polars as pl

from isogloss.analyses._curves import beside, scales, shown, split, y_axis
from isogloss.charts import Axis, Chart, Line, Marks, Panel
from isogloss.languages import level, name_of, rank
from isogloss.together.figures import CALIBRATED, RAW
from isogloss.together.tables import KINDS, MODAL, fewest, last

_ROOM = 26
"""Characters that a category may have before it is cut."""


def last_tap(results: Mapping[str, pl.DataFrame], models: Sequence[str]) -> Iterable[Chart]:
    """Every language's speech against its text at the last tap of every model.

    Args:
        results: Analysis -> scores of one measure with a column ``model``.
        models: All models, in the order of their colours.
    """
    rows = last(results)
    if rows.is_empty() or (plain := split(rows.filter(kind=MODAL))[0]).is_empty():
        return
    names = tuple(sorted(plain["language_a"].unique(), key=lambda c: (rank(level(c)), c)))
    axis, measure = Axis("language, from high to low resource", names), plain["measure"][0]

    def marks(calibrated: bool) -> tuple[Marks, ...]:
        value = "calibrated" if calibrated else "score"
        found = []
        for i, model in enumerate(models):
            own = {r["language_a"]: r for r in plain.filter(model=model).iter_rows(named=True)}
            if not own:
                continue
            parts = {c: tuple(own[n][c] if n in own else _NAN for n in names)
                     for c in (value, "low", "high")}  # fmt: skip
            ends = not calibrated and any(v == v for v in parts["low"])
            found.append(
                Marks(
                    model,
                    names,
                    parts[value],
                    parts["low"] if ends else None,
                    parts["high"] if ends else None,
                    tuple(f"{name_of(n)}, {model}\n" + _hover(own.get(n)) for n in names),
                    colour=i,
                )
            )
        return tuple(found)

    drawn = {calibrated: marks(calibrated) for calibrated in scales(plain)}
    panels = [
        Panel("Calibrated" if c else "Raw", axis, y_axis(measure, c), own)
        for c, own in drawn.items()
    ]
    bars = any(mark.low for mark in drawn[False])
    yield Chart(
        "together_last_tap",
        "Speech against text at the last tap, by language",
        f"Similarity ({measure}) between the speech and the text of the same sentences "
        f"({fewest(plain)} in each language) at the last tap of each model "
        f"({', '.join(_last_labels(plain, models))}). "
        f"{'Bars are 95 % intervals over sentences. ' if bars else ''}"
        f"{RAW}{CALIBRATED}".strip(),
        tuple(panels),
        columns=beside(names),
    )


_NAN = float("nan")


def _last_labels(rows: pl.DataFrame, models: Sequence[str]) -> list[str]:
    taps = {r[0]: r[1] for r in rows.select("model", "label").unique().iter_rows()}
    return [f"{m}: {taps[m]}" for m in models if m in taps]


def _hover(row: Mapping[str, object] | None) -> str:
    if row is None:
        return "not compared"
    if row["reason"]:
        return f"not defined: {row['reason']}"
    chance = row["null_mean"] if row["permutations"] else row["chance"]
    return (
        f"text {row['tap_a']}, speech {row['tap_b']}\nscore {row['score']:.3f}, chance "
        f"{shown(chance)}, calibrated {shown(row['calibrated'])}\nN {row['n']}, kept dimensions "  # type: ignore[arg-type]
        f"{row['k_a']} and {row['k_b']}"
    )


def gaps(counts: pl.DataFrame, models: Sequence[str]) -> Iterable[Chart]:
    """For which share of the languages the modality gap is the larger one.

    Args:
        counts: Rows of :func:`isogloss.together.tables.gap_counts` of one measure.
        models: All models.
    """
    known = counts.filter(pl.col("decided") > 0)
    if known.is_empty():
        return
    names = tuple(m for m in models if m in set(known["model"]))
    marks = []
    for i, scores in enumerate(counts["scores"].unique(maintain_order=True)):
        own = {r["model"]: r for r in known.filter(scores=scores).iter_rows(named=True)}
        marks.append(
            Marks(
                f"{scores} scores" if scores in ("raw", "calibrated") else scores,
                names,
                tuple(own[n]["share"] if n in own else _NAN for n in names),
                hover=tuple(
                    f"{n}\nmodality gap larger for {own[n]['modality']} of {own[n]['decided']} "
                    f"languages, language gap for {own[n]['language']}"
                    if n in own
                    else f"{n}\nnot decided for any language"
                    for n in names
                ),
                colour=i,
            )
        )
    y = Axis("share of languages", range=(0.0, 1.0))
    yield Chart(
        "together_gaps",
        "Modality gap against language gap, by model",
        "Share of the languages whose modality gap is the larger one at the last tap: some other "
        "language's text is more similar to their text than their own speech is. At 1 the modality "
        "gap is the larger one for every language, at 0 the language gap.",
        (Panel("", Axis("model", names), y, tuple(marks)),),
        columns=1,
    )


def differences(frame: pl.DataFrame) -> Iterable[Chart]:
    """Differences between models in pairs.

    Args:
        frame: Rows of :func:`isogloss.together.tables.differences` of one measure, plain ones.
    """
    known = frame.filter(pl.col("difference").is_not_nan())
    if known.is_empty():
        return
    both = list(known.select("model_a", "model_b").unique(maintain_order=True).iter_rows())
    names = list(dict.fromkeys(name for pair in both for name in pair))
    long = max(len(a) + len(b) for a, b in both) > _ROOM
    # A cut name could be that of any of several models.
    short = {n: chr(ord("A") + i) if long else n for i, n in enumerate(names)}
    key = ", ".join(f"{letter}: {name}" for name, letter in short.items()) if long else ""
    pairs = tuple(f"{short[a]} − {short[b]}" for a, b in both)
    marks: list[Marks | Line] = []
    for i, kind in enumerate(KINDS):
        own = {
            f"{short[r['model_a']]} − {short[r['model_b']]}": r
            for r in known.filter(kind=kind).iter_rows(named=True)
        }
        if not own:
            continue
        parts = {c: tuple(own[p][c] if p in own else _NAN for p in pairs)
                 for c in ("difference", "low", "high")}  # fmt: skip
        ends = any(v == v for v in parts["low"])
        hover = tuple(
            f"{own[p]['model_a']} − {own[p]['model_b']}, {kind}\n"
            f"{own[p]['difference']:+.3f} (95 % {own[p]['low']:.3f} to "
            f"{own[p]['high']:.3f})\np {own[p]['p_holm']:.2g} after Holm, "
            f"{own[p]['languages']} languages, N {own[p]['n']}"
            if p in own
            else f"{p}, {kind}\nnot defined"
            for p in pairs
        )
        low, high = (parts["low"], parts["high"]) if ends else (None, None)
        marks.append(Marks(kind, pairs, parts["difference"], low, high, hover, colour=i))
    zero = Line("no difference", pairs, tuple(0.0 for _ in pairs), role="chance")
    y = Axis("difference of calibrated similarity")
    yield Chart(
        "together_differences",
        "Differences between models at the last tap",
        "Mean over languages, or pairs of languages, of the difference of calibrated similarity "
        f"between two models; above 0 the first one is more alike. {key}{'. ' if key else ''}Bars "
        "are 95 % intervals over languages, given these sentences.",
        (Panel(key, Axis("models", pairs), y, (*marks, zero)),),
        columns=1,
    )
