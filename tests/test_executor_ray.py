"""Workers on a Ray cluster of several nodes, one of which is lost under way."""

import json
import os
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest
from polars.testing import assert_frame_equal

import isogloss
from builders import small_study
from isogloss.errors import IsoglossError, MissingExtraError, StudyError
from isogloss.executors import EXECUTORS
from isogloss.executors.base import Job

RUN = """
import sys, isogloss
from isogloss.study import Study
isogloss.run(Study.read(sys.argv[1]))
"""
NODES = 3
QUICK = {"analyses": ["cross_modal"], "interval": "none", "permutations": 0, "confounds": []}


def settings(**values):
    return EXECUTORS.get("ray")(**values)


def job(stage="extract"):
    return Job("/shared/out", "/shared", stage, "one")


def test_resources_are_read_from_a_mapping_and_a_list():
    assert settings(resources={"a100": 1, "fast": 0.5}).resources == ("a100=1", "fast=0.5")
    assert settings(resources="a100=1,fast=0.5").resources == ("a100=1", "fast=0.5")


@pytest.mark.parametrize("wrong", ["a100", "a100=", "=1", "a100=many", "a100=0", "a100=-1"])
def test_a_resource_without_an_amount_is_refused(wrong):
    with pytest.raises(StudyError, match=r"executor\.resources: .*name=amount"):
        settings(resources=[wrong])


def test_what_would_be_asked_for_is_shown():
    shown = settings(workers=6, gpus=0.5, cpus=4, resources=["a100=1"], retries=3)
    assert shown.describe(job()) == (
        "6 Ray tasks at auto, each with 4 cores, 0.5 GPUs, a100=1; started again up to 3 times "
        "when a node is lost"
    )
    assert "no GPU" in shown.describe(job("compare"))


def test_without_ray_its_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtraError, match=r'pip install "isogloss\[ray\]"'):
        settings().launch(job())


@pytest.fixture
def cluster():
    """Three nodes of one core each on this machine; its address, and the nodes."""
    pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    made = Cluster()
    small = {"num_cpus": 1, "object_store_memory": 80 * 2**20}
    nodes = [made.add_node(**small, include_dashboard=False)]
    nodes += [made.add_node(**small) for _ in range(NODES - 1)]
    made.wait_for_nodes()
    yield made, nodes
    made.shutdown()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_no_cluster_at_an_address_is_one_message():
    pytest.importorskip("ray")
    for address in ("127.0.0.1:1", "auto"):
        with pytest.raises(IsoglossError, match=f'there is no Ray cluster at "{address}"'):
            settings(address=address).launch(job())


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_lost_node_changes_nothing(cluster, one_thread, tmp_path):
    """Three nodes of Ray and a process beside it share one store; a node is killed at work."""
    made, nodes = cluster
    plain = study_of(tmp_path / "plain")
    outcome = isogloss.run(plain)
    shared = tmp_path / "shared"
    ray = {"kind": "ray", "address": made.address, "workers": NODES, "gpus": 0}
    first = start(tmp_path / "ray.yaml", study_of(shared, executor=ray))
    wait_for(lambda: list((shared / "leases").glob("[!.]*.json")) or first.poll(), 300)
    second = start(tmp_path / "here.yaml", study_of(shared))
    victim = wait_for(lambda: holders(shared, below=nodes[1:]) or first.poll(), 300)
    assert isinstance(victim, dict), "all work was over before a node could be lost"
    node, pid, units = victim["node"], victim["pid"], victim["units"]
    made.remove_node(node, allow_graceful=False)
    wait_for(lambda: ended(pid), 60)
    for name, process in (("ray", first), ("here", second)):
        assert process.wait(600) == 0, (tmp_path / f"{name}.log").read_text()
    assert units
    assert digests(shared) == digests(plain.output)
    assert not list(isogloss.verify(shared))
    for name, frame in outcome.results.items():
        assert_frame_equal(isogloss.load_results(shared)[name], frame)
    assert not list((shared / "leases").glob("[!.]*"))


def study_of(output, **more):
    study = small_study(output, languages="eng,deu,tur,fin", sentences=40)
    # Small batches: the node is to be lost in the middle of a unit.
    values = {**study.model_dump(mode="json"), "batch_frames": 400, **QUICK, **more}
    return type(study)(**values)


def start(path, study):
    path.write_text(study.write(), encoding="utf-8")
    # Not a pipe: nobody reads it before the end, and Ray says much when a node is lost.
    with path.with_suffix(".log").open("w") as log:
        return subprocess.Popen(
            [sys.executable, "-c", RUN, str(path)], stdout=log, stderr=subprocess.STDOUT,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )  # fmt: skip


def wait_for(look, seconds):
    """The first true answer; fails when there is none in time."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if found := look():
            return found
        time.sleep(0.02)
    pytest.fail("nothing happened")


def holders(output, below):
    """A node that has a worker at work: the node, the worker, and what it works on."""
    raylets = {node.all_processes["raylet"][0].process.pid: node for node in below}
    found = {}
    for path in (output / "leases").glob("[!.]*.json"):
        with suppress(OSError, ValueError):
            found.setdefault(json.loads(path.read_text())["pid"], []).append(path.stem)
    for pid, units in found.items():
        for raylet, node in raylets.items():
            if raylet in ancestors(pid):
                return {"node": node, "pid": pid, "units": units}
    return None


def ended(pid):
    """Whether a process has ended, also where nobody has taken note of it."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def ancestors(pid):
    found = []
    with suppress(OSError):
        while pid > 1:
            pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
            found.append(pid)
    return found


def digests(output):
    records = sorted((output / "activations").glob("*.json"))
    return {p.name: json.loads(p.read_text())["sha256"] for p in records}
