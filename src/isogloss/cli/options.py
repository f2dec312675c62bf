"""Every setting of a study as a command-line option, made from the schema itself."""

import inspect
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin

from cyclopts import Group, Parameter

from isogloss.corpora import CORPORA
from isogloss.errors import StudyError
from isogloss.executors import EXECUTORS
from isogloss.models import MODELS
from isogloss.registry import Registry
from isogloss.study import KINDS, Study, merge

F = TypeVar("F", bound=Callable[..., Any])

SECTIONS: dict[str, Registry[Any]] = {
    "corpus": CORPORA,
    "model": MODELS,
    "executor": EXECUTORS,
}
_SHORT = ("executor.kind", "--executor")
"""A section that has a default can be named by its kind alone."""
_SEPARATOR = "__"


def schema() -> Iterator[tuple[str, Any, str]]:
    """All settings: dotted name, annotation, help."""
    for name, info in Study.model_fields.items():
        if name not in SECTIONS:
            yield name, info.annotation, _help(info.annotation, info.description, info.default)
            continue
        merged: dict[str, list[tuple[str, Any]]] = {}
        parts, _ = SECTIONS[name].loadable()
        for part, settings in parts.items():
            for field, declared in settings.model_fields.items():
                merged.setdefault(field, []).append((part, declared))
        for field, uses in merged.items():
            declared = uses[0][1]
            if field == KINDS[name]:
                text = f"Kind of {name}. One of: {', '.join(parts)}."
            else:
                text = " ".join(_by_part(uses, len(parts)))
            yield f"{name}.{field}", declared.annotation, text


def _by_part(uses: list[tuple[str, Any]], count: int) -> Iterator[str]:
    """The help of a setting, said once for all parts in which it means the same."""
    texts: dict[str, list[str]] = {}
    for part, info in uses:
        texts.setdefault(_help(info.annotation, info.description, info.default), []).append(part)
    for text, having in texts.items():
        yield text if len(having) == count else f"[{', '.join(having)}] {text}"


def with_settings(function: F) -> F:
    """Give a command the study file and one option for each setting.

    The function receives the study as its first argument.
    """
    own = _own(function)

    def command(file: Path | None = None, /, **values: Any) -> Any:
        rest = {p.name: values.pop(p.name) for p in own if p.name in values}
        return function(study(file, values), **rest)

    file = inspect.Parameter(
        "file",
        inspect.Parameter.POSITIONAL_ONLY,
        default=None,
        annotation=Annotated[
            Path | None,
            Parameter(name="STUDY", help="Study file (YAML); options come on top of it."),
        ],
    )
    return _signed(command, function, [file, *own])


def on_top_of(base: Callable[..., dict[str, Any]]) -> Callable[[F], F]:
    """Give a command one option for each setting, on top of settings that it chooses itself.

    Args:
        base: Receives the command's own arguments by name and returns settings, nested. The
            function receives the study as its first argument.
    """

    def decorate(function: F) -> F:
        own = _own(function)

        def command(**values: Any) -> Any:
            rest = {p.name: values.pop(p.name) for p in own if p.name in values}
            given = {p.name: p.default for p in own} | rest
            return function(Study(**merge(base(**given), _nested(values))), **rest)

        return _signed(command, function, own)

    return decorate


def _own(function: Callable[..., Any]) -> list[inspect.Parameter]:
    """The arguments of a command beside the study."""
    return list(inspect.signature(function).parameters.values())[1:]


def _signed(command: Callable[..., Any], function: F, parameters: Sequence[inspect.Parameter]) -> F:
    """Let a command show the given parameters and one for each setting."""
    parameters = list(parameters)
    for path, annotation, text in schema():
        section, _, field = path.rpartition(".")
        option = path.replace("_", "-")
        switch = annotation is bool
        names = (f"--{option}", _SHORT[1]) if path == _SHORT[0] else (f"--{option}",)
        parameters.append(
            inspect.Parameter(
                path.replace(".", _SEPARATOR),
                inspect.Parameter.KEYWORD_ONLY,
                default=None,
                annotation=Annotated[
                    (bool if switch else str) | None,
                    Parameter(
                        name=names,
                        negative=f"--{section}.no-{field.replace('_', '-')}" if switch else "",
                        help=text,
                        show_default=False,
                        group=Group(section.capitalize() or "Study"),
                    ),
                ],
            )
        )
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {p.name: p.annotation for p in parameters}
    command.__doc__ = function.__doc__
    command.__name__ = function.__name__
    return command  # type: ignore[return-value]


def study(file: Path | None, values: dict[str, Any]) -> Study:
    """Make a study from a file and the options that were given."""
    overrides = _nested(values)
    if file is not None:
        return Study.read(file, **overrides)
    if not {"corpus", "model"} <= set(overrides):
        raise StudyError(
            "no study: give a study file (`isogloss init` writes one), or at least "
            "--corpus.source and --model.family"
        )
    return Study(**overrides)


def _nested(values: dict[str, Any]) -> dict[str, Any]:
    """Options that were given, by section."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        if value is None:
            continue
        section, _, field = name.rpartition(_SEPARATOR)
        (found.setdefault(section, {}) if section else found)[field] = value
    return found


def _help(annotation: Any, description: str | None, default: Any) -> str:
    words = list(_choices(annotation))
    text = description or ""
    if words:
        text += f" One of: {', '.join(words)}."
    if _is_default(default):
        text += f" [default: {show_value(default)}]"
    return text


def _choices(annotation: Any) -> Iterator[str]:
    if get_origin(annotation) is Literal:
        yield from (str(v) for v in get_args(annotation))


def _is_default(default: Any) -> bool:
    return type(default).__name__ != "PydanticUndefinedType" and default not in (None, "", ())


def show_value(default: Any) -> str:
    """A setting's value as one would type it."""
    if isinstance(default, tuple):
        return ",".join(str(v) for v in default)
    if isinstance(default, bool):
        return str(default).lower()
    return "" if default is None else str(default)
