"""Apart: run a function in a process of its own, which is killed when its time is over (guide: E2).

For what cannot be interrupted in this process: C that never yields, as in parsers of foreign files, regular
expressions and numerics on foreign data, drivers in C, and blocking code on another thread than the main one. It costs
a process for each call: about 30 ms, and the import of the function's module. It is no sandbox: the function may do
what this process may do.
"""

import asyncio
import functools
import os
import pickle
import signal
import struct
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress
from contextvars import copy_context
from pathlib import Path
from typing import IO, Any, Final, ParamSpec, TypeVar, overload

from guards.errors import Permanent, TimedOut, Transient
from guards.running.attempt import remaining

SECONDS: Final = 30.0
"""For a call outside a guard that states no time of its own (guide: an agent silent for 30 s is broken)."""

OUTPUT_BYTES: Final = 10_000_000
AT_ONCE: Final = 32
"""Processes of one parent; a call above that is refused."""

CHILD: Final = Path(__file__).with_name("apart_child.py")
_HEAD: Final = struct.Struct("!Q")

P = ParamSpec("P")
R = TypeVar("R")
_slots = threading.BoundedSemaphore(AT_ONCE)


@overload
def apart(function: Callable[P, R]) -> Callable[P, Awaitable[R]]: ...


@overload
def apart(
    *, seconds: float | None = None, output_bytes: int = OUTPUT_BYTES
) -> Callable[[Callable[P, R]], Callable[P, Awaitable[R]]]: ...


def apart(function: Any = None, *, seconds: float | None = None, output_bytes: int = OUTPUT_BYTES) -> Any:
    """Make an async function of a blocking one, each call of which runs in a process that can be killed.

    It is killed, with every process that it has started, when its time is over, when its attempt ends or is cancelled,
    and when this process dies. Under `@tool` of LangChain it stands directly above the function.

    Args:
        function: A function of a module that can be imported (not of a notebook, a script or another function).
        seconds: Wall time of one call; it ends with its attempt at the latest. None: the attempt's time, or `SECONDS`.
        output_bytes: Size of the pickled result.

    Raises:
        ValueError: Another process could not find the function by its name.

    A call raises `TimedOut`, `Permanent` (the process died, the result is too large, arguments or result cannot be
    pickled), `Transient` (`AT_ONCE` processes are running), or what the function raises.
    """
    if function is None:
        return functools.partial(apart, seconds=seconds, output_bytes=output_bytes)
    if "<" in function.__qualname__ or function.__module__ == "__main__":
        raise ValueError(f"another process cannot import '{function.__qualname__}': move it to the top of a module")

    @functools.wraps(function)
    async def call(*args: Any, **kwargs: Any) -> Any:
        return await _Call(function, _allowed(seconds), output_bytes).made(args, kwargs)

    call.apart = function  # type: ignore[attr-defined]
    return call


def _allowed(seconds: float | None) -> float:
    left = remaining()
    if seconds is None:
        return SECONDS if left == float("inf") else left
    return min(seconds, left)


class _Call:
    """One call: a thread of this process talks to a process of its own."""

    def __init__(self, function: Callable[..., Any], seconds: float, output_bytes: int) -> None:
        self.function, self.name = function, function.__qualname__
        self.seconds, self.output_bytes = seconds, output_bytes
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._over = False

    async def made(self, args: Any, kwargs: Any) -> Any:
        """The function's result."""
        if not _slots.acquire(blocking=False):
            raise Transient(f"{AT_ONCE} functions run apart already: call fewer at once")
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Any] = loop.create_future()
        context = copy_context()
        threading.Thread(
            target=context.run, args=(self._talk, loop, answer, args, kwargs), name=f"apart-{self.name}", daemon=True
        ).start()
        try:
            async with asyncio.timeout(self.seconds):
                return await answer
        except TimeoutError:
            if answer.done() and not answer.cancelled():
                raise
            raise TimedOut("tool", self.seconds) from None
        finally:
            self._kill()

    def _talk(self, loop: asyncio.AbstractEventLoop, answer: "asyncio.Future[Any]", args: Any, kwargs: Any) -> None:
        try:
            result, error = self._asked(args, kwargs), None
        except BaseException as caught:
            result, error = None, caught
        finally:
            _slots.release()
        with suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(_settle, answer, result, error)
        del result, error

    def _asked(self, args: Any, kwargs: Any) -> Any:
        try:
            arguments = pickle.dumps((args, kwargs))
        except Exception as error:
            raise Permanent(f"{self.name}: its arguments cannot be pickled ({type(error).__name__})") from None
        request = pickle.dumps((sys.path, self.function.__module__, self.name, arguments))
        how, value = pickle.loads(self._exchanged(request))  # noqa: S301 - from the process that runs our function
        if how == "raised":
            raise value
        if how == "large":
            raise Permanent(f"{self.name}: its result has {value:,} bytes, over the limit of {self.output_bytes:,}")
        if how == "failed":
            raise Permanent(f"{self.name}: {value}")
        return value

    def _exchanged(self, request: bytes) -> bytes:
        """Send the request, get the answer; whoever ends the call meanwhile closes the pipes by a kill."""
        pipes = [os.pipe() for _ in range(3)]
        (ask_in, ask_out), (answer_in, answer_out), (life_in, life_out) = pipes
        theirs = ask_in, answer_out, life_in
        with open(ask_out, "wb") as asking, open(answer_in, "rb") as answering, open(life_out, "wb"):  # noqa: PTH123
            try:
                process = self._started(theirs)
            finally:
                for end in theirs:
                    os.close(end)
            try:
                with suppress(BrokenPipeError):
                    asking.write(request)
                    asking.close()
                return self._read(answering)
            except EOFError:
                raise Permanent(f"{self.name}: its process ended without an answer ({_why(process.pid)})") from None
            finally:
                self._kill()
                with self._lock:
                    process.wait()

    def _started(self, theirs: tuple[int, ...]) -> "subprocess.Popen[bytes]":
        command = [sys.executable, str(CHILD), *map(str, theirs), str(self.output_bytes)]
        with self._lock:
            if self._over:
                raise Permanent(f"{self.name}: its time is over")
            quiet = subprocess.DEVNULL
            self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and script
                command, stdin=quiet, stdout=quiet, stderr=quiet, pass_fds=theirs, start_new_session=True
            )
            return self._process

    def _read(self, answering: IO[bytes]) -> bytes:
        head = answering.read(_HEAD.size)
        if len(head) < _HEAD.size:
            raise EOFError
        size = _HEAD.unpack(head)[0]
        if size > max(self.output_bytes, 1_000):
            raise EOFError
        answer = answering.read(size)
        if len(answer) < size:
            raise EOFError
        return answer

    def _kill(self) -> None:
        """End the process and everything in its group; a process that was waited for has no group any more."""
        with self._lock:
            self._over = True
            if self._process is not None and self._process.returncode is None:
                with suppress(ProcessLookupError, PermissionError):
                    os.killpg(self._process.pid, signal.SIGKILL)


def _settle(answer: "asyncio.Future[Any]", result: Any, error: BaseException | None) -> None:
    if answer.done():
        return
    if error is None:
        answer.set_result(result)
    else:
        answer.set_exception(error if not isinstance(error, StopIteration) else Permanent("it raised StopIteration"))


def _why(pid: int) -> str:
    """How a process ended; it stays to be waited for, so that its number, and its group's, is not given to another."""
    told = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    if told is None or told.si_code == os.CLD_EXITED:
        return f"exit code {told.si_status if told else '?'}"
    return signal.Signals(told.si_status).name
