"""What ``isogloss demo`` does: a small model that has learned, beside the same one untrained."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from isogloss import api
from isogloss.beside import keep
from isogloss.events import Events, Silent
from isogloss.models._bundled import DEMO, TWIN
from isogloss.runs import Run
from isogloss.study import Study

LANGUAGES = ("cmn", "eng", "fin", "fra", "hye", "kat", "mar", "rus", "swh", "tur")
"""Ten languages of six families and six scripts; the model was trained on uneven amounts of them,
after the resource levels of the study."""

SENTENCES = 200
"""Of the 240 that the corpus has: the demo should be over in minutes."""

NAMES = ("trained", "untrained")
SPLITS = 8
"""Halves of the sentences behind the intervals of the comparison; more take longer."""


def demo_study(
    output: Path = Path("isogloss-demo"),
    *,
    languages: str | None = None,
    sentences: int | None = None,
    checkpoint: str = DEMO,
    **settings: Any,
) -> Study:
    """Bundled sentences through the small model that comes with Isogloss.

    Args:
        output: Output folder.
        languages: Fewer languages of the corpus, comma-separated.
        sentences: Use only the first so many sentences; 200 if None.
        checkpoint: ``"demo"``, or ``"demo-untrained"``.
        settings: Further fields of the study.
    """
    return Study(
        title="Isogloss demo",
        corpus={
            "source": "lists",
            "languages": languages or LANGUAGES,
            "sentences": SENTENCES if sentences is None else sentences,
        },
        model={"family": "seamless", "checkpoint": checkpoint},
        output=output,
        **settings,
    )


def run_demo(
    output: Path = Path("isogloss-demo"),
    *,
    languages: str | None = None,
    sentences: int | None = None,
    events: Events | None = None,
) -> api.Outcome:
    """Run the demo: the trained model, the untrained one, and the two beside each other.

    The untrained one goes to the folder ``untrained`` within the output. The report of the trained
    one shows both.

    Args:
        output: Output folder.
        languages: Fewer languages of the corpus, comma-separated.
        sentences: Use only the first so many sentences.
        events: Receives progress.

    Returns:
        What the run of the trained model gave; ``failed`` names the units of both.

    Raises:
        IsoglossError: As for :func:`isogloss.run`.
    """
    events = events or Silent()
    asked: dict[str, Any] = {"languages": languages, "sentences": sentences}
    trained = demo_study(output, **asked)
    # Only what is set beside the trained model; the comparison finds the intervals.
    twin = demo_study(
        output / "untrained",
        checkpoint=TWIN,
        analyses=("cross_modal", "cross_lingual"),
        interval="none",
        **asked,
    )
    outcome = api.run(trained, events, report=False)
    other = api.run(twin, events, report=False)
    keep(Run.read(output), twin.output, names=NAMES, taps=("last",), splits=SPLITS, events=events)
    report = api.report_or_warning(output, events)
    return replace(outcome, failed=(*outcome.failed, *other.failed), report=report)
