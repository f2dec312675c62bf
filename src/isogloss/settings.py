"""What all settings share: frozen, no unknown keys, and every field has a role.

The role says what a change of the field means for work already done:

* ``identity``: it changes stored activations, so another value is another study;
* ``scope``: it changes which activations are wanted, and so which units must be made;
* ``analysis``: it changes results but no activation;
* ``runtime``: it changes no number at all.
"""

import hashlib
import json
from inspect import get_annotations
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from isogloss.errors import StudyError, choices, unknown

Role = Literal["identity", "scope", "analysis", "runtime"]


class Settings(BaseModel):
    """Base of the study and of every part of it.

    Raises:
        StudyError: A key is unknown or a value is not valid, one line for each.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    section: ClassVar[str] = ""
    """Where these settings stand in a study file, for messages."""

    if not TYPE_CHECKING:

        def __init__(self, **values: Any) -> None:
            try:
                super().__init__(**values)
            except ValidationError as error:
                lines = [_explain(type(self), e) for e in error.errors()]
                raise StudyError("\n".join(dict.fromkeys(lines))) from None


def _explain(settings: type[Settings], error: ErrorDetails) -> str:
    """Say in one line what pydantic found wrong."""
    key = str(error["loc"][0]) if error["loc"] else ""
    path = ".".join(p for p in (settings.section, key) if p)
    value, kind = error["input"], error["type"]
    if kind == "extra_forbidden":
        where = f' of "{settings.section}"' if settings.section else ""
        return unknown(f"key{where}", key, settings.model_fields)
    if kind == "missing":
        return f'"{path}" is required: {settings.model_fields[key].description}'
    if kind == "literal_error":
        valid = error["ctx"]["expected"].replace("'", "").replace(" or ", ", ").split(", ")
        return f"{path}: " + unknown("value", value, valid)
    if kind == "value_error":
        return f"{path}: {error['ctx']['error']}"
    if value is None:
        return f"{path} is empty: {settings.model_fields[key].description}"
    return f"{path}: {error['msg'][0].lower()}{error['msg'][1:]}, got {value!r}"


def check_keys(values: dict[Any, Any], section: str = "") -> None:
    """Refuse keys that YAML did not read as text.

    Raises:
        StudyError: A key is a number or a truth value.
    """
    for key in values:
        if not isinstance(key, str):
            where = f' of "{section}"' if section else ""
            raise StudyError(
                f"the key {key!r}{where} is not text; YAML reads an unquoted yes, no, on or off as "
                "a truth value"
            )


def split_names(value: Any) -> Any:
    """Let a list of names be written ``a,b`` or ``[a, 1]`` as well as ``[a, "1"]``."""
    if isinstance(value, str):
        # As YAML writes it; on the command line it is text.
        value = "" if value.strip() == "[]" else value
        value = [part.strip() for part in value.split(",") if part.strip()]
    if not isinstance(value, list | tuple):
        return value
    for item in value:
        if isinstance(item, bool):
            raise ValueError(
                f"YAML reads an unquoted yes, no, on or off as {str(item).lower()}; "
                'write it in quotes, such as "no"'
            )
    return tuple(str(v) if isinstance(v, int) else v for v in value)


Names = Annotated[tuple[str, ...], BeforeValidator(split_names)]
"""A list of names; a comma-separated string is taken too."""


def one_of_or_names(*words: str) -> BeforeValidator:
    """A validator for ``word | Names`` fields that keeps the given words as they are."""
    return BeforeValidator(lambda value: value if value in words else split_names(value))


def setting(default: Any = ..., *, role: Role, help: str, **rules: Any) -> Any:  # noqa: A002
    """Declare a field of a :class:`Settings` class.

    Args:
        default: Its value when the user says nothing; required if left out.
        role: What a change of it means for work already done.
        help: One sentence for the command line's help and the study file.
        rules: Further arguments of :func:`pydantic.Field`, such as ``gt=0``.
    """
    return Field(default, description=help, json_schema_extra={"role": role}, **rules)


def role_of(settings: type[Settings], field: str) -> Role:
    """Return the declared role of a field.

    Raises:
        TypeError: The field was declared without :func:`setting`.
    """
    extra = settings.model_fields[field].json_schema_extra
    if not isinstance(extra, dict) or "role" not in extra:
        raise TypeError(f"{settings.__name__}.{field} has no role; declare it with setting()")
    return extra["role"]  # type: ignore[return-value]


def own_first(settings: type[Settings]) -> dict[str, FieldInfo]:
    """All fields, those of a class before those that it shares with others of its kind."""
    order = {name: None for base in settings.__mro__ for name in get_annotations(base)}
    return {name: settings.model_fields[name] for name in order if name in settings.model_fields}


def by_role(settings: Settings, *roles: Role) -> dict[str, Any]:
    """The fields of the given roles, JSON-able, with their values."""
    values = settings.model_dump(mode="json")
    return {k: v for k, v in values.items() if role_of(type(settings), k) in roles}


def digest(value: Any) -> str:
    """SHA-256 of a JSON-able value in canonical form."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def difference(old: dict[str, Any], new: dict[str, Any], prefix: str = "") -> list[str]:
    """Name the keys in which two nested dicts differ, with both values.

    >>> difference({"a": {"b": 1}}, {"a": {"b": 2}})
    ['a.b (1 there, 2 now)']
    """
    found: list[str] = []
    for key in sorted({*old, *new}):
        a, b, path = old.get(key), new.get(key), f"{prefix}{key}"
        if isinstance(a, dict) and isinstance(b, dict):
            found += difference(a, b, f"{path}.")
        elif a != b:
            found.append(f"{path} ({_short(a)} there, {_short(b)} now)")
    return found


def _short(value: Any) -> str:
    if isinstance(value, list):
        return choices(value, 6)
    text = "nothing" if value in (None, "") else str(value)
    return text if len(text) <= 48 else f"{text[:45]}…"
