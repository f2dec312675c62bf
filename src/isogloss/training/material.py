"""The sentences that are measured again and again: chosen, decoded and made ready once."""

import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isogloss.analyses.base import Contents
from isogloss.confounds import covariates
from isogloss.corpora.base import Clip, Modality, Utterance
from isogloss.errors import CorpusError
from isogloss.extraction.inputs import Prepared, prepare
from isogloss.extraction.rows import Encoded
from isogloss.identifying import identify
from isogloss.languages import language
from isogloss.models.base import Features, TapPair
from isogloss.planning import selected, texts_of
from isogloss.settings import digest
from isogloss.storage.store import Unit
from isogloss.study import Study
from isogloss.takes import numbers

_ROUNDING = 64 * np.finfo(np.float32).eps
"""Relative difference of values that are equal but for rounding."""

Key = tuple[str, Modality]
"""A language, ISO 639-3, and a modality."""


@dataclass(frozen=True)
class Chosen:
    """What is measured of a corpus."""

    name: str
    items: dict[Key, tuple[Utterance, ...]]
    """Language and modality -> utterances in the order of a run."""
    texts: Mapping[tuple[str, str], str]
    """(language, sentence) -> its text."""
    companions: Mapping[str, Mapping[str, Clip]]
    """Language -> sentence -> the recording that goes with its text, if the model asks for it."""
    left_out: int
    """Utterances that cannot be used."""
    digest: str
    """Names the content of the items, wherever their files lie."""


def choose(study: Study) -> Chosen:
    """Read the table of a corpus and choose as a run of the study would.

    Args:
        study: The study.

    Raises:
        CorpusError: The corpus cannot be read, or nothing in it can be compared.
        StudyError: A language or a confound is unknown.
        ModelError: The model does not know a language that was named.
    """
    corpus = study.corpus.load()
    selection = selected(study, corpus)
    with ThreadPoolExecutor(study.jobs or os.cpu_count()) as pool:
        inputs = {key: identify(selection, *key, study, pool) for key in selection.items}
    items = {key: found.utterances for key, found in inputs.items() if found.utterances}
    dropped = [*selection.dropped, *(d for found in inputs.values() for d in found.dropped)]
    if len(items) < 2:
        why = f"; the first reason: {dropped[0].reason}" if dropped else ""
        raise CorpusError(
            f"{corpus.name}: nothing is left to compare, of {len(inputs)} languages and "
            f"modalities{why}. `isogloss corpus show` has all reasons"
        )
    companions = {code: found.companions for (code, _), found in inputs.items() if found.companions}
    content = {" ".join(key): inputs[key].content for key in sorted(items)}
    texts = texts_of(corpus, items)
    return Chosen(corpus.name, items, texts, companions, len(dropped), digest(content)[:16])


Make = Callable[[Any, Any], Features]


def made_ready(chosen: Chosen, key: Key, make: Make, jobs: int) -> list[Prepared]:
    """Decode the utterances of a language and modality, and make their features.

    Args:
        chosen: All of them.
        key: The language and modality.
        make: Makes the features: :meth:`Tower.features`.
        jobs: Threads; 0: one a core.

    Raises:
        CorpusError: Not one can be used; the message has the first reason.
    """
    code, modality = key
    beside = chosen.companions.get(code) if modality == "text" else None

    def one(utterance: Utterance) -> Prepared:
        clip = beside[utterance.sentence] if beside is not None else None
        return prepare(make, modality, utterance, clip, language(code))

    with ThreadPoolExecutor(jobs or os.cpu_count()) as pool:
        found = list(pool.map(one, chosen.items[key]))
    if all(item.features is None for item in found):
        raise CorpusError(
            f"{chosen.name}: no {modality} of {code} can be used; the first: {found[0].failure}"
        )
    return found


@dataclass
class Views:
    """The activations of one call, in memory, as :class:`isogloss.sharing.Activations`."""

    units: dict[Key, Unit] = field(default_factory=dict)
    failed: dict[Key, str] = field(default_factory=dict)
    """Language and modality -> why it has no activations at all, or lacks some sentences."""
    _records: dict[Key, dict[str, Any]] = field(default_factory=dict)
    _arrays: dict[Key, Mapping[str, NDArray[np.float32]]] = field(default_factory=dict)

    def add(self, key: Key, chosen: Chosen, encoded: Encoded, measured: Mapping[str, Any]) -> None:
        """Take what an encoder says of a language in a modality.

        Args:
            key: The language and modality.
            chosen: Where its utterances are.
            encoded: Its activations, and which utterances they are of.
            measured: ``tokens`` or ``seconds`` of each row, if they are known.
        """
        if encoded.failed:
            first = next(iter(encoded.failed.values()))
            self.failed[key] = f"{len(encoded.failed)} sentences have no activations: {first}"
        if not encoded.rows:
            return
        code, modality = key
        used = [chosen.items[key][i] for i in encoded.rows]
        ids = [u.sentence for u in used]
        taps = tuple(encoded.arrays)
        self.units[key] = Unit(code, modality, "", taps, tuple(dict.fromkeys(ids)))
        self._arrays[key] = {tap: _settled(array) for tap, array in encoded.arrays.items()}
        self._records[key] = {
            "language": code,
            "modality": modality,
            "sentences": ids,
            "takes": numbers(ids),
            "shapes": {tap: list(array.shape) for tap, array in encoded.arrays.items()},
            "covariates": covariates(used, chosen.texts, measured),
        }

    def record(self, unit: Unit) -> dict[str, Any]:
        """What is known of a unit's rows."""
        return self._records[unit.language, unit.modality]

    def view(self, unit: Unit, tap: str) -> NDArray[np.float32]:
        """The activations of one tap: (rows × features)."""
        return self._arrays[unit.language, unit.modality][tap]

    def contents(
        self,
        taps: Mapping[Modality, tuple[tuple[str, float], ...]],
        pairs: tuple[TapPair, ...],
    ) -> Contents:
        """What can be compared.

        Args:
            taps: Modality -> (tap, relative depth) in order.
            pairs: Which text tap stands beside which speech tap.
        """
        sentences = {key: unit.sentences for key, unit in self.units.items()}
        return Contents(sentences, dict(taps), pairs)


def _settled(array: NDArray[np.float32]) -> NDArray[np.float32]:
    """Rows that differ by no more than rounding are one row.

    A mean over time rounds differently for each length, so a representation that has collapsed
    to one vector still varies in its last bits, and these would be scored.
    """
    spread, reach = np.ptp(array, axis=0), np.abs(array).max(axis=0)
    if (spread <= _ROUNDING * reach).all():
        return np.broadcast_to(array[0], array.shape)
    return array
