"""Who works on what, among any number of processes on any number of machines that share a folder.

    leases/
      deu.speech-0f3a91c2d4e5.json      somebody is making this unit

A lease keeps two workers from doing the same work. It never decides what is true: two that do the
same work all the same (a worker that was asleep, a file system that is slow to show a file) commit
the same content, so nothing is damaged and only time is lost.

No clocks are compared. A holder counts upwards in its lease; whoever waits takes it for lost when
the count has not moved for two minutes on the waiter's own steady clock, or at once when the holder
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
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import uuid4

from isogloss.errors import OutputError

BEAT = 5.0
"""Seconds between two signs of life."""
DEAD = 120.0
"""Seconds without one after which a holder is taken for lost. Network file systems may show a
change a minute late."""


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
    before: dict[str, Any] = field(default_factory=dict)
    """What the lease said that was taken over from a lost worker; empty if there was none."""
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
        lease = Lease(name, told=dict(told))
        before = self._seize(name, self._content(lease))
        if before is None:
            return None
        lease.before = before
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

    def tell(self, lease: Lease, **told: Any) -> None:
        """Say something of our work at once, rather than with the next sign of life."""
        lease.told |= told
        self._renew(lease)

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

        A holder elsewhere is known to be lost only after it was watched for two minutes.
        """
        return self._text(self._path(name)) is None or self._judged(name) is not None

    def _judged(self, name: str) -> str | None:
        """The content of a lease whose holder is lost; None if it may live."""
        text = self._text(self._path(name))
        if text is None:
            self._seen.pop(name, None)
            return None
        if gone(_parsed(text)):
            return text
        now = self._clock()
        before, since, _ = self._seen.get(name, (None, now, False))
        if before != text:
            self._seen[name] = (text, now, before is not None)
            return None
        return text if now - since >= self._dead else None

    def beating(self, name: str) -> bool:
        """Whether the holder has given a sign of life while we watched."""
        return name in self._seen and self._seen[name][2]

    def state(self, name: str) -> dict[str, Any] | None:
        """What a lease says of its holder; None if there is none."""
        text = self._text(self._path(name))
        return None if text is None else _parsed(text)

    def names(self) -> list[str]:
        """Names of all leases, whether their holders live or not."""
        return sorted(p.stem for p in self._files() if not p.name.startswith("."))

    def alive(self) -> list[str]:
        """Names of all leases whose holder is not known to be lost."""
        return [name for name in self.names() if not self.dead(name)]

    def close(self) -> None:
        """Give back what is held. The folder stays: others may be about to write to it."""
        for lease in list(self._held.values()):
            self.give(lease)
        self._ended.set()
        for path in self._files():
            # What a killed worker leaves between two steps is named after its holder.
            holder = path.name.split(".")[1] if path.name.startswith(".") else ""
            if holder == self._me["holder"]:
                with suppress(OSError):
                    path.unlink(missing_ok=True)

    def _files(self) -> list[Path]:
        try:
            return [p for p in self.folder.iterdir() if p.suffix == ".json" or p.name[0] == "."]
        except OSError:
            return []

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}.json"

    def _content(self, lease: Lease) -> str:
        self._count += 1
        return json.dumps({**self._me, "beat": self._count, **lease.told}, ensure_ascii=False)

    def _text(self, path: Path) -> str | None:
        """What a lease says; None if there is none, and nothing if it cannot be read."""
        try:
            return path.read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return None
        except OSError:
            return ""

    def _read(self, path: Path) -> dict[str, Any]:
        return _parsed(self._text(path) or "")

    def _seize(self, name: str, text: str) -> dict[str, Any] | None:
        """Put our lease where there is none, or one of a lost holder; None if another was quicker.

        Returns:
            What the lost holder's lease said; empty if there was none.
        """
        path = self._path(name)
        if self._text(path) is None:
            return {} if self._put(path, text, new=True) else None
        judged = self._judged(name)
        if judged is None:
            return None
        # A file cannot be replaced on condition of what it says. So whoever would follow this very
        # holder first takes a lease on that, and looks again: the lease that was judged can only
        # have been replaced by one who held the claim. A claim may have a lost holder as well.
        claim = f".after-{sha256(f'{name} {judged}'.encode()).hexdigest()[:32]}"
        if self._seize(claim, text) is None:
            return None
        try:
            if self._text(path) != judged:
                return None
            self._put(path, text, new=False)
        finally:
            with suppress(OSError):
                self._path(claim).unlink(missing_ok=True)
        self._seen.pop(name, None)
        return _parsed(judged)

    def _put(self, path: Path, text: str, *, new: bool) -> bool:
        """Write a lease in one step; False if it should be new and there is one."""
        ready = self.folder / f".{self._me['holder']}.{threading.get_ident()}"
        try:
            # Not with its parents: the folder of a run that has gone, with a disk say, must not
            # come to stand in another place.
            self.folder.mkdir(exist_ok=True)
            ready.write_text(text, encoding="utf-8")
            if not new:
                ready.replace(path)
                return True
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

    def _live(self) -> None:
        while not self._ended.wait(self._beat):
            with self._lock:
                held = list(self._held.values())
            for lease in held:
                self._renew(lease)

    def _renew(self, lease: Lease) -> None:
        path = self._path(lease.name)
        ready = self.folder / f".{self._me['holder']}.beat{threading.get_ident()}"
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
