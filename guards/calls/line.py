"""Line: those who wait for one thing, in the order in which they came; of any event loop and any thread."""

import asyncio
import threading
from contextlib import suppress
from itertools import takewhile
from typing import Generic, TypeVar

Need = TypeVar("Need")


class Place(Generic[Need]):
    """A place in a line; made in the event loop that waits in it."""

    def __init__(self, need: Need) -> None:
        self.need = need
        self._loop = asyncio.get_running_loop()
        self._called = asyncio.Event()

    def call(self) -> None:
        """End the wait; from any thread. Another thread's loop must be woken for it, which costs a system call."""
        if _running_loop() is self._loop:
            self._called.set()
            return
        with suppress(RuntimeError):  # its loop was closed meanwhile
            self._loop.call_soon_threadsafe(self._called.set)

    async def wait(self, seconds: float) -> None:
        """Wait until somebody calls, at most that long."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds if seconds < float("inf") else None):
                await self._called.wait()
        self._called.clear()

    @property
    def is_lost(self) -> bool:
        """Whether nobody can come back to it: its loop was closed with the wait open."""
        return self._loop.is_closed()


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


class Line(Generic[Need]):
    """First come, first served."""

    def __init__(self) -> None:
        self._places: dict[Place[Need], None] = {}
        self._lock = threading.Lock()

    def __bool__(self) -> bool:
        return bool(self._places)

    def join(self, need: Need) -> Place[Need]:
        """Take the last place. Whoever joins must leave."""
        place = Place(need)
        with self._lock:
            self._places[place] = None
        return place

    def leave(self, place: Place[Need]) -> None:
        """Give a place up; the first one of the others is called."""
        with self._lock:
            self._places.pop(place, None)
        self.call_first()

    def is_first(self, place: Place[Need]) -> bool:
        """Whether nobody is before it."""
        with self._lock:
            return next((other for other in self._places if not other.is_lost), place) is place

    def ahead(self, place: Place[Need]) -> list[Need]:
        """What those before it need; empty for the first one."""
        with self._lock:
            before = takewhile(lambda other: other is not place, self._places)
            return [other.need for other in before if not other.is_lost]

    def call_first(self) -> None:
        """Let the first one look again."""
        with self._lock:
            while (first := next(iter(self._places), None)) is not None and first.is_lost:
                del self._places[first]
            if first is not None:
                first.call()

    def call_all(self) -> None:
        """Let everybody look again."""
        with self._lock:
            for place in self._places:
                place.call()
