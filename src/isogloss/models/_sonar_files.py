"""Which files a SONAR model is made of, and how large it is. No torch here.

The released files have no configuration beside them, and all are of one size. A model of another
size says so in a ``config.json`` in the same folder, under the names that transformers gives such
settings.
"""

from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from isogloss.errors import ModelError
from isogloss.models._checkpoint import find
from isogloss.models._files import CONFIG, MARKER, read_json
from isogloss.models._single import SingleFile, find_file
from isogloss.models._sonar_cards import HOME, TEXT_FILE, TOKENISER_FILE, Card

PLACE = "{language}"
_TEXT_NAMES = (
    TEXT_FILE,
    "*text_encoder*.pt",
    "*text_encoder*.safetensors",
    "model.safetensors",
    "pytorch_model.bin",
)
_TOKENISER_NAMES = (TOKENISER_FILE, "sentencepiece.bpe.model", "*.model")
_KINDS = ("m2m_100", "sonar")
"""``model_type`` of a configuration that can belong to a SONAR encoder."""


@dataclass(frozen=True)
class Size:
    """How large an encoder is."""

    layers: int = 24
    width: int = 1024
    heads: int = 16
    pooler_heads: int = 16
    """Heads of the attention pooler; speech only."""

    def __str__(self) -> str:
        return f"{self.layers} layers, width {self.width}, {self.heads} heads"


def text_file(name: str, revision: str | None) -> SingleFile:
    """Find the text encoder.

    Raises:
        ModelError: It is not there.
    """
    return find_file(
        name,
        revision,
        patterns=_TEXT_NAMES,
        what="the text encoder of SONAR",
        where=f"Get it from {HOME}{TEXT_FILE}",
    )


def tokeniser_file(name: str | None, revision: str | None, text: SingleFile) -> SingleFile:
    """Find the SentencePiece model, which lies beside the text encoder unless it is named.

    Raises:
        ModelError: It is not there.
    """
    if name is None:
        name = text.name if text.local is None else str(text.local.parent)
        revision = text.revision
    return find_file(
        name,
        revision,
        patterns=_TOKENISER_NAMES,
        what="the tokeniser of SONAR",
        where=f"Get it from {HOME}{TOKENISER_FILE}, put it beside the text encoder, or name it "
        "with `tokenizer`",
    )


def speech_file(name: str, revision: str | None, card: Card) -> SingleFile:
    """Find the speech encoder of one language.

    Args:
        name: A folder, a hub id, or a path with ``{language}`` in it, which stands for the
            ISO 639-3 code.
        revision: Branch, tag or commit on the hub.
        card: Which encoder.

    Raises:
        ModelError: It is not there.
    """
    where = f"Get it from {HOME}{card.file}, or leave the language out with `languages`"
    what = f'the speech encoder of SONAR for "{card.language}"'
    if PLACE in name:
        path = Path(name.replace(PLACE, card.language)).expanduser()
        if not path.is_file():
            raise ModelError(f"no such file: {path}, which must be {what}. {where}")
        name = str(path)
    elif Path(name).expanduser().is_file():
        raise ModelError(
            f"{name} is one file, but SONAR has a speech encoder for each language: give their "
            f'folder, or a path with {PLACE} in it, such as "sonar/spenc.{PLACE}.pt"'
        )
    return find_file(name, revision, patterns=card.names, what=what, where=where)


def text_size(file: SingleFile) -> Size:
    """The size of a text encoder: the released one unless ``config.json`` says otherwise.

    Raises:
        ModelError: The configuration is of another model, or holds something else.
    """
    config = _config(beside(file, CONFIG), file.name)
    return _size(config, file.name, "encoder_layers", "d_model", "encoder_attention_heads")


def speech_size(name: str, revision: str | None) -> Size:
    """The size of all speech encoders; see :func:`text_size`."""
    config = _config(in_speech_folder(name, revision, CONFIG), name)
    keys = ("speech_encoder_layers", "hidden_size", "speech_encoder_attention_heads")
    size = _size(config, name, *keys)
    if size.width % size.pooler_heads:
        raise ModelError(
            f"{name}: {size.width} features cannot be shared out to {size.pooler_heads} heads of "
            f'the pooler; set "pooler_attention_heads" in {CONFIG}'
        )
    return size


def beside(file: SingleFile, name: str) -> Path | None:
    """A file in the folder of another, or None."""
    if file.local is not None:
        path = file.local.parent / name
        return path if path.is_file() else None
    return find(file.name, file.revision).file(str(PurePosixPath(file.member).parent / name))


def in_speech_folder(name: str, revision: str | None, file: str) -> Path | None:
    """A file in the folder of the speech encoders, or None."""
    if PLACE not in name:
        return find(name, revision).file(file)
    path = Path(name).expanduser().parent / file
    return path if path.is_file() else None


def untrained(*markers: Path | None) -> bool:
    """Whether a checkpoint says of itself that its weights are random."""
    return any(read_json(path).get("untrained") is True for path in markers if path)


def marker(file: SingleFile) -> Path | None:
    """Where a text encoder says whether it was trained."""
    return beside(file, MARKER)


def _config(path: Path | None, name: str) -> dict[str, Any]:
    config = read_json(path) if path else {}
    kind = config.get("model_type", "sonar")
    if kind not in _KINDS:
        raise ModelError(
            f'{name} is a "{kind}" model, not SONAR; `isogloss models` lists the families'
        )
    return config


def _size(config: dict[str, Any], name: str, layers: str, width: str, heads: str) -> Size:
    found = []
    official = Size()
    for key, default in (
        (layers, official.layers),
        (width, official.width),
        (heads, official.heads),
        ("pooler_attention_heads", official.pooler_heads),
    ):
        value = config.get(key, default)
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise ModelError(
                f'{name}: "{key}" in {CONFIG} must be a whole number above 0, not {value!r}'
            )
        found.append(value)
    size = Size(*found)
    if size.width % size.heads:
        raise ModelError(f"{name}: {CONFIG} asks for {size}, but heads must divide the width")
    return size
