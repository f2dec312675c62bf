"""A study file to start from, made from the schema."""

from collections.abc import Iterator
from textwrap import wrap
from typing import Any, Literal, get_args, get_origin

import yaml
from pydantic.fields import FieldInfo

from isogloss.corpora import CORPORA
from isogloss.models import MODELS
from isogloss.settings import Settings
from isogloss.study import Study

_WIDTH = 92


def template(corpus: str, model: str) -> str:
    """A commented YAML study with every setting of a corpus and a model.

    Settings without a default are left empty, to be filled in.

    Raises:
        StudyError: There is no such corpus or model.
    """
    parts: dict[str, tuple[str, str, type[Settings]]] = {
        "corpus": ("source", corpus, CORPORA.get(corpus)),
        "model": ("family", model, MODELS.get(model)),
    }
    lines = ["# An Isogloss study. `isogloss plan` says what it would do, `isogloss run` does it."]
    for name, info in Study.model_fields.items():
        lines += ["", *_comment(info, "")]
        if name not in parts:
            lines.append(f"{name}: {_value(info)}")
            continue
        key, kind, settings = parts[name]
        lines.append(f"{name}:")
        for field, declared in settings.model_fields.items():
            lines += _comment(declared, "  ")
            value = kind if field == key else _value(declared)
            lines.append(f"  {field}: {value}".rstrip())
    return "\n".join(lines) + "\n"


def _comment(info: FieldInfo, indent: str) -> Iterator[str]:
    text = info.description or ""
    if get_origin(info.annotation) is Literal:
        text += f" One of: {', '.join(map(str, get_args(info.annotation)))}."
    for line in wrap(text, _WIDTH):
        yield f"{indent}# {line}"


def _value(info: FieldInfo) -> str:
    if info.is_required():
        return ""
    default: Any = info.get_default(call_default_factory=True)
    if default is None:
        return "null"
    plain = list(default) if isinstance(default, tuple) else default
    if not isinstance(plain, bool | int | float | list):
        plain = str(plain)
    return yaml.safe_dump(plain, default_flow_style=True, allow_unicode=True).splitlines()[0]
