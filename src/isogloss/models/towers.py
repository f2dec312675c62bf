"""Any text encoder beside any speech encoder, each with its own checkpoint.

Two encoders that were never trained together show what a similarity is worth: whatever they share
comes from the sentences alone. A row of such pairs is the natural control for a joint model.
"""

from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from isogloss.corpora.base import MODALITIES, Modality
from isogloss.languages import Language
from isogloss.models._architectures import Architecture, architecture
from isogloss.models._checkpoint import Checkpoint, find
from isogloss.models._layout import INPUT, pairs_by_depth
from isogloss.models.base import (
    WEIGHTS_PER_LAYER,
    Adapter,
    Layout,
    ModelInfo,
    ModelSource,
    Tap,
    Tower,
    chosen_taps,
)
from isogloss.settings import setting

_CONVOLUTIONS = 2.46e9
"""Multiplications for one second of samples in the seven convolutions of wav2vec 2.0, 512 wide."""

if TYPE_CHECKING:
    from isogloss.models._text_tokens import TextTokens
    from isogloss.models._tokens import Tokeniser


class Towers(ModelSource):
    """A text encoder and a speech encoder that need not know of each other."""

    info: ClassVar[ModelInfo] = ModelInfo(
        title="A text encoder beside a speech encoder",
        checkpoints="text: BERT, RoBERTa, XLM-RoBERTa, CamemBERT, MPNet, DistilBERT, M2M-100, "
        "NLLB, T5, mT5; speech: Whisper, wav2vec 2.0, XLS-R, MMS, HuBERT, WavLM, w2v-BERT 2.0",
        licence="each checkpoint's own",
        reference="the transformers documentation of each architecture",
        languages="those of the two encoders",
        taps="in, 1 … last layer of each encoder",
    )
    located_by: ClassVar[frozenset[str]] = frozenset(
        {"text", "speech", "text_revision", "speech_revision"}
    )

    family: Literal["towers"] = setting("towers", role="identity", help="A pair of encoders.")
    text: str = setting(
        role="identity", help="Text encoder: the folder of a checkpoint, or a hub id."
    )
    speech: str = setting(
        role="identity", help="Speech encoder: the folder of a checkpoint, or a hub id."
    )
    text_revision: str | None = setting(
        None, role="identity", help="Branch, tag or commit of the text encoder on the hub."
    )
    speech_revision: str | None = setting(
        None, role="identity", help="Branch, tag or commit of the speech encoder on the hub."
    )
    text_prefix: str = setting(
        "",
        role="identity",
        help='Written before every text, such as "query: " for E5; its tokens are pooled too.',
    )
    pool_special_tokens: bool = setting(
        True,
        role="identity",
        help="Whether tokens that the tokeniser adds ([CLS], </s>, a language token) count in the "
        "mean over time.",
    )

    def layout(self) -> Layout:
        """Describe the taps of both encoders from their configurations."""
        taps: dict[Modality, tuple[Tap, ...]] = {}
        notes = []
        for modality in MODALITIES:
            checkpoint, kind = self._encoder(modality)
            taps[modality] = kind.taps(checkpoint)
            notes.append(_note(modality, checkpoint, kind))
        if not self.pool_special_tokens:
            notes.append("tokens that the tokeniser adds around a text are left out of the mean")
        if self.text_prefix:
            notes.append(f'every text begins with "{self.text_prefix}"')
        return Layout(
            taps=taps,
            paper={m: tuple(tap.name for tap in taps[m]) for m in taps},
            pairs=pairs_by_depth(taps["text"], taps["speech"]),
            untrained=any(self._checkpoint(m).untrained for m in MODALITIES),
            notes=tuple(notes),
        )

    def fingerprint(self) -> dict[str, str]:
        """The content of both checkpoints."""
        return {m: self._checkpoint(m).fingerprint() for m in MODALITIES}

    def title(self) -> str:
        """Both checkpoints' short names, such as ``xlm-roberta-base+whisper-small``."""
        return "+".join(self._checkpoint(m).short_name for m in MODALITIES)

    def time_steps(self, modality: Modality, size: float, tap: Tap) -> float:
        """Its whole window where the encoder hears one; convolutions where it hears samples."""
        if modality == "speech":
            checkpoint, kind = self._encoder(modality)
            if kind.speech == "window" and tap.name != INPUT:
                return checkpoint.integer("max_source_positions", 1500)
            if kind.speech == "waveform" and tap.name == INPUT:
                return size * _CONVOLUTIONS / (WEIGHTS_PER_LAYER * tap.width**2)
        return super().time_steps(modality, size, tap)

    def tokeniser(self) -> "TextTokens":
        """Read the tokeniser of the text encoder."""
        from isogloss.models._text_tokens import text_tokens

        return text_tokens(self._checkpoint("text"), prefix=self.text_prefix)

    def load(self, *, device: str) -> Adapter:
        """Return the adapter; each encoder is loaded when first asked for."""
        from isogloss.models._weights import check_device, require

        require("running a model")
        return self._adapter(check_device(device))

    def live(self, module: Any) -> Adapter:
        """Return an adapter of the two encoders inside a model in memory."""
        from isogloss.models._weights import require

        require("reading a model in memory")
        return self._adapter(None, module)

    def _adapter(self, device: Any, live: Any = None) -> Adapter:
        from isogloss.models._tower import EncoderAdapter

        taps = chosen_taps(self, self.layout())
        return EncoderAdapter(
            {m: partial(self._tower, m, taps[m], device, live) for m in MODALITIES}
        )

    def _checkpoint(self, modality: Modality) -> Checkpoint:
        if modality == "text":
            return find(self.text, self.text_revision)
        return find(self.speech, self.speech_revision)

    def _encoder(self, modality: Modality) -> tuple[Checkpoint, Architecture]:
        checkpoint = self._checkpoint(modality)
        return checkpoint, architecture(checkpoint, modality)

    def _tower(self, modality: Modality, taps: tuple[Tap, ...], device: Any, live: Any) -> Tower:
        from isogloss.models import _speech, _tokens, _tower, _weights

        checkpoint, kind = self._encoder(modality)
        module = _weights.load_encoder(
            checkpoint,
            kind.model,
            what=f"{modality} encoder",
            rename=_weights.below(*kind.prefixes, probe=kind.probe, embeddings=kind.embeddings),
            dtype=self.dtype,
            device=device,
            config=kind.config,
            unused=kind.unused,
            live=live,
            **kind.arguments,
        )
        read: dict[str, Any] = {"taps": taps, "specs": kind.specs(checkpoint)}
        read["live"] = live is not None
        if modality == "speech":
            extractor = _speech.load_extractor(checkpoint, kind.extractor)
            source = _speech.speech_input(kind.speech, extractor, checkpoint)
            alone = 1 if kind.alone(checkpoint.config) else None
            return _speech.SpeechTower(module, source=source, max_batch=alone, **read)
        tokeniser = _tokens.load_tokeniser(checkpoint.folder())
        _tokens.check_vocabulary(tokeniser, checkpoint.integer("vocab_size"), checkpoint.name)
        return _tower.TextTower(
            module,
            tokeniser=tokeniser,
            name=checkpoint.name,
            language_token=_language_token if kind.language_token else None,
            prefix=self.text_prefix,
            pool_special=self.pool_special_tokens,
            limit=kind.limit(checkpoint),
            pad=module.config.pad_token_id or 0,
            **read,
        )


def _language_token(tokeniser: "Tokeniser", language: Language) -> str:
    """NLLB knows FLORES-200 codes, M2M-100 two letters between underscores."""
    if language.flores200 and tokeniser.id(language.flores200) is not None:
        return language.flores200
    return f"__{language.whisper}__"


def _note(modality: Modality, checkpoint: Checkpoint, kind: Architecture) -> str:
    last = checkpoint.integer(kind.depth)
    norm = kind.norm(checkpoint.config)
    after = f"after the final norm ({norm})" if norm else "as the last layer leaves it"
    note = (
        f"{modality} {checkpoint.short_name}: tap in is what enters layer 1, positions included, "
        f"and tap {last} is read {after}"
    )
    if checkpoint.config.get("adapter_attn_dim"):
        note += "; its attention adapters are those of the main weights file, for every language"
    return note
