"""How far half precision is from float32."""

from collections.abc import Iterator
from typing import get_args

import numpy as np

from isogloss.errors import choices
from isogloss.modelcheck.bench import Bench, Worst, number
from isogloss.modelcheck.result import Outcome, Result, guarded
from isogloss.models.base import ModelSource

GROUP = "precision"


def checks(bench: Bench) -> Iterator[Result]:
    """Deviation of each other precision from float32, at each tap.

    Args:
        bench: The reference; where it is not in float32, that is computed too.
    """
    precise = bench if bench.source.dtype == "float32" else None
    for dtype in get_args(ModelSource.model_fields["dtype"].annotation):
        if dtype == "float32":
            continue

        def ask(dtype: str = dtype) -> Result:
            nonlocal precise
            precise = precise or _computed(bench, "float32")
            other = bench if bench.source.dtype == dtype else _computed(bench, dtype)
            return _compared(dtype, precise, other)

        yield guarded(GROUP, dtype, bench.modality, ask)


def _computed(bench: Bench, dtype: str) -> Bench:
    """Encode the sentences in another precision; the model is not kept."""
    source = bench.source.model_copy(update={"dtype": dtype})
    adapter = source.load(device=bench.device)
    try:
        made = bench.anew(adapter, source)
        for sample in bench.samples:
            made.alone(sample)
    finally:
        adapter.close()
    made.adapter = None
    return made


def _compared(dtype: str, precise: Bench, other: Bench) -> Result:
    worst, bad = Worst(), dict[str, None]()
    for sample in precise.samples:
        row = other.alone(sample)
        worst.meet(row, precise.alone(sample), sample.name)
        bad.update(dict.fromkeys(tap for tap, v in row.items() if not np.isfinite(v).all()))
    last = list(worst.by_tap)[-1]
    found = (
        f"{number(worst.value)} from float32 at worst (tap {worst.tap or last}), "
        f"{number(worst.by_tap[last])} at tap {last}"
    )
    remark = f"NaN or infinity at {choices(bad)}" if bad else ""
    outcome: Outcome = "fail" if bad else "note"
    return Result(
        GROUP, dtype, precise.modality, outcome, found, remark, worst.value, by_tap=worst.by_tap
    )
