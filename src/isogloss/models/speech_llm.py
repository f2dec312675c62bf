"""Audio LLMs: a speech tower and a projector in front of a causal language model.

One family for all of transformers' audio LLMs that share this layout. What differs between them is
declared in one table (:mod:`isogloss.models._llm_families`).
"""

from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import field_validator

from isogloss.corpora.base import Modality
from isogloss.digests import file_digest
from isogloss.models._checkpoint import Checkpoint, find
from isogloss.models._layout import INPUT, layer_taps
from isogloss.models._llm_families import AUDIO, FAMILIES, TEXT, Family
from isogloss.models._llm_guess import family_of
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
from isogloss.settings import setting

if TYPE_CHECKING:
    from isogloss.models._llm_towers import Parts
    from isogloss.models._text_tokens import TextTokens

_COMPANIONS: dict[str, Literal["none", "same", "other"]] = {
    "separate": "none",
    "joint": "same",
    "mismatched": "other",
}

_FRAMES, _WINDOW = 100, 30
"""Frames of the features in a second, and seconds of a window."""


class SpeechLlm(ModelSource):
    """An audio LLM: tower, projector and decoder."""

    info: ClassVar[ModelInfo] = ModelInfo(
        title="Audio LLMs",
        checkpoints=", ".join(family.title for family in FAMILIES.values())
        + "; others of their layout at the decoder",
        licence="each checkpoint's own",
        reference="the transformers documentation of each model",
        parameters=(
            ("tower", 636_968_960),
            ("projector", 5_246_976),
            ("decoder", 7_115_771_904),
        ),
        languages="those of the language model, which none of them lists in its files",
        taps="a0 … of the tower, enc, proj; in, 1 … of the decoder",
    )
    handles: ClassVar[frozenset[str]] = frozenset(
        {*FAMILIES, *(f"{kind}_thinker" for kind, family in FAMILIES.items() if family.root)}
    )

    family: Literal["speech_llm"] = setting("speech_llm", role="identity", help="Audio LLMs.")
    checkpoint: str = setting(
        role="identity", help="Hub id, or folder of a downloaded checkpoint of transformers."
    )
    revision: str | None = setting(
        None, role="identity", help="Branch, tag or commit of the checkpoint on the hub."
    )
    input: Literal["separate", "joint", "mismatched"] = setting(
        "separate",
        role="identity",
        help="What stands before a text: nothing (separate), the recording of the same sentence "
        "(joint), or that of another one, as a control (mismatched). The decoder is causal, so "
        "that a text after speech is computed with the speech visible.",
    )
    prompt: str = setting(
        "",
        role="identity",
        help='Text around a recording, with "{audio}" in its place, such as a chat template '
        "written out; empty: only the tokens that open and close a recording in the model's own "
        "prompt.",
    )
    text_prompt: str = setting(
        TEXT,
        role="identity",
        help='Text around a text, with "{text}" in its place; what stands around it is never '
        "pooled.",
    )
    pool: Literal["valid", "all"] = setting(
        "valid",
        role="identity",
        help="Which audio tokens are pooled where the silence after a recording becomes tokens "
        "too (Voxtral): those that the recording reaches, or all.",
    )
    pool_special_tokens: bool = setting(
        False,
        role="identity",
        help="Whether tokens that the tokeniser adds around a text count in its mean. The first "
        "one knows nothing of the text, and many decoders give it an enormous norm.",
    )
    lora: Literal["speech", "always", "never"] = setting(
        "speech",
        role="identity",
        help="When the LoRA that some models (Granite-speech, Phi-4-multimodal) carry for speech "
        "is on: for inputs with speech, as their own code has it; always; or never.",
    )
    last_layer: Literal["normed", "raw"] = setting(
        "normed",
        role="identity",
        help="Read the decoder's last layer after its final norm (hidden_states[-1] of "
        "transformers), or as the layer leaves it.",
    )

    padding_side: Literal["right", "left"] = setting(
        "right",
        role="runtime",
        help="Where short inputs of a batch are filled up; no result depends on it.",
    )

    @field_validator("prompt")
    @classmethod
    def _has_audio(cls, value: str) -> str:
        if value and value.count(AUDIO) != 1:
            raise ValueError(f'it must hold "{AUDIO}" once, or be empty')
        return value

    @field_validator("text_prompt")
    @classmethod
    def _has_text(cls, value: str) -> str:
        if value.count(TEXT) != 1:
            raise ValueError(f'it must hold "{TEXT}" once')
        return value

    def layout(self) -> Layout:
        """Describe the taps from the configuration."""
        checkpoint = self._checkpoint()
        family, declared = family_of(checkpoint)
        heard, width, layers, hidden = family.sizes_of(checkpoint)
        decoder = layer_taps(layers, hidden)
        before: tuple[Tap, ...] = ()
        if declared:
            before = tuple(Tap(f"a{i}", width, 0.0) for i in range(heard + 1))
            if family.encoded:
                before = (*before, Tap("enc", family.encoded_size(checkpoint), 0.0))
            before = (*before, Tap("proj", hidden, 0.0))
        return Layout(
            taps={"text": decoder, "speech": (*before, *decoder)},
            paper={
                "text": tuple(tap.name for tap in decoder),
                "speech": tuple(tap.name for tap in (*before, *decoder)),
            },
            pairs=tuple(TapPair(t.name, t.name, t.name, t.depth) for t in decoder),
            untrained=checkpoint.untrained,
            notes=self._notes(family, checkpoint, declared),
        )

    def fingerprint(self) -> dict[str, str]:
        """The content of the checkpoint, with the LoRA of a folder."""
        from isogloss.models._llm_load import lora_files

        checkpoint = self._checkpoint()
        found = {"checkpoint": checkpoint.fingerprint()}
        # A commit of the hub names it too, without fetching it.
        if found["checkpoint"].startswith("sha256:"):
            lora = self.lora != "never" and lora_files(family_of(checkpoint)[0], checkpoint)
            if lora:
                found["lora"] = "+".join(f"sha256:{file_digest(path)}" for path in lora)
        return found

    def title(self) -> str:
        """The checkpoint's short name, such as ``Qwen2-Audio-7B``."""
        return self._checkpoint().short_name

    def companion(self) -> Literal["none", "same", "other"]:
        """Which recording stands before a text."""
        return _COMPANIONS[self.input]

    def time_steps(self, modality: Modality, size: float, tap: Tap) -> float:
        """Of the tower, its whole window where it hears one; of the decoder, audio tokens."""
        checkpoint = self._checkpoint()
        family, declared = family_of(checkpoint)
        if modality == "text" or not declared:
            return super().time_steps(modality, size, tap)
        config = family.config(checkpoint)
        frames = int(_FRAMES * size)
        whole = _FRAMES * _WINDOW if family.window else frames
        if tap.name in ("a0", INPUT):
            return 0.0
        if tap.name == "enc" or tap.name.startswith("a"):
            return family.steps(max(whole, 1), config)
        return family.tokens(max(whole if family.silence else frames, 1), config)

    def tokeniser(self) -> "TextTokens":
        """Read the tokeniser of the decoder."""
        from isogloss.models._text_tokens import text_tokens

        return text_tokens(self._checkpoint())

    def load(self, *, device: str) -> Adapter:
        """Return the adapter; the model is loaded when a tower is first asked for."""
        from isogloss.models._llm_build import build
        from isogloss.models._llm_towers import LlmAdapter, LlmSpeech, LlmText
        from isogloss.models._weights import check_device, require

        require("running an audio LLM")
        taps = chosen_taps(self, self.layout())
        place = check_device(device)
        checkpoint = self._checkpoint()
        family, declared = family_of(checkpoint)
        alone = 1 if family.alone else None
        heard = self.input != "separate"

        left = self.padding_side == "left"

        def speech(parts: "Parts") -> Tower:
            given: dict[str, Any] = {"taps": taps["speech"], "specs": parts.specs}
            return LlmSpeech(parts, lora=True, left=left, max_batch=alone, **given)

        def text(parts: "Parts") -> Tower:
            given: dict[str, Any] = {"taps": taps["text"], "specs": parts.specs}
            return LlmText(
                parts,
                special=self.pool_special_tokens,
                lora=heard or self.lora == "always",
                left=left,
                max_batch=alone if heard else None,
                **given,
            )

        load = partial(build, self, checkpoint, family, declared=declared, device=place)
        return LlmAdapter(load, {"text": text, "speech": speech})

    def _checkpoint(self) -> Checkpoint:
        return find(self.checkpoint, self.revision)

    def _notes(self, family: Family, checkpoint: Checkpoint, declared: bool) -> tuple[str, ...]:
        inputs = {
            "separate": "a text is read alone, with no speech before it",
            "joint": "joint input: the recording of the same sentence stands before its text, "
            "which is computed with that recording visible",
            "mismatched": "mismatched input, a control: the recording of another sentence stands "
            "before each text",
        }
        last = "after" if self.last_layer == "normed" else "before"
        notes = [
            inputs[self.input],
            f"the decoder's last layer is read {last} its final norm",
            "tokens that the tokeniser adds around a text "
            + ("count" if self.pool_special_tokens else "do not count"),
        ]
        if self.prompt:
            notes.append(f'a recording stands in the prompt "{self.prompt}"')
        if self.text_prompt != TEXT:
            notes.append(f'a text stands in the prompt "{self.text_prompt}"')
        if family.silence:
            reached = "that the recording reaches" if self.pool == "valid" else "of the window"
            notes.append(f"pooled are the audio tokens {reached}; silence becomes tokens too")
        if family.lora is not None:
            state = {"speech": "on for inputs with speech, off for text alone",
                     "always": "on for speech and text", "never": "off"}  # fmt: skip
            there = checkpoint.config.get("has_lora_adapter", True)
            notes.append(
                f"the LoRA for speech is {state[self.lora]}" if there else "there is no LoRA"
            )
        if not declared:
            notes.append(
                f'"{checkpoint.model_type}" has no declaration, so that only its decoder is read, '
                "one input at a time, and all audio tokens count"
            )
        return tuple(notes)
