"""Tables and the figure of the simulation in `scale.py`."""

import numpy as np
import scale_costs
from harness import Table
from scale import BOOT, GPUS, PIECE, REQUEUE, comparison, corpus, simulate, studies
from scale_costs import ASSUMED, MODELS

from isogloss.leases import BEAT, DEAD

SHOWN = (1, 8, 64)
SEEDS = range(20)


def tables(made_of, *, derived):
    """All tables of a set of studies; those that vary what was assumed only where it was."""
    found = [sizes(made_of), scaling(made_of), disturbed(made_of)]
    if derived:
        inputs = corpus()
        found += [variants(inputs), splitting(inputs), costs()]
    return found


def sizes(made_of):
    """What there is to do."""
    table = Table(
        "What there is to do, 102 languages",
        ["model", "units", "GPU time", "decoding and features, one core", "longest unit",
         "loaded for a unit", "activations", "files", "comparisons, one core", "longest chunk"],
    )  # fmt: skip
    for study in made_of:
        loads = [study.load(u)[1] / 1e9 for u in study.units]
        _, _, chunks, total = comparison(study, 1, 1, _count(study))
        longest = comparison(study, 1, 1, _count(study))[1]
        table.rows.append(
            [study.name, f"{len(study.units)}", _time(sum(study.seconds.values())),
             _time(sum(study.cores.values())), _time(max(study.seconds.values())),
             " to ".join(dict.fromkeys(f"{x:.1f} GB" for x in (min(loads), max(loads)))),
             f"{study.bytes / 1e9:.1f} GB",
             f"{2 * len(study.units) + chunks}", _time(total), _time(longest)]
        )  # fmt: skip
    table.notes = ["Files: two for each unit, one for each chunk of comparisons."]
    return table


def scaling(made_of):
    """Makespan and where the GPUs' time goes."""
    table = Table(
        "All studies, one queue",
        ["GPUs", "extraction", "GPUs idle", "of that, starting", "loading", "waiting",
         "comparison on their cores", "both"],
    )  # fmt: skip
    for gpus in GPUS:
        result = simulate(made_of, gpus)
        whole = gpus * result.makespan
        starting, loading = result.booting / whole, result.loading / whole
        later = sum(comparison(s, gpus, ASSUMED["cores"], _count(s))[0] for s in made_of)
        table.rows.append(
            [f"{gpus}", _time(result.makespan), f"{result.idle(gpus):.0%}", f"{starting:.0%}",
             f"{loading:.0%}", f"{max(result.idle(gpus) - starting - loading, 0):.0%}",
             _time(later), _time(result.makespan + later)]
        )  # fmt: skip
    table.notes = [
        f"Comparison: workers with {ASSUMED['cores']} cores each, one study after the other, "
        "default analyses.",
        "Waiting: at the end, when no unit is left to be taken.",
    ]
    return table


def disturbed(made_of):
    """Lost workers and time limits."""
    table = Table(
        "Lost workers and time limits",
        ["what", *(f"{_gpus(g)}: extraction" for g in SHOWN), *(f"{g}: twice done" for g in SHOWN)],
    )
    cases = [("nothing", {}), ("each worker lost after 4 h on average", {"lost_every": 14_400}),
             ("after 1 h", {"lost_every": 3600}), ("after 10 min", {"lost_every": 600}),
             ("limit of 4 h", {"limit": 14_400}), ("limit of 1 h", {"limit": 3600}),
             ("limit of 10 min", {"limit": 600})]  # fmt: skip
    for name, options in cases:
        times, again = [], []
        for gpus in SHOWN:
            seeds = SEEDS if "lost_every" in options else (0,)
            results = [simulate(made_of, gpus, seed=seed, **options) for seed in seeds]
            times.append(_time(np.mean([r.makespan for r in results])))
            share = np.mean([r.again / (r.made + r.again) for r in results])
            again.append(f"{share:.1%}")
        table.rows.append([name, *times, *again])
    table.notes = [
        f"A unit is free again {DEAD + BEAT:.0f} s after its worker was lost; rows are kept every "
        f"{PIECE:.0f} s, and at a limit; a worker comes back after {REQUEUE:.0f} s, starts in "
        f"{BOOT:.0f} s and loads its model. Means over {len(SEEDS)} seeds.",
    ]
    return table


def variants(inputs):
    """Other inputs and other assumptions."""
    slow = {**ASSUMED, "tflops_single": 4.0, "tflops_half": 30.0}
    shared = {**ASSUMED, "read_all": 2.0}
    near = {**ASSUMED, "read_worker": 3.0, "read_all": 400.0}
    cases = [
        ("as above", {}, ASSUMED),
        ("SALMONN's texts alone (input: separate)", {"joint": False}, ASSUMED),
        ("all recordings, 2.36 of a sentence", {"recordings": 2.36}, ASSUMED),
        ("2,009 sentences, all recordings", {"recordings": 2.36, "sentences": 6.2}, ASSUMED),
        ("GPUs of a third of the speed", {}, slow),
        ("2 cores for each GPU", {}, {**ASSUMED, "cores": 2}),
        ("a file system of 2 GB/s for all", {}, shared),
        ("weights on each node's own disk, 3 GB/s", {}, near),
    ]  # fmt: skip
    table = Table(
        "Other inputs, and what the assumptions are worth",
        ["what", "GPU time", "activations", "longest unit", *(_gpus(g) for g in SHOWN),
         "idle at 64"],
    )  # fmt: skip
    for name, options, assumed in cases:
        made_of = studies(inputs, assumed=assumed, **options)
        results = {gpus: simulate(made_of, gpus, assumed=assumed) for gpus in SHOWN}
        seconds = [t for study in made_of for t in study.seconds.values()]
        table.rows.append(
            [name, _time(sum(seconds)), f"{sum(s.bytes for s in made_of) / 1e9:.0f} GB",
             _time(max(seconds)), *(_time(r.makespan) for r in results.values()),
             f"{results[64].idle(64):.0%}"]
        )  # fmt: skip
    return table


