"""SeamlessM4T, v1 and v2: a text encoder and a speech encoder that meet in a shared decoder.

v2 is the study's first model (appendix B.1). Only the two encoders are loaded, of v2 1.4 of 2.3
billion parameters. The speech encoder of v1 is another one: relative positions as in
Transformer-XL, and batch norm (with the statistics of training) inside its convolutions.
"""

from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from isogloss.corpora.base import MODALITIES
from isogloss.errors import ModelError
from isogloss.languages import Language
from isogloss.models._architectures import other_family
from isogloss.models._bundled import DEMO, NAMES, bundled
from isogloss.models._checkpoint import Checkpoint, find
from isogloss.models._layout import INPUT, layer_taps, pairs_by_depth, paper_layers
from isogloss.models.base import (
    Adapter,
    Layout,
    ModelInfo,
    ModelSource,
    Tap,
    TapPair,
    Tower,
    chosen_taps,
)
from isogloss.pooling import TapSpec
from isogloss.settings import setting

if TYPE_CHECKING:
    from isogloss.models._text_tokens import TextTokens
    from isogloss.models._tokens import Tokeniser

ADAPTED = "len"
_CLASSES = {
    "seamless_m4t_v2": "seamless_m4t_v2.modeling_seamless_m4t_v2:SeamlessM4Tv2",
    "seamless_m4t": "seamless_m4t.modeling_seamless_m4t:SeamlessM4T",
}
"""``model_type`` -> what the names of its classes begin with."""
_EXTRACTOR = "seamless_m4t.feature_extraction_seamless_m4t:SeamlessM4TFeatureExtractor"


