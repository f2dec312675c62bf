"""Time contestants in alternating order, and print tables."""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

CLOCK = time.process_time
"""Processor time of all threads: what other programs take of the machine is not counted, and a
library that starts threads gains nothing by them."""


@dataclass
class Table:
    """Rows of text under a title; notes below."""

    title: str
    columns: list[str]
    rows: list[list[str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def markdown(self):
        lines = ["| " + " | ".join(r) + " |" for r in (self.columns, *self.rows)]
        lines.insert(1, "|" + "---|" * len(self.columns))
        return "\n".join([f"### {self.title}", "", *lines, "", *(f"{n}  " for n in self.notes), ""])

    def plain(self):
        widths = [
            max(len(r[i]) for r in (self.columns, *self.rows)) for i in range(len(self.columns))
        ]
        lines = [
            "  ".join(c.ljust(w) for c, w in zip(r, widths, strict=True)).rstrip()
            for r in (self.columns, *self.rows)
        ]
        lines.insert(1, "-" * (sum(widths) + 2 * (len(widths) - 1)))
        return "\n".join([self.title, *lines, *(f"  {n}" for n in self.notes), ""])


def show(tables: Iterable[Table], markdown: Path | None = None) -> None:
    """Print tables as they come, and write them to a file too if one is given."""
    start, pages = time.perf_counter(), []
    for table in tables:
        print(table.plain(), flush=True)
        pages.append(table.markdown())
    print(f"[{time.perf_counter() - start:.0f} s]")
    if markdown:
        markdown.write_text("\n".join(pages), encoding="utf-8")


def alternate(
    contestants: Mapping[str, Callable],
    *,
    rounds: int,
    seconds: float = 60.0,
    clock: Callable = CLOCK,
) -> dict[str, np.ndarray]:
    """Run every contestant once per round, forwards and backwards by turns.

    Other work on the machine then hits all of them alike, and the ratio of two times of the same
    round means something even when the times do not.

    Args:
        contestants: Calls without arguments; each is made once before, untimed.
        rounds: Number of rounds.
        seconds: No further round begins after this long, but three are made.
        clock: Gives the time in seconds.

    Returns:
        Seconds per round of each.
    """
    for call in contestants.values():
        call()
    times = {name: [] for name in contestants}
    begun = time.perf_counter()
    for i in range(rounds):
        if i >= 3 and time.perf_counter() - begun > seconds:
            break
        order = list(contestants.items())
        for name, call in order if i % 2 == 0 else reversed(order):
            start = clock()
            call()
            times[name].append(clock() - start)
    return {name: np.array(t) for name, t in times.items()}


def quick_median(call: Callable, *, rounds: int = 31, seconds: float = 5.0) -> np.ndarray:
    """Seconds of one call alone, per round."""
    return alternate({"": call}, rounds=rounds, seconds=seconds)[""]


def duration(seconds):
    """Median with a unit of its own size."""
    s = float(np.median(seconds))
    for unit, factor in (("s", 1), ("ms", 1e3), ("µs", 1e6)):
        if s * factor >= 1 or unit == "µs":
            return f"{s * factor:.3g} {unit}"
    raise AssertionError


def spread(values, digits=3):
    """Median and quartiles."""
    low, mid, high = np.percentile(values, [25, 50, 75])
    return f"{mid:.{digits}g} ({low:.{digits}g}–{high:.{digits}g})"


def times_faster(slow, fast):
    """Median of the ratios of the same rounds, with quartiles."""
    return spread(np.asarray(slow) / np.asarray(fast))


def target(value, goal, *, at_most=False):
    """Say whether a figure is reached."""
    return "yes" if (value <= goal if at_most else value >= goal) else "no"
