"""The encoders that can stand in a pair, by the ``model_type`` of their configuration. No torch.

To add one, add an :class:`Architecture`: where its layers sit, which module ends them, and how its
tensors are named in a whole model.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from isogloss.corpora.base import Modality
from isogloss.errors import ModelError
from isogloss.models._checkpoint import Checkpoint
from isogloss.models._layout import INPUT, layer_taps
from isogloss.models.base import Tap
from isogloss.pooling import TapSpec

SpeechKind = Literal["filter_bank", "waveform", "window"]


@dataclass(frozen=True)
class Architecture:
    """How to read one kind of encoder."""

    title: str
    modality: Modality
    model: str
    """Its class, ``module:Class`` below ``transformers.models``."""
    layers: str
    """Path of the list of layers."""
    prefixes: tuple[str, ...]
    """Where the encoder sits in a whole model; ``""`` for an encoder saved alone."""
    probe: str
    """Start of a tensor's name in every such encoder."""
    norm: Callable[[Mapping[str, Any]], str | None] = lambda config: None
    """Path of the norm after the last layer, if the architecture has one."""
    depth: str = "num_hidden_layers"
    """Configuration key with the number of layers."""
    width: str = "hidden_size"
    """Configuration key with the number of features."""
    embeddings: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Tied tensors and the names they may be stored under."""
    config: Mapping[str, Any] = field(default_factory=dict)
    """Values of the configuration that are replaced."""
    arguments: Mapping[str, Any] = field(default_factory=dict)
    """Further arguments of the class."""
    unused: str | None = None
    """Pattern of parameters that inference never reads."""
    limit: Callable[[Checkpoint], int | None] = lambda checkpoint: None
    """Largest number of tokens that a text may have."""
    language_token: bool = False
    """Whether a text opens with a token of its language."""
    speech: SpeechKind | None = None
    """What it is fed with, if it hears."""
    extractor: str = ""
    """Class of the feature extractor, written like ``model``."""
    alone: Callable[[Mapping[str, Any]], bool] = lambda config: False
    """Whether padding would change results, so that items run one at a time."""

    def taps(self, checkpoint: Checkpoint) -> tuple[Tap, ...]:
        """All taps: the input of the first layer, and the output of every layer."""
        return layer_taps(checkpoint.integer(self.depth), checkpoint.integer(self.width))

    def specs(self, checkpoint: Checkpoint) -> dict[str, TapSpec]:
        """Where every tap sits. The last is read after the final norm."""
        count, norm = checkpoint.integer(self.depth), self.norm(checkpoint.config)
        specs = {INPUT: TapSpec(INPUT, f"{self.layers}.0", "in")}
        specs |= {str(i): TapSpec(str(i), f"{self.layers}.{i - 1}") for i in range(1, count + 1)}
        if norm is not None:
            specs[str(count)] = TapSpec(str(count), norm)
        return specs


def _bert(title: str, kind: str, name: str, *, offset: bool = False) -> Architecture:
    """BERT and those built like it.

    Args:
        title: What people call it.
        kind: Module below ``transformers.models``, which is also the prefix in a whole model.
        name: Its class.
        offset: Whether positions are counted from the padding id on, as fairseq does.
    """

    def limit(checkpoint: Checkpoint) -> int | None:
        first = int(checkpoint.config.get("pad_token_id", 1)) + 1 if offset else 0
        return checkpoint.integer("max_position_embeddings", 512) - first

    return Architecture(
        title=title,
        modality="text",
        model=f"{kind}.modeling_{kind}:{name}",
        layers="encoder.layer",
        prefixes=("roberta." if offset and kind != "mpnet" else f"{kind}.", ""),
        probe="encoder.layer.0.",
        arguments={"add_pooling_layer": False},
        limit=limit,
    )


def _t5(title: str, kind: str, name: str) -> Architecture:
    return Architecture(
        title=title,
        modality="text",
        model=f"{kind}.modeling_{kind}:{name}",
        layers="encoder.block",
        norm=lambda config: "encoder.final_layer_norm",
        prefixes=("",),
        probe="encoder.block.0.",
        depth="num_layers",
        width="d_model",
        embeddings={"shared.weight": ("encoder.embed_tokens.weight",)},
    )


def _wav2vec(title: str, kind: str, name: str) -> Architecture:
    """wav2vec 2.0 and those built like it: a norm ends the layers only where layers begin with one.

    With ``feat_extract_norm`` "group", the first convolution is normalised over the whole
    recording, padding included.
    """
    return Architecture(
        title=title,
        modality="speech",
        model=f"{kind}.modeling_{kind}:{name}",
        layers="encoder.layers",
        norm=lambda c: "encoder.layer_norm" if c.get("do_stable_layer_norm") else None,
        prefixes=(f"{kind}.", ""),
        probe="encoder.layers.0.",
        config={"add_adapter": False},
        unused=r"masked_spec_embed$",
        speech="waveform",
        extractor="wav2vec2.feature_extraction_wav2vec2:Wav2Vec2FeatureExtractor",
        alone=lambda c: c.get("feat_extract_norm", "group") != "layer",
    )


_SHARED = ("model.shared.weight", "shared.weight", "lm_head.weight")

ARCHITECTURES: dict[str, Architecture] = {
    "bert": _bert("BERT", "bert", "BertModel"),
    "roberta": _bert("RoBERTa", "roberta", "RobertaModel", offset=True),
    "xlm-roberta": _bert("XLM-RoBERTa", "xlm_roberta", "XLMRobertaModel", offset=True),
    "camembert": _bert("CamemBERT", "camembert", "CamembertModel", offset=True),
    "mpnet": _bert("MPNet", "mpnet", "MPNetModel", offset=True),
    "distilbert": Architecture(
        title="DistilBERT",
        modality="text",
        model="distilbert.modeling_distilbert:DistilBertModel",
        layers="transformer.layer",
        prefixes=("distilbert.", ""),
        probe="transformer.layer.0.",
        depth="n_layers",
        width="dim",
        limit=lambda checkpoint: checkpoint.integer("max_position_embeddings", 512),
    ),
    "m2m_100": Architecture(
        title="M2M-100, NLLB",
        modality="text",
        model="m2m_100.modeling_m2m_100:M2M100Encoder",
        layers="layers",
        norm=lambda config: "layer_norm",
        prefixes=("model.encoder.", "encoder.", ""),
        probe="layers.0.self_attn.",
        depth="encoder_layers",
        width="d_model",
        embeddings={"embed_tokens.weight": _SHARED},
        language_token=True,
        limit=lambda checkpoint: checkpoint.integer("max_position_embeddings", 1024),
    ),
    "t5": _t5("T5", "t5", "T5EncoderModel"),
    "mt5": _t5("mT5", "mt5", "MT5EncoderModel"),
    "whisper": Architecture(
        title="Whisper",
        modality="speech",
        model="whisper.modeling_whisper:WhisperEncoder",
        layers="layers",
        norm=lambda config: "layer_norm",
        prefixes=("model.encoder.", "encoder.", ""),
        probe="layers.0.self_attn.",
        depth="encoder_layers",
        width="d_model",
        speech="window",
        extractor="whisper.feature_extraction_whisper:WhisperFeatureExtractor",
    ),
    "wav2vec2": _wav2vec("wav2vec 2.0, XLS-R, MMS", "wav2vec2", "Wav2Vec2Model"),
    "hubert": _wav2vec("HuBERT", "hubert", "HubertModel"),
    "wavlm": _wav2vec("WavLM", "wavlm", "WavLMModel"),
    "wav2vec2-bert": Architecture(
        title="w2v-BERT 2.0",
        modality="speech",
        model="wav2vec2_bert.modeling_wav2vec2_bert:Wav2Vec2BertModel",
        layers="encoder.layers",
        prefixes=("wav2vec2_bert.", ""),
        probe="encoder.layers.0.",
        config={"add_adapter": False, "use_intermediate_ffn_before_adapter": False},
        unused=r"masked_spec_embed$",
        speech="filter_bank",
        extractor="seamless_m4t.feature_extraction_seamless_m4t:SeamlessM4TFeatureExtractor",
    ),
}


def architecture(checkpoint: Checkpoint, modality: Modality) -> Architecture:
    """Look up how to read a checkpoint.

    Raises:
        ModelError: It is of no supported kind, or of the other modality.
    """
    kind = checkpoint.model_type
    found = ARCHITECTURES.get(kind)
    if found is None:
        supported = [name for name, a in ARCHITECTURES.items() if a.modality == modality]
        raise ModelError(
            f'{checkpoint.name} is a "{kind}" model, which cannot be the {modality} encoder of a '
            f"pair; supported: {', '.join(supported)}.{other_family(kind)}"
        )
    if found.modality != modality:
        raise ModelError(
            f"{checkpoint.name} is a {found.modality} encoder ({found.title}), but was given as "
            f"the {modality} encoder; give it as `{found.modality}`"
        )
    return found


def other_family(kind: str) -> str:
    """A sentence that names the family for a ``model_type``, or nothing."""
    if kind in ("seamless_m4t", "seamless_m4t_v2"):
        return ' Use the family "seamless" for it'
    if kind in ARCHITECTURES:
        half = f'"towers" for it, as its {ARCHITECTURES[kind].modality} encoder'
        return f" Use the family {half}" + (', or "whisper"' if kind == "whisper" else "")
    return ""
