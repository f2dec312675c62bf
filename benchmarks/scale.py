"""A study of 102 languages and three models on any number of GPUs, simulated.

    python benchmarks/scale.py                     # tables, and docs/images/scale.png
    python benchmarks/scale.py --run OUT [OUT …]   # from the times that runs of yours took

Events, not formulas: workers pull units by the rule that real workers have
(`isogloss.extraction.extract.preferred`), load what they need, are lost, reach their limit and come
back.
Where the times come from is said in `scale_costs.py`.
"""

import argparse
import heapq
import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import scale_costs
from scale_costs import ASSUMED, MODELS

from isogloss.extraction.extract import preferred
from isogloss.languages import languages
from isogloss.leases import BEAT, DEAD
from isogloss.storage.store import Unit

PIECE = 300.0
"""Seconds between two pieces of a unit that is under way."""
BOOT = 12.0
"""Seconds until a process has imported torch and transformers and read the corpus's table; it took
that on a machine with cold files."""
REQUEUE = 60.0
"""Seconds that a scheduler takes to start a lost or expired worker again: an idle cluster."""
GPUS = (1, 2, 4, 8, 16, 32, 64, 128)


@dataclass
class Study:
    """One model's units with what each takes."""

    name: str
    units: list
    seconds: dict
    """Unit -> seconds of a worker that has loaded what it needs."""
    load: object
    """(Unit) -> (what it needs, bytes): what is in memory already is not loaded again."""
    cores: dict
    """Unit -> seconds of one core for decoding and features, of which the worker has several."""
    bytes: float
    places: int


@dataclass
class Result:
    """What a simulation gave, in seconds; times of workers are sums over all of them."""

    makespan: float = 0.0
    made: float = 0.0
    loading: float = 0.0
    booting: float = 0.0
    again: float = 0.0
    """Work that was done twice."""
    ends: dict = field(default_factory=dict)
    events: int = 0

    def idle(self, gpus):
        """Share of the GPUs' time in which they compute nothing for a unit that is kept."""
        return 1 - self.made / (gpus * self.makespan)


def corpus(assumed=ASSUMED, seed=0):
    """Lengths of all recordings and texts: {language: (seconds, Seamless tokens, Llama tokens)}."""
    rng = np.random.default_rng(seed)
    found = {}
    for code, language in languages().items():
        n = language.published_sentences or assumed["sentences"]
        spread = assumed["spread_of_speech"]
        own = rng.lognormal(-(0.15**2) / 2, 0.15)
        seconds = assumed["seconds_of_speech"] * own * rng.lognormal(-(spread**2) / 2, spread, n)
        seconds = seconds.clip(2, 30)
        like = rng.lognormal(-(0.35**2) / 2, 0.35, n)
        llama = assumed["tokens_latin" if language.script == "Latn" else "tokens_other"]
        found[code] = (seconds, assumed["tokens_seamless"] * like, llama * like)
    return found


def studies(inputs, *, joint=True, recordings=1.0, sentences=1.0, parts=1, assumed=ASSUMED):
    """The three studies, from counted operations and what processors take.

    Args:
        inputs: As `corpus` gives them.
        joint: Whether SALMONN reads a text after its recording.
        recordings: Recordings of a sentence.
        sentences: Times as many sentences of the same kind.
        parts: Pieces that each unit is split into, each a unit of its own.
        assumed: As ASSUMED.
    """
    took, known = scale_costs.measured(), languages()
    found = []
    for model in MODELS:
        salmonn = model.name.startswith("SALMONN")
        units, seconds, cores, kept = [], {}, {}, 0.0
        for modality in ("text", "speech"):
            for code, (spoken, tokens, llama) in inputs.items():
                if not _knows(model, known[code], modality):
                    continue
                times = sentences * (recordings if modality == "speech" else 1.0)
                total = scale_costs.gpu_seconds(
                    model, modality, spoken, llama if salmonn else tokens,
                    joint=joint, assumed=assumed,
                ).sum() * times  # fmt: skip
                heard = modality == "speech" or (salmonn and joint)
                core = took["decode"] + sum(took[f] for f in model.features) if heard else 0.0
                core *= spoken.sum() * times
                size = 4.0 * model.values[modality] * len(spoken) * times
                # Planning one unit reads its recordings once more, to name their content.
                core += heard * spoken.sum() * times * 32_000 / took["hash"]
                kept += size
                for part in range(parts):
                    unit = Unit(code, modality, f"{part:064d}", (), ("",) * len(spoken), 0)
                    units.append(unit)
                    cores[unit] = core / parts
                    seconds[unit] = max(total, core / assumed["cores"]) / parts
                    seconds[unit] += size / parts / took["write"]
                    seconds[unit] += size / parts / 1e9 / assumed["write_worker"]
        found.append(Study(model.name, units, seconds, _loader(model), cores, kept, model.places))
    return found


def measured_studies(folders, seed=0):
    """Studies of 102 languages from runs: each unit takes what one of the run's own took."""
    rng = np.random.default_rng(seed)
    found = []
    for folder in folders:
        described = json.loads((folder / "run.json").read_text(encoding="utf-8"))
        took = {"text": [], "speech": []}
        kept = 0.0
        for path in (folder / "activations").glob("*.json"):
            record = json.loads(path.read_text(encoding="utf-8"))
            if "seconds" in record and "modality" in record:
                took[record["modality"]].append((record["seconds"], record["bytes"]))
        units, seconds = [], {}
        for modality in [m for m in took if took[m]]:
            for code in languages():
                unit = Unit(code, modality, "0" * 64, (), (), 0)
                spent, size = took[modality][rng.integers(len(took[modality]))]
                units.append(unit)
                seconds[unit], kept = spent, kept + size
        taps = len({name for both in described["taps"].values() for name, _ in both})
        zero = dict.fromkeys(units, 0.0)
        found.append(Study(folder.name, units, seconds, _free, zero, kept, taps))
    return found


