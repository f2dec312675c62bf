"""Scores recorded from google/svcca, the code of the authors of SVCCA."""

import json
from collections.abc import Iterator
from pathlib import Path

from isogloss.conformance.case import GOLDEN, Case, Skipped, Value
from isogloss.conformance.suite import Suite
from isogloss.conformance.suites.svcca import SvccaSuite

FOLDER = Path(__file__).parents[1] / "data"
SHARE = 0.9
"""The share at which the recorded views were cut."""
EPSILON = 1e-10
"""The ridge; a smaller one gives the same scores within the tolerance."""


def cases(suite: Suite) -> Iterator[Case]:
    """One case for each recorded pair of views."""
    if (
        not isinstance(suite, SvccaSuite)
        or suite.share != SHARE
        or suite.zscore
        or suite.epsilon > EPSILON
    ):
        what = (
            f"scores were recorded for svcca(share={SHARE:g}, epsilon={EPSILON:g}) without zscore"
        )
        yield Skipped(group=GOLDEN, name="google/svcca", matters="", reason=what)
        return
    from safetensors.numpy import load_file

    arrays = load_file(FOLDER / "svcca.safetensors")
    numbers = json.loads((FOLDER / "svcca.json").read_text(encoding="utf-8"))
    for key, recorded in numbers.items():
        name, rule = key.split("/")
        if rule == suite.rule:
            x, y = arrays[f"{name}/x"], arrays[f"{name}/y"]
            yield Value(
                group=GOLDEN,
                name=f"{name.replace('_', ' ')}, {len(x)} × {x.shape[1]} and {y.shape[1]}",
                matters=f"google/svcca keeps k = {recorded['k_x']} and {recorded['k_y']}",
                known="google/svcca, commit 1f3fbf1",
                views=(x, y),
                expected=recorded[f"mean_{suite.mean}"],
                tolerance=1e-6,
            )
