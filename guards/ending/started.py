"""Started: the threads, child processes and sockets of guarded code, noted when it starts them.

Python's audit events tell of processes and sockets, and a wrapper around `Thread.start`, as tracing tools put there, of
threads; both are called in the starter's context, so it is known whose a thing is. They stay for as long as the process
lives. A run that starts nothing meets neither.

Not covered: `os.fork` and `os.posix_spawn` called directly, multiprocessing by spawn or forkserver, extensions in C.
"""

import functools
import sys
import sysconfig
import threading
import weakref
from collections.abc import Callable
from contextvars import Context
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, Final, Literal

from guards.running.current import current_attempt, is_detached

if TYPE_CHECKING:
    from guards.running.attempt import Attempt
    from guards.running.scope import Scope

NOTED: Final = 64
"""Entries before those that have ended are dropped."""

Kind = Literal["thread", "process", "socket"]


@dataclass(eq=False)
class Started:
    """One thing.

    Attributes:
        attempt: Whose it is.
        kind: What it is.
        thing: The `threading.Thread`, `subprocess.Popen` or `socket.socket`; a socket is not kept alive.
        watched: Somebody else waits for the process (asyncio does).
    """

    attempt: "Attempt"
    kind: Kind
    thing: Callable[[], Any]
    watched: bool = False


@functools.lru_cache(maxsize=1)
def note_what_is_started() -> None:
    """Begin to take notes; once."""
    sys.addaudithook(_heard)
    threading.Thread.start = _noting(threading.Thread.start)  # type: ignore[assignment, method-assign]


def _heard(event: str, args: tuple[Any, ...]) -> None:
    note = _NOTES.get(event)
    attempt = None if note is None else _starter()
    if note is not None and attempt is not None:
        try:
            note(attempt, args, sys._getframe(1))
        except Exception:  # an error in here would fail what is being started
            return


def _starter() -> "Attempt | None":
    """Whose code is running, also in a thread that it has started itself."""
    if is_detached.get():
        return None
    thread = threading._active.get(threading.get_ident())  # type: ignore[attr-defined]
    return current_attempt.get() or getattr(thread, _OWNER, None)


def _noting(start: Callable[[threading.Thread], None]) -> Callable[[threading.Thread], None]:
    @functools.wraps(start)
    def noted(self: threading.Thread) -> None:
        attempt = _starter()
        if attempt is not None and _is_the_nodes(self):
            setattr(self, _OWNER, attempt)
            _add(Started(attempt, "thread", lambda: self))
        start(self)

    return noted


def _is_the_nodes(thread: threading.Thread) -> bool:
    """Whether a thread runs code of the application. A library's thread may serve the whole process."""
    target = getattr(thread, "_target", None)
    if isinstance(getattr(target, "__self__", None), Context):
        target = next(iter(getattr(thread, "_args", ())), None)
    if isinstance(thread, threading.Timer):
        target = thread.function
    while isinstance(target, functools.partial):
        target = target.func
    code = getattr(target or type(thread).run, "__code__", None)
    return code is not None and not code.co_filename.startswith(_installed())


@functools.lru_cache(maxsize=1)
def _installed() -> tuple[str, ...]:
    """Where libraries are, and this package."""
    paths = sysconfig.get_paths()
    return (paths["stdlib"], paths["purelib"], paths["platlib"], str(Path(__file__).parents[1]), "<frozen")


def _process(attempt: "Attempt", _args: tuple[Any, ...], frame: FrameType) -> None:
    """The process has no number yet; the object that starts it, and will know the number, is asking."""
    process = frame.f_locals.get("self")
    if process is not None and hasattr(process, "poll"):
        _add(Started(attempt, "process", lambda: process, _by_asyncio(frame)))


def _by_asyncio(frame: FrameType | None) -> bool:
    for _ in range(2):
        frame = frame and frame.f_back
    return frame is not None and frame.f_globals.get("__name__") == "asyncio.unix_events"


def _socket(attempt: "Attempt", args: tuple[Any, ...], _frame: FrameType) -> None:
    _add(Started(attempt, "socket", weakref.ref(args[0])))


def _add(started: Started) -> None:
    everything.append(started)
    if len(everything) > NOTED and len(everything) & (len(everything) - 1) == 0:  # at every doubling
        everything[:] = [one for one in everything if is_alive(one)]


def started_by(scope: "Scope") -> bool:
    """Whether a run has started something of which nobody has seen the end."""
    return any(one.attempt.scope is scope for one in everything)


def forget_sockets(belongs: "Callable[[Attempt], bool]") -> None:
    """The sockets that are open after a run belong to clients that are shared; what has ended is forgotten too."""
    everything[:] = [one for one in everything if not (one.kind == "socket" and belongs(one.attempt)) and is_alive(one)]


def is_alive(started: Started) -> bool:
    """Whether it is still there; a process that has ended and is not yet waited for is not."""
    thing = started.thing()
    if thing is None:
        return False
    if started.kind == "thread":
        return bool(thing.is_alive() or thing.ident is None)
    if started.kind == "socket":
        return bool(thing.fileno() >= 0)
    return thing.returncode is None and (getattr(thing, "pid", None) is None or _runs(thing.pid))


def _runs(pid: int) -> bool:
    import psutil

    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


everything: Final[list[Started]] = []
_OWNER: Final = "_interlock_attempt"
_NOTES: Final[dict[str, Callable[["Attempt", tuple[Any, ...], FrameType], None]]] = {
    "subprocess.Popen": _process,
    "os.fork": _process,
    "socket.__new__": _socket,
}
