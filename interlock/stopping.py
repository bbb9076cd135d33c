"""Stopping: the first Ctrl-C (or SIGTERM) ends every run with what it found, the second one ends the process."""

import asyncio
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

from interlock.events import Event
from interlock.exits import STOPPED
from interlock.terminal import leave, say

SIGNALS: Final = {signal.SIGINT: "stopped by you (Ctrl-C)", signal.SIGTERM: "stopped from outside (SIGTERM)"}


class Stopping:
    """What a command's runs are told when a signal comes. Made by the command's task; before its first run it is
    cancelled instead.

    Attributes:
        reason: Why the runs end; empty while nobody wants that.
        asked: Is set once the runs have been told.
    """

    def __init__(self) -> None:
        self.reason = ""
        self.asked = asyncio.Event()
        self._runs: set[str] = set()
        self._begun = False
        self._loop = asyncio.get_running_loop()
        self._command = asyncio.current_task()

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Answer to the signals, except to those that whoever started us wants ignored."""
        before = {number: signal.getsignal(number) for number in SIGNALS}
        for number, handler in before.items():
            if handler is not signal.SIG_IGN:
                signal.signal(number, self._on_signal)
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    @contextmanager
    def watched(self, show: Callable[[Event], None]) -> Iterator[Callable[[Event], None]]:
        """The same `show` for the events of one run, which is stopped as soon as somebody wants that."""
        seen: set[str] = set()

        def watch(event: Event) -> None:
            if event.run not in self._runs:
                self._begun = True
                seen.add(event.run)
                self._runs.add(event.run)
                self._stop(event.run)
            show(event)

        try:
            yield watch
        finally:
            self._runs -= seen

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        """Runs between two lines of anything, so it does nothing but hand over."""
        if self.reason:
            leave(STOPPED, midway=True)
        self.reason = SIGNALS[signal.Signals(number)]
        self._loop.call_soon_threadsafe(self._stop_all)

    def _stop_all(self) -> None:
        if not self._begun and self._command:
            self._command.cancel()
            return
        say("stopping with what was found so far; once more ends at once")
        for run in self._runs:
            self._stop(run)
        self.asked.set()

    def _stop(self, run: str) -> None:
        from guards import request_stop

        if self.reason:
            request_stop(run, self.reason)
