"""Whisper: the encoder hears the recording, the decoder is made to write its transcript.

The decoder is the only part of Whisper that sees text. It is teacher-forced: it is given the whole
transcript at once, each token seeing those before it, as in training (Radford et al., 2022, section
2.2). It also attends to the encoder, so what it is given to hear is a setting.
"""

from functools import cache, partial
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from isogloss.corpora.base import MODALITIES, Modality
from isogloss.errors import ModelError
from isogloss.languages import languages
from isogloss.models._architectures import ARCHITECTURES, other_family
from isogloss.models._checkpoint import Checkpoint, find
from isogloss.models._files import read_json
from isogloss.models._layout import INPUT, layer_taps, pairs_by_depth
from isogloss.models.base import (
    Adapter,
    Layout,
    ModelInfo,
    ModelSource,
    Tap,
    Tower,
    chosen_taps,
)
from isogloss.pooling import TapSpec
from isogloss.settings import setting

_START = "<|startoftranscript|>"
_ENGLISH_ONLY = 51_864
"""Vocabulary of the released English-only models, whose tokeniser still lists every language."""
_PLAIN = "<|notimestamps|>"
_RELEASED, _AFTER = (_ENGLISH_ONLY, 51_865, 51_866), 1502
"""Vocabularies of the released models, and how far from their end the token above stands."""
_TOKEN_FILES = ("added_tokens.json", "tokenizer.json", "tokenizer_config.json")


if TYPE_CHECKING:
    from isogloss.models._text_tokens import TextTokens


