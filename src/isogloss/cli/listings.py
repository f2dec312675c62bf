"""Commands that list what there is."""

import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import Annotated, Any

from cyclopts import Parameter

from isogloss.analyses import ANALYSES
from isogloss.cli.display import show_table
from isogloss.cli.options import show_value
from isogloss.corpora import CORPORA
from isogloss.executors import EXECUTORS
from isogloss.languages import languages as known_languages
from isogloss.models import MODELS
from isogloss.registry import Registry
from isogloss.settings import Settings, own_first
from isogloss.similarity.measures import MEASURES
from isogloss.study import KINDS


def models(
    names: Annotated[
        tuple[str, ...], Parameter(help="Only these families, with their settings.")
    ] = (),
    /,
) -> None:
    """List the model families: checkpoints, licences, languages, taps, parameters and memory.

    With names, also the settings of these families.
    """
    parts = {n: MODELS.get(n) for n in names} if names else dict(_parts(MODELS))
    for name, part in parts.items():
        info = part.info
        facts = {
            "licence": info.licence,
            "checkpoints": info.checkpoints,
            "languages": info.languages,
            "taps": info.taps,
            "source": info.reference,
            "from": MODELS.origin(name),
        }
        show_table("", [name, info.title], [[k, v] for k, v in facts.items() if v])
    show_table(
        "Memory of the weights of the checkpoint named first, in GiB",
        ["family", "part", "parameters", "float32", "float16, bfloat16"],
        [row for name, part in parts.items() for row in _memory(name, part.info.parameters)],
    )
    if names:
        for name, part in parts.items():
            _options("model", name, part)
    else:
        print("`isogloss models NAME` has the settings of a family.")


def _memory(name: str, parameters: Sequence[tuple[str, int]]) -> Iterator[list[str]]:
    """A row for each part, and one for all of them."""
    if not parameters:
        yield [name, "each checkpoint's own", "", "", ""]
        return
    total = ("together", sum(count for _, count in parameters))
    for part, count in (*parameters, *([total] if len(parameters) > 1 else [])):
        sizes = [size * count / 2**30 for size in (4, 2)]
        yield [
            name,
            part,
            f"{count / 1e6:,.0f} M",
            *(f"{s:.1f}" if s > 1 else f"{s:.2f}" for s in sizes),
        ]


def corpora() -> None:
    """List the corpora, what they hold and their licences."""
    show_table(
        "",
        ["source", "what", "languages", "speech", "licence", "from"],
        [
            [
                n,
                (i := part.info).title,
                i.languages,
                i.speech,
                i.licence,
                CORPORA.origin(n),
            ]
            for n, part in _parts(CORPORA)
        ],
    )
    _settings(CORPORA)


def measures() -> None:
    """List the similarity measures with their properties and options."""
    parts = list(_parts(MEASURES))
    # One table of all properties would leave each column a few letters of a terminal's width.
    show_table(
        "",
        ["measure", "what", "range", "larger is", "widths", "symmetric"],
        [
            [
                n,
                (i := part.info).title,
                "{:g} to {:g}".format(*i.range),
                "more similar" if i.larger_is_more_similar else "less similar",
                "equal" if i.equal_width else "any",
                "yes" if i.symmetric else "no",
            ]
            for n, part in parts
        ],
    )
    show_table(
        "",
        ["measure", "invariant to", "cost"],
        [[n, ", ".join(sorted(part.info.invariances)), part.info.cost] for n, part in parts],
    )
    show_table(
        "",
        ["measure", "source", "from"],
        [[n, part.info.source, MEASURES.origin(n)] for n, part in parts],
    )
    _settings(MEASURES)


def analyses() -> None:
    """List the analyses, the question each answers, and its options."""
    show_table(
        "",
        ["analysis", "what", "question", "from"],
        [[n, part.title, part.question, ANALYSES.origin(n)] for n, part in _parts(ANALYSES)],
    )
    _settings(ANALYSES)


def executors() -> None:
    """List the executors: where work can run, what each needs, and its settings."""
    show_table(
        "",
        ["executor", "work runs in", "needs", "from"],
        [
            [n, part.info.title, part.info.needs, EXECUTORS.origin(n)]
            for n, part in _parts(EXECUTORS)
        ],
    )
    _settings(EXECUTORS)


def everything() -> None:
    """List all models, corpora, measures, analyses and executors, with their licences."""
    for title, command in (
        ("Models", models), ("Corpora", corpora), ("Measures", measures), ("Analyses", analyses),
        ("Executors", executors),
    ):  # fmt: skip
        print(f"\n{title}")
        command()


def languages(
    names: Annotated[
        tuple[str, ...],
        Parameter(help="Only these: any code of any system, or a set such as paper-sonar."),
    ] = (),
    /,
) -> None:
    """List the languages with their resource level and their codes."""
    from isogloss.languages import resolve

    table = known_languages()
    chosen = [table[code] for code in resolve(names)] if names else list(table.values())
    show_table(
        "",
        [
            "code",
            "name",
            "script",
            "family",
            "resource",
            "Seamless/SALMONN",
            "SONAR",
            "FLEURS",
            "FLORES-200",
            "Whisper",
            "espeak-ng",
        ],
        [
            [
                x.code,
                x.name,
                x.script,
                x.family,
                x.resource,
                "yes" if x.in_seamless_salmonn else "",
                "yes" if x.in_sonar else "",
                x.fleurs,
                x.flores200,
                x.whisper,
                x.espeak,
            ]
            for x in chosen
        ],
    )


def _parts(registry: Registry[Any]) -> Iterable[tuple[str, Any]]:
    """All parts that work; the others are named on standard error."""
    parts, broken = registry.loadable()
    for message in broken:
        print(f"warning: {message}", file=sys.stderr)
    return parts.items()


def _settings(registry: Registry[Any]) -> None:
    rows = [[name, *row] for name, part in _parts(registry) for row in _fields(part)]
    if rows:
        show_table("Options", [registry.kind, "option", "default", "what it does"], rows)


def _options(kind: str, name: str, part: type[Settings]) -> None:
    rows = list(_fields(part))
    if rows:
        show_table(f"Settings of the {kind} {name}", ["setting", "default", "what it does"], rows)


def _fields(part: type[Settings]) -> Iterator[list[str]]:
    """Name, default and help of every setting."""
    for field, info in own_first(part).items():
        if field not in KINDS.values():
            default = "required" if info.is_required() else show_value(info.get_default())
            yield [field, default, info.description or ""]
