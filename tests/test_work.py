"""Workers that share a store: alike, interchangeable, and lost without loss."""

import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from uuid import uuid4

import polars as pl
import pytest

import isogloss
from builders import small_study
from isogloss.analysing import analyse
from isogloss.coordinate import job
from isogloss.corpora.udhr import Udhr
from isogloss.errors import IsoglossError, StoreError
from isogloss.events import Silent
from isogloss.extraction.extract import Extraction, extract, failures, preferred
from isogloss.interrupts import Interrupted, Stop
from isogloss.leases import Leases
from isogloss.planning import draft, plan, plan_unit
from isogloss.runs import Run
from isogloss.storage.store import Unit
from isogloss.work import main

ARGUMENTS = {"languages": "eng,deu", "sentences": 6}
SCORES = ("cross_modal", "cross_lingual", "gaps")


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """An undisturbed run."""
    study = small_study(tmp_path_factory.mktemp("alone") / "out", **ARGUMENTS)
    isogloss.run(study)
    return study.output


def prepared(folder, **changes):
    """The demo, planned and claimed, with nothing made."""
    study = small_study(folder / "out", **ARGUMENTS).model_copy(update=changes)
    planned = plan(study)
    store = Run.of(planned).store()
    store.claim({**study.identity(), "checkpoint": planned.checkpoint})
    Run.of(planned).write()
    return planned, store


def activations(folder):
    records = sorted((folder / "activations").glob("*.json"))
    return {p.name: json.loads(p.read_text())["sha256"] for p in records}


def same(folder, other):
    assert activations(folder) == activations(other)
    for name in SCORES:
        ours, theirs = (pl.read_parquet(f / "results" / f"{name}.parquet") for f in (folder, other))
        assert ours.equals(theirs), name


def command(folder, *more):
    return [
        sys.executable, "-m", "isogloss", "run", "--corpus.source", "udhr", "--corpus.languages",
        "eng,deu", "--corpus.sentences", "6", "--model.family", "seamless", "--model.checkpoint",
        "tiny", "--title", "Isogloss demo", "--output", str(folder), *more,
    ]  # fmt: skip


def unit(name, modality, rows):
    return Unit(name, modality, "0" * 64, ("in",), tuple(map(str, range(rows))))


def test_a_worker_prefers_the_encoder_that_it_has():
    units = [unit("eng", "text", 5), unit("eng", "speech", 5), unit("deu", "text", 5)]
    assert [u.modality for u in preferred(units, "speech", {})] == ["speech", "text", "text"]
    assert preferred(units, "text", {"text": 9})[0] is units[0]
    assert preferred(units, None, {})[0] is units[0]
    assert preferred(units, None, {"text": 1})[0] is units[0]
    assert preferred(units, None, {"text": 2})[0] is units[1]
    assert preferred([], None, {}) == []


def test_a_unit_planned_by_itself_is_that_of_the_whole_plan(tmp_path):
    planned, _ = prepared(tmp_path)
    drafted = draft(planned.study)
    for unit in planned.units:
        alone = plan_unit(drafted, unit.language, unit.modality)
        assert alone.units == (unit,)
        assert alone.utterances(unit) == planned.utterances(unit)
        assert alone.texts == planned.texts
    assert plan_unit(drafted, "xho", "text").units == ()


def test_a_worker_makes_what_the_calling_process_would(tmp_path, done, monkeypatch):
    monkeypatch.chdir(tmp_path)
    planned, store = prepared(tmp_path)
    told = job(planned.study.output, "extract", "run 1").as_dict()
    main(json.loads(json.dumps(told)))
    assert not planned.pending(store)
    main({**told, "stage": "compare"})
    parts = set((planned.study.output / "results" / "parts").iterdir())
    assert parts
    outcome = isogloss.finish(planned.study.output)
    assert outcome.report.exists()
    assert not outcome.failed
    assert set((planned.study.output / "results" / "parts").iterdir()) == parts
    same(planned.study.output, done)
    assert not list((planned.study.output / "leases").iterdir())


