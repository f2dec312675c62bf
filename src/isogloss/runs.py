"""What a run leaves beside its activations, so that everything after extraction needs only it.

OUT/
  study.json      whose folder this is
  run.json        the study resolved, the units, what was dropped and why
  sentences.parquet   the texts, which no activation can be turned back into
  digests.json    what sentences.parquet may hold
  activations/    see ``store``
  results/        one table per analysis, as Parquet and CSV
  figures/        PDF and PNG; drawn.json says what they were drawn from
  report.html
  leases/         who works on what; gone when nobody does
  workers/        what workers print that were started elsewhere
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

import polars as pl

from isogloss import specs
from isogloss.analyses import ANALYSES
from isogloss.analyses.base import Analysis, Contents
from isogloss.corpora.base import Corpus, Dropped, Modality
from isogloss.errors import IsoglossError, StoreError
from isogloss.models.base import TapPair
from isogloss.planning import Plan
from isogloss.provenance import environment, now
from isogloss.results import parquet, parsed
from isogloss.storage import atomic, listed, sealing
from isogloss.storage.store import Store, Unit
from isogloss.study import Study

T = TypeVar("T")
_NAME = re.compile(r"\w[\w.-]*")
TEXTS = {"language": pl.String(), "sentence": pl.String(), "text": pl.String()}
"""Columns of ``sentences.parquet``."""


@dataclass(frozen=True)
class Run:
    """A run as found on disk."""

    folder: Path
    study: dict[str, Any]
    """The resolved study, as :meth:`isogloss.study.Study.model_dump` gives it."""
    model: dict[str, Any]
    corpus: dict[str, Any]
    units: tuple[Unit, ...]
    taps: dict[Modality, tuple[tuple[str, float], ...]]
    pairs: tuple[TapPair, ...]
    dropped: tuple[Dropped, ...]
    environment: dict[str, str]
    made: str

    @classmethod
    def of(cls, plan: Plan) -> "Run":
        """Describe a plan as the run it becomes."""
        corpus, layout = plan.selection.corpus, plan.layout
        return cls(
            folder=plan.study.output,
            study=plan.study.model_dump(mode="json"),
            model={
                "title": plan.study.model.title(),
                "family": plan.study.model.family,
                "licence": plan.study.model.info.licence,
                "checkpoint": plan.checkpoint,
                "untrained": layout.untrained,
                "notes": list(layout.notes),
                "companion": plan.study.model.companion(),
            },
            corpus={
                "name": corpus.name,
                "licence": corpus.licence,
                "description": corpus.description,
                "synthetic_speech": corpus.synthetic_speech,
                "notes": list(corpus.notes),
                "counts": _counts(corpus, {u.language for u in plan.units}),
            },
            units=plan.units,
            taps={m: tuple((t.name, t.depth) for t in taps) for m, taps in plan.taps.items()},
            pairs=plan.pairs,
            dropped=plan.selection.dropped,
            environment=environment(),
            made=now(),
        )

    @classmethod
    def read(cls, folder: Path) -> "Run":
        """Read the run of an output folder.

        Raises:
            IsoglossError: The folder holds no run, or one in the format of another version.
        """
        path = folder / "run.json"
        if not path.exists():
            raise IsoglossError(
                f"{folder} holds no run (there is no run.json in it); `isogloss run` makes one, "
                "and --output says where"
            )
        Store(folder).check_format()
        values = sealing.read(path)
        try:
            for name in ("study", "model", "corpus", "environment"):
                _of(dict, values[name])
            _of(list, values["study"]["analyses"])
            return cls(
                folder=folder,
                study={k: values["study"][k] for k in Study.model_fields},
                model=values["model"],
                corpus=values["corpus"],
                units=tuple(map(_unit, values["units"])),
                taps={
                    m: tuple((_of(str, n), float(d)) for n, d in taps)
                    for m, taps in values["taps"].items()
                },
                pairs=tuple(map(_pair, values["pairs"])),
                dropped=tuple(map(_dropped, values["dropped"])),
                environment=values["environment"],
                made=values["made"],
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise StoreError(f"{path} is damaged ({error!r}); run the study again") from None

    def write(self) -> None:
        """Write ``run.json``."""
        values = asdict(self)
        del values["folder"]
        sealing.write(self.folder / "run.json", values)

    def keep_texts(self, texts: Mapping[tuple[str, str], str]) -> None:
        """Write the texts of the run's sentences, so that figures can show them.

        Args:
            texts: (language, sentence) -> text; others than those of the run are left out.
        """
        used = {(unit.language, sentence) for unit in self.units for sentence in unit.sentences}
        rows = sorted((*key, text) for key, text in texts.items() if key in used)
        frame = pl.DataFrame(rows, schema=TEXTS, orient="row")
        listed.write(self.folder, {"sentences.parquet": parquet(frame)})

    def texts(self) -> dict[tuple[str, str], str]:
        """(language, sentence) -> its text; empty for a run of an earlier version."""
        path = self.folder / "sentences.parquet"
        if not path.exists():
            return {}
        frame = parsed(path)
        if dict(frame.schema) != TEXTS:
            raise StoreError(f"{path} is damaged: it has other columns than texts have")
        return {(code, s): text for code, s, text in frame.iter_rows()}

    def retire(self) -> bool:
        """Take away the scores, figures and report of an earlier run of other work.

        Tables are written one by one, so those of two runs would otherwise stand side by side
        until the last is done. Finished chunks of comparisons stay: they are named by content.

        Returns:
            Whether there was such a run.
        """
        try:
            before = Run.read(self.folder)
        except IsoglossError:
            return False
        if before._work() == self._work():
            return False
        tables = ("results/*.*", "results/means/*.*", "sensitivity/*", "control/*", "beside/*")
        made = (*tables, "figures/*", "report.html")
        for pattern in made:
            for path in self.folder.glob(pattern):
                atomic.remove(path)
        return True

    def check_current(self) -> None:
        """See that the folder is still this run's.

        Raises:
            StoreError: Another run with other settings has taken it over since.
        """
        if Run.read(self.folder)._work() != self._work():
            raise StoreError(
                f"another run with other settings has taken {self.folder} over while this one was "
                "at work, so its results are not written. Its activations stay: run it again, or "
                "give each study a folder of its own"
            )

    def _work(self) -> tuple[Any, ...]:
        asked = ("analyses", "measures", "permutations", "confounds", "interval", "seed")
        units = {u.name for u in self.units}
        return units, self.taps, self.pairs, [self.study.get(k) for k in asked]

    def analyses(self) -> dict[str, Analysis]:
        """The analyses that the study asks for, by name."""
        parts = (specs.parse(ANALYSES, line) for line in self.study["analyses"])
        return {ANALYSES.name_of(type(part)): part for part in parts}

    def store(self) -> Store:
        """The activations of this run."""
        return Store(self.folder)

    def committed(self, store: Store) -> dict[tuple[str, Modality], Unit]:
        """The units that are there, by language and modality."""
        return {(u.language, u.modality): u for u in self.units if store.has(u)}

    def contents(self, store: Store) -> Contents:
        """What can be compared."""
        speakers: dict[tuple[str, Modality], dict[str, tuple[str | None, ...]]] = {}
        for key, unit in self.committed(store).items():
            record = store.record(unit)
            # Rows are ordered by take, so this gives sentences and speakers in their order.
            speakers[key] = {}
            spoken = record.get("speakers", [None] * len(record["sentences"]))
            for sentence, speaker in zip(record["sentences"], spoken, strict=True):
                speakers[key][sentence] = (*speakers[key].get(sentence, ()), speaker)
        sentences = {key: tuple(found) for key, found in speakers.items()}
        return Contents(sentences, self.taps, self.pairs, speakers)

    def left_out(self, store: Store) -> Iterable[Dropped]:
        """Everything that was not used: before extraction and during it."""
        yield from self.dropped
        for (language, modality), unit in self.committed(store).items():
            for item in store.record(unit).get("failed", ()):
                yield Dropped(language, item["sentence"], modality, item["reason"], item["origin"])

    def not_made(self, store: Store) -> Iterable[Dropped]:
        """All sentences of the units that are not there, with why."""
        for unit in self.units:
            if store.has(unit):
                continue
            why = store.why(unit)
            why = f"failed: {why}" if why else "not made yet"
            for sentence in unit.sentences:
                yield Dropped(unit.language, sentence, unit.modality, why)

    def done_to_inputs(self, store: Store) -> list[tuple[str, int]]:
        """What was done to recordings, such as resampling, with how many it was done to."""
        notes: Counter[str] = Counter()
        for unit in self.committed(store).values():
            notes.update(store.record(unit).get("notes", {}))
        return notes.most_common()


def _of(kind: type[T], *values: Any) -> T:
    """The first of the values, if all are of a kind.

    Raises:
        ValueError: They are not.
    """
    for value in values:
        if not isinstance(value, kind):
            raise ValueError(f"{str(value)[:60]!r} is no {kind.__name__}")
    first: T = values[0]
    return first


def _pair(values: dict[str, Any]) -> TapPair:
    pair = TapPair(**values)
    _of(str, pair.label, pair.text, pair.speech)
    return pair


def _dropped(values: dict[str, Any]) -> Dropped:
    item = Dropped(**values)
    _of(str, item.language, item.sentence, item.reason, item.origin, item.modality or "")
    return item


def _unit(values: dict[str, Any]) -> Unit:
    """A unit of ``run.json``.

    Raises:
        ValueError: It has another form, or a name that leads out of its folder.
    """
    given = {k: tuple(values[k]) for k in ("taps", "sentences")}
    unit = Unit(**{**values, **given})
    _of(str, unit.language, unit.modality, unit.digest, *unit.taps, *unit.sentences)
    _of(int, unit.further)
    if not _NAME.fullmatch(unit.name):
        raise ValueError(f'"{unit.name}" is no name of a unit')
    return unit


def _counts(corpus: Corpus, languages: Iterable[str]) -> dict[str, dict[str, int]]:
    """Utterances and distinct sentences of each language before anything was chosen."""
    spoken: dict[str, list[str]] = {code: [] for code in sorted(languages)}
    for u in corpus.utterances:
        if u.language in spoken and u.language not in corpus.counts:
            spoken[u.language].append(u.sentence)
    return {
        code: dict(
            zip(
                ("utterances", "sentences"),
                corpus.counts.get(code, (len(ids), len(set(ids)))),
                strict=True,
            )
        )
        for code, ids in spoken.items()
    }
