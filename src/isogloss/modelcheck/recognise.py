"""From what a user writes to a model: a family with its settings, or a checkpoint alone."""

import re
from pathlib import Path
from typing import Any

from isogloss import specs
from isogloss.errors import ModelError, StudyError, choices, unknown
from isogloss.models import MODELS, ModelSource
from isogloss.models._checkpoint import find

_LINE = re.compile(r"\s*([\w-]+)\s*(\(.*\))?\s*", re.DOTALL)


def recognise(name: str, **settings: Any) -> ModelSource:
    """Make a model from ``family``, ``family(setting=value, …)``, a folder, or a hub id.

    The family of a checkpoint is the one that declares its ``model_type`` in
    :attr:`~isogloss.models.base.ModelSource.handles`.

    Args:
        name: What the user wrote. A family's name wins over a folder of that name.
        settings: Settings that replace what was written, such as ``dtype="float16"``.

    Raises:
        StudyError: There is no such family or setting, or a value is wrong.
        ModelError: It is no checkpoint, or none that a family recognises.
    """
    line = _LINE.fullmatch(name)
    if line and (line[1] in MODELS.names() or (line[2] and not Path(name).exists())):
        made = specs.parse(MODELS, name)
        return type(made)(**{**_given(made), **settings}) if settings else made
    if line and not Path(name).exists():
        raise StudyError(
            f"{unknown('model', name, MODELS.names())}. A checkpoint is given by its folder or "
            "by its hub id, owner/name"
        )
    return _of_checkpoint(name, settings)


def _given(made: ModelSource) -> dict[str, Any]:
    return {field: getattr(made, field) for field in made.model_fields_set}


def _of_checkpoint(name: str, settings: dict[str, Any]) -> ModelSource:
    if Path(name).expanduser().is_file():
        raise ModelError(
            f"{name} is a single file, which does not say its family; write it as one of "
            f"{choices(f'{family}(…)' for family in MODELS.names())}. `isogloss models` says how "
            "each names its files"
        )
    kind = find(name).model_type
    parts, broken = MODELS.loadable()
    able = [family for family, part in parts.items() if kind in part.handles]
    if len(able) == 1:
        return specs.parse(MODELS, {able[0]: {"checkpoint": name, **settings}})
    if able:
        written = choices(f"{family}(checkpoint={name})" for family in able)
        raise ModelError(f'{name} is a "{kind}" model, which several families read: {written}')
    known = sorted({handled for part in parts.values() for handled in part.handles})
    raise ModelError(
        f'{name} is a "{kind}" model, and no family reads such a checkpoint by itself. '
        f"They read: {choices(known, 30)}. An encoder is checked beside another one, as "
        "towers(text=…, speech=…)" + (f". Could not be asked: {choices(broken)}" if broken else "")
    )
