"""A measure or an analysis written in one line: ``svcca(share=0.95, rule=linear)``.

The same line stands in the study file, on the command line and in the results, where it says with
which options a number was computed.
"""

import json
import re
from typing import Any, TypeVar

from isogloss import plain_yaml
from isogloss.errors import StudyError
from isogloss.registry import Registry
from isogloss.settings import Settings, check_keys, own_first

S = TypeVar("S", bound=Settings)

LONGEST = 4096
"""Characters of the longest line."""
_BARE = re.compile(r"[\w./+-][\w./+ -]*[\w./+-]|[\w./+-]")
"""Text that needs no quotes."""
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"')
_SPEC = re.compile(r"\s*([\w-]+)\s*(?:\((.*)\))?\s*", re.DOTALL)


def parse(registry: Registry[S], value: Any) -> S:
    """Make a part from its line, from a ``{name: {option: value}}`` mapping, or leave it as it is.

    Raises:
        StudyError: The name, an option or a value is unknown; the nearest match is named.
    """
    if isinstance(value, registry.base):
        return value
    if isinstance(value, dict) and len(value) == 1:
        (name, options), *_ = value.items()
        options = {} if options is None else options
    else:
        name, options = _read(registry.kind, str(value))
    if not isinstance(options, dict):
        raise StudyError(
            f'{registry.kind} "{name}": options are written as key and value, '
            f"such as {name}(option=value); got {options!r}"
        )
    check_keys(options, str(name))
    try:
        return registry.get(str(name))(**options)
    except StudyError as error:
        raise StudyError(f"{registry.kind} {value!r}: {error}" if options else str(error)) from None


def write(registry: Registry[S], part: S, *, defaults: bool = True) -> str:
    """The line of a part, with all its options or only those that are not at their default."""
    name = registry.name_of(type(part))
    options = part.model_dump(mode="json", exclude_defaults=not defaults)
    order = own_first(type(part))
    inside = ", ".join(f"{k}={_plain(options[k])}" for k in order if k in options)
    return f"{name}({inside})" if inside else name


def short(registry: Registry[S], line: str) -> str:
    """A line with no more than the options that are not at their default."""
    return write(registry, parse(registry, line), defaults=False)


def split(text: str) -> list[str]:
    """Split a list of lines at the commas that stand outside brackets and double quotes.

    >>> split("svcca(share=0.9, rule=linear), cka")
    ['svcca(share=0.9, rule=linear)', 'cka']

    Raises:
        StudyError: It is longer than any list of parts.
    """
    if len(text) > 8 * LONGEST:
        raise StudyError(f"a list of parts is at most {8 * LONGEST} characters, not {len(text)}")
    parts, depth, start = [], 0, 0
    blank = _QUOTED.sub(lambda found: " " * len(found[0]), text)
    for i, character in enumerate(blank):
        depth += (character in "([{") - (character in ")]}")
        if character == "," and depth == 0:
            parts.append(text[start:i])
            start = i + 1
    return [p.strip() for p in [*parts, text[start:]] if p.strip()]


def _read(kind: str, text: str) -> tuple[str, dict[str, Any]]:
    if len(text) > LONGEST:
        raise StudyError(f"a {kind} is written in at most {LONGEST} characters, not {len(text)}")
    match = _SPEC.fullmatch(text)
    if match is None:
        raise StudyError(f'{kind} "{text}" is not written as name or name(option=value, …)')
    name, inside = match.groups()
    options: dict[str, Any] = {}
    for part in split(inside or ""):
        key, equals, value = part.partition("=")
        if not equals:
            raise StudyError(f'{kind} "{text}": "{part}" is not written as option=value')
        try:
            options[key.strip()] = plain_yaml.parse(value)
        except ValueError as error:
            raise StudyError(
                f'{kind} "{text}": the value of {key.strip()} cannot be read: it {error}'
            ) from None
    return name, options


def _plain(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return f"[{', '.join(_plain(v) for v in value)}]"
    text = str(value)
    if isinstance(value, str) and not (_BARE.fullmatch(text) and _is_plain(text)):
        # A JSON string is a YAML string too, and holds commas and brackets of a path.
        return json.dumps(text, ensure_ascii=False)
    return text


def _is_plain(text: str) -> bool:
    """Whether YAML reads a text as text, or as a number, which settings of text take too."""
    try:
        value = plain_yaml.parse(text)
    except ValueError:  # such as a date that is none
        return False
    return isinstance(value, str | int | float) and not isinstance(value, bool)
