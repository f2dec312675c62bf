"""The features of Granite-speech, without torchaudio."""

import numpy as np
from numpy.typing import NDArray

from isogloss.corpora.base import SAMPLING_RATE
from isogloss.errors import ModelError
from isogloss.models._checkpoint import Checkpoint
from isogloss.models._files import read_json
from isogloss.models._speech import PREPROCESSORS
from isogloss.models._tower import Samples

HOP = 160
"""Samples from one frame to the next."""


class GraniteMel:
    """The features of Granite-speech, which transformers makes by torchaudio.

    80 mel bins (HTK scale, power, Hann window of 25 ms every 10 ms, centred), base-10 logarithm no
    lower than 8 below the loudest bin, divided by 4, plus 1; two frames stacked, an odd last one
    left out.

    Args:
        checkpoint: Whose ``preprocessor_config.json`` gives other numbers than these, if any.

    Raises:
        ModelError: It describes another feature extractor.
    """

    def __init__(self, checkpoint: Checkpoint) -> None:
        from transformers.audio_utils import mel_filter_bank, window_function

        path = next((p for name in PREPROCESSORS if (p := checkpoint.file(name))), None)
        if path is None:
            raise ModelError(
                f"{checkpoint.name} has no feature extractor, so speech cannot be read: "
                f"it needs {PREPROCESSORS[0]}"
            )
        said = read_json(path)
        said = said.get("audio_processor", said.get("feature_extractor", said))
        said = {**said, **said.get("melspec_kwargs", {})}
        kind = said.get("feature_extractor_type", "GraniteSpeechFeatureExtractor")
        rates = {said.get(key, SAMPLING_RATE) for key in ("sample_rate", "sampling_rate")}
        hop = said.get("hop_length", HOP)
        if kind != "GraniteSpeechFeatureExtractor" or rates != {SAMPLING_RATE} or hop != HOP:
            raise ModelError(
                f"{path} must describe a GraniteSpeechFeatureExtractor with {SAMPLING_RATE} samples"
                f" a second and a hop of {HOP}, not a {kind} with {sorted(rates)} and {hop}"
            )
        self._points, self._length = said.get("n_fft", 512), said.get("win_length", 400)
        self._window = window_function(self._length, "hann")
        self._filters = mel_filter_bank(
            num_frequency_bins=self._points // 2 + 1,
            num_mel_filters=said.get("n_mels", said.get("feature_size", 80)),
            min_frequency=0.0,
            max_frequency=SAMPLING_RATE / 2,
            sampling_rate=SAMPLING_RATE,
            norm=None,
            mel_scale="htk",
        )

    def __call__(self, samples: Samples) -> NDArray[np.float32]:
        """(time × 160), one time step per 20 ms."""
        from transformers.audio_utils import spectrogram

        mel = spectrogram(
            samples.astype(np.float64),
            self._window,
            frame_length=self._length,
            hop_length=HOP,
            fft_length=self._points,
            power=2.0,
            mel_filters=self._filters,
            mel_floor=1e-10,
            log_mel="log10",
            dtype=np.dtype("float64"),
        )
        scaled = np.maximum(mel, mel.max() - 8.0).T / 4.0 + 1.0
        even = len(scaled) // 2 * 2
        return np.asarray(scaled[:even].reshape(even // 2, -1), np.float32)
