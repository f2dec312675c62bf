"""Write docs/reference.md from the code: `python docs/generate.py`. A test compares the two."""

from pathlib import Path
from typing import Any

from isogloss.analyses import ANALYSES
from isogloss.cli import app
from isogloss.cli.options import show_value
from isogloss.corpora import CORPORA
from isogloss.executors import EXECUTORS
from isogloss.models import MODELS
from isogloss.registry import Registry
from isogloss.results import MEANING, MEANS, SCHEMA
from isogloss.settings import Settings, own_first, role_of
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
        (
            "Executors",
            EXECUTORS,
            "`executor: processes`, or a section in which `kind` names one and its settings stand "
            "beside it; see [executors.md](executors.md).",
        ),
    ):
        parts.append(f"## {title}\n\n{intro}\n")
        parts += [_part(registry, name) for name in registry.names()]
    parts.append("## Columns of the results\n\n| column | what it holds |\n|---|---|")
    parts += [f"| `{c}` | {MEANING[c]} |" for c in SCHEMA]
    parts.append(
        "\n## Columns of the means\n\nTables in `results/means` have a row for each curve and "
        "place: the mean over languages, or pairs of them. `score`, `calibrated` and "
        "`baseline` are means, `low` and `high` the ends of a 95 % interval by a jackknife over "
        "languages, and the p-values are those of the mean.\n\n"
        "| column | what it holds |\n|---|---|"
    )
    parts += [f"| `{c}` | {MEANING[c]} |" for c in MEANS]
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
        about = _measure(part.info)
    elif hasattr(part.info, "licence"):
        about = f"{part.info.title}. Licence: {part.info.licence}"
    elif hasattr(part.info, "needs"):
        about = f"Work runs in {part.info.title}. Needs: {part.info.needs}."
    return f"### `{name}`\n\n{about}\n\n{_table(part, tuple(KINDS.values()))}"


def _measure(info: Any) -> str:
    low, high = info.range
    better = "larger" if info.larger_is_more_similar else "smaller"
    facts = [
        f"Range {low:g} to {high:g}, {better} is more similar.",
        f"Invariant to: {', '.join(sorted(info.invariances)) or 'nothing'}.",
        "Views must have the same width." if info.equal_width else "Views may differ in width.",
        "" if info.symmetric else "Exchanging the views changes the score.",
        f"Cost of a pair: {info.cost}." if info.cost else "",
    ]
    return f"{info.title}. Source: {info.source}\n\n{' '.join(filter(None, facts))}"


def _table(settings: type[Settings], skip: tuple[str, ...]) -> str:
    rows = ["| setting | default | role | what it does |", "|---|---|---|---|"]
    for name, info in own_first(settings).items():
        if name in skip:
            continue
        default = "required" if info.is_required() else f"`{show_value(info.get_default())}`"
        text = (info.description or "").replace("|", "\\|").replace("<", "&lt;")
        empty = "" if default == "``" else default
        rows.append(f"| `{name}` | {empty} | {role_of(settings, name)} | {text} |")
    return "\n".join(rows) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
