import io
import os
import re
import subprocess
import sys
import textwrap
import threading
import time

import pytest
from rich.console import Console

from isogloss.cli.display import Bars, Lines
from isogloss.cli.meter import Board, Meter
from isogloss.cli.words import clock, count, pace, plain, span, written
from isogloss.events import Silent, Watching, begin, found, memory, task
from isogloss.memory import on_device, resident

LINE = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d \+(\d+:\d\d:\d\d) (.+)\n")


class Log(io.StringIO):
    """A file that remembers what was flushed."""

    def __init__(self, encoding="utf-8"):
        super().__init__()
        self._encoding = encoding
        self.flushed = []

    @property
    def encoding(self):
        return self._encoding

    def write(self, text):
        text.encode(self._encoding)  # as strict as a real file
        return super().write(text)

    def flush(self):
        self.flushed.append(self.getvalue())


class Torn(Log):
    """A file whose writes can be interrupted by those of another thread."""

    def write(self, text):
        super().write(text[:9])
        time.sleep(0.0001)
        return super().write(text[9:])


class Steady:
    """A clock that is set by hand."""

    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def steady():
    return Steady()


@pytest.fixture
def log():
    return Log()


@pytest.fixture
def lines(log, steady):
    return Lines(Console(file=log), steady)


def said(log):
    """(elapsed, message) of each line; every character belongs to a whole line."""
    found = LINE.findall(log.getvalue())
    assert "".join(log.getvalue()).count("\n") == len(found)
    assert LINE.sub("", log.getvalue()) == ""
    return found


def without_memory(message):
    return re.sub(r", memory [\d.]+ .B", "", message)


class TestMeter:
    def test_the_rate_is_that_of_the_last_minute(self):
        meter = Meter(10_000, "input", 0)
        for t in range(1, 601):
            meter.advance(1, "", t)
        assert meter.rate(600) == pytest.approx(1)
        for t in range(601, 671):
            meter.advance(5, "", t)
        assert meter.rate(670) == pytest.approx(5, rel=0.05)
        assert meter.mean_rate(670) == pytest.approx((600 + 350) / 670)
        assert meter.left(670) == pytest.approx((10_000 - 950) / 5, rel=0.05)

    def test_slow_steps_have_a_rate_too(self):
        meter = Meter(100, "unit", 0)
        for t in range(300, 6300, 300):
            meter.advance(2, "", t)
        assert meter.rate(6000) == pytest.approx(2 / 300, rel=0.05)
        # What does not move gets slower and slower.
        assert meter.rate(9000) < 0.6 * meter.rate(6000)

    def test_what_was_there_before_does_not_count(self):
        meter = Meter(1000, "input", 0, done=900)
        assert meter.share == 0.9
        assert meter.rate(5) is meter.left(5) is None
        meter.advance(10, "", 10)
        assert meter.rate(10) == pytest.approx(1)
        assert meter.left(10) == pytest.approx(90)
        meter.found(50)
        assert meter.done == 960
        assert meter.rate(10) == pytest.approx(1)
        assert meter.left(10) == pytest.approx(40)
        assert meter.mean_rate(10) == pytest.approx(1)

    def test_loading_is_no_slow_sentence(self):
        meter = Meter(100, "input", 0)
        meter.advance(0, "loading", 200)
        meter.advance(10, "", 210)
        assert meter.rate(210) == pytest.approx(1)
        assert meter.detail == "loading"
        meter.advance(0, "waiting", 220)
        assert meter.rate(220) == pytest.approx(0.5)

    def test_memory_is_bounded(self):
        meter = Meter(1e6, "input", 0)
        for t in range(100_000):
            meter.advance(1, "", t / 100)
        assert len(meter._steps) < 100
        assert meter.rate(1000) == pytest.approx(100, rel=0.02)

    @pytest.mark.parametrize("total", [0, -1])
    def test_nothing_to_do_is_done(self, total):
        assert Meter(total, "input", 0).share == 1
        assert Meter(total, "input", 0).left(10) is None

    def test_more_than_announced(self):
        meter = Meter(10, "input", 0)
        meter.advance(12, "", 1)
        assert meter.share == 1
        assert meter.left(2) is None

    def test_a_stall_is_noticed(self):
        meter = Meter(10, "input", 0)
        meter.advance(1, "", 5)
        assert not meter.stalled(100)
        assert meter.stalled(125)
        meter.advance(9, "", 126)
        assert not meter.stalled(1000)