def splitting(inputs):
    """What smaller units would give."""
    near = {**ASSUMED, "read_worker": 3.0, "read_all": 400.0}
    table = Table(
        "Splitting units",
        ["pieces of a unit", *(f"{g} GPUs" for g in (8, 64, 128)),
         *(f"{g}, weights on each node" for g in (64, 128))],
    )  # fmt: skip
    for parts in (1, 2, 4):
        made_of = studies(inputs, parts=parts)
        row = [_time(simulate(made_of, gpus).makespan) for gpus in (8, 64, 128)]
        made_of = studies(inputs, parts=parts, assumed=near)
        row += [_time(simulate(made_of, g, assumed=near).makespan) for g in (64, 128)]
        table.rows.append([str(parts), *row])
    return table


def costs():
    """What was counted, and what was measured here."""
    took = scale_costs.measured()
    table = Table(
        "Counted and measured", ["what", "value"],
        [[f"{name}, {size:.0f} time steps", f"{value / 1e12:.3f} TFLOP"]
         for name, (sizes_, counted) in scale_costs.operations().items()
         for size, value in list(zip(sizes_, counted, strict=True))[len(sizes_) // 2 :][:1]],
    )  # fmt: skip
    table.rows += [
        ["decoding WAV", f"{took['decode'] * 1e3:.2f} ms for 1 s of audio, one core"],
        ["features of SeamlessM4T and SONAR", f"{took['seamless'] * 1e3:.2f} ms"],
        ["features of Whisper", f"{took['whisper'] * 1e3:.2f} ms"],
        ["features of BEATs", f"{took['beats'] * 1e3:.2f} ms"],
        ["SHA-256", f"{took['hash'] / 1e6:.0f} MB/s"],
        ["a unit packed, hashed and written, processor time", f"{took['write'] / 1e6:.0f} MB/s"],
    ]
    recordings = sum(s.sum() for s, _, _ in corpus().values())
    weights = {m.name: sum(m.bytes.values()) / 1e9 for m in MODELS}
    weights["SONAR"] += 56 * 708e6 * 4 / 1e9
    table.notes = [
        f"Recordings: {recordings / 3600:.0f} h, {recordings * 32_000 / 1e9:.1f} GB as WAV; named "
        f"by content in {recordings * 32_000 / took['hash']:.0f} s of one core, once.",
        "Weights named by content, once: "
        + "; ".join(f"{n} {g:.0f} GB, {g * 1e9 / took['hash']:.0f} s" for n, g in weights.items()),
    ]
    return table


def draw(made_of, path):
    """Makespan against GPUs, and what the GPUs do meanwhile."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    gpus = np.array(GPUS)
    results = [simulate(made_of, g) for g in GPUS]
    spans = np.array([r.makespan for r in results]) / 60
    work = sum(t for s in made_of for t in s.seconds.values()) / 60
    bound = max(t for s in made_of for t in s.seconds.values()) / 60
    later = [
        sum(comparison(s, g, ASSUMED["cores"], _count(s))[0] for s in made_of) / 60 for g in GPUS
    ]
    figure, (left, right) = plt.subplots(1, 2, figsize=(9.2, 3.7), layout="constrained")
    left.loglog(gpus, spans, "o-", color="#2a6f97", label="extraction")
    left.loglog(gpus, later, "s-", color="#c8553d", label="comparison, 8 cores for each GPU")
    left.loglog(gpus, work / gpus, "--", color="#666", lw=1, label="nothing but the model")
    left.axhline(bound, color="#999", lw=1, ls=":", label="longest unit")
    left.set_xticks(gpus, [str(g) for g in GPUS])
    marks = {0.5: "30 s", 1: "1 min", 3: "3 min", 10: "10 min", 30: "30 min", 60: "1 h", 180: "3 h"}
    left.set_yticks(list(marks), list(marks.values()))
    left.minorticks_off()
    left.set_xlabel("GPUs")
    left.set_ylabel("time")
    left.legend(frameon=False, fontsize=8)
    whole = np.array([r.makespan * g for r, g in zip(results, GPUS, strict=True)])
    parts = {
        "computing": [r.made for r in results],
        "loading weights": [r.loading for r in results],
        "starting": [r.booting for r in results],
    }
    colours = ["#2a6f97", "#e9c46a", "#8d99ae", "#edede9"]
    shares = [np.array(v) / whole for v in parts.values()]
    shares.append(np.clip(1 - sum(shares), 0, 1))
    below = np.zeros(len(GPUS))
    for name, share, colour in zip([*parts, "waiting"], shares, colours, strict=True):
        right.bar(range(len(GPUS)), share, bottom=below, color=colour, label=name, width=0.8)
        below += share
    right.set_xticks(range(len(GPUS)), [str(g) for g in GPUS])
    right.set_xlabel("GPUs")
    right.set_ylabel("share of the GPUs' time")
    right.set_ylim(0, 1)
    right.legend(
        frameon=False, fontsize=8, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=4,
        columnspacing=1.0, handlelength=1.2,
    )  # fmt: skip
    for axis in (left, right):
        axis.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=150)


def _count(study):
    return len({u.language for u in study.units})


def _gpus(count):
    return "1 GPU" if count == 1 else f"{count} GPUs"


def _time(seconds):
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
