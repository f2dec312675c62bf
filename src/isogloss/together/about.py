"""What every report on several runs says of them, whatever it compares."""

from collections.abc import Iterator, Sequence

from isogloss import __version__
from isogloss.report import Banner, Column, Table
from isogloss.report.sections import COUNTED, SYNTHETIC, called
from isogloss.together.ground import Ground
from isogloss.together.models import Model, joined


def checkpoint(model: Model) -> str:
    """Name where a model's weights are from; the beginning of their digests if nothing is named."""
    settings = model.run.study["model"]
    found = [str(settings[k]) for k in ("checkpoint", "text", "speech") if settings.get(k)]
    return ", ".join(found) or ", ".join(f"{k} {v[:12]}" for k, v in _digests(model))


def banners(models: Sequence[Model]) -> Iterator[Banner]:
    """Random weights, and synthetic speech."""
    untrained = [m.name for m in models if m.run.model["untrained"]]
    if untrained:
        yield Banner(
            "warning",
            f"The weights of {joined(untrained)} are random: nothing was ever learned. "
            "Scores above chance are what any network passes on of its input: letters, sounds, "
            "length.",
        )
    if any(m.run.corpus["synthetic_speech"] for m in models):
        yield SYNTHETIC


def counts(models: Sequence[Model], ground: Ground, shared: str) -> Table:
    """Sentences by language and modality.

    Args:
        models: The runs.
        ground: What they share.
        shared: Whose the shared sentences are.
    """
    columns = (
        *COUNTED,
        Column("shared", "integer", f"Sentences that {shared} have"),
        *(Column(m.name, "integer", "Sentences of this run") for m in models),
    )
    rows = []
    for (code, modality), ids in sorted(ground.sentences.items()):
        own = [m.contents.sentences.get((code, modality)) for m in models]
        amounts = [None if s is None else len(s) for s in own]
        rows.append((code, *called(code), modality, len(ids), *amounts))
    return Table("What was compared", columns, tuple(rows))


def corpus_notes(models: Sequence[Model]) -> Iterator[str]:
    """What the corpus has to say for itself, once."""
    yield from dict.fromkeys(note for m in models for note in m.run.corpus["notes"])
    corpus = models[0].run.corpus
    yield f"The corpus: {corpus['description']} Licence: {corpus['licence']}."


def environment(models: Sequence[Model], *more: tuple[str, str]) -> tuple[tuple[str, str], ...]:
    """When and with what each run was made, and what wrote the report."""
    found = []
    for m in models:
        found.append((f"{m.name}: made", m.run.made))
        found += [(f"{m.name}: checkpoint {key}", value) for key, value in _digests(m)]
        for key in ("isogloss", "torch", "transformers"):
            if key in m.run.environment:
                found.append((f"{m.name}: {key}", str(m.run.environment[key])))
    return (*found, *more, ("report by", f"isogloss {__version__}"))


def _digests(model: Model) -> list[tuple[str, str]]:
    return [(str(k), str(v)) for k, v in model.run.model["checkpoint"].items()]
