"""In flight: how many model calls of one provider are open at once in this process.

Unit: calls. What counts: a model call from the moment it is made until it has ended; one that was cancelled without a
word counts until its attempt ends. At the limit: it waits for its turn, first come, first served, and the wait counts
against its attempt's time-out. Not covered: other processes.
"""

import threading
from collections import Counter, defaultdict

from guards.calls.calls import Call, Usage, strictest
from guards.calls.line import Line


class InFlightGate:
    """Lets no more calls through than `Policy.calls_in_flight`."""

    def __init__(self) -> None:
        self._open: Counter[str] = Counter()
        self._lines: defaultdict[str, Line[None]] = defaultdict(Line)
        self._lock = threading.Lock()

    async def enter(self, call: Call) -> None:
        """Wait for a free place; the attempt's time-out ends the wait."""
        if call.kind != "model":
            return
        line, most = self._lines[call.provider], strictest(call, "calls_in_flight")
        if not line and self._take(call.provider, most):
            return
        place = line.join(None)
        try:
            while not line.is_first(place) or not self._take(call.provider, most):
                await place.wait(call.attempt.left())
        finally:
            line.leave(place)

    def leave(self, call: Call, error: BaseException | None, usage: Usage | None) -> None:
        """Free the place."""
        if call.kind == "model":
            with self._lock:
                self._open[call.provider] -= 1
            self._lines[call.provider].call_first()

    def _take(self, provider: str, most: float | None) -> bool:
        with self._lock:
            if most is not None and self._open[provider] >= most:
                return False
            self._open[provider] += 1
            return True
