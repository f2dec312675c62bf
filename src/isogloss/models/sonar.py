"""SONAR: one text encoder and a speech encoder per language, trained to agree on a sentence vector.

The study's second model (appendix B.2), read from the files that the SONAR project released.
"""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from isogloss.corpora.base import Modality
from isogloss.errors import ModelError
from isogloss.languages import Language, languages
from isogloss.models import _sonar_files as files
from isogloss.models._files import MARKER
from isogloss.models._layout import INPUT, layer_taps, pairs_by_depth, paper_layers
from isogloss.models._single import SingleFile
from isogloss.models._sonar_cards import SPEECH, TEXT_LANGUAGES, Card, licences, text_codes
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
    from isogloss.models._sonar_towers import SonarSpeechTower
    from isogloss.models._text_tokens import TextTokens

POOLED = "pool"
_HUB = "facebook/SONAR"
_EXTRACTOR = "seamless_m4t.feature_extraction_seamless_m4t:SeamlessM4TFeatureExtractor"
_ENDINGS = (".pt", ".pth", ".bin", ".safetensors")


class Sonar(ModelSource):
    """SONAR's text encoder and its speech encoders."""

    info: ClassVar[ModelInfo] = ModelInfo(
        title="SONAR",
        checkpoints="sonar_text_encoder.pt, and spenc.eng.pt, spenc.v3ap.deu.pt … for each "
        "language, from dl.fbaipublicfiles.com/SONAR",
        licence="CC-BY-NC-4.0 (text, and speech encoders v5ap), MIT (speech encoders v3ap)",
        reference="Duquenne et al., 2023, arXiv:2308.11466",
        parameters=(("text encoder", 766_091_264), ("speech encoder of a language", 708_474_176)),
        languages=f"text {len(TEXT_LANGUAGES)}, speech {len(SPEECH)}",
        taps="in, 1 … 24, pool (the sentence vector)",
    )
    located_by: ClassVar[frozenset[str]] = frozenset(
        {
            "text",
            "text_revision",
            "speech",
            "speech_revision",
            "tokenizer",
            "tokenizer_revision",
        }
    )
    swap: ClassVar[str] = (
        "Leave it out, or take the study's 30 languages for SONAR (languages: paper-sonar), which "
        "have asm, heb, lao, mal, swh, tel for amh, ell, hye, kat, khm, sna"
    )

    family: Literal["sonar"] = setting("sonar", role="identity", help="SONAR.")
    text: str = setting(
        _HUB,
        role="identity",
        help="Text encoder: its file (sonar_text_encoder.pt), the folder that holds it, or a hub "
        "id.",
    )
    text_revision: str | None = setting(
        None, role="identity", help="Branch, tag or commit of the text encoder on the hub."
    )
    speech: str = setting(
        _HUB,
        role="identity",
        help="Speech encoders: a folder or hub id with the files of the languages "
        "(spenc.v3ap.deu.pt, spenc.eng.pt …), or a path with {language} in place of the ISO 639-3 "
        "code.",
    )
    speech_revision: str | None = setting(
        None, role="identity", help="Branch, tag or commit of the speech encoders on the hub."
    )
    tokenizer: str | None = setting(
        None,
        role="identity",
        help="SentencePiece model (sentencepiece.source.256000.model): file, folder or hub id; "
        "beside the text encoder if left out.",
    )
    tokenizer_revision: str | None = setting(
        None, role="identity", help="Branch, tag or commit of the tokeniser on the hub."
    )
    pool_special_tokens: bool = setting(
        True,
        role="identity",
        help="Whether the language token and </s> count in the mean over time at taps before "
        "pool; in SONAR's own mean, which is tap pool, they always do.",
    )
    text_in: Literal["with_positions", "embedding"] = setting(
        "with_positions",
        role="identity",
        help='What tap "in" of the text is: what enters layer 1 (word embeddings plus positions, '
        "the output of SONAR's front end), or the word embeddings alone; the study does not say.",
    )
    last_layer: Literal["raw", "normed"] = setting(
        "raw",
        role="identity",
        help="Read the last layer as it leaves it (the output of SONAR's encoder), or after the "
        "layer norm that follows. The mean of the normed text layer is tap pool.",
    )

    def layout(self) -> Layout:
        """Describe the taps: the released size, or that of a configuration beside the files."""
        file = self._text_file()
        text, speech = files.text_size(file), self._speech_size()
        taps: dict[Modality, tuple[Tap, ...]] = {}
        paper: dict[Modality, tuple[str, ...]] = {}
        sizes: dict[Modality, files.Size] = {"text": text, "speech": speech}
        for modality, size in sizes.items():
            layers = layer_taps(size.layers, size.width)
            taps[modality] = (*layers, Tap(POOLED, size.width, 1.0))
            paper[modality] = (*paper_layers(size.layers), POOLED)
        pairs = pairs_by_depth(taps["text"][:-1], taps["speech"][:-1])
        speaks = files.in_speech_folder(self.speech, self.speech_revision, MARKER)
        return Layout(
            taps=taps,
            paper=paper,
            pairs=(*pairs, TapPair(POOLED, POOLED, POOLED, 1.0)),
            untrained=files.untrained(files.marker(file), speaks),
            notes=self._notes(),
        )

    def fingerprint(self) -> dict[str, str]:
        """The content that every language shares: text encoder, tokeniser, and the sizes."""
        text = self._text_file()
        tokeniser = files.tokeniser_file(self.tokenizer, self.tokenizer_revision, text)
        speech = self._speech_size()
        return {
            "text": text.fingerprint(),
            "text size": str(files.text_size(text)),
            "tokenizer": tokeniser.fingerprint(),
            "speech size": f"{speech}, {speech.pooler_heads} heads of the pooler",
        }

    def fingerprint_of(self, modality: Modality, language: str) -> dict[str, str]:
        """The content of a language's own speech encoder.

        Raises:
            ModelError: There is none, or its file is not there.
        """
        if modality == "text":
            return {}
        return {"speech": self._speech_file(language).fingerprint()}

    def title(self) -> str:
        """The name of the text encoder's file, folder or repository."""
        name = Path(self.text).expanduser().resolve().name
        return next((name.removesuffix(e) for e in _ENDINGS if name.endswith(e)), name)

    def speaks(self) -> dict[Modality, frozenset[str] | None]:
        """202 languages of the text encoder; 57 that have a speech encoder."""
        return {"text": text_codes(), "speech": frozenset(SPEECH)}

    def tokeniser(self) -> "TextTokens":
        """Read the SentencePiece model of the text encoder."""
        from isogloss.models._sonar_towers import SonarTokeniser
        from isogloss.models._text_tokens import TextTokens

        file = files.tokeniser_file(self.tokenizer, self.tokenizer_revision, self._text_file())
        tokeniser = SonarTokeniser(file.path())
        return TextTokens(tokeniser.pieces, tokeniser, tokeniser.unknown())

    def load(self, *, device: str) -> Adapter:
        """Return the adapter; each encoder is loaded when first asked for."""
        from isogloss.models._sonar_towers import SonarAdapter
        from isogloss.models._weights import check_device, require

        require("running SONAR")
        taps = chosen_taps(self, self.layout())
        place = check_device(device)
        return SonarAdapter(
            partial(self._text_tower, taps["text"], place),
            partial(self._speech_tower, taps["speech"], place),
        )

    def _text_file(self) -> SingleFile:
        return files.text_file(self.text, self.text_revision)

    def _speech_size(self) -> files.Size:
        return files.speech_size(self.speech, self.speech_revision)

    def _speech_file(self, language: str) -> SingleFile:
        return files.speech_file(self.speech, self.speech_revision, self._card(language))

    def _card(self, language: str) -> Card:
        if language not in SPEECH:
            named = languages()[language].name if language in languages() else language
            raise ModelError(f"SONAR has no speech encoder for {named} ({language}). {self.swap}")
        return SPEECH[language]

    def _notes(self) -> tuple[str, ...]:
        start = {
            "with_positions": "tap in of the text is what enters layer 1, positions included",
            "embedding": "tap in of the text is the word embeddings, without positions",
        }
        last = {
            "normed": "the last layer is read after the layer norm that follows it",
            "raw": "the last layer is read before the layer norm that follows it",
        }
        special = "counts" if self.pool_special_tokens else "does not count"
        return (
            start[self.text_in],
            last[self.last_layer],
            f"the language token and </s> of a text: each {special} in the mean before tap pool",
            licences(),
        )

    def _text_tower(self, taps: tuple[Tap, ...], device: Any) -> Tower:
        from isogloss.models import _sonar_modules as modules
        from isogloss.models import _sonar_towers as towers

        file = self._text_file()
        size = files.text_size(file)
        vocabulary = files.tokeniser_file(self.tokenizer, self.tokenizer_revision, file)
        tokeniser = towers.SonarTokeniser(vocabulary.path())
        module = modules.load_text(file.path(), size, dtype=self.dtype, device=device)
        embeddings = module.encoder.embed_tokens.num_embeddings
        if tokeniser.size != embeddings:
            raise ModelError(
                f"{file.path()} has {embeddings} embeddings, but {vocabulary.path()} makes "
                f"{tokeniser.size} tokens, so they belong to different models"
            )
        specs = self._layers(size.layers)
        specs[INPUT] = TapSpec(INPUT, "encoder.layers.0", "in")
        if self.text_in == "embedding":
            specs[INPUT] = TapSpec(INPUT, "encoder.embed_tokens")
        specs[POOLED] = TapSpec(POOLED, "encoder.layer_norm", length=towers.SENTENCE)
        return towers.SonarTextTower(
            module,
            tokeniser=tokeniser,
            name=self.text,
            language_token=towers.language_token,
            pool_special=self.pool_special_tokens,
            limit=modules.TEXT_LIMIT,
            taps=taps,
            specs=specs,
        )

    def _speech_tower(
        self, taps: tuple[Tap, ...], device: Any, language: Language
    ) -> "SonarSpeechTower":
        from isogloss.models import _sonar_modules as modules
        from isogloss.models import _sonar_towers as towers
        from isogloss.models._speech import FilterBank
        from isogloss.models._weights import model_class

        size, path = self._speech_size(), self._speech_file(language.code).path()
        module = modules.load_speech(path, size, dtype=self.dtype, device=device)
        specs = self._layers(size.layers)
        specs[INPUT] = TapSpec(INPUT, "feature_projection")
        specs[POOLED] = TapSpec(POOLED, "pooler.projection_out", length=towers.SENTENCE)
        source = FilterBank(model_class(_EXTRACTOR)())
        limit = modules.SPEECH_LIMIT
        return towers.SonarSpeechTower(module, source=source, limit=limit, taps=taps, specs=specs)

    def _layers(self, count: int) -> dict[str, TapSpec]:
        found = range(1, count + 1)
        specs = {str(i): TapSpec(str(i), f"encoder.layers.{i - 1}") for i in found}
        if self.last_layer == "normed":
            specs[str(count)] = TapSpec(str(count), "encoder.layer_norm")
        return specs
