"""The folder of the demo model: configuration, tokeniser, weights, in the layout of the release."""

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from isogloss.models import _bundled, _small, _tiny
from sentences import LANGUAGES, Sentence, text

PIECES = 1_000
_SHOWN = min(LANGUAGES.values())
"""Sentences of each language that the tokeniser is made from: as many, so none is cut finer."""

CONFIG: dict[str, Any] = {
    **_tiny.CONFIG,
    "vocab_size": _small.vocabulary(PIECES),
    "hidden_size": 128,
    "encoder_layers": 6,
    "encoder_ffn_dim": 256,
    "encoder_attention_heads": 4,
    "speech_encoder_layers": 6,
    "speech_encoder_intermediate_size": 256,
    "speech_encoder_attention_heads": 4,
    # 25 time steps a second in place of 50, for speed.
    "feature_projection_input_dim": 320,
    "conv_depthwise_kernel_size": 15,
    "adaptor_kernel_size": 4,
    "adaptor_stride": 4,
    # Half a second of attention: what is heard in a list should not depend on the rest of it.
    "speech_encoder_chunk_size": 12,
    "speech_encoder_left_chunk_num": 1,
    # Sentences are many for so small a model; what it drops it would have to see again.
    **dict.fromkeys(
        (
            "dropout",
            "activation_dropout",
            "attention_dropout",
            "encoder_layerdrop",
            "speech_encoder_dropout",
            "speech_encoder_layerdrop",
            "adaptor_dropout",
        ),
        0.0,
    ),
}
_EXTRACTOR = {**_small.EXTRACTOR, "stride": 4}


def before_training(folder: Path, training: list[Sentence]) -> None:
    """Write the model as it is before training.

    Args:
        folder: An empty folder.
        training: The sentences to train on.
    """
    pieces = _tokeniser(training)
    marker = {"untrained": True, "pieces": _bundled.name_of(pieces)}
    documents = _small.documents(CONFIG, _EXTRACTOR, marker)
    weights = _small.untrained(CONFIG, _bundled.SEED, _bundled.PARTS)
    _small.write(folder, documents, pieces, weights)


def after_training(
    folder: Path, source: Path, weights: Mapping[str, np.ndarray], marker: Mapping[str, Any]
) -> None:
    """Write the model as training left it, in half precision.

    Args:
        folder: An empty folder.
        source: The model before training.
        weights: Name -> array.
        marker: What to say of the training in isogloss.json.
    """
    pieces = (source / _small.PIECES).read_bytes()
    told = {"untrained": False, "pieces": _bundled.name_of(pieces), **marker}
    documents = _small.documents({**CONFIG, "dtype": "float16"}, _EXTRACTOR, told)
    _small.write(folder, documents, pieces, {k: v.astype(np.float16) for k, v in weights.items()})


def _tokeniser(training: list[Sentence]) -> bytes:
    import sentencepiece

    model = io.BytesIO()
    lines = (text(s, code) for code in LANGUAGES for s in training[:_SHOWN])
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=lines,
        model_writer=model,
        model_type="bpe",
        vocab_size=PIECES,
        character_coverage=1.0,
        num_threads=1,
        minloglevel=2,
    )
    return model.getvalue()
