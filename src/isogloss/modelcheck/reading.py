"""What comes out at the taps: which, of what width, and whether the numbers can be."""

from collections.abc import Iterator
from functools import partial

import numpy as np

from isogloss.errors import ItemError, ModelError, choices
from isogloss.modelcheck.bench import Bench, Sample, gaps
from isogloss.modelcheck.result import Outcome, Result, guarded
from isogloss.models.base import chosen_taps

GROUP = "taps"


_HALVINGS = 5
ONCE, SENTENCES = "each runs once, by its mask", "sentences left out"


def left_out(bench: Bench) -> Iterator[Result]:
    """Take away what the model refuses, and tell it.

    A language without a token is no bug, and a sentence that is too long is cut; that nothing is
    left is one.
    """
    reasons: dict[str, list[str]] = {}
    kept = []
    for sample in bench.samples:
        try:
            kept.append(_cut(bench, sample))
        except (ItemError, ModelError) as error:
            reasons.setdefault(str(error), []).append(sample.name)
    bench.samples = kept
    for reason, names in reasons.items():
        outcome: Outcome = "note" if kept else "fail"
        yield Result(GROUP, SENTENCES, bench.modality, outcome, choices(names, 3), reason)


def _cut(bench: Bench, sample: Sample) -> Sample:
    """The sentence, halved until the model takes it; as it is if that does not help."""
    tried = sample
    for _ in range(_HALVINGS):
        try:
            bench.features(tried)
            return tried
        except ItemError:
            tried = tried.half()
    bench.features(sample)
    return sample


def checks(bench: Bench) -> Iterator[Result]:
    """All checks of single sentences. The first one encodes them."""
    for name, ask in (
        (ONCE, _once),
        ("widths", _widths),
        ("finite", _finite),
        ("sentences differ", _different),
    ):
        yield guarded(GROUP, name, bench.modality, partial(ask, name, bench))


def _once(name: str, bench: Bench) -> Result:
    """Recorder asserts that a tap runs once and is as long as its mask; here it is provoked."""
    wanted = [tap.name for tap in bench.taps]
    declared = [tap.name for tap in bench.tower().taps]
    asked = chosen_taps(bench.source, bench.source.layout())[bench.modality]
    wrong = []
    if declared != [tap.name for tap in asked]:
        wrong.append(f"the tower reads {choices(declared)}, but {choices(wanted)} were asked for")
    steps = []
    for sample in bench.samples:
        length = bench.features(sample).length
        if not isinstance(length, (int, np.integer)) or length < 1:
            wrong.append(f"the length of {sample.name} is {length!r}, not a number of time steps")
        steps.append(length)
        found = list(bench.alone(sample))
        if found != wanted:
            missing = [tap for tap in wanted if tap not in found]
            extra = [tap for tap in found if tap not in wanted]
            what = f"lacks {choices(missing)}" if missing else f"has {choices(extra)} too"
            what = what if missing or extra else "has them in another order"
            wrong.append(f"what the tower returns {what}")
    codes = ", ".join(known.code for known in bench.languages)
    long = f"{min(steps)} to {max(steps)} steps"
    together = f"{len(wanted)} taps, {len(steps)} sentences ({codes}) of {long}"
    wrong = list(dict.fromkeys(wrong))
    outcome: Outcome = "fail" if wrong else "pass"
    return Result(GROUP, name, bench.modality, outcome, together, "; ".join(wrong[:3]))


def _widths(name: str, bench: Bench) -> Result:
    row = bench.alone(bench.samples[0])
    wrong = []
    for tap in bench.taps:
        if tap.name not in row:
            continue
        if row[tap.name].shape != (tap.width,):
            wrong.append(f'tap "{tap.name}" is {row[tap.name].size} wide, declared {tap.width}')
        if row[tap.name].dtype != np.float32:
            wrong.append(f'tap "{tap.name}" is {row[tap.name].dtype}, not float32')
    widths = sorted({tap.width for tap in bench.taps})
    found = f"{choices(map(str, widths))} features, float32"
    return Result(
        GROUP, name, bench.modality, "fail" if wrong else "pass", found, "; ".join(wrong[:4])
    )


def _finite(name: str, bench: Bench) -> Result:
    bad: dict[str, str] = {}
    largest = 0.0
    for sample in bench.samples:
        for tap, values in bench.alone(sample).items():
            if np.isfinite(values).all():
                largest = max(largest, float(np.abs(values).max(initial=0.0)))
            else:
                bad.setdefault(tap, sample.name)
    first = next(iter(bad.items()), None)
    remark = f"NaN or infinity at {choices(bad)}; first for {first[1]}" if first else ""
    found = f"largest value {largest:.3g}, in {bench.source.dtype}"
    return Result(GROUP, name, bench.modality, "fail" if bad else "pass", found, remark)


def _different(name: str, bench: Bench) -> Result:
    """A tap that says the same of every sentence reads another place than it claims."""
    rows = [bench.alone(sample) for sample in bench.first]
    if len(rows) < 2:
        return Result(GROUP, name, bench.modality, "n/a", "", "there is only one sentence")
    most = dict.fromkeys(rows[0], 0.0)
    for row in rows[1:]:
        for tap, gap in gaps(row, rows[0]).items():
            most[tap] = max(most[tap], gap)
    same = [tap for tap, gap in most.items() if gap <= bench.tolerance]
    smallest = min(most.values(), default=0.0)
    return Result(
        GROUP,
        name,
        bench.modality,
        "fail" if same else "pass",
        f"by {smallest:.1e} at the tap where they differ least" if np.isfinite(smallest) else "",
        f"all sentences have one vector at {choices(same)}" if same else "",
        by_tap=most,
    )
