"""Load SALMONN from its four official files, each part whole or not at all. Imports torch."""

import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from isogloss.corpora.base import Modality
from isogloss.errors import ModelError, choices
from isogloss.models._beats import load_beats
from isogloss.models._pickles import fill, tensors_in
from isogloss.models._salmonn_files import Files
from isogloss.models._salmonn_model import Bridge, Ears
from isogloss.models._salmonn_prompt import Pieces, load_pieces
from isogloss.models._salmonn_sizes import LORA, NOT_TRAINED, Sizes
from isogloss.models._tower import EncoderAdapter
from isogloss.models._weights import below, load_encoder
from isogloss.models.base import Tower

_RENAMED = (
    ("speech_query_tokens", "queries"),
    ("speech_llama_proj.", "projection."),
    ("speech_Qformer.bert.embeddings.LayerNorm.", "qformer.layernorm."),
    ("speech_Qformer.bert.", "qformer."),
    ("attention.self.", "attention.attention."),
)


class Parts:
    """The parts, each loaded once, when first asked for. Text and speech share them.

    Args:
        files: Where they are.
        dtype: Precision of Whisper and Vicuna; the small parts between are always float32.
        device: Where they go.
    """

    def __init__(self, files: Files, *, dtype: str, device: torch.device) -> None:
        self.files, self._dtype, self._device = files, dtype, device
        self._loaded: dict[str, Any] = {}
        self._lock = threading.RLock()

    def llama(self) -> Any:
        """The language model without its head, low-rank updates merged."""
        with self._lock:
            if "llama" not in self._loaded:
                module = load_encoder(
                    self.files.vicuna,
                    "llama.modeling_llama:LlamaModel",
                    what="language model",
                    rename=below("model.", "", probe="layers.0.self_attn."),
                    dtype=self._dtype,
                    device=self._device,
                )
                path = self.files.trained.path()
                merge_lora(module, tensors_in(path, "model"), sizes=self.files.sizes, path=path)
                self._loaded["llama"] = module
            return self._loaded["llama"]

    def ears(self) -> Ears:
        """Whisper's encoder, BEATs, and what leads from them to the language model."""
        with self._lock:
            if "ears" not in self._loaded:
                whisper = load_encoder(
                    self.files.whisper,
                    "whisper.modeling_whisper:WhisperEncoder",
                    what="Whisper encoder",
                    rename=below("model.encoder.", "encoder.", "", probe="layers.0.self_attn."),
                    dtype=self._dtype,
                    device=self._device,
                )
                beats = load_beats(self.files.beats.path()).to(self._device)
                bridge = load_bridge(self.files.trained.path(), self.files.sizes)
                found = beats.config.encoder_embed_dim
                if found != self.files.sizes.beats:
                    raise ModelError(
                        f"{self.files.beats.path()} has {found} features, and "
                        f"{self.files.trained.path()} was trained on BEATs with "
                        f"{self.files.sizes.beats}; give the one that SALMONN was trained with"
                    )
                self._loaded["ears"] = Ears(whisper, beats, bridge.to(self._device)).eval()
            return self._loaded["ears"]

    def pieces(self) -> Pieces:
        """The tokeniser of the language model."""
        with self._lock:
            if "pieces" not in self._loaded:
                vicuna = self.files.vicuna
                size = vicuna.integer("vocab_size", 32_000)
                self._loaded["pieces"] = load_pieces(vicuna.folder(), vicuna.name, size)
            return self._loaded["pieces"]

    def clear(self) -> None:
        """Let go of everything."""
        with self._lock:
            self._loaded.clear()


class SharedAdapter(EncoderAdapter):
    """Towers over shared parts, which are let go of with them.

    Args:
        parts: What the towers are built of.
        builders: As for :class:`EncoderAdapter`.
    """

    def __init__(self, parts: Parts, builders: Mapping[Modality, Callable[[], Tower]]) -> None:
        super().__init__(builders)
        self.parts = parts

    def close(self) -> None:
        """Free the memory of all parts."""
        self.parts.clear()
        super().close()


def load_bridge(path: Path, sizes: Sizes) -> Bridge:
    """Read the layer norms, the Q-Former with its query, and the projection.

    Returns:
        In float32 on the CPU.

    Raises:
        ModelError: A weight is missing, left over, or of another shape.
    """
    tensors = {
        _own_name(name): tensor
        for name, tensor in tensors_in(path, "model").items()
        if not LORA.match(name) and not NOT_TRAINED.search(name)
    }
    with torch.device("meta"):
        bridge = Bridge(sizes)
    bridge = bridge.to_empty(device="cpu")
    fill(bridge, tensors, what="trained parts of SALMONN", path=path)
    return bridge.eval().requires_grad_(False)


def _own_name(name: str) -> str:
    for old, new in _RENAMED:
        name = name.replace(old, new)
    return name


def merge_lora(
    llama: nn.Module, tensors: Mapping[str, Tensor], *, sizes: Sizes, path: Path
) -> None:
    """Add the low-rank updates to the matrices that they update: ``W += alpha / rank · B A``.

    Hu et al., 2022, arXiv:2106.09685, section 4.1. The sum is taken in float32 and rounded once.

    Args:
        llama: Its layers are in ``layers``; changed in place.
        tensors: What was trained, under its stored names.
        sizes: Its sizes.
        path: Where it comes from, for messages.

    Raises:
        ModelError: A layer lacks its update, or there are updates for layers that do not exist.
    """
    factors = {found.groups(): t for name, t in tensors.items() if (found := LORA.match(name))}
    layers = len(llama.get_submodule("layers"))  # type: ignore[arg-type]
    wanted = {
        (str(i), matrix, factor)
        for i in range(layers)
        for matrix in ("q_proj", "v_proj")
        for factor in "AB"
    }
    odd = sorted(wanted ^ factors.keys(), key=lambda key: (int(key[0]), key))
    if odd:
        problem = "lacks" if odd[0] in wanted else "has, for layers that the language model lacks,"
        names = [f"layer {int(i) + 1} {matrix} {factor}" for i, matrix, factor in odd]
        raise ModelError(
            f"{path} {problem} low-rank updates: {choices(names, 4)}. Check that Vicuna and "
            "SALMONN are of one size, or download the checkpoint again"
        )
    with torch.no_grad():
        for i in range(layers):
            for matrix in ("q_proj", "v_proj"):
                weight = llama.get_parameter(f"layers.{i}.self_attn.{matrix}.weight")
                first, second = (
                    factors[str(i), matrix, factor].to(weight.device, torch.float32)
                    for factor in "AB"
                )
                if (second.shape[0], first.shape[1]) != tuple(weight.shape) or (
                    first.shape[0] != sizes.rank or second.shape[1] != sizes.rank
                ):
                    raise ModelError(
                        f"{path}: the low-rank update of {matrix} in layer {i + 1} is "
                        f"{tuple(second.shape)} × {tuple(first.shape)}, and the matrix is "
                        f"{tuple(weight.shape)}, so Vicuna is not the one that it was trained with"
                    )
                change = (sizes.alpha / sizes.rank) * (second @ first)
                weight.copy_((weight.float() + change).to(weight.dtype))
