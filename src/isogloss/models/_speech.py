"""Speech encoders: how samples become input, and which time steps of the encoder are speech."""

import math
import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from isogloss.corpora.base import SAMPLING_RATE, Modality
from isogloss.errors import ItemError, ModelError
from isogloss.languages import Language
from isogloss.models._architectures import SpeechKind
from isogloss.models._checkpoint import Checkpoint
from isogloss.models._fbank import FRAME, HOP, log_mel
from isogloss.models._files import read_json
from isogloss.models._tower import Collated, EncoderTower, Samples
from isogloss.models._weights import model_class, quiet
from isogloss.models.base import Features, Heard

if TYPE_CHECKING:
    from torch import Tensor, nn

PREPROCESSORS = ("preprocessor_config.json", "processor_config.json")


def load_extractor(checkpoint: Checkpoint, extractor: str) -> Any:
    """Read the feature extractor of a checkpoint.

    Args:
        checkpoint: Where it is.
        extractor: Its class, ``module:Class`` below ``transformers.models``.

    Raises:
        ModelError: Its file is missing, or it is of another kind or for another sampling rate.
    """
    folder = checkpoint.folder()
    path = next((folder / name for name in PREPROCESSORS if (folder / name).is_file()), None)
    if path is None:
        raise ModelError(
            f"{checkpoint.name} has no feature extractor, so speech cannot be read: "
            f"it needs {PREPROCESSORS[0]}"
        )
    declared = read_json(path)
    declared = declared.get("feature_extractor", declared)
    wanted = extractor.rpartition(":")[2]
    found = declared.get("feature_extractor_type", wanted)
    if found != wanted:
        raise ModelError(f"{path} describes a {found}, but this model needs a {wanted}")
    try:
        with quiet():
            made = model_class(extractor).from_pretrained(str(folder))
    except (OSError, ValueError, TypeError) as error:
        raise ModelError(f"the feature extractor of {path} cannot be made: {error}") from error
    if made.sampling_rate != SAMPLING_RATE:
        raise ModelError(
            f"{path} asks for {made.sampling_rate} samples a second, and Isogloss gives every "
            f"model {SAMPLING_RATE}"
        )
    return made


class SpeechInput(ABC):
    """What one kind of encoder is fed with."""

    @abstractmethod
    def features(self, samples: Samples) -> Features:
        """Make the input of one recording; its length counts the encoder's time steps.

        Raises:
            ItemError: It is too short or too long.
        """

    @abstractmethod
    def collate(self, batch: Sequence[Features]) -> Collated:
        """Put recordings together; the mask ``time`` counts the encoder's time steps."""


class SpeechTower(EncoderTower):
    """A speech encoder.

    Args:
        module: The encoder.
        source: What it is fed with.
        arguments: As for :class:`EncoderTower`.
    """

    modality: Modality = "speech"

    def __init__(self, module: "nn.Module", *, source: SpeechInput, **arguments: Any) -> None:
        super().__init__(module, **arguments)
        self._source = source

    def features(self, item: str | Samples | Heard, language: Language) -> Features:
        """Turn 16 kHz mono samples into the encoder's input; the language plays no part.

        Raises:
            ItemError: The recording is too short or too long, or holds NaN or infinity.
        """
        if not isinstance(item, np.ndarray):
            raise TypeError("the speech encoder takes samples")
        samples = np.ascontiguousarray(item, np.float32)
        if not np.isfinite(samples).all():
            raise ItemError("the recording holds samples that are not finite")
        return self._source.features(samples)

    def collate(self, batch: Sequence[Features]) -> Collated:
        """Pad to the longest recording."""
        return self._source.collate(batch)

    @contextmanager
    def during(self, masks: "Mapping[str, Tensor]") -> Iterator[None]:
        """Nothing that matters: PyTorch warns of the masks that WavLM of transformers gives it."""
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Support for mismatched key_padding_mask")
            yield


class FilterBank(SpeechInput):
    """Log mel filter banks, frames stacked by two: SeamlessM4T and w2v-BERT.

    Args:
        extractor: That of transformers, which says with what filters and how many are stacked.
    """

    def __init__(self, extractor: Any) -> None:
        self._filters, self._window = extractor.mel_filters, extractor.window
        self._stacked: int = extractor.stride
        self._padding: float = extractor.padding_value

    def features(self, samples: Samples) -> Features:
        """80 bins × 2, one time step per 20 ms, each bin scaled over the utterance."""
        stacked = self._stacked
        _check_length(samples, FRAME + (stacked - 1) * HOP)
        found = log_mel(samples, self._filters, self._window)
        scaled = (found - found.mean(0)) / np.sqrt(found.var(0, ddof=1) + 1e-7)
        frames, bins = scaled.shape
        # To an even number, however many are stacked. A step counts if it has a second frame.
        whole = np.full((frames + frames % 2, bins), self._padding, np.float32)
        whole[:frames] = scaled
        steps = len(whole) // stacked
        length = int((np.arange(steps) * stacked + min(1, stacked - 1) < frames).sum())
        return Features(
            {"input_features": whole[: length * stacked].reshape(length, bins * stacked)}, length
        )

    def collate(self, batch: Sequence[Features]) -> Collated:
        """Zeros after the last frame, which the mask keeps from the encoder."""
        values, mask = _padded(batch, "input_features", [item.length for item in batch])
        inputs = {"input_features": values, "attention_mask": mask.astype(np.int64)}
        return Collated(inputs, {"time": mask})


