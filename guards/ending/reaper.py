"""Reaper: at the end of a run nothing it started is alive (guide: A5, "no zombies"; a sweep every hour).

It looks when a run has ended, when an attempt was ended by force, and once an hour. What it finds is counted, told in
the log with its node and trace id, and ended; it comes back to what has not ended yet, and gives up after `LAST`.
"""

import asyncio
import logging
import os
import threading
import time
import weakref
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from guards.ending.leftovers import (
    Belongs,
    Leftover,
    collect_connections,
    connections,
    pool_threads,
    started_things,
    tasks,
)
from guards.ending.started import forget_sockets, started_by
from guards.running.current import GRACE_SECONDS

if TYPE_CHECKING:
    from guards.running.attempt import Attempt
    from guards.running.scope import Scope

log = logging.getLogger("interlock")

SWEEP_SECONDS: Final = float(os.environ.get("INTERLOCK_SWEEP_SECONDS") or 3_600)
AGAIN: Final = (0.1, 0.3, 1.0, 3.0, 10.0)
"""Seconds after a leftover was found at which it is looked at again."""

LAST: Final = AGAIN[-1]
TRIED: Final = 64
"""Attempts of a run that are remembered before those that nothing refers to any more are dropped."""


@dataclass(frozen=True)
class Reaped:
    """What was found alive after its attempt or its run was over, since the process began.

    Attributes:
        tasks: Tasks of asyncio, and nodes that swallowed their cancellation.
        threads: Threads of pools that did a node's work, and threads that a node started.
        processes: Child processes.
        sockets: Connections that were forgotten open.
        left: Of all these, what could not be ended within `LAST` seconds.
        sweeps: How often everything was looked at.
    """

    tasks: int = 0
    threads: int = 0
    processes: int = 0
    sockets: int = 0
    left: int = 0
    sweeps: int = 0


_FIELDS: Final = {"task": "tasks", "thread": "threads", "process": "processes", "socket": "sockets"}


@dataclass
class _Found:
    leftover: Leftover
    since: float
    looks: int = 0

    @property
    def next_look(self) -> float:
        return self.since + AGAIN[min(self.looks, len(AGAIN) - 1)]


