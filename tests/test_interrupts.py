import os
import re
import signal
import subprocess
import sys
import textwrap
import threading
import time

import pytest

from isogloss.events import Silent
from isogloss.interrupts import Ended, Interrupted, Stop, stoppable

pytestmark = pytest.mark.skipif(os.name != "posix", reason="sends POSIX signals")

WORK = """
    import pathlib, sys, time
    from isogloss.cli import app, call
    from isogloss.cli.display import display
    from isogloss.interrupts import Interrupted, stoppable

    BATCHES = 200

    def work(folder: str) -> int:
        with display() as events, stoppable(events) as stop:
            (pathlib.Path(folder) / "ready").touch()
            for i in range(BATCHES):
                time.sleep(0.1)
                (pathlib.Path(folder) / f"{i}.batch").touch()
                if stop():
                    (pathlib.Path(folder) / "committed").touch()
                    raise Interrupted(f"stopped with {i + 1} batches")
        return 0

    def slow(folder: str) -> int:
        with display() as events, stoppable(events) as stop:
            (pathlib.Path(folder) / "ready").touch()
            try:
                for i in range(1000):
                    time.sleep(0.02)
                    if stop():
                        (pathlib.Path(folder) / "asked").touch()
            finally:
                (pathlib.Path(folder) / "cleaned").touch()
        return 0

    def plain(folder: str) -> int:
        (pathlib.Path(folder) / "ready").touch()
        try:
            time.sleep(20)
        finally:
            (pathlib.Path(folder) / "cleaned").touch()
        return 0

    for command in (work, slow, plain):
        app.command(command)
    sys.exit(call(sys.argv[1:]))
"""


@pytest.fixture
def start(tmp_path):
    """Starts one of the commands above in a process of its own, and waits until it is at work."""
    started = []

    def begin(name, before=""):
        command = [sys.executable, "-c", before + textwrap.dedent(WORK), name, str(tmp_path)]
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        started.append(process)
        while not (tmp_path / "ready").exists():
            assert process.poll() is None, process.stderr.read()
            time.sleep(0.01)
        return process

    yield begin
    for process in started:
        process.kill()
        process.stderr.close()
        process.wait()


def asked(process, folder):
    """Wait until a stop was asked for, and for longer than two signals count as one."""
    deadline = time.monotonic() + 20
    while not (folder / "asked").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.4)
    assert process.poll() is None
    assert not (folder / "cleaned").exists()


def end(process):
    _, error = process.communicate(timeout=60)
    assert "Traceback" not in error
    return process.returncode, " ".join(error.split())


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGUSR1, 138)]
)
def test_the_first_signal_ends_the_batch_and_says_so(start, tmp_path, number, code):
    process = start("work")
    process.send_signal(number)
    returned, error = end(process)
    assert returned == code
    assert (tmp_path / "committed").exists()
    named = "" if number == signal.SIGINT else f"{number.name}: "
    assert f"{named}stopping after this batch; once more stops at once" in error
    kept = int(re.search(r"stopped with (\d+) batches; the same command goes on", error)[1])
    assert kept == len(list(tmp_path.glob("*.batch"))) < 200


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_the_second_signal_stops_at_once(start, tmp_path, number, code):
    process = start("slow")
    process.send_signal(number)
    asked(process, tmp_path)
    process.send_signal(number)
    returned, error = end(process)
    assert returned == code
    assert (tmp_path / "cleaned").exists()
    assert "stopping after this batch" in error
    assert "interrupted: what was committed is kept; the same command goes on from here" in error


def test_a_signal_that_arrives_twice_at_once_is_one():
    with stoppable(Silent()) as stop:
        try:
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGINT):
                os.kill(os.getpid(), number)
        except Ended:
            pytest.fail("the second signal counted")
        assert stop()
        assert stop.signal == signal.SIGINT


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_outside_a_stoppable_part_files_are_still_cleaned_up(start, tmp_path, number, code):
    process = start("plain")
    process.send_signal(number)
    returned, error = end(process)
    assert returned == code
    assert (tmp_path / "cleaned").exists()
    assert "the same command goes on from here" in error


