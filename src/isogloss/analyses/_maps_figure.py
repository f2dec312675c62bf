"""Figure 4: the maps with a slider over the taps, and the numbers that go with them."""

from collections import Counter
from collections.abc import Mapping

import polars as pl

from isogloss.analyses._maps_table import FAMILY, LANGUAGE, MODALITIES, RETRIEVAL
from isogloss.charts import Axis, Chart, Colouring, Line, Mark, Panel, Points, Step
from isogloss.figures import plan
from isogloss.findings.statistics import Estimate
from isogloss.findings.statistics import mean as mean_of
from isogloss.languages import Language, languages

TEXT_SHOWN = 200
"""Characters of a sentence in its hover text."""
_AXES = Axis("t-SNE 1 (no unit)"), Axis("t-SNE 2 (no unit)")
NUMBERS = {
    LANGUAGE: "of the same language",
    FAMILY: "of the same family, among other languages",
    RETRIEVAL: "nearest in another language is the translation",
}


def charts(frame: pl.DataFrame) -> tuple[Chart, ...]:
    """The maps, and the curves of neighbours where there is more than one step."""
    drawn = (_maps(frame),)
    several = frame.filter(kind="step")["position"].n_unique() > 1
    return (*drawn, _curves(frame)) if several else drawn


def means(frame: pl.DataFrame) -> dict[tuple[str, str, str], tuple[Estimate, float]]:
    """(number, modality, tap) -> its mean over languages or pairs with an interval, and chance."""
    out = {}
    rows = frame.filter(pl.col("kind").is_in(["share", "pair"]))
    for key, own in rows.group_by("number", "modality", "tap", maintain_order=True):
        pairs = own["partner"].to_list() if key[0] == RETRIEVAL else None
        found = mean_of(own["value"].to_numpy(), own["language"].to_list(), pairs)
        known = own.filter(pl.col("value").is_not_nan())["chance"]
        chance = known.mean()
        chance = float(chance) if isinstance(chance, float) else float("nan")
        out[str(key[0]), str(key[1]), str(key[2])] = found, chance
    return out


def _maps(frame: pl.DataFrame) -> Chart:
    names = sorted(set(frame.filter(kind="point")["language"]))
    spoken = frame.filter(kind="sentence")
    texts = dict(
        zip(zip(spoken["language"], spoken["sentence"], strict=True), spoken["text"], strict=True)
    )
    points = {
        (str(m), str(t), str(x)): own
        for (m, t, x), own in frame.filter(kind="point").group_by("modality", "tap", "language")
    }
    stages = frame.filter(kind="step").sort("position", maintain_order=True)
    steps = []
    printed = 0
    for i, (_, own) in enumerate(stages.group_by("position", maintain_order=True)):
        taps = dict(zip(own["modality"], own["tap"], strict=True))
        panels = tuple(
            Panel(_title(m), *_AXES, tuple(_clouds(points, m, taps[m], names, texts)), square=True)
            for m in MODALITIES
            if m in taps
        )
        steps.append(Step(own["label"][0], panels))
        printed = i if own["printed"][0] else printed
    how = frame.filter(kind="map").row(0, named=True)
    made = frame.filter(kind="map", reason="")
    return Chart(
        "maps",
        "Where the sentences of each language lie",
        f"Each point is a sentence, placed by t-SNE so that near points stay near ({how['metric']} "
        f"distance between mean-pooled activations, {_used(made, 'components')} principal "
        f"components, perplexity {_used(made, 'perplexity')}, {_used(made, 'rounds')} rounds, seed "
        f"{how['seed']}, {how['made_by']}; {_used(made, 'points')} points). Each map is turned to "
        "lie like the one of the tap before. A code stands above the point of its language with "
        "the least mean distance to the others, moved where codes would overlap. Sizes of clouds "
        "and distances between them mean nothing, and neither do the units; the shares of "
        "neighbours are computed in the original space.",
        steps[printed].panels,
        steps=tuple(steps) if len(steps) > 1 else (),
        colourings=_colourings(names),
    )


def _title(modality: str) -> str:
    return "Text" if modality == "text" else "Speech"


def _used(made: pl.DataFrame, column: str) -> str:
    values = made[column]
    if values.is_empty():
        return "no"
    low, high = float(values.min()), float(values.max())  # type: ignore[arg-type]
    return f"{low:,g}" if low == high else f"{low:,.4g} to {high:,.4g}"


