"""Towers that run an encoder of transformers and pool at its taps."""

import copy
import threading
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from isogloss.corpora.base import Modality
from isogloss.errors import ItemError, ModelError
from isogloss.languages import Language
from isogloss.models._relative import lighten
from isogloss.models._tokens import Tokeniser, mostly_unknown
from isogloss.models.base import Adapter, Features, Heard, Tap, Tower
from isogloss.pooling import Recorder, TapSpec

if TYPE_CHECKING:
    import torch
    from torch import nn

Samples = NDArray[np.float32]


@dataclass(frozen=True)
class Collated:
    """A batch made ready."""

    inputs: dict[str, Any]
    """Arrays (with a batch axis) or None, by the encoder's argument names."""
    masks: dict[str, NDArray[np.bool_]]
    """Length key -> (items × time), True where a step is pooled."""


class EncoderTower(Tower):
    """Runs a module on batches and pools at the taps that were asked for.

    Args:
        module: The encoder.
        taps: The taps to read, in order.
        specs: Where every tap of the encoder sits, by name.
        max_batch: As in :class:`Tower`.
        live: Whether the module is somebody else's, who goes on training it: it is not changed, and
            whatever it keeps for later may take part in a gradient.
    """

    def __init__(
        self,
        module: "nn.Module",
        *,
        taps: tuple[Tap, ...],
        specs: Mapping[str, TapSpec],
        max_batch: int | None = None,
        live: bool = False,
    ) -> None:
        self.taps = taps
        self.max_batch = max_batch
        self.module = module
        self._live = live
        if not live:
            lighten(module)
        self._recorder = Recorder(module, [specs[tap.name] for tap in taps])
        self.refresh()

    def refresh(self) -> None:
        """Look again where the module is and how precise."""
        first = next(self.module.parameters())
        self._device, self._dtype = first.device, first.dtype

    @abstractmethod
    def collate(self, batch: Sequence[Features]) -> Collated:
        """Put items together, padded to one length."""

    def during(self, masks: "Mapping[str, torch.Tensor]") -> AbstractContextManager[Any]:
        """What must hold while the module runs; nothing unless overridden."""
        return nullcontext()

    def encode(self, batch: Sequence[Features]) -> dict[str, NDArray[np.float32]]:
        """Run the encoder and return the pooled activations: tap name -> (items × features)."""
        if self.max_batch is not None and len(batch) > self.max_batch:
            parts = [self.encode([item]) for item in batch]
            return {tap.name: np.concatenate([p[tap.name] for p in parts]) for tap in self.taps}
        import torch

        collated = self.collate(batch)
        whole = {k: torch.from_numpy(m) for k, m in collated.masks.items()}
        masks = {k: self._sent(m) for k, m in whole.items()}
        inputs = {name: self._moved(value) for name, value in collated.inputs.items()}
        # A tensor made in inference mode and kept by a live module would break its next gradient.
        without = torch.no_grad if self._live else torch.inference_mode
        with without(), full_precision(self._device), self.during(masks):
            with self._recorder.pooling(whole, self._device) as pooled:
                self.module(**inputs)
            if self._device.type == "cpu":
                return {tap.name: pooled[tap.name].numpy() for tap in self.taps}
            # One copy, since each waits for the device.
            names = [tap.name for tap in self.taps]
            rows = torch.cat([pooled[name] for name in names], dim=1).cpu().numpy()
        ends = np.cumsum([pooled[name].shape[1] for name in names])[:-1]
        return dict(zip(names, np.split(rows, ends, axis=1), strict=True))

    def apart(self) -> "Tower | None":
        """Make a copy without the model."""
        light = copy.copy(self)
        light.module = light._recorder = None  # type: ignore[assignment]
        return light

    def _moved(self, value: NDArray[Any] | None) -> "torch.Tensor | None":
        import torch

        if value is None:
            return None
        tensor = torch.from_numpy(value)
        if tensor.is_floating_point() and tensor.dtype != self._dtype:
            tensor = tensor.to(self._dtype)
        return self._sent(tensor)

    def _sent(self, tensor: "torch.Tensor") -> "torch.Tensor":
        if self._device.type == "cuda":
            # From pinned memory the copy runs beside the model; from any other it is waited for.
            tensor = tensor.pin_memory()
        return tensor.to(self._device, non_blocking=True)