def test_what_is_ignored_stays_ignored(start, tmp_path):
    before = "import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\n"
    process = start("work", before)
    process.send_signal(signal.SIGINT)
    time.sleep(0.5)
    assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    returned, error = end(process)
    assert returned == 143
    assert "SIGTERM: stopping" in error


def test_handlers_are_put_back_and_nested_use_is_one_stop():
    before = {n: signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)}
    with stoppable(Silent()) as outer:
        assert all(signal.getsignal(n) != handler for n, handler in before.items())
        with stoppable(Silent()) as inner:
            assert inner is outer
            found = []
            thread = threading.Thread(target=lambda: found.append(stopped_here()))
            thread.start()
            thread.join()
            assert found == [outer]
        assert signal.getsignal(signal.SIGINT) != before[signal.SIGINT]
    assert {n: signal.getsignal(n) for n in before} == before
    with stoppable(Silent()) as later:
        assert later is not outer


def stopped_here():
    with stoppable(Silent()) as stop:
        return stop


def test_in_another_thread_there_is_a_stop_without_handlers():
    before = signal.getsignal(signal.SIGINT)
    found = []

    def work():
        with stoppable(Silent()) as stop:
            found.append((stop, signal.getsignal(signal.SIGINT)))
            stop.ask()
            found.append(stop())

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert isinstance(found[0][0], Stop)
    assert found[0][1] == before
    assert found[1] is True


def stopped_by(number):
    with stoppable(Silent()) as stop:
        os.kill(os.getpid(), number)
        while not stop():
            time.sleep(0.01)
        raise Interrupted


def torn_down_by(first, second):
    with stoppable(Silent()) as stop:
        os.kill(os.getpid(), first)
        while not stop():
            time.sleep(0.01)
        time.sleep(0.4)
        os.kill(os.getpid(), second)
        time.sleep(5)


def test_errors_say_which_signal_it_was():
    with pytest.raises(Interrupted) as caught:
        stopped_by(signal.SIGTERM)
    assert caught.value.signal == signal.SIGTERM
    with pytest.raises(Ended) as ended:
        torn_down_by(signal.SIGINT, signal.SIGTERM)
    assert ended.value.signal == signal.SIGTERM


def test_a_receiver_that_is_slow_or_broken_does_not_hold_up_the_stop():
    class Stuck(Silent):
        def note(self, message):
            time.sleep(60)

    with stoppable(Stuck()) as stop:
        os.kill(os.getpid(), signal.SIGINT)
        deadline = time.monotonic() + 10
        while not stop() and time.monotonic() < deadline:
            time.sleep(0.01)
        assert stop()


FORKED = """
import os, signal, sys, time
from isogloss.events import Silent
from isogloss.interrupts import leave_to_parent, stoppable

class Said(Silent):
    def note(self, message):
        os.write(1, f"{os.getpid()} {message}\\n".encode())

def child(ignoring):
    ours, theirs = os.pipe()
    pid = os.fork()
    if not pid:
        if ignoring:
            leave_to_parent()
        os.write(theirs, b"!")
        time.sleep(20)
        os._exit(0)
    os.read(ours, 1)
    return pid

def ended(pid, within):
    deadline = time.monotonic() + within
    while time.monotonic() < deadline:
        gone, status = os.waitpid(pid, os.WNOHANG)
        if gone:
            return status
        time.sleep(0.01)
    return None

with stoppable(Said()) as stop:
    for ignoring, number, dies in ((0, signal.SIGINT, 0), (0, signal.SIGTERM, 1),
                                   (1, signal.SIGINT, 0), (1, signal.SIGTERM, 0)):
        pid = child(ignoring)
        os.kill(pid, number)
        status = ended(pid, 15 if dies else 0.5)
        assert (status is not None) == bool(dies), (ignoring, number)
        if dies:
            assert os.WTERMSIG(status) == number
        else:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
    assert not stop()
"""


def test_forked_helpers_neither_speak_nor_die_of_ctrl_c():
    done = subprocess.run(
        [sys.executable, "-c", FORKED], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "stopping" not in done.stdout
