"""Read what a model is given, ahead of it and longest first."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

from isogloss.corpora.base import SAMPLING_RATE, Clip, Modality, Utterance
from isogloss.errors import ItemError
from isogloss.languages import Language
from isogloss.models.base import Features, Heard

A = TypeVar("A")
B = TypeVar("B")


@dataclass(frozen=True)
class Prepared:
    """One utterance made ready for the model, or why it cannot be."""

    features: Features | None
    failure: str = ""
    notes: tuple[str, ...] = ()
    """What was done to it."""
    seconds: float | None = None
    """Duration of the decoded recording; None for text."""
    unread: bool = False
    """Whether its recording could not be read, which may be otherwise the next time."""


Maker = Callable[[Any, Language], Features]
"""Makes features of a text, samples or both: the ``features`` of a tower."""


def prepare(
    make: Maker, modality: Modality, utterance: Utterance, beside: Clip | None, spoken: Language
) -> Prepared:
    """Read one input, decode it and make its features.

    Args:
        make: Makes the features.
        modality: Of the encoder.
        utterance: What is read.
        beside: The recording that goes with its text, for models that ask for it.
        spoken: Its language.
    """
    try:
        item, note = _read(utterance, modality, beside)
    except ItemError as error:
        return Prepared(None, str(error), unread=True)
    try:
        seconds = len(item) / SAMPLING_RATE if modality == "speech" else None
        features = make(item, spoken)
    except ItemError as error:
        return Prepared(None, str(error))
    return Prepared(features, "", tuple(n for n in (note, features.note) if n), seconds)


def by_length(
    utterances: Mapping[int, Utterance], modality: Modality
) -> tuple[list[int], dict[int, str]]:
    """Longest first, so that a batch that is too large shows at once.

    Returns:
        The order, and why some have no length.
    """
    lengths: dict[int, float] = {}
    failed: dict[int, str] = {}
    for i, utterance in utterances.items():
        try:
            if modality == "text":
                lengths[i] = len(utterance.text or "")
            else:
                assert utterance.clip is not None  # noqa: S101
                # What is known of a clip may grow exact once it is cached; batches, and so the
                # last bits of what is stored, follow from this order.
                expected = getattr(utterance.clip, "expected", utterance.clip.seconds)
                lengths[i] = expected()
        except ItemError as error:
            failed[i] = str(error)
    return sorted(lengths, key=lambda i: (-lengths[i], utterances[i].sentence, i)), failed


def ahead_of(
    pool: ThreadPoolExecutor,
    function: Callable[[A], B],
    items: Iterable[A],
    ahead: Callable[[], int],
    waited: Callable[[], None] = lambda: None,
) -> Iterator[B]:
    """Like ``pool.map``, in order, but only so many results wait in memory.

    Args:
        pool: Where the function runs.
        function: What is called with each item.
        items: The items.
        ahead: How many results may wait; asked each time one is taken.
        waited: Called when a result is not there yet, though it had its time.
    """
    waiting: deque[Future[B]] = deque()
    taken = 0

    def first() -> B:
        if taken > ahead() and not waiting[0].done():
            waited()
        return waiting.popleft().result()

    try:
        for item in items:
            waiting.append(pool.submit(function, item))
            while len(waiting) >= ahead():
                yield first()
                taken += 1
        while waiting:
            yield first()
            taken += 1
    finally:
        for future in waiting:
            future.cancel()


def _read(utterance: Utterance, modality: Modality, beside: Clip | None) -> tuple[Any, str]:
    """Read one input, and say what was done to it."""
    if modality == "text":
        if beside is None:
            return utterance.text, ""
        recording = beside.read()
        return Heard(utterance.text or "", recording.samples), recording.note
    assert utterance.clip is not None  # noqa: S101
    recording = utterance.clip.read()
    return recording.samples, recording.note