def _free(unit):
    return unit.modality, 0.0


def _knows(model, language, modality):
    if model.name.startswith("Seamless"):
        return bool(language.seamless) or modality == "speech"
    if model.name == "SONAR":
        return bool(language.sonar_text if modality == "text" else language.sonar_speech)
    return True


def _loader(model):
    def needs(unit):
        own = model.own_encoder and unit.modality == "speech"
        key = (unit.modality if not model.bytes[""] else "", unit.language if own else "")
        return key, model.bytes[""] + model.bytes[unit.modality]

    return needs


def simulate(made_of, gpus, *, lost_every=None, limit=None, seed=0, assumed=ASSUMED):
    """Let workers pull units until all are made.

    Args:
        made_of: Studies, in the order in which they are queued. A GPU that one does not need any
            more starts a worker of the next.
        gpus: How many workers there are at a time.
        lost_every: Mean seconds after which a worker is lost, its GPU with it for a minute.
        limit: Seconds after which the scheduler ends a worker, which keeps its rows.
        seed: Of the moments at which workers are lost.
        assumed: Rates of reading.
    """
    rng = np.random.default_rng(seed)
    left = [list(study.units) for study in made_of]
    remaining = [dict(study.seconds) for study in made_of]
    leased = [{} for _ in made_of]
    """Unit -> when its lease is known to be dead; infinite while its worker lives."""
    result, loading = Result(), []
    queue = [(0.0, worker, "start", None) for worker in range(gpus)]
    state = {}
    while queue:
        now, worker, what, unit = heapq.heappop(queue)
        result.events += 1
        if what == "start":
            ends = now + (rng.exponential(lost_every) if lost_every else np.inf)
            state[worker] = {"study": None, "lost": ends, "limit": now + (limit or np.inf)}
        me = state[worker]
        if what == "done":
            left[me["study"]].remove(unit)
            del leased[me["study"]][unit]
            result.makespan = max(result.makespan, now)
            result.ends[me["study"]] = now
        if not any(left):
            continue
        chosen = _choose(made_of, left, leased, me, now)
        if chosen is None:
            # Nothing is free: look again when a lease may have died.
            heapq.heappush(queue, (now + 5.0, worker, "look", None))
            continue
        at, unit = chosen
        spent = 0.0
        if me["study"] != at:
            spent += BOOT
            result.booting += BOOT
            me |= {"study": at, "loaded": None, "modality": None}
        key, size = made_of[at].load(unit)
        if me["loaded"] != key:
            loading = [until for until in loading if until > now]
            share = assumed["read_all"] / (len(loading) + 1)
            took = size / 1e9 / min(assumed["read_worker"], share)
            loading.append(now + spent + took)
            spent += took
            result.loading += took
        work = remaining[at][unit]
        me |= {"loaded": key, "modality": unit.modality}
        leased[at][unit] = np.inf
        end = now + spent + work
        cut = min(me["lost"], me["limit"])
        if end <= cut:
            result.made += work
            heapq.heappush(queue, (end, worker, "done", unit))
            continue
        done = max(cut - now - spent, 0.0)
        kept = done if me["limit"] < me["lost"] else PIECE * (done // PIECE)
        remaining[at][unit] -= kept
        result.made += kept
        result.again += done - kept
        leased[at][unit] = cut + (0 if me["limit"] < me["lost"] else DEAD + BEAT)
        me["study"] = None
        heapq.heappush(queue, (max(cut, now) + REQUEUE, worker, "start", None))
    return result


def _choose(made_of, left, leased, me, now):
    """The next unit of the first study that has one for this worker."""
    for at in range(len(made_of)):
        free = [u for u in left[at] if leased[at].get(u, -1.0) <= now]
        if free:
            mine = me["study"] == at
            busy = Counter(u.modality for u, until in leased[at].items() if until > now)
            return at, preferred(free, me.get("modality") if mine else None, busy)[0]
    return None


def comparison(study, workers, cores, count):
    """Seconds to compare, and the longest chunk: workers pull chunks, each on all of its cores.

    Times of 30 languages (435 pairs) at 4096 features, from "Analysis stage" in results.md, with as
    many sentences as the study has: processor seconds of one place.
    """
    pairs = count * (count - 1) / 2
    chunks = [40.4 * count / 30] * study.places
    chunks += [85.0 / 2 * pairs / 435] * (2 * study.places)
    chunks += [116.0 * pairs / 435]
    ends = [0.0] * workers
    for chunk in sorted(chunks, reverse=True):
        heapq.heapreplace(ends, ends[0] + chunk / cores)
    return max(ends), max(chunks) / cores, len(chunks), sum(chunks)


def main():
    """Print the tables and draw the figure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--run", nargs="+", type=Path, help="output folders of runs")
    parser.add_argument("--figure", type=Path, help="where the figure goes")
    asked = parser.parse_args()
    from scale_tables import draw, tables

    made_of = measured_studies(asked.run) if asked.run else studies(corpus())
    for table in tables(made_of, derived=not asked.run):
        print(table.markdown())
    if asked.figure:
        draw(made_of, asked.figure)


if __name__ == "__main__":
    main()
