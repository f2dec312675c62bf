"""Self-attention with relative positions, without a vector for every pair of time steps.

SeamlessM4T v2 and w2v-BERT 2.0 add to each attention score the product of the query with a vector
of the distance, of which there are 73: up to 64 steps back and 8 ahead. transformers looks the
vector up for every pair of steps and multiplies each, so that a recording of 10 s fills 64 MB in
every layer. Here each query meets the 73 vectors once, and the pairs look up the product. The sums
are the same ones.
"""

from types import MethodType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

_CLASSES = {"SeamlessM4Tv2ConformerSelfAttention", "Wav2Vec2BertSelfAttention"}
_PARTS = ("linear_q", "linear_k", "linear_v", "linear_out", "distance_embedding")


def lighten(module: "nn.Module") -> int:
    """Replace the computation of every such attention below a module; weights stay where they are.

    What the new one does not know (masks that are more than padding at the end, attention weights
    that are asked for, training) is left to the old one.

    Args:
        module: An encoder of transformers, or anything else, which stays as it is.

    Returns:
        How many were replaced.
    """
    found = [child for child in module.modules() if _known(child)]
    for child in found:
        child.forward = MethodType(_attend, child)
    return len(found)


def _known(child: "nn.Module") -> bool:
    return (
        type(child).__name__ in _CLASSES
        and getattr(child, "position_embeddings_type", None) == "relative_key"
        and all(hasattr(child, part) for part in _PARTS)
    )


def _attend(
    self: Any, hidden_states: "Tensor", attention_mask: "Tensor | None" = None, **kwargs: Any
) -> "tuple[Tensor, Tensor | None]":
    """What the class does: (items × time × features) and a mask in, the same size out."""
    lengths = _lengths(self, hidden_states, attention_mask)
    if lengths is None or self.training or kwargs.get("output_attentions"):
        whole: tuple[Tensor, Tensor | None] = type(self).forward(
            self, hidden_states, attention_mask=attention_mask, **kwargs
        )
        return whole
    import torch

    items, time, _ = hidden_states.shape
    shape = (items, time, self.num_heads, self.head_size)
    query, key, value = (
        linear(hidden_states).view(shape).transpose(1, 2)
        for linear in (self.linear_q, self.linear_k, self.linear_v)
    )
    steps = torch.arange(time, device=query.device)
    back, ahead = self.left_max_position_embeddings, self.right_max_position_embeddings
    distance = (steps - steps[:, None]).clamp(-back, ahead) + back
    near = query @ self.distance_embedding.weight.to(query.dtype).T * self.scaling
    if _by_item(query.device):
        attended = torch.zeros_like(query)
        for i, n in enumerate(lengths):
            one = (slice(i, i + 1), slice(None), slice(n))
            bias = _bias(near[one], distance[:n, :n])
            attended[one] = _softmax(self, query[one], key[one], value[one], bias)
    else:
        bias = _bias(near, distance)
        if attention_mask is not None:
            bias.masked_fill_(~attention_mask, torch.finfo(bias.dtype).min)
        attended = _softmax(self, query, key, value, bias)
    return self.linear_out(attended.transpose(1, 2).reshape(items, time, -1)), None


def _by_item(device: "torch.device") -> bool:
    """On a CPU the scores of an item then stay in the cache, and padding costs nothing."""
    return device.type == "cpu"


def _bias(near: "Tensor", distance: "Tensor") -> "Tensor":
    """(items × heads × time × distances) and (time × time) -> (items × heads × time × time)."""
    return near.gather(3, distance.expand(*near.shape[:2], *distance.shape))


def _softmax(
    self: Any, query: "Tensor", key: "Tensor", value: "Tensor", bias: "Tensor"
) -> "Tensor":
    from torch.nn import functional

    return functional.scaled_dot_product_attention(
        query, key, value, attn_mask=bias, scale=self.scaling
    )


def _lengths(
    self: Any, hidden_states: "Tensor", attention_mask: "Tensor | None"
) -> list[int] | None:
    """Time steps of each item that may be attended to; None if the mask is of another kind."""
    import torch

    items, time, _ = hidden_states.shape
    if attention_mask is None:
        return [time] * items
    chunk = getattr(self.config, "speech_encoder_chunk_size", None)
    if attention_mask.dtype != torch.bool or (chunk is not None and time > chunk):
        return None
    if attention_mask.dim() != 4 or attention_mask.shape[1] != 1:
        return None
    keys = attention_mask[:, 0, 0].expand(items, -1)
    counts = keys.sum(dim=1, keepdim=True)
    prefix = torch.arange(time, device=keys.device) < counts
    if keys.shape != prefix.shape or not bool((keys == prefix).all()) or not bool(counts.all()):
        return None
    found: list[int] = counts[:, 0].tolist()
    return found