class Whisper(ModelSource):
    """Whisper, encoder for speech and decoder for text."""

    info: ClassVar[ModelInfo] = ModelInfo(
        title="Whisper",
        checkpoints="openai/whisper-large-v3, and every other size, .en, distilled or fine-tuned",
        licence="MIT",
        reference="Radford et al., 2022, arXiv:2212.04356",
        parameters=(("encoder", 636_968_960), ("decoder", 906_521_600)),
        languages="99 in both modalities, Cantonese too in large-v3; English only in .en",
        taps="in, 1 … last layer of the encoder (speech) and of the decoder (text)",
    )
    handles: ClassVar[frozenset[str]] = frozenset({"whisper"})

    family: Literal["whisper"] = setting("whisper", role="identity", help="Whisper.")
    checkpoint: str = setting(
        "openai/whisper-large-v3",
        role="identity",
        help="Hub id, or folder of a downloaded checkpoint.",
    )
    revision: str | None = setting(
        None, role="identity", help="Branch, tag or commit of the checkpoint on the hub."
    )
    input: Literal["separate", "joint", "mismatched"] = setting(
        "separate",
        role="identity",
        help="What the decoder hears while it is given a text: no speech (separate), the recording "
        "of the same sentence (joint), or that of another one, as a control (mismatched). In joint "
        "input the text's vectors hold speech, so their likeness to speech is partly given.",
    )
    unheard: Literal["silence", "nothing"] = setting(
        "silence",
        role="identity",
        help="With separate input: the encoder's output for a window of digital silence, which "
        "keeps every part of the decoder at work as in training, or no cross-attention at all.",
    )
    pool: Literal["valid", "all"] = setting(
        "valid",
        role="identity",
        help="Which time steps of the speech are pooled: those that the recording reaches, or the "
        "whole window with the silence after it.",
    )
    pool_special_tokens: bool = setting(
        False,
        role="identity",
        help="Whether the tokens before the text count in its mean. The decoder is causal, so they "
        "know nothing of the text; in joint input they are speech alone.",
    )
    leading_space: bool = setting(
        True,
        role="identity",
        help="Write a space before the text, as Whisper's own code does with a given beginning.",
    )
    last_layer: Literal["normed", "raw"] = setting(
        "normed",
        role="identity",
        help="Read the last layer after the final layer norm of encoder and decoder "
        "(hidden_states[-1] of transformers), or as the layer leaves it.",
    )

    def layout(self) -> Layout:
        """Describe the taps from the configuration."""
        checkpoint = self._checkpoint()
        width = checkpoint.integer("d_model")
        taps: dict[Modality, tuple[Tap, ...]] = {
            "text": layer_taps(checkpoint.integer("decoder_layers"), width),
            "speech": layer_taps(checkpoint.integer("encoder_layers"), width),
        }
        return Layout(
            taps=taps,
            paper={m: tuple(tap.name for tap in taps[m]) for m in MODALITIES},
            pairs=pairs_by_depth(taps["text"], taps["speech"]),
            untrained=checkpoint.untrained,
            notes=self._notes(),
        )

    def fingerprint(self) -> dict[str, str]:
        """The content of the checkpoint."""
        return {"checkpoint": self._checkpoint().fingerprint()}

    def title(self) -> str:
        """The checkpoint's short name, such as ``whisper-large-v3``."""
        return find(self.checkpoint).short_name

    def speaks(self) -> dict[Modality, frozenset[str] | None]:
        """The languages that the tokeniser has a token for; English alone for ``.en``."""
        checkpoint = self._checkpoint()
        if _english_only(checkpoint):
            codes = frozenset({"eng"})
        else:
            tokens = _special_tokens(checkpoint)
            known = languages().items()
            codes = frozenset(c for c, spoken in known if f"<|{spoken.whisper}|>" in tokens)
        return {"text": codes, "speech": codes}

    def companion(self) -> Literal["none", "same", "other"]:
        """The recording that the decoder hears beside a text."""
        rules: dict[str, Literal["none", "same", "other"]]
        rules = {"separate": "none", "joint": "same", "mismatched": "other"}
        return rules[self.input]

    def time_steps(self, modality: Modality, size: float, tap: Tap) -> float:
        """A whole window for speech, however short; the decoder attends to one with every text."""
        if tap.name == INPUT:
            return 0.0
        window = self._checkpoint().integer("max_source_positions", 1500)
        if modality == "speech":
            return window
        steps = super().time_steps(modality, size, tap)
        if self.input != "separate":
            steps += window
        if self.input == "separate" and self.unheard == "nothing":
            return steps
        return steps + window / 8  # keys and values of the window: an eighth of a layer's weights

    def tokeniser(self) -> "TextTokens":
        """Read the tokeniser of the decoder."""
        from isogloss.models._text_tokens import text_tokens

        space = " " if self.leading_space else ""
        return text_tokens(self._checkpoint(), prefix=space, strip=True)

    def load(self, *, device: str) -> Adapter:
        """Return the adapter; encoder and decoder are each loaded when first needed."""
        from isogloss.models._weights import check_device, require

        require("running Whisper")
        return self._adapter(check_device(device))

    def live(self, module: Any) -> Adapter:
        """Return an adapter of the encoder and decoder inside a model in memory."""
        from isogloss.models._weights import require

        require("reading a model in memory")
        return self._adapter(None, module)

    def _adapter(self, device: Any, live: Any = None) -> Adapter:
        from isogloss.models._whisper_towers import WhisperAdapter

        taps = chosen_taps(self, self.layout())
        checkpoint = self._checkpoint()
        encoder = cache(partial(self._encoder, checkpoint, device, live))
        text = partial(self._text_tower, checkpoint, taps["text"], device, live, encoder)
        return WhisperAdapter(
            {
                "text": text,
                "speech": partial(self._speech_tower, checkpoint, taps["speech"], live, encoder),
            },
            release=encoder.cache_clear,
        )

    def _checkpoint(self) -> Checkpoint:
        checkpoint = find(self.checkpoint, self.revision)
        kind = checkpoint.model_type
        if kind != "whisper":
            raise ModelError(
                f'{self.checkpoint} is a "{kind}" model, not Whisper ("whisper").'
                f"{other_family(kind)}"
            )
        return checkpoint

    def _notes(self) -> tuple[str, ...]:
        hears = {
            "joint": "joint input: the decoder hears the sentence's own recording, so that the "
            "text's vectors hold speech",
            "mismatched": "mismatched input, a control: the decoder hears another sentence's "
            "recording",
            "silence": "separate input: the decoder hears a window of silence, the same with every "
            "text",
            "nothing": "separate input: the decoder's cross-attention is left out",
        }
        pooled = {
            "valid": "speech is pooled over the time steps that the recording reaches",
            "all": "speech is pooled over the whole window, silence included",
        }
        special = "count" if self.pool_special_tokens else "do not count"
        after = "after" if self.last_layer == "normed" else "before"
        return (
            hears[self.unheard if self.input == "separate" else self.input],
            "the decoder is given the whole transcript (teacher forcing)",
            f"the tokens before a text {special} in the mean",
            pooled[self.pool],
            f"the last layer is read {after} the final layer norm; tap in is what enters layer 1, "
            "positions included",
        )

    def _specs(self, prefix: str, count: int) -> dict[str, TapSpec]:
        specs = {INPUT: TapSpec(INPUT, f"{prefix}layers.0", "in")}
        for i in range(1, count + 1):
            specs[str(i)] = TapSpec(str(i), f"{prefix}layers.{i - 1}")
        if self.last_layer == "normed":
            specs[str(count)] = TapSpec(str(count), f"{prefix}layer_norm")
        return specs

    def _encoder(self, checkpoint: Checkpoint, device: Any, live: Any) -> Any:
        from isogloss.models._weights import below, load_encoder

        kind = ARCHITECTURES["whisper"]
        return load_encoder(
            checkpoint,
            kind.model,
            what="speech encoder",
            rename=below(*kind.prefixes, probe=kind.probe),
            dtype=self.dtype,
            device=device,
            live=live,
        )

    def _window(self, checkpoint: Checkpoint) -> Any:
        from isogloss.models._speech import Window, load_extractor
        from isogloss.models._whisper_towers import WholeWindow

        kind = Window if self.pool == "valid" else WholeWindow
        extractor = load_extractor(checkpoint, ARCHITECTURES["whisper"].extractor)
        return kind(extractor, checkpoint.integer("max_source_positions", 1500), checkpoint.name)

    def _speech_tower(
        self, checkpoint: Checkpoint, taps: tuple[Tap, ...], live: Any, encoder: Any
    ) -> Tower:
        from isogloss.models._speech import SpeechTower

        specs = self._specs("", checkpoint.integer("encoder_layers"))
        read: dict[str, Any] = {"taps": taps, "specs": specs, "live": live is not None}
        return SpeechTower(encoder(), source=self._window(checkpoint), **read)

    def _text_tower(
        self, checkpoint: Checkpoint, taps: tuple[Tap, ...], device: Any, live: Any, encoder: Any
    ) -> Tower:
        from isogloss.models._tokens import check_vocabulary, load_tokeniser
        from isogloss.models._weights import below, load_encoder
        from isogloss.models._whisper_towers import DecoderTower, Listener

        decoder = load_encoder(
            checkpoint,
            "whisper.modeling_whisper:WhisperDecoder",
            what="decoder",
            rename=below(
                "model.decoder.",
                "decoder.",
                probe="layers.0.encoder_attn.",
                embeddings={"embed_tokens.weight": ("proj_out.weight",)},
            ),
            dtype=self.dtype,
            device=device,
            live=live,
        )
        window = self._window(checkpoint)
        heard = self.input != "separate"
        silent = not heard and self.unheard == "silence"
        module = Listener(decoder, encoder() if heard or silent else None)
        if silent:
            silence = np.zeros(1, np.float32)
            heard_only = window.features(silence).values["input_features"]
            module.hear_only(heard_only, forget=live is None)
        tokeniser = load_tokeniser(checkpoint.folder())
        vocabulary = checkpoint.integer("vocab_size", 51_865)
        check_vocabulary(tokeniser, vocabulary, checkpoint.name)
        _check_release(tokeniser, vocabulary, checkpoint.name)
        return DecoderTower(
            module,
            window=window if heard else None,
            english_only=_english_only(checkpoint),
            tokeniser=tokeniser,
            name=checkpoint.name,
            prefix=" " if self.leading_space else "",
            pool_special=self.pool_special_tokens,
            limit=checkpoint.integer("max_target_positions", 448),
            pad=decoder.config.pad_token_id or 0,
            taps=taps,
            specs=self._specs("decoder.", checkpoint.integer("decoder_layers")),
            live=live is not None,
        )