class Reaper:
    """One for the process; safe with several event loops and threads."""

    def __init__(self) -> None:
        self.reaped = Reaped()
        self.next_sweep = time.monotonic() + SWEEP_SECONDS
        self.wake: Callable[[], object] = bool
        self._lock = threading.Lock()
        self._found: list[_Found] = []
        self._known: weakref.WeakSet[Any] = weakref.WeakSet()
        self._suspects: list[tuple[float, Belongs]] = []
        self._loops: dict[int, weakref.ref[asyncio.AbstractEventLoop]] = {}

    def remember(self, attempt: "Attempt", loop: asyncio.AbstractEventLoop) -> None:
        """Where to look for what an attempt leaves; it is alive for as long as something of it is."""
        tried = attempt.scope.tried
        tried.append(weakref.ref(attempt))
        if len(tried) > TRIED and len(tried) & (len(tried) - 1) == 0:  # at every doubling
            tried[:] = [ref for ref in tried if ref() is not None]
        known = self._loops.get(attempt.thread)
        if known is None or known() is not loop:
            self._loops[attempt.thread] = weakref.ref(loop)

    def end_of_run(self, scope: "Scope") -> None:
        """A run has ended, says LangGraph; called in its event loop."""
        suspicious = any(ref() is not None for ref in scope.tried) or started_by(scope)
        scope.tried.clear()
        if suspicious:
            self._reap(tasks(asyncio.get_running_loop(), _of_run(scope)))
            self._look_at(_of_run(scope), 0.0)

    def end_of_attempt(self, attempt: "Attempt", cancelled: bool) -> None:
        """An attempt was ended by force; what it leaves is looked at when it had time to clean up.

        Args:
            attempt: It.
            cancelled: From outside: then its run is over.
        """
        self._look_at(_of_run(attempt.scope) if cancelled else lambda one: attempt in one.chain(), GRACE_SECONDS)

    def due(self) -> float:
        """When `work` should be called next, in seconds of `time.monotonic()`."""
        with self._lock:
            return min(
                [self.next_sweep, *(found.next_look for found in self._found), *(at for at, _ in self._suspects)]
            )

    def work(self, running: "Collection[Attempt]") -> None:
        """Look where something may be left, look again at what was found and, once an hour, look everywhere."""
        now = time.monotonic()
        with self._lock:
            due = [belongs for at, belongs in self._suspects if now >= at]
            self._suspects = [(at, belongs) for at, belongs in self._suspects if now < at]
        for belongs in due:
            self._reap(self._leftovers(belongs))
            forget_sockets(belongs)
        if now >= self.next_sweep:
            self.sweep(running)
        self._follow_up(now)

    def sweep(self, running: "Collection[Attempt]") -> Reaped:
        """Look at everything that is left alive in runs of which no attempt is running; gives the counts."""
        self.next_sweep = time.monotonic() + SWEEP_SECONDS
        busy = {link.scope for attempt in list(running) for link in attempt.chain() if link.open}
        self._reap(self._leftovers(lambda one: all(not link.open and link.scope not in busy for link in one.chain())))
        self.reaped = replace(self.reaped, sweeps=self.reaped.sweeps + 1)
        return self.reaped

    def _look_at(self, belongs: Belongs, seconds: float) -> None:
        with self._lock:
            self._suspects.append((time.monotonic() + seconds, belongs))
        self.wake()

    def _leftovers(self, belongs: Belongs) -> Iterator[Leftover]:
        loops = [loop for ref in list(self._loops.values()) if (loop := ref()) is not None and not loop.is_closed()]
        for loop in loops:
            yield from tasks(loop, belongs)
        yield from pool_threads(belongs)
        yield from started_things(belongs)
        self._count("socket", collect_connections(belongs))
        for loop in loops:
            yield from connections(loop, belongs)

    def _reap(self, leftovers: Iterator[Leftover]) -> None:
        for leftover in leftovers:
            if leftover.key in self._known:
                continue
            self._known.add(leftover.key)
            self._count(leftover.kind)
            log.warning("left behind by a node, ending it", extra=_facts(leftover))
            leftover.end(0.0)
            with self._lock:
                self._found.append(_Found(leftover, time.monotonic()))
            self.wake()

    def _follow_up(self, now: float) -> None:
        for found in [found for found in self._found if now >= found.next_look]:
            found.looks += 1
            seconds, alive = now - found.since, found.leftover.alive()
            if alive:
                found.leftover.end(seconds)
            if not alive or found.looks >= len(AGAIN):
                with self._lock:
                    self._found.remove(found)
            if alive and found.looks >= len(AGAIN):
                self.reaped = replace(self.reaped, left=self.reaped.left + 1)
                log.error(
                    "left behind by a node, cannot be ended", extra={**_facts(found.leftover), "seconds": seconds}
                )

    def _count(self, kind: str, number: int = 1) -> None:
        field = _FIELDS[kind]
        self.reaped = replace(self.reaped, **{field: getattr(self.reaped, field) + number})


def _facts(leftover: Leftover) -> dict[str, Any]:
    attempt = leftover.attempt
    return {
        "kind": leftover.kind,
        "what": leftover.name,
        "node": attempt.node,
        "trace_id": attempt.scope.run.trace_id,
        "overdue": round(max(0.0, time.monotonic() - attempt.deadline), 1),
    }


def _of_run(scope: "Scope") -> Belongs:
    return lambda one: any(link.scope is scope and not link.open for link in one.chain())


reaper = Reaper()
os.register_at_fork(after_in_child=reaper.__init__)  # type: ignore[misc]


def reaped() -> Reaped:
    """What guarded code has left alive so far in this process, by kind (guide: A5)."""
    return reaper.reaped
