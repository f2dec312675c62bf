"""SALMONN as one module: two encoders of sound, a window-level Q-Former, Vicuna. Imports torch.

Tang et al., 2024, "SALMONN: Towards Generic Hearing Abilities for Large Language Models",
arXiv:2310.13289, section 3.
"""

from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from isogloss.models._beats import Beats
from isogloss.models._salmonn_sizes import FRAMES, Sizes
from isogloss.models._weights import model_class, quiet

Enc = Literal["normed", "raw"]


class Bridge(nn.Module):
    """From the two encoders' features to embeddings of the language model.

    Both features are normed and set side by side in time. Every window of them becomes one token:
    a learned query attends to its window in a Q-Former (Li et al., 2023, arXiv:2301.12597).
    """

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self._sizes = sizes
        self.ln_speech, self.ln_audio = nn.LayerNorm(sizes.whisper), nn.LayerNorm(sizes.beats)
        self.queries = nn.Parameter(torch.empty(1, sizes.queries, sizes.hidden))
        qformer = model_class("blip_2.modeling_blip_2:Blip2QFormerModel")
        with quiet():
            self.qformer = qformer(
                qformer.config_class(
                    hidden_size=sizes.hidden,
                    intermediate_size=sizes.inner,
                    num_hidden_layers=sizes.layers,
                    num_attention_heads=sizes.heads,
                    encoder_hidden_size=sizes.whisper + sizes.beats,
                    cross_attention_frequency=1,
                )
            )
        self.projection = nn.Linear(sizes.hidden, sizes.llama)

    def fuse(self, spoken: Tensor, heard: Tensor) -> tuple[Tensor, Tensor]:
        """Set both features side by side; BEATs ends with the recording, and zeros follow.

        Args:
            spoken: Of Whisper: (batch × 1500 × features).
            heard: Of BEATs: (batch × patches × features), at most as many.

        Returns:
            Before and after the layer norms: (batch × 1500 × all features).
        """
        behind = (0, 0, 0, spoken.shape[1] - heard.shape[1])
        raw = torch.cat([spoken, functional.pad(heard, behind)], dim=-1)
        normed = functional.pad(self.ln_audio(heard), behind)
        return raw, torch.cat([self.ln_speech(spoken), normed], dim=-1)

    def forward(self, fused: Tensor) -> Tensor:
        """Turn (batch × 1500 × features) into (batch × 88 × features of the language model)."""
        # Time steps after the last whole window are dropped, as in the original.
        windows = fused.unfold(1, self._sizes.window, self._sizes.stride).transpose(2, 3)
        windows = windows.flatten(0, 1)
        queries = self.queries.expand(len(windows), -1, -1)
        found = self.qformer(query_embeds=queries, encoder_hidden_states=windows)
        return self.projection(found.last_hidden_state).reshape(len(fused), -1, self._sizes.llama)


class Ears(nn.Module):
    """Everything before the language model. Recordings go through it one by one.

    Whisper always hears 30 s, so a batch would save nothing; BEATs would depend on its batch.
    """

    def __init__(self, whisper: Any, beats: Beats, bridge: Bridge) -> None:
        super().__init__()
        # The bridge comes first: its precision is the one that inputs are given in.
        self.bridge, self.beats, self.whisper = bridge, beats, whisper

    def hear(self, mel: Tensor, fbank: Tensor) -> tuple[Tensor, Tensor]:
        """Fuse what both encoders make of one recording: see :meth:`Bridge.fuse`.

        Args:
            mel: (1 × bins × 3000), for Whisper.
            fbank: (1 × frames × 128), for BEATs, unpadded.
        """
        spoken = self.whisper(mel.to(self.whisper.dtype)).last_hidden_state
        return self.bridge.fuse(spoken.to(fbank.dtype), self.beats(fbank))


class Salmonn(nn.Module):
    """The language model, with or without ears.

    Args:
        llama: The language model without its head; tap paths begin with ``llama``.
        ears: What comes before it; None where it reads text alone.
        start: Where in its input the audio tokens begin.
        enc: Which features pass the module ``enc``, for a tap; None: none.
    """

    def __init__(
        self, llama: Any, ears: Ears | None = None, *, start: int = 0, enc: Enc | None = None
    ) -> None:
        super().__init__()
        self.ears, self.llama, self.enc = ears, llama, nn.Identity()
        self._start, self._which = start, enc

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        mel: Tensor | None = None,
        fbank: Tensor | None = None,
        frames: Tensor | None = None,
    ) -> None:
        """Run everything for its taps.

        Args:
            input_ids: (batch × time), with any id where audio tokens go.
            attention_mask: (batch × time), 0 for padding at the end; None: no padding.
            mel: (batch × bins × 3000).
            fbank: (batch × frames × 128), padded at the end.
            frames: How many of those are there.
        """
        given = self.llama.embed_tokens(input_ids)
        if mel is not None and fbank is not None and frames is not None:
            audio = self._listen(mel, fbank, frames).to(given.dtype)
            behind = self._start + audio.shape[1]
            given = torch.cat([given[:, : self._start], audio, given[:, behind:]], dim=1)
        # Padding follows what it pads, so positions simply count.
        places = torch.arange(given.shape[1], device=given.device).unsqueeze(0)
        self.llama(
            inputs_embeds=given,
            attention_mask=attention_mask,
            position_ids=places,
            use_cache=False,
        )

    def _listen(self, mel: Tensor, fbank: Tensor, frames: Tensor) -> Tensor:
        assert self.ears is not None  # noqa: S101
        passed, embedded = [], []
        for i, length in enumerate(frames.tolist()):
            raw, fused = self.ears.hear(mel[i : i + 1], fbank[i : i + 1, :length])
            embedded.append(self.ears.bridge(fused))
            if self._which is not None:
                passed.append(fused if self._which == "normed" else raw)
        if passed:
            self.enc(torch.cat(passed))
        return torch.cat(embedded)


def steps_of(samples: int) -> int:
    """Time steps of Whisper (20 ms) that a recording of so many 16 kHz samples reaches."""
    return min(FRAMES, -(-samples // 320))
