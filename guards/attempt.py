"""Attempt: one bounded try of one node. It ends on time whatever the node does."""

import asyncio
import time
from collections.abc import Awaitable, Coroutine
from contextvars import Context, ContextVar
from typing import Any

from guards.amount import Amount
from guards.calls import Call
from guards.errors import Permanent, Stopped, TimedOut
from guards.limits import Limits
from guards.scope import Scope
from state.guarded import Spent
from state.message import current_trace

NOTHING = Spent()
UNLIMITED = Limits()
GRACE_SECONDS = 0.1
"""What a cancelled node gets to clean up; after that it is left behind and its calls are refused."""

current_attempt: ContextVar["Attempt | None"] = ContextVar("interlock_attempt", default=None)
meter: ContextVar[Any] = ContextVar("interlock_meter", default=None)
"""LangChain's callback managers pick the handler up from here (see `guards.meter`)."""


class Attempt:
    """The handle of a running try.

    Attributes:
        scope: The run it belongs to.
        parent: The attempt of the enclosing graph, when this run is a sub-agent's.
        deadline: When it must end, in seconds of `time.monotonic()`.
        node: The node's name.
        place: The task that it is a try of, as LangGraph names it.
        limits: What its calls together may use.
        spent: What its model and tool calls have used.
        held: What its open calls may still use.
        calls: Its calls that are open.
        abandoned: The node swallowed its cancellation and was left behind.
    """

    def __init__(
        self,
        scope: Scope,
        seconds: float,
        meter: object,
        *,
        node: str = "",
        place: str = "",
        limits: Limits = UNLIMITED,
    ) -> None:
        self.scope = scope
        self.node, self.place, self.limits = node, place, limits
        self.meter = meter
        self.parent = current_attempt.get()
        self.seconds = seconds
        self.deadline = time.monotonic() + seconds
        self.spent = NOTHING
        self.held = Amount()
        self.calls: dict[object, Call] = {}
        self.open = True
        self.abandoned = False
        self._reason = ""
        self._task: asyncio.Task[Any] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def left(self) -> float:
        """Seconds that it still has, at least 0; infinite without a time-out."""
        return max(0.0, self.deadline - time.monotonic())

    def chain(self) -> "list[Attempt]":
        """This attempt and those of the enclosing graphs, inside out."""
        return [self, *(self.parent.chain() if self.parent else [])]

    def stop(self, reason: str) -> None:
        """Cancel the node from any thread."""
        self._reason = self._reason or reason
        if self._loop is not None and self._task is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._task.cancel)

    async def run(self, work: Coroutine[Any, Any, Any], context: Context, stoppable: bool) -> Any:
        """Run the node's body in a task of its own and wait no longer than the attempt may take.

        Args:
            work: The body, not begun.
            context: The context variables to run it in; not changed.
            stoppable: Whether a stop request cancels it.

        Raises:
            TimedOut: The time is over.
            Stopped: Somebody stopped the run meanwhile.
        """
        context = context.copy()
        context.run(self._be_current)
        self._loop = asyncio.get_running_loop()
        self._task = self._loop.create_task(contained(work), context=context)
        if stoppable:
            self.scope.attempts.add(self)
        try:
            return await self._wait(self._task)
        finally:
            self.open = False
            self.scope.attempts.discard(self)

    def _be_current(self) -> None:
        current_attempt.set(self)
        current_trace.set(self.scope.run.trace_id)
        meter.set(self.meter)

    async def _wait(self, task: asyncio.Task[Any]) -> Any:
        try:
            done = await _settled(task, self.seconds)
        except asyncio.CancelledError:
            await self._end(task)
            raise
        if not done:
            await self._end(task)
            raise TimedOut("attempt", self.seconds)
        if task.cancelled():
            raise Stopped(self._reason) if self._reason else Permanent("it cancelled itself")
        try:
            return task.result()
        except GeneratorExit as error:  # raised by the node; one that is thrown into it never gets here
            raise Permanent("the node raised GeneratorExit") from error

    async def _end(self, task: asyncio.Task[Any]) -> None:
        """Cancel the body; one that swallows the cancellation is left behind."""
        self.open = False
        task.cancel()
        self.abandoned = not await _settled(task, GRACE_SECONDS)
        task.add_done_callback(_forget)


async def contained(work: Awaitable[Any]) -> Any:
    """Keep `sys.exit()` in a tool, and exceptions that are no `Exception`, from tearing down the event loop."""
    try:
        return await work
    except (Exception, asyncio.CancelledError, KeyboardInterrupt, GeneratorExit):
        raise
    except BaseException as error:
        raise Permanent(f"the node raised {type(error).__name__}") from error


async def _settled(task: asyncio.Task[Any], seconds: float) -> bool:
    """Whether the task ends within that time; it is not cancelled (`asyncio.wait` for one task, at half its cost)."""
    loop = task.get_loop()
    waiter = loop.create_future()

    def wake(_: object = None) -> None:
        if not waiter.done():
            waiter.set_result(None)

    timer = None if seconds == float("inf") else loop.call_later(seconds, wake)
    task.add_done_callback(wake)
    try:
        await waiter
    finally:
        task.remove_done_callback(wake)
        if timer is not None:
            timer.cancel()
    return task.done()


def _forget(task: asyncio.Task[Any]) -> None:
    """Look at the late result of a cancelled task, so that asyncio does not complain about it."""
    if not task.cancelled():
        task.exception()


def remaining() -> float:
    """Seconds left to the current attempt, at least 0; infinite outside a guard."""
    attempt = current_attempt.get()
    return float("inf") if attempt is None else attempt.left()
