"""Read the activations of a model of any kind, by functions of its user."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from isogloss.corpora.base import MODALITIES, Modality
from isogloss.errors import ModelError, choices
from isogloss.extraction.inputs import Prepared
from isogloss.extraction.rows import Encoded
from isogloss.models.base import Adapter, Features, Layout, ModelInfo, ModelSource, Tap, TapPair
from isogloss.settings import setting
from isogloss.training.live import Choice, Reader, places
from isogloss.training.material import Chosen, Key, Views, made_ready

if TYPE_CHECKING:
    from torch import nn


FEW = 3
"""Inputs of each language by which functions are tried."""


class Function(Protocol):
    """Gives the activations of sentences of one language.

    It is tried with the first few inputs of each language before it gets all of them, so what it
    keeps must not be kept by the language alone.
    """

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
        self._tried = False

    def bind(self, model: "nn.Module | None") -> None:
        """Call the functions for a few inputs of each language, to see which taps they return.

        Raises:
            ModelError: They do not return what they should, or a tap does not exist.
        """
        if self._tried:
            return
        taps: dict[Modality, list[tuple[str, int]]] = {m: [] for m in MODALITIES}
        for key, ready in self._ready.items():
            code, modality = key
            inputs = [_item(item) for item in ready if item.features is not None][:FEW]
            found = [(tap, a.shape[1]) for tap, a in self._call(key, inputs).items()]
            known = taps[modality] = taps[modality] or found
            if {name for name, _ in found} != {name for name, _ in known}:
                raise ModelError(
                    f"the function for {modality} returned the taps {choices(t for t, _ in found)} "
                    f"for {code}, and {choices(t for t, _ in known)} for another language; they "
                    "must be the same"
                )
        self.places = places(_layout(taps), self._choice, {m for _, m in self._ready})
        self._tried = True

    def _call(self, key: Key, inputs: list[Any]) -> dict[str, NDArray[np.float32]]:
        """What a function returns, as arrays by name of tap."""
        code, modality = key
        found = self._functions[modality](inputs, code)
        if not isinstance(found, Mapping):
            raise ModelError(
                f"the function for {modality} returned something of type "
                f"{type(found).__name__} for {code}; it must return tap -> (inputs × features)"
            )
        if not found:
            raise ModelError(f"the function for {modality} returned no taps for {code}")
        return {str(tap): _array(found[tap], str(tap), key, len(inputs)) for tap in found}

    def read(self) -> Views:
        """Call the functions once for each language."""
        views = Views()
        for key, ready in self._ready.items():
            modality = key[1]
            usable = [i for i, item in enumerate(ready) if item.features is not None]
            every = self._call(key, [_item(ready[i]) for i in usable])
            names = [name for name, _ in self.places.taps[modality]]
            if missing := [name for name in names if name not in every]:
                raise ModelError(
                    f'the function for {modality} returned no tap "{missing[0]}" for {key[0]} now'
                )
            arrays = {name: every[name] for name in names}
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
        return views


def _as_it_is(item: Any, _: Any) -> Features:
    return Features({"item": item}, len(item))


def _item(ready: Prepared) -> Any:
    assert ready.features is not None  # noqa: S101
    return ready.features.values["item"]


def _array(value: Any, tap: str, key: Key, rows: int) -> NDArray[np.float32]:
    where = f'the function for {key[1]} returned {{}} at tap "{tap}" for {rows} inputs of {key[0]}'
    if hasattr(value, "detach"):
        value = value.detach().cpu()
        # NumPy has no bfloat16.
        value = value.numpy() if value.is_complex() else value.float().numpy()
    try:
        found = np.asarray(value)
    except ValueError:  # rows of unequal length
        found = np.asarray(None)
    if found.dtype.kind not in "biuf":
        what = "complex numbers" if found.dtype.kind == "c" else "no matrix of numbers"
        raise ModelError(f"{where.format(what)}; it must be (inputs × features), real numbers")
    if found.ndim != 2 or len(found) != rows or not found.shape[1]:
        raise ModelError(f"{where.format(found.shape)}; it must be (inputs × features)")
    return found.astype(np.float32)


def _layout(returned: Mapping[Modality, Sequence[tuple[str, int]]]) -> Layout:
    """The taps that were returned; text stands beside speech of the same name, or near depth."""
    taps: dict[Modality, tuple[Tap, ...]] = {}
    for modality, named in returned.items():
        last = max(1, len(named) - 1)
        taps[modality] = tuple(
            Tap(name, width, i / last if len(named) > 1 else 1.0)
            for i, (name, width) in enumerate(named)
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
