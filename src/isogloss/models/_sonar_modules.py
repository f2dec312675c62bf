"""SONAR's encoders as modules, built from the parts of transformers. Imports torch.

The text encoder is NLLB's; the speech encoder is w2v-BERT as SeamlessM4T v1 has it, with relative
positions, followed by a small decoder that asks one question of it (Duquenne et al., 2023,
arXiv:2308.11466, section 4).
"""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from isogloss.errors import ModelError
from isogloss.models._pickles import fill
from isogloss.models._sonar_files import Size
from isogloss.models._sonar_names import count, speech_tensors, text_tensors
from isogloss.models._weights import model_class, quiet

PAD, BOS = 1, 2
"""The padding id that positions are counted from, and the row of the pooler's question."""
TEXT_LIMIT = 514
SPEECH_LIMIT = 4096
"""Longest input that the released code takes, in tokens and in time steps."""

_CONFORMER = "seamless_m4t.modeling_seamless_m4t:SeamlessM4TConformer"
Module = TypeVar("Module", bound=nn.Module)


class Text(nn.Module):
    """The text encoder: ``(items × tokens)`` in, ``(items × tokens × width)`` out."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.encoder = model_class("m2m_100.modeling_m2m_100:M2M100Encoder")(config)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        # Not by ids: transformers counts no position for padding id 1, which is <unk> here.
        embedded = self.encoder.embed_tokens(input_ids)
        return self.encoder(inputs_embeds=embedded, attention_mask=attention_mask)[0]

    def reset_positions(self) -> None:
        """Compute the sinusoids, which no checkpoint holds."""
        positions = self.encoder.embed_positions
        rows, width = positions.weights.shape
        positions.make_weights(rows, width, PAD)


class Speech(nn.Module):
    """A speech encoder: filter banks ``(items × steps × 160)`` in, ``(items × 1 × width)`` out."""

    def __init__(self, config: Any, pooler: "Pooler") -> None:
        super().__init__()
        self.feature_projection = model_class(f"{_CONFORMER}FeatureProjection")(config)
        self.encoder = model_class(f"{_CONFORMER}Encoder")(config)
        self.pooler = pooler

    def forward(self, input_features: Tensor, attention_mask: Tensor) -> Tensor:
        projected = self.feature_projection(input_features)
        encoded = self.encoder(projected, attention_mask=attention_mask)
        if not isinstance(encoded, Tensor):  # transformers 5.0 wraps it
            encoded = encoded[0]
        return self.pooler(encoded, attention_mask.bool())

    def reset_positions(self) -> None:
        """Compute the relative sinusoids, which no checkpoint holds."""
        positions, like = self.encoder.embed_positions, self.pooler.embed.weight
        positions.pe = positions.extend_pe(like.new_zeros(1, positions.max_len))


class Attention(nn.Module):
    """Multi-head attention under fairseq2's names."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        for name in ("q_proj", "k_proj", "v_proj", "output_proj"):
            self.add_module(name, nn.Linear(width, width))

    def forward(self, query: Tensor, memory: Tensor, mask: Tensor | None = None) -> Tensor:
        """Attend from ``(items × queries × width)`` to ``(items × steps × width)``."""
        q, k, v = (
            self.get_submodule(name)(given).unflatten(2, (self.heads, -1)).transpose(1, 2)
            for name, given in (("q_proj", query), ("k_proj", memory), ("v_proj", memory))
        )
        allowed = None if mask is None else mask[:, None, None, :]
        found = nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=allowed)
        return self.get_submodule("output_proj")(found.transpose(1, 2).flatten(2))


class PoolerLayer(nn.Module):
    """A decoder layer that normalises after each of its three steps."""

    def __init__(self, width: int, heads: int, inner: int) -> None:
        super().__init__()
        self.self_attn = Attention(width, heads)
        self.self_attn_layer_norm = nn.LayerNorm(width)
        self.encoder_decoder_attn = Attention(width, heads)
        self.encoder_decoder_attn_layer_norm = nn.LayerNorm(width)
        parts = {"inner_proj": nn.Linear(width, inner), "output_proj": nn.Linear(inner, width)}
        self.ffn = nn.ModuleDict(parts)
        self.ffn_layer_norm = nn.LayerNorm(width)

    def forward(self, x: Tensor, memory: Tensor, mask: Tensor) -> Tensor:
        x = self.self_attn_layer_norm(x + self.self_attn(x, x))
        x = self.encoder_decoder_attn_layer_norm(x + self.encoder_decoder_attn(x, memory, mask))
        inner = self.ffn["inner_proj"](x).relu()
        return self.ffn_layer_norm(x + self.ffn["output_proj"](inner))


