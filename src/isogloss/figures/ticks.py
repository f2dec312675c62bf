"""Which category labels to write, and how, so that none touches another."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

_STEPS = (2, 3, 4, 5, 6, 8, 10, 12, 15, 20)


@dataclass(frozen=True)
class Ticks:
    """The categories that get a label, and whether the labels stand upright."""

    shown: tuple[int, ...]
    upright: bool = False


def choose(labels: Sequence[str], *, widths: Sequence[float], slot: float, line: float) -> Ticks:
    """Choose labels for an axis of categories.

    Level labels come first, all of them. If they do not fit and many are numbers (layers), numbers
    are thinned and names (``in``, ``len``) stay. Else the labels stand upright, all of them if a
    line of text fits into a slot; if not, names go before numbers.

    Args:
        labels: Category names in order.
        widths: Width of each label, in any unit.
        slot: Distance between two categories, in the same unit.
        line: Height of a line of text, in the same unit.
    """
    everything = tuple(range(len(labels)))
    gap = 0.35 * line

    def clash(i: int, j: int) -> bool:
        return (widths[i] + widths[j]) / 2 + gap > (j - i) * slot

    def fits(shown: Sequence[int]) -> bool:
        return not any(clash(i, j) for i, j in itertools.pairwise(shown))

    if fits(everything):
        return Ticks(everything)
    numbers = {i: int(text) for i, text in enumerate(labels) if text.isdecimal()}
    names = [i for i in everything if i not in numbers]
    best: list[int] = []
    for step in _STEPS if len(numbers) >= 6 else ():
        kept = [
            i
            for i, number in numbers.items()
            if number % step == 0 and not any(clash(min(i, n), max(i, n)) for n in names)
        ]
        if len(kept) > max(2, len(best)) and fits(sorted(kept + names)):
            best = kept
    if best:
        return Ticks(tuple(sorted(best + names)))
    # 1.1: upright text needs a little air between the lines.
    apart = 1.1 * line / slot if slot > 0 else len(labels)
    shown: list[int] = []
    for i in (*names, *numbers):
        if all(abs(i - j) >= apart for j in shown):
            shown.append(i)
    return Ticks(tuple(sorted(shown)), upright=True)