def test_parts_belong_to_their_task():
    board = Board()
    board.start("a / b", 1, "x", 0)  # of a task that is not there: one of its own
    assert list(board.whole()) == ["a / b"]
    board.start("a", 1, "x", 0)
    board.start("a / c / d", 1, "x", 0)
    assert list(board.whole()) == ["a"]
    assert list(board.parts("a")) == ["b", "c / d"]
    assert board.finish("a") is not None
    assert not board.tasks
    assert not board.advance("a", 1, "", 0)
    assert board.finish("a") is None


class TestLines:
    def test_a_line_is_complete_in_itself(self, lines, log, steady):
        begin(lines, "extract", 400, "input", 100)
        steady.now += 3
        lines.start("extract / deu speech", 200, "input")
        for _ in range(10):
            steady.now += 1
            lines.advance("extract / deu speech", 2)
            lines.advance("extract", 2, "deu speech")
        memory(lines, "node7 4711", 3_000_000_000)
        lines.look()
        ((elapsed, message),) = said(log)
        assert elapsed == "0:00:10"
        assert without_memory(message) == (
            "extract: 114 of 400 inputs, 28 %, 2.0 inputs/s, about 2 min left; deu speech 14 of 200"
        )
        steady.now += 10
        lines.look()
        assert re.search(
            r", memory [\d.]+ [MG]B, 1 worker 3.0 GB; deu speech 20 of 200", log.getvalue()
        )
        memory(lines, "node7 4711", 0)
        steady.now += 10
        lines.look()
        assert "worker" not in said(log)[-1][1]
        assert log.flushed[-1] == log.getvalue()

    def test_at_most_every_ten_seconds_and_then_every_minute(self, lines, log, steady):
        lines.start("extract", 10_000, "input")
        began = steady.now
        shown, before = [], 0
        while steady.now < began + 1800:
            steady.now += 0.5
            lines.advance("extract", 1, "deu speech")
            lines.look()
            if len(said(log)) > before:
                before += 1
                shown.append(steady.now - began)
        gaps = [b - a for a, b in zip([0, *shown], shown, strict=False)]
        assert gaps == [10] * 59 + [60] * 20

    def test_many_parts_are_counted(self, lines, log, steady):
        lines.start("extract", 100, "input")
        for k in range(11):
            lines.start(f"extract / l{k:02} text", 9, "input")
        steady.now += 10
        lines.advance("extract", 1)
        message = said(log)[-1][1]
        assert "l07 text 0 of 9, and 3 more" in message
        assert "l08" not in message
        for k in range(11):
            lines.finish(f"extract / l{k:02} text")
        steady.now += 10
        lines.advance("extract", 1, "eng text")
        assert said(log)[-1][1].endswith("; eng text")

    def test_the_end_says_how_long_it_took_on_the_whole(self, lines, log, steady):
        with task(lines, "compare", 60, "pair", 20):
            for _ in range(8):
                steady.now += 1
                lines.advance("compare", 5)
        with task(lines, "quick", 3, "pair"):
            steady.now += 0.5
        ((_, message),) = said(log)
        assert without_memory(message) == "compare: 60 of 60 pairs, 100 %, 5.0 pairs/s, in 0:00:08"

    def test_silence_is_seen(self, log):
        lines = Lines(Console(file=log))
        lines._shown -= 9.0
        with lines:
            lines.start("extract", 100, "input")
            lines.advance("extract", 0, "loading the speech encoder")
            deadline = time.monotonic() + 20
            while not log.getvalue() and time.monotonic() < deadline:
                time.sleep(0.05)
        message = without_memory(said(log)[0][1])
        assert message == "extract: 0 of 100 inputs, 0 %; loading the speech encoder"

    def test_a_stall_is_said(self, lines, log, steady):
        lines.start("extract", 100, "input")
        lines.advance("extract", 1, "deu speech")
        steady.now += 300
        lines.look()
        assert "nothing new for 5 min" in said(log)[-1][1]

    def test_notes_come_at_once_and_cannot_move_the_cursor(self, lines, log):
        lines.note("resuming: 3 of 4 units are in out [bold] :cat:")
        lines.warn("left out: \x1b[2Ja\rb\u202ename\u200cok\nnext\x00")
        assert [m for _, m in said(log)] == [
            "resuming: 3 of 4 units are in out [bold] :cat:",
            r"warning: left out: \x1b[2Ja b\u202ename" + "\u200cok next\\x00",
        ]
        assert not set(log.getvalue()) & set("\r\x1b\x00\u202e")

    @pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
    def test_what_the_encoding_lacks_is_escaped(self, encoding, steady):
        log = Log(encoding)
        lines = Lines(Console(file=log), steady)
        lines.note("Größe … 日本")
        expected = {
            "ascii": r"Gr\xf6\xdfe ... \u65e5\u672c",
            "latin-1": r"Größe ... \u65e5\u672c",
            "utf-8": "Größe … 日本",
        }
        assert said(log)[0][1] == expected[encoding]

    def test_threads_do_not_mix_lines(self):
        log = Torn()
        lines = Lines(Console(file=log))

        def talk(k):
            for i in range(50):
                lines.note(f"{k} {i} " + "x" * 300)

        threads = [threading.Thread(target=talk, args=(k,)) for k in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(said(log)) == 200


class Old:
    """A receiver with the five methods alone."""

    def __init__(self):
        self.told = []

    def start(self, task, total, unit):
        self.told.append(("start", task, total, unit))

    def advance(self, task, amount=1, detail=""):
        self.told.append(("advance", task, amount))

    def finish(self, task):
        self.told.append(("finish", task))

    def note(self, message):
        pass

    def warn(self, message):
        pass


def test_receivers_with_five_methods_are_told_of_what_is_left():
    old = Old()
    with task(old, "extract", 100, "input", 60):
        found(old, "extract", 5)
        memory(old, "node7", 1e9)
    assert old.told == [
        ("start", "extract", 40, "input"), ("advance", "extract", 5), ("finish", "extract"),
    ]  # fmt: skip
    begin(Silent(), "extract", 10, "input", 5)
    assert not isinstance(old, Watching)
    assert all(isinstance(new(Console(file=Log())), Watching) for new in (Bars, Lines))


WORK = """
    import sys, time
    from isogloss.cli.display import display
    from isogloss.events import begin, task
    with display() as events:
        with task(events, "check inputs", 4, "input"):
            events.advance("check inputs", 4, "deu text")
        begin(events, "extract", 400, "input", 60)
        for k in range(11):
            events.start(f"extract / u{k:02} speech", 30, "input")
        for i in range(4):
            time.sleep(0.3)
            for k in range(11):
                events.advance(f"extract / u{k:02} speech", 5)
                events.advance("extract", 5, f"u{k:02} [speech]")
        time.sleep(1.0)
        events.warn("left out: a\\x1b[2Jb :cat: [bold]")
        print("on standard output")
        if "fail" in sys.argv:
            raise SystemExit(3)
        for k in range(11):
            events.finish(f"extract / u{k:02} speech")
        events.finish("extract")
"""


def on_terminal(*arguments, columns=120, **environment):
    """What a command writes to a terminal, and its exit code."""
    pty = pytest.importorskip("pty")
    termios = pytest.importorskip("termios")
    import fcntl
    import struct

    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(WORK), *arguments],
        stdin=theirs, stdout=theirs, stderr=theirs,
        env={**os.environ, "TERM": "xterm-256color", **environment},
    )  # fmt: skip
    os.close(theirs)
    written = b""
    while True:
        try:
            data = os.read(ours, 65536)
        except OSError:
            break
        if not data:
            break
        written += data
    os.close(ours)
    return written.decode(errors="replace"), process.wait(30)


