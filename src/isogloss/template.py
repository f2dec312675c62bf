"""A study file to start from, made from the schema."""

import json
from collections.abc import Iterator
from textwrap import wrap
from typing import Any, Literal, get_args, get_origin

import yaml
from pydantic.fields import FieldInfo

from isogloss.corpora import CORPORA
from isogloss.models import MODELS
from isogloss.registry import Registry
from isogloss.settings import Settings
from isogloss.study import KINDS, Study

_WIDTH = 92
_REGISTRIES: dict[str, Registry[Any]] = {"corpus": CORPORA, "model": MODELS}


def template(corpus: str, model: str) -> str:
    """A commented YAML study with every setting of a corpus and a model.

    Settings without a default are left empty, to be filled in.

    Raises:
        StudyError: There is no such corpus or model.
    """
    parts: dict[str, tuple[str, str, type[Settings]]] = {
        "corpus": (KINDS["corpus"], corpus, CORPORA.get(corpus)),
        "model": (KINDS["model"], model, MODELS.get(model)),
    }
    lines = ["# An Isogloss study. `isogloss plan` says what it would do, `isogloss run` does it."]
    for name, info in Study.model_fields.items():
        lines += ["", *_comment(info, "")]
        if name not in parts:
            lines.append(f"{name}: {_value(info)}")
            continue
        key, kind, settings = parts[name]
        others = ", ".join(n for n in _REGISTRIES[name].names() if n != kind)
        lines += [
            f"{name}:",
            f"  # `isogloss init --{name}` writes the settings of another one:",
            *(f"  # {line}" for line in wrap(others, 90)),
            f"  {key}: {kind}",
        ]
        fields = [f for f in settings.model_fields.items() if f[0] != key]
        for field, declared in sorted(fields, key=lambda f: not f[1].is_required()):
            lines += _comment(declared, "  ")
            lines.append(f"  {field}: {_value(declared)}".rstrip())
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
    if isinstance(plain, str) and "\n" in plain:
        return json.dumps(plain, ensure_ascii=False)  # YAML would go on in the next line
    return yaml.safe_dump(plain, default_flow_style=True, allow_unicode=True).splitlines()[0]
