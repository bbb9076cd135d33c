"""Interrupt: raise in another thread's code, there and then, without hitting what runs around that code.

It reaches code between two bytecodes. What it cannot reach is C that never yields; that belongs into `guards.apart`.
"""

import asyncio
import ctypes
import gc
import inspect
import sys
from collections.abc import Iterator
from contextvars import Context
from functools import lru_cache
from itertools import compress, starmap
from operator import is_, methodcaller
from types import FrameType
from typing import Any, Final


class Interrupted(BaseException):
    """Thrown into code whose time is over and that does not let go. No `Exception`, so that no retry loop keeps it."""


_STEP: Final = asyncio.Handle._run.__code__
"""Where asyncio begins to run a task's step: what is called from there and is no coroutine is asyncio's own."""


_UNHEARD: Final = ("_weakrefset.py", "weakref.py")
"""Files whose functions Python calls in the middle of others; what they raise is printed and goes nowhere."""


def in_coroutine(frame: FrameType | None) -> bool:
    """Whether a coroutine is being run there, and not the event loop around it or a finalizer inside."""
    while frame is not None and frame.f_code is not _STEP:
        if frame.f_code.co_name == "__del__" or frame.f_code.co_filename.endswith(_UNHEARD):
            return False
        if frame.f_code.co_flags & inspect.CO_COROUTINE:
            return True
        frame = frame.f_back
    return False


def frames(thread: int) -> Iterator[FrameType]:
    """What a thread is doing, innermost first."""
    frame = sys._current_frames().get(thread)
    while frame is not None:
        yield frame
        frame = frame.f_back


def interrupt(thread: int, frame: FrameType, error: type[BaseException] = Interrupted) -> bool:
    """Raise in a thread if it is still at `frame`, the innermost one; whether it was.

    Between a look and a raise in two lines of Python the thread could have gone on. So they are one call of C, during
    which this thread keeps the interpreter's lock.
    """
    here = map(methodcaller("get", thread), starmap(sys._current_frames, [()]))
    return bool(sum(starmap(_raise_in(), compress([(thread, error)], map(is_, here, [frame])))))


@lru_cache(maxsize=1)
def _raise_in() -> Any:
    function = ctypes.pythonapi.PyThreadState_SetAsyncExc
    function.argtypes, function.restype = [ctypes.c_ulong, ctypes.py_object], ctypes.c_int
    return function


def context_of(task: asyncio.Task[Any]) -> Context | None:
    """The context variables that a task runs in; before Python 3.12 only the garbage collector can tell."""
    if hasattr(task, "get_context"):
        return task.get_context()  # type: ignore[no-any-return]
    return next((held for held in gc.get_referents(task) if isinstance(held, Context)), None)
