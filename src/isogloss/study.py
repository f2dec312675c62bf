"""The study: one frozen description that is the YAML file, the command line and the Python call."""

from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import yaml
from pydantic import AfterValidator, BeforeValidator, PlainSerializer, SerializeAsAny

from isogloss import plain_yaml, specs
from isogloss.analyses import ANALYSES, Analysis
from isogloss.confounds import DEFAULT
from isogloss.corpora import CORPORA, CorpusSource
from isogloss.errors import StudyError
from isogloss.executors import EXECUTORS, Executor
from isogloss.models import MODELS, ModelSource
from isogloss.registry import Registry
from isogloss.settings import Names, Settings, check_keys, setting
from isogloss.similarity.base import Measure
from isogloss.similarity.measures import MEASURES

S = TypeVar("S", bound=Settings)

KINDS = {"corpus": "source", "model": "family", "executor": "kind"}
"""The key of each section that says which kind of part its other keys belong to."""


def _section(registry: Registry[S]) -> BeforeValidator:
    """Choose the settings class of a section by its kind and validate with it."""
    key = KINDS[registry.base.section]

    def resolve(value: Any) -> Any:
        if isinstance(value, str):
            value = {key: value}
        if not isinstance(value, dict):
            if isinstance(value, registry.base):
                return value
            raise ValueError(
                f"must be the name of one, or a section with `{key}` and its settings, "
                f"got {value!r}. Valid: {', '.join(registry.names())}"
            )
        check_keys(value, registry.base.section)
        if key not in value:
            section = registry.base.section
            raise StudyError(f'"{section}.{key}" is required. Valid: {", ".join(registry.names())}')
        return registry.get(str(value[key]))(**value)

    return BeforeValidator(resolve)


def _specs(registry: Registry[S], *, once: bool = False) -> BeforeValidator:
    """Read a list of lines; ``once`` if two parts of one name would hide each other's results."""

    def resolve(value: Any) -> Any:
        if isinstance(value, str):
            value = specs.split(value)
        if isinstance(value, registry.base | dict):
            value = [value]
        if not isinstance(value, list | tuple):
            raise ValueError(f"must be a list such as [{registry.names()[0]}], got {value!r}")
        if not value:
            raise ValueError(f"names none. Valid: {', '.join(registry.names())}")
        parts = tuple(specs.parse(registry, v) for v in value)
        names = [registry.name_of(type(p)) if once else specs.write(registry, p) for p in parts]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"{name} is named twice; a second one would add nothing")
        return parts

    return BeforeValidator(resolve)


def _write(registry: Registry[S]) -> PlainSerializer:
    return PlainSerializer(lambda parts: [specs.write(registry, p) for p in parts])


