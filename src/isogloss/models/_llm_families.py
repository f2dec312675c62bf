"""The audio LLMs of transformers that share a layout, one declaration each. No torch.

All of them turn a recording into embeddings (tower, then projector), put these where the input has
the audio token, and run a causal decoder over the whole. To add one, add a :class:`Family`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal

from isogloss.errors import ModelError
from isogloss.models._checkpoint import Checkpoint
from isogloss.models._llm_config import Config

Sound = Literal["whisper", "qwen3_asr", "granite", "phi4", "gemma4"]
Length = Callable[[int, Config], int]
"""Frames of the features -> time steps, given the configuration of the model."""

AUDIO, TEXT = "{audio}", "{text}"
"""Where a prompt has the recording, and the text."""

_LAYERS = ("encoder_layers", "num_hidden_layers", "num_layers", "num_blocks")
_WIDTHS = ("d_model", "hidden_size", "hidden_dim")


@dataclass(frozen=True)
class TokenId:
    """A token that the configuration gives by its id."""

    keys: tuple[str, ...]
    default: int


@dataclass(frozen=True)
class Family:
    """How to read one audio LLM. Paths are below ``model``, which has no output head."""

    title: str
    model: str
    """Its class, ``module:Class`` below ``transformers.models``."""
    sound: Sound
    """What its features are made by."""
    steps: Length
    """Time steps inside the tower, for so many frames."""
    tokens: Length
    """Audio tokens that the projector makes of them."""
    defaults: tuple[int, int, int, int]
    """Layers and width of the tower, layers and width of the decoder, where the configuration
    leaves them out."""
    decoder: str = "language_model"
    tower: str = "audio_tower"
    tower_layers: str = "layers"
    """Below the tower."""
    projector: str = "multi_modal_projector"
    """The module that returns the audio tokens."""
    encoded: str = "multi_modal_projector"
    """The module that is given the tower's output; empty if that is the last layer's output."""
    encoded_width: tuple[str, int] | None = None
    """Configuration key, below the tower's section, and default of that output's width; None if it
    is the width of the tower."""
    root: str = ""
    """Where the configuration of ``model`` sits in that of a whole checkpoint."""
    audio: str = "audio_config"
    text: str = "text_config"
    token: tuple[str, ...] = ("audio_token_id", "audio_token_index")
    """Configuration keys of the audio token's id; a dot leads into a section."""
    token_default: int | None = None
    around: tuple[str | TokenId, str | TokenId] = ("", "")
    """Tokens that open and close a recording in the family's own prompt; empty for none."""
    features: str = "input_features"
    mask: str = ""
    """Argument that says which frames are no padding; empty if there is none."""
    sizes: str = ""
    """Argument that says how many audio tokens there are; empty if there is none."""
    time_first: bool = False
    """Whether features are (time × bins), not (bins × time)."""
    window: bool = False
    """Whether the tower always gets a window of one size, filled up with silence."""
    silence: bool = False
    """Whether that silence becomes audio tokens too, so that the later ones are not pooled."""
    tail: bool = False
    """Whether a recording is followed by silence when its features are made."""
    padded: Length = lambda frames, config: frames
    """To how many frames the longest recording of a batch is padded."""
    longest: int | None = None
    """Seconds; None if only the window limits it."""
    alone: bool = False
    """Whether padding would change results, so that recordings run one at a time."""
    lora: str | None = None
    """Folder, inside the checkpoint, of a LoRA that is meant for speech only."""
    without: Mapping[str, Any] = field(default_factory=dict)
    """Values of the configuration that leave out what is not needed (images)."""

    def __reduce__(self) -> Any:
        # Its functions have no names, so a declared family is found again by its own.
        for name, known in FAMILIES.items():
            if known.title == self.title:
                pairs = ((f.name, getattr(self, f.name)) for f in fields(self))
                return _again, (name, {k: v for k, v in pairs if v != getattr(known, k)})
        return super().__reduce__()

    def config(self, checkpoint: Checkpoint) -> Config:
        """The part of a checkpoint's configuration that describes ``model``."""
        whole = Config(checkpoint.config, checkpoint.name)
        return whole.section(self.root if self.root in checkpoint.config else "")

    def sizes_of(self, checkpoint: Checkpoint) -> tuple[int, int, int, int]:
        """Layers and width of the tower, then of the decoder."""
        config = self.config(checkpoint)
        if self.title == "Gemma 4" and not checkpoint.config.get(self.audio):
            raise ModelError(
                f'{checkpoint.name} has no part that hears: "{self.audio}" in its config.json is '
                "empty, as in the larger Gemma 4 models"
            )
        return (
            config.section(self.audio).integer(_LAYERS, self.defaults[0]),
            config.section(self.audio).integer(_WIDTHS, self.defaults[1]),
            config.section(self.text).integer(_LAYERS, self.defaults[2]),
            config.section(self.text).integer(_WIDTHS, self.defaults[3]),
        )

    def encoded_size(self, checkpoint: Checkpoint) -> int:
        """Width of the tower's output."""
        if self.encoded_width is None:
            return self.sizes_of(checkpoint)[1]
        key, default = self.encoded_width
        return self.config(checkpoint).section(self.audio).integer((key,), default)

    def audio_token(self, checkpoint: Checkpoint) -> int:
        """Id of the token whose embedding is replaced by the recording's.

        Raises:
            ModelError: The configuration does not name it.
        """
        sections = {key.rpartition(".")[0] for key in self.token}
        (section,) = sections
        keys = tuple(key.rpartition(".")[2] for key in self.token)
        return self.config(checkpoint).section(section).integer(keys, self.token_default)


