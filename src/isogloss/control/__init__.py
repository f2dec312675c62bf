"""The control of a run in which texts were encoded together with speech.

In a causal model the text comes after the speech and is computed with it in view. A second run, in
which every text follows another sentence's recording, shows how much of the similarity came in
that way. What is needed of it is copied beside the run, so that the report stays whole when the
control is moved or deleted.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from isogloss.errors import IsoglossError, choices
from isogloss.models import MODELS
from isogloss.results import parquet, parsed, read
from isogloss.runs import Run
from isogloss.settings import role_of
from isogloss.storage import listed, sealing

__all__ = ["Control", "keep", "kept"]

FOLDER = "control"
SAME, OTHER = "same", "other"


@dataclass(frozen=True)
class Control:
    """What a run is set beside."""

    means: pl.DataFrame
    """Means over languages, with the columns of ``results.MEANS``."""
    origin: str
    """The folder of the control when it was set beside the run."""


def keep(run: Run, folder: Path) -> None:
    """Set a control beside a run.

    Args:
        run: Texts were encoded with the recording of their own sentence.
        folder: Output folder of a run of the same model with another sentence's recording.

    Raises:
        IsoglossError: There is no such run, it has no results, it is no control, or it is one of
            another model or corpus.
    """
    other = Run.read(folder)
    for described, wanted, should in (
        (run, SAME, "with the recording of its own sentence"),
        (other, OTHER, "with the recording of another sentence"),
    ):
        if described.model.get("companion", "none") != wanted:
            raise IsoglossError(
                f"{described.folder}: each text must have been encoded {should}, but "
                f"{_COMPANION[described.model.get('companion', 'none')]}. Give the joint run and, "
                "as its control, the mismatched one"
            )
    for part, name in (("model", "family"), ("model", "checkpoint"), ("corpus", "name")):
        mine, its = getattr(run, part)[name], getattr(other, part)[name]
        if mine != its:
            raise IsoglossError(
                f"{folder} is no control of {run.folder}: the {part} has another {name} "
                f"({_short(its)} instead of {_short(mine)})"
            )
    for what, mine, its in (
        ("settings of the model", _model(run), _model(other)),
        ("seed", run.study["seed"], other.study["seed"]),
        ("sentences", _sentences(run), _sentences(other)),
    ):
        if mine != its:
            differ = (
                sorted(k for k in {**mine, **its} if mine.get(k) != its.get(k))
                if isinstance(mine, dict)
                else []
            )
            named = f" ({choices(differ, 6)})" if differ else ""
            raise IsoglossError(
                f"{folder} is no control of {run.folder}: it has other {what}{named}. Run the same "
                "study with another `input` and nothing else changed"
            )
    found = [read(folder / "results" / "means", name) for name in _analyses(other)]
    if not found:
        raise IsoglossError(f"{folder} has no results yet; `isogloss run` makes them")
    path = run.folder / FOLDER / "means.parquet"
    listed.write(path.parent, {path.name: parquet(pl.concat(found))})
    sealing.write(path.with_name("control.json"), {"folder": str(folder), "made": other.made})


def kept(run: Run) -> Control | None:
    """The control that was set beside a run, or None if there is none."""
    path = run.folder / FOLDER / "means.parquet"
    record = path.with_name("control.json")
    if not path.exists() or not record.exists():
        return None
    return Control(parsed(path), str(sealing.read(record)["folder"]))


_COMPANION = {
    "none": "they were encoded alone",
    SAME: "they had that of their own",
    OTHER: "they had that of another",
}


def _model(run: Run) -> dict[str, Any]:
    """What the two must have in common, wherever the checkpoint lies."""
    kind = MODELS.get(run.study["model"]["family"])
    fields = {
        name: value
        for name, value in run.study["model"].items()
        if name in kind.model_fields and name not in kind.located_by and name != "input"
    }
    return {n: v for n, v in fields.items() if role_of(kind, n) in ("identity", "scope")}


def _sentences(run: Run) -> dict[str, tuple[str, ...]]:
    return {f"{u.language} {u.modality}": u.sentences for u in run.units}


def _analyses(run: Run) -> list[str]:
    means = run.folder / "results" / "means"
    return [name for name in run.analyses() if (means / f"{name}.parquet").exists()]


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 60 else text[:57] + "…"
