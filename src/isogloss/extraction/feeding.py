"""Decode recordings and make their features in processes of their own.

The feature extractors of transformers are loops in Python and NumPy, which hold the interpreter's
lock, so threads beside the model cannot feed a GPU. A helper is a process that is told which
recording to read and how to make its features, and answers with them. It is started by its command
line: a copy of this process (fork) would inherit PyTorch's threads in an unknown state, and the
standard library's other ways run the user's script again. When this process is killed, its helpers
read the end of their input and leave.
"""

import atexit
import hashlib
import json
import os
import pickle
import signal
import struct
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from isogloss.corpora.base import Clip, Modality, Utterance
from isogloss.extraction.inputs import Prepared, prepare
from isogloss.languages import Language
from isogloss.models.base import Tower

MOST = 16
"""Helpers at most, unless the user asks for more: fewer feed a GPU, and each takes memory."""
_DEATHS = 6
"""A process that has lost so many helpers reads its inputs itself."""
_START = (
    "import json,sys;sys.path[:]=json.loads(sys.argv[1]);"
    "import isogloss.extraction.feeding as feeding;feeding.serve()"
)
_CRASHES = {-getattr(signal, f"SIG{name}", 0) for name in ("SEGV", "BUS", "ABRT", "ILL", "FPE")}
_BROKEN = (OSError, EOFError, ValueError, pickle.PickleError)
"""What it is like to talk to a process that is gone."""
_SIZE = struct.Struct("<Q")

Prepare = Callable[[Modality, Utterance, Clip | None, Language], Prepared]
"""What :func:`isogloss.extraction.inputs.prepare` does, for one encoder."""


def here(tower: Tower) -> Prepare:
    """Make the features of an encoder's inputs in this process."""

    def make(
        modality: Modality, utterance: Utterance, beside: Clip | None, spoken: Language
    ) -> Prepared:
        return prepare(tower.features, modality, utterance, beside, spoken)

    return make


class Helpers:
    """Processes that prepare inputs, for all units of this one.

    None runs before :meth:`more` is called, so that whoever is fast enough alone stays alone.

    Args:
        size: How many at most.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self._idle: list[_Helper] = []
        self._running = 0
        self._starting = False
        self._deaths = 0
        self._changed = threading.Condition()
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    def more(self) -> None:
        """Start one more, in the background; does nothing while one is starting or all run."""
        with self._changed:
            full = self._running >= self.size or self._deaths >= _DEATHS
            if full or self._starting:
                return
            self._starting = True
        threading.Thread(target=self._start, daemon=True).start()

    def preparing(self, tower: Tower) -> Prepare:
        """Make the features of an encoder's inputs: in helpers if any run, else here.

        Whatever happens to a helper, the input is read. Only an input that makes two of them crash
        is not read a third time. What cannot be sent is prepared here.

        Args:
            tower: The encoder.

        Returns:
            To be called from several threads.
        """
        otherwise = here(tower)
        try:
            apart = tower.apart()
            parcel = None if apart is None else pickle.dumps(apart, protocol=5)
        except Exception:  # whatever objects that are not made for it raise
            return otherwise
        if parcel is None:
            return otherwise
        name = hashlib.sha256(parcel).hexdigest()

        def make(
            modality: Modality, utterance: Utterance, beside: Clip | None, spoken: Language
        ) -> Prepared:
            path = self._written(name, parcel) if self._running else None
            found = None
            if path is not None:
                task = (str(path), modality, replace(utterance, columns={}), beside, spoken)
                found = self._asked(task)
            return otherwise(modality, utterance, beside, spoken) if found is None else found

        return make

    def close(self) -> None:
        """End all helpers."""
        with self._changed:
            self._deaths = _DEATHS
            helpers, self._idle = self._idle, []
            self._running -= len(helpers)
            self._changed.notify_all()
            folder, self._folder = self._folder, None
        for helper in helpers:
            helper.close()
        if folder is not None:
            folder.cleanup()

    def _written(self, name: str, parcel: bytes) -> Path | None:
        """The file that has what makes features, written when it is first wanted."""
        with self._changed:
            try:
                if self._folder is None:
                    self._folder = tempfile.TemporaryDirectory(prefix="isogloss-")
                path = Path(self._folder.name) / name
                if not path.exists():
                    path.write_bytes(parcel)
            except OSError:  # no room there
                return None
            return path

    def _start(self) -> None:
        helper = None
        try:
            helper = _Helper()
            helper.ask(_pickled(None))
        except _BROKEN:
            if helper is not None:
                helper.close()
            helper = None
        with self._changed:
            self._starting = False
            if helper is None:
                self._deaths += 1
            elif self._deaths >= _DEATHS:  # closed meanwhile
                helper.close()
            else:
                self._running += 1
                self._idle.append(helper)
                self._changed.notify_all()

    def _asked(self, task: tuple[Any, ...]) -> Prepared | None:
        """What a helper makes of a task; None if it must be done here."""
        try:
            parts = _pickled(task)
        except Exception:  # a recording of another package that cannot be sent
            return None
        for last in (False, True):
            with self._changed:
                while self._running and not self._idle:
                    self._changed.wait()
                if not self._idle:
                    return None
                helper = self._idle.pop()
            try:
                found: Prepared | None = helper.ask(parts)
            except _BROKEN:
                ended = helper.close()
                with self._changed:
                    self._deaths += 1
                    self._running -= 1
                    self._changed.notify_all()
                self.more()
                if ended not in _CRASHES:
                    return None
                if last:
                    return Prepared(None, "its recording makes the decoder crash")
                if not self._another():
                    return None
                continue
            with self._changed:
                self._idle.append(helper)
                self._changed.notify()
            return found
        return None

    def _another(self) -> bool:
        """Wait until a helper runs; whether one will."""
        with self._changed:
            while self._starting and not self._running:
                self._changed.wait(0.1)
            return self._running > 0


class _Helper:
    """One process, which does one task at a time."""

    def __init__(self) -> None:
        threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
        self._process = subprocess.Popen(  # noqa: S603
            [sys.executable, "-c", _START, json.dumps([p for p in sys.path if isinstance(p, str)])],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, **threads},
            # Ctrl-C is for the process that has the model: it finishes its batch first.
            start_new_session=True,
        )
        self._tasks: Any = self._process.stdin
        self._answers: Any = self._process.stdout

    def ask(self, parts: list[bytes | memoryview]) -> Any:
        _send(self._tasks, parts)
        return _received(self._answers)

    def close(self) -> int:
        """End it; returns how it ended."""
        for pipe in (self._tasks, self._answers):
            with suppress(OSError):
                pipe.close()
        try:
            return self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()


def serve() -> None:
    """What a helper runs: tasks from its input, answers to its output, until the input ends."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what libraries print must not come between the answers
    makers: dict[str, Tower] = {}
    while True:
        try:
            task = _received(sys.stdin.buffer)
        except EOFError:
            os._exit(0)
        try:
            if task is None:
                _send(answers, _pickled(None))
                continue
            path, modality, utterance, beside, spoken = task
            if path not in makers:
                makers.clear()
                makers[path] = pickle.loads(Path(path).read_bytes())  # noqa: S301
            found = prepare(makers[path].features, modality, utterance, beside, spoken)
        except Exception:  # the other process does it again, and there the traceback is seen
            found = None
        try:
            _send(answers, _pickled(found))
        except BrokenPipeError:
            os._exit(0)


