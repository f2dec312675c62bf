"""SHA-256 of files, each read once as long as it stays as it is, also by later commands.

A study of many languages has recordings and weights of tens to hundreds of gigabytes, all of which
belong to the identity of the work. They are read whole once; what was found is kept in
``digests`` of the cache folder and used again while a file's place, size, inode, time of change
and file system are the same.

**When an entry may be trusted.** The time of change of the inode (ctime) cannot be set by programs,
so a file that was written anew with its old size and time is noticed. But a file that changes
right after it was read can keep its time, as that moves in steps of milliseconds to 2 seconds. As
git does with its index, nothing is kept of a file that was changed less than 2 seconds before it
was read. How long ago that was is told by the clock of the file's own file system, which may be
another machine's: a file without a name is made in its folder, and its time looked at. Where that
cannot be done, this process must have seen the file in the same state 2 seconds before it read it,
or its own clock must say that the change was 10 minutes ago.

**What is kept where.** One file for each folder of files, whose lines have a check each:

    digests/3f0c….lines     name, state, SHA-256, check

A process that has read something merges it into the file and replaces that in one step, every few
seconds and at its end. Two that do so at once may lose lines, and then a file is read once more;
nothing worse can happen, on network folders neither. A database would need locks there, and a file
to which all append would need appending that network folders do not promise. Lines that do not fit
their check are passed over. Old folders are forgotten when all together grow beyond 256 MB.
"""

import atexit
import hashlib
import json
import os
import stat
import tempfile
import threading
import time
from collections import OrderedDict
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

from isogloss.guarded import open_regular

SWITCH = "ISOGLOSS_NO_DIGEST_CACHE"
"""Environment variable; with any value but 0, nothing is kept between commands, or used."""
GRAIN = 2.0
"""Seconds within which a file may change without its time of change showing it."""
_SKEW = 600.0
"""Seconds by which two machines' clocks surely do not differ."""
_EVERY = 5.0
"""Seconds between writing what was found."""
_SUFFIX = ".lines"
_CHECK = 16
_LARGEST, _ALL = 64 << 20, 256 << 20
"""Bytes of the lines of one folder, and of all."""
_IN_MEMORY = 100_000
"""Files remembered at a time; a large study has a million."""

Entry = tuple[str, str]
"""State of a file, and its SHA-256 in that state."""


def file_digest(path: Path) -> str:
    """SHA-256 of a file's content, in hexadecimal digits.

    Raises:
        OSError: It cannot be read, or is a device, a pipe or a folder.
    """
    return _at(_folder()).of(path)


class Digests:
    """Digests of files, remembered in a folder.

    Args:
        folder: Where to; None to remember them in this process only.
    """

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder
        self.read = 0
        """Number of files that were read so far."""
        self._shards: OrderedDict[str, dict[str, Entry]] = OrderedDict()
        self._new: dict[str, dict[str, Entry]] = {}
        self._fresh: dict[str, tuple[str, float]] = {}
        self._flushed, self._pause = time.monotonic(), _EVERY
        self._tidied = False
        self.renew()

    def renew(self) -> None:
        """Make the locks anew; for a forked process, which may have them locked for ever."""
        self._lock = threading.RLock()
        self._busy: dict[str, tuple[threading.Lock, int]] = {}

    def of(self, path: Path) -> str:
        """SHA-256 of a file; see :func:`file_digest`."""
        folder, name = os.path.split(os.path.abspath(path))  # noqa: PTH100 – it resolves no links
        place = os.path.join(folder, name)  # noqa: PTH118
        state = _state(os.stat(place), place)  # noqa: PTH116
        known = self._known(folder, name, state)
        if known is not None:
            return known
        with self._lock:
            lock, waiting = self._busy.get(place, (threading.Lock(), 0))
            self._busy[place] = lock, waiting + 1
        try:
            with lock:  # segments of one long file are asked for by many threads at once
                return self._known(folder, name, state) or self._made(folder, name)
        finally:
            with self._lock:
                lock, waiting = self._busy[place]
                if waiting > 1:
                    self._busy[place] = lock, waiting - 1
                else:
                    del self._busy[place]

    def flush(self) -> None:
        """Write what was found since the last time; does nothing where that is impossible."""
        with self._lock:
            new, self._new = self._new, {}
            began = time.monotonic()
            if self.folder is not None and new:
                with suppress(OSError):
                    self.folder.mkdir(parents=True, exist_ok=True)
                    for folder, entries in new.items():
                        self._merge(self._path(folder), entries)
                    self._tidy()
            self._flushed = time.monotonic()
            # Large folders take longer to write, so they are written less often.
            self._pause = max(_EVERY, 20 * (self._flushed - began))

    def _known(self, folder: str, name: str, state: str) -> str | None:
        with self._lock:
            entry = self._shard(folder).get(name)
        return entry[1] if entry is not None and entry[0] == state else None

    def _made(self, folder: str, name: str) -> str:
        """Read a file, and remember it if nothing can have changed unseen."""
        place = os.path.join(folder, name)  # noqa: PTH118
        with open_regular(Path(place)) as file:
            before = os.fstat(file.fileno())
            state, now = _state(before, place), time.monotonic()
            old = _is_old(before, folder)
            content = hashlib.file_digest(file, "sha256").hexdigest()
            after = _state(os.fstat(file.fileno()), place)
        with self._lock:
            self.read += 1
            seen, since = self._fresh.get(place, ("", now))
            if after != state:
                self._fresh.pop(place, None)
            elif old or (seen == state and now - since >= GRAIN):
                self._fresh.pop(place, None)
                self._shard(folder)[name] = state, content
                self._new.setdefault(folder, {})[name] = state, content
            elif seen != state:
                self._fresh[place] = state, now
            if time.monotonic() - self._flushed >= self._pause:
                self.flush()
        return content

    def _shard(self, folder: str) -> dict[str, Entry]:
        shard = self._shards.get(folder)
        if shard is None:
            shard = {} if self.folder is None else _load(self._path(folder))
            shard.update(self._new.get(folder, {}))
            self._shards[folder] = shard
            while len(self._shards) > 1 and sum(map(len, self._shards.values())) > _IN_MEMORY:
                self._shards.popitem(last=False)
        self._shards.move_to_end(folder)
        return shard

    def _path(self, folder: str) -> Path:
        assert self.folder is not None  # noqa: S101
        return self.folder / (hashlib.sha256(os.fsencode(folder)).hexdigest()[:32] + _SUFFIX)

    def _merge(self, path: Path, entries: dict[str, Entry]) -> None:
        lines = [_line(n, e) for n, e in {**_load(path), **entries}.items()]
        size = sum(map(len, lines))
        while size > _LARGEST:
            size -= len(lines.pop(0))
        handle, name = tempfile.mkstemp(prefix=".", suffix=".tmp", dir=path.parent)
        try:
            # Not flushed to the disk: what a power cut leaves of it has no valid lines.
            with os.fdopen(handle, "wb") as file:
                file.writelines(lines)
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise

    def _tidy(self) -> None:
        """Forget the folders that were not looked at for longest, if all take too much space."""
        if self._tidied or self.folder is None:
            return
        self._tidied = True
        now, total, found = time.time(), 0, []
        for entry in os.scandir(self.folder):
            seen = entry.stat()
            if entry.name.endswith(_SUFFIX):
                total += seen.st_size
                found.append((seen.st_mtime, seen.st_size, entry.path))
            elif entry.name.endswith(".tmp") and now - seen.st_mtime > 3600:
                Path(entry.path).unlink(missing_ok=True)
        for _, size, path in sorted(found):
            if total <= _ALL:
                break
            Path(path).unlink(missing_ok=True)
            total -= size


