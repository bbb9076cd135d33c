"""Hooks: one callback for both of LangChain's ways to call a model, which may wait and whose errors are always heard.

LangChain's async path asks of an event whether it is a coroutine function and then awaits it. Its sync path calls it,
and would run a coroutine in another thread and swallow its errors. So a hook that was asked returns its coroutine, and
one that was not asked runs it to the end before it returns. `tests/test_wiring.py` tells when that moves.
"""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from contextvars import copy_context
from types import CodeType
from typing import Any

Work = Coroutine[Any, Any, None]


async def _coroutine_function() -> None:
    """What `inspect.iscoroutinefunction` finds in a hook."""


class Hook:
    """A callback, made anew each time that it is looked up.

    Args:
        work: Makes the coroutine that does what the callback is for.
    """

    __name__ = "hook"
    __defaults__ = None
    __kwdefaults__ = None

    def __init__(self, work: Callable[..., Work]) -> None:
        self.work = work
        self.asked = False

    @property
    def __code__(self) -> CodeType:
        """Only somebody who wants to know whether to await it looks here."""
        self.asked = True
        return _coroutine_function.__code__

    def __call__(self, *args: Any, **kwargs: Any) -> Work | None:
        """The coroutine for one who awaits it, else its result."""
        work = self.work(*args, **kwargs)
        if self.asked:
            return work
        finish(work)
        return None


class hook:  # noqa: N801 - reads as a decorator
    """Decorator: an async method that LangChain's sync path waits for too."""

    def __init__(self, function: Callable[..., Work]) -> None:
        self.function = function

    def __get__(self, handler: object, owner: object = None) -> Any:
        """A hook bound to its handler."""
        return Hook(self.function.__get__(handler))


def finish(work: Work) -> None:
    """Run a coroutine to its end on behalf of sync code; also where a loop is running, which then stands still."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        asyncio.run(work)
    else:
        _finish_elsewhere(work)


def _finish_elsewhere(work: Work) -> None:
    errors: list[BaseException] = []

    def run() -> None:
        try:
            asyncio.run(work)
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=copy_context().run, args=(run,))
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
