"""What comes of setting models side by side."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from isogloss.sharing import Options
from isogloss.together.ground import Ground
from isogloss.together.models import Model

FORMAT = 1


@dataclass(frozen=True)
class Together:
    """Models side by side."""

    folder: Path
    models: tuple[Model, ...]
    ground: Ground
    """The languages and sentences that all have."""
    measures: tuple[str, ...]
    options: Options
    notes: tuple[str, ...]
    """Settings in which the runs differ, and what was used."""
    results: dict[str, pl.DataFrame]
    """Analysis -> scores: a column ``model``, then those of ``results.SCHEMA``."""
    means: dict[str, pl.DataFrame]
    """Analysis -> means over languages: ``model``, then the columns of ``results.MEANS``."""
    differences: pl.DataFrame
    """Models in pairs at the last tap, see :data:`isogloss.together.tables.DIFFERENCES`."""
    gaps: pl.DataFrame
    """Which gap is the larger, see :data:`isogloss.together.tables.GAPS`."""
    report: Path | None = None
    """The HTML report, or None if the ``report`` extra is not installed."""

    def tables(self) -> dict[str, pl.DataFrame]:
        """All tables by the name of their file, means as ``means/NAME``."""
        return {
            **self.results,
            **{f"means-{name}": frame for name, frame in self.means.items()},
            "differences": self.differences,
            "gap_counts": self.gaps,
        }

    def record(self) -> dict[str, Any]:
        """What is compared with what, JSON-able."""
        return record(self.models, self.ground, self.measures, self.options)


def record(
    models: tuple[Model, ...], ground: Ground, measures: tuple[str, ...], options: Options
) -> dict[str, Any]:
    """What is compared with what, JSON-able."""
    return {
        "format": FORMAT,
        "runs": [
            {"model": m.name, "folder": str(m.run.folder), "made": m.run.made} for m in models
        ],
        "languages": list(ground.languages),
        "measures": list(measures),
        "permutations": options.permutations,
        "confounds": list(options.confounds),
        "interval": options.interval,
        "seed": options.seed,
    }