def _pickled(value: Any) -> list[bytes | memoryview]:
    """The object, and the arrays in it, which are not copied into it."""
    buffers: list[pickle.PickleBuffer] = []
    whole = pickle.dumps(value, protocol=5, buffer_callback=buffers.append)
    return [whole, *(b.raw() for b in buffers)]


def _send(pipe: Any, parts: list[bytes | memoryview]) -> None:
    pipe.write(_SIZE.pack(len(parts)) + b"".join(_SIZE.pack(len(part)) for part in parts))
    for part in parts:
        pipe.write(part)
    pipe.flush()


def _received(pipe: Any) -> Any:
    (count,) = _SIZE.unpack(_read(pipe, _SIZE.size))
    sizes = [_SIZE.unpack(_read(pipe, _SIZE.size))[0] for _ in range(count)]
    whole, *buffers = [_read(pipe, size) for size in sizes]
    return pickle.loads(whole, buffers=buffers)  # noqa: S301


def _read(pipe: Any, size: int) -> bytearray:
    data = bytearray(size)
    view, done = memoryview(data), 0
    while done < size:
        got = pipe.readinto(view[done:])
        if not got:
            raise EOFError
        done += got
    return data


_made: tuple[int, Helpers] | None = None
_lock = threading.Lock()


def helpers(jobs: int) -> Helpers:
    """The helpers of this process, the same for all units; none runs before it is asked.

    Args:
        jobs: How many; 0: one per core less one, and no more than 16.
    """
    global _made
    with _lock:
        size = jobs or max(1, min(MOST, cores() - 1))
        # After a fork the pipes belong to the other process.
        if _made is None or _made[0] != os.getpid() or _made[1].size != size:
            if _made is not None and _made[0] == os.getpid():
                _made[1].close()
            _made = os.getpid(), Helpers(size)
        return _made[1]


def close() -> None:
    """End all helpers of this process."""
    global _made
    with _lock:
        if _made is not None and _made[0] == os.getpid():
            _made[1].close()
        _made = None


def cores() -> int:
    """Cores that this process may use, which a scheduler may have made fewer than there are."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:
        return os.cpu_count() or 1


atexit.register(close)
