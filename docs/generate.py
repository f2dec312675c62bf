"""Write docs/reference.md from the code: `python docs/generate.py`. A test compares the two."""

from pathlib import Path
from typing import Any

from isogloss.analyses import ANALYSES
from isogloss.cli import app
from isogloss.cli.options import show_value
from isogloss.corpora import CORPORA
from isogloss.models import MODELS
from isogloss.registry import Registry
from isogloss.results import MEANING, SCHEMA
from isogloss.settings import Settings, role_of
from isogloss.similarity.measures import MEASURES
from isogloss.study import KINDS, Study

PAGE = Path(__file__).parent / "reference.md"
_HEAD = """# Reference

Made from the code by `python docs/generate.py`. A study file, the options of `isogloss run` and
`isogloss plan` (`--corpus.languages eng,deu`) and the arguments of `isogloss.Study` have the same
names. The role of a setting says what a change of it means for work already done: `identity`
changes activations, `scope` changes which activations are wanted, `analysis` changes results only,
`runtime` changes no number.
"""


def page() -> str:
    """The whole page."""
    parts = [_HEAD, _commands(), "## Study\n", _table(Study, ())]
    for title, registry, intro in (
        ("Corpora", CORPORA, "`corpus.source` names one; its other settings stand beside it."),
        ("Models", MODELS, "`model.family` names one; its other settings stand beside it."),
        (
            "Measures",
            MEASURES,
            "Written in one line with the options that differ from the default, such as "
            "`svcca(share=0.95, rule=linear)`. The results name a measure with all its options.",
        ),
        (
            "Analyses",
            ANALYSES,
            "Written like measures, such as `cross_modal(pairs=all)`.",
        ),
    ):
        parts.append(f"## {title}\n\n{intro}\n")
        parts += [_part(registry, name) for name in registry.names()]
    parts.append("## Columns of the results\n\n| column | what it holds |\n|---|---|")
    parts += [f"| `{c}` | {MEANING[c]} |" for c in SCHEMA]
    return "\n".join(parts) + "\n"


def _commands() -> str:
    rows = ["## Commands\n", "| command | what it does |", "|---|---|"]
    for name in sorted(n for n in app if not n.startswith("-")):
        sub = app[name]
        rows.append(f"| `isogloss {name}` | {sub.help} |")
        rows += [
            f"| `isogloss {name} {inner}` | {sub[inner].help} |"
            for inner in sub
            if not inner.startswith("-")
        ]
    rows.append("\n`isogloss COMMAND --help` lists the options of a command.\n")
    return "\n".join(rows)


def _part(registry: Registry[Any], name: str) -> str:
    part = registry.get(name)
    about = (part.__doc__ or "").strip().splitlines()[0]
    if registry is ANALYSES:
        about = f"{part.title}. {part.question}"
    elif hasattr(part.info, "source"):
        about = f"{part.info.title}. Source: {part.info.source}"
    elif hasattr(part.info, "licence"):
        about = f"{part.info.title}. Licence: {part.info.licence}"
    return f"### `{name}`\n\n{about}\n\n{_table(part, tuple(KINDS.values()))}"


def _table(settings: type[Settings], skip: tuple[str, ...]) -> str:
    rows = ["| setting | default | role | what it does |", "|---|---|---|---|"]
    for name, info in settings.model_fields.items():
        if name in skip:
            continue
        default = "required" if info.is_required() else f"`{show_value(info.get_default())}`"
        text = (info.description or "").replace("|", "\\|").replace("<", "&lt;")
        empty = "" if default == "``" else default
        rows.append(f"| `{name}` | {empty} | {role_of(settings, name)} | {text} |")
    return "\n".join(rows) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