class Seamless(ModelSource):
    """SeamlessM4T, text encoder and speech encoder."""

    info: ClassVar[ModelInfo] = ModelInfo(
        title="SeamlessM4T",
        checkpoints="facebook/seamless-m4t-v2-large, facebook/hf-seamless-m4t-medium and -large "
        f"(v1), or one that comes with Isogloss: {', '.join(NAMES)}",
        licence="CC-BY-NC-4.0; demo, demo-untrained, tiny: Apache-2.0",
        reference="Seamless Communication et al., 2023, arXiv:2312.05187",
        parameters=(("text encoder", 765_984_768), ("speech encoder", 635_046_720)),
        languages="text 96, speech 101",
        taps="in, 1 … last layer (24 in v2 large) in both modalities; speech: len, after the "
        "length adaptor",
    )

    handles: ClassVar[frozenset[str]] = frozenset(_CLASSES)

    family: Literal["seamless"] = setting("seamless", role="identity", help="SeamlessM4T v1 or v2.")
    checkpoint: str = setting(
        "facebook/seamless-m4t-v2-large",
        role="identity",
        help="Hub id, folder of a downloaded checkpoint, or one that comes with Isogloss: "
        '"demo" (a small one, trained for demonstration only), "demo-untrained" (the same before '
        'training), "tiny" (smaller, untrained).',
    )
    revision: str | None = setting(
        None, role="identity", help="Branch, tag or commit of the checkpoint on the hub."
    )
    pool_special_tokens: bool = setting(
        True,
        role="identity",
        help="Whether the language token and </s> count in the mean over time; the study does not "
        "say, and a mean over all of a sequence includes them.",
    )
    text_in: Literal["with_positions", "embedding"] = setting(
        "with_positions",
        role="identity",
        help='What tap "in" of the text is: what enters layer 1 (word embeddings plus positions, '
        "hidden_states[0] of transformers, the same point as in speech and in the other "
        "families), or the word embeddings alone; the study does not say.",
    )
    last_layer: Literal["normed", "raw"] = setting(
        "normed",
        role="identity",
        help="Read the last layer after the encoder's final layer norm (hidden_states[-1] of "
        "transformers 4, which the study's time points to), or as the layer leaves it.",
    )

    def layout(self) -> Layout:
        """Describe the taps from the configuration."""
        checkpoint = self._checkpoint()
        width = checkpoint.integer("hidden_size")
        text = layer_taps(checkpoint.integer("encoder_layers"), width)
        speech = layer_taps(checkpoint.integer("speech_encoder_layers"), width)
        pairs = pairs_by_depth(text, speech)
        paper = {
            "text": paper_layers(len(text) - 1),
            "speech": (*paper_layers(len(speech) - 1), ADAPTED),
        }
        return Layout(
            taps={"text": text, "speech": (*speech, Tap(ADAPTED, width, 1.0))},
            paper={m: paper[m] for m in MODALITIES},
            pairs=(*pairs, TapPair(ADAPTED, text[-1].name, ADAPTED, 1.0)),
            untrained=checkpoint.untrained,
            notes=self._notes(),
        )

    def fingerprint(self) -> dict[str, str]:
        """The content of the checkpoint."""
        return {"checkpoint": self._checkpoint().fingerprint()}

    def title(self) -> str:
        """The checkpoint's short name, such as ``seamless-m4t-v2-large``."""
        return self._found().short_name

    def tokeniser(self) -> "TextTokens":
        """Read the SentencePiece model of the text encoder."""
        from isogloss.models._text_tokens import text_tokens

        return text_tokens(self._checkpoint(), fairseq=True)

    def load(self, *, device: str) -> Adapter:
        """Return the adapter; each encoder is loaded when first asked for."""
        from isogloss.models._weights import check_device, require

        require("running SeamlessM4T")
        return self._adapter(check_device(device))

    def live(self, module: Any) -> Adapter:
        """Return an adapter of the encoders inside a model in memory."""
        from isogloss.models._weights import require

        require("reading a model in memory")
        return self._adapter(None, module)

    def _adapter(self, device: Any, live: Any = None) -> Adapter:
        from isogloss.models._tower import EncoderAdapter

        taps = chosen_taps(self, self.layout())
        checkpoint = self._checkpoint()
        return EncoderAdapter(
            {
                "text": partial(self._text_tower, checkpoint, taps["text"], device, live),
                "speech": partial(self._speech_tower, checkpoint, taps["speech"], device, live),
            }
        )

    def _found(self) -> Checkpoint:
        own = bundled(self.checkpoint) if self.revision is None else None
        return own or find(self.checkpoint, self.revision)

    def _checkpoint(self) -> Checkpoint:
        checkpoint = self._found()
        kind = checkpoint.model_type
        if kind not in _CLASSES:
            raise ModelError(
                f'{self.checkpoint} is a "{kind}" model, not SeamlessM4T '
                f"({' or '.join(_CLASSES)}).{other_family(kind)}"
            )
        if not checkpoint.config.get("add_adapter", True) or (
            checkpoint.integer("num_adapter_layers", 1) != 1
        ):
            raise ModelError(
                f"{self.checkpoint} must have a length adaptor of one layer, as SeamlessM4T "
                "was released"
            )
        return checkpoint

    def _notes(self) -> tuple[str, ...]:
        start = {
            "with_positions": "tap in of the text is what enters layer 1, positions included",
            "embedding": "tap in of the text is the word embeddings, without positions",
        }
        last = {
            "normed": "the last layer is read after the encoder's final layer norm",
            "raw": "the last layer is read before the encoder's final layer norm",
        }
        special = "counts" if self.pool_special_tokens else "does not count"
        own = ("a small model trained on lists of words, for demonstration only",)
        return (
            *(own if self._found().name == DEMO else ()),
            start[self.text_in],
            last[self.last_layer],
            f"the language token and </s> of a text: each {special} in the mean",
            "the length adaptor sees no padding, unlike the released code, so tap len does not "
            "depend on the batch",
        )

    def _text_tower(
        self, checkpoint: Checkpoint, taps: tuple[Tap, ...], device: Any, live: Any
    ) -> Tower:
        from isogloss.models._tokens import check_vocabulary, load_tokeniser
        from isogloss.models._tower import TextTower
        from isogloss.models._weights import below, load_encoder

        tied = ("shared.weight", "lm_head.weight", "text_decoder.embed_tokens.weight")
        module = load_encoder(
            checkpoint,
            f"{_CLASSES[checkpoint.model_type]}Encoder",
            what="text encoder",
            rename=below(
                "text_encoder.", probe="layers.0.", embeddings={"embed_tokens.weight": tied}
            ),
            dtype=self.dtype,
            device=device,
            live=live,
        )
        tokeniser = load_tokeniser(checkpoint.folder(), fairseq=True)
        check_vocabulary(tokeniser, checkpoint.integer("vocab_size"), checkpoint.name)
        specs = self._layers("", checkpoint.integer("encoder_layers"))
        if self.text_in == "embedding":
            specs[INPUT] = TapSpec(INPUT, "embed_tokens")
        return TextTower(
            module,
            tokeniser=tokeniser,
            name=checkpoint.name,
            language_token=_language_token,
            pool_special=self.pool_special_tokens,
            limit=checkpoint.integer("max_position_embeddings", 4096),
            pad=module.config.pad_token_id,
            taps=taps,
            specs=specs,
            live=live is not None,
        )

    def _speech_tower(
        self, checkpoint: Checkpoint, taps: tuple[Tap, ...], device: Any, live: Any
    ) -> Tower:
        from isogloss.models._adaptor import AdaptedSpeechTower
        from isogloss.models._speech import FilterBank, load_extractor
        from isogloss.models._weights import below, load_encoder

        module = load_encoder(
            checkpoint,
            f"{_CLASSES[checkpoint.model_type]}SpeechEncoder",
            what="speech encoder",
            rename=below("speech_encoder.", probe="encoder.layers.0."),
            dtype=self.dtype,
            device=device,
            live=live,
            unused=r"batch_norm\.num_batches_tracked$",
        )
        specs = self._layers("encoder.", checkpoint.integer("speech_encoder_layers"))
        specs[INPUT] = TapSpec(INPUT, "feature_projection")
        specs[ADAPTED] = TapSpec(ADAPTED, "inner_layer_norm", length="adapted")
        source = FilterBank(load_extractor(checkpoint, _EXTRACTOR))
        read: dict[str, Any] = {"taps": taps, "specs": specs, "live": live is not None}
        return AdaptedSpeechTower(module, source=source, **read)

    def _layers(self, prefix: str, count: int) -> dict[str, TapSpec]:
        specs = {INPUT: TapSpec(INPUT, f"{prefix}layers.0", "in")}
        for i in range(1, count + 1):
            specs[str(i)] = TapSpec(str(i), f"{prefix}layers.{i - 1}")
        if self.last_layer == "normed":
            specs[str(count)] = TapSpec(str(count), f"{prefix}layer_norm")
        return specs


def _language_token(tokeniser: "Tokeniser", language: Language) -> str:
    return f"__{language.seamless}__" if language.seamless else ""
