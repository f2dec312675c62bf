"""Let analyses look at a run itself, once the views have been compared."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from isogloss.analyses import ANALYSES
from isogloss.analyses.base import Comparison, Material, Reading, ViewKey
from isogloss.compare import compare
from isogloss.corpora.base import Modality
from isogloss.errors import IsoglossError, StoreError
from isogloss.events import Events
from isogloss.interrupts import Stop
from isogloss.models import MODELS
from isogloss.models.base import ModelSource
from isogloss.runs import Run
from isogloss.settings import digest
from isogloss.sharing import Options
from isogloss.similarity.base import Measure
from isogloss.storage.parts import Parts
from isogloss.storage.store import Store

FORMAT = 1


class Reader:
    """Gives readings what a run holds, and keeps what they make of it.

    Args:
        run: The run.
        store: Its activations.
        tables: Comparing analysis -> its scores.
        means: Comparing analysis -> means over languages.
        events: Receives progress, and a warning for each reading that cannot be made.
        stop: Asked between comparisons.
    """

    def __init__(
        self,
        run: Run,
        store: Store,
        tables: Mapping[str, pl.DataFrame],
        means: Mapping[str, pl.DataFrame],
        events: Events,
        stop: Stop | None = None,
    ) -> None:
        self._stop = stop
        self.run, self.store, self.events = run, store, events
        self.files: list[Path] = []
        """The files of the parts that were used."""
        self._units = run.committed(store)
        self._contents = run.contents(store)
        self._tables, self._means = dict(tables), dict(means)

    def read(self, name: str, reading: Reading) -> pl.DataFrame | None:
        """Make the table of a reading.

        Returns:
            The table; None if there is nothing to read, or if it cannot be made, which is said as a
            warning. Errors that are nobody's fault but the code's are raised.
        """
        try:
            return reading.read(self._material(name))
        except StoreError:  # damage, or a full disk: no reason to do without
            raise
        except IsoglossError as error:
            self.events.warn(f"{name} is left out: {error}")
            return None

    def _material(self, name: str) -> Material:
        run, version = self.run, ANALYSES.version(name)
        return Material(
            contents=self._contents,
            tables=self._tables,
            means=self._means,
            texts=run.texts(),
            study=run.study,
            model=run.model,
            corpus=run.corpus,
            view=self._view,
            content=self._content,
            part=lambda identity, make: self._part([name, version, identity], make),
            score=partial(self._score, name),
            source=self._source,
            events=self.events,
        )

    def _view(self, key: ViewKey) -> NDArray[np.float32]:
        unit = self._units[key.language, key.modality]
        sentences = self._contents.sentences[key.language, key.modality]
        return self.store.view(unit, key.tap)[self.store.index(unit).rows(sentences)]

    def _content(self, language: str, modality: Modality) -> str:
        return str(self.store.record(self._units[language, modality])["sha256"])

    def _part(self, identity: Any, make: Callable[[], pl.DataFrame]) -> pl.DataFrame:
        key = f"reading-{digest([FORMAT, identity])[:24]}"
        parts = Parts(self.run.folder / "results" / "parts")
        self.files.append(parts.path(key))
        made = parts.read(key)
        if made is None:
            made = make()
            parts.write(key, made)
        return made

    def _score(
        self,
        name: str,
        comparisons: Sequence[Comparison],
        measures: Sequence[Measure],
        *,
        permutations: int = 0,
        confounds: bool = False,
    ) -> pl.DataFrame:
        study = self.run.study
        taken_out = study["confounds"] if confounds else ()
        options = Options.of(study, permutations=permutations, confounds=taken_out, interval="none")
        frame, _, files = compare(
            comparisons,
            measures,
            analysis=name,
            store=self.store,
            units=self._units,
            options=options,
            events=self.events,
            stop=self._stop,
        )
        self.files += files
        return frame

    def _source(self) -> ModelSource:
        settings = dict(self.run.study["model"])
        return MODELS.get(settings["family"])(**settings)
