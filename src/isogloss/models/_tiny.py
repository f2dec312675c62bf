"""A SeamlessM4T v2 checkpoint with random weights, for the demo and for tests.

It has the layout of the released one (names, files, tokeniser, special tokens), so that everything
but the training is real. Every number comes from a fixed stream of random bits, which neither
NumPy nor PyTorch may change, so the checkpoint is the same wherever it is built.
"""

import gzip
import io
import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isogloss.errors import MissingExtraError, ModelError
from isogloss.languages import languages
from isogloss.models._checkpoint import Checkpoint
from isogloss.models._files import CONFIG, MARKER
from isogloss.models._weights import quiet
from isogloss.settings import digest

_FORMAT = 1
_SEED = 20_250_101
_PIECES = 5_000
_LANGUAGES = tuple(language.seamless for language in languages().values() if language.seamless)
_SPECIAL = ("<pad>", "<unk>", "<s>", "</s>")
_TIED = (
    "lm_head.weight",
    "text_encoder.embed_tokens.weight",
    "text_decoder.embed_tokens.weight",
    "t2u_model.lm_head.weight",
)

_CONFIG: dict[str, Any] = {
    "architectures": ["SeamlessM4Tv2Model"],
    "model_type": "seamless_m4t_v2",
    "dtype": "float32",
    "vocab_size": _PIECES + 1 + len(_LANGUAGES),
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

_EXTRACTOR: dict[str, Any] = {
    "feature_extractor_type": "SeamlessM4TFeatureExtractor",
    "feature_size": 80,
    "num_mel_bins": 80,
    "padding_side": "right",
    "padding_value": 0.0,
    "processor_class": "SeamlessM4TProcessor",
    "return_attention_mask": True,
    "sampling_rate": 16000,
    "stride": 2,
}


@dataclass(frozen=True)
class _Planned(Checkpoint):
    """The tiny checkpoint before it is built: all that planning asks for."""

    name: str = "tiny"
    model: Mapping[str, Any] = field(default_factory=lambda: _CONFIG)

    @property
    def config(self) -> dict[str, Any]:
        """The configuration that will be written."""
        return dict(self.model)

    @property
    def untrained(self) -> bool:
        """Always."""
        return True

    def file(self, name: str) -> Path | None:
        """Nothing is there yet."""
        return None

    def folder(self) -> Path:
        """Built on demand, in the cache."""
        return cached_tiny_seamless()

    def fingerprint(self) -> str:
        """The recipe."""
        return recipe()


def planned() -> Checkpoint:
    """The tiny checkpoint as planning sees it, without building it."""
    return _Planned()


@cache
def recipe() -> str:
    """A digest of everything that the content of the tiny checkpoint follows from."""
    try:
        trainer = version("sentencepiece")
    except PackageNotFoundError:
        trainer = "absent"
    parts = [_FORMAT, _SEED, _CONFIG, _EXTRACTOR, _LANGUAGES, sha256(_corpus()).hexdigest()]
    return digest([*parts, trainer])[:16]


def cached_tiny_seamless() -> Path:
    """The folder of the tiny checkpoint in the user's cache, built if it is not there.

    The cache is ``$ISOGLOSS_CACHE``, or where the operating system keeps such files.
    """
    import platformdirs

    root = os.environ.get("ISOGLOSS_CACHE")
    cache_folder = Path(root).expanduser() if root else platformdirs.user_cache_path("isogloss")
    folder = cache_folder / f"tiny-seamless-{recipe()}"
    if not (folder / CONFIG).is_file():
        tiny_seamless(folder)
    return folder


def tiny_seamless(folder: Path) -> Path:
    """Write the tiny checkpoint, all of it or nothing.

    Args:
        folder: Where to; whatever another process has put there meanwhile stays.

    Raises:
        MissingExtraError: torch, transformers or sentencepiece is not installed.
        ModelError: The folder cannot be written.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    except OSError as error:
        raise ModelError(
            f"cannot write the tiny checkpoint to {folder.parent}: {error.strerror}; "
            "set ISOGLOSS_CACHE to a folder that can be written"
        ) from error
    try:
        _write(work)
        work.chmod(0o755)
        try:
            work.rename(folder)
        except OSError:
            if not (folder / CONFIG).is_file():
                raise
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return folder


def _write(folder: Path) -> None:
    from safetensors.numpy import save_file

    pieces = _train_pieces()
    added = {f"__{code}__": _PIECES + 1 + i for i, code in enumerate(_LANGUAGES)}
    ids = {**{token: i for i, token in enumerate(_SPECIAL)}, **added}
    flags = {"lstrip": False, "normalized": False, "rstrip": False, "single_word": False}
    names = {f"{n}_token": t for n, t in zip(("pad", "unk", "bos", "eos"), _SPECIAL, strict=True)}
    names |= {"cls_token": "<s>", "sep_token": "</s>"}
    documents: dict[str, Any] = {
        "preprocessor_config.json": _EXTRACTOR,
        "added_tokens.json": added,
        "special_tokens_map.json": {**names, "additional_special_tokens": list(added)},
        "tokenizer_config.json": {
            **names,
            "additional_special_tokens": list(added),
            "added_tokens_decoder": {
                str(i): {"content": token, "special": True, **flags} for token, i in ids.items()
            },
            "clean_up_tokenization_spaces": True,
            "model_max_length": _CONFIG["max_position_embeddings"],
            "processor_class": "SeamlessM4TProcessor",
            "src_lang": "__eng__",
            "tgt_lang": "__fra__",
            "tokenizer_class": "SeamlessM4TTokenizer",
        },
        MARKER: {"untrained": True, "recipe": recipe()},
        CONFIG: _CONFIG,
    }
    (folder / "sentencepiece.bpe.model").write_bytes(pieces)
    save_file(_weights(), folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "model.safetensors").chmod(0o644)
    for name, value in documents.items():
        text = json.dumps(value, indent=2, ensure_ascii=False, sort_keys=True)
        (folder / name).write_text(text + "\n", encoding="utf-8")


@cache
def _corpus() -> bytes:
    return (files("isogloss") / "data" / "udhr.jsonl.gz").read_bytes()


def _train_pieces() -> bytes:
    """Train a SentencePiece BPE model on the Universal Declaration of Human Rights."""
    try:
        import sentencepiece
    except ImportError as error:
        raise MissingExtraError("building the tiny checkpoint", "hf") from error
    rows = [json.loads(line) for line in gzip.decompress(_corpus()).decode("utf-8").splitlines()]
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=(row[key] for row in rows for key in ("text", "raw_text")),
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
    try:
        import torch
        from transformers import SeamlessM4Tv2Config, SeamlessM4Tv2Model
    except ImportError as error:
        raise MissingExtraError("building the tiny checkpoint", "hf") from error
    with quiet(), torch.device("meta"):
        model = SeamlessM4Tv2Model(SeamlessM4Tv2Config.from_dict(_CONFIG))
    shapes = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    return {name: _draw(name, shapes[name]) for name in sorted(shapes) if name not in _TIED}


def _draw(name: str, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Uniform numbers: matrices of the usual scale, gains of norms around 1, small biases.

    Gains and biases are drawn too, so that a norm read in the wrong place changes what is read.
    """
    # The raw bits of PCG64 are stable for good; NumPy's distributions may change.
    count = int(np.prod(shape))
    seed = int.from_bytes(sha256(f"{_SEED} {name}".encode()).digest()[:8], "big")
    bits = np.random.PCG64(seed).random_raw(count) >> np.uint64(40)
    unit = bits.astype(np.float64) / (1 << 23) - 1.0
    if name.endswith("bias"):
        values = 0.1 * unit
    elif len(shape) == 1 or name.endswith(("weight_g", "original0")):
        values = 1.0 + 0.3 * unit
    else:
        inputs = shape[1] if "embed" in name else int(np.prod(shape[1:]))
        values = np.sqrt(3.0 / inputs) * unit
    return np.asarray(values, np.float32).reshape(shape)
