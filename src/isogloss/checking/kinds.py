"""Which kinds of comparison a run has, and why it has no scores of one."""

from collections.abc import Collection
from math import nan

from isogloss import specs
from isogloss.analyses.base import Scores
from isogloss.beside.data import MODAL, SPEECH, TEXT
from isogloss.checking.condition import Checked, Kind
from isogloss.corpora.base import MODALITIES
from isogloss.errors import IsoglossError, choices
from isogloss.languages import language, resolve
from isogloss.runs import Run
from isogloss.similarity.measures import MEASURES

_OTHER = {TEXT: "speech", SPEECH: "text"}
_PAIR = 2


def modalities_of(kind: str) -> tuple[str, ...]:
    """The modalities that a kind of comparison needs."""
    return MODALITIES if kind == MODAL else (kind.rpartition(" ")[2],)


def order(scores: Scores | None) -> tuple[Scores, ...]:
    """Which scores to go by, the first that are there; those that were asked for, if any were.

    Raw scores are no answer to a question about gaps, since chance alone moves them.
    """
    return ("controlled", "calibrated") if scores is None else (scores,)


def chosen(run: Run, languages: Collection[str]) -> set[str]:
    """The languages of a run that are asked about: all of them if none is named.

    Args:
        run: The run.
        languages: Codes or sets of languages.

    Raises:
        StudyError: A name is unknown.
        IsoglossError: The run does not have a language that is named, or none of a set.
    """
    there = {unit.language for unit in run.units}
    if not languages:
        return there
    wanted = resolve(languages)
    for code, group in wanted.items():
        if not group and code not in there:
            raise IsoglossError(
                f"{code} ({language(code).name}) is not in {run.folder}; it has "
                f"{choices(sorted(there), 40)}"
            )
    if not there & set(wanted):
        raise IsoglossError(
            f"none of {choices(languages)} is in {run.folder}; it has {choices(sorted(there), 40)}"
        )
    return there & set(wanted)


def lacks(run: Run, kind: str, languages: Collection[str], name: str = "the run") -> str:
    """Why a run cannot have scores of a kind of comparison, whole as it may be; empty if it can.

    Args:
        run: The run.
        kind: One of ``isogloss.beside.data.KINDS``.
        languages: Codes that are asked about; all if empty.
        name: What to call the run.
    """
    having: dict[str, set[str]] = {
        m: {
            u.language
            for u in run.units
            if u.modality == m and (not languages or u.language in languages)
        }
        for m in MODALITIES
    }
    wanted = modalities_of(kind)
    for modality in wanted:
        if not having[modality]:
            return f"{name} has no {modality}"
    if kind == MODAL:
        both = set.intersection(*having.values())
        return "" if both else f"{name} has no language in both text and speech"
    alone = having[wanted[0]]
    return "" if len(alone) >= _PAIR else f"{name} has only {choices(alone)} in {wanted[0]}"


def missing(
    condition: Kind,
    what: str,
    reason: str,
    *,
    tap: str,
    measure: str,
    scores: str,
    asked: float,
    strict: bool,
) -> Checked:
    """A condition on a kind of comparison of which there is no score at all: it does not hold."""
    if what in _OTHER:
        reason += f"; --modalities {_OTHER[what]} asks of {_OTHER[what]} alone"
    return Checked(
        condition=condition, what=what, tap=tap, measure=measure, scores=scores, asked=asked,
        found=nan, low=nan, high=nan, given="", languages=0, passed=False, reason=reason,
        strict=strict,
    )  # fmt: skip


def no_chance(run: Run, measure: str) -> IsoglossError:
    """What to say of a run that has no level of chance to calibrate a measure with."""
    return IsoglossError(
        f"{run.folder} has no level of chance for {specs.short(MEASURES, measure)} (permutations "
        f"is {run.study['permutations']}), so nothing is calibrated: run the study with "
        "permutations, or ask for --scores raw"
    )
