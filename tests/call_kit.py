"""What the tests of the gates share: calls without a graph, and a loop whose time passes only when it would wait."""

import asyncio
import selectors
import time
from collections.abc import Awaitable, Callable, Coroutine
from types import SimpleNamespace
from typing import Any

from guards import Policy
from guards.calls.calls import Call, Gate, NotMade, Usage

START = 1_000_000.0


class _Impatient(selectors.DefaultSelector):  # type: ignore[valid-type, misc]
    """A selector that does not wait but moves the clock."""

    now = START

    def select(self, timeout: float | None = None) -> Any:
        ready = super().select(None if timeout is None else 0)
        if not ready and timeout:
            self.now += timeout
        return ready


class ImpatientLoop(asyncio.SelectorEventLoop):
    """An event loop in which an hour of waiting takes no time at all."""

    def __init__(self) -> None:
        self.clock = _Impatient()
        super().__init__(self.clock)

    def time(self) -> float:
        return self.clock.now


def at_once(work: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
    """Run a coroutine in an impatient loop."""
    with asyncio.Runner(loop_factory=ImpatientLoop) as runner:
        return runner.run(work())


def now() -> float:
    """The running loop's clock, for gates that are given one."""
    return asyncio.get_running_loop().time()


class Try:
    """An attempt that has so many seconds left."""

    def __init__(self, policy: Policy, seconds: float, clock: Callable[[], float] = now) -> None:
        self.scope, self.seconds, self.open = SimpleNamespace(policy=policy), seconds, True
        self._clock, self._end = clock, clock() + seconds

    def left(self) -> float:
        return max(0.0, self._end - self._clock())

    def chain(self) -> list["Try"]:
        return [self]


def call(policy: Policy, seconds: float = float("inf"), clock: Callable[[], float] = now, **more: Any) -> Call:
    """A model call in such an attempt."""
    attempt: Any = Try(policy, seconds, clock)
    return Call(**{"kind": "model", "name": "m", "provider": "p#1", "attempt": attempt} | more)


async def done(gate: Gate, one: Call, error: BaseException | None = None, usage: Usage | None = None) -> None:
    """A call from its beginning to its end."""
    await gate.enter(one)
    one.began = time.monotonic()
    gate.leave(one, error, usage)


async def settled(*waiting: Awaitable[Any]) -> list[Any]:
    """What came of each: its result or its error."""
    return await asyncio.gather(*waiting, return_exceptions=True)


__all__ = ["START", "ImpatientLoop", "NotMade", "at_once", "call", "done", "now", "settled"]
