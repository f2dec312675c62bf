"""Whisper's decoder as a text tower, and what it hears. Imports torch."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from isogloss.corpora.base import Modality
from isogloss.errors import ItemError, ModelError
from isogloss.languages import Language
from isogloss.models._speech import Window
from isogloss.models._tower import Collated, EncoderAdapter, Samples, TextTower, full_precision
from isogloss.models.base import Features, Heard, Tower

WINDOWS = 8
"""Texts that run at once while the decoder attends to whole windows: their time steps are not
counted in a text's length, so a batch of short texts would fill the memory with them."""


class WholeWindow(Window):
    """Pools all time steps of the window."""

    def collate(self, batch: Sequence[Features]) -> Collated:
        """All windows have one size, and every step of them counts."""
        collated = super().collate(batch)
        return Collated(collated.inputs, {"time": np.ones_like(collated.masks["time"])})


class Listener(nn.Module):
    """A decoder that is given a text, and something to attend to.

    Args:
        decoder: Whisper's decoder.
        encoder: Whisper's encoder; None if cross-attention is left out.
    """

    def __init__(self, decoder: nn.Module, encoder: nn.Module | None) -> None:
        super().__init__()
        self.decoder, self.encoder = decoder, encoder
        self.heard: Tensor | None = None
        self._window: NDArray[np.float32] | None = None

    def hear_only(self, window: NDArray[np.float32], *, forget: bool = True) -> None:
        """Attend to one window with every text.

        Args:
            window: (mel bins × frames).
            forget: Hear it now and forget the encoder; without it, hear it in :meth:`hear_again`.
        """
        self._window = window
        if forget:
            with torch.inference_mode():
                self.hear_again()
            self.encoder = self._window = None

    def hear_again(self) -> None:
        """Encode the one window anew, as the encoder may have changed; nothing if there is none."""
        if self._window is None:
            return
        assert self.encoder is not None  # noqa: S101
        first = next(self.encoder.parameters())
        window = torch.from_numpy(self._window[None])
        with torch.no_grad(), full_precision(first.device):
            features = window.to(device=first.device, dtype=first.dtype)
            self.heard = self.encoder(features).last_hidden_state

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor, input_features: Tensor | None = None
    ) -> Any:
        """Run the decoder over (items × tokens), with (items × mel bins × frames) to hear."""
        heard = self.heard
        if input_features is not None:
            assert self.encoder is not None  # noqa: S101
            heard = self.encoder(input_features).last_hidden_state
        elif heard is not None:
            heard = heard.expand(len(input_ids), -1, -1)
        return self.decoder(
            input_ids=input_ids,
            attention_mask=attention_mask,
            encoder_hidden_states=heard,
            use_cache=False,
        )


class DecoderTower(TextTower):
    """Whisper's decoder, given a prompt and a text.

    Args:
        module: The decoder with what it hears.
        window: Makes the windows of recordings that come with texts; None if none do.
        english_only: Whether the model has no tokens of languages and tasks.
        arguments: As for :class:`TextTower`.
    """

    def __init__(
        self, module: Listener, *, window: Window | None, english_only: bool, **arguments: Any
    ) -> None:
        super().__init__(module, **arguments)
        self.module: Listener
        self._window, self._english_only = window, english_only
        self._attends = window is not None or module.encoder is not None or module.heard is not None

    def refresh(self) -> None:
        """Look again where the decoder is, and hear again what it hears."""
        super().refresh()
        self.module.hear_again()

    def features(self, item: str | Samples | Heard, language: Language) -> Features:
        """Tokenise one text, and make the window of the recording that comes with it.

        Raises:
            ItemError: The text is empty or too long, or the recording cannot be used.
            ModelError: The model lacks a token for the language.
        """
        if self._window is None:
            return super().features(item.strip() if isinstance(item, str) else item, language)
        if not isinstance(item, Heard):
            raise TypeError("the decoder takes a text with a recording")
        text = super().features(item.text.strip(), language)
        if not np.isfinite(item.samples).all():
            raise ItemError("the recording beside the text holds samples that are not finite")
        try:
            heard = self._window.features(item.samples)
        except ItemError as error:
            raise ItemError(f"the text has no recording to go with it: {error}") from error
        values = {**text.values, "input_features": heard.values["input_features"]}
        return Features(values, text.length, text.note)

    def _ids(self, text: str, language: Language) -> tuple[list[int], list[bool]]:
        prompt = self._prompt(language)
        ids = [*prompt, *self._tokeniser.pieces(text)]
        return ids, [i < len(prompt) for i in range(len(ids))]

    def _prompt(self, language: Language) -> list[int]:
        """Ids before the text. <|endoftext|> is only ever to be predicted, so it is no input."""
        names = ["<|startoftranscript|>", "<|notimestamps|>"]
        spoken = f"<|{language.whisper}|>"  # <||> for none, which no tokeniser has
        if not self._english_only:
            names[1:1] = [spoken, "<|transcribe|>"]
        if language.code != "eng" if self._english_only else self._tokeniser.id(spoken) is None:
            reason = "an English-only model" if self._english_only else f"a model without {spoken}"
            raise ModelError(
                f"{self._name} does not speak {language.name} ({language.code}), as it is "
                f"{reason}; leave the language out"
            )
        ids = [i for name in names if (i := self._tokeniser.id(name)) is not None]
        if len(ids) < len(names):
            raise ModelError(
                f"the tokeniser of {self._name} is not Whisper's: it lacks one of "
                f"{', '.join(names)}"
            )
        return ids

    def collate(self, batch: Sequence[Features]) -> Collated:
        """Pad to the longest text; windows have one size."""
        collated = super().collate(batch)
        if self._window is None:
            return collated
        windows = np.stack([item.values["input_features"] for item in batch])
        return Collated({**collated.inputs, "input_features": windows}, collated.masks)

    def encode(self, batch: Sequence[Features]) -> dict[str, NDArray[np.float32]]:
        """Run the decoder and return the pooled activations: tap name -> (items × features)."""
        if not self._attends or len(batch) <= WINDOWS:
            return super().encode(batch)
        starts = range(0, len(batch), WINDOWS)
        parts = [super(DecoderTower, self).encode(batch[i : i + WINDOWS]) for i in starts]
        return {tap.name: np.concatenate([p[tap.name] for p in parts]) for tap in self.taps}


class WhisperAdapter(EncoderAdapter):
    """Both towers, which may share one encoder.

    Args:
        builders: How to load the tower of each modality.
        release: Forgets the encoder.
    """

    def __init__(
        self, builders: Mapping[Modality, Callable[[], Tower]], *, release: Callable[[], None]
    ) -> None:
        super().__init__(builders)
        self._release = release

    def close(self) -> None:
        """Free the memory of all towers."""
        self._release()
        super().close()