def test_processes_make_the_same_and_a_killed_one_is_replaced(tmp_path, done):
    """Kill a worker as soon as it holds a lease; the others take its work over."""
    folder = tmp_path / "out"
    with (tmp_path / "log").open("w") as log:
        running = subprocess.Popen(
            command(folder, "--executor", "processes", "--executor.workers", "2"),
            stdout=log, stderr=log,
        )  # fmt: skip
    killed = None
    while running.poll() is None and killed is None:
        for path in (folder / "leases").glob("*speech*.json"):
            held = path.read_text() if path.exists() else ""
            if held:
                killed = json.loads(held)["pid"]
                os.kill(killed, signal.SIGKILL)
                break
        time.sleep(0.02)
    assert running.wait() == 0, (tmp_path / "log").read_text()
    assert killed is not None
    text = (tmp_path / "log").read_text()
    assert "a worker was ended by signal 9" in text
    same(folder, done)
    assert not list(isogloss.verify(folder))


def test_two_runs_race_on_one_folder(tmp_path, done):
    folder = tmp_path / "out"
    racers = [
        subprocess.Popen(command(folder), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    for racer in racers:
        _, errors = racer.communicate()
        assert racer.returncode == 0, errors
    same(folder, done)
    assert not [p for p in isogloss.verify(folder) if p.damaged]


def test_asked_to_stop_it_keeps_what_it_has_and_goes_on_to_the_same_bits(tmp_path, done):
    planned, _ = prepared(tmp_path, batch_frames=700)
    whole, there = tmp_path / "whole", tmp_path / "stopped"
    for folder in (whole, there):
        folder.mkdir()
    reference, store_there = (replace_store(planned, f) for f in (whole, there))
    assert extract(planned, reference, Silent()) == []

    class Counting(Stop):
        asked = 0

        def __call__(self):
            self.asked += 1
            return self.asked > 4

    for _ in range(50):
        try:
            assert extract(planned, store_there, Silent(), stop=Counting()) == []
            break
        except Interrupted:
            assert not list((there / "leases").glob("*.json"))
    else:
        pytest.fail("it never came to an end")
    for u in planned.units:
        ours, theirs = reference.record(u), store_there.record(u)
        assert ours["sha256"] == theirs["sha256"], u.name
        for field in ("sentences", "lengths", "covariates", "notes", "failed"):
            assert ours[field] == theirs[field]
    assert not list((there / "activations").glob("*.piece"))


def replace_store(planned, folder):
    from isogloss.storage.store import Store

    store = Store(folder)
    store.claim({**planned.study.identity(), "checkpoint": planned.checkpoint})
    return store


def test_a_unit_that_takes_its_workers_with_it_is_given_up(tmp_path):
    planned, store = prepared(tmp_path)
    victim = planned.units[0]
    leases = Leases(store.root / "leases")
    leases.folder.mkdir()
    dead = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"],
                          capture_output=True, text=True, check=True)  # fmt: skip
    from isogloss.leases import place

    content = {
        "holder": "x",
        "pid": int(dead.stdout),
        "born": "1",
        "place": place(),
        "lost": 2,
        "run": "r",
    }
    (leases.folder / f"{victim.name}.json").write_text(json.dumps(content))
    found = extract(planned, store, Silent(), run="r")
    assert [u for u, _ in found] == [victim]
    assert "3 workers were lost while they made it" in found[0][1]
    states = {s.unit: s.state for s in isogloss.status(store.root)}
    assert states[victim] == "failed"
    assert set(states.values()) == {"failed", "done"}
    assert extract(planned, store, Silent()) == []  # the next run tries again


def test_workers_that_an_earlier_call_has_lost_do_not_count(tmp_path):
    planned, store = prepared(tmp_path)
    leases = Leases(store.root / "leases")
    leases.folder.mkdir()
    from isogloss.leases import place

    gone = {"holder": "x", "pid": 2**22 + 7, "born": "1", "place": place(), "lost": 9, "run": "q"}
    (leases.folder / f"{planned.units[0].name}.json").write_text(json.dumps(gone))
    assert extract(planned, store, Silent(), run="r") == []


def test_a_recording_that_is_replaced_meanwhile_costs_the_unit_and_no_wrong_row(tmp_path):
    planned, store = prepared(tmp_path)
    key = next(k for k in planned.content if k[1] == "speech")
    other = replace(
        planned, content={**planned.content, key: ["0" * 64] * len(planned.content[key])}
    )
    [(unit, why)] = extract(other, store, Silent())
    assert (unit.language, unit.modality) == key
    assert "has changed while it was worked on" in why
    assert not store.has(unit)


def test_two_runs_that_fail_on_one_unit_both_say_so(tmp_path):
    planned, store = prepared(tmp_path)
    key = next(k for k in planned.content if k[1] == "speech")
    changed = {**planned.content, key: ["0" * 64] * len(planned.content[key])}
    bad = replace(planned, content=changed)
    from isogloss.storage.store import Store

    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(lambda _: extract(bad, Store(store.root), Silent()), range(2)))
    for failed in found:
        assert [(u.language, u.modality) for u, _ in failed] == [key]


