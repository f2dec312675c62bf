"""Every measure of the registry."""

import data
import numpy as np
from harness import Table, alternate, duration

from isogloss.similarity import Shuffles
from isogloss.similarity.measures import MEASURES


def run(quick):
    x, y, rows = data.pair(194, 1024, of=350)
    count = 100 if quick else 1000
    table = Table(
        "Every measure, 194 of 350 sentences × 1024 features",
        ["measure", "prepare a view", "score a pair", "with 1,000 permutations", "cost"],
    )
    for name in MEASURES.names():
        measure = MEASURES.get(name)()
        a, b = measure.prepare(x), measure.prepare(y)
        rng = np.random.default_rng(0)

        def compare(shuffles=None, measure=measure, a=a, b=b, rng=rng):
            mixed = rng.permutation(rows)
            return measure.compare(a, b, rows_a=mixed, rows_b=mixed, shuffles=shuffles)

        try:
            times = alternate(
                {
                    "prepare": lambda m=measure: m.prepare(x),
                    "pair": compare,
                    "null": lambda c=compare: c(Shuffles(count)),
                },
                rounds=3 if quick else 11,
                seconds=10 if quick else 60,
            )
        except Exception as error:  # one broken measure must not hide the others
            table.rows.append([name, f"{type(error).__name__}: {error}"[:60], "", "", ""])
            continue
        table.rows.append(
            [
                name,
                duration(times["prepare"]),
                duration(times["pair"]),
                duration(np.median(times["pair"]) + (times["null"] - times["pair"]) * 1000 / count),
                measure.info.cost,
            ]
        )
    if count != 1000:
        table.notes.append(f"Permutations scaled up from {count}.")
    return [table]
