"""Current: whose code is running, told by a context variable that tasks, and threads of LangChain, inherit."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from guards.running.attempt import Attempt

GRACE_SECONDS = 0.1
"""What a cancelled node gets to clean up; after that stronger means are taken, and its calls are refused."""

current_attempt: ContextVar["Attempt | None"] = ContextVar("interlock_attempt", default=None)
is_detached: ContextVar[bool] = ContextVar("interlock_detached", default=False)


@contextmanager
def detached() -> Iterator[None]:
    """What a node starts inside belongs to the process, not to the run: it is not ended with the run.

    For a connection, a thread or a process that many runs share and that the first of them opens. Time, calls and money
    are counted as everywhere.
    """
    token = is_detached.set(True)
    try:
        yield
    finally:
        is_detached.reset(token)
