"""SALMONN: a language model that is given what two encoders make of sound, then text.

The study's third model (appendix B.3). Its text follows the speech in one causal input, so that
text is computed with the speech in view; two further kinds of input show what that does.
"""

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator

from isogloss.corpora.base import Modality
from isogloss.models import _salmonn_prompt as prompts
from isogloss.models._checkpoint import find
from isogloss.models._layout import INPUT, layer_taps, pairs_by_depth, paper_layers
from isogloss.models._salmonn_files import Files, find_files
from isogloss.models._salmonn_sizes import FRAMES, Sizes
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

ENC = "enc"
_LAYERS_BEFORE = 11
"""Layers as wide as the tap that cost as much as both encoders: 32 × 1280² + 12 × 768² weights."""
_EXTRACTOR = "whisper.feature_extraction_whisper:WhisperFeatureExtractor"


class Salmonn(ModelSource):
    """SALMONN, from Whisper, BEATs, Vicuna and what was trained between and in them."""

    info: ClassVar[ModelInfo] = ModelInfo(
        title="SALMONN",
        checkpoints="tsinghua-ee/SALMONN-7B with openai/whisper-large-v2, lmsys/vicuna-7b-v1.5 and "
        "BEATs_iter3_plus_AS2M_finetuned_on_AS2M_cpt2.pt; four files or folders",
        licence="SALMONN: Apache-2.0; Whisper: Apache-2.0 or MIT; BEATs: MIT; Vicuna v1.5: Llama 2",
        reference="Tang et al., 2024, arXiv:2310.13289",
        parameters=(
            ("Whisper encoder", 636_784_640),
            ("BEATs", 90_311_792),
            ("Q-Former and projection", 25_991_936),
            ("Vicuna without its head", 6_607_343_616),
        ),
        languages="any in both modalities; trained mostly on English",
        taps="speech: enc (both sound encoders), in, 1 … 32; text: in, 1 … 32",
    )
    located_by: ClassVar[frozenset[str]] = frozenset(
        f"{part}{end}" for part in ("whisper", "beats", "vicuna") for end in ("", "_revision")
    ) | {"checkpoint", "revision"}

    family: Literal["salmonn"] = setting("salmonn", role="identity", help="SALMONN.")
    checkpoint: str = setting(
        "tsinghua-ee/SALMONN-7B",
        role="identity",
        help="What was trained, salmonn_7b_v0.pth: hub id, folder, or file.",
    )
    revision: str | None = setting(
        None, role="identity", help="Branch, tag or commit of the checkpoint on the hub."
    )
    whisper: str = setting(
        "openai/whisper-large-v2", role="identity", help="Whisper-large-v2: hub id or folder."
    )
    whisper_revision: str | None = setting(
        None, role="identity", help="Branch, tag or commit of Whisper on the hub."
    )
    beats: str = setting(
        role="identity",
        help="BEATs_iter3_plus_AS2M_finetuned_on_AS2M_cpt2.pt: file, folder, or hub id. It is "
        "linked from https://github.com/microsoft/unilm/tree/master/beats.",
    )
    beats_revision: str | None = setting(
        None, role="identity", help="Branch, tag or commit of BEATs on the hub."
    )
    vicuna: str = setting(
        "lmsys/vicuna-7b-v1.5", role="identity", help="Vicuna-7B v1.5: hub id or folder."
    )
    vicuna_revision: str | None = setting(
        None, role="identity", help="Branch, tag or commit of Vicuna on the hub."
    )
    input: Literal["joint", "separate", "mismatched"] = setting(
        "joint",
        role="identity",
        help="What stands before a text: the recording of its sentence (the study's way, in which "
        "text is computed with the speech in view), nothing, or the recording of another sentence "
        "(the control).",
    )
    prompt: Annotated[str, AfterValidator(prompts.check_prompt)] = setting(
        "USER: <Speech>{audio}</Speech> {text}\nASSISTANT:",
        role="identity",
        help="Words around speech and text; <s> comes first. The study does not say what it used.",
    )
    text_prompt: Annotated[str, AfterValidator(prompts.check_text_prompt)] = setting(
        "USER: {text}\nASSISTANT:",
        role="identity",
        help="Words around a text that stands alone, with `input: separate`; <s> comes first.",
    )
    pool_prompt: bool = setting(
        False,
        role="identity",
        help="Whether a text's mean also counts the tokens of the prompt after the audio (of the "
        "whole prompt without audio); never <s>.",
    )
    pool: Literal["all", "valid"] = setting(
        "all",
        role="identity",
        help="Which of the 88 audio tokens count in the mean: all, or those that the recording "
        "reaches, one per 0.34 s begun. The rest is silence. The study does not say.",
    )
    enc: Literal["normed", "raw"] = setting(
        "normed",
        role="identity",
        help='Read tap "enc" after the layer norms that lead into the Q-Former, or before.',
    )
    last_layer: Literal["normed", "raw"] = setting(
        "normed",
        role="identity",
        help="Read the last layer after the final norm (hidden_states[-1] of transformers), or as "
        "the layer leaves it.",
    )
    lora_alpha: float | None = setting(
        None,
        role="identity",
        ge=0,
        help="The low-rank updates of Vicuna count alpha / rank times; as the checkpoint says (32) "
        "if left out. 0 leaves Vicuna as it was before it learnt to hear.",
    )
    long_audio: Literal["refuse", "cut"] = setting(
        "refuse",
        role="identity",
        help="What happens to a recording of more than 30 s: it is left out and counted, or its "
        "first 30 s are used, as in the original, and that is noted.",
    )

    def layout(self) -> Layout:
        """Describe the taps from the configurations and the checkpoint's tensor sizes."""
        files = self._files()
        text = layer_taps(files.vicuna.integer("num_hidden_layers"), files.sizes.llama)
        enc = Tap(ENC, files.sizes.whisper + files.sizes.beats, 0.0)
        paper = paper_layers(len(text) - 1)
        return Layout(
            taps={"text": text, "speech": (enc, *text)},
            paper={"text": paper, "speech": (ENC, *paper)},
            pairs=(TapPair(ENC, INPUT, ENC, 0.0), *pairs_by_depth(text, text)),
            untrained=files.whisper.untrained or files.vicuna.untrained,
            notes=self._notes(files.sizes),
        )

    def fingerprint(self) -> dict[str, str]:
        """The content of all four."""
        files = self._files()
        return {
            "checkpoint": files.trained.fingerprint(),
            "whisper": files.whisper.fingerprint(),
            "beats": files.beats.fingerprint(),
            "vicuna": files.vicuna.fingerprint(),
        }

    def title(self) -> str:
        """The checkpoint's short name, with the input where that is not the study's."""
        name = self.checkpoint.rstrip("/").rpartition("/")[2]
        name = name.removesuffix(".pth").removesuffix(".pt")
        return name if self.input == "joint" else f"{name}-{self.input}"

    def companion(self) -> Literal["none", "same", "other"]:
        """Which recording stands before a text."""
        rules: dict[str, Literal["none", "same", "other"]] = {
            "joint": "same",
            "separate": "none",
            "mismatched": "other",
        }
        return rules[self.input]

    def time_steps(self, modality: Modality, size: float, tap: Tap) -> float:
        """Whisper and BEATs hear a window of 30 s, which becomes 88 tokens of the decoder."""
        if modality == "text" or tap.name == INPUT:
            return super().time_steps(modality, size, tap)
        # Both encoders stand behind one tap, which is as wide as the two together.
        return 1500 * _LAYERS_BEFORE if tap.name == ENC else 88

    def tokeniser(self) -> "TextTokens":
        """Read the tokeniser of Vicuna, which splits a sentence with the prompt around it."""
        from isogloss.models._text_tokens import TextTokens, small_files

        vicuna = find(self.vicuna, self.vicuna_revision)
        size = vicuna.integer("vocab_size", 32_000)
        pieces = prompts.load_pieces(small_files(vicuna), vicuna.name, size)
        after = self.prompt.partition(prompts.AUDIO)[2]
        template = self.text_prompt if self.input == "separate" else after

        def own(text: str) -> list[int]:
            ids, inside = prompts.placed(pieces, template, text.strip())
            return [i for i, mine in zip(ids, inside, strict=True) if mine]

        return TextTokens(own, pieces, pieces.unknown)

    def load(self, *, device: str) -> Adapter:
        """Return the adapter; the language model is loaded once for both modalities."""
        from isogloss.models._weights import check_device, require

        require("running SALMONN")
        from isogloss.models._salmonn_load import Parts, SharedAdapter

        taps = chosen_taps(self, self.layout())
        parts = Parts(self._files(), dtype=self.dtype, device=check_device(device))
        return SharedAdapter(
            parts,
            {
                "text": partial(self._text_tower, parts, taps["text"]),
                "speech": partial(self._speech_tower, parts, taps["speech"]),
            },
        )

    def _files(self) -> Files:
        found = find_files(
            whisper=(self.whisper, self.whisper_revision),
            beats=(self.beats, self.beats_revision),
            vicuna=(self.vicuna, self.vicuna_revision),
            trained=(self.checkpoint, self.revision),
        )
        if self.lora_alpha is None:
            return found
        return replace(found, sizes=replace(found.sizes, alpha=self.lora_alpha))

    def _notes(self, sizes: Sizes) -> tuple[str, ...]:
        kind = {
            "joint": "joint input: the recording of a sentence, then its text, so that text is "
            "computed with the speech in view; compare it with the inputs separate and mismatched",
            "separate": "separate inputs: text is computed without any speech",
            "mismatched": "mismatched input (control): a text follows the recording of another "
            "sentence",
        }[self.input]
        around = self.text_prompt if self.input == "separate" else self.prompt
        whose = "with" if self.pool_prompt else "without"
        pooled = {
            "all": f"all {sizes.tokens} audio tokens of the 30 s window count, silence included",
            "valid": "audio tokens that the recording reaches count",
        }[self.pool]
        norms = {"normed": "after", "raw": "before"}
        return (
            kind,
            "speech comes first and the model is causal, so speech is the same with every input",
            f"the text stands in {around!r}, and its mean is taken {whose} the prompt's tokens",
            pooled,
            f"tap enc is read {norms[self.enc]} the layer norms of both encoders, over "
            + ("the whole window" if self.pool == "all" else "the recording"),
            f"the last layer is read {norms[self.last_layer]} the final norm",
            f"low-rank updates of Vicuna count {sizes.alpha / sizes.rank:g} times",
        )

    def _text_tower(self, parts: Any, taps: tuple[Tap, ...]) -> Tower:
        from isogloss.models._salmonn_model import Salmonn as Module
        from isogloss.models._salmonn_towers import SalmonnText, opening_of

        alone = self.input == "separate"
        pieces = parts.pieces()
        opening = [pieces.opening] if alone else opening_of(pieces, self.prompt)
        ears = None if alone else parts.ears()
        template = self.text_prompt if alone else self.prompt.partition(prompts.AUDIO)[2]
        return SalmonnText(
            Module(parts.llama(), ears, start=len(opening)),
            listening=None if alone else self._listening(parts),
            opening=opening,
            template=template,
            pool_prompt=self.pool_prompt,
            taps=taps,
            **self._shared(parts),
        )

    def _speech_tower(self, parts: Any, taps: tuple[Tap, ...]) -> Tower:
        from isogloss.models._salmonn_model import Salmonn as Module
        from isogloss.models._salmonn_towers import SalmonnSpeech, opening_of

        opening = opening_of(parts.pieces(), self.prompt)
        enc = self.enc if any(tap.name == ENC for tap in taps) else None
        return SalmonnSpeech(
            Module(parts.llama(), parts.ears(), start=len(opening), enc=enc),
            listening=self._listening(parts),
            opening=opening,
            taps=taps,
            **self._shared(parts),
        )

    def _shared(self, parts: Any) -> dict[str, Any]:
        """What both towers are made with."""
        count = parts.files.vicuna.integer("num_hidden_layers")
        specs = {ENC: TapSpec(ENC, "enc", length="steps")}
        specs[INPUT] = TapSpec(INPUT, "llama.layers.0", "in")
        for i in range(1, count + 1):
            specs[str(i)] = TapSpec(str(i), f"llama.layers.{i - 1}")
        if self.last_layer == "normed":
            specs[str(count)] = TapSpec(str(count), "llama.norm")
        limit = parts.files.vicuna.integer("max_position_embeddings", 2048)
        return {"specs": specs, "pieces": parts.pieces(), "limit": limit}

    def _listening(self, parts: Any) -> Any:
        from isogloss.models._salmonn_towers import Listening
        from isogloss.models._speech import Window, load_extractor

        whisper = parts.files.whisper
        window = Window(load_extractor(whisper, _EXTRACTOR), FRAMES, whisper.name)
        return Listening(window, parts.files.sizes, self.long_audio, valid=self.pool == "valid")
