"""What all settings share: frozen, no unknown keys, and every field has a role.

The role says what a change of the field means for work already done:

* ``identity``: it changes stored activations, so another value is another study;
* ``scope``: it changes which activations are wanted; those that exist stay valid;
* ``analysis``: it changes results but no activation;
* ``runtime``: it changes no number at all.
"""

import hashlib
import json
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Role = Literal["identity", "scope", "analysis", "runtime"]


class Settings(BaseModel):
    """Base of the study and of every part of it."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)


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


def by_role(settings: Settings, *roles: Role) -> dict[str, Any]:
    """The fields of the given roles, JSON-able, with their values."""
    values = settings.model_dump(mode="json")
    return {k: v for k, v in values.items() if role_of(type(settings), k) in roles}


def digest(value: Any) -> str:
    """SHA-256 of a JSON-able value in canonical form."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
