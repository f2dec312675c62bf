"""Where the token statistics of a run come from: sentences, a tokeniser, and what was kept."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import polars as pl

from isogloss.analyses.base import Material
from isogloss.corpora import CORPORA
from isogloss.errors import CorpusError, IsoglossError, ModelError
from isogloss.events import task
from isogloss.fragmentation import fragments, shared_tokens
from isogloss.languages import language
from isogloss.models import MODELS
from isogloss.models.base import ModelSource
from isogloss.settings import digest

STUDY = "study"
_FORMAT = 1
_TASK = "tokens"

Texts = dict[str, dict[str, str]]


def statistics(
    material: Material, languages: Sequence[str], *, corpus: str, split: str, tokenizer: str | None
) -> pl.DataFrame:
    """Count tokens, or give what was counted before.

    Args:
        material: The run.
        languages: ISO 639-3 codes.
        corpus: ``"study"``, or the folder of FLORES.
        split: Which part of FLORES.
        tokenizer: File, folder or hub id; the model's own if None.

    Returns:
        Rows of kind ``pair`` with the columns of :func:`shared_tokens`, and of kind ``language``
        with those of :func:`fragments`.

    Raises:
        IsoglossError: The sentences or the tokeniser cannot be read, and were not before.
    """
    texts: Callable[[], Texts] = _Once(lambda: _texts(material, languages, corpus, split))
    # An earlier run may have counted what is no longer there, such as FLORES or the checkpoint.
    of_texts = _known(
        material, ["texts", corpus, split, sorted(languages)], lambda: digest(texts())
    )
    of_tokens = _tokeniser_identity(material, tokenizer)
    identity = ["token statistics", _FORMAT, of_texts, of_tokens]
    return material.part(identity, lambda: _count(material, texts(), tokenizer))


class _Once:
    """Keeps what a function gives."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make, self._made = make, None

    def __call__(self) -> Any:
        if self._made is None:
            self._made = self._make()
        return self._made


def _known(material: Material, what: list[Any], find: Callable[[], str]) -> str:
    """The digest of a content, or what it was when it was last there for the first time."""
    try:
        now = find()
    except IsoglossError:
        now = ""

    def kept() -> pl.DataFrame:
        return pl.DataFrame({"digest": [now or find()]})

    before = str(material.part(["content", *what], kept)["digest"][0])
    return now or before


def _texts(material: Material, languages: Sequence[str], corpus: str, split: str) -> Texts:
    found: Texts = {name: {} for name in languages}
    if corpus == STUDY:
        for name in languages:
            for sentence in material.contents.sentences.get((name, "text"), ()):
                text = material.texts.get((name, sentence), "")
                if text.strip():
                    found[name][sentence] = text
        if not any(found.values()):
            raise CorpusError(
                "the run does not hold the texts of its sentences, as it was made by an earlier "
                "version; run the study again, or name the folder of FLORES: "
                "tokens(corpus=FOLDER)"
            )
        return found
    kind: Any = CORPORA.get("flores")
    source = kind(path=corpus, split=split, languages=tuple(languages), modalities=("text",))
    for utterance in source.load().utterances:
        if utterance.language in found and (utterance.text or "").strip():
            found[utterance.language][utterance.sentence] = str(utterance.text)
    if sum(map(bool, found.values())) < 2:
        raise CorpusError(f"{corpus} has sentences of fewer than two of the run's languages")
    return found


def _tokeniser_identity(material: Material, tokenizer: str | None) -> Any:
    if tokenizer is None:
        version = MODELS.version(material.model["family"])
        return [version, material.model["checkpoint"], material.source().identity()]
    from isogloss.models._text_tokens import fingerprint

    return _known(material, ["tokenizer", tokenizer], lambda: fingerprint(tokenizer))


def _tokeniser(source: ModelSource, tokenizer: str | None) -> Callable[..., Sequence[int]]:
    if tokenizer is not None:
        from isogloss.models._text_tokens import find_tokens

        return find_tokens(tokenizer)
    own = source.tokeniser()
    if own is None:
        raise ModelError(
            "the model has no tokeniser of text; name one: tokens(tokenizer=FILE, FOLDER or hub id)"
        )
    return own


def _count(
    material: Material, texts: Mapping[str, Mapping[str, str]], tokenizer: str | None
) -> pl.DataFrame:
    try:
        split = _tokeniser(material.source(), tokenizer)
    except IsoglossError as error:
        raise ModelError(f"the tokeniser cannot be read: {error}") from error
    ids: dict[str, dict[str, Sequence[int]]] = {}
    with task(material.events, _TASK, sum(map(len, texts.values())), "sentence"):
        for name, own in texts.items():
            ids[name] = _ids(split, name, own)
            material.events.advance(_TASK, len(own), name)
    parts = {
        "pair": shared_tokens(ids),
        "language": fragments(texts, ids, getattr(split, "kind", None)),
    }
    rows = [frame.with_columns(kind=pl.lit(kind)) for kind, frame in parts.items()]
    return pl.concat(rows, how="diagonal")


def _ids(
    split: Callable[..., Sequence[int]], name: str, texts: Mapping[str, str]
) -> dict[str, Sequence[int]]:
    """Tokens of each sentence; none where the tokeniser refuses it."""
    spoken, found = language(name), dict[str, Sequence[int]]()
    for sentence, text in texts.items():
        try:
            found[sentence] = split(text, spoken)
        except IsoglossError:
            found[sentence] = ()
    return found
