"""SLURM: the script that would be submitted, what the scheduler says, and real work by submitit."""

import json
import os
import signal
import stat
import sys
import threading
import time
from contextlib import suppress

import pytest
from polars.testing import assert_frame_equal

import isogloss
from builders import small_study
from isogloss.errors import IsoglossError, MissingExtraError, StudyError
from isogloss.executors import EXECUTORS
from isogloss.executors.base import Job

JOB = Job("/shared/out", "/shared", "extract", "one")
COMPARE = Job("/shared/out", "/shared", "compare", "one")


QUICK = {"analyses": ["cross_modal"], "interval": "none", "permutations": 0, "confounds": []}


def settings(**values):
    return EXECUTORS.get("slurm")(**values)


def options_of(script):
    """#SBATCH lines as a dict."""
    lines = [line.removeprefix("#SBATCH --") for line in script.splitlines() if "#SBATCH" in line]
    pairs = [line.partition("=") for line in lines]
    assert len({name for name, _, _ in pairs}) == len(pairs), "an option is given twice"
    return {name: value.strip("'") for name, _, value in pairs}


def test_the_script_has_what_was_asked_for():
    asked = settings(
        workers=12, at_once=5, partition="gpu", account="lab", qos="low", constraint="a100",
        gpus=2, cpus=6, memory=47.5, minutes=90, grace=200,
        setup=["module load cuda/12", "export A=1,2"],
        options={"mail-type": "END", "exclusive": True, "job-name": "mine"},
        srun="--container-image=x.sqsh",
    )  # fmt: skip
    script = asked.describe(JOB)
    assert options_of(script) == {
        "array": "0-11%5", "partition": "gpu", "account": "lab", "qos": "low",
        "constraint": "a100", "gpus-per-node": "2", "cpus-per-task": "6", "mem": "48640MB",
        "time": "90", "signal": "USR2@200", "mail-type": "END", "exclusive": "", "requeue": "",
        "job-name": "mine", "nodes": "1", "open-mode": "append", "wckey": "submitit",
        "output": "/shared/out/workers/%A_%a_0_log.out",
    }  # fmt: skip
    lines = script.splitlines()
    start = next(line for line in lines if line.startswith("srun"))
    assert lines.index("module load cuda/12") < lines.index("export A=1,2") < lines.index(start)
    assert "--container-image=x.sqsh" in start
    assert sys.executable in start


def test_comparing_asks_for_no_gpu():
    asked = settings(
        partition="gpu", cpu_partition="cpu", gpus=1, options="gres=gpu:a100:1,exclusive"
    )
    assert {"gpus-per-node", "gres"} <= set(options_of(asked.describe(JOB)))
    found = options_of(asked.describe(COMPARE))
    assert not {"gpus-per-node", "gres"} & set(found)
    assert found["partition"] == "cpu"
    assert "exclusive" in found
    assert options_of(settings(partition="gpu").describe(COMPARE))["partition"] == "gpu"


def test_what_nobody_waits_for_ends_with_a_job_that_reports():
    first, last = settings(wait=False).describe(JOB).split("#!/bin/bash")[1:]
    assert "array" in options_of(first)
    assert options_of(last)["dependency"] == "afterany:ARRAY"
    assert "gpus-per-node" not in options_of(last)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"options": ["time=3"]}, 'executor.options: "time" cannot be given .*executor.minutes'),
        ({"options": ["output=x"]}, "executor.options: .*it is fixed"),
        ({"options": ["a\nb=3"]}, "executor.options: .*no option of sbatch"),
        ({"options": ["foo bar"]}, "executor.options: .*no option of sbatch"),
        ({"minutes": 0}, "executor.minutes: "),
        ({"workers": 0}, "executor.workers: "),
        ({"cluster": "debug"}, 'executor.cluster: unknown value "debug". Valid: slurm, local'),
        ({"cluster": "local", "wait": False}, "wait: false .* cluster: local has none"),
        ({"partion": "gpu"}, 'unknown key of "executor" "partion"; did you mean "partition"'),
    ],
)
def test_a_wrong_setting_is_one_message(values, message):
    with pytest.raises(StudyError, match=message):
        settings(**values)


def test_without_submitit_its_extra_is_named(monkeypatch):
    for name in [n for n in sys.modules if n.startswith("submitit")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "submitit", None)
    for call in (settings().launch, settings().describe):
        with pytest.raises(MissingExtraError, match=r'pip install "isogloss\[slurm\]"'):
            call(JOB)


def test_a_path_that_slurm_would_read_otherwise_is_refused(tmp_path):
    job = Job(str(tmp_path / "100%"), str(tmp_path), "extract", "one")
    with pytest.raises(IsoglossError, match='gives "%" in paths a meaning'):
        settings().describe(job)


