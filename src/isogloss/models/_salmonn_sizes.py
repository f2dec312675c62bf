"""What SALMONN's own checkpoint holds, by its sizes. No torch here.

The released file has ``{"model", "optimizer", "config", "scaler", "epoch"}``, and below ``model``
only what was trained: two layer norms, the Q-Former with its query, a projection, and low-rank
updates (LoRA) of the language model.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from isogloss.errors import ModelError, choices
from isogloss.models._headers import Shape, read_header, shapes_in

LORA = re.compile(
    r"^llama_model\.base_model\.model\.model\.layers\.(\d+)\.self_attn\.([qv]_proj)"
    r"\.lora_([AB])\.default\.weight$"
)
"""Layer, matrix and factor in the name of a low-rank update."""
NOT_TRAINED = re.compile(r"(\.position_ids|\.rotary_emb\.inv_freq)$")
"""Tables that depend on no training, which older versions of transformers saved as well."""
FRAMES, SECONDS = 1500, 30
"""Time steps of Whisper's window, and its length."""

_QFORMER = "speech_Qformer.bert.encoder.layer"
_PROBES = (
    "ln_speech.weight",
    "ln_audio.weight",
    "speech_query_tokens",
    f"{_QFORMER}.0.intermediate_query.dense.weight",
    "speech_llama_proj.weight",
)


@dataclass(frozen=True)
class Sizes:
    """Sizes of the trained parts, and the settings they were trained with."""

    whisper: int
    """Features of the Whisper encoder."""
    beats: int
    """Features of BEATs."""
    queries: int
    """Query tokens for each window."""
    hidden: int
    """Features of the Q-Former."""
    inner: int
    """Features inside its feed-forward blocks."""
    layers: int
    """Its layers."""
    llama: int
    """Features of the language model."""
    llama_layers: int
    """Layers of the language model that have low-rank updates."""
    rank: int
    """Rank of those."""
    alpha: float
    """They count ``alpha / rank`` times."""
    window: int
    """Time steps in a window."""
    stride: int
    """Time steps from one window to the next."""
    heads: int = 12
    """Attention heads of the Q-Former: those of BERT base, which it is; no file says so."""

    @property
    def tokens(self) -> int:
        """Audio tokens that the language model is given, whatever a recording lasts."""
        return ((FRAMES - self.window) // self.stride + 1) * self.queries


def read_sizes(path: Path) -> Sizes:
    """Read the sizes from the names and shapes in a checkpoint; no weight is read.

    Raises:
        ModelError: It is no checkpoint of SALMONN, or a part is missing.
    """
    header = read_header(path)
    shapes = shapes_in(header, "model")
    missing = [name for name in _PROBES if name not in shapes]
    if len(missing) == len(_PROBES):
        raise ModelError(f"{path} is no checkpoint of SALMONN{_instead(header, shapes)}")
    lora = [found for name in shapes if (found := LORA.match(name))]
    if missing or not lora:
        lacking = choices([*missing, *(() if lora else ("low-rank updates of Vicuna",))], 3)
        raise ModelError(
            f"{path} is incomplete: it lacks {lacking}. Random numbers will not be put in their "
            "place; download the checkpoint again"
        )
    options = _options(header)
    speech, audio, query, inner, projection = (shapes[name] for name in _PROBES)
    factor = shapes[next(found[0] for found in lora if found[3] == "A")]
    rank = int(factor[0])
    if rank != int(options.get("lora_rank", rank)):
        raise ModelError(
            f"{path}: its low-rank updates have rank {rank}, but its config says "
            f"{options['lora_rank']}, so the file is damaged"
        )
    window, stride = (
        round(FRAMES * float(options.get(key, 0.333333)) / SECONDS)
        for key in ("second_per_window", "second_stride")
    )
    return Sizes(
        whisper=speech[0],
        beats=audio[0],
        queries=query[1],
        hidden=query[2],
        inner=inner[0],
        layers=_count(shapes, rf"^{re.escape(_QFORMER)}\.(\d+)\."),
        llama=projection[0],
        llama_layers=len({found[1] for found in lora}),
        rank=rank,
        alpha=float(options.get("lora_alpha", 32)),
        window=window,
        stride=stride,
    )


def _options(header: Any) -> Mapping[str, Any]:
    """The settings of the training, if they were saved."""
    config = header.get("config") if isinstance(header, Mapping) else None
    options = config.get("model", config) if isinstance(config, Mapping) else None
    if not isinstance(options, Mapping):
        return {}
    kept = ("lora_rank", "lora_alpha", "second_per_window", "second_stride")
    return {k: options[k] for k in kept if isinstance(options.get(k), (int, float))}


def _count(names: Iterable[str], pattern: str) -> int:
    return len({found[1] for name in names if (found := re.match(pattern, name))})


def _instead(header: Any, shapes: Mapping[str, Shape]) -> str:
    if isinstance(header, Mapping) and "cfg" in header:
        return ", but one of BEATs; give it as `beats`"
    begin = choices(sorted({name.split(".")[0] for name in shapes}), 5)
    return f': it needs what was trained below "model", and has weights that begin with {begin}'
