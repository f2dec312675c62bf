"""The outcome of a suite as rows, as text, and as a table."""

import textwrap
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from isogloss.conformance.case import GROUPS, Result

if TYPE_CHECKING:
    import polars as pl

_LEAST = 40
"""Narrowest column for remarks."""


@dataclass(frozen=True)
class Row:
    """How one case ended."""

    group: str
    case: str
    result: Result
    expected: str
    got: str
    remark: str
    """Why it matters if it passed; what is likely wrong if it failed; why it does not apply."""
    known: str
    """How the expected value is known."""
    difference: float
    """Between expected and got; NaN where they are no numbers."""
    tolerance: float


@dataclass(frozen=True)
class Report:
    """How an implementation did."""

    target: str
    claim: str
    """The measure, with all options, that it was held against."""
    rows: tuple[Row, ...]
    summary: str = ""
    """The most likely single cause of what failed; empty if none was recognised."""

    @property
    def passed(self) -> bool:
        """True if every case that applies was passed."""
        return not any(row.result == "fail" for row in self.rows)

    @property
    def counts(self) -> dict[str, int]:
        """Number of rows by result."""
        found = Counter(row.result for row in self.rows)
        return {str(name): found[name] for name in ("pass", "fail", "note", "n/a")}

    @property
    def headline(self) -> str:
        """The counts in words."""
        n = self.counts
        text = f"{n['pass']} passed, {n['fail']} failed, {n['n/a']} not applicable"
        return text + (f", {n['note']} noted" if n["note"] else "")

    def as_text(self, width: int = 160) -> str:
        """A table for reading.

        Args:
            width: Columns of the screen; remarks are wrapped to fit.
        """
        lines = [f"{self.target} as {self.claim}", ""]
        heads = ("", "case", "expected", "got")
        cells = [(r.result.upper() if r.result == "fail" else r.result, r.case, r.expected, r.got)
                 for r in self.rows]  # fmt: skip
        sizes = [max(map(len, c)) for c in zip(heads, *cells, strict=True)]
        start = sum(sizes) + 2 * len(sizes)
        narrow = width - start < _LEAST
        lines.append(_join(heads, sizes) + ("" if narrow else "why, or what is likely wrong"))
        for group in GROUPS:
            chosen = [i for i, row in enumerate(self.rows) if row.group == group]
            if not chosen:
                continue
            lines += ["", group]
            for i in chosen:
                line, remark = _join(cells[i], sizes), self.rows[i].remark
                indent = 8 if narrow else start
                wrapped = textwrap.wrap(remark, max(_LEAST, width - indent)) or [""]
                if narrow:
                    lines.append(line.rstrip())
                else:
                    lines.append((line + wrapped.pop(0)).rstrip())
                lines += [" " * indent + part for part in wrapped if part]
        lines += ["", self.headline]
        if self.summary:
            lines += textwrap.wrap(f"likely: {self.summary}", width)
        return "\n".join(lines)

    def as_dict(self) -> dict[str, Any]:
        """The report as JSON takes it; a number that is none is null."""
        return {
            "target": self.target,
            "claim": self.claim,
            "passed": self.passed,
            "counts": self.counts,
            "likely": self.summary,
            "rows": [
                {
                    k: None if isinstance(v, float) and not np.isfinite(v) else v
                    for k, v in row.__dict__.items()
                }
                for row in self.rows
            ],
        }

    def frame(self) -> "pl.DataFrame":
        """One row per case, with the fields of :class:`Row` as columns."""
        import polars as pl

        return pl.DataFrame([row.__dict__ for row in self.rows], infer_schema_length=None)


def _join(cells: tuple[str, ...], sizes: list[int]) -> str:
    return "".join(cell.ljust(size + 2) for cell, size in zip(cells, sizes, strict=True))