def test_away_from_slurm_it_says_so(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(IsoglossError, match="there is no SLURM here: the program srun"):
        settings().launch(JOB)


@pytest.fixture
def scheduler(tmp_path, monkeypatch):
    """A SLURM that takes jobs and says of them what a file says; its folder."""
    folder = tmp_path / "slurm"
    folder.mkdir()
    programs = {
        "srun": "",
        "sbatch": f'cat "$1" >> {folder}/scripts\n[ -e {folder}/refuse ] && '
        'echo "sbatch: error: Batch job submission failed: Invalid account" >&2 && exit 1\n'
        'echo "Submitted batch job 77"',
        "squeue": f"cat {folder}/queue",
        "scancel": f'echo "$@" >> {folder}/cancelled',
    }
    for name, body in programs.items():
        path = folder / name
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(path.stat().st_mode | stat.S_IEXEC)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return folder


def launch(tmp_path, **values):
    job = Job(str(tmp_path / "out"), str(tmp_path), "extract", "one")
    return settings(**values).launch(job)


def again(crew):
    """Ask the scheduler now, whenever it was asked last."""
    crew._asked = float("-inf")
    return crew.running()


def test_states_of_the_queue_are_understood(scheduler, tmp_path):
    crew = launch(tmp_path, workers=3)
    queue = scheduler / "queue"
    queue.write_text("77_0|RUNNING\n77_1|PENDING\n77_2|REQUEUED\n")
    assert crew.running() == 3
    assert crew.problems() == []
    queue.write_text("77_0|RUNNING\n77_1|OUT_OF_MEMORY\n")
    assert again(crew) == 1
    told = crew.problems()
    assert len(told) == 2
    assert any("worker 77_1 ended without a result (out_of_memory); see " in t for t in told)
    assert any("worker 77_2" in t and "gone from the queue" in t for t in told)
    assert crew.problems() == []
    (scheduler / "squeue").write_text("#!/bin/sh\necho 'cannot contact controller' >&2\nexit 1\n")
    assert again(crew) == 1  # a scheduler that does not answer has not ended anything
    (scheduler / "squeue").write_text("#!/bin/sh\necho 'Invalid job id specified' >&2\nexit 1\n")
    assert again(crew) == 0


def test_stopping_lets_batches_end_and_only_then_kills(scheduler, tmp_path):
    crew = launch(tmp_path, workers=2)
    crew.stop(now=False)
    crew.stop(now=False)
    crew.stop(now=True)
    told = (scheduler / "cancelled").read_text().splitlines()
    assert told == ["--state=PENDING 77", "--signal=INT 77", "77"]


def test_the_last_job_waits_for_the_array(scheduler, tmp_path):
    crew = launch(tmp_path, workers=2, wait=False)
    assert crew.detached
    assert "--dependency=afterany:77" in (scheduler / "scripts").read_text()
    assert str(tmp_path / "out" / "workers") in crew.where()


def test_a_job_that_is_refused_is_one_message(scheduler, tmp_path):
    (scheduler / "refuse").touch()
    with pytest.raises(IsoglossError, match="SLURM did not take the jobs: .*Invalid account"):
        launch(tmp_path)


def test_a_worker_that_fails_says_why(tmp_path):
    crew = launch(tmp_path, cluster="local", workers=1, gpus=0)
    until = time.monotonic() + 120
    while crew.running() and time.monotonic() < until:
        time.sleep(0.2)
    (told,) = crew.problems()
    assert "failed: isogloss.errors.IsoglossError: " in told
    assert "holds no run" in told
    assert (tmp_path / "out" / "workers") in {p.parent for p in (tmp_path / "out").rglob("*.out")}


@pytest.mark.slow
def test_a_study_by_submitit_is_the_same_to_the_bit(one_thread, tmp_path):
    """Two local workers, one of which is told in the middle of a unit that its time is up."""
    plain = study_of(tmp_path / "plain")
    expected = isogloss.run(plain)
    executor = {"kind": "slurm", "cluster": "local", "workers": 2, "cpus": 1, "gpus": 0}
    study = study_of(tmp_path / "jobs", executor=executor)
    told = threading.Thread(target=end_time_of_one, args=(study.output,))
    told.start()
    outcome = isogloss.run(study)
    told.join()
    assert not outcome.failed
    assert outcome.made == expected.made == 4
    logs = [p.read_text() for p in (study.output / "workers").glob("*_log.out")]
    assert sum("Requeued job" in log for log in logs) == 1
    assert digests(study.output) == digests(plain.output)
    for name, frame in expected.results.items():
        assert_frame_equal(outcome.results[name], frame)
    assert not list(isogloss.verify(study.output))


def end_time_of_one(output):
    until = time.monotonic() + 300
    while time.monotonic() < until:
        for path in (output / "leases").glob("[!.]*.json"):
            with suppress(OSError, ValueError, KeyError):
                held = json.loads(path.read_text())
                if held["done"] > 0:
                    os.kill(held["pid"], signal.SIGUSR2)
                    return
        time.sleep(0.01)


def study_of(output, **more):
    study = small_study(output, languages="eng,deu", sentences=24)
    # Small batches: a worker is to be told in the middle of a unit.
    values = {**study.model_dump(mode="json"), "batch_frames": 300, **QUICK, **more}
    return type(study)(**values)


def digests(output):
    records = sorted((output / "activations").glob("*.json"))
    return {p.name: json.loads(p.read_text())["sha256"] for p in records}
