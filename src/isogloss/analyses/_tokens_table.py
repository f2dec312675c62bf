"""The correlation of shared tokens with text scores: at every tap, and with third things fixed."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import polars as pl

from isogloss.analyses._pair_scores import KINDS
from isogloss.errors import IsoglossError
from isogloss.fragmentation import SHARES, Share
from isogloss.languages import RESOURCE_LEVELS, language
from isogloss.similarity.base import Floats
from isogloss.similarity.correlation import Correlation, difference
from isogloss.similarity.mantel import mantel_all

INPUT = "in"
_NULL_BAND = (0.025, 0.975)
_TEXT, _REAL = pl.String(), pl.Float64()
ROWS: dict[str, pl.DataType] = {
    **dict.fromkeys(("kind", "scores", "without", "variant", "tap"), _TEXT),
    **dict.fromkeys(("position", "pairs", "languages", "permutations"), pl.Int64()),
    **dict.fromkeys(("depth", "r", "low", "high", "p_ordinary", "p_mantel", "p_greater"), _REAL),
    **dict.fromkeys(("p_all", "p_value", "null_low", "null_high"), _REAL),
    "reason": _TEXT,
}


def chosen(scores: pl.DataFrame, tap: str | None) -> str:
    """The tap to look at: just after the word embeddings, if none is named.

    Raises:
        IsoglossError: The run has no such tap.
    """
    taps = scores["label"].unique(maintain_order=True).to_list()
    if tap is None:
        return INPUT if INPUT in taps else taps[0]
    if tap not in taps:
        raise IsoglossError(f'the run has no text tap "{tap}"; it has {", ".join(taps)}')
    return tap


class Table:
    """Pairs of languages with their shares, scores at every tap, and what may be held fixed."""

    def __init__(
        self, pairs: pl.DataFrame, scores: pl.DataFrame, tokens: Mapping[str, float]
    ) -> None:
        self.pairs = pairs
        self.a, self.b = pairs["language_a"].to_list(), pairs["language_b"].to_list()
        self.taps = scores.select("label", "position", "depth").unique(maintain_order=True)
        self._scores = scores
        both = [(language(a), language(b)) for a, b in zip(self.a, self.b, strict=True)]
        self.same_script = np.array([a.script == b.script for a, b in both], np.float64)
        levels = RESOURCE_LEVELS[1:]
        resource = [
            [
                float("nan")
                if not {a.resource, b.resource} <= set(RESOURCE_LEVELS)
                else (a.resource == level) + (b.resource == level)
                for level in levels
            ]
            for a, b in both
        ]
        length = [abs(np.log(tokens[a] / tokens[b])) for a, b in zip(self.a, self.b, strict=True)]
        self.controls: dict[str, Floats] = {
            "resource level": np.array(resource, np.float64),
            "same script": self.same_script[:, None],
            "token length": np.array(length)[:, None],
        }

    def share(self, variant: str) -> Floats:
        """(pairs,) share of common tokens."""
        return self.pairs[variant].to_numpy()

    def at_taps(self, kind: str) -> Floats:
        """(pairs × taps) scores; NaN where there is none."""
        columns = []
        for tap in self.taps["label"]:
            own = self._scores.filter(label=tap).select("language_a", "language_b", kind)
            joined = self.pairs.join(
                own, on=["language_a", "language_b"], how="left", maintain_order="left"
            )
            columns.append(joined[kind].cast(pl.Float64).fill_null(float("nan")).to_numpy())
        return np.column_stack(columns)


def correlations(
    table: Table, share: Share, tap: str, permutations: int, seed: int
) -> Iterator[dict[str, Any]]:
    """Rows of all correlations of the share with scores, and of differences of two of them."""
    place = table.taps["label"].to_list().index(tap)
    for kind in KINDS:
        scores = table.at_taps(kind)
        if np.isnan(scores).all():
            continue
        whole: dict[str, tuple[Correlation, ...]] = {}
        for without, control in [("", None), *table.controls.items()]:
            # What is the same for all pairs takes nothing out.
            if control is not None and not _varies(control):
                continue
            found = mantel_all(
                table.a,
                table.b,
                table.share(share),
                scores,
                control=control,
                permutations=permutations,
                seed=seed,
            )
            whole[without] = found
            for one, at in zip(found, table.taps.iter_rows(named=True), strict=True):
                yield _row(one, kind, without, share, at)
        for variant in SHARES:
            if variant != share:
                column, own = scores[:, [place]], table.share(variant)
                options: dict[str, Any] = {"permutations": permutations, "seed": seed}
                one = mantel_all(table.a, table.b, own, column, **options)[0]
                yield _row(one, kind, "", variant, table.taps.row(place, named=True))
        fades = _between("fades", kind, share, whole[""][place], whole[""][-1])
        if place == len(table.taps) - 1:
            fades |= dict.fromkeys(("r", "low", "high", "p_value"), float("nan"))
            fades["reason"] = "the tap that is looked at is the last one"
        yield fades
        if "resource level" in whole:
            # Beside the partial correlation only one over the same pairs means something.
            levelled = ~np.isnan(table.controls["resource level"]).any(axis=1)
            plain = whole[""][place]
            if not levelled.all():
                column = np.where(levelled, scores[:, place], np.nan)[:, None]
                plain = mantel_all(
                    table.a, table.b, table.share(share), column,
                    permutations=permutations, seed=seed,
                )[0]  # fmt: skip
            yield _between("resource", kind, share, whole["resource level"][place], plain)


def _varies(control: Floats) -> bool:
    known = control[~np.isnan(control).any(axis=1)]
    return bool(len(known) and np.ptp(known, axis=0).any())


def _row(
    one: Correlation, kind: str, without: str, variant: str, at: Mapping[str, Any]
) -> dict[str, Any]:
    ends = np.quantile(one.null, _NULL_BAND) if one.null.size else (np.nan, np.nan)
    return {
        "kind": "correlation",
        "scores": kind,
        "without": without,
        "variant": variant,
        "tap": at["label"],
        "position": at["position"],
        "depth": at["depth"],
        "pairs": one.pairs,
        "languages": one.languages,
        "permutations": one.permutations,
        **{
            name: getattr(one, name)
            for name in ("r", "low", "high", "p_ordinary", "p_mantel", "p_greater", "p_all")
        },
        "null_low": float(ends[0]),
        "null_high": float(ends[1]),
        "reason": one.reason,
    }


def _between(what: str, kind: str, share: str, a: Correlation, b: Correlation) -> dict[str, Any]:
    effect, low, high, p = difference(a, b)
    row = dict.fromkeys(ROWS) | {"kind": "difference", "scores": kind, "without": what}
    return row | {
        "variant": share,
        "r": effect,
        "low": low,
        "high": high,
        "p_value": p,
        "languages": a.languages,
        "reason": a.reason or b.reason,
    }
