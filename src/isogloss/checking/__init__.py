"""Whether the gaps of a run are as small as asked, and have not grown: for use in CI.

A condition is about the mean over languages, or over pairs of them, at one place. What could not be
computed fulfils no condition.
"""

from collections.abc import Iterator, Sequence
from math import inf, isfinite
from pathlib import Path
from typing import get_args

from isogloss import specs
from isogloss.analyses.base import Scores
from isogloss.beside.data import KINDS, MODAL, SPEECH, TEXT
from isogloss.beside.places import LAST
from isogloss.checking.against import against
from isogloss.checking.condition import Checked, Limit
from isogloss.checking.held import held
from isogloss.checking.kinds import chosen, lacks, modalities_of
from isogloss.errors import StudyError, choices, unknown
from isogloss.events import Events, Silent
from isogloss.languages import resolve
from isogloss.runs import Run
from isogloss.settings import split_names
from isogloss.similarity.measures import MEASURES

__all__ = ["Checked", "check"]


def check(
    folder: str | Path,
    *,
    min_cross_modal: float | None = None,
    max_cross_modal: float | None = None,
    min_cross_lingual: float | None = None,
    max_cross_lingual: float | None = None,
    baseline: str | Path | None = None,
    tolerance: float = 0.0,
    strict: bool = False,
    tap: str = LAST,
    measure: str = "",
    scores: Scores | None = None,
    modalities: str | Sequence[str] | None = None,
    languages: str | Sequence[str] = (),
    events: Events | None = None,
) -> list[Checked]:
    """Hold a finished run to conditions, from its stored scores.

    Args:
        folder: Output folder of the run.
        min_cross_modal: Smallest mean similarity of speech and text of one language.
        max_cross_modal: The largest.
        min_cross_lingual: Smallest mean similarity of two languages in one modality; asked of each
            modality.
        max_cross_lingual: The largest.
        baseline: Output folder of a run whose similarities must not be lost. A condition of this
            kind fails if the whole 95 % interval of the paired difference lies below zero, or below
            ``-tolerance``, and also if the baseline has a language or a modality that the run does
            not have.
        tolerance: How much may be lost against the baseline, at least 0.
        strict: Ask for the whole interval to lie within the limits, not only the mean; and against
            a baseline above ``-tolerance``, so that a loss is not only unproven.
        tap: Label of the place; ``last`` for the last one of each kind.
        measure: One of the run's measures; the first if empty.
        scores: Which scores; if None, without confounds if the run has them, else calibrated.
        modalities: Those in which languages are compared, also as ``"text,speech"``. If None,
            limits are asked of both, and a baseline of what it or the run has.
        languages: Codes or sets of languages that all is asked about, also as ``"deu,eng"``; if
            empty, all of the run and of the baseline.
        events: Receives progress of the comparison with a baseline.

    Returns:
        One entry for each condition and kind of comparison, also where there is no score. All hold
        if each has ``passed``.

    Raises:
        StudyError: No condition is given, or a tap, measure or number is wrong.
        IsoglossError: There is no such run or baseline, or it does not have what is asked about.
    """
    events = events or Silent()
    asked: Sequence[str] | None = None if modalities is None else split_names(modalities)
    languages = split_names(languages)
    limits = [
        *_limits(MODAL, min_cross_modal, max_cross_modal),
        *(
            limit
            for kind in (TEXT, SPEECH)
            if asked is None or modalities_of(kind)[0] in asked
            for limit in _limits(kind, min_cross_lingual, max_cross_lingual)
        ),
    ]
    _valid(limits, baseline, tolerance, scores, asked or ())
    run = Run.read(Path(folder))
    line = _measure(run, measure)
    codes = chosen(run, languages)
    store = run.store()
    missing = [
        f"{u.language} {u.modality}" for u in run.units if u.language in codes and not store.has(u)
    ]
    lacking = f"not all of the run is there: no {choices(missing, 6)}" if missing else ""
    found = [*held(run, line, limits, tap, scores, languages=codes, strict=strict, lacking=lacking)]
    if baseline is not None:
        found += against(
            run.folder,
            Path(baseline),
            line,
            _kinds(run, Run.read(Path(baseline)), asked, languages),
            tap,
            scores,
            languages=languages,
            tolerance=tolerance,
            strict=strict,
            lacking=lacking,
            events=events,
        )
    return found


def _kinds(
    run: Run, baseline: Run, modalities: Sequence[str] | None, languages: Sequence[str]
) -> list[str]:
    """What a baseline is asked about: what either run has, and what was named."""
    codes = resolve(languages)
    kinds = [
        kind
        for kind in KINDS
        if (
            modalities_of(kind)[0] in modalities
            if modalities is not None and kind != MODAL
            else not all(lacks(each, kind, codes) for each in (run, baseline))
        )
    ]
    if not kinds:
        raise StudyError(
            f"there is nothing to check: neither {run.folder} nor {baseline.folder} has what is "
            "asked about"
        )
    return kinds


def _limits(kind: str, least: float | None, most: float | None) -> Iterator[Limit]:
    if least is not None:
        yield Limit(kind, "minimum", least)
    if most is not None:
        yield Limit(kind, "maximum", most)


def _valid(
    limits: Sequence[Limit],
    baseline: str | Path | None,
    tolerance: float,
    scores: str | None,
    modalities: Sequence[str],
) -> None:
    for modality in modalities:
        if modality not in ("text", "speech"):
            raise StudyError(unknown("modality", modality, ("text", "speech")))
    if not limits and baseline is None:
        raise StudyError(
            "there is nothing to check: give a limit, such as --min-cross-modal 0.25, or a "
            "--baseline"
        )
    for limit in limits:
        if not isfinite(limit.value):
            raise StudyError(
                f"the {limit.condition} of {limit.what} similarity must be a finite number"
            )
    if not 0 <= tolerance < inf:
        raise StudyError(f"tolerance must be 0 or more, not {tolerance:g}")
    if scores is not None and scores not in get_args(Scores):
        raise StudyError(unknown("kind of scores", scores, get_args(Scores)))


def _measure(run: Run, asked: str) -> str:
    """The whole line of a measure of the run, as its tables name it."""
    lines = [specs.write(MEASURES, specs.parse(MEASURES, m)) for m in run.study["measures"]]
    if not asked:
        return lines[0]
    line = specs.write(MEASURES, specs.parse(MEASURES, asked))
    if line not in lines:
        raise StudyError(
            f"{run.folder} has no scores of {asked}; it has {choices(run.study['measures'])}"
        )
    return line
