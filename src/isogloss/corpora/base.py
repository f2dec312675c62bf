"""What a corpus is: an n-way parallel table of utterances, wherever it comes from."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, ClassVar, Literal, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import BeforeValidator

from isogloss.settings import Names, Settings, by_role, setting, split_names

Modality = Literal["text", "speech"]
MODALITIES: tuple[Modality, ...] = ("text", "speech")
SAMPLING_RATE = 16_000
MEASURED: dict[str, tuple[Modality, ...]] = {
    "characters": ("text", "speech"),
    "tokens": ("text",),
    "seconds": ("speech",),
}
"""What Isogloss itself counts of an utterance, and in which modalities: characters of the text
(Unicode code points), time steps of the text encoder without padding, and seconds of the decoded
recording. A corpus has no columns of these names."""


class Recording(NamedTuple):
    """Decoded speech: mono float32 samples at 16 kHz, and what was done to get there."""

    samples: NDArray[np.float32]
    note: str = ""


class Clip(Protocol):
    """One recording, not yet read."""

    @property
    def name(self) -> str:
        """What a message calls this recording, such as its path."""

    def identity(self) -> str:
        """A digest that changes when the samples would, without decoding them.

        Raises:
            ItemError: The recording is missing or unreadable.
        """

    def seconds(self) -> float:
        """Duration, or a good estimate of it for a clip that is yet to be synthesised.

        Raises:
            ItemError: It cannot be known, since the recording is missing or unreadable.
        """

    def read(self) -> Recording:
        """Decode to 16 kHz mono.

        Raises:
            ItemError: The recording is missing, unreadable, empty or silent.
        """


@dataclass(frozen=True)
class Utterance:
    """One sentence in one language, written, spoken, or both."""

    sentence: str
    """Id of the meaning, shared by all languages."""
    language: str
    """ISO 639-3 code."""
    text: str | None = None
    clip: Clip | None = None
    speaker: str | None = None
    gender: str | None = None
    split: str | None = None
    origin: str = ""
    """Where the row stands, for messages: ``manifest.jsonl row 12``."""
    columns: Mapping[str, str | float] = field(default_factory=dict, hash=False)
    """Further columns of the corpus, by name; a name is absent where its cell is empty."""


@dataclass(frozen=True)
class Dropped:
    """Something left out, and why. Nothing is ever left out without one of these."""

    language: str
    sentence: str
    modality: Modality | None
    """None: the whole row."""
    reason: str
    origin: str = ""


class DroppedGroup(NamedTuple):
    """Sentences of one language and modality that were left out for the same reason."""

    language: str
    modality: str
    """``text``, ``speech``, or ``both`` where a whole row was left out."""
    reason: str
    sentences: tuple[str, ...]


def grouped(dropped: Iterable[Dropped]) -> list[DroppedGroup]:
    """Put what was left out for the same reason together, by language and modality."""
    groups: dict[tuple[str, str, str], list[str]] = {}
    for item in dropped:
        key = (item.language, item.modality or "both", item.reason)
        groups.setdefault(key, []).append(item.sentence)
    return [DroppedGroup(*key, tuple(ids)) for key, ids in sorted(groups.items())]


@dataclass(frozen=True)
class Corpus:
    """All utterances of a source, as read."""

    name: str
    utterances: tuple[Utterance, ...]
    licence: str
    description: str
    synthetic_speech: bool = False
    """True where the speech was made by a synthesiser; shown wherever the corpus appears."""
    dropped: tuple[Dropped, ...] = ()
    notes: tuple[str, ...] = ()
    counts: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    """Language -> utterances and distinct sentences of the source, before anything is left out.
    Counted from the utterances where a source does not say."""


@dataclass(frozen=True)
class CorpusInfo:
    """What ``isogloss corpora`` shows of a source."""

    title: str
    languages: str
    speech: str
    licence: str


class CorpusSource(Settings, ABC):
    """Where sentences come from. A new corpus is one subclass in a file of its own."""

    info: ClassVar[CorpusInfo]
    section: ClassVar[str] = "corpus"

    source: str = setting(role="identity", help="Kind of corpus; see `isogloss corpora`.")
    languages: Names = setting(
        (),
        role="scope",
        help="Languages to use, ISO 639-3 or any code of FLEURS, FLORES-200 or Whisper, or the "
        "sets paper-seamless, paper-salmonn, paper-sonar and paper-common; all of the corpus if "
        "left out.",
    )
    modalities: Annotated[tuple[Modality, ...], BeforeValidator(split_names)] = setting(
        MODALITIES, role="scope", help="text, speech, or both."
    )
    sentences: int | None = setting(
        None, role="scope", ge=3, help="Use only the first so many sentence ids."
    )
    recordings: int = setting(
        1,
        role="scope",
        ge=1,
        help="Use up to so many recordings of a sentence. The first stands for the sentence in all "
        "scores; further ones serve noise ceilings and intervals.",
    )

    @abstractmethod
    def load(self) -> Corpus:
        """Read the table of utterances; recordings stay unread.

        Raises:
            CorpusError: It cannot be read; the message names file, row and column.
        """

    def identity(self) -> dict[str, object]:
        """JSON-able settings that name this source, beyond the content of its sentences."""
        return by_role(self, "identity")


@dataclass(frozen=True)
class Selection:
    """What is used of a corpus: for each language and modality, an utterance of each sentence.

    Of speech there may be further utterances, called takes. Those that stand for their sentence,
    takes 0, come first, in the order of sentence ids; then come all takes 1, then takes 2, ….
    """

    corpus: Corpus
    items: dict[tuple[str, Modality], tuple[Utterance, ...]]
    """(language, modality) -> its utterances, ordered by take and sentence id."""
    dropped: tuple[Dropped, ...] = field(default=())
