"""Who works on what, among any number of processes on any number of machines that share a folder.

    leases/
      deu.speech-0f3a91c2d4e5.json      somebody is making this unit

A lease keeps two workers from doing the same work. It never decides what is true: two that do the
same work all the same (a worker that was asleep, a file system that is slow to show a file) commit
the same content, so nothing is damaged and only time is lost.

No clocks are compared. A holder counts upwards in its lease; whoever waits takes it for lost when
the count has not moved for a minute on the waiter's own steady clock, or at once when the holder
was a process of this very machine that is gone.
"""

import json
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any
from uuid import uuid4

from isogloss.errors import OutputError

BEAT = 5.0
"""Seconds between two signs of life."""
DEAD = 60.0
"""Seconds without one after which a holder is taken for lost."""
LOST = 3
"""Workers that may be lost on a piece of work before it is not tried again."""


@cache
def place() -> str:
    """Names the set of processes that can see each other: a machine, or a container on it."""
    parts = [socket.gethostname()]
    with suppress(OSError):
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text().strip())
    with suppress(OSError):
        parts.append(str(Path("/proc/self/ns/pid").readlink()))
    return " ".join(parts)


def born(pid: int) -> str:
    """What tells a process from a later one of the same number; empty where it is not known."""
    try:
        # The name in brackets may hold anything, brackets too.
        after = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2]
        return after.split()[19]
    except (OSError, IndexError):
        return ""


def gone(content: dict[str, Any]) -> bool:
    """Whether a lease's holder was a process of this machine and is not there any more."""
    pid = content.get("pid")
    if content.get("place") != place() or not isinstance(pid, int) or pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    known = content.get("born")
    return bool(known) and born(pid) != known


@dataclass
class Lease:
    """A piece of work that is ours for now."""

    name: str
    lost: int
    """Workers that were lost on it before."""
    told: dict[str, Any] = field(default_factory=dict)
    """What others may want to know: rows done, of how many, …"""


