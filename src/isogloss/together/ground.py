"""What all models have: the languages and sentences that they are compared on."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations

from isogloss.analyses.base import Contents
from isogloss.corpora.base import MODALITIES, Modality
from isogloss.errors import IsoglossError, choices
from isogloss.identifying import MIN_SENTENCES
from isogloss.languages import SETS, language, resolve
from isogloss.together.models import Model, Units, joined

COMMON = "paper-common"
_SHOWN = 60
"""Characters of a text that a message quotes."""


@dataclass(frozen=True)
class LeftOut:
    """Something that not all models have."""

    language: str
    modality: str
    """Empty where the whole language is left out."""
    reason: str
    sentences: tuple[str, ...] = ()


@dataclass(frozen=True)
class Ground:
    """Languages and sentences that all models have."""

    rule: str
    """How the languages were chosen, as a sentence."""
    sentences: dict[tuple[str, Modality], tuple[str, ...]]
    """(language, modality) -> ids in every model that takes the modality, in order."""
    left_out: tuple[LeftOut, ...]

    @property
    def languages(self) -> tuple[str, ...]:
        """In alphabetical order."""
        return tuple(sorted({code for code, _ in self.sentences}))

    def contents(self, model: Model) -> Contents:
        """What of a model may be compared: the same sentences for all, and its own taps."""
        none: tuple[tuple[str, float], ...] = ()
        taps = {m: model.run.taps.get(m, none) for m in MODALITIES}
        here = {m for m in MODALITIES if m in model.modalities}
        pairs = model.run.pairs if len(here) == len(MODALITIES) else ()
        # A modality that this model does not take still counts towards N, so that it is equal.
        taps = {m: found if m in here else none for m, found in taps.items()}
        return Contents(self.sentences, taps, pairs)

    def units(self, model: Model) -> Units:
        """The units of a model that are compared, with their common sentences only.

        Shuffles are drawn for all sentences of the units, so all models get the same ones.
        """
        return {
            key: replace(unit, sentences=self.sentences[key])
            for key, unit in model.units.items()
            if key in self.sentences
        }


def ground(models: Sequence[Model], languages: Sequence[str] = ()) -> Ground:
    """Find what all models have.

    A modality is asked of the models that take it at all, so a model of text alone does not keep
    the others from being compared in speech.

    Args:
        models: The models.
        languages: Codes or sets; if empty, the 24 languages that the study's three models share
            if every model has all of them, else all that the models have in common.

    Raises:
        StudyError: A language is unknown.
        IsoglossError: A language that was named is not in every run, no language is, or they have
            fewer than three sentences in common; or a sentence has different texts.
    """
    shared = set.intersection(*(m.languages for m in models))
    if not shared:
        there = "; ".join(f"{m.name}: {choices(sorted(m.languages), 6)}" for m in models)
        raise IsoglossError(f"the runs have no language in common ({there})")
    chosen, rule = _languages(models, shared, languages)
    left_out = [
        LeftOut(code, "", f"not in {_names([m for m in models if code not in m.languages])}")
        for code in sorted(set.union(*(m.languages for m in models)) - shared)
    ]
    left_out += [LeftOut(c, "", "not asked for") for c in sorted(shared - set(chosen))]
    sentences: dict[tuple[str, Modality], tuple[str, ...]] = {}
    for code in sorted(chosen):
        for modality in MODALITIES:
            takers = [m for m in models if modality in m.modalities]
            having = [m for m in takers if (code, modality) in m.units]
            if not having:
                continue
            if len(having) < len(takers):
                lacking = [m for m in takers if m not in having]
                left_out.append(LeftOut(code, modality, f"not in {_names(lacking)}"))
                continue
            ids = [m.contents.sentences[code, modality] for m in having]
            others = [frozenset(i) for i in ids[1:]]
            common = tuple(s for s in ids[0] if all(s in o for o in others))
            lost = tuple(dict.fromkeys(s for i in ids for s in i if s not in set(common)))
            if lost:
                left_out.append(LeftOut(code, modality, "not in every run", lost))
            if len(common) >= MIN_SENTENCES:
                sentences[code, modality] = common
            else:
                few = f"{len(common)} sentences in common are too few, {MIN_SENTENCES} are needed"
                left_out.append(LeftOut(code, modality, few, common))
    found = Ground(rule, sentences, tuple(left_out))
    _check(models, found)
    return found


def _languages(
    models: Sequence[Model], shared: set[str], asked: Sequence[str]
) -> tuple[set[str], str]:
    """Which languages are compared, and how that came about."""
    if asked:
        wanted = resolve(asked)
        for code, group in wanted.items():
            lacking = [m for m in models if code not in m.languages]
            if lacking and not group:
                raise IsoglossError(
                    f"{code} ({language(code).name}) is not in {_names(lacking)}; the runs have "
                    f"{choices(sorted(shared), 40)} in common"
                )
        chosen = shared & set(wanted)
        if not chosen:
            raise IsoglossError(
                f"none of {choices(wanted, 40)} is in every run; they have "
                f"{choices(sorted(shared), 40)} in common"
            )
        absent = sorted(set(wanted) - chosen)
        without = f", without {choices(absent, 40)}, which not every run has" if absent else ""
        return chosen, f"Languages as asked for ({', '.join(asked)}){without}."
    if COMMON in SETS and set(resolve([COMMON])) <= shared:
        return set(resolve([COMMON])), (
            f"Languages: {COMMON}, the {len(resolve([COMMON]))} that the study's three models "
            "share."
        )
    return shared, "Languages: all that every run has."


def _check(models: Sequence[Model], found: Ground) -> None:
    """Refuse models without enough in common, or with other texts."""
    if not any(_several(found.contents(m)) for m in models):
        named = [x for x in found.left_out if x.modality][:3]
        why = "".join(f"; {x.language} {x.modality}: {x.reason}" for x in named)
        raise IsoglossError(
            f"the runs cannot be compared: no two views have {MIN_SENTENCES} sentences that all "
            f"runs have{why}"
        )
    first = models[0]
    for other in models[1:]:
        for code in found.languages:
            every = (found.sentences.get((code, m), ()) for m in MODALITIES)
            for sentence in dict.fromkeys(s for ids in every for s in ids):
                mine, its = (m.texts.get((code, sentence)) for m in (first, other))
                if mine is not None and its is not None and mine != its:
                    raise IsoglossError(
                        f"{first.run.folder} and {other.run.folder} have different texts of "
                        f'sentence "{sentence}" in {code}: "{_cut(mine)}" and "{_cut(its)}"; '
                        "models compare on the same sentences only"
                    )


def _several(contents: Contents) -> bool:
    """Whether two views with taps share enough sentences."""
    keys = [key for key in contents.sentences if contents.taps[key[1]]]
    return any(
        len(contents.common(a, b)) >= MIN_SENTENCES
        for a, b in combinations(keys, 2)
        if (a[0] == b[0]) != (a[1] == b[1])
    )


def _names(models: Sequence[Model]) -> str:
    return joined([m.name for m in models])


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"
