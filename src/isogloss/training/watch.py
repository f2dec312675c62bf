"""Watch the gaps of a model while it trains."""

import logging
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isogloss import specs
from isogloss.confounds import DEFAULT
from isogloss.corpora.base import CorpusSource
from isogloss.errors import IsoglossError, StudyError
from isogloss.models.base import ModelSource
from isogloss.sharing import Options
from isogloss.similarity.base import Measure
from isogloss.similarity.measures import MEASURES
from isogloss.study import Study
from isogloss.training.arguments import check_model, functions_of, path_of, step_of, taps_of
from isogloss.training.functions import Function, FunctionReader, Given
from isogloss.training.guard import evaluating, same_randomness
from isogloss.training.journal import Journal
from isogloss.training.live import Choice, FamilyReader, Reader
from isogloss.training.material import choose
from isogloss.training.measuring import Scores, knows_chance
from isogloss.training.result import NAN, Gap, Gaps

if TYPE_CHECKING:
    from torch import nn

_LOG = logging.getLogger("isogloss.training")


class GapWatch:
    """Measures the cross-modal and cross-lingual gaps of a model in memory, again and again.

    The corpus is chosen, decoded and made ready once, so that a call costs forward passes and
    comparisons. Sentences, comparisons, chance, confounds and intervals are those of a study with
    the analyses ``cross_modal`` and ``cross_lingual``. A call changes nothing: random states,
    modes, buffers and gradients are afterwards what they were.

        watch = GapWatch({"family": "seamless", "checkpoint": FOLDER}, CORPUS)
        gaps = watch(model, step)
        gaps.scalars()

    Args:
        model: The family of the model and a checkpoint that its tokeniser, feature extractor and
            configuration are read from, as the ``model`` of a study. None if ``text`` or
            ``speech`` is given.
        corpus: The sentences, as the ``corpus`` of a study. Keep it small, and out of training.
        taps: Where to read: ``"last"``, the last pair of text and speech tap; ``"paper"``;
            ``"all"``; or names of taps.
        measure: Similarity measure with its options, as in a study.
        permutations: Shuffles of the sentences, which give chance and p-values; 0: chance in closed
            form, where the measure has one.
        confounds: What to take out of both views for a second, controlled score, as in a study;
            empty for none.
        interval: ``"none"`` or ``"subsampling"``, for the single languages, as in a study; some
            twenty times the work. The interval of a mean over languages is always found.
        seed: Of the choice among recordings, and of the shuffles.
        text: A function that returns the activations of texts, for a model that no family reads.
        speech: The same for recordings.
        history: A CSV file that gets the rows of every call, see
            :mod:`isogloss.training.history`. None for none.
        batch_frames: Largest batch in time steps; 0: 1000 on a CPU, 4000 elsewhere.
        jobs: Threads that compare; 0: one a core.

    Raises:
        StudyError: A setting is wrong.
        CorpusError: The corpus cannot be read, or nothing in it can be compared.
        ModelError: The checkpoint is none of its family, the family cannot read a model in
            memory, or a tap does not exist.
        OutputError: The history cannot be written.
    """

    def __init__(
        self,
        model: "ModelSource | dict[str, Any] | str | None" = None,
        corpus: "CorpusSource | dict[str, Any] | str | None" = None,
        *,
        taps: Choice = "last",
        measure: "str | Measure" = "svcca",
        permutations: int = 100,
        confounds: Sequence[str] = DEFAULT,
        interval: str = "none",
        seed: int = 0,
        text: Function | None = None,
        speech: Function | None = None,
        history: str | Path | None = None,
        batch_frames: int = 0,
        jobs: int = 0,
    ) -> None:
        functions = functions_of({"text": text, "speech": speech})
        taps, path = taps_of(taps), path_of(history)
        if (model is None) == (not functions):
            raise StudyError(
                "say how the model is read: give `model`, its family and a checkpoint, or "
                "functions for `text` and `speech`, and not both"
            )
        if corpus is None:
            raise StudyError("give the sentences to measure by, as the `corpus` of a study")
        if interval not in ("none", "subsampling"):
            raise StudyError(f'interval must be "none" or "subsampling", not "{interval}"')
        with same_randomness():
            study = Study(
                model=Given(family="functions") if model is None else model,
                corpus=corpus,
                analyses=("cross_modal", "cross_lingual"),
                measures=(measure,),
                permutations=permutations,
                confounds=confounds,
                interval=interval,
                seed=seed,
                batch_frames=batch_frames,
                jobs=jobs,
            )
            (self._measure,) = study.measures
            if not permutations and not knows_chance(self._measure):
                raise StudyError(
                    f"the measure {specs.write(MEASURES, self._measure, defaults=False)} has no "
                    "chance in closed form; give permutations, such as 100"
                )
            if model is not None and type(study.model).live is ModelSource.live:
                study.model.live(None)  # says that it cannot
            self._study = study
            self._chosen = choose(study)
            self._reader: Reader
            if functions:
                self._reader = FunctionReader(functions, self._chosen, taps, jobs=jobs)
            else:
                self._reader = FamilyReader(
                    study.model, self._chosen, taps, batch_frames=batch_frames, jobs=jobs
                )
        self._options = Options(
            permutations=permutations,
            seed=seed,
            confounds=study.confounds,
            interval=interval,
            jobs=jobs,
            memory=study.memory,
        )
        self._journal: Journal | None = None
        if path is not None:
            settings = {
                "corpus": self._chosen.digest,
                "model": study.model.family,
                "measure": specs.write(MEASURES, self._measure, defaults=False),
                "permutations": permutations,
                "confounds": list(study.confounds),
                "seed": seed,
            }
            self._journal = Journal(path, settings)
        self.history: list[Gaps] = []
        """What was measured so far, failed calls included."""
        self.failures = 0
        """Calls that failed so far."""
        self._warned: set[str] = set()
        self._bound = False
        self._ended: float | None = None

    def bind(self, model: "nn.Module | None") -> None:
        """Find the encoders in a model and make the inputs ready, so that mistakes show at once.

        The first call does it if it was not done before.

        Functions are called with a few inputs of each language, and what they raise is passed on.

        Args:
            model: The model that is trained, or anything that holds its encoders. None if it is
                given as functions.

        Raises:
            ModelError: They are not there, the model is split over processes, or functions do not
                return what they should.
            CorpusError: Not one sentence of a language can be used.
        """
        check_model(model)
        with same_randomness(), _undisturbed(model):
            self._reader.bind(model)
        self._bound = True

    def __call__(self, model: "nn.Module | None" = None, step: int = 0) -> Gaps:
        """Measure.

        An error while measuring is logged once and counted; what is returned then has no gaps
        but says why.

        Args:
            model: The model as it is now. None if it is given as functions that know it.
            step: Optimiser step, for the history. There, and in :func:`isogloss.training.curve`, a
                call takes the place of those before it at the same step or a later one.

        Raises:
            IsoglossError: The first call cannot :meth:`bind` the model, ``model`` is none, or
                ``step`` is no whole number.
        """
        check_model(model)
        step = step_of(step)
        if not self._bound:
            self.bind(model)
        _settle(model)
        began = time.perf_counter()
        try:
            gaps, extra = self._measured(model)
            failure = ""
        except Exception as error:
            self.failures += 1
            failure = f"{type(error).__name__}: {error}"
            gaps, extra = (), {}
            self.warn(f"the gaps could not be measured: {failure}", error)
        ended = time.perf_counter()
        seconds = ended - began
        share = NAN if self._ended is None else seconds / (ended - self._ended)
        self._ended = ended
        told: dict[str, Any] = {"share": share, "failure": failure, "failures": self.failures}
        found = Gaps(step, gaps, seconds, **told, **extra)
        self.history.append(found)
        self._write(found)
        return found

    def _measured(self, model: "nn.Module | None") -> tuple[tuple[Gap, ...], dict[str, Any]]:
        with same_randomness():
            began = time.perf_counter()
            with _undisturbed(model):
                self._reader.bind(model)
                views = self._reader.read()
            encoding = time.perf_counter() - began
            scores = Scores(views, self._reader.places, self._measure, self._options)
            gaps = tuple(scores.gaps())
        extra: dict[str, Any] = {
            "encoding": encoding,
            "notes": tuple(f"{c} {m}: {why}" for (c, m), why in views.failed.items()),
            "larger_gap": scores.larger_gap(),
            "modality_gap": 1 - _last(gaps, "cross_modal"),
            "language_gap": 1 - _last(gaps, "cross_lingual.text"),
        }
        return gaps, extra

    def _write(self, found: Gaps) -> None:
        if self._journal is None:
            return
        try:
            self._journal.append(found)
        except (IsoglossError, OSError) as error:
            self.warn(f"the history is not written: {error}")

    def warn(self, what: str, error: Exception | None = None) -> None:
        """Log something that went wrong while training goes on, once.

        Args:
            what: Went wrong.
            error: From which it came. One that is no message for users keeps its traceback.
        """
        if what not in self._warned:
            self._warned.add(what)
            known = error is None or isinstance(error, IsoglossError)
            _LOG.warning("training goes on, but %s", what, exc_info=None if known else error)


def _last(gaps: tuple[Gap, ...], kind: str) -> float:
    """The score to trust at the last place: without confounds, if they were taken out."""
    found = [g for g in gaps if g.kind == kind]
    return found[-1].calibrated if found else NAN


def _undisturbed(model: "nn.Module | None") -> AbstractContextManager[None]:
    return nullcontext() if model is None else evaluating(model)


def _settle(model: "nn.Module | None") -> None:
    """Wait for what training has left to a GPU, which must not count as time of the call."""
    first = next(iter(model.parameters()), None) if model is not None else None
    if first is not None and first.device.type == "cuda":
        import torch

        torch.cuda.synchronize(first.device)
