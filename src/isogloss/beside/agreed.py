"""What two runs that are set side by side agree on, and in what they differ."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from isogloss import specs
from isogloss.errors import IsoglossError, StudyError, choices
from isogloss.report.sections import marks
from isogloss.similarity.base import Measure
from isogloss.similarity.measures import MEASURES
from isogloss.together.ground import Ground, ground
from isogloss.together.models import Model


def named(models: tuple[Model, ...], names: Sequence[str]) -> tuple[Model, ...]:
    """Name the two as asked, by their titles, or by their folders where these are equal.

    Raises:
        StudyError: The names are not two different ones.
    """
    if names:
        found = [str(name).strip() for name in names]
        if len(found) != len(models) or len(set(found)) < len(found) or not all(found):
            raise StudyError(
                f"two different names are needed, one for each run, not {choices(names)}"
            )
    else:
        found = [str(m.run.model["title"]) for m in models]
        for tell in ("name", "path"):
            if len(set(found)) < len(found):
                folders = [m.run.folder.resolve() for m in models]
                found = [f.name if tell == "name" else str(f) for f in folders]
    return tuple(replace(m, name=name) for m, name in zip(models, found, strict=True))


def common_ground(models: Sequence[Model], languages: Sequence[str]) -> Ground:
    """Languages and sentences of both; all languages that both have if none is named.

    Raises:
        IsoglossError: They have none, or other texts of one.
        StudyError: A language is unknown.
    """
    if languages:
        return ground(models, languages)
    shared = sorted(set.intersection(*(m.languages for m in models)))
    found = ground(models, shared)  # without any it says what there is
    return replace(found, rule="Languages: all that both runs have.")


def measures_of(models: Sequence[Model], asked: Sequence[str | Measure]) -> list[Measure]:
    """Those that are asked for, or those that both runs have.

    Raises:
        IsoglossError: They have none in common.
        StudyError: One is unknown.
    """
    if asked:
        return [specs.parse(MEASURES, m) for m in asked]
    lines = [
        [specs.write(MEASURES, specs.parse(MEASURES, m)) for m in model.run.study["measures"]]
        for model in models
    ]
    both = [line for line in lines[0] if line in lines[1]]
    if not both:
        first, second = (choices([specs.short(MEASURES, x) for x in own]) for own in lines)
        raise IsoglossError(
            f"the runs have no measure in common ({first} in {models[0].run.folder}, {second} in "
            f"{models[1].run.folder}); name one with --measures"
        )
    return [specs.parse(MEASURES, line) for line in both]


def one_width(models: Sequence[Model]) -> bool:
    """Whether the views of both runs are equally wide, so that raw scores compare."""
    widths = []
    for model in models:
        shapes: dict[tuple[str, str], int] = {}
        for (_, modality), unit in model.units.items():
            for tap, (_, width) in model.store.record(unit)["shapes"].items():
                shapes[modality, tap] = width
        widths.append(shapes)
    return widths[0] == widths[1]


def marks_of(models: Sequence[Model]) -> tuple[str, ...]:
    """What every figure must say of the two."""
    untrained = [m.name for m in models if m.run.model["untrained"]]
    return marks(
        f"untrained, random weights: {', '.join(untrained)}" if untrained else "",
        synthetic=any(m.run.corpus["synthetic_speech"] for m in models),
    )


def notes_of(
    models: Sequence[Model], recordings: Sequence[str], study: dict[str, Any], *, raw: bool
) -> Iterator[str]:
    """In what the two runs differ beside their numbers."""
    for key in ("permutations", "confounds"):
        if len({str(m.run.study[key]) for m in models}) > 1:
            yield (
                f"The runs differ in {key}; here it is {study[key]} for both, as in "
                f"{models[0].name}."
            )
    if len({m.run.study["seed"] for m in models}) > 1:
        yield (
            "The runs differ in their seed, so where a sentence has several recordings they may "
            "have used different ones."
        )
    if not raw:
        yield (
            "The taps of the two are not equally many or not equally wide, so raw scores do not "
            "compare, and there are none: only calibrated ones."
        )
    yield from recordings
    for model in models:
        if not model.texts:
            yield (
                f"{model.name}: the run does not hold its texts, so nobody checked that its "
                "sentences are those of the other."
            )
