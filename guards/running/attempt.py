"""Attempt: one bounded try of one node. It ends on time whatever the node does."""

import asyncio
import threading
import time
import types
from collections.abc import Awaitable, Coroutine, Generator
from contextvars import Context, ContextVar
from typing import Any

from guards.calls.calls import Call
from guards.ending.interrupt import Interrupted
from guards.ending.reaper import reaper
from guards.ending.watchdog import watchdog
from guards.errors import Permanent, Stopped, TimedOut
from guards.ledger.amount import Amount
from guards.ledger.limits import Limits
from guards.running.current import GRACE_SECONDS
from guards.running.current import current_attempt as current_attempt
from guards.running.scope import Scope
from state.guarded import Spent
from state.message import current_trace

NOTHING = Spent()
UNLIMITED = Limits()
meter: ContextVar[Any] = ContextVar("interlock_meter", default=None)
"""LangChain's callback managers pick the handler up from here (see `guards.calls.meter`)."""


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
        taint: Where its texts come from (`guards.taint.gate.Taint`), where the policy wants to know.
        may: What its agent may do (`guards.taint.agent.Capabilities`), where that is declared.
        answers: How many answers people had given when its task began.
        asked: What they were asked last (`guards.running.asking`).
        calls: Its calls that are open.
        loop: Where it runs.
        thread: The thread that runs the loop.
        insisting: Its next cancellation reaches the node as `Interrupted`.
        abandoned: The node swallowed that too and was left behind.
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
        taint: Any = None,
        may: Any = None,
        answers: int = 0,
        asked: tuple[Any, ...] = (),
    ) -> None:
        self.scope = scope
        self.node, self.place, self.limits = node, place, limits
        self.meter = meter
        self.taint, self.may = taint, may
        self.answers, self.asked = answers, asked
        self.parent = current_attempt.get()
        self.seconds = seconds
        self.deadline = time.monotonic() + seconds
        self.spent = NOTHING
        self.held = Amount()
        self.calls: dict[object, Call] = {}
        self.open = True
        self.abandoned = False
        self.insisting = False
        self.loop: asyncio.AbstractEventLoop | None = None
        self.thread = 0
        self._reason = ""
        self._task: asyncio.Task[Any] | None = None
        self._waiter: asyncio.Future[None] | None = None

    def left(self) -> float:
        """Seconds that it still has, at least 0; infinite without a time-out."""
        return max(0.0, self.deadline - time.monotonic())

    def chain(self) -> "list[Attempt]":
        """This attempt and those of the enclosing graphs, inside out."""
        return [self, *(self.parent.chain() if self.parent else [])]

    def stop(self, reason: str) -> None:
        """End the node, from any thread; its time is over."""
        self._reason = self._reason or reason
        self.deadline = min(self.deadline, time.monotonic())
        if self.loop is not None and not self.loop.is_closed():
            self.loop.call_soon_threadsafe(self._stop)
            watchdog.watch(self)  # the loop may be what hangs

    def _stop(self) -> None:
        if self._task is not None and self.loop is not None:
            self._task.cancel()
            self.loop.call_later(GRACE_SECONDS, self._wake)

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
        self.loop, self.thread = asyncio.get_running_loop(), threading.get_ident()
        task = self._task = self.loop.create_task(contained(_driven(work, self)), context=context)
        if stoppable:
            self.scope.attempts.add(self)
        watchdog.watch(self)
        reaper.remember(self, self.loop)
        try:
            return await self._wait(task)
        except (TimedOut, Stopped, asyncio.CancelledError) as error:
            reaper.end_of_attempt(self, cancelled=isinstance(error, asyncio.CancelledError))
            raise
        finally:
            self.open = False
            self._task = None
            self.scope.attempts.discard(self)
            if task.done():
                watchdog.running.discard(self)
            else:
                task.add_done_callback(lambda _: watchdog.running.discard(self))

    def _be_current(self) -> None:
        current_attempt.set(self)
        current_trace.set(self.scope.run.trace_id)
        meter.set(self.meter)

    async def _wait(self, task: asyncio.Task[Any]) -> Any:
        try:
            done = await self._settled(task, self.seconds)
        except asyncio.CancelledError:
            await self._end(task)
            raise
        if not done:
            await self._end(task)
            raise Stopped(self._reason) if self._reason else TimedOut("attempt", self.seconds)
        if task.cancelled():
            raise Stopped(self._reason) if self._reason else Permanent("it cancelled itself")
        try:
            return task.result()
        except GeneratorExit as error:  # raised by the node; one that is thrown into it never gets here
            raise Permanent("the node raised GeneratorExit") from error

    async def _end(self, task: asyncio.Task[Any]) -> None:
        """Cancel the body, then interrupt it; one that swallows both is left behind."""
        self.open = False
        task.add_done_callback(_forget)
        task.cancel()
        if not await self._settled(task, GRACE_SECONDS):
            self.insisting = True
            task.cancel()
            self.abandoned = not await self._settled(task, GRACE_SECONDS)

    async def _settled(self, task: asyncio.Task[Any], seconds: float) -> bool:
        """Whether the task ends in time; it is not cancelled (`asyncio.wait` for one task, at half its cost)."""
        loop = task.get_loop()
        self._waiter = loop.create_future()
        timer = None if seconds == float("inf") else loop.call_later(seconds, self._wake)
        task.add_done_callback(self._wake)
        try:
            await self._waiter
        finally:
            task.remove_done_callback(self._wake)
            if timer is not None:
                timer.cancel()
        return task.done()

    def _wake(self, _: object = None) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


@types.coroutine
def _driven(work: Coroutine[Any, Any, Any], attempt: Attempt) -> Generator[Any, Any, Any]:
    """Await the body; once the attempt insists, a cancellation reaches it as `Interrupted`."""
    try:
        waits_for = work.send(None)
        while True:
            try:
                answer = yield waits_for
            except GeneratorExit:
                work.close()
                raise
            except BaseException as error:
                cancelled = attempt.insisting and isinstance(error, asyncio.CancelledError)
                waits_for = work.throw(Interrupted() if cancelled else error)
            else:
                waits_for = work.send(answer)
    except StopIteration as end:
        return end.value


async def contained(work: Awaitable[Any]) -> Any:
    """Keep `sys.exit()` in a tool, and exceptions that are no `Exception`, from tearing down the event loop."""
    try:
        return await work
    except (Exception, asyncio.CancelledError, KeyboardInterrupt, GeneratorExit):
        raise
    except Interrupted:
        attempt = current_attempt.get()
        raise TimedOut("attempt", attempt.seconds if attempt else 0.0) from None
    except BaseException as error:
        raise Permanent(f"the node raised {type(error).__name__}") from error


def _forget(task: asyncio.Task[Any]) -> None:
    """Look at the late result of a cancelled task, so that asyncio does not complain about it."""
    if not task.cancelled():
        task.exception()


def remaining() -> float:
    """Seconds left to the current attempt, at least 0; infinite outside a guard."""
    attempt = current_attempt.get()
    return float("inf") if attempt is None else attempt.left()