def _again(name: str, changes: Mapping[str, Any]) -> Family:
    return replace(FAMILIES[name], **changes)


def _half(frames: int, config: Config) -> int:
    """A convolution of stride 2 with padding 1 and kernel 3, after one of stride 1."""
    return (frames - 1) // 2 + 1


def _eighth(frames: int, config: Config) -> int:
    return -(-frames // 8)


def _chunk(config: Config) -> int:
    return 2 * config.section("audio_config").integer(("n_window",), 50)


def _chunked(frames: int, config: Config) -> int:
    """Three convolutions of stride 2 over chunks of their own."""
    size = _chunk(config)
    return frames // size * -(-size // 8) + -(-(frames % size) // 8)


def _windows(frames: int, config: Config) -> int:
    """Granite's projector asks a few queries about each window of frames."""
    size = config.integer(("window_size",), 15)
    return -(-frames // size) * (size // config.integer(("downsample_rate",), 5))


_WHISPER_LIKE = Family(
    title="",
    model="",
    sound="whisper",
    steps=_half,
    tokens=lambda frames, config: _half(frames, config) // 2,
    defaults=(32, 1280, 28, 3584),
    mask="input_features_mask",
    window=True,
)
_NO_IMAGES = {"vision_config.depth": 0, "vision_config.deepstack_visual_indexes": []}

FAMILIES: dict[str, Family] = {
    "qwen2_audio": replace(
        _WHISPER_LIKE,
        title="Qwen2-Audio",
        model="qwen2_audio.modeling_qwen2_audio:Qwen2AudioModel",
        defaults=(32, 1280, 32, 4096),
        mask="feature_attention_mask",
        token_default=151646,
        around=("<|audio_bos|>", "<|audio_eos|>"),
    ),
    "voxtral": replace(
        _WHISPER_LIKE,
        title="Voxtral",
        model="voxtral.modeling_voxtral:VoxtralModel",
        tokens=lambda frames, config: -(-_half(frames, config) // 4),
        defaults=(32, 1280, 30, 3072),
        encoded_width=("intermediate_size", 5120),
        mask="",
        silence=True,
        around=("[BEGIN_AUDIO]", ""),
    ),
    "audioflamingo3": replace(
        _WHISPER_LIKE,
        title="Audio Flamingo 3",
        model="audioflamingo3.modeling_audioflamingo3:AudioFlamingo3Model",
        defaults=(32, 1280, 32, 4096),
        token_default=151669,
    ),
    "glmasr": replace(
        _WHISPER_LIKE,
        title="GLM-ASR",
        model="glmasr.modeling_glmasr:GlmAsrModel",
        tokens=lambda frames, config: _half(frames, config) // 4,
        defaults=(32, 1280, 28, 2048),
        encoded_width=("intermediate_size", 5120),
        token_default=59260,
        around=("<|begin_of_audio|>", "<|end_of_audio|>"),
    ),
    "qwen2_5_omni": replace(
        _WHISPER_LIKE,
        title="Qwen2.5-Omni (thinker)",
        model="qwen2_5_omni.modeling_qwen2_5_omni:Qwen2_5OmniThinkerModel",
        root="thinker_config",
        projector="audio_tower.proj",
        encoded="audio_tower.proj",
        mask="feature_attention_mask",
        token_default=151646,
        around=("<|audio_bos|>", "<|audio_eos|>"),
        window=False,
        tail=True,
        longest=300,
        without=_NO_IMAGES,
    ),
    "qwen3_omni_moe": replace(
        _WHISPER_LIKE,
        title="Qwen3-Omni (thinker)",
        model="qwen3_omni_moe.modeling_qwen3_omni_moe:Qwen3OmniMoeThinkerModel",
        steps=_chunked,
        tokens=_chunked,
        defaults=(32, 1280, 28, 2048),
        root="thinker_config",
        projector="audio_tower.proj2",
        encoded="audio_tower.proj1",
        mask="feature_attention_mask",
        token_default=151646,
        around=("<|audio_start|>", "<|audio_end|>"),
        window=False,
        without=_NO_IMAGES,
    ),
    "qwen3_asr": replace(
        _WHISPER_LIKE,
        title="Qwen3-ASR",
        model="qwen3_asr.modeling_qwen3_asr:Qwen3ASRModel",
        sound="qwen3_asr",
        steps=_chunked,
        tokens=_chunked,
        defaults=(24, 1024, 28, 2048),
        token_default=151676,
        around=("<|audio_start|>", "<|audio_end|>"),
        window=False,
        padded=lambda frames, config: -(-frames // _chunk(config)) * _chunk(config),
    ),
    "granite_speech": Family(
        title="Granite-speech",
        model="granite_speech.modeling_granite_speech:GraniteSpeechModel",
        sound="granite",
        steps=lambda frames, config: frames,
        tokens=_windows,
        defaults=(10, 1024, 32, 4096),
        tower="encoder",
        projector="projector",
        encoded="",
        audio="encoder_config",
        token_default=49155,
        time_first=True,
        alone=True,
        lora="",
    ),
    "phi4_multimodal": Family(
        title="Phi-4-multimodal",
        model="phi4_multimodal.modeling_phi4_multimodal:Phi4MultimodalModel",
        sound="phi4",
        steps=_eighth,
        tokens=_eighth,
        defaults=(24, 1024, 32, 3072),
        decoder="",
        tower="embed_tokens_extend.audio_embed.encoder",
        tower_layers="encoders",
        projector="embed_tokens_extend.audio_embed.down_proj_for_speech",
        encoded="",
        text="",
        token=("audio_config.audio_token_id",),
        token_default=200011,
        features="audio_input_features",
        sizes="audio_embed_sizes",
        time_first=True,
        longest=40,
        alone=True,
        lora="speech-lora",
        without={"vision_config.num_hidden_layers": 0},
    ),
    "gemma4": Family(
        title="Gemma 4",
        model="gemma4.modeling_gemma4:Gemma4Model",
        sound="gemma4",
        steps=lambda frames, config: -(-frames // 4),
        tokens=lambda frames, config: -(-frames // 4),
        defaults=(12, 1024, 30, 2304),
        projector="embed_audio",
        encoded="embed_audio.embedding_pre_projection_norm",
        encoded_width=("output_proj_dims", 1536),
        token_default=258881,
        around=(
            TokenId(("boa_token_id",), 256_000),
            TokenId(("eoa_token_index", "eoa_token_id"), 258_883),
        ),
        mask="input_features_mask",
        time_first=True,
        longest=30,
        without={"vision_config": None},
    ),
}
