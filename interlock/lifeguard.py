"""Lifeguard: a small process beside a run, for what nothing in the run's own process can end.

C that never yields, in a node, holds the lock of the interpreter: no other thread of that process does anything any
more, and no signal handler of Python runs. When the run's deadline has passed by `GRACE_SECONDS`, or somebody pressed
Ctrl-C `PRESSED_SECONDS` ago, and the command is still there, this process closes the run, prints its report
(`interlock.rescue`) and ends the command. It ends by itself with the command, whose end it sees at a pipe.
"""

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import argparse

    from interlock.events import Event

GRACE_SECONDS: Final = 5.0
PRESSED_SECONDS: Final = 3.0
RESCUE_SECONDS: Final = 60.0
"""What closing the run and printing its report may take."""

STUCK: Final = "its time was over, and a node did not let go of the process"
CTRL_C: Final = "stopped by you (Ctrl-C)"


@contextlib.contextmanager
def with_lifeguard(show: "Callable[[Event], None]", args: "argparse.Namespace") -> "Iterator[Callable[[Event], None]]":
    """The same `show`; a lifeguard stands by from the first event that tells a deadline.

    Args:
        show: Takes the events of one run.
        args: How its answer is to be handed over: `json`, `out`, `quiet`; with `questions`, to the file `jsonl`.
    """
    lifeline: list[int] = []
    processes: list[subprocess.Popen[bytes]] = []

    def watch(event: "Event") -> None:
        if event.deadline and not processes:
            theirs, ours = os.pipe()
            lifeline.append(ours)
            processes.append(_stand_by(theirs, event.run, event.deadline + GRACE_SECONDS, args))
            os.close(theirs)
        show(event)

    try:
        yield watch
    finally:
        for end in lifeline:
            os.close(end)
        for process in processes:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(1.0)


def _stand_by(lifeline: int, run: str, until: float, args: "argparse.Namespace") -> "subprocess.Popen[bytes]":
    """Start the process; what it sends ends this one with exit code 5, without Python having to do anything."""
    import ctypes

    libc = ctypes.CDLL(None)
    libc.signal.argtypes = [ctypes.c_int, ctypes.c_void_p]
    libc.signal(signal.SIGTRAP, ctypes.cast(libc._exit, ctypes.c_void_p))  # its number, 5, is what `_exit` is given
    many = bool(getattr(args, "questions", None))
    told = {"json": args.json or many, "out": args.out, "quiet": args.quiet or many}
    told |= {"many": many, "jsonl": args.jsonl if many else None}
    words = [str(lifeline), str(os.getpid()), str(until), run, json.dumps(told)]
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])  # the process is born so, until it can answer to it
    try:
        return subprocess.Popen([sys.executable, "-I", "-S", __file__, *words], pass_fds=[lifeline])  # noqa: S603
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])


class _Watch:
    """The process's own side."""

    def __init__(self, lifeline: int, parent: int, until: float) -> None:
        self.lifeline, self.parent, self.until, self.reason = lifeline, parent, until, STUCK

    def wait(self) -> bool:
        """Whether the command is still there when it should have ended."""
        signal.signal(signal.SIGINT, self._pressed)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])
        while (left := self.until - time.time()) > 0:
            if select.select([self.lifeline], [], [], min(left, 1.0))[0]:
                return False
        return not select.select([self.lifeline], [], [], 0)[0]

    def _pressed(self, *_: Any) -> None:
        self.until, self.reason = min(self.until, time.time() + PRESSED_SECONDS), CTRL_C

    def end_parent(self) -> None:
        """With the exit code of a run that was stopped; by force if it has other plans for that signal."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.parent, signal.SIGTRAP)
            if not select.select([self.lifeline], [], [], 1.0)[0]:
                os.kill(self.parent, signal.SIGKILL)


def main() -> None:
    """Wait for the end of the command, and close its run when it does not come."""
    lifeline, parent, until, run, told = sys.argv[1:]
    watch = _Watch(int(lifeline), int(parent), float(until))
    if watch.wait():
        with contextlib.suppress(subprocess.TimeoutExpired):
            command = [sys.executable, "-m", "interlock.rescue", run, watch.reason, told]
            subprocess.run(command, timeout=RESCUE_SECONDS, check=False)  # noqa: S603
        watch.end_parent()


if __name__ == "__main__":
    main()
