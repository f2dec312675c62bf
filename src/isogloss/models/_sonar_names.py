"""Names of SONAR's tensors, in each layout that its files come in, and in the modules built here.

A file has the names of fairseq2, or those of fairseq before it; the port of the text encoder to
transformers has names and token ids like fairseq's.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from isogloss.errors import ModelError, choices
from isogloss.models._pickles import tensors_in

if TYPE_CHECKING:
    from torch import Tensor

Table = Sequence[tuple[str, str]]
"""Pattern -> replacement. Each applies to what those before it left."""

_INSIDE = ("model", "state_dict")
_LEFT_OUT = re.compile(
    r"(^|\.)(version|embed_positions\._float_tensor|mask_emb)$|(^|\.)pos_conv\.\d+\."
)
"""What fairseq stores and inference never reads: sinusoids, the embedding that masks frames in
training, and the positional convolution of a pretraining that went on with relative positions."""

_LAYER = r"^encoder\.layers\.(\d+)\."

_TEXT: Table = (
    (r"^encoder_frontend\.embed\.", "embed_tokens."),
    (r"^encoder\.layers\.", "layers."),
    (r"\.self_attn\.output_proj\.", ".self_attn.out_proj."),
    (r"\.ffn\.inner_proj\.", ".fc1."),
    (r"\.ffn\.output_proj\.", ".fc2."),
    (r"\.ffn_layer_norm\.", ".final_layer_norm."),
)

_SPEECH: Table = (
    (r"^encoder_frontend\.post_extract_layer_norm\.", "feature_projection.layer_norm."),
    (r"^encoder_frontend\.model_dim_proj\.", "feature_projection.projection."),
    (r"^layer_norm\.", "encoder.layer_norm."),
    (_LAYER + r"layer_norm\.", r"encoder.layers.\1.final_layer_norm."),
    (_LAYER + r"ffn([12])\.inner_proj\.", r"encoder.layers.\1.ffn\2.intermediate_dense."),
    (_LAYER + r"ffn([12])\.output_proj\.", r"encoder.layers.\1.ffn\2.output_dense."),
    (_LAYER + r"self_attn\.([qkv])_proj\.", r"encoder.layers.\1.self_attn.linear_\2."),
    (_LAYER + r"self_attn\.output_proj\.", r"encoder.layers.\1.self_attn.linear_out."),
    (_LAYER + r"self_attn\.sdpa\.r_proj\.", r"encoder.layers.\1.self_attn.linear_pos."),
    (_LAYER + r"self_attn\.sdpa\.([uv])_bias$", r"encoder.layers.\1.self_attn.pos_bias_\2"),
    (_LAYER + r"conv_layer_norm\.", r"encoder.layers.\1.conv_module.layer_norm."),
    (_LAYER + r"conv\.", r"encoder.layers.\1.conv_module."),
    (r"^encoder_pooler\.decoder_frontend\.embed\.", "pooler.embed."),
    (r"^encoder_pooler\.decoder\.", "pooler."),
    (r"^encoder_pooler\.", "pooler."),
)

_W2V = r"^encoder\.w2v_model\."
_W2V_LAYER = _W2V + r"encoder\.layers\.(\d+)\."

_FAIRSEQ_SPEECH: Table = (
    (_W2V + r"layer_norm\.", "encoder_frontend.post_extract_layer_norm."),
    (_W2V + r"post_extract_proj\.", "encoder_frontend.model_dim_proj."),
    (_W2V_LAYER + r"conv_module\.layer_norm\.", r"encoder.layers.\1.conv_layer_norm."),
    (_W2V_LAYER + r"conv_module\.", r"encoder.layers.\1.conv."),
    (_W2V_LAYER + r"ffn([12])\.layer_norm\.", r"encoder.layers.\1.ffn\2_layer_norm."),
    (_W2V_LAYER + r"ffn([12])\.w_1\.", r"encoder.layers.\1.ffn\2.inner_proj."),
    (_W2V_LAYER + r"ffn([12])\.w_2\.", r"encoder.layers.\1.ffn\2.output_proj."),
    (_W2V_LAYER + r"self_attn_layer_norm\.", r"encoder.layers.\1.self_attn_layer_norm."),
    (_W2V_LAYER + r"self_attn\.linear_([qkv])\.", r"encoder.layers.\1.self_attn.\2_proj."),
    (_W2V_LAYER + r"self_attn\.linear_out\.", r"encoder.layers.\1.self_attn.output_proj."),
    (_W2V_LAYER + r"self_attn\.linear_pos\.", r"encoder.layers.\1.self_attn.sdpa.r_proj."),
    (_W2V_LAYER + r"self_attn\.pos_bias_([uv])$", r"encoder.layers.\1.self_attn.sdpa.\2_bias"),
    (_W2V_LAYER + r"final_layer_norm\.", r"encoder.layers.\1.layer_norm."),
    (_W2V + r"encoder\.layer_norm\.", "layer_norm."),
    (r"^decoder\.embed_tokens\.", "encoder_pooler.decoder_frontend.embed."),
    (r"^decoder\.embed_out$", "encoder_pooler.projection_out.weight"),
    (r"^decoder\.", "encoder_pooler.decoder."),
    (r"\.out_proj\.", ".output_proj."),
    (r"\.encoder_attn", ".encoder_decoder_attn"),
    (r"^(encoder_pooler\.decoder\.layers\.\d+)\.fc1\.", r"\1.ffn.inner_proj."),
    (r"^(encoder_pooler\.decoder\.layers\.\d+)\.fc2\.", r"\1.ffn.output_proj."),
    (r"^(encoder_pooler\.decoder\.layers\.\d+)\.final_layer_norm\.", r"\1.ffn_layer_norm."),
)


def text_tensors(path: Path) -> "dict[str, Tensor]":
    """Read a text encoder under the names of ``M2M100Encoder``, with fairseq2's token ids.

    Raises:
        ModelError: The file cannot be read, or holds something else.
    """
    tensors = tensors_in(path, *_INSIDE)
    if "encoder_frontend.embed.weight" in tensors:
        return _renamed(tensors, _TEXT)
    if {"embed_tokens.weight", "layers.0.fc1.weight"} <= tensors.keys():
        tensors = _renamed(tensors, ())
        embeddings = tensors["embed_tokens.weight"].clone()
        # fairseq and transformers begin with <s>, <pad>, </s>, <unk>, and fairseq2 with <pad>,
        # <unk>, <s>, </s>.
        embeddings[:4] = embeddings[[1, 3, 0, 2]]
        return {**tensors, "embed_tokens.weight": embeddings}
    raise _foreign(path, tensors, "the text encoder", "sonar_text_encoder.pt")


def speech_tensors(path: Path) -> "dict[str, Tensor]":
    """Read a speech encoder under the names of :class:`~isogloss.models._sonar_modules.Speech`.

    Raises:
        ModelError: The file cannot be read, or holds something else.
    """
    tensors = tensors_in(path, *_INSIDE)
    if "encoder.w2v_model.post_extract_proj.weight" in tensors:
        tensors = _renamed(tensors, _FAIRSEQ_SPEECH)
    if "encoder_frontend.model_dim_proj.weight" not in tensors:
        raise _foreign(path, tensors, "a speech encoder", "spenc.eng.pt or spenc.v3ap.deu.pt")
    return _renamed(tensors, _SPEECH)


def count(tensors: "Mapping[str, Tensor]", start: str) -> int:
    """How many layers there are below a prefix, such as ``"encoder.layers."``."""
    numbers = {n.removeprefix(start).partition(".")[0] for n in tensors if n.startswith(start)}
    return len(numbers)


def _renamed(tensors: "Mapping[str, Tensor]", table: Table) -> "dict[str, Tensor]":
    found: dict[str, Tensor] = {}
    for stored, tensor in tensors.items():
        if _LEFT_OUT.search(stored):
            continue
        name = stored
        for pattern, replacement in table:
            name = re.sub(pattern, replacement, name)
        found[name] = tensor
    return found


def _foreign(path: Path, tensors: "Mapping[str, Tensor]", what: str, such: str) -> ModelError:
    starts = sorted({".".join(name.split(".")[:2]) for name in tensors})
    return ModelError(
        f"{path} is not {what} of SONAR (such as {such}): its weights begin with "
        f"{choices(starts, 6)}"
    )
