"""What a model is to Isogloss: an ordered list of taps per modality, and a way to read them.

A family is one subclass of :class:`ModelSource` in a file of its own. Its fields are its settings,
and everything but :meth:`ModelSource.load` works without torch.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from isogloss.corpora.base import Modality
from isogloss.errors import ModelError, unknown
from isogloss.languages import Language
from isogloss.settings import Settings, by_role, one_of_or_names, setting

STEPS_PER_SECOND = 50.0
"""Time steps of most speech encoders."""
CHARACTERS_PER_TOKEN = 3.0
"""Roughly, over languages and tokenisers."""
WEIGHTS_PER_LAYER = 16
"""Weights of one layer, as a multiple of its squared width: attention 4, feed-forward 8 to 20."""


@dataclass(frozen=True)
class Tap:
    """A named place in a model where activations are read."""

    name: str
    width: int
    """Number of features."""
    depth: float
    """Relative depth: 0 at the input, 1 at the last layer."""


@dataclass(frozen=True)
class TapPair:
    """The text tap and the speech tap that are set side by side at one point of the x-axis."""

    label: str
    text: str
    speech: str
    depth: float


@dataclass(frozen=True)
class Layout:
    """What can be read from a checkpoint, known from its configuration alone."""

    taps: dict[Modality, tuple[Tap, ...]]
    """All taps in order, from input to output."""
    paper: dict[Modality, tuple[str, ...]]
    """Names of the taps that the study reads, or every tap for models it does not treat."""
    pairs: tuple[TapPair, ...]
    """All cross-modal pairs in order."""
    untrained: bool = False
    """True for random weights; shown wherever the model appears."""
    notes: tuple[str, ...] = ()
    """Choices that the study leaves open and how they were made, for the report."""


@dataclass(frozen=True)
class ModelInfo:
    """What ``isogloss models`` shows of a family."""

    title: str
    checkpoints: str
    licence: str
    reference: str
    parameters: tuple[tuple[str, int], ...] = ()
    """Parts that are loaded, and their parameters in the checkpoint named first."""
    languages: str = ""
    """Which languages it takes in each modality, in a line."""
    taps: str = ""
    """What can be read, in a line."""


@dataclass(frozen=True)
class Features:
    """One sentence made ready for the model."""

    values: dict[str, Any]
    """NumPy arrays for one item, without a batch axis."""
    length: int
    """Time steps at the encoder's input, which is what a batch's budget counts."""
    note: str = ""
    """Something done to the input that the user should know."""
    tokens: int | None = None
    """Tokens of the text alone, where ``length`` counts a prompt or a recording as well."""


@dataclass(frozen=True)
class Heard:
    """A text that is encoded together with a recording."""

    text: str
    samples: NDArray[np.float32]
    """16 kHz mono."""


class Tower(ABC):
    """The encoder of one modality, loaded. Its weights are never random without saying so."""

    modality: Modality
    taps: tuple[Tap, ...]
    """The taps that were asked for, in order."""
    max_batch: int | None = None
    """Largest number of items whose results do not depend on each other; None if any."""

    @abstractmethod
    def features(self, item: str | NDArray[np.float32] | Heard, language: Language) -> Features:
        """Tokenise a text, or turn 16 kHz mono samples into the encoder's input. Thread-safe.

        A text comes with a recording where :meth:`ModelSource.companion` asks for one.

        Raises:
            ItemError: This sentence cannot be used (too long, no token left, …).
        """

    @abstractmethod
    def encode(self, batch: Sequence[Features]) -> dict[str, NDArray[np.float32]]:
        """Run the encoder and return the pooled activations: tap name -> (items × features).

        A row does not depend on what else is in the batch.
        """

    def refresh(self) -> None:  # noqa: B027
        """Look again at a model in memory, whose weights, device or precision may have changed."""

    def apart(self) -> "Tower | None":
        """Make a copy whose :meth:`features` works without the model, to be sent elsewhere.

        Returns:
            Something that can be pickled, so that features are made in other processes; None if
            there is no such thing, and they are made in threads.
        """
        return None


class Adapter(ABC):
    """A model ready to run."""

    @abstractmethod
    def tower(self, modality: Modality, language: Language | None = None) -> Tower:
        """Load (once) and return the encoder of a modality.

        Args:
            modality: Text or speech.
            language: For which language; families with one encoder for all need none. A family
                with an encoder for each language may release the one before.

        Raises:
            ModelError: Weights are missing or of the wrong shape.
        """

    def close(self) -> None:  # noqa: B027
        """Free the memory of all towers."""


TapChoice = Literal["all", "paper"]


class ModelSource(Settings, ABC):
    """A model family with the settings of one run."""

    info: ClassVar[ModelInfo]
    section: ClassVar[str] = "model"
    handles: ClassVar[frozenset[str]] = frozenset()
    """``model_type`` of the checkpoints that this family reads whole, so that a checkpoint alone
    names its family."""
    swap: ClassVar[str] = "Leave it out with `languages`"
    """What to do about a language that the model does not speak."""
    located_by: ClassVar[frozenset[str]] = frozenset({"checkpoint", "revision"})
    """Settings that only say where the checkpoint is: its content is in :meth:`fingerprint`."""

    family: str = setting(role="identity", help="Kind of model; see `isogloss models`.")
    taps: Annotated[TapChoice | tuple[str, ...], one_of_or_names("all", "paper")] = setting(
        "all", role="scope", help='Where to read: "all", "paper" (the study\'s list), or tap names.'
    )
    dtype: Literal["float32", "float16", "bfloat16"] = setting(
        "float32",
        role="identity",
        help="Precision of the weights and activations; pooling is always float32.",
    )

    @abstractmethod
    def layout(self) -> Layout:
        """Describe the taps from the checkpoint's configuration, without torch.

        Raises:
            ModelError: It is no checkpoint of this family.
        """

    @abstractmethod
    def fingerprint(self) -> dict[str, str]:
        """Digests or hub revisions that name the content of the checkpoint's files."""

    def fingerprint_of(self, modality: Modality, language: str) -> dict[str, str]:
        """Names the content that one language's encoder alone is made of, beyond the above.

        For families with a checkpoint per language, so that a language can be added to a run
        without making the others again.

        Args:
            modality: Text or speech.
            language: ISO 639-3 code.

        Raises:
            ModelError: The language's checkpoint is not there.
        """
        return {}

    @abstractmethod
    def load(self, *, device: str) -> Adapter:
        """Return the adapter; towers load their weights when first asked for.

        Args:
            device: A torch device such as ``"cpu"`` or ``"cuda:0"``.

        Raises:
            MissingExtraError: torch or transformers is not installed.
            ModelError: A tap in ``taps`` does not exist.
        """

    def live(self, module: Any) -> Adapter:
        """Return an adapter that reads a model in memory, such as one that is being trained.

        Tokeniser, feature extractor and configuration are those of the checkpoint; its weights are
        not read. The model's own encoders run where they are and as precise as they are. Nothing
        about them is changed, so they must be in evaluation mode when a tower encodes, and
        :meth:`Tower.refresh` must be called after they changed.

        Args:
            module: A ``torch.nn.Module`` that is, or somewhere holds, the encoders.

        Raises:
            MissingExtraError: torch or transformers is not installed.
            ModelError: The family cannot do that, or the encoders are not in the model.
        """
        raise ModelError(
            f'the family "{self.family}" builds its encoders itself, so a model in memory cannot '
            "be read by it; give functions that return the activations instead (text and speech)"
        )

    def speaks(self) -> dict[Modality, frozenset[str] | None]:
        """ISO 639-3 codes that the model takes in each modality; None for any.

        Raises:
            ModelError: It is no checkpoint of this family.
        """
        return {"text": None, "speech": None}

    def companion(self) -> Literal["none", "same", "other"]:
        """Whether a text is encoded with a recording: that of its sentence, or of another one.

        A causal model that is given speech and then text computes the text with the speech
        visible. With another sentence's recording that shows how much of it comes from there.
        """
        return "none"

    def time_steps(self, modality: Modality, size: float, tap: Tap) -> float:
        """How many time steps pass the layer of a tap for one input. Only estimates use it.

        A family that pads its input, or shortens it on the way, says so here. What is read before
        the first layer costs nothing. A tap that stands for several layers, or for convolutions,
        has as many steps as it would take one layer of its width to do the same work.

        Args:
            modality: Text or speech.
            size: Characters of the text, or seconds of the recording.
            tap: One of :meth:`layout`.
        """
        if tap.name == "in":
            return 0.0
        return size * STEPS_PER_SECOND if modality == "speech" else size / CHARACTERS_PER_TOKEN

    def tokeniser(self) -> Callable[[str, Language], Sequence[int]] | None:
        """Read what splits a text for the model, without loading weights.

        Returns:
            Gives the ids of a text's own tokens, as the text encoder gets them, without those
            around it. None if the model has no tokens. If it has a method ``kind`` as well, that
            says of an id whether it is ``"unknown"``, a ``"byte"`` of a character, a single
            ``"character"``, or ``"longer"``.

        Raises:
            ModelError: The tokeniser's files are missing or cannot be read.
        """
        return None

    def identity(self) -> dict[str, Any]:
        """JSON-able settings that change activations, beyond the content of the checkpoint."""
        settings = by_role(self, "identity")
        return {k: v for k, v in settings.items() if k not in self.located_by}

    def title(self) -> str:
        """A short name for figures and file names, such as ``seamless-m4t-v2-large``."""
        return self.family


def chosen_taps(model: ModelSource, layout: Layout) -> dict[Modality, tuple[Tap, ...]]:
    """Resolve ``model.taps`` against a layout, in the model's order.

    Raises:
        ModelError: A name is a tap of neither modality.
    """
    if model.taps == "all":
        return dict(layout.taps)
    if model.taps == "paper":
        wanted = {m: set(names) for m, names in layout.paper.items()}
    else:
        known = dict.fromkeys(t.name for taps in layout.taps.values() for t in taps)
        for name in model.taps:
            if name not in known:
                raise ModelError(unknown("tap", name, known))
        wanted = {m: set(model.taps) for m in layout.taps}
    return {m: tuple(t for t in taps if t.name in wanted[m]) for m, taps in layout.taps.items()}
