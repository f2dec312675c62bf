"""The speech encoders of SeamlessM4T with their length adaptor kept free of padding."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from isogloss.models._speech import SpeechTower
from isogloss.models._tower import Collated
from isogloss.models.base import Features

if TYPE_CHECKING:
    from torch import Tensor


class AdaptedSpeechTower(SpeechTower):
    """Adds the mask ``adapted`` for what follows the adaptor, and masks the adaptor's input.

    The adaptor shortens time by two strided convolutions. Where an utterance ends inside their
    last window, the released code lets them read the padded frames, which are not zero, so that
    for half of all utterances the result depends on what they are batched with.
    """

    def collate(self, batch: Sequence[Features]) -> Collated:
        """Pad to the longest recording, and count what the adaptor leaves of each."""
        collated = super().collate(batch)
        frames = collated.masks["time"]
        steps = self._steps(frames.sum(axis=1))
        longest = int(self._steps(np.array(frames.shape[1])))
        adapted = np.arange(longest) < steps[:, None]
        return Collated(collated.inputs, {**collated.masks, "adapted": adapted})

    def _steps(self, frames: Any) -> Any:
        conv = self._layer.residual_conv
        reach = frames + 2 * conv.padding[0] - conv.kernel_size[0]
        return reach // conv.stride[0] + 1

    @property
    def _layer(self) -> Any:
        return self.module.get_submodule("adapter.layers.0")

    @contextmanager
    def during(self, masks: "Mapping[str, Tensor]") -> "Iterator[None]":
        """Blank padded frames where the strided convolutions would read them."""
        padding = ~masks["time"].unsqueeze(1)

        def blank(_: Any, inputs: "tuple[Tensor, ...]") -> "tuple[Tensor]":
            return (inputs[0].masked_fill(padding, 0.0),)

        with ExitStack() as hooks:
            for module in (self._layer.residual_conv, self._layer.self_attn_conv):
                hooks.callback(module.register_forward_pre_hook(blank).remove)
            yield
