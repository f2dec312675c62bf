"""Two recordings of the same sentences in one language: how alike speech can be at all."""

from collections.abc import Iterable
from math import isnan
from typing import ClassVar

import polars as pl

from isogloss import specs
from isogloss.analyses._curves import (
    SENTENCES_HELP,
    SentenceRule,
    bands,
    curve,
    reading,
    references,
    scales,
    shown,
    split,
    subsets,
    taken_out,
    x_axis,
    y_axis,
)
from isogloss.analyses.base import Analysis, Comparison, Contents, Summary, ViewKey
from isogloss.charts import Chart, Line, Panel
from isogloss.results import NULL
from isogloss.settings import setting
from isogloss.similarity.measures import MEASURES

SPEAKER, RECORDING = "other speaker", "other recording"


class NoiseCeiling(Analysis):
    """How alike two recordings of a sentence are: same language, same words, another speaker.

    Speech differs from itself in voice, pace and channel, and no comparison with speech can be
    expected to be more alike. Needs ``corpus.recordings`` of 2 or more.
    """

    title: ClassVar[str] = "Noise ceiling of speech"
    question: ClassVar[str] = "How alike is a sentence to itself when somebody else says it?"

    sentences: SentenceRule = setting("smallest", role="analysis", help=SENTENCES_HELP)

    def comparisons(self, contents: Contents) -> Iterable[Comparison]:
        """One per language and speech tap, on the sentences that another speaker says too."""
        others = {x: _others(contents, x) for x in contents.languages("speech")}
        names = [x for x, (_, takes) in others.items() if takes]
        own = [tuple(others[x][1]) for x in names]
        for language, sentences in zip(names, subsets(own, self.sentences), strict=True):
            group, takes = others[language]
            for position, (tap, depth) in enumerate(contents.taps["speech"]):
                view = ViewKey(language, "speech", tap)
                yield Comparison(
                    view,
                    view,
                    sentences,
                    group,
                    tap,
                    position,
                    depth,
                    takes_b=tuple(takes[s] for s in sentences),
                )

    def summarise(self, frame: pl.DataFrame, means: pl.DataFrame) -> Summary:
        """The ceiling over the taps, raw and calibrated."""
        plain, controlled = split(frame)
        charts = tuple(_figure(plain, controlled, calibrated) for calibrated in scales(plain))
        return Summary(_findings(means), charts, (("By language", _table(plain)),))


def _others(contents: Contents, language: str) -> tuple[str, dict[str, int]]:
    """For each sentence with a recording by somebody else, that recording's number.

    Where the corpus does not name all speakers, any other recording counts, under another name.
    """
    known: dict[str, int] = {}
    maybe: dict[str, int] = {}
    for sentence in contents.sentences[language, "speech"]:
        first, *rest = contents.speakers.get((language, "speech"), {}).get(sentence, (None,))
        for take, speaker in enumerate(rest, start=1):
            if speaker != first and None not in (speaker, first):
                known.setdefault(sentence, take)
            elif speaker is None or first is None:
                maybe.setdefault(sentence, take)
    return (SPEAKER, known) if known or not maybe else (RECORDING, maybe)


def _figure(frame: pl.DataFrame, controlled: pl.DataFrame, calibrated: bool) -> Chart:
    axis, measure = x_axis(frame), frame["measure"][0]
    lines: list[Line] = []
    for i, (group, rows) in enumerate(
        (g, r) for g in (SPEAKER, RECORDING) if not (r := frame.filter(group=g)).is_empty()
    ):
        lines.append(curve(rows, axis, group, colour=i, calibrated=calibrated, count="languages"))
        without = controlled.filter(group=group)
        if calibrated and not without.is_empty():
            name = f"{group}, confounds taken out"
            lines.append(
                curve(without, axis, name, colour=i + 2, calibrated=calibrated, count="languages")
            )
    lines += references(frame, axis, calibrated=calibrated)
    panel = Panel("Speech against speech", axis, y_axis(measure, calibrated), tuple(lines))
    count = frame["language_a"].n_unique()
    what = "calibrated, " if calibrated else ""
    left = taken_out(controlled) if calibrated else ""
    return Chart(
        "noise_ceiling_calibrated" if calibrated else "noise_ceiling",
        f"Two recordings of the same sentences{' (calibrated)' if calibrated else ''}",
        f"Mean similarity ({what}{measure}) between two recordings of the same sentences in one "
        f"language, over {count} languages. {bands([panel])}{left}{reading([panel], calibrated)}",
        (panel,),
    )


_WHO = {
    SPEAKER: "by different speakers",
    RECORDING: "that may be by one speaker or by two",
}


def _findings(means: pl.DataFrame) -> tuple[str, ...]:
    plain = split(means)[0].filter(pl.col("rows") > 0).sort("depth", "position")
    found = []
    for group, who in _WHO.items():
        rows = plain.filter(group=group)
        if rows.is_empty():
            continue
        last = rows.row(-1, named=True)
        count = last["languages"]
        chance = [f"chance {shown(last['null'])}"] if not isnan(last["null"]) else []
        chance += [f"calibrated {shown(last['calibrated'])}"] if chance else []
        text = (
            f"At the last tap ({last['label']}) two recordings of a sentence {who} score "
            f"{shown(last['score'])} ({', '.join(chance)}{'; ' if chance else ''}mean over "
            f"{count} language{'' if count == 1 else 's'})"
        )
        if group == SPEAKER:
            best = specs.parse(MEASURES, last["measure"]).info.best
            text += f"; a recording scores {best:g} with itself, and another voice makes the rest"
        found.append(f"{text}.")
    return tuple(found) or ("No noise ceiling is defined.",)


def _table(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.sort("language_a", "depth", "position").select(
        language="language_a",
        recordings="group",
        tap="tap_a",
        N="n",
        score="score",
        low="low",
        high="high",
        chance=NULL,
        calibrated="calibrated",
        p="p_value",
        q="q_value",
        reason="reason",
        warnings="warnings",
    )
