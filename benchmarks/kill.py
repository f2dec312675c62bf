"""Kill a study with SIGKILL again and again, and see whether anything is lost or wrong.

    python benchmarks/kill.py --kills 200 --seed 0

A small real study (a table of sentences with recordings, the demo's model, text and speech, all
comparisons) is started, killed at a random moment and started again, until it ends by itself; then
a new folder is begun. Figures and report are left out, as they are drawn from what is compared here
and would take most of the time; --report draws them. Half of the kills come at a random time. The
other half come right before a random one of the system calls by which a process changes files (open
for writing, rename, remove, link, make a folder), where a wrong order of steps would show. Rows of
a unit that is under way are kept after every batch instead of every five minutes, so that kills hit
that too.

After each kill everything that counts as committed must be, bit for bit, what a run that nobody
disturbed has made, and `verify` must find nothing damaged. At the end of each chain activations,
parts and tables must be the same files, bit for bit.

Linux only. The study runs in forked processes, since importing torch takes longer than the study.
"""

import argparse
import hashlib
import importlib
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from itertools import product
from pathlib import Path

VOLATILE = {"started", "seconds", "environment"}
"""Fields of a record that say when, how fast and where, and no more."""
EVENTS = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.truncate"}
SLOW = (
    "torch", "soundfile", "scipy.signal", "isogloss.api", "isogloss.extraction.extract",
    "transformers.models.seamless_m4t_v2.modeling_seamless_m4t_v2",
    "transformers.models.seamless_m4t.tokenization_seamless_m4t",
    "transformers.models.seamless_m4t.feature_extraction_seamless_m4t",
)  # fmt: skip
UNIT = 3
"""Exit code of a run in which a unit failed."""
GIVEN_UP = "workers were lost while they made it"
"""What Isogloss says of a unit when several workers died in it; the next run tries it again."""
LIMIT = 300
"""Seconds after which a run counts as hanging."""


def corpus(folder, languages, sentences):
    """Short sentences with short recordings, all of them different."""
    import numpy as np
    import soundfile

    folder.mkdir()
    rng = np.random.default_rng(1)
    lines = []
    for i, language in product(range(sentences), languages):
        words = ["".join(rng.choice(list("aeioulnrst"), 5)) for _ in range(3 + i % 4)]
        name = f"{language}{i}.wav"
        length = 4000 + 1200 * i + 300 * len(language)
        soundfile.write(folder / name, 0.1 * rng.normal(size=length), 16000)
        line = {"id": i, "lang": language, "text": " ".join(words), "audio_filepath": name}
        lines.append(json.dumps(line))
    (folder / "table.jsonl").write_text("\n".join(lines) + "\n")


def study(folder, table):
    """What is run."""
    from isogloss import Study

    return Study(
        title="Killed",
        corpus={"source": "manifest", "path": table},
        model={"family": "seamless", "checkpoint": "tiny"},
        output=folder,
        permutations=20,
        interval="none",
        batch_frames=100,
        jobs=1,
    )


