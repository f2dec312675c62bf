"""What can only be said of many scores together: tests of whole curves and figures, and means."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from isogloss import specs
from isogloss.errors import MeasureError
from isogloss.results import MEANS, NULL
from isogloss.similarity.base import SAME
from isogloss.similarity.inference import benjamini_hochberg, max_over
from isogloss.similarity.intervals import Interval, no_interval
from isogloss.similarity.measures import MEASURES
from isogloss.similarity.over_languages import languages

Floats = NDArray[np.float64]
Key = tuple[Any, ...]

_PLACE = ("group", "label", "position", "depth")


def mean_interval(rows: pl.DataFrame, column: str) -> Interval:
    """Interval of the mean of a column over languages, or over pairs of languages.

    NaN with a reason where the rows are a mixture of both.
    """
    own = rows["language_a"] == rows["language_b"]
    names = ("language jackknife", "mean over fresh languages, given these sentences")
    if own.any() and not own.all():
        return no_interval(*names, 0.95, "single languages and pairs of languages are mixed")
    pairs = None if own.all() else rows["language_b"].to_list()
    spread = (-np.inf, np.inf)
    if column == "score" and rows.height:
        spread = specs.parse(MEASURES, rows["measure"][0]).info.range
    try:
        return languages(rows["language_a"].to_list(), pairs, rows[column].to_numpy(), range=spread)
    except MeasureError as error:
        return no_interval(*names, 0.95, str(error))


class Family:
    """The scores of one analysis by one measure, given chunk by chunk.

    The nulls of single scores are summed up at once, so memory grows with the number of curves and
    places, not with the number of scores times that of permutations.

    Args:
        larger_is_more_similar: Direction of the measure.
    """

    def __init__(self, larger_is_more_similar: bool = True) -> None:
        self._sign = 1.0 if larger_is_more_similar else -1.0
        self._rows: list[pl.DataFrame] = []
        self._highest: dict[Key, Floats] = {}
        self._sums: dict[Key, tuple[Floats, float, int]] = {}

    def add(self, chunk: pl.DataFrame) -> None:
        """Take the rows of a chunk, with their nulls."""
        for row in chunk.filter(pl.col("score").is_not_nan()).iter_rows(named=True):
            if not row["permutations"]:
                continue
            null = np.array(row["null"])
            curve = _curve(row)
            self._highest[curve] = _higher(self._highest.get(curve), self._studied(null, row))
            place = (row["control"], *(row[c] for c in _PLACE))
            total, score, count = self._sums.get(place, (np.zeros_like(null), 0.0, 0))
            if total.shape == null.shape:
                self._sums[place] = (total + null, score + row["score"], count + 1)
        self._rows.append(chunk.drop("null"))

    def _studied(self, values: Any, row: dict[str, Any]) -> Any:
        """How far values lie on the similar side of a row's null, in its standard deviations."""
        # By moments that count the score in, for it and for the null alike, as in max_over.
        count, mean, score = row["permutations"], row["null_mean"], row["score"]
        spread = (count - 1) * row["null_sd"] ** 2 if count > 1 else 0.0
        variance = (spread + count / (count + 1) * (score - mean) ** 2) / count
        scale = np.sqrt(variance) if variance > SAME**2 else np.inf
        return self._sign * (np.asarray(values) - (count * mean + score) / (count + 1)) / scale

    def rows(self) -> pl.DataFrame:
        """All rows, with p-values for the maximum of their curve and for the whole figure."""
        frame = pl.concat(self._rows)
        curve = [self._p_curve(row) for row in frame.iter_rows(named=True)]
        frame = frame.with_columns(p_curve=pl.Series(curve, dtype=pl.Float64))
        order = pl.Series("_order", range(frame.height))
        parts = []
        for part in frame.with_columns(order).partition_by("control", maintain_order=True):
            q = benjamini_hochberg(part["p_value"].to_numpy())
            parts.append(part.with_columns(q_value=pl.Series(q, dtype=pl.Float64)))
        return pl.concat(parts).sort("_order").drop("_order") if parts else frame

    def _p_curve(self, row: dict[str, Any]) -> float:
        highest = self._highest.get(_curve(row))
        if highest is None or not row["permutations"] or np.isnan(row["score"]):
            return float("nan")
        own = float(self._studied(row["score"], row))
        return (1 + int(np.count_nonzero(highest >= own - 1e-9))) / (1 + highest.size)

    def means(self) -> pl.DataFrame:
        """The mean over languages, or pairs of them, at each place of each curve."""
        frame = pl.concat(self._rows).with_columns(null=NULL)
        found = []
        for key, rows in frame.group_by("control", *_PLACE, maintain_order=True):
            found.append(self._mean(key, rows))
        for curve in {(m["control"], m["group"]) for m in found}:
            self._test([m for m in found if (m["control"], m["group"]) == curve])
        return pl.DataFrame(found, schema=MEANS)

    def _mean(self, key: Key, rows: pl.DataFrame) -> dict[str, Any]:
        control, group, label, position, depth = key
        defined = rows.filter(pl.col("score").is_not_nan())
        names = set(defined["language_a"]) | set(defined["language_b"])
        row = {
            "analysis": "",
            "measure": rows["measure"][0],
            "control": control,
            "group": group,
            "label": label,
            "position": position,
            "depth": depth,
            "languages": len(names),
            "rows": defined.height,
            "n": defined["n"].min(),
            "permutations": defined["permutations"].min() or 0,
            "p_value": float("nan"),
            "p_curve": float("nan"),
        }
        for name in ("score", "null", "calibrated", "baseline"):
            value = defined[name].fill_nan(None).mean()
            row[name] = float("nan") if value is None else value
        for name, low, high in (
            ("score", "low", "high"),
            ("calibrated", "calibrated_low", "calibrated_high"),
        ):
            interval = mean_interval(defined, name)
            row[low], row[high] = interval.low, interval.high
        return row

    def _test(self, curve: Sequence[dict[str, Any]]) -> None:
        """Test the means of a curve: each alone, and the highest of them."""
        tested, scores, nulls = [], [], []
        for mean in curve:
            sums = self._sums.get((mean["control"], *(mean[c] for c in _PLACE)))
            if sums is None or sums[2] != mean["rows"]:
                continue
            total, score, count = sums
            tested.append(mean)
            scores.append(score / count)
            nulls.append(total / count)
        if not tested or len({null.size for null in nulls}) > 1:
            return
        larger = self._sign > 0
        matrix = np.array(nulls)
        corrected = max_over(np.array(scores), matrix, larger_is_more_similar=larger)
        for mean, score, null, p in zip(tested, scores, matrix, corrected, strict=True):
            above = np.count_nonzero(self._sign * (null - score) >= -SAME)
            mean["p_value"] = (1 + int(above)) / (1 + null.size)
            mean["p_curve"] = float(p)


def _curve(row: dict[str, Any]) -> Key:
    return (
        row["control"], row["group"], row["language_a"], row["modality_a"], row["language_b"],
        row["modality_b"],
    )  # fmt: skip


def _higher(a: Floats | None, b: Floats) -> Floats:
    if a is None or a.shape != b.shape:
        return b
    return np.maximum(a, b)