def _state(found: os.stat_result, place: str) -> str:
    """What changes when a file does."""
    system = _systems.get(found.st_dev)
    if system is None:
        system = _systems[found.st_dev] = _system(found.st_dev, place)
    times = f"{found.st_mtime_ns} {found.st_ctime_ns}"
    return f"{system} {found.st_ino} {found.st_size} {times}"


_systems: dict[int, str] = {}


def _system(device: int, place: str) -> str:
    """Names a file system: by its own id, as device numbers differ between machines and mounts."""
    try:
        return f"{os.statvfs(place).f_fsid:x}"
    except (OSError, AttributeError):
        return f"device {device}"


def _is_old(found: os.stat_result, folder: str) -> bool:
    """Whether a file's last change was so long ago that another one would show."""
    now, margin = _clock_of(folder, found.st_dev), GRAIN
    if now is None:
        now, margin = time.time(), _SKEW
    # A time of modification may be set to anything, also to one that is yet to come.
    times = [found.st_ctime, *([found.st_mtime] if found.st_mtime <= now else [])]
    return now - max(times) >= margin


def _clock_of(folder: str, device: int) -> float | None:
    """What a folder's file system takes for now, in seconds; None if it cannot be asked."""
    unnamed = getattr(os, "O_TMPFILE", None)
    if unnamed is None:
        return None
    try:
        handle = os.open(folder, unnamed | os.O_RDWR, 0o600)
    except OSError:
        return None
    try:
        made = os.fstat(handle)
        return made.st_ctime if made.st_dev == device else None
    finally:
        os.close(handle)


def _line(name: str, entry: Entry) -> bytes:
    body = json.dumps([name, *entry])
    return f"{_check(body)} {body}\n".encode()


def _check(body: str) -> str:
    return hashlib.sha256(body.encode()).hexdigest()[:_CHECK]


def _load(path: Path) -> dict[str, Entry]:
    """The lines of a file that are whole."""
    found: dict[str, Entry] = {}
    try:
        seen = path.stat()
        if seen.st_size > 2 * _LARGEST or not stat.S_ISREG(seen.st_mode):
            return {}
        lines = path.read_bytes().decode("ascii", "replace").split("\n")
        if time.time() - seen.st_mtime > 86400:
            os.utime(path)  # it is of use still
    except OSError:
        return found
    for line in lines:
        check, _, body = line.partition(" ")
        with suppress(ValueError, TypeError, RecursionError):
            if check == _check(body):
                name, state, content = json.loads(body)
                found[name] = state, content
    return found


def _folder() -> Path | None:
    if os.environ.get(SWITCH, "0") not in ("", "0"):
        return None
    root = os.environ.get("ISOGLOSS_CACHE")
    if root:
        return Path(root).expanduser() / "digests"
    from platformdirs import user_cache_path

    return user_cache_path("isogloss") / "digests"


_all: list[Digests] = []


@lru_cache(maxsize=16)
def _at(folder: Path | None) -> Digests:
    made = Digests(folder)
    _all.append(made)
    return made


@atexit.register
def _flush_all() -> None:
    for digests in _all:
        digests.flush()


def _renew_all() -> None:
    for digests in _all:
        digests.renew()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_all)