def _clouds(
    points: Mapping[tuple[str, str, str], pl.DataFrame],
    modality: str,
    tap: str,
    names: list[str],
    texts: Mapping[tuple[str, str], str],
) -> list[Mark]:
    known = languages()
    out: list[Mark] = []
    for name in names:
        own = points.get((modality, tap, name))
        # What could not be placed is not on the map; the table says why.
        own = None if own is None else own.filter(pl.col("x").is_not_nan())
        if own is None or own.is_empty():
            continue
        title = f"{known[name].name} ({name})" if name in known else name
        ids = tuple(own["sentence"])
        hover = tuple(
            f"{title}\nsentence {plan.one_line(s, 60)}\n"
            f"{plan.one_line(texts.get((name, s), ''), TEXT_SHOWN)}"
            for s in ids
        )
        out.append(Points(name, tuple(own["x"]), tuple(own["y"]), hover, label=name, ids=ids))
    return out


def _colourings(names: list[str]) -> tuple[Colouring, ...]:
    known = languages()

    def grouped(title: str, groups: dict[str, str]) -> Colouring:
        """The largest groups first: they get the colours that differ most."""
        size = Counter(groups.values())
        ordered = sorted(groups, key=lambda x: (-size[groups[x]], groups[x]))
        return Colouring(title, {x: groups[x] for x in ordered})

    def of(name: str, field: str) -> str:
        found: Language | None = known.get(name)
        return str(getattr(found, field) or "not known") if found else "not known"

    levels = {"high": 0, "medium": 1, "low": 2}
    resource = {x: of(x, "resource") for x in names}
    return (
        grouped("language family", {x: of(x, "family") for x in names}),
        Colouring("language", {x: f"{known[x].name} ({x})" if x in known else x for x in names}),
        Colouring(
            "resource level",
            {x: resource[x] for x in sorted(names, key=lambda x: levels.get(resource[x], 3))},
        ),
        grouped("script", {x: of(x, "script") for x in names}),
    )


def _curves(frame: pl.DataFrame) -> Chart:
    stages = frame.filter(kind="step").sort("position", maintain_order=True)
    labels = tuple(stages["label"].unique(maintain_order=True))
    found = means(frame)
    k = frame.filter(kind="map")["neighbours"][0]
    panels = []
    for number, what in NUMBERS.items():
        lines = []
        for colour, modality in enumerate(MODALITIES):
            own = stages.filter(modality=modality)
            at = [found[number, modality, tap] for tap in own["tap"]]
            if not at:
                continue
            x = tuple(own["label"])
            known = [e for e, _ in at if e.low == e.low]
            low, high = (tuple(getattr(e, end) for e, _ in at) for end in ("low", "high"))
            lines.append(
                Line(
                    _title(modality),
                    x,
                    tuple(e.effect for e, _ in at),
                    low if known else None,
                    high if known else None,
                    tuple(
                        _hover(_title(modality), tap, e, c)
                        for tap, (e, c) in zip(own["tap"], at, strict=True)
                    ),
                    colour=colour,
                )
            )
            lines.append(Line("chance", x, tuple(c for _, c in at), role="chance", colour=colour))
        share = "share of sentences" if number == RETRIEVAL else f"share of {k} neighbours"
        y = Axis(f"{share} (0 to 1)", range=(0.0, 1.0))
        panels.append(Panel(what[0].upper() + what[1:], Axis("tap", labels), y, tuple(lines)))
    return Chart(
        "map_neighbours",
        "Who is next to whom in the original space",
        f"Left: of the {k} nearest neighbours of a sentence among all sentences of the modality, "
        "how many are of its language. Middle: of the nearest in other languages, how many are of "
        "its language's family (languages that are alone in their family are left out). Right: how "
        "often the nearest sentence of another language is the translation, over all pairs of "
        "languages. Means over languages or pairs; bands are 95 % intervals by a jackknife over "
        "languages. Dashed: what points without order would give.",
        tuple(panels),
        columns=3,
    )


def _hover(series: str, tap: str, found: Estimate, chance: float) -> str:
    lines = [series, f"tap {tap}", f"mean {found.effect:.3f}"]
    if found.low == found.low:
        lines.append(f"95 % interval {found.low:.3f} to {found.high:.3f}")
    elif found.reason:
        lines.append(f"no interval: {found.reason}")
    return "\n".join([*lines, f"chance {chance:.3f}", f"{found.count} languages"])