def frames(text):
    """The pictures that follow each other on the screen, without colours."""
    found = re.split(r"(?:\r|\x1b\[2K|\x1b\[1A)+", text)
    return [re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", frame) for frame in found]


def test_a_terminal_shows_one_bar_and_a_line_for_each_part():
    text, code = on_terminal()
    assert code == 0
    shown = frames(text)
    assert any(re.search(r"✓ check inputs +━+ 4/4 100 %", f) for f in shown)
    pictures = [f for f in shown if "u00 speech" in f or "extract" in f]
    assert any(re.search(r"extract +━.* 280/400 +70 %", f) for f in shown)
    whole = "\n".join(shown)
    assert re.search(r"u07 speech +20/30 +66 % +[\d.]+ inputs/s +\d+ s left", whole)
    assert re.search(r"and 3 more; memory [\d.]+ [MG]B", whole)
    assert not re.search(r"^ +u0[89] speech", whole, re.MULTILINE)
    assert "u10 [speech]" in whole
    assert r"warning: left out: a\x1b[2Jb :cat: [bold]" in whole
    assert "on standard output" in whole
    assert re.search(r"✗ extract +━.* 280/400 +70 %", whole)
    assert pictures


def test_a_narrow_ascii_terminal():
    text, code = on_terminal(columns=60, PYTHONIOENCODING="ascii:strict", PYTHONUTF8="0")
    assert code == 0
    assert text.isascii()
    shown = frames(text)
    assert max(len(line) for f in shown for line in f.split("\n")) <= 60
    assert any("+ check inputs" in f for f in shown)


def test_what_was_under_way_stays_when_all_ends():
    text, code = on_terminal("fail")
    assert code == 3
    assert re.search(r"u07 speech +20/30", "\n".join(frames(text)[-12:]))


def test_a_log_that_nobody_can_write_does_not_stop_the_work():
    talk = textwrap.dedent(
        """
        import time
        from isogloss.cli.display import display
        with display() as events:
            for i in range(2000):
                events.note("x" * 100)
        print("whole")
        """
    )
    ours, theirs = os.pipe()
    process = subprocess.Popen(
        [sys.executable, "-c", talk], stdout=subprocess.PIPE, stderr=theirs, text=True
    )
    os.close(theirs)
    os.close(ours)
    assert process.communicate(timeout=60)[0] == "whole\n"


def test_words():
    assert [clock(s) for s in (0, 59.9, 3600, 93784)] == [
        "0:00:00", "0:00:59", "1:00:00", "26:03:04",
    ]  # fmt: skip
    assert [span(s) for s in (0, 89, 91, 5400, 86400 * 3)] == [
        "1 s", "89 s", "2 min", "1.5 h", "3.0 days",
    ]  # fmt: skip
    assert [pace(r, "x") for r in (3, 1, 0.5, 1 / 90, 0.0001)] == [
        "3.0 xs/s", "1.0 xs/s", "30.0 xs/min", "40.0 xs/h", "0.4 xs/h",
    ]  # fmt: skip
    assert [count(n) for n in (3, 3.0, 2.25)] == ["3", "3", "2.2"]
    assert plain("a\tb\x7f") == r"a\tb\x7f"
    assert written("a–b", None) == "a–b"


def test_memory_of_this_process():
    before = resident()
    held = bytearray(b"x" * 100_000_000)
    assert 60e6 < resident() - before < 160e6
    del held
    code = "import isogloss.memory as m, sys; print(m.on_device(), 'torch' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout == "None False\n"
    assert on_device() is None or on_device() >= 0
