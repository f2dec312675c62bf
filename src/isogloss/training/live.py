"""Read the activations of a model in memory, by the adapter of its family."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from isogloss.corpora.base import Modality
from isogloss.errors import ModelError, choices, unknown
from isogloss.extraction.budgets import ON_CPU
from isogloss.extraction.encode import encode_ready
from isogloss.extraction.heap import freed_blocks_kept
from isogloss.extraction.inputs import Prepared
from isogloss.languages import language
from isogloss.models._relative import lighten
from isogloss.models.base import Adapter, Layout, ModelSource, TapPair, Tower
from isogloss.training.material import Chosen, Key, Views, made_ready

if TYPE_CHECKING:
    from torch import nn

ON_DEVICE = 4000
"""Time steps in a batch on a device that is no CPU, whose memory training has filled."""

Choice = Literal["last", "paper", "all"] | Sequence[str]


@dataclass(frozen=True)
class Places:
    """Where a model is read."""

    taps: dict[Modality, tuple[tuple[str, float], ...]]
    """Modality -> (tap, relative depth) in order."""
    pairs: tuple[TapPair, ...]
    """Which text tap stands beside which speech tap."""


def places(layout: Layout, choice: Choice, modalities: Iterable[Modality]) -> Places:
    """Choose among the taps of a model.

    Args:
        layout: All taps and pairs.
        choice: ``last``, the last pair; ``paper``; ``all``; or names of taps.
        modalities: Those that are read.

    Raises:
        ModelError: A name is a tap of neither modality, or a modality that is read gets no tap.
    """
    wanted: dict[Modality, set[str]]
    if isinstance(choice, str) and choice not in ("last", "paper", "all"):
        choice = (choice,)
    if choice == "all":
        wanted = {m: {t.name for t in taps} for m, taps in layout.taps.items()}
    elif choice == "paper":
        wanted = {m: set(names) for m, names in layout.paper.items()}
    elif choice == "last":
        wanted = {m: {taps[-1].name} for m, taps in layout.taps.items() if taps}
        if layout.pairs:
            last = layout.pairs[-1]
            wanted = {"text": {last.text}, "speech": {last.speech}}
    else:
        known = dict.fromkeys(t.name for taps in layout.taps.values() for t in taps)
        for name in choice:
            if name not in known:
                raise ModelError(unknown("tap", name, known))
        wanted = {m: set(choice) for m in layout.taps}
    for modality in sorted(modalities):
        there = [t.name for t in layout.taps.get(modality, ())]
        if not wanted.get(modality, set()) & {*there}:
            raise ModelError(f"taps names no tap of the {modality} encoder: {choices(there)}")
    taps = {
        m: tuple((t.name, t.depth) for t in found if t.name in wanted[m])
        for m, found in layout.taps.items()
    }
    pairs = tuple(
        p for p in layout.pairs if p.text in wanted["text"] and p.speech in wanted["speech"]
    )
    return Places(taps, pairs)


class Reader(ABC):
    """Gives the activations of the chosen sentences."""

    places: Places
    """Where it reads; not known to all before they are bound."""

    @abstractmethod
    def bind(self, model: "nn.Module | None") -> None:
        """Find what to read in a model; does nothing if that was done.

        Raises:
            IsoglossError: It is not there.
        """

    @abstractmethod
    def read(self) -> Views:
        """Encode all sentences."""


class FamilyReader(Reader):
    """Reads the encoders of a model by its family's own adapter.

    Args:
        source: The family, with the checkpoint that has tokeniser and feature extractor.
        chosen: What is encoded.
        choice: Which taps.
        batch_frames: Time steps in a batch; 0: as many as fit the device well.
        jobs: Threads that prepare inputs; 0: one a core.

    Raises:
        ModelError: The checkpoint is none of the family, or a tap does not exist.
    """

    def __init__(
        self, source: ModelSource, chosen: Chosen, choice: Choice, *, batch_frames: int, jobs: int
    ) -> None:
        self.places = places(source.layout(), choice, {m for _, m in chosen.items})
        names = dict.fromkeys(name for taps in self.places.taps.values() for name, _ in taps)
        self._source = source.model_copy(update={"taps": tuple(names)})
        self._chosen, self._frames, self._jobs = chosen, batch_frames, jobs
        self._model: nn.Module | None = None
        self._towers: dict[Key, Tower] = {}
        self._ready: dict[Key, list[Prepared]] = {}

    def bind(self, model: "nn.Module | None") -> None:
        """Find the encoders, and make the inputs ready if that was not done."""
        if model is None:
            raise ModelError("there is no model to read: give it to the call")
        refuse_shards(model)
        if self._model is model and self._whole(model):
            return
        adapter: Adapter = self._source.live(model)
        towers = {(c, m): adapter.tower(m, language(c)) for c, m in self._chosen.items}
        for key, tower in towers.items():
            if key not in self._ready:
                self._ready[key] = made_ready(self._chosen, key, tower.features, self._jobs)
        self._towers, self._model = towers, model

    def _whole(self, model: "nn.Module") -> bool:
        """Whether the encoders that were found are still those of the model."""
        there = {id(p) for p in model.parameters()}
        towers = {id(t): t for t in self._towers.values()}.values()
        return all(id(p) in there for t in towers for p in t.module.parameters())  # type: ignore[attr-defined]

    def read(self) -> Views:
        """Encode all sentences.

        Attention is computed in another way meanwhile, by a method that is put before that of its
        class, so the caller must give the modules their attributes back.
        """
        views = Views()
        for tower in {id(t): t for t in self._towers.values()}.values():
            lighten(tower.module)  # type: ignore[attr-defined]
            tower.refresh()
        for key, tower in self._towers.items():
            ready = self._ready[key]
            ids = [u.sentence for u in self._chosen.items[key]]
            with freed_blocks_kept():
                encoded = encode_ready(tower, ready, ids, budget=self._budget(tower))
            wanted = [name for name, _ in self.places.taps[key[1]]]
            encoded.arrays = {t: encoded.arrays[t] for t in wanted if t in encoded.arrays}
            measured = {"seconds": encoded.seconds} if key[1] == "speech" else {}
            if key[1] == "text":
                measured = {"tokens": [float(n) for n in encoded.lengths]}
            views.add(key, self._chosen, encoded, measured)
        return views

    def _budget(self, tower: Tower) -> int:
        assert self._model is not None  # noqa: S101
        on_cpu = next(self._model.parameters()).device.type == "cpu"
        return self._frames or (ON_CPU[tower.modality] if on_cpu else ON_DEVICE)


def refuse_shards(model: "nn.Module") -> None:
    """Refuse a model of which each process holds a part: it runs in all of them or not at all.

    Raises:
        ModelError: It is such a model.
    """
    kinds = {type(m).__name__ for m in model.modules()} & {"FullyShardedDataParallel"}
    for parameter in model.parameters():
        if type(parameter.data).__name__ == "DTensor" or type(parameter).__name__ == "DTensor":
            kinds.add("DTensor")
        if hasattr(parameter, "ds_id"):
            kinds.add("DeepSpeed ZeRO 3")
    if kinds:
        raise ModelError(
            f"the model is split over processes ({choices(sorted(kinds))}), and one process alone "
            "cannot run it. Measure its checkpoints instead, or give functions (text and speech) "
            "that every process calls"
        )