@contextmanager
def full_precision(device: "torch.device") -> Iterator[None]:
    """Keep cuDNN from computing float32 convolutions in TF32, which it does by default."""
    import torch

    if device.type != "cuda":
        yield
        return
    cudnn = torch.backends.cudnn
    before = cudnn.allow_tf32
    cudnn.allow_tf32 = False
    try:
        yield
    finally:
        cudnn.allow_tf32 = before


class TextTower(EncoderTower):
    """A text encoder.

    Args:
        module: The encoder, called with ``input_ids`` and ``attention_mask``.
        tokeniser: Its tokeniser.
        name: What messages call the checkpoint.
        language_token: The token that opens a sequence of a language; None if the tokeniser knows
            what belongs around a text, whatever its language.
        end: The token that closes a sequence which opens with a language.
        prefix: Written before every text.
        pool_special: Whether tokens around the text count in the mean.
        limit: Largest number of tokens; None if any.
        pad: Id that fills short sequences.
        arguments: As for :class:`EncoderTower`.
    """

    modality: Modality = "text"

    def __init__(
        self,
        module: "nn.Module",
        *,
        tokeniser: Tokeniser,
        name: str,
        language_token: Callable[[Tokeniser, Language], str] | None = None,
        end: str = "</s>",
        prefix: str = "",
        pool_special: bool = True,
        limit: int | None = None,
        pad: int = 0,
        **arguments: Any,
    ) -> None:
        super().__init__(module, **arguments)
        self._tokeniser, self._name = tokeniser, name
        self._language_token, self._end = language_token, end
        self._prefix, self._pool_special = prefix, pool_special
        self._limit, self._pad = limit, pad
        self._unknown = tokeniser.unknown()

    def features(self, item: str | Samples | Heard, language: Language) -> Features:
        """Tokenise one text.

        Raises:
            ItemError: It is empty, or longer than the model can read.
            ModelError: The model lacks a token for the language.
        """
        if not isinstance(item, str):
            raise TypeError("the text encoder takes text")
        if not item.strip():
            raise ItemError("the text is empty")
        ids, special = self._ids(self._prefix + item, language)
        pooled = np.ones(len(ids), bool) if self._pool_special else ~np.array(special, bool)
        if all(special) or not pooled.any():
            raise ItemError("no token is left of the text")
        if self._limit is not None and len(ids) > self._limit:
            raise ItemError(f"the text has {len(ids)} tokens, and the model reads {self._limit}")
        inner = [i for i, around in zip(ids, special, strict=True) if not around]
        values = {"input_ids": np.array(ids, np.int64), "pooled": pooled}
        return Features(values, len(ids), mostly_unknown(inner, self._unknown))

    def _ids(self, text: str, language: Language) -> tuple[list[int], list[bool]]:
        if self._language_token is None:
            return self._tokeniser.around(text)
        token = self._language_token(self._tokeniser, language)
        first, last = self._tokeniser.id(token), self._tokeniser.id(self._end)
        if not token or first is None or first == self._unknown or last is None:
            raise ModelError(
                f"{self._name} has no language token for {language.name} ({language.code}), "
                "so its text encoder cannot be used for it; leave the language out"
            )
        ids = [first, *self._tokeniser.pieces(text), last]
        return ids, [True, *[False] * (len(ids) - 2), True]

    def collate(self, batch: Sequence[Features]) -> Collated:
        """Pad to the longest text."""
        lengths = np.array([item.length for item in batch])
        ids = np.full((len(batch), lengths.max()), self._pad, np.int64)
        pooled = np.zeros(ids.shape, bool)
        for row, item in enumerate(batch):
            ids[row, : item.length] = item.values["input_ids"]
            pooled[row, : item.length] = item.values["pooled"]
        mask = np.arange(ids.shape[1]) < lengths[:, None]
        inputs = {"input_ids": ids, "attention_mask": mask.astype(np.int64)}
        return Collated(inputs, {"time": pooled})


class EncoderAdapter(Adapter):
    """Loads each tower when it is first asked for.

    Args:
        builders: How to load the tower of each modality.
    """

    def __init__(self, builders: Mapping[Modality, Callable[[], Tower]]) -> None:
        self._builders = dict(builders)
        self._towers: dict[Modality, Tower] = {}
        self._lock = threading.Lock()

    def tower(self, modality: Modality, language: Language | None = None) -> Tower:
        """Load (once) and return the encoder of a modality, one for all languages."""
        with self._lock:
            if modality not in self._towers:
                self._towers[modality] = self._builders[modality]()
            return self._towers[modality]

    def close(self) -> None:
        """Free the memory of all towers."""
        import torch

        with self._lock:
            self._towers.clear()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
