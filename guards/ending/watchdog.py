"""Watchdog: ends a node that blocks its event loop past its deadline, where nothing on that loop can.

A loop that answers ends an attempt on time by itself. One that does not is looked at from outside: when the task that
it is running belongs to an attempt whose time is over, `Interrupted` is raised in that task's code. On the main thread
that is the alarm's work (`guards.ending.alarm`), which also reaches `time.sleep`, locks, blocking sockets, `re` and
large integers; on other threads a thread of ours does it, between two bytecodes.

Not covered: C that never yields and does not look for signals (numpy, drivers, `sum` over a huge range), and on other
threads than the main one anything in C. Run such code with `guards.apart`.
"""

import asyncio
import logging
import os
import queue
import threading
import time
from contextlib import suppress
from types import FrameType
from typing import TYPE_CHECKING, Any, Final

from guards.ending.alarm import Alarm
from guards.ending.interrupt import Interrupted, context_of, frames, in_coroutine, interrupt
from guards.ending.reaper import reaper
from guards.ending.started import note_what_is_started
from guards.running.current import GRACE_SECONDS, current_attempt

if TYPE_CHECKING:
    from guards.running.attempt import Attempt

log = logging.getLogger("interlock")

NEVER: Final = float("inf")
SHORTEST_NAP: Final = 0.05
"""Seconds between two looks at something that is overdue; they grow with the time that it is overdue."""


class Watchdog:
    """Knows every running attempt of the process, and wakes when the first of them should be over."""

    def __init__(self) -> None:
        self.running: set[Attempt] = set()
        self.wakes = NEVER
        self._lock = threading.RLock()
        self._calls: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._alarm: Alarm | None = None
        reaper.wake = self._call

    def watch(self, attempt: "Attempt") -> None:
        """Look after an attempt until it is discarded from `running`."""
        self.running.add(attempt)
        if attempt.deadline + GRACE_SECONDS < self.wakes:
            self._plan(attempt.deadline + GRACE_SECONDS)

    def _plan(self, at: float) -> None:
        with self._lock:
            if self._thread is None:
                self._begin()
            if self._alarm is None and threading.current_thread() is threading.main_thread():
                with suppress(OSError):
                    self._alarm = Alarm(self._rung)
            if at < self.wakes:
                self._wake_at(at)

    def _begin(self) -> None:
        note_what_is_started()
        self._thread = threading.Thread(target=self._run, name="interlock-watchdog", daemon=True)
        self._thread.start()

    def _wake_at(self, at: float) -> None:
        self.wakes = at
        if self._alarm is not None:
            self._alarm.set(at)
        self._call()

    def _call(self) -> None:
        """Wake the thread; the alarm does it in the middle of anything, where an `Event` could wait for itself."""
        self._calls.put(None)

    def _run(self) -> None:
        while True:
            self._sleep(min(max(0.0, min(self.wakes, reaper.due()) - time.monotonic()), threading.TIMEOUT_MAX))
            try:
                self._look(time.monotonic())
            except Exception as error:  # it looks at foreign objects; the next look may go well
                log.error("the watchdog stumbled", extra={"error": type(error).__name__})

    def _sleep(self, seconds: float) -> None:
        """Until somebody calls, at most so long; several calls are one."""
        with suppress(queue.Empty):
            self._calls.get(timeout=seconds)
            while True:
                self._calls.get_nowait()

    def _look(self, now: float) -> None:
        if now >= self.wakes:
            for thread, loop in {(attempt.thread, attempt.loop) for attempt in self._overdue(now)}:
                self._end_hog(thread, loop)
            self._replan(now)
        if now >= reaper.due():
            reaper.work(self.running)

    def _rung(self, frame: FrameType | None) -> None:
        """The alarm: this is the main thread, in the middle of anything."""
        now = time.monotonic()
        loop = asyncio._get_running_loop()
        hog = None if loop is None else running_attempt(loop)
        if now >= self.wakes:
            self._replan(now)
        if hog is not None and is_over(hog, now) and in_coroutine(frame):
            raise Interrupted

    def _end_hog(self, thread: int, loop: Any) -> None:
        """Interrupt what a loop is doing if its time is over; the alarm does that for the main thread."""
        if self._alarm is not None and self._alarm.working and thread == threading.main_thread().ident:
            return
        frame = next(frames(thread), None)
        hog = running_attempt(loop)
        if frame is not None and hog is not None and is_over(hog, time.monotonic()) and in_coroutine(frame):
            interrupt(thread, frame)

    def _overdue(self, now: float) -> "list[Attempt]":
        return [attempt for attempt in list(self.running) if is_over(attempt, now)]

    def _replan(self, now: float) -> None:
        """Forget what has ended meanwhile (a stop may have come too late), and plan for the rest."""
        with self._lock:
            self.running -= {attempt for attempt in list(self.running) if not (attempt.open or attempt.abandoned)}
            self._wake_at(min((_next_look(attempt, now) for attempt in list(self.running)), default=NEVER))


def is_over(attempt: "Attempt", now: float) -> bool:
    """Whether an attempt's time, and what it gets to clean up, is over."""
    return now >= attempt.deadline + GRACE_SECONDS


def running_attempt(loop: asyncio.AbstractEventLoop) -> "Attempt | None":
    """Whose code an event loop is running now; asked from any thread."""
    task = asyncio.current_task(loop)
    context = None if task is None else context_of(task)
    return None if context is None else context.get(current_attempt)


def _next_look(attempt: "Attempt", now: float) -> float:
    end = attempt.deadline + GRACE_SECONDS
    return end if end > now else now + max(SHORTEST_NAP, (now - end) / 4)


watchdog = Watchdog()
os.register_at_fork(after_in_child=watchdog.__init__)  # type: ignore[misc]
