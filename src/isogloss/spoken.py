"""Which of the selected languages a model knows."""

from collections.abc import Sequence
from dataclasses import replace

from isogloss.corpora.base import Dropped, Selection
from isogloss.errors import ModelError
from isogloss.languages import language, resolve
from isogloss.models.base import ModelSource


def spoken(selection: Selection, model: ModelSource, names: Sequence[str]) -> Selection:
    """Leave out what the model does not speak, unless it was asked for by name.

    Args:
        selection: What is used of the corpus.
        model: The model.
        names: Languages that were asked for; all of the corpus if empty.

    Raises:
        ModelError: A language that was named, itself or as part of a set, is none of the model's.
    """
    takes = model.speaks()
    foreign = [key for key in selection.items if not _known(takes[key[1]], key[0])]
    if not foreign:
        return selection
    called = ", ".join(f"{language(code).name} ({code}) as {m}" for code, m in foreign)
    reason = f"{model.title()} does not know this language in this modality"
    if set(resolve(names)) & {code for code, _ in foreign}:
        raise ModelError(f"{model.title()} does not know {called}. {model.swap}")
    dropped = [
        Dropped(code, u.sentence, m, reason, u.origin)
        for code, m in foreign
        for u in selection.items[code, m]
    ]
    items = {key: found for key, found in selection.items.items() if key not in foreign}
    return replace(selection, items=items, dropped=(*selection.dropped, *dropped))


def _known(codes: frozenset[str] | None, code: str) -> bool:
    return codes is None or code in codes
