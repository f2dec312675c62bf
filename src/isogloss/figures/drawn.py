"""Figures that are there already: only those are drawn whose data or whose look has changed."""

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from isogloss.charts import Chart
from isogloss.errors import MissingExtraError, StoreError
from isogloss.figures import style
from isogloss.figures.draw import draw
from isogloss.figures.files import picture, save
from isogloss.storage import atomic, sealing

INDEX = "drawn.json"
_FORMAT = 1
_PACKAGES = ("matplotlib", "numpy", "pillow", "fonttools")


class Drawn:
    """The figures of a report in a folder.

    ``drawn.json`` beside them, sealed, holds for each figure a digest of what it was drawn from:
    its chart, our code, the packages that draw and the font. It also holds the digests of its
    files and its picture for the page. A figure is kept only if all of that is as it was.

    Args:
        folder: Where the figures are; it need not exist.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._look = _look()
        self._before = _read(folder / INDEX)
        self._now: dict[str, dict[str, Any]] = {}

    def save(self, chart: Chart) -> bytes:
        """Write the files of a chart, unless they are there as they would be written.

        Returns:
            Its picture for a page, see :func:`isogloss.figures.files.picture`.

        Raises:
            IsoglossError: The chart cannot be drawn, or a file cannot be written.
        """
        origin = self._origin(chart)
        known = self._before.get(chart.name)
        if known is None or known["origin"] != origin or not self._whole(known["files"]):
            light = draw(chart)
            paths = save(chart, self._folder, light=light)
            known = {
                "origin": origin,
                "files": {path.name: sealing.sha256(path) for path in paths},
                "picture": base64.b64encode(picture(chart, light=light)).decode(),
            }
        self._now[chart.name] = known
        return base64.b64decode(known["picture"])

    def finish(self) -> None:
        """Remove all other figures of the folder, and note what the figures were drawn from.

        Raises:
            OutputError: A file cannot be removed or written.
        """
        kept = {INDEX, *(name for known in self._now.values() for name in known["files"])}
        for path in self._folder.glob("*.*"):
            if path.name not in kept and path.is_file():
                atomic.remove(path)
        # What has no digest would be drawn again anyway.
        found = {name: known for name, known in self._now.items() if known["origin"]}
        if found != self._before:
            sealing.write(self._folder / INDEX, {"format": _FORMAT, "figures": found})

    def _origin(self, chart: Chart) -> str:
        """Digest of all that a figure is drawn from; empty for a chart that has none."""
        try:
            text = json.dumps([self._look, chart], default=_plain)
        except (TypeError, ValueError):  # an analysis of somebody else's may put anything there
            return ""
        return hashlib.sha256(text.encode()).hexdigest()

    def _whole(self, digests: Mapping[str, str]) -> bool:
        try:
            return all(sealing.sha256(self._folder / n) == d for n, d in digests.items())
        except StoreError:
            return False


def _read(path: Path) -> dict[str, Any]:
    """The figures of an earlier report; none if they cannot be told."""
    try:
        found = sealing.read(path)
    except StoreError:
        return {}
    return dict(found["figures"]) if found.get("format") == _FORMAT else {}


def _look() -> str:
    """Digest of what all figures depend on beside their data."""
    try:
        from matplotlib.font_manager import FontProperties, findfont
    except ImportError:
        raise MissingExtraError("Drawing figures", "report") from None
    found = hashlib.sha256()
    package = files("isogloss")
    ours = [p for p in (package / "figures").iterdir() if p.name.endswith(".py")]
    for part in (package / "charts.py", *sorted(ours, key=lambda p: p.name)):
        found.update(part.read_bytes())
    values = {name: value for name, value in vars(style).items() if name.isupper()}
    found.update(repr(values).encode())
    found.update(" ".join(f"{name} {version(name)}" for name in _PACKAGES).encode())
    # The font that comes with matplotlib gives way to one of that name on the machine.
    for weight in ("normal", "bold"):
        found.update(Path(findfont(FontProperties(family=style.FONT, weight=weight))).read_bytes())
    return found.hexdigest()


def _plain(value: Any) -> Any:
    """What JSON has no form for, such that different values never look alike."""
    if is_dataclass(value):
        kind = type(value).__name__
        return {"class": kind, **{f.name: getattr(value, f.name) for f in fields(value)}}
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, np.ndarray | np.generic):
        return {"type": str(value.dtype), "values": value.tolist()}
    raise TypeError(f"{type(value).__name__} has no digest")
