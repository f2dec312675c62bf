"""What can only be said of many scores together: tests of whole curves and figures, and means."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from isogloss import specs
from isogloss.errors import MeasureError
from isogloss.results import MEANS, NULL
from isogloss.similarity.base import SAME, MeasureInfo, reached, unit
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
        info: What is declared of the measure.
    """

    def __init__(self, info: MeasureInfo) -> None:
        self._info = info
        self._sign = 1.0 if info.larger_is_more_similar else -1.0
        self._rows: list[pl.DataFrame] = []
        self._highest: dict[Key, Floats] = {}
        self._own: list[float] = []
        self._sums: dict[Key, tuple[Floats, float, int]] = {}

    def add(self, chunk: pl.DataFrame) -> None:
        """Take the rows of a chunk, with their nulls."""
        for row in chunk.iter_rows(named=True):
            self._own.append(self._take(row))
        self._rows.append(chunk.drop("null"))

    def _take(self, row: dict[str, Any]) -> float:
        """Add a row to its curve and its mean.

        Returns:
            Its score as :func:`max_over` compares it over the places of a curve: in standard
            deviations of the place, and smaller by as much as rounding may be. -inf where all
            orders score the same, NaN where it cannot be tested.
        """
        null, score = np.array(row["null"]), row["score"]
        if not null.size or np.isnan(score) or np.isnan(null).any():
            return float("nan")
        place = (row["control"], *(row[c] for c in _PLACE))
        total, sum_, count = self._sums.get(place, (np.zeros_like(null), 0.0, 0))
        if total.shape == null.shape:
            self._sums[place] = (total + null, sum_ + score, count + 1)
        curve, orders = _curve(row), self._sign * np.append(null, score)
        same = self._same(orders)
        if np.ptp(orders) <= same:
            self._highest.setdefault(curve, np.full(null.size, -np.inf))
            return float("-inf")
        scale = orders.std()
        studied = (orders - orders.mean()) / scale
        self._highest[curve] = _higher(self._highest.get(curve), studied[:-1])
        return float(studied[-1] - same / scale)

    def _same(self, orders: Floats) -> float:
        """How close scores must be to be equal."""
        return SAME * unit(self._info.range, orders)

    def rows(self) -> pl.DataFrame:
        """All rows, with p-values for the maximum of their curve and for the whole figure."""
        frame = pl.concat(self._rows)
        own = zip(frame.iter_rows(named=True), self._own, strict=True)
        curve = [self._p_curve(row, score) for row, score in own]
        frame = frame.with_columns(p_curve=pl.Series(curve, dtype=pl.Float64))
        order = pl.Series("_order", range(frame.height))
        parts = []
        for part in frame.with_columns(order).partition_by("control", maintain_order=True):
            q = benjamini_hochberg(part["p_value"].to_numpy())
            parts.append(part.with_columns(q_value=pl.Series(q, dtype=pl.Float64)))
        return pl.concat(parts).sort("_order").drop("_order") if parts else frame

    def _p_curve(self, row: dict[str, Any], own: float) -> float:
        highest = self._highest.get(_curve(row))
        if highest is None or np.isnan(own):
            return float("nan")
        return (1 + int(np.count_nonzero(highest >= own))) / (1 + highest.size)

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
            "reason": "" if defined.height else f"no score is defined: {rows['reason'][0]}",
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
            if interval.reason and not row["reason"]:
                row["reason"] = f"no interval: {interval.reason}"
        return row

    def _test(self, curve: Sequence[dict[str, Any]]) -> None:
        """Test the means of a curve: each alone, and the most similar of them."""
        tested: list[tuple[dict[str, Any], float, Floats]] = []
        for mean in curve:
            sums = self._sums.get((mean["control"], *(mean[c] for c in _PLACE)))
            if sums is None:
                continue
            total, score, count = sums
            if count == mean["rows"]:
                tested.append((mean, score / count, total / count))
            else:
                without = mean["rows"] - count
                mean["reason"] = f"no p-value: {without} of {mean['rows']} scores have no null"
        if not tested or len({null.size for _, _, null in tested}) > 1:
            return
        scores, nulls = np.array([s for _, s, _ in tested]), np.array([n for _, _, n in tested])
        larger = self._info.larger_is_more_similar
        same = self._same(np.column_stack([scores, nulls]))
        corrected = max_over(scores, nulls, larger_is_more_similar=larger, same=same)
        for (mean, score, null), p in zip(tested, corrected, strict=True):
            mean["p_value"] = reached(score, null, larger_is_more_similar=larger, same=same)
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