def child(folder, table, report, draw, die_at=None):
    """Run the study in this forked process, which ends with it."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    signal.alarm(LIMIT)
    count, root = 0, str(folder)

    def watch(event, args):
        nonlocal count
        writes = event == "open" and isinstance(args[2], int) and args[2] & os.O_ACCMODE
        if (event in EVENTS or writes) and any(isinstance(a, str) and root in a for a in args):
            count += 1
            if count == die_at:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(watch)
    code = 1
    try:
        from isogloss import api
        from isogloss.extraction import encode

        encode.KEEP_EVERY = 0.0
        if not draw:
            api.write_report = lambda output, events: None
        outcome = api.run(study(folder, table))
        code = UNIT if outcome.failed else 0
        why = "; ".join(f"{unit.name}: {reason}" for unit, reason in outcome.failed)
        Path(report).with_suffix(".txt").write_text(why)
    except BaseException:
        import traceback

        Path(report).with_suffix(".txt").write_text(traceback.format_exc())
    finally:
        Path(report).write_text(str(count))
        os._exit(code)


def attempt(folder, table, report, draw, *, after=None, die_at=None):
    """One run; its exit code (negative: killed), seconds, and file events if it came to its end."""
    Path(report).unlink(missing_ok=True)
    begun = time.monotonic()
    pid = os.fork()
    if pid == 0:
        child(folder, table, report, draw, die_at)
    status = None
    while status is None:
        done, found = os.waitpid(pid, os.WNOHANG)
        if done:
            status = found
        elif after is not None and time.monotonic() - begun >= after:
            os.kill(pid, signal.SIGKILL)
            _, status = os.waitpid(pid, 0)
        else:
            time.sleep(0.002)
    events = int(Path(report).read_text()) if Path(report).exists() else 0
    return os.waitstatus_to_exitcode(status), time.monotonic() - begun, events


def content(folder):
    """All that must be the same, by file."""
    found = {}
    for pattern in ("activations/*.safetensors", "results/**/*.*", "sentences.parquet"):
        for path in folder.glob(pattern):
            # The list of digests may name a file's content of before, too.
            if path.is_file() and path.name != "digests.json" and path.suffix != ".tmp":
                name = path.relative_to(folder).as_posix()
                found[name] = hashlib.sha256(path.read_bytes()).hexdigest()
    for path in folder.glob("activations/*.json"):
        values = json.loads(path.read_text())
        kept = {k: v for k, v in values.items() if k not in {*VOLATILE, "seal"}}
        found[f"activations/{path.name}"] = json.dumps(kept, sort_keys=True)
    return found


def examine(folder, units, right):
    """Damaged units that count as committed, and what `verify` finds damaged."""
    from isogloss.errors import IsoglossError
    from isogloss.storage.store import Store
    from isogloss.storage.verifying import verify

    store, wrong, committed = Store(folder), [], 0
    for unit in units:
        if not store.has(unit):
            continue
        committed += 1
        name = f"activations/{store.record(unit)['file']}"
        if hashlib.sha256((folder / name).read_bytes()).hexdigest() != right.get(name):
            wrong.append(name)
        values = {k: v for k, v in store.record(unit).items() if k not in VOLATILE}
        if json.dumps(values, sort_keys=True) != right[f"activations/{unit.name}.json"]:
            wrong.append(f"the record of {unit.name}")
    try:
        damaged = [f"{p.file}: {p.what}" for p in verify(folder) if p.damaged]
    except IsoglossError:  # killed before anything was there
        damaged = []
    return committed, wrong, damaged


def left_over(folder):
    """Files that nothing needs any more."""
    from isogloss.storage.verifying import verify

    return [p.file for p in verify(folder) if not p.damaged]


def campaign(kills, seed, table, work, *, draw=False, tell=print):
    """Kill until there were so many kills; returns the summary as a dict."""
    from isogloss.runs import Run

    # Imported once, here, for all forks: it takes longer than the study.
    for name in (*SLOW, *(("matplotlib.pyplot", "plotly", "jinja2") if draw else ())):
        importlib.import_module(name)
    report, chance = work / "events", random.Random(seed)
    undisturbed = work / "undisturbed"
    code, seconds, events = attempt(undisturbed, table, report, draw)
    if code:
        raise SystemExit(f"the undisturbed run ended with {code}: {_why(report)}")
    # Once more, with everything in the cache, for the time that a killed run has.
    shutil.rmtree(undisturbed)
    code, seconds, events = attempt(undisturbed, table, report, draw)
    right, units = content(undisturbed), Run.read(undisturbed).units
    tell(f"undisturbed: {seconds:.1f} s, {events} file events, {len(right)} files", flush=True)
    found = {
        "kills": 0, "at a random time": 0, "at a file event": 0, "folders": 0, "looks": 0,
        "committed units seen": 0, "damaged units accepted": 0, "damaged files found": 0,
        "runs that gave a unit up": 0, "runs that failed": 0,
        "results that differ": 0, "files left over": 0,
    }  # fmt: skip
    while found["kills"] < kills:
        folder = work / "killed"
        shutil.rmtree(folder, ignore_errors=True)
        while True:
            timed = chance.random() < 0.5
            after = chance.uniform(0, seconds) if timed else None
            die_at = None if timed else chance.randint(1, events)
            if found["kills"] >= kills:
                after = die_at = None
            code, _, _ = attempt(folder, table, report, draw, after=after, die_at=die_at)
            if code == -signal.SIGKILL:
                found["kills"] += 1
                found["at a random time" if timed else "at a file event"] += 1
                moment = f"after {after:.2f} s" if timed else f"at file event {die_at}"
            elif code == UNIT and GIVEN_UP in _why(report):
                found["runs that gave a unit up"] += 1
                tell(f"gave up: {_why(report)}", flush=True)
            elif code:
                found["runs that failed"] += 1
                tell(f"FAILED with {code}: {_why(report)}", flush=True)
                break
            if folder.exists():
                committed, wrong, damaged = examine(folder, units, right)
                found["looks"] += 1
                found["committed units seen"] += committed
                found["damaged units accepted"] += len(wrong)
                found["damaged files found"] += len(damaged)
                for problem in (*wrong, *damaged):
                    tell(f"WRONG: {problem}", flush=True)
            if not code:
                break
            if code != UNIT:
                tell(f"kill {found['kills']:3d} {moment}", flush=True)
        if code:
            continue
        found["folders"] += 1
        now = content(folder)
        differing = sorted(n for n in {*right, *now} if right.get(n) != now.get(n))
        found["results that differ"] += len(differing)
        left = left_over(folder)
        found["files left over"] += len(left)
        for name in differing:
            tell(f"DIFFERS: {name}", flush=True)
        tell(f"folder {found['folders']} is done; left over: {left or 'nothing'}", flush=True)
    return found


def _why(report):
    path = Path(report).with_suffix(".txt")
    return path.read_text().strip() if path.exists() else "it was killed or hangs"


BAD = ("damaged units accepted", "damaged files found", "runs that failed", "results that differ")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--languages", default="eng,deu")
    parser.add_argument("--sentences", type=int, default=6)
    parser.add_argument("--report", action="store_true", help="draw figures and report too")
    asked = parser.parse_args()
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ.setdefault(name, "1")
    with tempfile.TemporaryDirectory() as work:
        os.environ.setdefault("ISOGLOSS_CACHE", str(Path(work) / "cache"))
        corpus(Path(work) / "corpus", asked.languages.split(","), asked.sentences)
        table = Path(work) / "corpus" / "table.jsonl"
        begun = time.monotonic()
        found = campaign(asked.kills, asked.seed, table, Path(work), draw=asked.report)
    found["minutes"] = round((time.monotonic() - begun) / 60, 1)
    print(json.dumps(found, indent=1))
    return 1 if any(found[name] for name in BAD) else 0


if __name__ == "__main__":
    sys.exit(main())
