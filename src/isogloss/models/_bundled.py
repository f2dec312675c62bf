"""Checkpoints that come with Isogloss, by name.

`demo` is a small model that was trained for demonstration (demo-model/ in the repository, and the
model card beside the weights), `demo-untrained` the same one before training, and `tiny` a smaller
one that nobody trained.
"""

from hashlib import sha256
from importlib.resources import files
from pathlib import Path
from typing import Any

from isogloss.models import _small, _tiny
from isogloss.models._checkpoint import Checkpoint, FolderCheckpoint
from isogloss.models._files import CONFIG, MARKER, read_json
from isogloss.settings import digest

DEMO, TWIN = "demo", "demo-untrained"
NAMES = (DEMO, TWIN, _tiny.NAME)
SEED = 20_261_123
"""Of the weights before training."""
PARTS = ("shared.", "text_encoder.", "speech_encoder.")
"""What the demo model has of the architecture."""


def bundled(name: str) -> Checkpoint | None:
    """Find a checkpoint of the package; None if there is none of this name."""
    if name == _tiny.NAME:
        return _tiny.planned()
    if name == DEMO:
        return _Trained(DEMO, demo_folder())
    if name == TWIN:
        config = _twin_config()
        recipe = digest([SEED, config, read_json(demo_folder() / MARKER)["pieces"]])[:16]
        return _small.Built(TWIN, config, recipe, _build_twin)
    return None


def name_of(pieces: bytes) -> str:
    """Name a tokeniser by its content, so that the untrained model is named without reading it."""
    return sha256(pieces).hexdigest()[:16]


def demo_folder() -> Path:
    """Where the demo model lies in the package."""
    return Path(str(files("isogloss"))) / "data" / "demo-model"


class _Trained(FolderCheckpoint):
    """The demo model."""

    @property
    def short_name(self) -> str:
        """The name, with that of the family."""
        return f"seamless-{self.name}"


def _twin_config() -> dict[str, Any]:
    return {**read_json(demo_folder() / CONFIG), "dtype": "float32"}


def _build_twin(folder: Path) -> None:
    """Draw the weights that training started from, beside the same tokeniser."""
    source = demo_folder()
    config = _twin_config()
    extractor = read_json(source / "preprocessor_config.json")
    pieces = (source / _small.PIECES).read_bytes()
    marker = {"untrained": True, "pieces": name_of(pieces)}
    documents = _small.documents(config, extractor, marker)
    _small.write(folder, documents, pieces, _small.untrained(config, SEED, PARTS))
