"""The runs that are set side by side, checked to be of one corpus."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path

from isogloss.analyses.base import Contents
from isogloss.corpora.base import MODALITIES, Modality
from isogloss.errors import IsoglossError
from isogloss.runs import Run
from isogloss.storage import atomic
from isogloss.storage.store import Store, Unit

Units = Mapping[tuple[str, Modality], Unit]


def joined(names: Sequence[str]) -> str:
    """Names in a sentence.

    >>> joined(["a"]), joined(["a", "b", "c"])
    ('a', 'a, b and c')
    """
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last


class Elsewhere(Store):
    """The activations of a run, with all that is made of them in another folder.

    Args:
        run: Output folder of the run; nothing is written there.
        root: Where finished chunks of comparisons go.
    """

    def __init__(self, run: Path, root: Path) -> None:
        super().__init__(run)
        self.root = root


@dataclass(frozen=True)
class Model:
    """One of the models."""

    name: str
    """What it is called in tables and figures; no two have the same."""
    run: Run
    store: Store
    units: Units
    contents: Contents
    texts: Mapping[tuple[str, str], str] = field(repr=False)
    """(language, sentence) -> its text."""

    @property
    def modalities(self) -> tuple[Modality, ...]:
        """What it takes, in any language."""
        return tuple(m for m in MODALITIES if any(kind == m for _, kind in self.units))

    @property
    def languages(self) -> set[str]:
        """Those it has in any modality."""
        return {language for language, _ in self.units}


def load(folders: Sequence[str | Path], root: Path, *, equal: bool = False) -> tuple[Model, ...]:
    """Read runs, and make sure that they can be compared.

    Args:
        folders: Their output folders.
        root: Output folder of the comparison.
        equal: Let two runs with the same activations through.

    Raises:
        IsoglossError: There are fewer than two, one is given twice or holds no run or no results,
            or two are of different corpora or of one model and the same activations.
    """
    paths = [Path(folder) for folder in folders]
    if len(paths) < _LEAST:
        raise IsoglossError(
            f"several runs are needed to set models side by side, and {len(paths)} is given; name "
            "the output folders of two or more"
        )
    for path, count in Counter(path.resolve() for path in paths).items():
        if count > 1:
            raise IsoglossError(f"{path} is given {count} times; each run counts once")
    runs = [Run.read(path) for path in paths]
    for run in runs:
        if not any((run.folder / "results").glob("*.parquet")):
            raise IsoglossError(
                f"{run.folder} has no results yet; finish it with `isogloss run` first"
            )
    _one_corpus(runs)
    models = []
    for name, run in zip(_names(runs), runs, strict=True):
        store = Elsewhere(run.folder, root)
        units = run.committed(store)
        if not units:
            raise IsoglossError(f"{run.folder} has no activations; `isogloss run` makes them")
        models.append(Model(name, run, store, units, run.contents(store), run.texts()))
    for a, b in combinations(models, 2):
        if not equal and _data(a) == _data(b):
            raise IsoglossError(
                f"{a.run.folder} and {b.run.folder} hold the same activations of the same model; "
                "leave one out"
            )
    return tuple(models)


_LEAST = 2


def claim(output: Path, models: Sequence[Model], record: str) -> None:
    """Refuse an output folder that holds anything but an earlier comparison of the same kind.

    Args:
        output: The folder.
        models: The runs that are compared.
        record: Name of the file that such a comparison leaves.

    Raises:
        IsoglossError: It holds something else, is a file, or belongs to one of the runs.
    """
    for model in models:
        own, its = output.resolve(), model.run.folder.resolve()
        if own == its or its in own.parents:
            raise IsoglossError(
                f"{output} belongs to the run in {model.run.folder}, which is only read; choose "
                "another --output"
            )
    atomic.check_folder(output)
    if output.is_dir() and any(output.iterdir()) and not (output / record).exists():
        raise IsoglossError(
            f"{output} holds something else (there is no {record} in it); choose another --output"
        )


def _one_corpus(runs: Sequence[Run]) -> None:
    """Refuse runs of different corpora, or of different texts of one."""
    first = runs[0]
    for other in runs[1:]:
        if first.corpus["name"] != other.corpus["name"]:
            raise IsoglossError(
                f"{first.folder} is of the corpus {first.corpus['name']} and {other.folder} of "
                f"{other.corpus['name']}; models compare on the same sentences only"
            )
        mine, its = (run.study["corpus"].get("text_field", "text") for run in (first, other))
        if mine != its:
            raise IsoglossError(
                f"{first.folder} and {other.folder} read other texts of {first.corpus['name']}: "
                f"corpus.text_field is {mine} in the first and {its} in the second"
            )


def _names(runs: Sequence[Run]) -> list[str]:
    """The titles, told apart by the folder's name where two are equal."""
    names = [str(run.model["title"]) for run in runs]
    for tell in (lambda run: run.folder.resolve().name, lambda run: str(run.folder.resolve())):
        counts = Counter(names)
        names = [
            f"{run.model['title']} ({tell(run)})" if counts[name] > 1 else name
            for name, run in zip(names, runs, strict=True)
        ]
    return names


def _data(model: Model) -> dict[tuple[str, Modality], str]:
    return {key: str(model.store.record(unit)["sha256"]) for key, unit in model.units.items()}
