"""Process: what stands around a command that runs graphs: an event loop that ends on time."""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from interlock.exits import STOPPED
from interlock.stopping import Stopping
from interlock.terminal import say
from interlock.traces import hand_over

ENDING_SECONDS: Final = 0.5
"""What tasks that are still there get to end, once the command has its result."""

THREADS: Final = 32
"""More than asyncio would take: some may hang, and the others must not wait for them."""

Work = Callable[[Stopping], Coroutine[Any, Any, int]]


def run(work: Work, traced: bool = False) -> int:
    """Run a command in an event loop of its own; gives back its exit code.

    Tasks and threads that hang are left behind. Whoever ends the process must not wait for them either: `leave`.

    Args:
        work: The command.
        traced: It runs graphs, so LangSmith may have something to take.
    """
    loop = asyncio.new_event_loop()
    threads = ThreadPoolExecutor(THREADS, thread_name_prefix="interlock")
    loop.set_default_executor(threads)
    try:
        return loop.run_until_complete(_stoppable(work, traced))
    finally:
        loop.run_until_complete(_end_tasks())
        threads.shutdown(wait=False, cancel_futures=True)
        loop.close()


async def _stoppable(work: Work, traced: bool) -> int:
    stopping = Stopping()
    with stopping.listening():
        try:
            code = await work(stopping)
        except asyncio.CancelledError:
            say(f"{stopping.reason}, before anything was found")
            return STOPPED
        if traced and not stopping.reason:
            await hand_over()
        return code


async def _end_tasks() -> None:
    """Cancel what is still there and give it a moment."""
    left = asyncio.all_tasks() - {asyncio.current_task()}
    for task in left:
        task.cancel()
    if left:
        await asyncio.wait(left, timeout=ENDING_SECONDS)
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(asyncio.get_running_loop().shutdown_asyncgens(), ENDING_SECONDS)