class Study(Settings):
    """Everything that a run depends on.

    Raises:
        StudyError: A key or value is wrong; the valid ones and the nearest match are named.
    """

    corpus: Annotated[SerializeAsAny[CorpusSource], _section(CORPORA)] = setting(
        role="identity", help="The sentences; see `isogloss corpora`."
    )
    model: Annotated[SerializeAsAny[ModelSource], _section(MODELS)] = setting(
        role="identity", help="The model; see `isogloss models`."
    )
    analyses: Annotated[tuple[Analysis, ...], _specs(ANALYSES, once=True), _write(ANALYSES)] = (
        setting(
            ("cross_modal", "cross_lingual", "gaps"),
            role="analysis",
            min_length=1,
            help="Questions to ask; see `isogloss analyses`.",
        )
    )
    measures: Annotated[tuple[Measure, ...], _specs(MEASURES), _write(MEASURES)] = setting(
        ("svcca",),
        role="analysis",
        min_length=1,
        help="Similarity measures with their options; see `isogloss measures`.",
    )
    permutations: int = setting(
        100, role="analysis", ge=0, help="Shuffles of the sentences behind each p-value; 0: none."
    )
    confounds: Names = setting(
        DEFAULT,
        role="analysis",
        help="Properties of the sentences to take out of both views for a second score beside the "
        "plain one: characters, tokens, seconds, gender or a column of the corpus; [] for none.",
    )
    interval: Literal["none", "subsampling", "utterances"] = setting(
        "subsampling",
        role="analysis",
        help="How the 95 % interval of a score is found: from subsets of the sentences "
        "(subsampling), from other recordings of the same sentences (utterances, which needs "
        "corpus.recordings of 2 or more), or not at all (none).",
    )
    seed: int = setting(
        0,
        role="identity",
        ge=0,
        help="Seed of the choice among several recordings of a sentence, and of the shuffles.",
    )
    output: Annotated[Path, AfterValidator(Path.expanduser)] = setting(
        Path("isogloss-run"), role="runtime", help="Folder of the activations, results and report."
    )
    title: str = setting("", role="runtime", help="Title of the report.")
    device: str = setting(
        "auto", role="runtime", help='Where the model runs: "cpu", "cuda", "cuda:1", "mps" or auto.'
    )
    batch_frames: int = setting(
        0,
        role="runtime",
        ge=0,
        help="Largest batch, in time steps with padding (tokens of text, frames of speech); "
        "0: 1000 on a CPU, measured on CUDA, 16000 elsewhere.",
    )
    jobs: int = setting(
        0,
        role="runtime",
        ge=0,
        help="Processes or threads that prepare inputs, and threads that compare views; 0: one a "
        "core, less one for inputs.",
    )
    executor: Annotated[SerializeAsAny[Executor], _section(EXECUTORS)] = setting(
        "here",
        role="runtime",
        help="Where work runs: here, processes, slurm or ray, with its settings; see "
        "`isogloss executors`.",
    )
    memory: float = setting(
        1.0,
        role="runtime",
        gt=0,
        help="GiB that views may take while they are compared; with less, some are read again.",
    )

    @classmethod
    def read(cls, path: str | Path, **overrides: Any) -> "Study":
        """Read a study from a YAML file.

        Relative paths in the file count from the working folder, as on the command line.

        Args:
            path: The file.
            overrides: Values that replace those of the file; nested keys as in
                ``{"corpus": {"languages": ["eng"]}}``.

        Raises:
            StudyError: The file is missing, is no YAML, or holds a wrong key or value.
        """
        path = Path(path)
        try:
            with path.open("rb") as file:
                text = file.read(plain_yaml.LARGEST * 4 + 1).decode("utf-8-sig")
        except OSError as error:
            hint = "`isogloss init` writes one to start from"
            raise StudyError(f"cannot read the study {path} ({error.strerror}); {hint}") from None
        except UnicodeDecodeError as error:
            raise StudyError(f"{path} is not UTF-8 text ({error.reason})") from None
        try:
            values = plain_yaml.parse(text)
        except ValueError as error:
            raise StudyError(f"{path}: {error}") from None
        if not isinstance(values, dict):
            raise StudyError(f"{path} holds no settings; `isogloss init` writes a file with all")
        try:
            check_keys(values)
            return cls(**merge(values, overrides))
        except StudyError as error:
            raise StudyError(f"{path}: {error}") from None

    def write(self) -> str:
        """The study as YAML with every value, defaults included."""
        return as_yaml(self.model_dump(mode="json"))

    def identity(self) -> dict[str, Any]:
        """What must agree, beside the checkpoint's content, for two runs to share a folder."""
        return {
            "corpus": self.corpus.identity(),
            "model": self.model.identity(),
            "seed": self.seed,
        }


def as_yaml(values: dict[str, Any]) -> str:
    """A dumped study as the text of a study file."""
    return yaml.safe_dump(values, sort_keys=False, allow_unicode=True, width=100)


def merge(values: dict[str, Any], overrides: dict[str, Any]) -> dict[str, Any]:
    """Lay nested overrides over nested values.

    A section whose kind is overridden starts afresh: the options of one corpus or model mean
    nothing to another.
    """
    merged = dict(values)
    for key, value in overrides.items():
        old = merged.get(key)
        if isinstance(old, str) and key in KINDS:
            old = {KINDS[key]: old}
        if isinstance(value, dict) and isinstance(old, dict):
            kind = KINDS.get(key)
            fresh = kind in value and value[kind] != old.get(kind)
            merged[key] = value if fresh else merge(old, value)
        else:
            merged[key] = value
    return merged
