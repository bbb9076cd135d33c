"""Processes for tests that kill or crowd them: forks of a server that has imported what they need."""

import multiprocessing
import os
import signal
from collections.abc import Callable
from typing import Any

FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(
    ["pytest", "graphs.research", "interlock.runner", "interlock.saver", "aiosqlite", "httpx2"]
)

PATIENCE = 60.0
"""Seconds after which a test gives a process up."""


class Fork:
    """A process that tells things: the last argument of its function is a connection to send them."""

    def __init__(self, target: Callable[..., None], *args: Any) -> None:
        self.told, theirs = FORKS.Pipe(duplex=False)
        self.process = FORKS.Process(target=target, args=(*args, theirs))
        self.process.start()
        theirs.close()

    def hear(self, count: int) -> list[Any]:
        """The next things that it tells."""
        heard = list[Any]()
        while len(heard) < count:
            assert self.told.poll(PATIENCE), heard
            heard.append(self.told.recv())
        return heard

    def kill(self) -> None:
        """End it with SIGKILL."""
        os.kill(self.process.pid or 0, signal.SIGKILL)
        self.join(-signal.SIGKILL)

    def join(self, code: int = 0) -> None:
        """Wait until it has ended by itself."""
        self.process.join(PATIENCE)
        assert self.process.exitcode == code
