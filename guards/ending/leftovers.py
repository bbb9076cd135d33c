"""Leftovers: what guarded code left alive, how it is found, and how it is ended: the milder means first."""

import asyncio
import functools
import gc
import socket
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from concurrent.futures import _base as futures
from concurrent.futures import thread as pool
from contextlib import suppress
from contextvars import Context
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, Final

from typing_extensions import override

from guards.ending.interrupt import Interrupted, context_of, frames, interrupt
from guards.ending.started import Started, everything, is_alive
from guards.running.current import current_attempt, is_detached

if TYPE_CHECKING:
    from guards.running.attempt import Attempt

PATIENCE_SECONDS: Final = 1.0
"""What a thread gets to see that nobody waits for it, and a child process to obey SIGTERM."""

Belongs = Callable[["Attempt"], bool]


class Leftover(ABC):
    """Something that is alive though its attempt is over.

    Attributes:
        kind: "task", "thread", "process" or "socket".
        name: What it is, for the log; a function's or a program's name.
        attempt: Whose it is.
        key: The thing itself: one thing is one leftover.
    """

    kind: str
    name: str
    attempt: "Attempt"
    key: Any

    @abstractmethod
    def alive(self) -> bool:
        """Whether it is still there."""

    @abstractmethod
    def end(self, seconds: float) -> None:
        """Take the next means; it was found so many seconds ago. Called from any thread."""


class TaskLeft(Leftover):
    """A task: cancelled, again each time."""

    kind = "task"

    def __init__(self, task: "asyncio.Task[Any]", attempt: "Attempt") -> None:
        self.key, self.attempt = task, attempt
        self.name = getattr(task.get_coro(), "__qualname__", "task")

    @override
    def alive(self) -> bool:
        return not self.key.done() and not self.key.get_loop().is_closed()

    @override
    def end(self, seconds: float) -> None:
        with suppress(RuntimeError):  # the loop is closed
            self.key.get_loop().call_soon_threadsafe(_cancel, self.key)


class ThreadLeft(Leftover):
    """A thread of a pool that does a node's work, or one that the node has started: interrupted in Python code.

    It gets time first to end by itself: an error out of nowhere can leave a lock held. If it waits for a socket that
    is shut down.
    """

    kind = "thread"

    def __init__(self, thread: int, name: str, attempt: "Attempt", work: FrameType | None, key: Any) -> None:
        self.thread, self.name, self.attempt, self.work, self.key = thread, name, attempt, work, key

    @override
    def alive(self) -> bool:
        if self.work is None:
            return bool(self.key.is_alive())
        return any(frame is self.work for frame in frames(self.thread))

    @override
    def end(self, seconds: float) -> None:
        if seconds < PATIENCE_SECONDS:
            return
        stack = list(frames(self.thread))
        if self.work is None:
            if stack and interrupt(self.thread, stack[0], SystemExit):  # which ends a thread without a word
                _shut_down(stack[0])
        elif self.work in stack[1:] and interrupt(self.thread, stack[0], Interrupted):
            _shut_down(stack[0])


class ProcessLeft(Leftover):
    """A child process with its own children: told to end, then killed."""

    kind = "process"

    def __init__(self, started: Started) -> None:
        self.started, self.key, self.attempt = started, started.thing(), started.attempt
        args = getattr(self.key, "args", "process")
        self.name = Path(str(args if isinstance(args, (str, bytes)) else args[0])).name[:50]

    @override
    def alive(self) -> bool:
        alive = is_alive(self.started)
        if not alive and not self.started.watched:
            self.key.poll()  # nobody else waits for it
        return alive

    @override
    def end(self, seconds: float) -> None:
        import psutil

        with suppress(psutil.Error):
            process = psutil.Process(self.key.pid)
            for one in (*process.children(recursive=True), process):
                with suppress(psutil.Error):
                    one.kill() if seconds >= PATIENCE_SECONDS else one.terminate()


class SocketLeft(Leftover):
    """A connection that only its event loop still knows: closed."""

    kind = "socket"

    def __init__(self, transport: asyncio.Transport, attempt: "Attempt", loop: asyncio.AbstractEventLoop) -> None:
        self.key, self.attempt, self.loop, self.name = transport, attempt, loop, "connection"

    @override
    def alive(self) -> bool:
        return not self.key.is_closing() and not self.loop.is_closed()

    @override
    def end(self, seconds: float) -> None:
        with suppress(RuntimeError):
            self.loop.call_soon_threadsafe(self.key.abort)


def tasks(loop: asyncio.AbstractEventLoop, belongs: Belongs) -> Iterator[TaskLeft]:
    """Tasks of an event loop, found by the context that they were made in."""
    for task in asyncio.all_tasks(loop):
        owner = _owner(context_of(task))
        if owner is not None and belongs(owner) and not _is_lasting(task):
            yield TaskLeft(task, owner)