def _english_only(checkpoint: Checkpoint) -> bool:
    return bool(checkpoint.config.get("vocab_size") == _ENGLISH_ONLY)


def _special_tokens(checkpoint: Checkpoint) -> frozenset[str]:
    """Tokens that the tokeniser adds to its vocabulary.

    Raises:
        ModelError: No file lists those of Whisper.
    """
    for name in _TOKEN_FILES:
        path = checkpoint.file(name)
        if path is None:
            continue
        said = read_json(path)
        if name == "added_tokens.json":
            tokens = frozenset(said)
        elif name == "tokenizer.json":
            tokens = frozenset(entry["content"] for entry in said.get("added_tokens", ()))
        else:
            listed = said.get("added_tokens_decoder", {})
            tokens = frozenset(entry["content"] for entry in listed.values())
        if _START in tokens:
            return tokens
    raise ModelError(
        f"{checkpoint.name} does not say which languages it speaks: none of "
        f"{', '.join(_TOKEN_FILES)} lists {_START}. Give the folder with Whisper's own tokeniser"
    )


def _check_release(tokeniser: Any, vocabulary: int, name: str) -> None:
    """Large-v3 has a language more than its forerunners, which moves the tokens after it by one."""
    found = tokeniser.id(_PLAIN)
    whole = tokeniser.size > vocabulary - _AFTER
    if whole and vocabulary in _RELEASED and found not in (None, vocabulary - _AFTER):
        raise ModelError(
            f"{name}: the tokeniser has {_PLAIN} at {found}, but a model with {vocabulary} tokens "
            f"at {vocabulary - _AFTER}, so they belong to different releases of Whisper"
        )
