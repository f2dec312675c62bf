"""The experiment of "How do Multimodal Foundation Models Encode Text and Speech?" as a study."""

from pathlib import Path
from typing import Any

from isogloss import specs
from isogloss.analyses import ANALYSES
from isogloss.corpora import CORPORA
from isogloss.errors import StudyError
from isogloss.languages import SETS
from isogloss.models import MODELS
from isogloss.settings import own_first
from isogloss.study import Study, merge

OTHERS = "paper-common"
"""The languages for a model that the study does not treat: those of all its three."""
RECORDINGS = 2
"""Recordings of each sentence, where there are so many: the second serves the noise ceiling."""


def values(model: str) -> dict[str, Any]:
    """The settings of the study, for one model, as nested values.

    What the study says is followed: the test split of FLEURS, normalised transcriptions, one
    utterance of a sentence by chance, its 30 languages for each model, its layers, SVCCA at 90 %
    of the variance with an epsilon of 1e-10. What it leaves open has the default of its setting.

    Args:
        model: A model family; the study has seamless, sonar and salmonn.

    Raises:
        StudyError: There is no such model family.
    """
    MODELS.get(model)
    languages = f"paper-{model}" if f"paper-{model}" in SETS else OTHERS
    return {
        "title": f"Text and speech in {model}",
        "corpus": {"source": "fleurs", "languages": (languages,), "recordings": RECORDINGS},
        "model": {"family": model, "taps": "paper"},
        "analyses": analyses(),
        "measures": ("svcca",),
        "output": Path(f"isogloss-paper-{model}"),
    }


def analyses() -> tuple[str, ...]:
    """The study's questions and those that go past it, as they stand in a study file."""
    wanted = analyses_by_name()
    parts = (ANALYSES.get(name)(**options) for name, options in wanted.items())
    return tuple(specs.write(ANALYSES, part, defaults=False) for part in parts)


def analyses_by_name() -> dict[str, dict[str, Any]]:
    """The same by name, with the options that are not at their default."""
    return {
        "counts": {},
        "cross_modal": {"pairs": "all"},
        "cross_lingual": {},
        "gaps": {},
        "closest": {},
        "halves": {},
        "tokens": {},
        "maps": {},
        "matrices": {},
        "convergence": {},
        "noise_ceiling": {},
        "choices": {},
    }


def with_flores(study: Study, folder: Path) -> Study:
    """Let the tokens of a study be counted on FLORES.

    Raises:
        StudyError: The study does not ask for shared tokens.
        CorpusError: The folder is no copy of FLORES that can be read.
    """
    names = [ANALYSES.name_of(type(part)) for part in study.analyses]
    if "tokens" not in names:
        raise StudyError(
            "FLORES is what shared tokens are counted on, and the analysis `tokens` is not among "
            f"those asked for ({', '.join(names)})"
        )
    parts = list(study.analyses)
    at = names.index("tokens")
    options = parts[at].model_dump() | {"corpus": str(folder)}
    parts[at] = type(parts[at])(**options)
    # Hours of work come before tokens are counted, so what is wrong with it is said first.
    where = {"path": folder, "split": options["split"]}
    CORPORA.get("flores")(**where).load()
    return study.model_copy(update={"analyses": tuple(parts)})


def paper(
    model: str, *, flores: str | Path | None = None, corpus: Any = None, **settings: Any
) -> Study:
    """The study for one model.

    Args:
        model: As for :func:`values`.
        flores: Folder of FLORES, whose devtest split the study counts tokens on; the study's own
            sentences are counted if left out.
        corpus: Settings of the corpus that differ, such as ``{"path": "data/fleurs"}``.
        settings: Settings of the model that differ if they are its own, such as ``checkpoint``,
            else of the study, such as ``output``.

    Raises:
        StudyError: A name or value is wrong.
    """
    own = own_first(MODELS.get(model))
    of_model = {k: v for k, v in settings.items() if k in own}
    of_study = {k: v for k, v in settings.items() if k not in own}
    made = Study(**merge(values(model), {"model": of_model, "corpus": corpus or {}, **of_study}))
    return made if flores is None else with_flores(made, Path(flores))