def pool_threads(belongs: Belongs) -> Iterator[ThreadLeft]:
    """Threads of a pool that are doing a node's work (`asyncio.to_thread`, synchronous tools of LangChain)."""
    for thread in list(sys._current_frames()):
        inner: FrameType | None = None
        for frame in frames(thread):
            owner = _owner(_context_in(frame))
            if owner is not None and belongs(owner) and _is_at_work(inner):
                yield ThreadLeft(thread, _name_of_work(thread, frame), owner, frame, frame.f_locals["self"])
                break
            inner = frame


def started_things(belongs: Belongs) -> Iterator[Leftover]:
    """Threads and child processes that were noted when they were started."""
    for one in list(everything):
        if one.kind == "socket" or not belongs(one.attempt) or not is_alive(one):
            continue
        if one.kind == "process":
            yield ProcessLeft(one)
        else:
            thread = one.thing()
            yield ThreadLeft(thread.ident, thread.name, one.attempt, None, thread)


def connections(loop: Any, belongs: Belongs) -> Iterator[SocketLeft]:
    """Connections that an asyncio loop reads from for nobody: whoever opened them forgot them."""
    selector = getattr(loop, "_selector", None)
    for key in list(selector.get_map().values()) if selector is not None and selector.get_map() else ():
        handle: Any = key.data[0] if isinstance(key.data, tuple) else None
        transport = getattr(getattr(handle, "_callback", None), "__self__", None)
        if isinstance(transport, asyncio.Transport):
            owner = _owner(handle._context)
            if owner is not None and belongs(owner) and _is_forgotten(transport):
                yield SocketLeft(transport, owner, loop)


def collect_connections(belongs: Belongs) -> int:
    """Collect the garbage when a node's sockets are still open: clients that were forgotten open are such garbage.

    A client that somebody still holds stays open: it is shared on purpose. Returns how many were closed by it.
    """
    sockets = [one for one in list(everything) if one.kind == "socket" and belongs(one.attempt) and is_alive(one)]
    if sockets:
        gc.collect(1)
    return sum(not is_alive(one) for one in sockets)


def _owner(context: Context | None) -> "Attempt | None":
    return None if context is None or context.get(is_detached) else context.get(current_attempt)


def _is_lasting(task: "asyncio.Task[Any]") -> bool:
    """LangGraph's store has one task for all runs, which a node may begin; asyncio closes generators in tasks."""
    coroutine: Any = task.get_coro()
    code = getattr(coroutine, "cr_code", None)
    return code is None or (code.co_name == "_run" and code.co_filename.endswith("langgraph/store/base/batch.py"))


def _cancel(task: "asyncio.Task[Any]") -> None:
    if task is not asyncio.current_task():
        task.add_done_callback(_look_at)
        task.cancel()


def _look_at(task: "asyncio.Task[Any]") -> None:
    """Or asyncio would complain that nobody looked at its error."""
    if not task.cancelled():
        task.exception()


def _context_in(frame: FrameType) -> Context | None:
    """The context that a pool's thread runs a piece of work in, if this is the frame that does so."""
    if frame.f_code is pool._WorkItem.run.__code__:
        function = getattr(frame.f_locals.get("self"), "fn", None)
        bound = function.func if isinstance(function, functools.partial) else function
        found = getattr(bound, "__self__", None)
    elif frame.f_globals.get("__name__") == "anyio._backends._asyncio" and frame.f_code.co_name == "run":
        found = frame.f_locals.get("context")
    else:
        return None
    return found if isinstance(found, Context) else None


def _is_at_work(inner: FrameType | None) -> bool:
    """Whether a pool's thread is inside the work, and not before it or handing its result over."""
    return inner is not None and inner.f_code.co_filename not in _HANDING_OVER


def _name_of_work(thread: int, work: FrameType) -> str:
    """The name of the function that the pool was given."""
    name = "thread"
    for frame in frames(thread):
        if frame is work:
            break
        name = frame.f_code.co_qualname if hasattr(frame.f_code, "co_qualname") else frame.f_code.co_name
    return name


def _shut_down(frame: FrameType) -> None:
    """End the wait of a thread that is reading from a socket; it gets its interrupt when the read returns."""
    held = frame.f_locals.get("self")
    for one in (held, getattr(held, "_sock", None)):
        if isinstance(one, socket.socket):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)


def _is_forgotten(transport: asyncio.Transport) -> bool:
    """Whether nobody but the event loop knows a connection's protocol."""
    protocol: Any = transport.get_protocol()
    protocol = getattr(protocol, "_app_protocol", None) or protocol
    if isinstance(protocol, asyncio.StreamReaderProtocol):
        reader = protocol._stream_reader_wr  # type: ignore[attr-defined]
        return reader is not None and reader() is None
    return sys.getrefcount(protocol) <= _REFERENCES


_HANDING_OVER: Final = (futures.__file__, asyncio.base_events.__file__)
"""Where a pool's thread gives its result to a future or to an event loop."""

_REFERENCES: Final = 3
"""To a protocol: its transport's, the one held here, and the one of counting them."""