def test_a_run_whose_folder_another_takes_over_writes_nothing_there(tmp_path, done):
    import shutil

    folder = tmp_path / "out"
    shutil.copytree(done, folder)
    mine = Run.read(folder)
    other = replace(mine, study={**mine.study, "permutations": 0})
    before = (folder / "results" / "gaps.parquet").read_bytes()
    other.write()
    with pytest.raises(StoreError, match="another run with other settings has taken"):
        analyse(folder, run=mine)
    assert (folder / "results" / "gaps.parquet").read_bytes() == before


def test_inputs_that_changed_since_the_plan_are_refused(tmp_path):
    planned, store = prepared(tmp_path)
    victim = planned.units[0]
    changed = replace(victim, digest=uuid4().hex * 2)
    extraction = Extraction(
        [changed], lambda _: planned, planned.study, store, Leases(store.root / "leases"), Silent(),
        run="r",
    )  # fmt: skip
    extraction.work(patient=True)
    [(failed, why)] = failures([changed], store, "r")
    assert failed == changed
    assert "its inputs are not those that the run was planned with" in why


def test_status_says_who_is_at_work_and_how_long_it_takes(tmp_path, done):
    planned, store = prepared(tmp_path)
    leases = Leases(store.root / "leases")
    lease = leases.take(planned.units[0].name, done=2, rows=6, modality="text")
    assert lease is not None
    found = isogloss.progress(store.root)
    assert found.counts == {"running": 1, "pending": len(planned.units) - 1}
    first = next(s for s in found.units if s.state == "running")
    assert (first.unit, first.made) == (planned.units[0], 2)
    assert f"2 of 6 inputs, {os.uname().nodename} {os.getpid()}" in first.detail
    assert found.left is None  # nothing says how long a unit takes
    leases.close()
    whole = isogloss.progress(done)
    assert whole.counts == {"done": 4}
    assert set(whole.rates) == {"text", "speech"}
    assert whole.left == 0


def test_finishing_names_what_is_missing(tmp_path, done):
    import shutil

    folder = tmp_path / "out"
    shutil.copytree(done, folder)
    victim = next((folder / "activations").glob("deu.text*.json"))
    victim.unlink()
    outcome = isogloss.finish(folder)
    [(u, why)] = outcome.failed
    assert (u.language, u.modality, why) == ("deu", "text", "not made")


def test_workers_that_can_do_nothing_are_said_once(tmp_path, monkeypatch):
    study = small_study(tmp_path / "out", **ARGUMENTS)
    broken = isogloss.Study(
        **{**study.model_dump(mode="json"), "device": "cuda:77", "executor": "processes"}
    )
    with pytest.raises(IsoglossError, match="no worker could do anything"):
        isogloss.run(broken)
    assert isinstance(study.corpus, Udhr)
