"""Speech against text of the same language, over the taps (section 3.1, Figure 2)."""

from collections.abc import Iterable
from typing import ClassVar, Literal

import polars as pl

from isogloss.analyses import _claims_modal
from isogloss.analyses._claims import tables
from isogloss.analyses._cross_modal_figures import figure, map_of
from isogloss.analyses._curves import (
    NO_CHANCE,
    SENTENCES_HELP,
    SentenceRule,
    lacks_chance,
    nan_free,
    scales,
    shown,
    split,
    subsets,
)
from isogloss.analyses._tests import of_languages, of_mean
from isogloss.analyses.base import Analysis, Claim, Comparison, Contents, Summary, ViewKey
from isogloss.languages import languages
from isogloss.results import NULL
from isogloss.settings import setting

_MATCHED, GRID = _claims_modal.GROUP, "all pairs"


class CrossModal(Analysis):
    """How alike speech and text of one language are at each tap."""

    title: ClassVar[str] = "Speech against text"
    question: ClassVar[str] = "How alike are a sentence's speech and text inside the model?"

    pairs: Literal["matched", "all"] = setting(
        "matched",
        role="analysis",
        help="Compare each text tap with the speech tap set beside it, or with all speech taps.",
    )
    sentences: SentenceRule = setting("smallest", role="analysis", help=SENTENCES_HELP)

    def comparisons(self, contents: Contents) -> Iterable[Comparison]:
        """One per language and pair of taps."""
        spoken = contents.languages("text", "speech")
        own = [contents.common((x, "text"), (x, "speech")) for x in spoken]
        places = [(_MATCHED, p.label, p.text, p.speech, p.depth) for p in contents.pairs]
        if self.pairs == "all":
            places += [
                (GRID, f"{text} × {speech}", text, speech, depth)
                for text, depth in contents.taps["text"]
                for speech, _ in contents.taps["speech"]
            ]
        for language, sentences in zip(spoken, subsets(own, self.sentences), strict=True):
            for position, (group, label, text, speech, depth) in enumerate(places):
                yield Comparison(
                    ViewKey(language, "text", text),
                    ViewKey(language, "speech", speech),
                    sentences,
                    group,
                    label,
                    position,
                    depth,
                    plain=group == GRID,
                )

    def summarise(self, frame: pl.DataFrame, means: pl.DataFrame) -> Summary:
        """Figure 2, raw and calibrated, and the map of all pairs of taps if there is one."""
        plain, controlled = split(frame.filter(group=_MATCHED))
        grid, _ = split(frame.filter(group=GRID))
        charts = [] if grid.is_empty() else [map_of(grid)]
        if plain.is_empty():
            finding = "The taps that were read form no matched pair; only the map of all pairs is."
            return Summary((finding,), tuple(charts))
        charts = [*(figure(plain, controlled, c) for c in scales(plain)), *charts]
        # The map's scores are corrected together with those of the curves.
        findings = _findings(plain, split(frame)[0])
        findings = (*findings, *_of_means(means.filter(group=_MATCHED)))
        return Summary(findings, tuple(charts), (("By language", _table(plain, controlled)),))

    def claims(self, frame: pl.DataFrame, means: pl.DataFrame) -> tuple[Claim, ...]:
        """What section 3.1 says, tested over languages."""
        found = tables(frame.filter(group=_MATCHED))
        return tuple(claim for table in found for claim in _claims_modal.claims(table))


def _findings(frame: pl.DataFrame, family: pl.DataFrame) -> tuple[str, ...]:
    places = (
        frame.group_by("label", "depth", "position")
        .agg(
            score=nan_free("score").mean(),
            null=NULL.fill_nan(None).mean(),
            calibrated=nan_free("calibrated").mean(),
            languages=nan_free("score").count(),
        )
        .sort("depth", "position")
    )
    usable = places.filter(pl.col("languages") > 0)
    if usable.is_empty():
        return (f"No cross-modal score is defined: {frame['reason'][0]}.",)
    first, last = usable.row(0, named=True), usable.row(-1, named=True)
    text = (
        f"From the first tap ({first['label']}) to the last ({last['label']}), speech-text "
        f"similarity goes from {shown(first['score'])} to {shown(last['score'])}"
    )
    over = f"(means over {last['languages']} languages)"
    if lacks_chance(frame):
        return f"{text} {over}.", NO_CHANCE
    found = [f"{text}, and chance from {shown(first['null'])} to {shown(last['null'])} {over}."]
    rows = frame.filter(position=last["position"])
    tests = of_languages(rows, family, "At the last tap")
    if tests:
        found.append(tests)
    if last["calibrated"] is None:
        found.append(
            "Nothing can be above chance here: chance gives the best score there is, as with too "
            "few sentences for the dimensions kept."
        )
        return tuple(found)
    found.append(
        f"Calibrated, that is {shown(first['calibrated'])} at the first and "
        f"{shown(last['calibrated'])} at the last tap, where 0 is chance and 1 the same space."
    )
    return tuple(found)


def _of_means(means: pl.DataFrame) -> list[str]:
    """What can be said of the mean over languages: where it is above chance, and what is left."""
    plain, without = (m.sort("depth", "position") for m in split(means))
    tests = of_mean(plain)
    found = [tests] if tests else []
    if plain.height and without["calibrated"].is_not_nan().any():
        first, last = without.row(0, named=True), without.row(-1, named=True)
        before = plain.row(-1, named=True)
        found.append(
            f"Without {last['control']}, calibrated similarity is {shown(first['calibrated'])} at "
            f"the first and {shown(last['calibrated'])} at the last tap (with them "
            f"{shown(before['calibrated'])} there)."
        )
    return found


def _table(frame: pl.DataFrame, controlled: pl.DataFrame) -> pl.DataFrame:
    names = {code: language.name for code, language in languages().items()}
    levels = {code: language.resource for code, language in languages().items()}
    place = ["language_a", "tap_a", "tap_b", "position"]
    left = controlled.select(*place, controlled="calibrated", controlled_q="q_value")
    return (
        frame.sort("language_a", "depth", "position")
        .join(left, on=place, how="left", maintain_order="left")
        .select(
            language=pl.col("language_a"),
            name=pl.col("language_a").replace_strict(names, default=None),
            resource=pl.col("language_a").replace_strict(levels, default=None),
            text="tap_a",
            speech="tap_b",
            N="n",
            score="score",
            low="low",
            high="high",
            chance=NULL,
            calibrated="calibrated",
            p="p_value",
            q="q_value",
            **{"without confounds": "controlled", "its q": "controlled_q"},
            k_text="k_a",
            k_speech="k_b",
            baseline="baseline",
            reason="reason",
            warnings="warnings",
        )
    )