class Waveform(SpeechInput):
    """Raw samples into strided convolutions: wav2vec 2.0, HuBERT, WavLM.

    Args:
        extractor: Scales each utterance to zero mean and unit variance if the model wants it.
        kernels: Kernel sizes of the convolutions.
        strides: Their strides.
    """

    def __init__(self, extractor: Any, kernels: Sequence[int], strides: Sequence[int]) -> None:
        self._extractor = extractor
        self._convolutions = list(zip(kernels, strides, strict=True))

    def steps(self, samples: int) -> int:
        """Time steps that the convolutions leave of so many samples."""
        for kernel, stride in self._convolutions:
            samples = (samples - kernel) // stride + 1
        return samples

    def features(self, samples: Samples) -> Features:
        """One value per sample; the length is what the convolutions leave."""
        shortest = 1
        for kernel, stride in reversed(self._convolutions):
            shortest = (shortest - 1) * stride + kernel
        _check_length(samples, shortest)
        made = self._extractor(samples, sampling_rate=SAMPLING_RATE, return_tensors="np")
        values = made["input_values"][0].astype(np.float32)
        return Features({"input_values": values}, self.steps(len(values)))

    def collate(self, batch: Sequence[Features]) -> Collated:
        """Zeros after the last sample; no mask is passed where none is needed."""
        lengths = [len(item.values["input_values"]) for item in batch]
        values, mask = _padded(batch, "input_values", lengths)
        steps = np.array([item.length for item in batch])
        inputs = {
            "input_values": values,
            "attention_mask": None if mask.all() else mask.astype(np.int64),
        }
        return Collated(inputs, {"time": np.arange(self.steps(values.shape[1])) < steps[:, None]})


class Window(SpeechInput):
    """Log mel of a window of fixed length, padded with silence: Whisper.

    The encoder attends to the silence as it did in training; only the time steps that the
    recording reaches are pooled.

    Args:
        extractor: Makes the window.
        steps: Time steps of the encoder for a whole window.
        name: What messages call the checkpoint.

    Raises:
        ModelError: The two do not fit.
    """

    def __init__(self, extractor: Any, steps: int, name: str) -> None:
        self._extractor, self._steps = extractor, steps
        if extractor.nb_max_frames != 2 * steps:
            raise ModelError(
                f"{name}: the feature extractor makes {extractor.nb_max_frames} frames, but the "
                f"encoder takes {2 * steps}, so they belong to different checkpoints"
            )

    def features(self, samples: Samples) -> Features:
        """(mel bins × frames), and how many of the encoder's steps hold speech."""
        _check_length(samples, 1)
        longest = self._extractor.n_samples
        if len(samples) > longest:
            raise ItemError(
                f"the recording lasts {len(samples) / SAMPLING_RATE:.1f} s, and the model hears "
                f"{longest / SAMPLING_RATE:.0f} s"
            )
        made = self._extractor(samples, sampling_rate=SAMPLING_RATE, return_tensors="np")
        values = made["input_features"][0].astype(np.float32)
        # A frame per hop, and two frames per step (the second convolution has stride 2).
        speech = math.ceil(len(samples) / (2 * self._extractor.hop_length))
        return Features({"input_features": values, "speech": speech}, self._steps)

    def collate(self, batch: Sequence[Features]) -> Collated:
        """All windows have one size."""
        values = np.stack([item.values["input_features"] for item in batch])
        speech = np.array([item.values["speech"] for item in batch])
        mask = np.arange(self._steps) < speech[:, None]
        return Collated({"input_features": values}, {"time": mask})


def speech_input(kind: SpeechKind | None, extractor: Any, checkpoint: Checkpoint) -> SpeechInput:
    """Make what an architecture is fed with.

    Raises:
        ModelError: The feature extractor does not fit the encoder.
    """
    config = checkpoint.config
    if kind == "waveform":
        defaults = ((10, 3, 3, 3, 3, 2, 2), (5, 2, 2, 2, 2, 2, 2))
        kernels = config.get("conv_kernel", defaults[0])
        return Waveform(extractor, kernels, config.get("conv_stride", defaults[1]))
    if kind == "window":
        steps = checkpoint.integer("max_source_positions", 1500)
        return Window(extractor, steps, checkpoint.name)
    return FilterBank(extractor)


def _check_length(samples: Samples, shortest: int) -> None:
    if samples.ndim != 1 or len(samples) < shortest:
        raise ItemError(
            f"the recording lasts {1000 * samples.size / SAMPLING_RATE:.0f} ms, and the model "
            f"needs {1000 * shortest / SAMPLING_RATE:.0f} ms"
        )


def _padded(
    batch: Sequence[Features], key: str, lengths: Sequence[int]
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    first = batch[0].values[key]
    values = np.zeros((len(batch), max(lengths), *first.shape[1:]), np.float32)
    for row, (item, length) in enumerate(zip(batch, lengths, strict=True)):
        values[row, :length] = item.values[key]
    return values, np.arange(values.shape[1]) < np.array(lengths)[:, None]
