"""Read what a model is given, ahead of it and longest first."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

from isogloss.corpora.base import Clip, Modality, Utterance
from isogloss.errors import ItemError
from isogloss.models.base import Heard

A = TypeVar("A")
B = TypeVar("B")


def by_length(
    utterances: Sequence[Utterance], modality: Modality
) -> tuple[list[int], dict[int, str]]:
    """Longest first, so that a batch that is too large shows at once."""
    lengths: dict[int, float] = {}
    failed: dict[int, str] = {}
    for i, utterance in enumerate(utterances):
        try:
            if modality == "text":
                lengths[i] = len(utterance.text or "")
            else:
                assert utterance.clip is not None  # noqa: S101
                lengths[i] = utterance.clip.seconds()
        except ItemError as error:
            failed[i] = str(error)
    return sorted(lengths, key=lambda i: (-lengths[i], utterances[i].sentence, i)), failed


def read_input(
    utterance: Utterance, modality: Modality, companions: Mapping[str, Clip] | None
) -> tuple[Any, str]:
    """Read one input, and say what was done to it.

    Raises:
        ItemError: Its recording cannot be read.
    """
    if modality == "text":
        if companions is None:
            return utterance.text, ""
        beside = companions[utterance.sentence].read()
        return Heard(utterance.text or "", beside.samples), beside.note
    assert utterance.clip is not None  # noqa: S101
    recording = utterance.clip.read()
    return recording.samples, recording.note


def ahead_of(
    pool: ThreadPoolExecutor, function: Callable[[A], B], items: Iterable[A], ahead: int
) -> Iterator[B]:
    """Like ``pool.map``, in order, but never more than ``ahead`` results wait in memory."""
    waiting: deque[Future[B]] = deque()
    try:
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) >= ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()
