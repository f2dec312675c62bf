"""BEATs, the encoder of sounds in SALMONN, for inference. Imports torch.

Chen et al., 2023, "BEATs: Audio Pre-Training with Acoustic Tokenizers", arXiv:2212.09058: a
transformer over patches of a spectrogram, with norms after its blocks, scaled residuals (DeepNorm,
Wang et al., 2022, arXiv:2203.00555) and a relative position bias that the queries gate (WavLM, Chen
et al., 2022, arXiv:2110.13900, section III-B).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import weight_norm

from isogloss.errors import ModelError, choices
from isogloss.models._pickles import fill, read_pickle, state_in

_SOFTENED = 32.0
"""Logits of the attention are kept this much smaller until their maximum is taken off."""
_BIAS = "self_attn.relative_attention_bias.weight"


@dataclass(frozen=True)
class BeatsConfig:
    """Sizes of a BEATs encoder; the defaults are what the original assumes where a file is silent.

    Attributes:
        input_patch_size: Frames, and mel bins, of a patch.
        embed_dim: Features of a patch.
        conv_bias: Whether the patch embedding has a bias.
        encoder_layers: Transformer layers.
        encoder_embed_dim: Their features.
        encoder_ffn_embed_dim: Features inside their feed-forward blocks.
        encoder_attention_heads: Attention heads.
        conv_pos: Patches that the convolution for positions spans.
        conv_pos_groups: Its groups.
        num_buckets: Entries of the relative position bias.
        max_distance: Patches beyond which distances are not told apart.
        deep_norm: Whether residuals are scaled.
    """

    input_patch_size: int = 16
    embed_dim: int = 512
    conv_bias: bool = False
    encoder_layers: int = 12
    encoder_embed_dim: int = 768
    encoder_ffn_embed_dim: int = 3072
    encoder_attention_heads: int = 12
    conv_pos: int = 128
    conv_pos_groups: int = 16
    num_buckets: int = 320
    max_distance: int = 1280
    deep_norm: bool = False

    @classmethod
    def of(cls, stored: Any, path: Path) -> "BeatsConfig":
        """Read the ``cfg`` of a checkpoint.

        Raises:
            ModelError: It is missing, or describes a variant that was never released.
        """
        if not isinstance(stored, Mapping):
            raise ModelError(
                f'{path} is no checkpoint of BEATs: it has no "cfg" with the sizes of the encoder '
                "beside its weights"
            )
        needed = {
            "relative_position_embedding": (True, False),
            "gru_rel_pos": (True, False),
            "layer_norm_first": (False, False),
            "activation_fn": ("gelu", "gelu"),
        }
        for key, (wanted, default) in needed.items():
            if stored.get(key, default) != wanted:
                raise ModelError(
                    f'{path} is a BEATs encoder with "{key}": {stored.get(key, default)!r}; '
                    f"all that were released have {wanted!r}, and no other is supported"
                )
        known = {f.name: stored[f.name] for f in fields(cls) if f.name in stored}
        wrong = [
            k for k, v in known.items() if not isinstance(v, int) or (v < 1 and v is not False)
        ]
        if wrong:
            raise ModelError(f'{path}: the "cfg" of BEATs has no usable {choices(wrong)}')
        return cls(**known)


class _Attention(nn.Module):
    """Self-attention with a gated relative position bias."""

    def __init__(self, config: BeatsConfig, *, first: bool) -> None:
        super().__init__()
        width, self._heads = config.encoder_embed_dim, config.encoder_attention_heads
        self._buckets, self._furthest = config.num_buckets, config.max_distance
        self.q_proj, self.k_proj, self.v_proj, self.out_proj = (
            nn.Linear(width, width) for _ in range(4)
        )
        self.grep_linear = nn.Linear(width // self._heads, 8)
        self.grep_a = nn.Parameter(torch.ones(1, self._heads, 1, 1))
        if first:
            self.relative_attention_bias = nn.Embedding(config.num_buckets, self._heads)

    def bias(self, length: int) -> Tensor:
        """The bias of every pair of patches, before gating: (heads × length × length)."""
        place = torch.arange(length)
        bucket = _bucket(place[None, :] - place[:, None], self._buckets, self._furthest)
        table = self.relative_attention_bias.weight
        return table[bucket.to(table.device)].permute(2, 0, 1)

    def forward(self, x: Tensor, bias: Tensor) -> Tensor:
        batch, length, width = x.shape
        query, key, value = (
            projected(x).view(batch, length, self._heads, -1).transpose(1, 2)
            for projected in (self.q_proj, self.k_proj, self.v_proj)
        )
        scale = (width // self._heads) ** -0.5
        logits = (query * (scale / _SOFTENED)) @ key.transpose(-1, -2)
        logits = (logits - logits.amax(dim=-1, keepdim=True)) * _SOFTENED
        gates = self.grep_linear(query).view(*query.shape[:-1], 2, 4).sum(-1).sigmoid()
        outer, inner = gates.chunk(2, dim=-1)
        logits = logits + (outer * (inner * self.grep_a - 1.0) + 2.0) * bias
        heard = (logits.softmax(dim=-1) @ value).transpose(1, 2)
        return self.out_proj(heard.reshape(batch, length, width))


class _Layer(nn.Module):
    def __init__(self, config: BeatsConfig, *, first: bool) -> None:
        super().__init__()
        width, inner = config.encoder_embed_dim, config.encoder_ffn_embed_dim
        self.self_attn = _Attention(config, first=first)
        self.self_attn_layer_norm = nn.LayerNorm(width)
        self.fc1, self.fc2 = nn.Linear(width, inner), nn.Linear(inner, width)
        self.final_layer_norm = nn.LayerNorm(width)
        self._residual = (2 * config.encoder_layers) ** 0.25 if config.deep_norm else 1.0

    def forward(self, x: Tensor, bias: Tensor) -> Tensor:
        x = self.self_attn_layer_norm(x * self._residual + self.self_attn(x, bias))
        inner = self.fc2(functional.gelu(self.fc1(x)))
        return self.final_layer_norm(x * self._residual + inner)


class _Encoder(nn.Module):
    def __init__(self, config: BeatsConfig) -> None:
        super().__init__()
        width, span = config.encoder_embed_dim, config.conv_pos
        convolution = nn.Conv1d(
            width, width, span, padding=span // 2, groups=config.conv_pos_groups
        )
        self.pos_conv = nn.Sequential(weight_norm(convolution, dim=2), nn.GELU())
        self.layers = nn.ModuleList(
            _Layer(config, first=i == 0) for i in range(config.encoder_layers)
        )
        self.layer_norm = nn.LayerNorm(width)

    def forward(self, x: Tensor) -> Tensor:
        length = x.shape[1]
        # A kernel of even width leaves one patch more than there were.
        x = self.layer_norm(x + self.pos_conv(x.transpose(1, 2))[..., :length].transpose(1, 2))
        first = self.layers[0].self_attn
        assert isinstance(first, _Attention)  # noqa: S101
        bias = first.bias(length)
        for layer in self.layers:
            x = layer(x, bias)
        return x


class Beats(nn.Module):
    """Turns a spectrogram into features: eight frequency patches for each 160 ms, in time order.

    Its results depend on padding, and in the original they do so for every batch: it takes one
    utterance, or several of one length.
    """

    def __init__(self, config: BeatsConfig) -> None:
        super().__init__()
        self.config = config
        patch = config.input_patch_size
        self.patch_embedding = nn.Conv2d(1, config.embed_dim, patch, patch, bias=config.conv_bias)
        self.layer_norm = nn.LayerNorm(config.embed_dim)
        same = config.embed_dim == config.encoder_embed_dim
        self.post_extract_proj = (
            nn.Identity() if same else nn.Linear(config.embed_dim, config.encoder_embed_dim)
        )
        self.encoder = _Encoder(config)

    def forward(self, spectrogram: Tensor) -> Tensor:
        """Encode filter banks (batch × frames × bins) to (batch × patches × features)."""
        patches = self.patch_embedding(spectrogram.unsqueeze(1)).flatten(2)
        return self.encoder(self.post_extract_proj(self.layer_norm(patches.transpose(1, 2))))


def _bucket(distance: Tensor, buckets: int, furthest: int) -> Tensor:
    """Bucket of a signed distance: exact when short, logarithmic up to ``furthest`` (T5)."""
    half = buckets // 2
    exact = half // 2
    far = distance.abs()
    steps = torch.log(far.clamp(min=1).float() / exact) / math.log(furthest / exact)
    spread = (exact + (steps * (half - exact)).long()).clamp(max=half - 1)
    return torch.where(far < exact, far, spread) + (distance > 0) * half


def load_beats(path: Path) -> Beats:
    """Read a checkpoint of BEATs as it was released: ``{"cfg": …, "model": …}``.

    A fine-tuned one also has the classifier ``predictor``, which is not needed.

    Returns:
        The encoder, in float32 on the CPU.

    Raises:
        ModelError: It is something else, incomplete, or of a variant that was never released.
    """
    content = read_pickle(path)
    config = BeatsConfig.of(content.get("cfg") if isinstance(content, Mapping) else None, path)
    stored = state_in(content, path, "model")
    tensors = {_own_name(n): t for n, t in stored.items() if not n.startswith("predictor.")}
    shared = tensors.get(f"encoder.layers.0.{_BIAS}")
    for i in range(1, config.encoder_layers):
        copy = tensors.pop(f"encoder.layers.{i}.{_BIAS}", None)
        if copy is not None and (shared is None or not torch.equal(copy, shared)):
            raise ModelError(
                f"{path}: layer {i + 1} of BEATs has a relative position bias of its own, but "
                "every layer shares that of the first"
            )
    with torch.device("meta"):
        module = Beats(config)
    module = module.to_empty(device="cpu")
    fill(module, tensors, what="BEATs encoder that its cfg describes", path=path)
    return module.eval().requires_grad_(False)


def _own_name(name: str) -> str:
    for old, new in (("weight_g", "original0"), ("weight_v", "original1")):
        name = name.replace(f"pos_conv.0.{old}", f"pos_conv.0.parametrizations.weight.{new}")
    return name
