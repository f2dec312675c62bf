"""What a look at the gaps costs while a model trains."""

import time
from itertools import pairwise

from harness import CLOCK, Table

from isogloss.models._tiny import cached_tiny_seamless
from isogloss.models._weights import quiet
from isogloss.training import GapWatch

LANGUAGES = ("bul", "deu", "ell", "eng", "fin", "hye", "ind", "tur")
CASES = (
    (4, 16, "last", 100, True),
    (8, 24, "last", 100, True),
    (8, 24, "last", 0, False),
    (8, 24, "all", 100, True),
    (8, 24, "all", 0, False),
)
"""Languages, sentences, taps, permutations, confounds."""
COLUMNS = (
    "languages", "sentences", "taps", "permutations", "confounds", "scores", "made ready, once",
    "a call", "of it in the model",
)  # fmt: skip


def run(quick):
    import torch
    import transformers

    torch.set_num_threads(1)
    with quiet():
        model = transformers.SeamlessM4Tv2Model.from_pretrained(cached_tiny_seamless())
    model.train()
    table = Table("A call of GapWatch on the tiny model, processor time of one core", list(COLUMNS))
    for case in CASES[: 1 if quick else None]:
        table.rows.append(_row(model, *case))
    table.notes.append("sentences of the Declaration of Human Rights; recordings were there")
    return [table]


def _row(model, count, sentences, taps, permutations, confounds):
    corpus = {"source": "udhr", "languages": LANGUAGES[:count], "sentences": sentences}
    settings = {"taps": taps, "permutations": permutations, "jobs": 1}
    if not confounds:
        settings["confounds"] = ()

    def made():
        watch = GapWatch({"family": "seamless", "checkpoint": "tiny"}, corpus, **settings)
        watch.bind(model)
        return watch

    made()  # speaks the sentences if nobody did
    times = [CLOCK()]
    watch = made()
    times.append(CLOCK())
    gaps = watch(model, 0)
    times.append(CLOCK())
    ready, call = (b - a for a, b in pairwise(times))
    pairs = count * (count - 1) // 2
    scores = sum(count if g.kind == "cross_modal" else pairs for g in gaps.gaps)
    shown = (count, sentences, taps, permutations, "yes" if confounds else "no", scores)
    model_time = call * gaps.encoding / gaps.seconds
    print(time.strftime("%X"), *shown, f"{ready:.1f} {call:.1f} {model_time:.1f}", flush=True)
    return [*map(str, shown), f"{ready:.1f} s", f"{call:.1f} s", f"{model_time:.1f} s"]


if __name__ == "__main__":
    from harness import show

    show(run(quick=False))