class Leases:
    """The leases of a folder, and those that this process holds.

    Args:
        folder: Where they are; made when the first is taken.
        beat: Seconds between signs of life.
        dead: Seconds without one after which a holder is taken for lost.
        clock: A steady clock, in seconds.
    """

    def __init__(
        self,
        folder: Path,
        *,
        beat: float = BEAT,
        dead: float = DEAD,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.folder = folder
        self._beat, self._dead, self._clock = beat, dead, clock
        self._me: dict[str, Any] = {
            "holder": uuid4().hex,
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "born": born(os.getpid()),
            "place": place(),
        }
        self._held: dict[str, Lease] = {}
        self._seen: dict[str, tuple[str | None, float, bool]] = {}
        self._count = 0
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._heart: threading.Thread | None = None

    def take(self, name: str, **told: Any) -> Lease | None:
        """Take a piece of work if nobody has it, or if whoever had it is lost.

        Returns:
            The lease, or None if somebody else is at it.

        Raises:
            OutputError: The folder cannot be written.
        """
        lost = 0
        path = self._path(name)
        if path.exists():
            if not self.dead(name):
                return None
            content = self._bury(name)
            if content is None:
                return None
            lost = int(content.get("lost", 0)) + 1
        lease = Lease(name, lost, dict(told))
        if not self._create(path, self._content(lease)):
            return None
        with self._lock:
            self._held[name] = lease
            if self._heart is None:
                self._heart = threading.Thread(target=self._live, daemon=True, name="leases")
                self._heart.start()
        return lease

    def give(self, lease: Lease) -> None:
        """Give a piece of work back, done or not."""
        with self._lock:
            self._held.pop(lease.name, None)
        path = self._path(lease.name)
        with suppress(OSError):
            if self._read(path).get("holder") == self._me["holder"]:
                path.unlink(missing_ok=True)

    @contextmanager
    def holding(self, name: str, **told: Any) -> Iterator[Lease | None]:
        """Take a piece of work for a while; None if somebody else is at it."""
        lease = self.take(name, **told)
        try:
            yield lease
        finally:
            if lease is not None:
                self.give(lease)

    def dead(self, name: str) -> bool:
        """Whether nobody lives who holds this; True also where there is no lease.

        A holder elsewhere is known to be lost only after it was watched for a minute.
        """
        try:
            text = self._path(name).read_text(encoding="utf-8", errors="replace")
        except OSError:
            self._seen.pop(name, None)
            return not self._path(name).exists()
        if gone(_parsed(text)):
            return True
        now = self._clock()
        before, since, _ = self._seen.get(name, (None, now, False))
        if before != text:
            self._seen[name] = (text, now, before is not None)
            return False
        return now - since >= self._dead

    def beating(self, name: str) -> bool:
        """Whether the holder has given a sign of life while we watched."""
        return name in self._seen and self._seen[name][2]

    def state(self, name: str) -> dict[str, Any] | None:
        """What a lease says of its holder; None if there is none."""
        path = self._path(name)
        return self._read(path) if path.exists() else None

    def alive(self) -> list[str]:
        """Names of all leases whose holder is not known to be lost."""
        return [p.stem for p in sorted(self.folder.glob("[!.]*.json")) if not self.dead(p.stem)]

    def close(self) -> None:
        """Give back what is held, and take the folder away if it is empty."""
        for lease in list(self._held.values()):
            self.give(lease)
        self._ended.set()
        for path in self.folder.glob(".*"):
            self._sweep(path)
        with suppress(OSError):
            self.folder.rmdir()

    def _sweep(self, path: Path) -> None:
        # What a worker leaves that was killed between two steps is named after its holder.
        if self._me["holder"] in path.name or path.name.startswith(".dead"):
            path.unlink(missing_ok=True)

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}.json"

    def _content(self, lease: Lease) -> str:
        self._count += 1
        return json.dumps(
            {**self._me, "lost": lease.lost, "beat": self._count, **lease.told}, ensure_ascii=False
        )

    def _read(self, path: Path) -> dict[str, Any]:
        try:
            return _parsed(path.read_text(encoding="utf-8", errors="replace"))
        except OSError:
            return {}

    def _create(self, path: Path, text: str) -> bool:
        """Make a lease with its content in one step; False if there is one."""
        ready = self.folder / f".{self._me['holder']}.{threading.get_ident()}"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            ready.write_text(text, encoding="utf-8")
            try:
                os.link(ready, path)
            except FileExistsError:
                return False
            except OSError:  # no hard links here: exclusive, but for a moment without content
                with path.open("x", encoding="utf-8") as file:
                    file.write(text)
        except FileExistsError:
            return False
        except OSError as error:
            raise OutputError(
                f"cannot write {path}: {error.strerror or error}. What is finished stays; the "
                "same command goes on from there"
            ) from error
        finally:
            with suppress(OSError):
                ready.unlink(missing_ok=True)
        return True

    def _bury(self, name: str) -> dict[str, Any] | None:
        """Carry a dead lease away; None if another was quicker."""
        path, grave = self._path(name), self.folder / f".dead.{uuid4().hex}"
        judged = self._read(path).get("holder")
        try:
            path.rename(grave)
        except OSError:
            return None
        content = self._read(grave)
        taken = content.get("holder") != judged
        if taken:  # between the look and the rename another had buried it and taken the work
            with suppress(OSError):
                os.link(grave, path)
        with suppress(OSError):
            grave.unlink()
        self._seen.pop(name, None)
        return None if taken else content

    def _live(self) -> None:
        while not self._ended.wait(self._beat):
            with self._lock:
                held = list(self._held.values())
            for lease in held:
                self._renew(lease)

    def _renew(self, lease: Lease) -> None:
        path = self._path(lease.name)
        ready = self.folder / f".{self._me['holder']}.beat"
        # A sign of life that cannot be given, on a full disk say, only means that another worker
        # may do the same work.
        with suppress(OSError):
            if self._read(path).get("holder") != self._me["holder"]:
                return
            ready.write_text(self._content(lease), encoding="utf-8")
            with self._lock:
                if lease.name in self._held:
                    ready.replace(path)
                else:
                    ready.unlink(missing_ok=True)


def _parsed(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}
