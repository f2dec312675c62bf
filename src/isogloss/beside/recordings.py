"""Whether two runs have heard the same recordings, from what their stores know of them."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any

from isogloss.corpora import CORPORA
from isogloss.corpora.base import CorpusSource
from isogloss.errors import IsoglossError, choices
from isogloss.settings import role_of
from isogloss.storage.store import Unit
from isogloss.together.ground import Ground
from isogloss.together.models import Model

_NEAR = 0.02
"""Seconds by which one recording may differ after another resampling."""

Takes = dict[str, list[tuple[float | None, str | None]]]
"""Sentence -> length in seconds and speaker of each of its recordings, in order of takes."""


def other_recordings(models: Sequence[Model], shared: Ground) -> Iterator[str]:
    """Say that two runs have different recordings of the same sentences, or may have.

    No store holds a digest of each recording. That of a unit is over the model and all its inputs,
    so it settles the matter for one model; between models lengths and speakers are compared, and
    what the studies say of the corpus.

    Args:
        models: Two of them.
        shared: What is compared.
    """
    first, second = models
    other, open_ = [], False
    for key in sorted(key for key in shared.sentences if key[1] == "speech"):
        if not all(key in m.units for m in models):
            continue
        if first.units[key].digest == second.units[key].digest:
            continue
        takes = [_takes(m, m.units[key]) for m in models]
        if _same_but_inputs(first, second, key) or any(
            not _alike(*(own.get(s, []) for own in takes)) for s in shared.sentences[key]
        ):
            other.append(key[0])
        else:
            open_ = True
    if other:
        yield (
            f"The runs have heard different recordings in {choices(other, 6)}, so differences in "
            "speech are not those of the models alone."
        )
    said = _settings(first, second) if open_ and not other else ""
    if said:
        yield (
            f"The corpora of the runs were not read alike ({said}), so nobody knows whether their "
            "recordings are the same."
        )


def _same_but_inputs(first: Model, second: Model, key: tuple[str, Any]) -> bool:
    """Whether two units can differ only in the content of their inputs."""
    made = []
    for model in (first, second):
        unit = model.units[key]
        study = model.run.store().study() or {}
        record = model.store.record(unit)
        weights = record.get("model", {}).get("checkpoint", model.run.model["checkpoint"])
        made.append((study.get("model"), weights, unit.taps, unit.sentences, unit.further))
    return made[0] == made[1] and made[0][0] is not None


def _takes(model: Model, unit: Unit) -> Takes:
    record = model.store.record(unit)
    rows = len(record["sentences"])
    seconds = record.get("covariates", {}).get("seconds") or [None] * rows
    speakers = record.get("speakers") or [None] * rows
    found: Takes = defaultdict(list)
    for sentence, _, *known in sorted(
        zip(record["sentences"], record["takes"], seconds, speakers, strict=True),
        key=lambda row: (row[0], row[1]),
    ):
        found[sentence].append((known[0], known[1]))
    return found


def _alike(
    first: Sequence[tuple[float | None, str | None]],
    second: Sequence[tuple[float | None, str | None]],
) -> bool:
    """Whether nothing that is known of two lists of recordings tells them apart."""
    if len(first) != len(second):
        return False
    for (a, speaker), (b, other) in zip(first, second, strict=True):
        # No comparison with NaN is true.
        if a is not None and b is not None and abs(a - b) > _NEAR:
            return False
        if speaker is not None and other is not None and speaker != other:
            return False
    return True


def _settings(first: Model, second: Model) -> str:
    """In what the studies say other things of what the corpus is."""
    mine, its = (model.run.study["corpus"] for model in (first, second))
    # What all corpora have says how much of one is used, which is compared by itself.
    names = [n for n in {**mine, **its} if n not in CorpusSource.model_fields or n == "source"]
    with suppress(IsoglossError):  # an add-on that is not installed here
        kind = CORPORA.get(str(mine.get("source")))
        known = [n for n in names if n in kind.model_fields]
        names = ["source", *(n for n in known if role_of(kind, n) != "runtime" and n != "source")]
    return "; ".join(
        f"{name} is {mine.get(name)} in {first.name} and {its.get(name)} in {second.name}"
        for name in names
        if mine.get(name) != its.get(name)
    )
