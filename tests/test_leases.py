"""Who works on what: one holder at a time, lost ones found without comparing clocks."""

import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest

from isogloss.leases import Leases, born, gone, place

NAME = "deu.speech-0123456789ab"


class Clock:
    """A steady clock that is moved by hand."""

    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "leases"


def elsewhere(folder, **changes):
    """A lease of a process of another machine."""
    told = {"holder": "other", "host": "far", "pid": 7, "born": "1", "place": "far away", **changes}
    folder.mkdir(exist_ok=True)
    (folder / f"{NAME}.json").write_text(json.dumps(told))


def test_one_at_a_time(folder):
    first, second = Leases(folder), Leases(folder)
    lease = first.take(NAME, rows=5)
    assert lease is not None
    assert second.take(NAME) is None
    assert second.state(NAME)["rows"] == 5
    first.give(lease)
    assert second.take(NAME) is not None


def test_many_threads_and_processes_race_and_one_wins(folder):
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from isogloss.leases import Leases\n"
        "leases = Leases(Path(sys.argv[1]))\n"
        "won = [n for n in map(str, range(60)) if leases.take(n)]\n"
        "print(' '.join(won), flush=True)\n"
        "sys.stdin.read()\n"
    )
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(folder)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )
        for _ in range(3)
    ]  # fmt: skip
    lines = [racer.stdout.readline().split() for racer in racers]
    for racer in racers:
        racer.communicate("")
    won = [name for line in lines for name in line]
    assert sorted(won, key=int) == list(map(str, range(60)))


def test_a_holder_of_this_machine_that_is_gone_is_lost_at_once(folder):
    code = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "from isogloss.leases import Leases\n"
        f"Leases(Path(sys.argv[1])).take({NAME!r})\n"
        "os._exit(9)\n"
    )
    subprocess.run([sys.executable, "-c", code, str(folder)], check=False)
    mine = Leases(folder).take(NAME)
    assert mine is not None
    assert mine.before["pid"] != os.getpid()


def test_a_process_with_the_number_of_a_dead_one_is_another(folder):
    assert born(os.getpid())
    content = {"place": place(), "pid": os.getpid(), "born": born(os.getpid())}
    assert not gone(content)
    assert gone({**content, "born": "12"})
    assert not gone({**content, "born": "12", "place": "another machine"})
    assert not gone({})


def test_a_holder_elsewhere_is_lost_when_its_count_stands_still(folder):
    clock = Clock()
    leases = Leases(folder, dead=60, clock=clock)
    elsewhere(folder, beat=1)
    assert leases.take(NAME) is None
    clock.now += 50
    elsewhere(folder, beat=2)
    assert leases.take(NAME) is None
    assert leases.beating(NAME)
    clock.now += 59
    assert leases.take(NAME) is None
    assert leases.alive() == [NAME]
    clock.now += 2
    assert leases.alive() == []
    lease = leases.take(NAME)
    assert lease is not None
    assert lease.before["host"] == "far"


def test_wall_clocks_do_not_matter(folder):
    clock = Clock()
    leases = Leases(folder, dead=60, clock=clock)
    elsewhere(folder)
    path = folder / f"{NAME}.json"
    for jump in (-(10**8), 10**8):
        os.utime(path, (time.time() + jump, time.time() + jump))
        assert leases.take(NAME) is None
        clock.now += 20
    clock.now += 60
    assert leases.take(NAME) is not None


def test_of_many_that_find_a_lost_holder_one_takes_over(folder, request):
    """All have watched it for long enough, and all want it at the same moment."""
    clock = Clock()
    request.addfinalizer(partial(sys.setswitchinterval, sys.getswitchinterval()))
    sys.setswitchinterval(1e-5)  # threads change places often enough to meet in between
    for i in range(400):
        elsewhere(folder)
        (folder / f"{NAME}.json").rename(folder / f"{i}.json")
        racers = [Leases(folder, dead=60, clock=clock) for _ in range(4)]
        for racer in racers:
            assert racer.take(str(i)) is None
        clock.now += 61
        with ThreadPoolExecutor(4) as pool:
            taken = list(pool.map(lambda racer, name: racer.take(name), racers, [str(i)] * 4))
        assert sum(t is not None for t in taken) == 1
        assert racers[0].state(str(i))["holder"] != "other"
        for racer in racers:
            racer.close()
    assert list(folder.iterdir()) == []


def test_a_heir_that_is_lost_while_it_takes_over_has_a_heir(folder):
    """Killed between its claim and its lease: the claim has a holder that can be lost as well."""
    clock = Clock()
    elsewhere(folder)
    code = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "from isogloss.leases import Leases\n"
        "now = iter((0.0, 61.0, 61.0, 61.0))\n"
        "leases = Leases(Path(sys.argv[1]), dead=60, clock=lambda: next(now))\n"
        f"assert leases.take({NAME!r}) is None\n"
        "Path.replace = lambda *_: os._exit(9)\n"
        f"leases.take({NAME!r})\n"
    )
    killed = subprocess.run([sys.executable, "-c", code, str(folder)], check=False)
    assert killed.returncode == 9
    leases = Leases(folder, dead=60, clock=clock)
    assert leases.names() == [NAME]
    assert leases.state(NAME)["holder"] == "other"
    assert leases.take(NAME) is None
    clock.now += 61
    lease = leases.take(NAME)
    assert lease.before["holder"] == "other"
    assert [p.name for p in folder.iterdir() if ".after-" in p.name] == []
    leases.close()
    assert leases.names() == []


@pytest.mark.parametrize("content", ["", "{", "[1]", "null", "[" * 100_000, "\0\0"])
def test_a_damaged_lease_is_a_lost_one_in_the_end(folder, content):
    clock = Clock()
    leases = Leases(folder, dead=60, clock=clock)
    folder.mkdir()
    (folder / f"{NAME}.json").write_text(content)
    assert leases.take(NAME) is None
    clock.now += 61
    assert leases.take(NAME) is not None


def test_signs_of_life_are_given_while_it_is_held(folder):
    leases, watcher = Leases(folder, beat=0.02), Leases(folder, dead=60, clock=Clock())
    lease = leases.take(NAME, done=0)
    assert not watcher.dead(NAME)
    lease.told["done"] = 3
    for _ in range(500):
        watcher.dead(NAME)
        if watcher.beating(NAME) and watcher.state(NAME)["done"] == 3:
            break
        time.sleep(0.01)
    assert watcher.beating(NAME)
    assert watcher.state(NAME)["done"] == 3
    leases.close()
    assert list(folder.iterdir()) == []


def test_what_is_told_is_there_at_once(folder):
    leases = Leases(folder)
    lease = leases.take(NAME)
    leases.tell(lease, lost=2)
    assert Leases(folder).state(NAME)["lost"] == 2


def test_what_was_taken_over_is_not_given_back_by_its_former_holder(folder):
    sleeper = Leases(folder, beat=0.02)
    lease = sleeper.take(NAME)
    elsewhere(folder, holder="thief")
    time.sleep(0.1)  # several beats
    assert sleeper.state(NAME)["holder"] == "thief"
    sleeper.give(lease)
    assert sleeper.state(NAME)["holder"] == "thief"
    sleeper.close()


def test_file_systems_without_hard_links_will_do(folder, monkeypatch):
    def refuse(*args, **kwargs):
        raise PermissionError("no links here")

    monkeypatch.setattr(os, "link", refuse)
    first, second = Leases(folder), Leases(folder)
    lease = first.take(NAME)
    assert lease is not None
    assert second.take(NAME) is None
    first.close()
    assert second.take(NAME) is not None
