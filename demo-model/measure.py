"""What the demo model shows, on the held-out sentences: the numbers of the model card.

isogloss demo --output FOLDER
python demo-model/measure.py FOLDER
"""

import sys
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy import stats

from isogloss.languages import language
from isogloss.runs import Run
from sentences import LANGUAGES

CONTROLLED = "characters, tokens, seconds"
Floats = NDArray[np.float64]


def cross_modal(folder: Path, control: str = "") -> pl.DataFrame:
    """Calibrated similarity of speech and text by language and place."""
    frame = pl.read_parquet(folder / "results" / "cross_modal.parquet")
    own = frame.filter(group="matched", control=control).sort("position")
    return own.select("language_a", "label", "depth", "calibrated", "score", "null_mean", "null_sd")


def found_again(run: Run, code: str) -> tuple[float, float]:
    """Share of recordings whose text, and of texts whose English text, is the nearest of all."""
    store = run.store()
    views = {}
    for unit in run.units:
        if unit.language in (code, "eng"):
            rows = store.view(unit, unit.taps[-1])[: len(unit.sentences)].astype(float)
            order = np.argsort(unit.sentences)
            views[unit.language, unit.modality] = _unit((rows - rows.mean(0))[order])
    text = views[code, "text"]
    return _nearest(views[code, "speech"], text), _nearest(text, views["eng", "text"])


def _unit(rows: Floats) -> Floats:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def _nearest(one: Floats, two: Floats) -> float:
    return float(((one @ two.T).argmax(axis=1) == np.arange(len(one))).mean())


def difference(high: Floats, low: Floats) -> tuple[float, float, float]:
    """Difference of two means over languages, with Welch's 95 % interval."""
    found = stats.ttest_ind(high, low, equal_var=False).confidence_interval(0.95)
    return float(high.mean() - low.mean()), float(found.low), float(found.high)


def main() -> None:
    """Print the tables."""
    folder = Path(sys.argv[1])
    run = Run.read(folder)
    trained, controlled = cross_modal(folder), cross_modal(folder, CONTROLLED)
    twin = cross_modal(folder / "untrained")
    first, last = trained["label"][0], trained["label"][-1]

    def at(frame: pl.DataFrame, label: str) -> dict[str, float]:
        return dict(frame.filter(label=label).select("language_a", "calibrated").iter_rows())

    columns = [at(trained, first), at(trained, last), at(controlled, last), at(twin, last)]
    print("| language | level | sentences | speech-text, in | last | last, controlled | untrained |"
          " speech → text | text → English text |")  # fmt: skip
    print("|---|---|---|---|---|---|---|---|---|")
    codes = sorted(LANGUAGES, key=lambda code: (-LANGUAGES[code], code))
    for code in codes:
        known = language(code)
        spoken, translated = found_again(run, code)
        scores = " | ".join(f"{column[code]:.2f}" for column in columns)
        other = "" if code == "eng" else f"{translated:.0%}"
        print(f"| {known.name} | {known.resource} | {LANGUAGES[code]:,} | {scores} | {spoken:.0%} "
              f"| {other} |")  # fmt: skip
    means = " | ".join(f"**{np.mean(list(column.values())):.2f}**" for column in columns)
    print(f"| **mean** | | | {means} | | |\n")

    places = trained["label"].unique(maintain_order=True)
    for name, frame in (("trained", trained), ("controlled", controlled), ("untrained", twin)):
        values = [np.mean(list(at(frame, label).values())) for label in places]
        print(f"{name}: " + ", ".join(f"{p} {v:.3f}" for p, v in zip(places, values, strict=True)))
    inside = twin.filter(label=last).with_columns(
        inside=(pl.col("score") - pl.col("null_mean")).abs() < 1.96 * pl.col("null_sd")
    )
    print(f"untrained, last place: {inside['inside'].sum()} of {inside.height} within the null")
    for name, column in (("plain", columns[1]), ("controlled", columns[2])):
        levels = {level: np.array([column[c] for c in codes if language(c).resource == level])
                  for level in ("high", "medium", "low")}  # fmt: skip
        told = "difference of high and low {:.3f} [{:.3f}, {:.3f}]".format(
            *difference(levels["high"], levels["low"])
        )
        by_level = ", ".join(f"{level} {v.mean():.3f}" for level, v in levels.items())
        print(f"{name}, last place: {by_level}; {told}")


if __name__ == "__main__":
    main()
