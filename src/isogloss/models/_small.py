"""Write small checkpoints of SeamlessM4T v2 in the layout of the released one.

Every number of an untrained one comes from a fixed stream of random bits, which neither NumPy nor
PyTorch may change, so it is the same wherever it is built.
"""

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isogloss.errors import MissingExtraError, ModelError
from isogloss.languages import languages
from isogloss.models._checkpoint import Checkpoint
from isogloss.models._files import CONFIG, MARKER
from isogloss.models._weights import quiet

CODES = tuple(language.seamless for language in languages().values() if language.seamless)
"""The model's own codes of all languages, in the order of their tokens."""

PIECES, WEIGHTS = "sentencepiece.bpe.model", "model.safetensors"
_SPECIAL = ("<pad>", "<unk>", "<s>", "</s>")
_TIED = (
    "lm_head.weight",
    "text_encoder.embed_tokens.weight",
    "text_decoder.embed_tokens.weight",
    "t2u_model.lm_head.weight",
)

EXTRACTOR: dict[str, Any] = {
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
"""The feature extractor of the release."""


@dataclass(frozen=True)
class Built(Checkpoint):
    """An untrained checkpoint that is built in the user's cache when it is first loaded."""

    name: str
    model: Mapping[str, Any]
    """The configuration."""
    recipe: str
    """Names the content; another content must have another."""
    build: Callable[[Path], None]
    """Writes the checkpoint into an empty folder."""

    @property
    def config(self) -> dict[str, Any]:
        """The configuration that will be written."""
        return dict(self.model)

    @property
    def short_name(self) -> str:
        """The name, with that of the family."""
        return f"seamless-{self.name}"

    @property
    def untrained(self) -> bool:
        """Always."""
        return True

    def file(self, name: str) -> Path | None:
        """Nothing is there yet."""
        return None

    def folder(self) -> Path:
        """Where it is, built if need be."""
        return cached(f"{self.name}-seamless-{self.recipe}", self.build)

    def fingerprint(self) -> str:
        """The name and the recipe."""
        return f"{self.name}:{self.recipe}"


def vocabulary(pieces: int) -> int:
    """Size of a vocabulary of so many pieces and a token for each language."""
    return pieces + 1 + len(CODES)


def documents(
    config: Mapping[str, Any], extractor: Mapping[str, Any], marker: Mapping[str, Any]
) -> dict[str, Any]:
    """File name -> content, of all JSON files of a checkpoint."""
    first = config["vocab_size"] - len(CODES)
    added = {f"__{code}__": first + i for i, code in enumerate(CODES)}
    ids = {**{token: i for i, token in enumerate(_SPECIAL)}, **added}
    flags = {"lstrip": False, "normalized": False, "rstrip": False, "single_word": False}
    names = {f"{n}_token": t for n, t in zip(("pad", "unk", "bos", "eos"), _SPECIAL, strict=True)}
    names |= {"cls_token": "<s>", "sep_token": "</s>"}
    return {
        "preprocessor_config.json": dict(extractor),
        "added_tokens.json": added,
        "special_tokens_map.json": {**names, "additional_special_tokens": list(added)},
        "tokenizer_config.json": {
            **names,
            "additional_special_tokens": list(added),
            "added_tokens_decoder": {
                str(i): {"content": token, "special": True, **flags} for token, i in ids.items()
            },
            "clean_up_tokenization_spaces": True,
            "model_max_length": config["max_position_embeddings"],
            "processor_class": "SeamlessM4TProcessor",
            "src_lang": "__eng__",
            "tgt_lang": "__fra__",
            "tokenizer_class": "SeamlessM4TTokenizer",
        },
        MARKER: dict(marker),
        CONFIG: dict(config),
    }


def write(
    folder: Path,
    files: Mapping[str, Any],
    pieces: bytes,
    weights: Mapping[str, NDArray[np.floating[Any]]],
) -> None:
    """Write a checkpoint into a folder that exists.

    Args:
        folder: Where to.
        files: As from :func:`documents`.
        pieces: The SentencePiece model.
        weights: Name -> array, without tied ones.
    """
    from safetensors.numpy import save_file

    (folder / PIECES).write_bytes(pieces)
    save_file(dict(weights), folder / WEIGHTS, metadata={"format": "pt"})
    (folder / WEIGHTS).chmod(0o644)
    for name, value in files.items():
        text = json.dumps(value, indent=2, ensure_ascii=False, sort_keys=True)
        (folder / name).write_text(text + "\n", encoding="utf-8")


def untrained(
    config: Mapping[str, Any], seed: int, parts: Iterable[str] = ("",)
) -> dict[str, NDArray[np.float32]]:
    """Draw the weights of a model.

    Args:
        config: Of SeamlessM4T v2.
        seed: Another seed gives other numbers.
        parts: Beginnings of the names that are wanted.

    Raises:
        MissingExtraError: torch or transformers is not installed.
    """
    try:
        import torch
        from transformers import SeamlessM4Tv2Config, SeamlessM4Tv2Model
    except ImportError as error:
        raise MissingExtraError("building the tiny checkpoint", "hf") from error
    with quiet(), torch.device("meta"):
        model = SeamlessM4Tv2Model(SeamlessM4Tv2Config.from_dict(dict(config)))
    shapes = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    wanted = (name for name in sorted(shapes) if name.startswith(tuple(parts)))
    return {name: draw(name, shapes[name], seed) for name in wanted if name not in _TIED}


def draw(name: str, shape: tuple[int, ...], seed: int) -> NDArray[np.float32]:
    """Uniform numbers: matrices of the usual scale, gains of norms around 1, small biases.

    Gains and biases are drawn too, so that a norm read in the wrong place changes what is read.
    """
    # The raw bits of PCG64 are stable for good; NumPy's distributions may change.
    count = int(np.prod(shape))
    start = int.from_bytes(sha256(f"{seed} {name}".encode()).digest()[:8], "big")
    bits = np.random.PCG64(start).random_raw(count) >> np.uint64(40)
    unit = bits.astype(np.float64) / (1 << 23) - 1.0
    if name.endswith("bias"):
        values = 0.1 * unit
    elif len(shape) == 1 or name.endswith(("weight_g", "original0")):
        values = 1.0 + 0.3 * unit
    else:
        inputs = shape[1] if "embed" in name else int(np.prod(shape[1:]))
        values = np.sqrt(3.0 / inputs) * unit
    return np.asarray(values, np.float32).reshape(shape)


def cached(name: str, build: Callable[[Path], None]) -> Path:
    """A folder of the user's cache with a checkpoint, built if it is not there.

    The cache is ``$ISOGLOSS_CACHE``, or where the operating system keeps such files.

    Args:
        name: Name of the folder; it must change with the content.
        build: Writes the checkpoint into an empty folder.
    """
    import platformdirs

    root = os.environ.get("ISOGLOSS_CACHE")
    cache_folder = Path(root).expanduser() if root else platformdirs.user_cache_path("isogloss")
    folder = cache_folder / name
    if not (folder / CONFIG).is_file():
        place(folder, build)
    return folder


def place(folder: Path, build: Callable[[Path], None]) -> Path:
    """Write a checkpoint, all of it or nothing.

    Args:
        folder: Where to; whatever another process has put there meanwhile stays.
        build: Writes the checkpoint into an empty folder.

    Raises:
        ModelError: The folder cannot be written.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    except OSError as error:
        raise ModelError(
            f"cannot write a checkpoint to {folder.parent}: {error.strerror}; "
            "set ISOGLOSS_CACHE to a folder that can be written"
        ) from error
    try:
        build(work)
        work.chmod(0o755)
        try:
            work.rename(folder)
        except OSError:
            if not (folder / CONFIG).is_file():
                raise
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return folder
