"""Read the activations of a model of any kind, by functions of its user."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from isogloss.corpora.base import MODALITIES, Modality
from isogloss.errors import MeasureError, ModelError
from isogloss.extraction.inputs import Prepared
from isogloss.extraction.rows import Encoded
from isogloss.models.base import Adapter, Features, Layout, ModelInfo, ModelSource, Tap, TapPair
from isogloss.settings import setting
from isogloss.training.live import Choice, Reader, places
from isogloss.training.material import Chosen, Key, Views, made_ready

if TYPE_CHECKING:
    from torch import nn


class Function(Protocol):
    """Gives the activations of sentences of one language."""

    def __call__(self, inputs: list[Any], language: str, /) -> Mapping[str, Any]:
        """Encode texts, or recordings.

        Args:
            inputs: Texts, or (samples,) float32 arrays, 16 kHz mono.
            language: ISO 639-3 code.

        Returns:
            Tap -> (inputs × features), an array or a tensor, taps in order from the first layer to
            the last.
        """


class Given(ModelSource):
    """Stands in a study for a model that is given as functions."""

    info: ClassVar[ModelInfo] = ModelInfo("functions", "", "", "")
    family: Literal["functions"] = setting("functions", role="identity", help="Functions.")

    def layout(self) -> Layout:
        """Not known before the functions were called."""
        raise NotImplementedError

    def fingerprint(self) -> dict[str, str]:
        """Nothing names them."""
        return {}

    def load(self, *, device: str) -> Adapter:
        """Never called."""
        raise NotImplementedError


class FunctionReader(Reader):
    """Reads a model by two functions.

    Args:
        functions: For each modality that is read.
        chosen: What is encoded.
        choice: Which of the taps that the functions return.
        jobs: Threads that decode; 0: one a core.

    Raises:
        ModelError: The corpus has a modality without a function.
    """

    def __init__(
        self, functions: Mapping[Modality, Function], chosen: Chosen, choice: Choice, *, jobs: int
    ) -> None:
        for _, modality in chosen.items:
            if modality not in functions:
                raise ModelError(
                    f"there is no function for {modality}; give one, or leave it out of the "
                    "corpus by `modalities`"
                )
        self._functions, self._chosen, self._choice = functions, chosen, choice
        self._ready = {key: made_ready(chosen, key, _as_it_is, jobs) for key in chosen.items}
        self._settled = False

    def bind(self, model: "nn.Module | None") -> None:
        """Nothing to find: the functions know their model."""

    def read(self) -> Views:
        """Call the functions once for each language."""
        views = Views()
        for key, ready in self._ready.items():
            code, modality = key
            usable = [i for i, item in enumerate(ready) if item.features is not None]
            inputs = [_item(ready[i]) for i in usable]
            found = self._functions[modality](inputs, code)
            arrays = {str(tap): _array(found[tap], tap, key, len(usable)) for tap in found}
            if not arrays:
                raise MeasureError(f"the function for {modality} returned no taps for {code}")
            finite = np.all([np.isfinite(a).all(axis=1) for a in arrays.values()], axis=0)
            failed = {i: item.failure for i, item in enumerate(ready) if item.features is None}
            failed |= {
                i: "the function gives NaN or infinity"
                for i, good in zip(usable, finite, strict=True)
                if not good
            }
            rows = [i for i, good in zip(usable, finite, strict=True) if good]
            kept = {tap: a[finite] for tap, a in arrays.items()} if rows else {}
            seconds = [s for i in rows if (s := ready[i].seconds) is not None]
            encoded = Encoded(kept, rows, [], seconds, failed)
            views.add(key, self._chosen, encoded, {"seconds": seconds} if seconds else {})
        if not self._settled and views.units:
            # A modality that gives nothing but NaN at first may have taps later.
            self._settled = {m for _, m in views.units} == {m for _, m in self._ready}
            self.places = places(_layout(views), self._choice)
        return views


def _as_it_is(item: Any, _: Any) -> Features:
    return Features({"item": item}, len(item))


def _item(ready: Prepared) -> Any:
    assert ready.features is not None  # noqa: S101
    return ready.features.values["item"]


def _array(value: Any, tap: str, key: Key, rows: int) -> NDArray[np.float32]:
    if hasattr(value, "detach"):
        value = value.detach().float().cpu().numpy()
    found = np.asarray(value, dtype=np.float32)
    if found.ndim != 2 or len(found) != rows:
        raise MeasureError(
            f'the function for {key[1]} returned {found.shape} at tap "{tap}" for {rows} inputs of '
            f"{key[0]}; it must be (inputs × features)"
        )
    return found


def _layout(views: Views) -> Layout:
    """The taps that were returned; text stands beside speech of the same name, or near depth."""
    taps: dict[Modality, tuple[Tap, ...]] = {}
    for modality in MODALITIES:
        units = [u for (_, m), u in views.units.items() if m == modality]
        names = units[0].taps if units else ()
        last = max(1, len(names) - 1)
        taps[modality] = tuple(
            Tap(name, views.view(units[0], name).shape[1], i / last if len(names) > 1 else 1.0)
            for i, name in enumerate(names)
        )
    pairs = []
    for tap in taps["text"] if taps["speech"] else ():
        same = [s for s in taps["speech"] if s.name == tap.name]
        near = min(taps["speech"], key=lambda s: round(abs(s.depth - tap.depth), 9))
        beside = same[0] if same else near
        label = tap.name if same else f"{tap.name}|{beside.name}"
        pairs.append(TapPair(label, tap.name, beside.name, tap.depth))
    paper = {m: tuple(t.name for t in found) for m, found in taps.items()}
    return Layout(taps=taps, paper=paper, pairs=tuple(pairs))
