"""How far tasks are, how fast they go, and when they will end. Times are given, never read."""

import threading
from collections import deque
from dataclasses import dataclass, field

from isogloss.cli.words import size
from isogloss.events import PART
from isogloss.memory import on_device, resident

PARTS = 8
"""Parts that are shown one by one."""

WINDOW = 60.0
"""Seconds that a rate looks back: what happened an hour ago says little of the next one."""
_FEW = 10
"""Advances that a rate rests on at least, however long ago they were."""
_GRAIN = 1.0
"""Seconds within which advances are taken together."""
_STALLED = 120.0
"""Seconds without progress after which that is said."""


class Meter:
    """Progress of one task.

    Args:
        total: How much there is to do.
        unit: What is counted, in the singular.
        now: Seconds on a steady clock.
        done: How much was there before.
    """

    def __init__(self, total: float, unit: str, now: float, done: float = 0) -> None:
        self.total, self.unit, self.done = total, unit, done
        self.before = done
        self.began = now
        self.moved = now
        """When something was last done."""
        self.detail = ""
        self._steps = deque([(now, done)])

    @property
    def share(self) -> float:
        """Done part of the total, from 0 to 1."""
        return min(max(self.done / self.total, 0.0), 1.0) if self.total > 0 else 1.0

    def advance(self, amount: float, detail: str, now: float) -> None:
        """Count what was done."""
        self.detail = detail or self.detail
        if not amount:
            self.ready(now)
            return
        self.done += amount
        self.moved = now
        if len(self._steps) > 1 and now - self._steps[-2][0] < _GRAIN:
            self._steps.pop()
        self._steps.append((now, self.done))
        while len(self._steps) > _FEW + 1 and self._steps[1][0] <= now - WINDOW:
            self._steps.popleft()

    def found(self, amount: float) -> None:
        """Count what was there already: it is done, and was no work."""
        self.done += amount
        self.before += amount
        self._steps = deque((then, done + amount) for then, done in self._steps)

    def ready(self, now: float) -> None:
        """Work begins only now, if none was done yet: loading a model is no slow sentence."""
        if len(self._steps) == 1:
            self._steps[0] = (now, self.done)
            self.moved = now

    def rate(self, now: float) -> float | None:
        """Units per second over the last minute or the last steps; None before the first."""
        then, before = self._steps[0]
        if len(self._steps) == 1 or now <= then:
            return None
        return (self.done - before) / (now - then)

    def mean_rate(self, now: float) -> float | None:
        """Units per second from the beginning, without what was there before."""
        spent = now - self.began
        return (self.done - self.before) / spent if spent > 0 and self.done > self.before else None

    def left(self, now: float) -> float | None:
        """Seconds until the end, at the present rate; None if it is not known or all is done."""
        rate = self.rate(now)
        return (self.total - self.done) / rate if rate and self.done < self.total else None

    def stalled(self, now: float) -> bool:
        """Whether nothing was done for so long that it should be said."""
        return self.done < self.total and now - self.moved >= _STALLED


@dataclass
class Board:
    """All tasks that are under way, in the order in which they began."""

    tasks: dict[str, Meter] = field(default_factory=dict)
    held: dict[str, float] = field(default_factory=dict)
    """Other process -> bytes that it holds."""

    def start(self, name: str, total: float, unit: str, now: float, done: float = 0) -> None:
        """A task begins, and with a part the work of its task."""
        self.tasks.pop(name, None)
        self.tasks[name] = Meter(total, unit, now, done)
        task = self.tasks.get(name.partition(PART)[0])
        if PART in name and task is not None:
            task.ready(now)

    def advance(self, name: str, amount: float, detail: str, now: float) -> bool:
        """Count; False for a task that is not under way, such as one that was given up."""
        meter = self.tasks.get(name)
        if meter is not None:
            meter.advance(amount, detail, now)
        return meter is not None

    def found(self, name: str, amount: float) -> None:
        """Count what was there already."""
        if name in self.tasks:
            self.tasks[name].found(amount)

    def finish(self, name: str) -> Meter | None:
        """A task ends, and all its parts."""
        for part in self.parts(name):
            del self.tasks[name + PART + part]
        return self.tasks.pop(name, None)

    def whole(self) -> dict[str, Meter]:
        """The tasks that are no parts."""
        tasks = self.tasks
        return {n: m for n, m in tasks.items() if PART not in n or n.split(PART)[0] not in tasks}

    def parts(self, name: str) -> dict[str, Meter]:
        """Name of the part -> its progress."""
        start = name + PART
        return {n.removeprefix(start): m for n, m in self.tasks.items() if n.startswith(start)}

    def hold(self, holder: str, amount: float) -> None:
        """Another process holds memory, or none any more."""
        if amount > 0:
            self.held[holder] = amount
        else:
            self.held.pop(holder, None)


def told_memory(board: Board) -> str:
    """What is held: by this process, by other workers, and on devices."""
    parts = [f"memory {size(held)}"] if (held := resident()) else []
    if board.held:
        many = f"{len(board.held)} worker{'' if len(board.held) == 1 else 's'}"
        parts.append(f"{many} {size(sum(board.held.values()))}")
    if device := on_device():
        parts.append(f"device {size(device)}")
    return ", ".join(parts)


class Counting:
    """What all receivers do with events that change no picture."""

    def __init__(self) -> None:
        self._board = Board()
        self._lock = threading.RLock()

    def found(self, task: str, amount: float) -> None:
        """Count what was there already."""
        with self._lock:
            self._board.found(task, amount)

    def memory(self, holder: str, amount: float) -> None:
        """Remember what another process holds."""
        with self._lock:
            self._board.hold(holder, amount)