class Pooler(nn.Module):
    """Makes one vector of a sequence: a decoder whose only input is the start of a sentence."""

    def __init__(self, width: int, *, heads: int, layers: int, inner: int, rows: int) -> None:
        super().__init__()
        self.embed = nn.Embedding(rows, width)
        self.layers = nn.ModuleList(PoolerLayer(width, heads, inner) for _ in range(layers))
        self.projection_out = nn.Linear(width, width, bias=False)

    def forward(self, memory: Tensor, mask: Tensor) -> Tensor:
        width = memory.shape[-1]
        start = self.embed.weight[BOS] * math.sqrt(width)
        # The sinusoids of position 0: all sines, then all cosines.
        position = torch.cat([torch.zeros(width // 2), torch.ones(width - width // 2)])
        x = (start + position.to(start)).expand(len(memory), 1, width)
        for layer in self.layers:
            x = layer(x, memory, mask)
        return self.projection_out(x)


def load_text(path: Path, size: Size, *, dtype: str, device: torch.device) -> Text:
    """Build a text encoder and fill it.

    Raises:
        ModelError: The file is no text encoder of SONAR, is incomplete, or is of another size.
    """
    tensors = text_tensors(path)
    embeddings, inner = tensors["embed_tokens.weight"], tensors.get("layers.0.fc1.weight")
    _agree(path, size, count(tensors, "layers."), embeddings.shape[1])
    config = model_class("m2m_100.configuration_m2m_100:M2M100Config")(
        vocab_size=len(embeddings),
        d_model=size.width,
        encoder_layers=size.layers,
        encoder_attention_heads=size.heads,
        encoder_ffn_dim=4 * size.width if inner is None else len(inner),
        max_position_embeddings=TEXT_LIMIT,
        activation_function="relu",
        scale_embedding=True,
        pad_token_id=PAD,
    )
    module = _empty(lambda: Text(config), dtype, device)
    fill(module.encoder, tensors, what="text encoder of SONAR", path=path)
    module.reset_positions()
    return module


def load_speech(path: Path, size: Size, *, dtype: str, device: torch.device) -> Speech:
    """Build a speech encoder and fill it.

    Raises:
        ModelError: The file is no speech encoder of SONAR, is incomplete, or is of another size.
    """
    tensors = speech_tensors(path)

    def shape(name: str, *default: int) -> tuple[int, ...]:
        # What is missing is reported with all its names when the module is filled.
        return tuple(tensors[name].shape) if name in tensors else default

    first = "encoder.layers.0."
    width = shape("feature_projection.projection.weight")[0]
    heads = shape(f"{first}self_attn.pos_bias_u", size.heads)[0]
    _agree(path, size, count(tensors, "encoder.layers."), width, heads)
    config = model_class("seamless_m4t.configuration_seamless_m4t:SeamlessM4TConfig")(
        hidden_size=width,
        speech_encoder_layers=size.layers,
        speech_encoder_attention_heads=size.heads,
        speech_encoder_intermediate_size=shape(f"{first}ffn1.intermediate_dense.weight", 1)[0],
        conv_depthwise_kernel_size=shape(f"{first}conv_module.depthwise_conv.weight", 31)[-1],
        feature_projection_input_dim=shape("feature_projection.projection.weight")[1],
        position_embeddings_type="relative",
        max_source_positions=SPEECH_LIMIT,
        attn_implementation="sdpa",
    )

    def build() -> Speech:
        inner = shape("pooler.layers.0.ffn.inner_proj.weight", 1)[0]
        rows = shape("pooler.embed.weight", 1)[0]
        layers = count(tensors, "pooler.layers.")
        heads = size.pooler_heads
        return Speech(config, Pooler(width, heads=heads, layers=layers, inner=inner, rows=rows))

    module = _empty(build, dtype, device)
    fill(module, tensors, what="speech encoder of SONAR", path=path)
    module.reset_positions()
    return module


def _empty(build: Callable[[], Module], dtype: str, device: torch.device) -> Module:
    """A module without values, since drawing random ones for a billion weights takes a minute."""
    with quiet(), torch.device("meta"):
        module = build()
    module = module.to(getattr(torch, dtype)).to_empty(device=device)
    return module.eval().requires_grad_(False)


def _agree(path: Path, size: Size, layers: int, width: int, heads: int | None = None) -> None:
    found = Size(layers, width, size.heads if heads is None else heads)
    if (found.layers, found.width, found.heads) == (size.layers, size.width, size.heads):
        return
    raise ModelError(
        f"{path} holds an encoder with {found}, but one with {size} was planned for. The released "
        "ones have 24 layers, width 1024, 16 heads; for others, write a config.json beside the "
        'file: "encoder_layers", "d_model", "encoder_attention_heads" of the text encoder, '
        '"speech_encoder_layers", "hidden_size", "speech_encoder_attention_heads" and '
        '"pooler_attention_heads" of the speech encoders'
    )
