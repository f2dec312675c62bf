"""Padding to the left must give what padding to the right gives, where that can be chosen."""

from typing import get_args

from isogloss.modelcheck.batching import GROUP
from isogloss.modelcheck.bench import Bench, Worst, verdict
from isogloss.modelcheck.result import Result, guarded

NAME, SETTING = "padding side", "padding_side"


def check(bench: Bench) -> Result:
    """Load the model with the other side, and compare batches with sentences alone."""
    declared = type(bench.source).model_fields.get(SETTING)
    if declared is None:
        why = f"the family has no setting {SETTING}"
        return Result(GROUP, NAME, bench.modality, "n/a", "", why)
    side = getattr(bench.source, SETTING)
    others = [value for value in get_args(declared.annotation) if value != side]

    def ask() -> Result:
        worst = Worst()
        for other in others:
            source = bench.source.model_copy(update={SETTING: other})
            adapter = source.load(device=bench.device)
            try:
                found = bench.anew(adapter, source)
                batch = found.first[: found.largest()]
                for sample, row in zip(batch, found.encode(batch), strict=True):
                    worst.meet(row, bench.alone(sample), f"{sample.name}, {other}")
            finally:
                adapter.close()
        what = f"{', '.join(map(str, others))} against {side}"
        return verdict(
            GROUP, NAME, bench, worst, what, "the result changes with the side of padding"
        )

    return guarded(GROUP, NAME, bench.modality, ask)
